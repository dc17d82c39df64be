//! What rule files configure besides rules: networks, lists, domains. Filled by the parser, read by [`crate::Input`] and the evals.

use std::collections::{BTreeMap, HashMap, HashSet};

use ipnet::IpNet;

use crate::input::octets;
use crate::pattern::Pattern;
use crate::prefilter::formula::{self, Formula};
use crate::prefilter::syntax;

/// A network of `trusted_networks` and the like; `!` in front makes it an exception. The first entry that holds an address decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetEntry {
    /// The network.
    pub net: IpNet,
    /// Whether the entry excludes.
    pub is_excluded: bool,
}

/// Networks.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    /// `trusted_networks`.
    pub trusted: Vec<NetEntry>,
    /// `internal_networks`.
    pub internal: Vec<NetEntry>,
    /// `msa_networks`.
    pub msa: Vec<NetEntry>,
}

/// An address pattern of `welcomelist_from` and the like: `*` and `?` are wild, compared in lower case over the whole address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressGlob {
    /// The pattern in lower case.
    pub glob: String,
    /// The second word of `*_rcvd` (a domain or address) or `*_dkim` (a signing domain), lower case.
    pub companion: Option<String>,
}

/// Domain suffixes that users register under, besides the public suffix list: `util_rb_tld` and the like, lower case.
#[derive(Clone, Debug, Default)]
pub struct Suffixes {
    /// `util_rb_tld`: valid top-level domains.
    pub tld: HashSet<String>,
    /// `util_rb_2tld`.
    pub two: HashSet<String>,
    /// `util_rb_3tld`.
    pub three: HashSet<String>,
    /// `util_rb_4tld` and deeper, if a file has them.
    pub four: HashSet<String>,
}

/// What a set of blocklist look-ups asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RblZone {
    /// The eval function that defined the set, such as `check_rbl_txt`.
    pub function: String,
    /// The zone.
    pub zone: String,
    /// The headers that `check_rbl_headers` looks at, if the rule names some.
    pub headers: Option<String>,
}

/// A `redirector_pattern`: its first group is where a link of this kind leads.
#[derive(Clone, Debug)]
pub struct Redirector {
    pattern: Pattern,
    /// What a link must hold. Few links are of any kind, and there are a dozen patterns.
    needs: Formula,
}

impl Redirector {
    /// The redirector with this pattern.
    #[must_use]
    pub fn new(pattern: Pattern) -> Redirector {
        let tree = syntax::parse(pattern.source(), pattern.modifiers());
        let needs = tree.map_or(Formula::True, |tree| formula::of(&tree));
        Redirector { pattern, needs }
    }

    /// Where `link` leads; `folded` is the link as literals are compared with it.
    pub(crate) fn target<'l>(&self, link: &'l [u8], folded: &[u8]) -> Option<&'l [u8]> {
        if !may_hold(&self.needs, folded) {
            return None;
        }
        self.pattern.captures(link).ok()??.get(1).copied().flatten()
    }
}

/// Whether a text may fulfil `formula`; how often a literal stands in it is not counted.
fn may_hold(formula: &Formula, folded: &[u8]) -> bool {
    match formula {
        Formula::True => true,
        Formula::Times(_, literals) => literals.iter().any(|literal| octets::contains(folded, literal)),
        Formula::All(parts) => parts.iter().all(|part| may_hold(part, folded)),
        Formula::Any(parts) => parts.iter().any(|part| may_hold(part, folded)),
    }
}

/// Everything that rule files configure.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Networks.
    pub networks: Networks,
    /// Domain suffixes.
    pub suffixes: Suffixes,
    /// Address lists by directive (`welcomelist_from`, `def_welcomelist_from_dkim`, `blocklist_to`, …). Old spellings (`whitelist_…`,
    /// `blacklist_…`) are stored under the new name.
    pub addresses: HashMap<String, Vec<AddressGlob>>,
    /// `enlist_addrlist`: address patterns by list name.
    pub address_lists: HashMap<String, Vec<AddressGlob>>,
    /// `enlist_uri_host`: host and domain suffixes by list name, lower case; `false` when written with `!`.
    pub uri_host_lists: HashMap<String, HashMap<String, bool>>,
    /// `freemail_domains`: plain domains, lower case.
    pub freemail_domains: HashSet<String>,
    /// `freemail_domains` with `*` or `?`.
    pub freemail_globs: Vec<String>,
    /// `uridnsbl_skip_domain`, lower case.
    pub uridnsbl_skip_domains: HashSet<String>,
    /// What the sets of `check_rbl` rules ask: zone and function by set name, for `check_rbl_sub`.
    pub rbl_sets: HashMap<String, RblZone>,
    /// `redirector_pattern`.
    pub redirectors: Vec<Redirector>,
    /// `originating_ip_headers`, in lower case.
    pub originating_ip_headers: Vec<String>,
    /// Any other directive: what follows its name, a line each, in order of appearance.
    pub others: BTreeMap<String, Vec<String>>,
}

impl Settings {
    /// The last value of a directive that holds one value, such as `ok_locales` or `envelope_sender_header`.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&str> {
        self.others.get(name).and_then(|lines| lines.last()).map(String::as_str)
    }

    /// All lines of a directive.
    #[must_use]
    pub fn lines(&self, name: &str) -> &[String] {
        self.others.get(name).map_or(&[], Vec::as_slice)
    }
}
