//! From where a mailbox was used that somebody else has: its addresses by range, who both guessed and sent, what else they entered.
//! Which of them are the owner's, the report says; here they are only left out.

use std::net::IpAddr;

use tidegate_watch::api::report::{Client, Suspect};

use super::shown::{counted, grouped, local_minute};

/// What stands over this part of a card; steps refer to it.
pub(super) const HEADING: &str = "From where";
/// Ranges that are listed one by one.
const RANGES_MAX: usize = 8;
/// So many addresses of one range, and it is kept out as a whole.
const OF_RANGE_MIN: usize = 3;

/// What some addresses of one range sent.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    /// `192.0.2.0/24`, or a /64.
    name: String,
    addresses: u64,
    recipients: u64,
    first: String,
    last: String,
}

/// Sentences for a card: how many addresses, their networks, what they did besides.
pub(super) fn sentences(suspect: &Suspect) -> Vec<String> {
    let case = &suspect.case;
    let own = own(suspect);
    if case.clients.is_empty() {
        return own.into_iter().collect();
    }
    let ranges = ranges(&case.clients);
    let shown = counted(case.clients.len() as u64, "address");
    let (recipients, of_day) = kept(suspect);
    let of_day = if of_day > recipients { format!(" of that day's {}", grouped(of_day)) } else { String::new() };
    let recipients = counted(recipients, "recipient");
    let all = if case.has_more_clients {
        format!("from more addresses than a report keeps; here are {shown} with {recipients}{of_day}")
    } else {
        format!("from {shown} with {recipients}{of_day}")
    };
    let day = day(suspect);
    let new = match ranges.as_slice() {
        _ if !case.are_networks_known => "(the log begins too late to tell the owner's among them)",
        [_] => "of a network new to its domain",
        _ => "of networks new to its domain",
    };
    let mut list =
        vec![format!("on {day}, its busiest suspect day, it was used {all}, {new}; by range (/24, IPv6: /64):")];
    list.extend(ranges.iter().take(RANGES_MAX).map(|range| {
        format!(
            "{}: {}, {}, {} to {}",
            range.name,
            counted(range.addresses, "address"),
            counted(range.recipients, "recipient"),
            local_minute(&range.first),
            range.last.get(11..16).unwrap_or("?")
        )
    }));
    if ranges.len() > RANGES_MAX {
        let rest = ranges.iter().skip(RANGES_MAX);
        let recipients: u64 = rest.map(|range| range.recipients).sum();
        let more = (ranges.len() - RANGES_MAX) as u64;
        list.push(format!("and {}: {}", counted(more, "more range"), counted(recipients, "recipient")));
    }
    list.extend(both(suspect));
    list.push(others(suspect));
    list.extend(own);
    list
}

/// The day of which the addresses are.
fn day(suspect: &Suspect) -> &str {
    suspect.case.clients.first().and_then(|client| client.first.get(..10)).unwrap_or("?")
}

/// How many recipients the addresses had that a report keeps, and how many there were on their day.
pub(super) fn kept(suspect: &Suspect) -> (u64, u64) {
    let all = suspect.by_day.iter().find(|of_day| of_day.name == day(suspect)).map_or(0, |of_day| of_day.times);
    (suspect.case.clients.iter().map(|client| client.times).sum(), all)
}

/// What came from this server itself or its own network.
fn own(suspect: &Suspect) -> Option<String> {
    let own = &suspect.case.own_clients;
    let recipients: u64 = own.iter().map(|client| client.times).sum();
    let named: Vec<&str> = own.iter().map(|client| client.name.as_str()).collect();
    (!own.is_empty()).then(|| {
        format!(
            "{} were sent from this server itself or its own network ({}): mostly that is the webmail, whose log tells who it was. Do not block that",
            counted(recipients, "recipient"),
            named.join(", ")
        )
    })
}

