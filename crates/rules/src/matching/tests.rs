//! Small sets over small messages: what counts, what tags hold, what DNS says, and that a limit is never a miss.

use super::*;
use crate::compile::{CompileOptions, compile};
use crate::dns::{Answer, DnsQuestion};
use crate::input::{Field, Relay, Relays};
use crate::language::source::SourceFile;
use crate::language::{ParseOptions, no_includes, parse};
use std::borrow::Cow;

fn set(text: &str) -> RuleSet {
    let file = SourceFile { name: "t.cf".to_owned(), text: text.as_bytes().to_vec() };
    let parsed = parse(&[file], &ParseOptions::default(), &no_includes);
    assert_eq!(parsed.diagnostics, []);
    let (set, remarks) = compile(parsed, CompileOptions { network: true, classifier: false });
    assert_eq!(remarks, []);
    set
}

fn input() -> Input<'static> {
    let field = |name: &'static str, value: &str| Field {
        name: Cow::Borrowed(name.as_bytes()),
        raw: Cow::Owned(format!(" {value}\n").into_bytes()),
        decoded: value.as_bytes().to_vec(),
    };
    Input {
        headers: vec![field("Subject", "cheap cheap"), field("X-A", "1"), field("x-a", "2")],
        body: ["cheap cheap", "buy cheap pills", "at CHEAP.example"].map(|text| text.as_bytes().to_vec()).to_vec(),
        uris: vec![Uri {
            raw: b"u".to_vec(),
            cleaned: vec![b"http://u/".to_vec(), b"http://u/".to_vec()],
            ..Uri::default()
        }],
        ..Input::default()
    }
}

fn hits(text: &str) -> Vec<String> {
    let set = set(text);
    let matches = set.matches(&input(), &Answers::default());
    let show = |hit: &Hit| format!("{}={}", set.rules()[hit.rule.index()].name, hit.count);
    matches.hits.iter().chain(&matches.subtests).map(show).collect()
}

#[test]
fn counts_follow_the_flags() {
    assert_eq!(hits("body A /cheap/i"), ["A=1"]);
    assert_eq!(hits("body A /cheap/i\ntflags A multiple"), ["A=4"]);
    assert_eq!(hits("body A /cheap/i\ntflags A multiple maxhits=3"), ["A=3"]);
    assert_eq!(hits("body A /cheap/i\ntflags A multiple nosubject"), ["A=2"]);
    assert_eq!(hits("uri A /u/\ntflags A multiple"), ["A=1"]);
}

#[test]
fn an_absent_header_is_empty_text() {
    assert_eq!(hits("header A X-None =~ /^$/"), ["A=1"]);
    assert_eq!(hits("header A X-None !~ /x/"), ["A=1"]);
    assert_eq!(hits("header A X-None =~ /y/ [if-unset: y]"), ["A=1"]);
    assert_eq!(hits("header A exists:X-None\nheader B exists:X-A"), ["B=1"]);
}

#[test]
fn values_of_one_name_are_joined() {
    assert_eq!(hits("header A X-A =~ /1\\s+2/"), ["A=1"]);
}

#[test]
fn metas_count_and_subtests_have_no_points() {
    let rules = "body __A /cheap/i\ntflags __A multiple\nmeta B __A > 3\nmeta C __A - 4\nscore B 2.5";
    assert_eq!(hits(rules), ["B=1", "__A=4"]);
    let set = set(rules);
    assert_eq!(set.matches(&input(), &Answers::default()).score(), Score::milli(2500));
}

#[test]
fn captures_fill_tags() {
    assert_eq!(
        hits("header __S Subject =~ /^(?<WORD>\\w+)/\nbody B /buy %{WORD} pills/\nbody C /%{OTHER}/"),
        ["B=1", "__S=1"]
    );
}

#[test]
fn headers_fill_tags() {
    assert_eq!(
        hits("header B Subject =~ /^cheap %{HEADER(X-Word)}$/\nbody C /%{HEADER(X-None)}/"),
        Vec::<String>::new()
    );
    assert_eq!(hits("body B /at %{HEADER(Subject)}|%{HEADER(X-A)}/\nheader C X-A =~ /^%{HEADER(x-a)}/"), ["C=1"]);
    assert_eq!(wanted::template_tags("_HEADER(List-Id)_.x.example"), ["HEADER(List-Id)"]);
}

