//! From where a mailbox was used that somebody else has: its addresses by network, who both guessed and sent, what else they entered.
//! Which of them are the owner's, the report says; here they are only left out.

use std::net::IpAddr;

use tidegate_watch::api::report::{Client, Suspect};

use super::shown::{counted, grouped, local_minute};

/// What stands over this part of a card; steps refer to it.
pub(super) const HEADING: &str = "From where";
/// Networks that are listed one by one.
const NETWORKS_MAX: usize = 8;

/// What some addresses of one network sent.
#[derive(Debug, PartialEq, Eq)]
struct Network {
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
    if case.clients.is_empty() {
        return Vec::new();
    }
    let networks = networks(&case.clients);
    let shown = counted(case.clients.len() as u64, "address");
    let recipients: u64 = case.clients.iter().map(|client| client.times).sum();
    let recipients = counted(recipients, "recipient");
    let all = if case.has_more_clients {
        format!("{shown} shown with {recipients}, there were more")
    } else {
        format!("{shown} with {recipients}")
    };
    let day = case.clients.first().and_then(|client| client.first.get(..10)).unwrap_or("?");
    let new = if case.are_networks_known {
        "of networks new to its domain"
    } else {
        "(the log begins too late to tell the owner's among them)"
    };
    let mut list = vec![format!("on {day}, its busiest suspect day, {all}, {new}, by /24 (IPv6: /64):")];
    list.extend(networks.iter().take(NETWORKS_MAX).map(|network| {
        format!(
            "{}: {}, {}, {} to {}",
            network.name,
            counted(network.addresses, "address"),
            counted(network.recipients, "recipient"),
            local_minute(&network.first),
            network.last.get(11..16).unwrap_or("?")
        )
    }));
    if networks.len() > NETWORKS_MAX {
        let rest = networks.iter().skip(NETWORKS_MAX);
        let recipients: u64 = rest.map(|network| network.recipients).sum();
        let more = (networks.len() - NETWORKS_MAX) as u64;
        list.push(format!("and {}: {}", counted(more, "more network"), counted(recipients, "recipient")));
    }
    list.extend(both(suspect));
    list.push(others(suspect));
    list
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
        0 => "none of them is seen to have failed at several logins".to_owned(),
        count => format!("{} failed at several logins", counted(count, "address")),
    };
    match used.as_slice() {
        [] => format!("no other mailbox sent from these addresses on its busiest or its last day; {tried}"),
        used => format!("other mailboxes that sent from these addresses (recipients): {}; {tried}", used.join(", ")),
    }
}

/// The addresses to keep out: all from which it was used or entered, without the usual ones.
pub(super) fn to_block(suspect: &Suspect) -> Vec<&str> {
    let case = &suspect.case;
    let entered = suspect.entered_from.as_deref().into_iter();
    let mut list: Vec<&str> = case.clients.iter().map(|client| client.name.as_str()).chain(entered).collect();
    list.sort_unstable_by_key(|ip| (ip.parse::<IpAddr>().ok(), *ip));
    list.dedup();
    list.retain(|ip| !case.usual_clients.iter().any(|usual| usual.name == *ip));
    list
}

/// Gathered by network, the busiest first.
fn networks(clients: &[Client]) -> Vec<Network> {
    let mut list: Vec<Network> = Vec::new();
    for client in clients {
        let name = client.name.parse().map_or_else(|_| client.name.clone(), network_of);
        match list.iter_mut().find(|network| network.name == name) {
            Some(network) => {
                network.addresses += 1;
                network.recipients += client.times;
                network.first = network.first.clone().min(client.first.clone());
                network.last = network.last.clone().max(client.last.clone());
            }
            None => list.push(Network {
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

fn network_of(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            format!("{}/64", std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_gathered_by_network() {
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
        let found = networks(&clients);
        let names: Vec<(&str, u64, u64)> =
            found.iter().map(|network| (network.name.as_str(), network.addresses, network.recipients)).collect();
        assert_eq!(names, [("193.32.7.0/24", 2, 11), ("141.98.11.0/24", 1, 7), ("2001:db8:1:2::/64", 1, 1)]);
        assert_eq!(found.first().map(|network| network.first.as_str()), Some("2026-02-17T13:01:00"));
    }
}
