//! The catalogue of DNS lists, and how one is asked so that only a real listing counts.
//!
//! A list counts only while its test points answer rightly (RFC 5782 section 5): the listed one is listed, the unlisted one
//! is not. An error code, a refusal, an answer outside 127/8, a zone that lists everything or one that is silent again and again
//! switches the list off until the next probe, and says so as a gap. A list that is off is not asked about anybody.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Domain, Score};

mod ask;
mod change;
mod code;
mod health;

pub use ask::{ListAnswer, Listing, about_client, ask_domains};
pub use change::{Change, Changes, changed};
pub use code::{CodeError, CodePattern};
pub use health::{Health, Prober, Silence, stored};

use crate::check::{Class, Group, RefusalKind, Symbol};
use crate::checks::Name;
use crate::settings::ConfigError;

/// How long a probe's good outcome is trusted.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(3600);
/// How long before its end a good outcome is made anew, so that no client waits for a probe.
const PROBE_AHEAD: Duration = Duration::from_secs(300);
/// How soon a list that failed its probe is tried again.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(900);
/// How soon a list that did not answer is tried again, at first; the pause doubles, up to [`RETRY_INTERVAL`], each time it does not answer in
/// time, or not for long.
pub const SILENCE_RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// A list is switched off after so many questions in a row without an answer...
const SILENT_TIMES: u32 = 5;
/// ... and not before this time: what is lost in one moment is no dead list.
const SILENT_FOR: Duration = Duration::from_secs(10);

/// The catalogue that comes with Tidegate, in TOML: a table for each list, named by its zone.
pub const SHIPPED: &str = include_str!("../../../data/blocklists.toml");

/// All known lists by zone, as in `data/blocklists.toml` with the administrator's `[blocklists]` over it.
pub type Catalogue = BTreeMap<Domain, ListConfig>;

/// One list as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListConfig {
    /// What the list is about.
    pub kind: Kind,
    /// Whether it is asked.
    pub enabled: bool,
    /// Symbol for codes that have none of their own; made from the zone's first label if absent.
    pub symbol: Option<String>,
    /// Where people can look up and remove an entry.
    pub url: Option<String>,
    /// What a listing means, for people.
    pub doc: Option<String>,
    /// Points of codes that have none of their own.
    pub weight: Score,
    /// Meaning of each code (`127.0.0.2`, or [many](CodePattern)); with a table of codes, others count as nothing. An exact
    /// code stands before a pattern.
    pub codes: BTreeMap<CodePattern, Code>,
    /// Codes that say "you may not ask": the list is switched off. 127.255.255.0/24 is always understood so.
    pub errors: Vec<Ipv4Addr>,
    /// An address or name that is always listed; 127.0.0.2, ::FFFF:7F00:2 or TEST if absent (RFC 5782 section 5).
    pub test_listed: Option<String>,
    /// An address or name that is never listed; 127.0.0.1, ::FFFF:7F00:1 or INVALID if absent.
    pub test_unlisted: Option<String>,
    /// Whether IPv6 addresses are asked too.
    pub ipv6: bool,
}

impl Default for ListConfig {
    fn default() -> ListConfig {
        ListConfig {
            kind: Kind::Block,
            enabled: true,
            symbol: None,
            url: None,
            doc: None,
            weight: Score::points(2),
            codes: BTreeMap::new(),
            errors: Vec::new(),
            test_listed: None,
            test_unlisted: None,
            ipv6: true,
        }
    }
}

/// What a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Client addresses that send spam.
    Block,
    /// Client addresses that are known to be good (dnswl).
    Allow,
    /// Domains in messages.
    Domain,
}

/// What one code means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Code {
    /// Symbol; that of the list if absent.
    pub symbol: Option<String>,
    /// Points; those of the list if absent. Negative on an allow list.
    pub weight: Option<Score>,
    /// What it means, for people.
    pub doc: Option<String>,
    /// Whether this code may refuse alone.
    pub refuse: bool,
}

/// A list, ready to be asked.
#[derive(Clone, Debug)]
pub struct List {
    /// The zone.
    pub zone: Domain,
    config: ListConfig,
    any: Arc<Symbol>,
    by_code: BTreeMap<CodePattern, Arc<Symbol>>,
}

impl List {
    /// All enabled lists of `kind` in `catalogue`, in zone order.
    ///
    /// # Errors
    /// A list whose zone cannot be asked.
    pub fn of_kind(catalogue: &Catalogue, kind: Kind, check: &'static str) -> Result<Vec<List>, ConfigError> {
        let chosen = catalogue.iter().filter(|(_, config)| config.kind == kind && config.enabled);
        chosen.map(|(zone, config)| List::new(zone, config, check)).collect()
    }