/// Who writes a header must not write a pattern.
#[test]
fn values_of_tags_are_words_not_patterns() {
    for (value, body, expected, why) in [
        ("a.c", "xa.cx", 1, "itself"),
        ("a.c", "xabcx", 0, "a dot is a dot"),
        (".*", "anything", 0, "no star"),
        ("a|b)|(?:", "a", 0, "no other branch, and no end of the group"),
        ("a|b)|(?:", "xa|b)|(?:x", 1, "itself"),
        ("\\E.*\\Q[", "\\E.*\\Q[", 1, "backslashes"),
        ("%{HEADER(X-A)}", "x1x", 0, "what looks like a tag is none"),
        ("%{HEADER(X-A)}", "x%{HEADER(X-A)}x", 1, "itself"),
        ("\u{e9}t\u{e9} #1", "x\u{e9}t\u{e9} #1x", 1, "octets, white space and a comment sign under /x"),
        ("(?<T>(?{die})", "(?<T>(?{die})", 1, "code"),
    ] {
        let set = set("body A /x?%{HEADER(X-Word)}x?$/x");
        let field = Field {
            name: Cow::Borrowed(b"X-Word".as_slice()),
            raw: Cow::Owned(format!(" {value}\n").into_bytes()),
            decoded: value.as_bytes().to_vec(),
        };
        let input = Input { headers: vec![field], body: vec![body.as_bytes().to_vec()], ..input() };
        for matches in [set.matches(&input, &Answers::default()), set.hits(&input, &Answers::default())] {
            assert_eq!((matches.hits.len(), matches.limits.len()), (expected, 0), "{value}: {why}");
        }
    }
}

#[test]
fn what_is_no_tag_is_part_of_the_pattern() {
    for (pattern, errors, why) in [
        ("a%{HEADER(From", 1, "neither brace nor parenthesis"),
        ("a%{HEADER(From}", 1, "no parenthesis"),
        ("a%{HEADER(From)", 0, "no brace: the engine takes it as it stands"),
        ("a%{HEADER(Fr)om)}", 1, "two of them"),
        ("a%{HEADER()}", 0, "no name: there is no such header"),
        ("a%{}", 0, "nothing"),
        ("a\\%{HEADER(From)}", 0, "escaped"),
        ("a%{header(From)}", 0, "small letters"),
    ] {
        let file = SourceFile { name: "t.cf".to_owned(), text: format!("body A /{pattern}/").into_bytes() };
        let (set, remarks) = compile(parse(&[file], &ParseOptions::default(), &no_includes), CompileOptions::default());
        assert_eq!(remarks.len(), errors, "{pattern}: {why}: {remarks:?}");
        assert!(remarks.iter().all(|remark| remark.place.to_string() == "t.cf:1:6"), "{remarks:?}");
        assert_eq!(set.matches(&input(), &Answers::default()).hits, [], "{pattern}: {why}");
    }
}

/// Headers may be longer than patterns.
#[test]
fn values_that_are_too_long_for_a_pattern_are_a_limit() {
    let many = |count: usize| (0..count).map(|number| format!("a{number}@example.org")).collect::<Vec<_>>().join(", ");
    for (rule, values, limits, why) in [
        ("header A Subject !~ /%{HEADER(ALL)}/", vec!["a".repeat(8000); 4], 1, "all headers"),
        ("body A /%{HEADER(X-Word)}|q/", vec!["a".repeat(8000); 2], 0, "two headers that just fit"),
        ("body A /%{HEADER(X-Word)}|q/", vec!["a".repeat(8000); 3], 1, "three that do not"),
        ("body A /%{HEADER(X-Word)}|q/", vec![".".repeat(8000); 2], 1, "quoted they are twice as long"),
        ("body A /%{HEADER(X-Word:addr)}|q/", vec![many(100)], 0, "a hundred addresses"),
        ("body A /%{HEADER(X-Word:addr)}|q/", vec![many(400); 5], 1, "many"),
        ("mimeheader A X-None =~ /%{HEADER(ALL)}/", vec!["a".repeat(8000); 4], 1, "over parts"),
    ] {
        let rule = format!("loadplugin Mail::SpamAssassin::Plugin::MIMEHeader\n{rule}");
        check_long_values(&rule, &values, limits, why);
    }
    let places = format!("body A /{}q/", "%{HEADER(X-Word)}|".repeat(1000));
    check_long_values(&places, &["c".repeat(100)], 1, "in many places");
    // The engine counts the copies of what is repeated.
    check_long_values("body A /q|(?:%{HEADER(X-Word)}b(?=c)){900}/", &["a".repeat(1000)], 1, "many times");
}

fn check_long_values(rule: &str, values: &[String], limits: usize, why: &str) {
    let set = set(rule);
    let headers: String = values.iter().map(|value| format!("X-Word: {value}\n")).collect();
    let message = format!("{headers}Subject: a\n\nb\n");
    let input = Input::from_octets(message.as_bytes(), &crate::Context::default(), set.settings());
    for matches in [set.matches(&input, &Answers::default()), set.hits(&input, &Answers::default())] {
        assert_eq!((matches.hits.len(), matches.limits.len()), (0, limits), "{why}");
    }
}

