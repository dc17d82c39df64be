//! What a rule rests on besides the text of the message, for those who have results of their own about the same thing and must not
//! count it twice.

use crate::evals::Arg;
use crate::rule::{Matcher, Rule, RuleId};
use crate::ruleset::RuleSet;

/// What decides whether a rule hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The message and its relays.
    Message,
    /// A DNS list of addresses, by its zone.
    ClientList(String),
    /// A DNS list of domains, by its zone.
    DomainList(String),
    /// SPF, DKIM, DMARC or ARC.
    Identity,
    /// A list of trusted senders or recipients in the rule files; whether the sender was proven to be who it says.
    Welcome {
        /// By SPF, DKIM or the relay.
        is_proven: bool,
    },
    /// A list of unwanted senders, recipients or links in the rule files.
    Block,
    /// Other rules.
    Rules(Vec<RuleId>),
}

/// Directives that define what a `check_uridnsbl` rule asks: name, zone, …
const LINK_LISTS: [&str; 8] = [
    "urirhsbl",
    "urirhssub",
    "uridnsbl",
    "uridnssub",
    "urinsrhsbl",
    "urinsrhssub",
    "urifullnsrhsbl",
    "urifullnsrhssub",
];

impl RuleSet {
    /// What decides whether `rule` hits.
    #[must_use]
    pub fn basis(&self, rule: &Rule) -> Basis {
        match &rule.matcher {
            Matcher::Eval { function, arguments, .. } => self.eval_basis(rule, function.name, arguments),
            Matcher::AskDns { template, .. } => {
                Basis::DomainList(zone(template.rsplit_once('_').map_or(template.as_str(), |(_, zone)| zone)))
            }
            Matcher::Meta(expression) => {
                let mut ids = Vec::new();
                expression.names(&mut |id: &RuleId| ids.push(*id));
                ids.sort_unstable();
                ids.dedup();
                Basis::Rules(ids)
            }
            _ => Basis::Message,
        }
    }

    fn eval_basis(&self, rule: &Rule, function: &str, arguments: &[Arg]) -> Basis {
        let argument = |index: usize| arguments.get(index).map(|arg| arg.text.as_str()).unwrap_or_default();
        let function = function.replace("whitelist", "welcomelist").replace("blacklist", "blocklist");
        match function.as_str() {
            "check_rbl" | "check_rbl_txt" | "check_rbl_rcvd" => Basis::ClientList(zone(argument(1))),
            "check_rbl_envfrom" | "check_rbl_from_domain" | "check_rbl_from_host" | "check_rbl_headers" => {
                Basis::DomainList(zone(argument(1)))
            }
            "check_rbl_sub" => match self.settings().rbl_sets.get(argument(0)) {
                Some(set) if matches!(set.function.as_str(), "check_rbl" | "check_rbl_txt" | "check_rbl_rcvd") => {
                    Basis::ClientList(zone(&set.zone))
                }
                Some(set) => Basis::DomainList(zone(&set.zone)),
                None => Basis::Message,
            },
            "check_uridnsbl" => {
                let name = if argument(0).is_empty() { &*rule.name } else { argument(0) };
                self.link_zone(name).map_or(Basis::Message, Basis::DomainList)
            }
            "check_from_in_welcomelist" | "check_to_in_welcomelist" | "check_subject_in_welcomelist" => {
                Basis::Welcome { is_proven: false }
            }
            "check_for_spf_welcomelist_from" | "check_for_dkim_welcomelist_from" => Basis::Welcome { is_proven: true },
            "check_from_in_blocklist"
            | "check_to_in_blocklist"
            | "check_subject_in_blocklist"
            | "check_uri_host_in_blocklist" => Basis::Block,
            name if name.contains("welcomelist") => Basis::Message,
            name if ["check_for_spf_", "check_dkim_", "check_dmarc_", "check_arc_"]
                .iter()
                .any(|prefix| name.starts_with(prefix)) =>
            {
                Basis::Identity
            }
            _ => Basis::Message,
        }
    }

    fn link_zone(&self, rule: &str) -> Option<String> {
        let mut lines = LINK_LISTS.iter().flat_map(|directive| self.settings().lines(directive));
        lines.find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == rule).then(|| words.next().map(zone)).flatten()
        })
    }
}

/// A zone without dots at its ends, in lower case.
fn zone(text: &str) -> String {
    text.trim_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::Basis;
    use crate::language::source::SourceFile;
    use crate::language::{ParseOptions, no_includes, parse};
    use crate::{CompileOptions, compile};

    #[test]
    fn each_rule_says_what_it_rests_on() {
        let text = "loadplugin Mail::SpamAssassin::Plugin::SPF\nloadplugin Mail::SpamAssassin::Plugin::URIDNSBL\n\
                    loadplugin Mail::SpamAssassin::Plugin::AskDNS\nloadplugin Mail::SpamAssassin::Plugin::DNSEval\n\
                    header A eval:check_for_spf_pass()\nheader B eval:check_rbl('x-lastexternal', 'List.Example.')\ntflags B net\n\
                    header C eval:check_rbl_sub('x-lastexternal', '2')\ntflags C net\n\
                    urirhssub D uri.example. A 2\nbody D eval:check_uridnsbl('D')\ntflags D net\n\
                    askdns E _AUTHORDOMAIN_.dom.example A 2\ntflags E net\nbody F /x/\nmeta G A && F";
        let file = SourceFile { name: "t.cf".to_owned(), text: text.as_bytes().to_vec() };
        let parsed = parse(&[file], &ParseOptions::default(), &no_includes);
        assert_eq!(parsed.diagnostics, []);
        let (set, _) = compile(parsed, CompileOptions { network: true, classifier: false });
        let basis = |name: &str| set.basis(set.rule(name).unwrap());
        assert_eq!(basis("A"), Basis::Identity);
        assert_eq!(basis("B"), Basis::ClientList("list.example".into()));
        assert_eq!(basis("C"), Basis::ClientList("list.example".into()));
        assert_eq!(basis("D"), Basis::DomainList("uri.example".into()));
        assert_eq!(basis("E"), Basis::DomainList("dom.example".into()));
        assert_eq!(basis("F"), Basis::Message);
        assert!(matches!(basis("G"), Basis::Rules(ids) if ids.len() == 2));
    }
}
