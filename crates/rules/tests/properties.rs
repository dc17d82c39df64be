//! Hostile rule files are read without a panic, and rules matched together hit as each of them alone.
#![allow(clippy::disallowed_methods, clippy::indexing_slicing, reason = "tests read files, and panic if wrong")]

mod material;
#[path = "../../../fuzz/entries/rules_match.rs"]
mod rules_match;
#[path = "../../../fuzz/entries/rules_parse.rs"]
mod rules_parse;

use proptest::prelude::*;
use tidegate_rules::{Answers, Context, Input};

/// Of all corpora, each message whose number divides by this is matched both ways.
const EACH: usize = 797;

/// Words of the language, so that random lines get beyond their first word.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "header",
        "body",
        "rawbody",
        "full",
        "uri",
        "uri_detail",
        "mimeheader",
        "meta",
        "askdns",
        "score",
        "describe",
        "tflags",
        "priority",
        "shortcircuit",
        "replace_tag",
        "replace_inter",
        "replace_rules",
        "if",
        "ifplugin",
        "else",
        "endif",
        "include",
        "loadplugin",
        "lang",
        "trusted_networks",
        "welcomelist_from_rcvd",
        "enlist_uri_host",
        "redirector_pattern",
        "require_version",
        "reuse",
    ]);
    let rest = prop::sample::select(vec![
        "A",
        "B",
        "A_1",
        "=~",
        "!~",
        "/a(b|c)+/i",
        "m{x}",
        "/<W>%{T}/",
        "/%{HEADER(A:addr)}%{HEADER(/",
        "spam",
        "Subject:raw",
        "exists:X",
        "eval:f('a', 1)",
        "[if-unset: x]",
        "(A",
        "&&",
        "B)",
        "> 1",
        "rules_matching(A*)",
        "1.5",
        "(0.5)",
        "1 2 3 4",
        "multiple maxhits=3",
        "127.0.0.1/8",
        "(L) !a.b",
        "\\#",
        "#",
        "plugin(Mail::SpamAssassin::Plugin::SPF)",
        "version >= 4",
        "\u{e9}",
        "/(?<T>a)/",
    ]);
    (key, prop::collection::vec(rest, 0..5)).prop_map(|(key, rest)| format!("{key} {}", rest.join(" ")))
}

/// Patterns over few letters, with all that the filter reasons about.
fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a", "b", "abc", "cab", "dead", "[a-c]", "[^a]", ".", "\\w", "\\s", "\\b", "^", "(?!abc)", "(?<=a)", "[aA4]",
        "ca[bc]d", "\\W{0,3}",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            (inner.clone(), prop::sample::select(vec!["?", "*", "+", "{2}", "{2,3}", "{0,2}?"]))
                .prop_map(|(part, sign)| { format!("(?:{part}){sign}") }),
            inner.prop_map(|part| format!("(?i:{part})")),
        ]
    })
}

/// Arithmetic over the rules of [`rules_together_hit_as_each_alone`], and over metas of metas.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "__B0", "__B1", "__B2", "__R3", "__R4", "__H5", "__H6", "__N0", "__N1", "__N2", "__X", "__E", "HAS", "0", "1",
        "2", "0.5",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let operators = vec!["&&", "&&", "||", "+", "-", "*", "/", "^", ">", ">=", "<", "<=", "==", "!="];
        prop_oneof![
            (inner.clone(), prop::sample::select(operators), inner.clone())
                .prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            inner.clone().prop_map(|a| format!("! {a}")),
            inner.clone().prop_map(|a| format!("(- {a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_are_read(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        rules_parse::check(&octets);
        rules_match::check(&octets);
    }

    #[test]
    fn any_lines_are_read(lines in prop::collection::vec(line(), 0..20)) {
        rules_parse::check(lines.join("\n").as_bytes());
    }

    #[test]
    fn rules_together_hit_as_each_alone(
        patterns in prop::collection::vec(pattern(), 7..12),
        expressions in prop::collection::vec(expression(), 3..12),
        text in "([a-dA-D4]{1,7}[ .,\n]|abc|cab d|dead){0,25}",
    ) {
        let rules: String = patterns
            .iter()
            .enumerate()
            .map(|(number, pattern)| {
                format!("body __B{number} /{pattern}/\nrawbody __R{number} /{pattern}/\nheader __H{number} Subject !~ /{pattern}/\n\
                         tflags __B{number} multiple maxhits=9\n")
            })
            .collect();
        // The first metas may name each other (then they never hit); the others have points.
        let metas: String = expressions
            .iter()
            .enumerate()
            .map(|(number, expression)| {
                let name = if number < 3 { format!("__N{number}") } else { format!("M{number}") };
                format!("meta {name} {expression}\n")
            })
            .collect();
        let single = "header HAS exists:X-Has\nheader __X exists:Subject\nbody __E eval:check_for_uppercase('10', '100')\n\
                      uri U /(?<T>b)/\nbody __T /%{T}abc/\nmeta MT __T\n";
        let rules = format!("loadplugin Mail::SpamAssassin::Plugin::MIMEEval\n{rules}{single}{metas}");
        let message = format!("Subject: {}\n\n{text}\n", text.replace('\n', " "));
        rules_match::compare(rules.as_bytes(), message.as_bytes());
    }
}

#[test]
fn stock_rules_together_hit_as_each_alone() {
    let Some(folder) = material::folder("stock_rules_together_hit_as_each_alone") else { return };
    let mut files = material::stock_rules(&folder);
    files.extend(material::kam_rules(&folder));
    let set = material::golden::rule_set(&files);
    for corpus in material::golden::CORPORA {
        for (path, message) in
            material::corpus(&folder, corpus).into_iter().filter(|(path, _)| path.ends_with(".eml")).step_by(EACH)
        {
            let input = Input::from_octets(&message, &Context::default(), set.settings());
            let (together, alone) =
                (set.matches(&input, &Answers::default()), set.matches_plainly(&input, &Answers::default()));
            assert_eq!(set.hits(&input, &Answers::default()).hits, together.hits, "{corpus}/{path}");
            assert_eq!((together.hits, together.subtests), (alone.hits, alone.subtests), "{corpus}/{path}");
        }
    }
}
