//! Every line of the shared material gives an event or an explicit class; what does not is listed.

mod material;

use std::collections::BTreeMap;

use tidegate_watch::{Kind, Reader, Timestamp};

/// Share of lines in no known form that is put up with, in thousandths of all lines.
const UNKNOWN_PER_MILLE_MAX: usize = 10;

#[test]
fn every_line_has_a_class() {
    let files = [
        "logs/exim/exim-testsuite-mainlog.txt.gz",
        "logs/exim/exim-testsuite-rejectlog.txt",
        "logs/exim/debian-mainlog-2020.log",
        "logs/fail2ban/exim.log",
        "logs/fail2ban/exim-spam.log",
        "logs/fail2ban/postfix.log",
        "logs/fail2ban/dovecot.log",
        "logs/fail2ban/roundcube-auth.log",
        "logs/postfix/postfix-dovecot-maillog.log.gz",
    ];
    let (mut total, mut unknown, mut doubtful) = (0, 0, 0);
    for file in files {
        let Some(bytes) = material::read("every_line_has_a_class", file) else { return };
        let mut reader = Reader::new().with_latest(Timestamp::from_civil(2022, 3, 1, 0, 0, 0));
        let mut classes: BTreeMap<String, usize> = BTreeMap::new();
        for line in material::lines(&bytes) {
            let line = Reader::text(line);
            if line.starts_with("### case") {
                // Each case has a configuration of its own, and so a log selector.
                reader = Reader::new().with_latest(Timestamp::from_civil(2022, 3, 1, 0, 0, 0));
            }
            // Not lines of a log: the test suites' own marks between the cases.
            if ["### ", "****", "**NOTE", "# ", "#failJSON", "#1", "#2", "#3", "#4", "#5", "#6", "## "]
                .iter()
                .any(|mark| line.starts_with(mark))
            {
                continue;
            }
            let event = reader.read(&line);
            let class = format!("{:?}", event.kind);
            let class = class.split(|c: char| !c.is_alphanumeric()).next().unwrap_or("").to_owned();
            *classes.entry(class).or_default() += 1;
            total += 1;
            if event.kind == Kind::Unknown {
                unknown += 1;
                println!("unknown: {line}");
            }
            let is_doubtful = match &event.kind {
                Kind::Arrival(arrival) => arrival.is_doubtful,
                Kind::Rejection(rejection) => rejection.is_doubtful,
                Kind::AuthFailure(failure) => failure.is_doubtful,
                Kind::Session(session) => session.is_doubtful,
                _ => false,
            };
            if is_doubtful {
                doubtful += 1;
                println!("doubtful: {line}");
            }
        }
        println!("{file}: {classes:?}");
    }
    println!("{unknown} of {total} lines are in no known form, {doubtful} can be read in two ways");
    assert!(unknown * 1000 <= total * UNKNOWN_PER_MILLE_MAX, "{unknown} of {total} lines are in no known form");
}
