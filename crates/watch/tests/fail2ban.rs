//! fail2ban's own samples: whom it must find, at what time, and whom it must not.
//!
//! Its filters have modes; here the kinds of offences that a mode looks for stand in their place.

mod material;

use serde_json::Value;
use tidegate_watch::OffenceKind::{self, *};
use tidegate_watch::{Reader, Timestamp};

/// fail2ban's tests run in Zurich, in August 2005.
const ZURICH_SUMMER_S: i32 = 7200;

/// One `# failJSON:` line and the log line behind it.
struct Case {
    mode: String,
    expected: Value,
    line: String,
}

fn cases(bytes: &[u8]) -> Vec<Case> {
    let (mut cases, mut mode, mut pending) = (Vec::new(), String::new(), None);
    for line in material::lines(bytes) {
        let line = String::from_utf8_lossy(line);
        let json = line.trim_start_matches('#').trim_start();
        if let Some(options) = json.strip_prefix("filterOptions:") {
            mode = options.trim().to_owned();
        } else if let Some(json) = json.strip_prefix("failJSON:") {
            pending = Some(serde_json::from_str::<Value>(json.trim()).expect("failJSON is JSON"));
        } else if !line.starts_with('#')
            && !line.is_empty()
            && let Some(expected) = pending.take()
        {
            cases.push(Case { mode: mode.clone(), expected, line: line.into_owned() });
        }
    }
    cases
}

/// The narrowest mode of a section: what does not match in it must give none of its kinds.
fn kinds(filter: &str, mode: &str) -> Vec<OffenceKind> {
    let has = |name: &str| mode.contains(name);
    let everything = vec![
        AuthFailure,
        AuthNotOffered,
        AuthAborted,
        Malware,
        Spam,
        Blocklisted,
        UnknownRecipient,
        Relay,
        SenderUnverified,
        Helo,
        Protocol,
        TooMany,
        Refused,
        NoMail,
        Lost,
        ReverseDns,
    ];
    match filter {
        "exim" if mode.is_empty() || has("logtype") => vec![AuthFailure],
        "exim" if has("more") => vec![
            AuthFailure,
            AuthNotOffered,
            UnknownRecipient,
            Relay,
            SenderUnverified,
            Protocol,
            TooMany,
            NoMail,
            Refused,
        ],
        "exim-spam" => vec![Spam, Malware, Blocklisted],
        "roundcube-auth" => vec![AuthFailure],
        "dovecot" if !has("aggressive") => vec![AuthFailure],
        "postfix" if has("errors") => vec![TooMany],
        "postfix" if has("\"auth\"") => vec![AuthFailure],
        "postfix" if has("rbl") => vec![Blocklisted],
        "postfix" if has("ddos") && !has("{}") => vec![AuthAborted, Protocol, TooMany, Lost],
        "postfix" if has("normal") => {
            vec![UnknownRecipient, Relay, SenderUnverified, Helo, Protocol, TooMany, Refused, ReverseDns, Blocklisted]
        }
        "exim" | "postfix" | "dovecot" => everything,
        _ => panic!("no kinds for {filter} {mode}"),
    }
}

/// `has_zone`: the line names its zone, so winter counts.
fn local_time(time: &str, has_zone: bool) -> Timestamp {
    let mut numbers = time.split(['-', 'T', ':']).map(|n| n.parse().expect("a number"));
    let mut next = || numbers.next().expect("six numbers");
    let (year, month, day, hour, minute, second) = (next(), next(), next(), next(), next(), next());
    let year = i32::try_from(year).expect("a year");
    let is_winter = has_zone && !(4..=10).contains(&month);
    let ahead_s = ZURICH_SUMMER_S - if is_winter { 3600 } else { 0 };
    Timestamp::from_civil(year, month, day, hour, minute, second).plus_millis(-i64::from(ahead_s) * 1000)
}

/// fail2ban does not take off the ten seconds by which TAI64N is ahead.
const TAI64N_AHEAD_MS: i64 = 10_000;

fn check_filter(filter: &str) {
    let Some(bytes) = material::read(filter, &format!("logs/fail2ban/{filter}.log")) else { return };
    let mut reader = Reader::new().with_zone(ZURICH_SUMMER_S).with_latest(Timestamp::from_civil(2005, 8, 14, 12, 0, 0));
    let cases = cases(&bytes);
    let mut wrong = Vec::new();
    for case in &cases {
        let event = reader.read(&case.line);
        let wanted = kinds(filter, &case.mode);
        let offence = event.offence().filter(|offence| wanted.contains(&offence.kind));
        let must = case.expected.get("match").and_then(Value::as_bool).expect("match is a truth value");
        let problem = match (must, &offence) {
            (true, None) => Some(format!("missed: {:?}", event.kind)),
            (false, Some(offence)) => Some(format!("found: {offence:?}")),
            (true, Some(offence))
                if Some(offence.ip.to_string().as_str()) != case.expected.get("host").and_then(Value::as_str) =>
            {
                Some(format!("another host: {offence:?}"))
            }
            _ => None,
        };
        let ahead = if case.line.starts_with('@') { TAI64N_AHEAD_MS } else { 0 };
        let seconds = event.time.map(|time| Timestamp::from_millis((time.as_millis() + ahead) / 1000 * 1000));
        let time = case.expected.get("time").and_then(Value::as_str).filter(|_| must);
        let time = time.map(|time| local_time(time, case.line.starts_with('[')));
        let late = time.filter(|time| seconds != Some(*time));
        if let Some(time) = late {
            wrong.push(format!("time {:?}, not {time}: {}", event.time, case.line));
        }
        if let Some(problem) = problem {
            wrong.push(format!("{problem}\n    in {}: {}", case.mode, case.line));
        }
    }
    println!("{filter}: {} cases, {} wrong", cases.len(), wrong.len());
    assert!(wrong.is_empty(), "{} of {} cases of {filter}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn exim() {
    check_filter("exim");
}

#[test]
fn exim_spam() {
    check_filter("exim-spam");
}

#[test]
fn postfix() {
    check_filter("postfix");
}

#[test]
fn roundcube() {
    check_filter("roundcube-auth");
}

#[test]
fn dovecot() {
    check_filter("dovecot");
}
