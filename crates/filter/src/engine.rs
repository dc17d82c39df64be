//! Built once from the configuration, never changed, swapped whole on reload. Opens sessions and runs their stages: facts,
//! then all checks of the stage at once, then the policy. The straight line itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_mail::{Domain, Message, Score};
use tidegate_rules::RuleSet;
use tokio::time::Instant;

use crate::blocklists::{self, List};
use crate::check::{Symbol, SymbolRef};
use crate::checks::{self, ByStage, Name, Parts};
use crate::headers;
use crate::identity::Given;
use crate::judgement::Judgement;
use crate::policy::{self, OnUnavailable};
use crate::session::Client;
use crate::settings::{ConfigError, Deadlines, ServerIdentity};
use crate::verdict::HeaderEdit;
use crate::world::World;

mod run;
mod session;

pub use session::{OutOfOrder, Session};

/// What the engine is built from. Each module owns its part; this only composes them.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names program and configuration in each record.
    pub fingerprint: String,
    /// `[server]`: who we are.
    pub identity: ServerIdentity,
    /// `[deadlines]`
    pub deadlines: Deadlines,
    /// `[policy]`
    pub policy: policy::Config,
    /// `[checks]`
    pub checks: checks::Config,
    /// `[weights]`: points of single symbols, over the declared ones.
    pub weights: BTreeMap<String, Score>,
    /// Entries of the own allow and block lists.
    pub lists: Vec<checks::lists::Entry>,
    /// The catalogue of DNS lists.
    pub blocklists: blocklists::Catalogue,
    /// The rules of rule files, compiled; none without rule files.
    pub rules: Option<Arc<RuleSet>>,
}

/// The judgement, ready to run.
pub struct Engine {
    fingerprint: String,
    identity: ServerIdentity,
    deadlines: Deadlines,
    policy: policy::Config,
    on_unavailable: BTreeMap<Name, OnUnavailable>,
    weights: BTreeMap<String, Score>,
    /// Names in `weights` of what does not run at present.
    idle_weights: BTreeSet<String>,
    checks: ByStage,
    lists: Vec<List>,
}

impl Engine {
    /// Builds all checks and proves that no evidence alone refuses.
    ///
    /// # Errors
    /// All problems of the configuration at once, so that they can be mended in one go.
    pub fn new(config: Config) -> Result<Engine, Vec<ConfigError>> {
        let parts = Parts {
            identity: &config.identity,
            lists: &config.lists,
            blocklists: &config.blocklists,
            rules: config.rules.as_ref(),
            deadlines: config.deadlines,
            declared: &[],
        };
        let checks = ByStage::build(&config.checks, &parts).map_err(|error| vec![error])?;
        let engine = Engine {
            fingerprint: config.fingerprint,
            on_unavailable: config.checks.on_unavailable.clone(),
            identity: config.identity,
            deadlines: config.deadlines,
            policy: config.policy,
            idle_weights: idle_weights(&config.weights, &checks, &config.blocklists, config.rules.as_deref()),
            weights: config.weights,
            lists: List::that_run(&config.blocklists, |check| !config.checks.off.contains(&check)),
            checks,
        };
        match engine.problems() {
            problems if problems.is_empty() => Ok(engine),
            problems => Err(problems),
        }
    }

    fn problems(&self) -> Vec<ConfigError> {
        let mut declared: BTreeMap<&str, &'static str> = BTreeMap::new();
        let mut problems = Vec::new();
        for (check, symbol) in self.symbols() {
            if let Some(first) = declared.insert(&symbol.name, check.as_str()) {
                problems.push(ConfigError::DuplicateSymbol(symbol.name.to_string(), first, check.as_str()));
            }
        }
        let weighed = self.symbols().map(|(_, symbol)| (symbol, self.weight(symbol)));
        problems.extend(policy::lint(&self.policy, weighed).into_iter().map(ConfigError::Unsafe));
        problems
    }

