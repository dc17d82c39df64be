//! `[blocklists]` of the configuration: single keys of shipped lists, and lists of one's own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Domain, Score};

use super::{Catalogue, Code, CodePattern, Kind, ListConfig};

/// Changes by zone.
pub type Changes = BTreeMap<Domain, Change>;

/// What is changed of one list; a key that is absent stays as it is. For a zone that the catalogue does not have, a list is
/// made that is enabled, blocks, and gives 2 points.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// What the list is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Whether it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Symbol for codes that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Where people can look up and remove an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What a listing means, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
    /// Points of codes that have none of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Score>,
    /// Codes whose meaning is changed or added; each is replaced whole.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub codes: BTreeMap<CodePattern, Code>,
    /// Codes that say "you may not ask": the list is switched off. Replaced whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<Ipv4Addr>>,
    /// An address or name that is always listed: the test point by which a dead list is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_listed: Option<String>,
    /// An address or name that is never listed: the test point by which a list that answers everything is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_unlisted: Option<String>,
    /// Whether IPv6 addresses are asked too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<bool>,
}

/// `catalogue` with all of `changes`.
pub fn changed(mut catalogue: Catalogue, changes: &Changes) -> Catalogue {
    for (zone, change) in changes {
        change.apply(catalogue.entry(zone.clone()).or_default());
    }
    catalogue
}

impl Change {
    fn apply(&self, list: &mut ListConfig) {
        let text = |own: &Option<String>, shipped: &mut Option<String>| {
            if own.is_some() {
                shipped.clone_from(own);
            }
        };
        text(&self.symbol, &mut list.symbol);
        text(&self.url, &mut list.url);
        text(&self.doc, &mut list.doc);
        text(&self.test_listed, &mut list.test_listed);
        text(&self.test_unlisted, &mut list.test_unlisted);
        list.kind = self.kind.unwrap_or(list.kind);
        list.enabled = self.enabled.unwrap_or(list.enabled);
        list.weight = self.weight.unwrap_or(list.weight);
        list.ipv6 = self.ipv6.unwrap_or(list.ipv6);
        list.codes.extend(self.codes.clone());
        if let Some(errors) = &self.errors {
            list.errors.clone_from(errors);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocklists::SHIPPED;

    fn changed_by(text: &str) -> Catalogue {
        changed(toml::from_str(SHIPPED).unwrap(), &toml::from_str(text).unwrap())
    }

    #[test]
    fn one_key_of_a_shipped_list_changes_alone() {
        let zone: Domain = "zen.spamhaus.org".parse().unwrap();
        let shipped = changed_by("");
        let with_contract = changed_by("[\"zen.spamhaus.org\"]\nenabled = true\n");
        let (before, after) = (shipped.get(&zone).unwrap(), with_contract.get(&zone).unwrap());
        assert!(!before.enabled && after.enabled);
        assert_eq!(before.codes, after.codes);
    }

    #[test]
    fn one_code_changes_alone() {
        let zone: Domain = "zen.spamhaus.org".parse().unwrap();
        let changed =
            changed_by("[\"zen.spamhaus.org\"]\ncodes.\"127.0.0.2\" = { symbol = \"DNSBL_SBL\", weight = 1.0 }\n");
        let codes = &changed.get(&zone).unwrap().codes;
        assert!(!codes.get(&"127.0.0.2".parse().unwrap()).unwrap().refuse);
        assert!(codes.get(&"127.0.0.4".parse().unwrap()).unwrap().refuse);
    }

    #[test]
    fn a_list_of_ones_own_is_enabled() {
        let changed = changed_by("[\"bl.example.org\"]\nweight = 1.0\n");
        assert!(changed.get(&"bl.example.org".parse().unwrap()).unwrap().enabled);
    }
}
