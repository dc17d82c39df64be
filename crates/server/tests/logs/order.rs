//! However a log is cut into files, packed and named: the report is the same.

use proptest::prelude::{ProptestConfig, Strategy, proptest};
use proptest::{collection, prop_assert_eq, sample};

use super::{scene, tidegate};

/// The report over some files, without what it says of the files and their lines.
fn report(folder: &std::path::Path, names: &[String]) -> String {
    let output = tidegate(folder).args(["logs", "--json"]).args(names).output().unwrap();
    without_places(serde_json::from_slice(&output.stdout).unwrap())
}

/// A report without what it says of the files and their lines.
pub(super) fn without_places(mut report: serde_json::Value) -> String {
    report.as_object_mut().unwrap().remove("files");
    for suspect in report["suspects"].as_array_mut().unwrap() {
        for sample in suspect["samples"].as_array_mut().unwrap() {
            let sample = sample.as_object_mut().unwrap();
            sample.remove("file");
            sample.remove("line");
        }
    }
    report.to_string()
}

/// Places to cut, which pieces are packed, and the order in which they are named.
fn ways() -> impl Strategy<Value = (Vec<sample::Index>, Vec<bool>, Vec<u32>)> {
    let cuts = collection::vec(proptest::arbitrary::any::<sample::Index>(), 0..6);
    (cuts, collection::vec(proptest::bool::ANY, 7), collection::vec(0_u32..1000, 7))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rotation_changes_no_report((cuts, are_packed, order) in ways()) {
        let plan = super::generator::Plan { accounts: 5, days: 4, ..scene::plan(Some(super::generator::Compromise::StolenBurst)) };
        let log = scene::made_up(&plan);
        let lines: Vec<&str> = log.split_inclusive('\n').collect();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(lines.len())).collect();
        places.extend([0, lines.len()]);
        places.sort_unstable();
        // Of two files that begin within the same second nothing tells which is the older one; nobody rotates twice in a second.
        places.dedup_by_key(|at| lines.get(*at).map(|line| line[.."2026-03-02 10:11:12".len()].to_owned()));
        let folder = tempfile::tempdir().unwrap();
        scene::put(folder.path(), "tidegate.toml", b"[server]\nhostname = \"mx.example.org\"\n");
        scene::put(folder.path(), "whole", log.as_bytes());
        let mut names = Vec::new();
        for (i, piece) in places.windows(2).enumerate() {
            let text = lines[piece[0]..piece[1]].concat();
            let name = format!("mainlog.{i}");
            if are_packed[i] {
                scene::put(folder.path(), &name, &scene::packed(&text));
            } else {
                scene::put(folder.path(), &name, text.as_bytes());
            }
            names.push((order[i], name));
        }
        names.sort();
        let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
        prop_assert_eq!(report(folder.path(), &names), report(folder.path(), &["whole".to_owned()]));
    }
}
