//! Public blocklists that other servers name when they refuse our mail. Asks no list: that somebody is listed and no server says so, a
//! log does not show.

use super::provider;
use crate::api::report as api;
use crate::event::{Delivery, Outcome};
use crate::time::Timestamp;

/// What a list holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Addresses,
    /// Names in links and senders.
    Domains,
}

/// A part of an answer in lower case, the list that it names, what the list holds, and where to ask. The first that fits counts.
const LISTS: [(&str, &str, Holds, &str); 19] = [
    ("dbl.spamhaus", "Spamhaus DBL", Holds::Domains, "check.spamhaus.org"),
    ("spamhaus", "Spamhaus", Holds::Addresses, "check.spamhaus.org"),
    ("abuseat.org", "Spamhaus CBL", Holds::Addresses, "check.spamhaus.org"),
    ("spamcop", "SpamCop", Holds::Addresses, "www.spamcop.net/bl.shtml"),
    ("barracudacentral", "Barracuda", Holds::Addresses, "www.barracudacentral.org/rbl/removal-request"),
    ("barracuda reputation", "Barracuda", Holds::Addresses, "www.barracudacentral.org/rbl/removal-request"),
    ("sorbs", "SORBS (closed in 2024)", Holds::Addresses, ""),
    ("uceprotect", "UCEPROTECT", Holds::Addresses, "www.uceprotect.net/en/rblcheck.php"),
    ("backscatterer", "Backscatterer", Holds::Addresses, "www.backscatterer.org"),
    ("psbl.surriel", "PSBL", Holds::Addresses, "psbl.org"),
    ("invaluement", "Invaluement", Holds::Addresses, "www.invaluement.com/lookup"),
    ("mailspike", "Mailspike", Holds::Addresses, "mailspike.io"),
    ("nixspam", "NiX Spam", Holds::Addresses, ""),
    ("spameatingmonkey", "Spam Eating Monkey", Holds::Addresses, "spameatingmonkey.com"),
    ("gbudb", "GBUdb", Holds::Addresses, "gbudb.com"),
    ("s5h.net", "s5h", Holds::Addresses, "usenix.org.uk"),
    ("spfbl", "SPFBL", Holds::Addresses, "matrix.spfbl.net"),
    ("surbl.org", "SURBL", Holds::Domains, "surbl.org"),
    ("uribl.com", "URIBL", Holds::Domains, "uribl.com"),
];

/// How often one list was named.
#[derive(Clone, Debug)]
struct Said {
    list: usize,
    refused: u64,
    deferred: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    example: String,
}

/// All lists that were named.
#[derive(Debug, Default)]
pub(super) struct Named(Vec<Said>);

impl Named {
    /// Looks at what became of a recipient.
    pub(super) fn feed(&mut self, delivery: &Delivery<'_>, time: Option<Timestamp>) {
        if !matches!(delivery.outcome, Outcome::Failed | Outcome::Deferred) {
            return;
        }
        // The answer alone: a recipient may have an address at such a list.
        let Some(reply) = &delivery.reply else { return };
        let Some(list) = list_in(reply.text) else { return };
        let said = match self.0.iter().position(|said| said.list == list).and_then(|at| self.0.get_mut(at)) {
            Some(said) => said,
            None => {
                let example = delivery.text.unwrap_or("").to_owned();
                self.0.push(Said { list, refused: 0, deferred: 0, first: time, last: None, example });
                let Some(said) = self.0.last_mut() else { return };
                said
            }
        };
        match delivery.outcome {
            Outcome::Deferred => said.deferred += 1,
            _ => said.refused += 1,
        }
        said.last = time.or(said.last);
    }

    /// The lists of addresses first, then by how often they were named.
    pub(super) fn rows(&self) -> Vec<api::BlocklistRow> {
        let row = |said: &Said| {
            let (_, name, holds, ask) = LISTS.get(said.list)?;
            Some(api::BlocklistRow {
                name,
                holds: if *holds == Holds::Addresses { "addresses" } else { "domains" },
                refused: said.refused,
                deferred: said.deferred,
                first: said.first.map(|time| time.to_string()),
                last: said.last.map(|time| time.to_string()),
                addresses: provider::addresses_in(&said.example).take(1).map(|ip| ip.to_string()).collect(),
                ask: (!ask.is_empty()).then_some(*ask),
                example: said.example.clone(),
            })
        };
        let mut rows: Vec<api::BlocklistRow> = self.0.iter().filter_map(row).collect();
        rows.sort_by_key(|row| (row.holds, std::cmp::Reverse(row.refused + row.deferred), row.name));
        rows
    }
}

/// The list that an answer names, by its place.
fn list_in(answer: &str) -> Option<usize> {
    let answer = answer.to_ascii_lowercase();
    let at = LISTS.iter().position(|(part, ..)| answer.contains(part))?;
    // Two parts of answers may name one list.
    let (_, name, ..) = LISTS.get(at)?;
    LISTS.iter().position(|(_, other, ..)| other == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reader;
    use crate::event::Kind;

    #[test]
    fn lists_are_found_in_answers_and_nowhere_else() {
        let mut reader = Reader::new();
        let mut named = Named::default();
        for (hour, answer) in [
            (
                2,
                "RCPT TO:<a@x.test>: 554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
            ),
            (1, "RCPT TO:<desk@spamcop.net>: 550 5.1.1 no such user"),
            (3, "end of data: 550 5.7.1 a link in it is listed in dbl.spamhaus.org"),
            (4, "RCPT TO:<a@y.test>: 450 4.7.1 see http://www.barracudacentral.org/reputation?ip=192.0.2.1"),
            (5, "RCPT TO:<b@x.test>: 554 5.7.1 blocked using sbl.spamhaus.org"),
        ] {
            let mark = if answer.contains(": 4") { "==" } else { "**" };
            let line = format!(
                "2026-03-02 0{hour}:00:00 1vn8YJ-0000000011u-0Vx0 {mark} a@x.test R=dnslookup T=remote_smtp H=mx.x.test [203.0.113.5]: SMTP error from remote mail server after {answer}"
            );
            let event = reader.read(&line);
            let Kind::Delivery(delivery) = &event.kind else { panic!("{line}") };
            named.feed(delivery, event.time);
        }
        let rows = named.rows();
        let seen: Vec<_> = rows.iter().map(|row| (row.name, row.holds, row.refused, row.deferred)).collect();
        assert_eq!(
            seen,
            [("Spamhaus", "addresses", 2, 0), ("Barracuda", "addresses", 0, 1), ("Spamhaus DBL", "domains", 1, 0)]
        );
        let first = rows.first().expect("a list");
        assert_eq!(first.first.as_deref(), Some("2026-03-02T02:00:00Z"));
        assert_eq!(
            (first.last.as_deref(), first.addresses.as_slice()),
            (Some("2026-03-02T05:00:00Z"), &["192.0.2.1".to_owned()][..])
        );
    }
}