/// Who both guessed and sent: what proves most.
fn both(suspect: &Suspect) -> Option<String> {
    const NAMED_MAX: usize = 8;
    let guessing = suspect.case.guessing.as_ref()?;
    let sent = |ip: &&String| suspect.case.clients.iter().any(|client| client.name == **ip);
    let both: Vec<&str> = guessing.addresses.iter().filter(sent).map(String::as_str).collect();
    if both.is_empty() {
        return None;
    }
    let named = both.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = if both.len() > NAMED_MAX { ", …" } else { "" };
    Some(format!("{} both guessed and sent: {named}{more}", counted(both.len() as u64, "address")))
}

/// What these addresses did elsewhere.
fn others(suspect: &Suspect) -> String {
    let case = &suspect.case;
    let used: Vec<String> =
        case.also_used.iter().map(|other| format!("{} ({})", other.name, grouped(other.times))).collect();
    let tried = match case.tried_others {
        0 => "none of them is seen to have failed at another login".to_owned(),
        count => format!("{} failed at other logins as well", counted(count, "address")),
    };
    match used.as_slice() {
        [] => format!(
            "no other mailbox is seen to have sent from these addresses (of every mailbox a report keeps only the addresses of its busiest and of its last day); {tried}"
        ),
        used => format!("other mailboxes that sent from these addresses (recipients): {}; {tried}", used.join(", ")),
    }
}

/// What to keep out: all addresses from which it was used or entered, without the usual ones and without this server's own; of several
/// in one range the range, unless one of those is in it.
pub(super) fn to_block(suspect: &Suspect) -> Vec<String> {
    let spared = || suspect.case.usual_clients.iter().chain(&suspect.case.own_clients);
    let is_usual = |range: &str| spared().any(|usual| range_of(&usual.name) == range);
    let mut list: Vec<String> = Vec::new();
    for ip in strange(suspect) {
        let range = range_of(ip);
        let of_range = strange(suspect).into_iter().filter(|other| range_of(other) == range).count();
        let name = if of_range >= OF_RANGE_MIN && !is_usual(&range) { range } else { ip.to_owned() };
        if !list.contains(&name) {
            list.push(name);
        }
    }
    list
}

/// The addresses from which it was used or entered, without the usual ones.
fn strange(suspect: &Suspect) -> Vec<&str> {
    let case = &suspect.case;
    let entered = suspect.entered_from.as_deref().filter(|_| !case.is_entry_own).into_iter();
    let mut list: Vec<&str> = case.clients.iter().map(|client| client.name.as_str()).chain(entered).collect();
    list.sort_unstable_by_key(|ip| (ip.parse::<IpAddr>().ok(), *ip));
    list.dedup();
    list.retain(|ip| !case.usual_clients.iter().any(|usual| usual.name == *ip));
    list
}

/// Gathered by range, the busiest first.
fn ranges(clients: &[Client]) -> Vec<Range> {
    let mut list: Vec<Range> = Vec::new();
    for client in clients {
        let name = range_of(&client.name);
        match list.iter_mut().find(|range| range.name == name) {
            Some(range) => {
                range.addresses += 1;
                range.recipients += client.times;
                range.first = range.first.clone().min(client.first.clone());
                range.last = range.last.clone().max(client.last.clone());
            }
            None => list.push(Range {
                name,
                addresses: 1,
                recipients: client.times,
                first: client.first.clone(),
                last: client.last.clone(),
            }),
        }
    }
    list.sort_by(|a, b| b.recipients.cmp(&a.recipients).then_with(|| a.name.cmp(&b.name)));
    list
}

