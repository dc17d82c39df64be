//! What the client calls itself. Looked at when MAIL comes: only then it is known whether the client has logged in, and mail programs
//! of users greet with anything. A name that leads to the client is never held against it.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::join;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::Domain;

use crate::check::{Ask, Class, Finding, Group, OnMail, Outcome, RefusalKind, Symbol, SymbolRef};
use crate::checks::Parts;
use crate::dns::{Question, RecordKind, Resolver, is_internal};
use crate::identity::Fcrdns;
use crate::known::{Answer, Known};
use crate::panel::Hosting;
use crate::session::{Client, Greeting, Helo, Remote, Sender};
use crate::settings::ConfigError;
use crate::world::World;

static MISSING: Symbol = breach("HELO_MISSING", "the client sends mail without a greeting");
static BARE_ADDRESS: Symbol = breach("HELO_BARE_ADDRESS", "the client greets with an address that is not in brackets");
static OWN: Symbol = breach("HELO_OWN", "the client greets with this server's own name or address");
static HOSTED: Symbol =
    breach("HELO_HOSTED", "the client greets with a domain that is hosted here and that does not lead to it");
static BOT: Symbol = breach("HELO_BOT", "the client greets with a name that only malware uses");

static NOT_A_NAME: Symbol = Symbol::evidence(
    "HELO_NOT_A_NAME",
    1000,
    Group::ClientNames,
    "the client's greeting is no host name and no address",
);
static WRONG_ADDRESS: Symbol = Symbol::evidence(
    "HELO_WRONG_ADDRESS",
    2000,
    Group::ClientNames,
    "the client greets with an address that is not its own",
);
static LOCALHOST: Symbol =
    Symbol::evidence("HELO_LOCALHOST", 1500, Group::ClientNames, "the client greets as `localhost`");
static NO_DOT: Symbol =
    Symbol::evidence("HELO_NO_DOT", 1000, Group::ClientNames, "the client's greeting is not a full host name");
static UNRESOLVABLE: Symbol = Symbol::evidence(
    "HELO_UNRESOLVABLE",
    1000,
    Group::ClientNames,
    "the name that the client greets with has no address",
);

const fn breach(name: &'static str, doc: &'static str) -> Symbol {
    let mut symbol = Symbol::refusal(name, RefusalKind::Protocol, doc);
    symbol.weight = tidegate_mail::Score::milli(3000);
    symbol.group = Group::ClientNames;
    symbol
}

/// `[checks.helo]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether greetings that no mail server uses are refused; else they only add points.
    pub refuse: bool,
    /// Names that only malware greets with.
    pub bots: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config { refuse: true, bots: vec!["ylmf-pc".into()] }
    }
}

/// The check.
pub struct Check {
    missing: Arc<Symbol>,
    bare_address: Arc<Symbol>,
    own: Arc<Symbol>,
    hosted: Arc<Symbol>,
    bot: Arc<Symbol>,
    bots: Vec<String>,
    hostname: Domain,
}

impl Check {
    /// Builds the check.
    ///
    /// # Errors
    /// None.
    pub fn build(config: &Config, parts: &Parts<'_>) -> Result<Check, ConfigError> {
        let class = if config.refuse { Class::Refusal(RefusalKind::Protocol) } else { Class::Evidence };
        let symbol = |declared: &Symbol| Arc::new(declared.clone().with_class(class));
        Ok(Check {
            missing: symbol(&MISSING),
            bare_address: symbol(&BARE_ADDRESS),
            own: symbol(&OWN),
            hosted: symbol(&HOSTED),
            bot: symbol(&BOT),
            bots: config.bots.clone(),
            hostname: parts.identity.hostname.clone(),
        })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        let loaded = [&self.missing, &self.bare_address, &self.own, &self.hosted, &self.bot];
        let declared = [&NOT_A_NAME, &WRONG_ADDRESS, &LOCALHOST, &NO_DOT, &UNRESOLVABLE];
        let loaded = loaded.into_iter().map(|symbol| SymbolRef::Loaded(Arc::clone(symbol)));
        loaded.chain(declared.into_iter().map(SymbolRef::Declared)).collect()
    }
}

impl OnMail for Check {
    fn mail<'a>(&'a self, ask: &'a Ask<'a, Sender>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let greeting = &*ask.facts.greeting;
            let Some(client) = stranger(ask.facts) else { return Outcome::nothing() };
            let Some(helo) = &greeting.helo else {
                return Outcome::found(Finding::loaded(&self.missing, client.ip.to_string()));
            };
            if let Some(finding) = self.by_text(helo, client) {
                return Outcome::found(finding);
            }
            match helo.domain() {
                Some(name) => self.by_name(&name, greeting, client, ask.world).await,
                None => Outcome::nothing(),
            }
        })
    }
}

