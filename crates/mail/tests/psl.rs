//! The registrable domain by the public suffix list, held against the list's own tests.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod material;

use tidegate_mail::Domain;

#[test]
fn tests_of_the_public_suffix_list() {
    let Some(shared) = material::shared("tests_of_the_public_suffix_list") else { return };
    let psl = shared.join("material/suites/psl");
    let plain = String::from_utf8(material::read(&psl.join("tests.txt"))).unwrap();
    let plain = cases(&plain).map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let calls = String::from_utf8(material::read(&psl.join("test_psl.txt"))).unwrap();
    let calls = cases(&calls).map(|line| {
        let arguments = line.trim_start_matches("checkPublicSuffix(").trim_end_matches(");");
        arguments.split(", ").map(|argument| argument.trim_matches('\'').to_owned()).collect()
    });
    let (mut passed, mut wrong) = (0, Vec::new());
    for case in plain.chain(calls) {
        let [input, expected] = case.as_slice() else { panic!("not a case: {case:?}") };
        let expected = (expected != "null").then(|| Domain::parse(expected).unwrap());
        let found = Domain::parse(input).ok().and_then(|domain| domain.registrable());
        if found == expected { passed += 1 } else { wrong.push(format!("{input}: {found:?}, expected {expected:?}")) }
    }
    println!("{passed} cases pass");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(passed, 2 * 78);
}

fn cases(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"))
}