    /// Names program and configuration.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Removes what `message` says in our name: for one that goes on without being judged.
    pub fn without_forgeries(&self, message: &Message) -> Vec<HeaderEdit> {
        headers::removals(message, &self.identity.hostname)
    }

    /// Every symbol that can be found, with the check it belongs to.
    pub fn symbols(&self) -> impl Iterator<Item = (Name, &Symbol)> + Clone {
        self.checks.symbols.iter().map(|(check, symbol)| (*check, symbol.symbol()))
    }

    /// The points of `symbol` that apply.
    pub fn weight(&self, symbol: &Symbol) -> Score {
        self.weights.get(symbol.name.as_ref()).copied().unwrap_or(symbol.weight)
    }

    /// Symbols that `[weights]` gives points although nothing finds them at present: their check is off, their list is not enabled, or no
    /// rules are read.
    pub fn idle_weights(&self) -> impl Iterator<Item = &str> {
        self.idle_weights.iter().map(String::as_str)
    }

    /// Symbols that `[weights]` names and nothing declares. Most are misspelt, but an update of the rules may have taken a rule away: no
    /// reason to judge nothing any more.
    pub fn unknown_weights(&self) -> impl Iterator<Item = &str> {
        let declared: BTreeSet<&str> = self.symbols().map(|(_, symbol)| &*symbol.name).collect();
        let is_known = move |name: &&String| declared.contains(name.as_str()) || self.idle_weights.contains(*name);
        self.weights.keys().filter(move |name| !is_known(name)).map(String::as_str)
    }

    /// The DNS lists that are asked.
    pub fn lists(&self) -> &[List] {
        &self.lists
    }

    /// Begins a session with `client` and judges the connection.
    pub async fn open(self: &Arc<Self>, client: Client, world: World) -> (Session, Judgement) {
        Session::open(Arc::clone(self), client, world, Given::default(), None).await
    }

    /// As [`Engine::open`], for somebody who waits no longer than `until`: see [`Session::answer_by`].
    pub async fn open_by(self: &Arc<Self>, client: Client, world: World, until: Instant) -> (Session, Judgement) {
        Session::open(Arc::clone(self), client, world, Given::default(), Some(until)).await
    }

    /// How long a stage may take.
    pub fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// As [`Engine::open`], with identity results that stand for look-ups.
    pub async fn open_given(self: &Arc<Self>, client: Client, world: World, given: Given) -> (Session, Judgement) {
        Session::open(Arc::clone(self), client, world, given, None).await
    }

    /// The name of this server.
    pub fn hostname(&self) -> &Domain {
        &self.identity.hostname
    }

    fn is_trusted(&self, client: &Client) -> bool {
        let of_ip = |ip| self.identity.trusted_relays.iter().any(|net| net.contains(&ip));
        client.ip().is_some_and(of_ip)
    }
}

/// The names in `weights` of what there is but does not run. Without rules nothing can tell whether a name is that of a rule.
fn idle_weights(
    weights: &BTreeMap<String, Score>,
    checks: &ByStage,
    lists: &blocklists::Catalogue,
    rules: Option<&RuleSet>,
) -> BTreeSet<String> {
    let of_lists: Vec<Arc<Symbol>> = List::idle_symbols(lists).collect();
    let of_checks = checks.idle.iter().map(SymbolRef::symbol);
    let idle: BTreeSet<&str> = of_checks.chain(of_lists.iter().map(|symbol| &**symbol)).map(|s| &*s.name).collect();
    let runs: BTreeSet<&str> = checks.symbols.iter().map(|(_, symbol)| &*symbol.symbol().name).collect();
    let has_rules = rules.is_some_and(|set| !set.rules().is_empty());
    let is_idle = |name: &&String| !runs.contains(name.as_str()) && (!has_rules || idle.contains(name.as_str()));
    weights.keys().filter(is_idle).cloned().collect()
}