    /// All enabled lists of any kind in `catalogue` whose check runs, as `runs` tells by its name.
    pub(crate) fn that_run(catalogue: &Catalogue, runs: impl Fn(Name) -> bool) -> Vec<List> {
        let checks = [(Kind::Block, Name::dnsbl), (Kind::Allow, Name::dnswl), (Kind::Domain, Name::urlbl)];
        let checks = checks.into_iter().filter(|(_, check)| runs(*check));
        checks.flat_map(|(kind, check)| List::of_kind(catalogue, kind, check.as_str()).unwrap_or_default()).collect()
    }

    /// Symbols of the lists in `catalogue` that are not enabled.
    pub(crate) fn idle_symbols(catalogue: &Catalogue) -> impl Iterator<Item = Arc<Symbol>> + '_ {
        let idle = catalogue.iter().filter(|(_, config)| !config.enabled);
        let lists = idle.filter_map(|(zone, config)| List::new(zone, config, "blocklists").ok());
        lists.flat_map(|list| list.symbols())
    }

    fn new(zone: &Domain, config: &ListConfig, check: &'static str) -> Result<List, ConfigError> {
        if zone.is_literal() {
            let problem = format!("`{zone}` is an address and no zone; name the list's zone");
            return Err(ConfigError::Check { check, problem });
        }
        let any = Arc::new(symbol(zone, config, None));
        let by_code = config.codes.iter().map(|(code, meaning)| {
            let own = symbol(zone, config, Some(meaning));
            // Codes that share a name share the symbol, unless one of them may refuse.
            let shared = if own == *any { Arc::clone(&any) } else { Arc::new(own) };
            (*code, shared)
        });
        let by_code = by_code.collect();
        Ok(List { zone: zone.clone(), config: config.clone(), any, by_code })
    }

    /// Every symbol the list can find, each once.
    pub fn symbols(&self) -> Vec<Arc<Symbol>> {
        let mut symbols: Vec<Arc<Symbol>> = Vec::new();
        let all = self.by_code.values().chain(self.by_code.is_empty().then_some(&self.any));
        for symbol in all {
            if !symbols.iter().any(|known| known.name == symbol.name) {
                symbols.push(Arc::clone(symbol));
            }
        }
        symbols
    }

    /// What `code` means; nothing for a code the configuration does not know, several things where it has several bits.
    fn listings(&self, about: usize, code: Ipv4Addr) -> Vec<Listing> {
        let any = self.by_code.is_empty().then_some(&self.any);
        let has_own = self.by_code.keys().any(|pattern| pattern.exact() == Some(code));
        let meant = self.by_code.iter().filter(|(pattern, _)| match pattern.exact() {
            Some(exact) => exact == code,
            None => !has_own && pattern.matches(code),
        });
        let symbols = any.into_iter().chain(meant.map(|(_, symbol)| symbol));
        symbols.map(|symbol| Listing { symbol: Arc::clone(symbol), code, about }).collect()
    }

    /// Whether `code` says that we may not ask, or that nobody answers rightly any more.
    fn is_error(&self, code: Ipv4Addr) -> bool {
        let [first, second, third, last] = code.octets();
        first != 127
            || code == Ipv4Addr::LOCALHOST
            || (second, third) == (255, 255)
            || (self.config.kind == Kind::Allow && last == 255)
            || self.config.errors.contains(&code)
    }

    fn asks(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() || self.config.ipv6
    }
}

fn symbol(zone: &Domain, config: &ListConfig, code: Option<&Code>) -> Symbol {
    let label = zone.labels().next().unwrap_or_default().to_ascii_uppercase().replace('-', "_");
    let prefix = match config.kind {
        Kind::Block => "DNSBL",
        Kind::Allow => "DNSWL",
        Kind::Domain => "URLBL",
    };
    let base = config.symbol.clone().unwrap_or_else(|| format!("{prefix}_{label}"));
    let name = code.and_then(|c| c.symbol.clone()).unwrap_or_else(|| {
        let refuses = code.is_some_and(|c| c.refuse);
        let others = config.codes.values().any(|c| !c.refuse && c.symbol.is_none());
        if refuses && others { format!("{base}_REFUSE") } else { base }
    });
    let what = match config.kind {
        Kind::Block => "the client is listed as a source of spam",
        Kind::Allow => "the client is listed as a known sender",
        Kind::Domain => "a domain in the message is listed as advertised by spam",
    };
    let own_doc = code.and_then(|c| c.doc.clone()).or_else(|| config.doc.clone());
    let mut doc = own_doc.unwrap_or_else(|| what.to_owned());
    if let Some(url) = &config.url {
        doc = format!("{doc}, see {url}");
    }
    let class = match code {
        Some(code) if code.refuse => Class::Refusal(RefusalKind::DnsBlockList),
        _ => Class::Evidence,
    };
    let group = if config.kind == Kind::Domain { Group::DomainLists } else { Group::ClientLists };
    let weight = code.and_then(|c| c.weight).unwrap_or(config.weight);
    Symbol { name: name.into(), weight, class, group, doc: doc.into() }
}