/// A tag with many values, looked for in a long text that is made of nothing but their beginnings.
#[test]
fn to_look_for_values_takes_no_longer_than_to_match() {
    let set = set("header __S Subject =~ /(?<W>a+)/\ntflags __S multiple\nfull B /%{W}b/");
    let words: Vec<String> = (20..120).map(|length| "a".repeat(length)).collect();
    let message = format!("Subject: {}\n\n{}\n", words.join(" "), "a".repeat(4 << 20));
    let input = Input::from_octets(message.as_bytes(), &crate::Context::default(), set.settings());
    let matches = set.matches(&input, &Answers::default());
    assert_eq!((matches.hits.len(), matches.subtests.len()), (0, 1));
}

#[test]
fn askdns_asks_then_hits() {
    let set = set("askdns A x.example TXT /^v=1/\ntflags A net");
    let question = DnsQuestion { name: "x.example".to_owned(), record: crate::dns::RecordType::Txt };
    assert_eq!(set.wanted(&input()), std::slice::from_ref(&question));
    let mut answers = Answers::default();
    answers.insert(question, Answer::Records(vec!["v=1 a".to_owned()]));
    assert_eq!(set.matches(&input(), &answers).hits.len(), 1);
}

#[test]
fn captures_fill_names_that_are_asked_for() {
    let set = set("uri __TO m{^http://(?<GOAL>u)/}\naskdns A _GOAL_.x.example A 127.0.0.4\ntflags A net");
    let question = DnsQuestion { name: "u.x.example".to_owned(), record: crate::dns::RecordType::A };
    assert_eq!(set.wanted(&input()), std::slice::from_ref(&question));
    let mut answers = Answers::default();
    answers.insert(question, Answer::Records(vec!["127.0.0.4".to_owned()]));
    assert!(set.wanted_after(&input(), &answers).is_empty());
    assert_eq!(set.matches(&input(), &answers).hits.len(), 1);
}

#[test]
fn work_that_is_used_up_is_no_miss() {
    let set = set("body A /x/\nbody B /y/");
    let (input, answers) = (Input { body: vec![b"x".to_vec(); 3], ..Input::default() }, Answers::default());
    let mut run = Run::new(&set, &input, &answers);
    run.work = Work(2 * START_OCTETS);
    run.together();
    run.hit_together();
    let matches = run.finish();
    let ids = |hits: &[Hit]| hits.iter().map(|hit| hit.rule).collect::<Vec<RuleId>>();
    assert_eq!(
        (ids(&matches.hits), matches.limits),
        (vec![RuleId(0)], vec![RuleId(1)]),
        "B was tried on the first text only"
    );
    assert_eq!(set.matches(&input, &answers).limits, [], "the next message has all of it again");
}

#[test]
fn a_limit_is_no_miss() {
    let set = set("body A /^(?:a|aa)+$/");
    let text = [vec![b'a'; 200], b"!".to_vec()].concat();
    let input = Input { body: vec![text], ..Input::default() };
    assert_eq!(set.matches(&input, &Answers::default()).limits, [RuleId(0)]);
}

/// Who publishes the record chooses its text, and so whether a pattern comes to an end.
#[test]
fn a_limit_in_what_dns_says_is_no_miss() {
    let costly = format!("{}!", "a".repeat(200));
    for rule in [
        "askdns A x.example TXT /^(?:a|aa)+$/\ntflags A net",
        "loadplugin Mail::SpamAssassin::Plugin::DNSEval\nheader A eval:check_rbl_txt('s', 'x.example.', '^(?:a|aa)+$')\ntflags A net",
    ] {
        let set = set(rule);
        let relay = Relay { ip: Some("192.0.2.7".parse().unwrap()), ..Relay::default() };
        let relays = Relays { untrusted: vec![relay], ..Relays::default() };
        let input = Input { relays, ..input() };
        let questions = set.wanted(&input);
        assert_eq!(questions.len(), 1, "{rule}");
        for (records, hits, limits) in [
            (vec![costly.clone()], 0, 1),
            // One record that matches is enough, whatever is not known of the others.
            (vec![costly.clone(), "aaa".to_owned()], 1, 0),
            (vec!["b".to_owned()], 0, 0),
        ] {
            let mut answers = Answers::default();
            answers.insert(questions[0].clone(), Answer::Records(records));
            let matches = set.matches(&input, &answers);
            assert_eq!((matches.hits.len(), matches.limits.len()), (hits, limits), "{rule}");
        }
    }
}
