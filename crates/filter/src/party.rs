//! Whom mail comes from, as far as something proves it: a domain that SPF or DKIM vouches for, else the client's confirmed
//! host name, else its network. What is remembered of a sender is remembered under this name, since all else can be forged.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tidegate_mail::Domain;

use crate::identity::Fcrdns;
use crate::session::{Connect, Mail, Sender};

/// Length of the IPv4 networks that count as one sender: what a provider gives to one customer or one pool.
const NETWORK_V4: u8 = 24;
/// Length of the IPv6 networks that count as one sender: what one customer gets at least (RFC 6177).
const NETWORK_V6: u8 = 64;
/// Signatures that are looked at for one that is the author's.
const SIGNERS_MAX: usize = 8;

/// A sender under its proven name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// SPF or DKIM vouches for a domain; the registrable one.
    Domain(Domain),
    /// The client has a confirmed name; that of its host group, the first label removed.
    Host(Domain),
    /// Nothing but the client's network is known.
    Network(IpNet),
}

impl Party {
    /// The domain that SPF vouches for. No signature can make it another party.
    pub fn by_spf(sender: &Sender) -> Option<Party> {
        let domain = sender.spf.as_ref().ok()?.vouching_domain()?;
        Some(Party::Domain(domain.organization()))
    }

    /// The domain that DKIM vouches for: the author's if it signs, else the first one.
    pub fn by_dkim(mail: &Mail) -> Option<Party> {
        let author = mail.message.author().and_then(|author| author.address.as_ref());
        let author = author.map(|author| author.domain().organization());
        let signers: Vec<Domain> = mail.identity.signers().take(SIGNERS_MAX).map(Domain::organization).collect();
        let own = signers.iter().find(|signer| Some(*signer) == author.as_ref());
        own.or(signers.first()).cloned().map(Party::Domain)
    }

    /// The client's host group, or its network. `None` for a program on this server.
    pub fn by_client(connect: &Connect) -> Option<Party> {
        let ip = connect.client.ip()?;
        let names = match &connect.fcrdns {
            Ok(Fcrdns::Confirmed(names)) => names.as_slice(),
            _ => &[],
        };
        let own = names.iter().find(|name| !is_made_from(name, ip));
        Some(own.map_or_else(|| Party::Network(network(ip)), |name| Party::Host(host_group(name))))
    }

    /// The sender of a complete message, by the best proof there is.
    pub fn of(mail: &Mail) -> Option<Party> {
        let sender = &mail.envelope.sender;
        let by_client = || Party::by_client(&sender.greeting.connect);
        Party::by_spf(sender).or_else(|| Party::by_dkim(mail)).or_else(by_client)
    }

    /// The key under which tables keep what they know of the party; part of the stored form.
    pub fn key(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl fmt::Display for Party {
    /// `domain example.org`, `host example.net`, `network 192.0.2.0/24`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Party::Domain(domain) => write!(f, "domain {domain}"),
            Party::Host(host) => write!(f, "host {host}"),
            Party::Network(net) => write!(f, "network {net}"),
        }
    }
}

/// The network of `ip` that counts as one sender.
pub fn network(ip: IpAddr) -> IpNet {
    match ip {
        IpAddr::V4(ip) => Ipv4Net::new(ip, NETWORK_V4).map_or(IpNet::from(IpAddr::V4(ip)), |net| net.trunc().into()),
        IpAddr::V6(ip) => Ipv6Net::new(ip, NETWORK_V6).map_or(IpNet::from(IpAddr::V6(ip)), |net| net.trunc().into()),
    }
}

/// The name without its first label, unless that would leave a public suffix: the mail servers of one operator.
fn host_group(name: &Domain) -> Domain {
    name.parent().filter(|parent| parent.registrable().is_some()).unwrap_or_else(|| name.clone())
}

/// Whether `name` was made from the address, as providers name their customers' lines (`192-0-2-7.dyn.example.net`): such
/// hosts have nothing in common but their provider.
fn is_made_from(name: &Domain, ip: IpAddr) -> bool {
    let text = name.as_str();
    match ip {
        IpAddr::V4(ip) => {
            let octets = ip.octets();
            let packed = octets.map(|octet| format!("{octet:03}")).concat();
            let hex = octets.map(|octet| format!("{octet:02x}")).concat();
            let numbers: Vec<u8> = text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
            let named = octets.iter().skip(1).filter(|octet| numbers.contains(octet)).count();
            // Two of the last three octets: a single number is as likely that of a mail server.
            named >= 2 && numbers.len() >= 2 || text.contains(&packed) || text.contains(&hex)
        }
        IpAddr::V6(ip) => made_from_v6(text, ip),
    }
}

fn made_from_v6(text: &str, ip: Ipv6Addr) -> bool {
    let host_part = ip.segments().map(|segment| format!("{segment:04x}"));
    let packed = host_part.get(4..).map(<[String]>::concat).unwrap_or_default();
    let dashed = host_part.get(6..).map(|last| last.join("-")).unwrap_or_default();
    text.contains(&packed) || text.contains(&dashed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::session::{Client, Remote};

    fn by_client(ip: &str, name: Option<&str>) -> String {
        let remote = Remote { ip: ip.parse().unwrap(), port: 1, interface: None, open_sessions: 1 };
        let fcrdns = Ok(name.map_or(Fcrdns::None, |name| Fcrdns::Confirmed(vec![name.parse().unwrap()])));
        let connect = Arc::new(Connect { client: Client::Remote(remote), trusted: false, fcrdns });
        Party::by_client(&connect).map(|party| party.to_string()).unwrap_or_default()
    }

    #[test]
    fn mail_servers_of_one_operator_are_one_party() {
        for (ip, name, party) in [
            ("192.0.2.7", Some("mx1.example.net"), "host example.net"),
            ("192.0.2.7", Some("mail-7.out.example.co.uk"), "host out.example.co.uk"),
            ("192.0.2.7", Some("example.net"), "host example.net"),
            ("192.0.2.7", None, "network 192.0.2.0/24"),
            ("2001:db8::7", None, "network 2001:db8::/64"),
        ] {
            assert_eq!(by_client(ip, name), party, "{ip} {name:?}");
        }
    }

    #[test]
    fn lines_of_one_provider_are_not() {
        for (ip, name) in [
            ("192.0.2.7", "192-0-2-7.dyn.example.net"),
            ("198.51.100.7", "host7.100-51.example.net"),
            ("198.51.100.7", "198051100007.example.net"),
            ("198.51.100.7", "c6336407.example.net"),
        ] {
            assert!(by_client(ip, Some(name)).starts_with("network "), "{ip} {name}");
        }
        let name = "2001-db8-0-0-0000-0000-c633-6407.example.net";
        assert_eq!(by_client("2001:db8::c633:6407", Some(name)), "network 2001:db8::/64");
    }
}
