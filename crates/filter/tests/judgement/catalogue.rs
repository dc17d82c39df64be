//! The shipped catalogue of DNS lists: it reads, it is safe, and it asks nobody who did not agree.

use std::collections::BTreeMap;

use tidegate_filter::blocklists::{Catalogue, Kind, SHIPPED};
use tidegate_filter::engine::{Config, Engine};
use tidegate_filter::settings::{Deadlines, ServerIdentity};

fn shipped() -> Catalogue {
    toml::from_str(SHIPPED).unwrap()
}

/// Builds the engine, which proves that no list and no sum of them refuses unless it is marked so.
#[test]
fn every_list_may_be_enabled_at_once() {
    let mut blocklists = shipped();
    blocklists.values_mut().for_each(|list| list.enabled = true);
    let identity = ServerIdentity { hostname: "mx.test".parse().unwrap(), trusted_relays: Vec::new() };
    let config = Config {
        fingerprint: "test".into(),
        identity,
        deadlines: Deadlines::default(),
        policy: Default::default(),
        checks: Default::default(),
        weights: BTreeMap::new(),
        lists: Vec::new(),
        blocklists,
        rules: None,
    };
    let problems = Engine::new(config).err().unwrap_or_default();
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn every_list_gives_its_codes_a_meaning() {
    for (zone, list) in shipped() {
        assert!(!list.codes.is_empty(), "{zone}: any answer would be a listing");
        assert!(list.url.is_some(), "{zone}: nobody could look an entry up");
        for (code, meaning) in &list.codes {
            assert!(meaning.doc.is_some() || list.doc.is_some(), "{zone} {code} has no meaning");
            assert!(meaning.weight.is_some(), "{zone} {code} has no weight");
            let is_good = meaning.weight.is_some_and(|weight| !weight.is_positive());
            assert_eq!(is_good, list.kind == Kind::Allow, "{zone} {code} weighs the wrong way");
            assert!(!meaning.refuse || list.kind == Kind::Block, "{zone} {code} must not refuse");
        }
    }
}

#[test]
fn lists_that_need_a_contract_are_off() {
    for zone in ["zen.spamhaus.org", "dbl.spamhaus.org", "multi.surbl.org", "multi.uribl.com", "b.barracudacentral.org"]
    {
        let zone = zone.parse().unwrap();
        assert!(shipped().get(&zone).is_some_and(|list| !list.enabled), "{zone}");
    }
}