/// The client, if it is another mail server as far as we know: our own users, and devices of the own network, greet with anything.
fn stranger(sender: &Sender) -> Option<&Remote> {
    match &sender.greeting.connect.client {
        Client::Remote(remote) if !sender.submits() && !is_internal(remote.ip) && !is_ours(remote.ip, remote) => {
            Some(remote)
        }
        _ => None,
    }
}

fn is_ours(ip: IpAddr, client: &Remote) -> bool {
    client.interface.is_some_and(|interface| interface.ip().to_canonical() == ip)
}

impl Check {
    /// What the text alone says.
    fn by_text(&self, helo: &Helo, client: &Remote) -> Option<Finding> {
        let text = helo.as_str();
        let loaded = |symbol| Some(Finding::loaded(symbol, text));
        if self.bots.iter().any(|bot| bot.eq_ignore_ascii_case(text)) {
            return loaded(&self.bot);
        }
        let bare = text.parse::<IpAddr>().ok();
        let claimed = bare.or(helo.literal()).map(|ip| ip.to_canonical());
        if claimed.is_some_and(|ip| is_ours(ip, client)) {
            return loaded(&self.own);
        }
        if bare.is_some() {
            return loaded(&self.bare_address);
        }
        match (claimed, helo.domain()) {
            (Some(ip), _) if ip != client.ip => {
                Some(Finding::of(&WRONG_ADDRESS, format!("{text}, from {}", client.ip)))
            }
            (Some(_), _) => None,
            (None, None) => Some(Finding::of(&NOT_A_NAME, text)),
            (None, Some(name)) if is_localhost(&name) => Some(Finding::of(&LOCALHOST, text)),
            (None, Some(name)) if name.labels().count() < 2 => Some(Finding::of(&NO_DOT, text)),
            (None, Some(_)) => None,
        }
    }

    /// What is known of the name.
    async fn by_name(&self, name: &Domain, greeting: &Greeting, client: &Remote, world: &World) -> Outcome {
        if matches!(&greeting.connect.fcrdns, Ok(Fcrdns::Confirmed(names)) if names.contains(name)) {
            return Outcome::nothing();
        }
        let addresses = match addresses(name, &*world.dns).await {
            Ok(addresses) => addresses,
            Err(unavailable) => return Outcome::unavailable(unavailable),
        };
        if addresses.contains(&client.ip) {
            return Outcome::nothing();
        }
        if *name == self.hostname {
            return Outcome::found(Finding::loaded(&self.own, name.as_str()));
        }
        let is_hosted = world.panel.hosting(name) != Hosting::Foreign;
        // A customer's own server may well bear the name whose address is here, if SPF says so.
        let may_be_vouched_for = match &greeting.spf_helo {
            Ok(spf) => spf.vouching_domain() == Some(name),
            Err(_unavailable) => true,
        };
        if is_hosted && may_be_vouched_for {
            return Outcome::nothing();
        }
        if is_hosted {
            return Outcome::found(Finding::loaded(&self.hosted, format!("{name}, from {}", client.ip)));
        }
        if addresses.is_empty() {
            return Outcome::found(Finding::of(&UNRESOLVABLE, name.as_str()));
        }
        Outcome::nothing()
    }
}

fn is_localhost(name: &Domain) -> bool {
    let last = name.labels().next_back();
    name.labels().next() == Some("localhost") || matches!(last, Some("localhost" | "localdomain"))
}

/// All addresses of `name`. `Err` when one question has no answer and the other finds nothing.
async fn addresses(name: &Domain, dns: &dyn Resolver) -> Known<Vec<IpAddr>> {
    let of_kind = |kind| Question::new(name.as_str(), kind);
    let (v4, v6) = (of_kind(RecordKind::A), of_kind(RecordKind::Aaaa));
    let answers = join(dns.lookup(&v4), dns.lookup(&v6)).await;
    let found: Vec<IpAddr> =
        [&answers.0, &answers.1].into_iter().flatten().flat_map(|reply| reply.addresses()).collect();
    match answers {
        (Err(unavailable), _) | (_, Err(unavailable)) if found.is_empty() => Err(unavailable),
        _ => Ok(found),
    }
}