/// The range of an address; the text itself if it is none.
fn range_of(ip: &str) -> String {
    match ip.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Err(_) => ip.to_owned(),
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        Ok(IpAddr::V6(ip)) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_watch::api::report::Guessing;

    use super::*;

    #[test]
    fn addresses_are_gathered_by_range() {
        let client = |name: &str, times, first: &str| Client {
            name: name.to_owned(),
            times,
            first: format!("2026-02-17T{first}:00"),
            last: "2026-02-17T18:00:00".to_owned(),
        };
        let clients = [
            client("193.32.7.4", 5, "13:05"),
            client("141.98.11.9", 7, "14:00"),
            client("193.32.7.200", 6, "13:01"),
            client("2001:db8:1:2::7", 1, "15:00"),
        ];
        let found = ranges(&clients);
        let names: Vec<(&str, u64, u64)> =
            found.iter().map(|range| (range.name.as_str(), range.addresses, range.recipients)).collect();
        assert_eq!(names, [("193.32.7.0/24", 2, 11), ("141.98.11.0/24", 1, 7), ("2001:db8:1:2::/64", 1, 1)]);
        assert_eq!(found.first().map(|range| range.first.as_str()), Some("2026-02-17T13:01:00"));
    }

    fn suspect(clients: &[&str], usual: &[&str]) -> Suspect {
        let all = |names: &[&str]| {
            names.iter().map(|name| Client { name: (*name).to_owned(), times: 1, ..Client::default() }).collect()
        };
        let mut suspect = Suspect { kind: "mailbox", ..Suspect::default() };
        (suspect.case.clients, suspect.case.usual_clients) = (all(clients), all(usual));
        suspect
    }

    /// Many of one range are kept out at once, unless the owner is among them.
    #[test]
    fn a_range_is_kept_out_as_a_whole() {
        let bots = ["141.98.10.3", "141.98.10.12", "141.98.10.0", "203.0.113.9", "203.0.113.8"];
        assert_eq!(to_block(&suspect(&bots, &[])), ["141.98.10.0/24", "203.0.113.8", "203.0.113.9"]);
        let single = ["141.98.10.0", "141.98.10.3", "141.98.10.12", "203.0.113.8", "203.0.113.9"];
        assert_eq!(to_block(&suspect(&bots, &["141.98.10.77"])), single);
    }

    /// Somebody used the webmail: whoever blocked it would block everybody.
    #[test]
    fn this_server_is_not_blocked() {
        let mut suspect = suspect(&["141.98.10.3", "141.98.10.4", "141.98.10.5"], &[]);
        suspect.entered_from = Some("192.0.2.25".to_owned());
        suspect.case.is_entry_own = true;
        assert_eq!(to_block(&suspect), ["141.98.10.0/24"]);
        suspect.case.own_clients = vec![Client { name: "141.98.10.9".to_owned(), times: 7, ..Client::default() }];
        assert_eq!(to_block(&suspect), ["141.98.10.3", "141.98.10.4", "141.98.10.5"]);
        let said = sentences(&suspect).join("\n");
        assert!(
            said.contains("7 recipients were sent from this server itself or its own network (141.98.10.9)"),
            "{said}"
        );
        suspect.case.clients.clear();
        suspect.entered_from = None;
        assert_eq!((to_block(&suspect), sentences(&suspect).len()), (vec![], 1));
    }

    /// How much of the day the addresses had that are known.
    #[test]
    fn addresses_that_are_not_kept_are_told_of() {
        let mut suspect = suspect(&["141.98.10.3", "203.0.113.8"], &[]);
        for client in &mut suspect.case.clients {
            client.first = "2026-02-18T06:00:00".to_owned();
        }
        let count = |name: &str, times| tidegate_watch::api::report::Count { name: name.to_owned(), times };
        suspect.by_day = vec![count("2026-02-17", 5), count("2026-02-18", 604)];
        suspect.case.has_more_clients = true;
        let said = sentences(&suspect);
        let first = said.first().expect("a sentence");
        let all = "it was used from more addresses than a report keeps; here are 2 addresses with 2 recipients of that day's 604,";
        assert!(first.contains(all), "{first}");
        assert_eq!(kept(&suspect), (2, 604));
    }

    /// Who guessed at this one and sent has failed, of course: what is said is whether at others as well.
    #[test]
    fn who_guessed_is_not_said_to_have_failed_nowhere() {
        let mut suspect = suspect(&["141.98.10.3"], &[]);
        let addresses = vec!["141.98.10.3".to_owned()];
        suspect.case.guessing = Some(Guessing { failures: 160, addresses, ..Guessing::default() });
        let said = sentences(&suspect).join("\n");
        assert!(said.contains("1 address both guessed and sent: 141.98.10.3"), "{said}");
        assert!(said.ends_with("none of them is seen to have failed at another login"), "{said}");
        suspect.case.tried_others = 1;
        assert!(sentences(&suspect).join("").ends_with("1 address failed at other logins as well"));
    }
}
