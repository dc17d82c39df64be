//! Questions to DNS and their answers. NXDOMAIN and NODATA are answers; silence, SERVFAIL and REFUSED are
//! [`Unavailable`](crate::known::Unavailable).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::known::{Answer, Known};

/// Name resolution. Every question of every check goes through here, so a test can answer all of them and a name that is
/// asked twice is sent once.
pub trait Resolver: Send + Sync {
    /// Answers `question`, from a cache or the network.
    ///
    /// `Err` when no server gave an answer in time, or answered SERVFAIL or REFUSED.
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>>;
}

/// A name and a record type. The name is lower-case without the final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    name: String,
    kind: RecordKind,
}

impl Question {
    /// Asks for records of `kind` at `name`. The name may be any text a sender wrote; the resolver answers NXDOMAIN for
    /// what is no name.
    pub fn new(name: &str, kind: RecordKind) -> Question {
        Question { name: name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(), kind }
    }

    /// The name without the final dot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The record type asked for.
    pub fn kind(&self) -> RecordKind {
        self.kind
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.kind)
    }
}

/// The record types that mail checks ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Mail exchanger.
    Mx,
    /// Name server.
    Ns,
    /// Reverse name.
    Ptr,
    /// Text.
    Txt,
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecordKind::A => "A",
            RecordKind::Aaaa => "AAAA",
            RecordKind::Mx => "MX",
            RecordKind::Ns => "NS",
            RecordKind::Ptr => "PTR",
            RecordKind::Txt => "TXT",
        })
    }
}

/// One record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Preference and host; host `.` is given as the empty text (null MX, RFC 7505).
    Mx(u16, String),
    /// Name server without the final dot, as DNS has it: hostile text.
    Ns(String),
    /// Reverse name without the final dot, as DNS has it: hostile text.
    Ptr(String),
    /// The character-strings of one record, concatenated (RFC 7208 section 3.3).
    Txt(Vec<u8>),
}

/// What DNS answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Whether the name exists.
    pub status: Status,
    /// Records of the type asked for, CNAMEs followed; in the order of the answer.
    pub records: Vec<Record>,
    /// How long the answer may be kept.
    pub ttl: Duration,
}

/// Whether the name exists, and with records of the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// There are records.
    Found,
    /// The name exists without records of this type.
    NoData,
    /// The name does not exist.
    NxDomain,
}

impl Reply {
    /// An answer with `records`; NODATA when there are none.
    pub fn found(records: Vec<Record>, ttl: Duration) -> Reply {
        let status = if records.is_empty() { Status::NoData } else { Status::Found };
        Reply { status, records, ttl }
    }

    /// The name does not exist.
    pub fn nxdomain(ttl: Duration) -> Reply {
        Reply { status: Status::NxDomain, records: Vec::new(), ttl }
    }

    /// All addresses in the answer.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.records.iter().filter_map(|record| match record {
            Record::A(ip) => Some(IpAddr::V4(*ip)),
            Record::Aaaa(ip) => Some(IpAddr::V6(*ip)),
            _ => None,
        })
    }
}

/// The name that asks a DNS blocklist zone about `ip`: reversed octets or nibbles (RFC 5782 sections 2.1 and 2.4), also
/// the reverse name itself with zone `in-addr.arpa` or `ip6.arpa`.
pub fn reversed(ip: IpAddr, zone: &str) -> String {
    use fmt::Write;
    let mut name = String::with_capacity(80);
    match ip {
        IpAddr::V4(ip) => {
            for octet in ip.octets().iter().rev() {
                let _infallible = write!(name, "{octet}.");
            }
        }
        IpAddr::V6(ip) => {
            for octet in ip.octets().iter().rev() {
                let _infallible = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
            }
        }
    }
    name.push_str(zone);
    name
}

/// The PTR question for `ip`.
pub fn reverse_question(ip: IpAddr) -> Question {
    let zone = if ip.is_ipv4() { "in-addr.arpa" } else { "ip6.arpa" };
    Question::new(&reversed(ip, zone), RecordKind::Ptr)
}

/// Whether `ip` means nothing outside one host or site: unspecified, loopback, private (RFC 1918, RFC 4193), link-local,
/// shared by a carrier (RFC 6598), multicast or reserved. Such an address is on no public list, and no mail can reach it
/// from elsewhere.
pub fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_carrier = first == 100 && (64..128).contains(&second);
            let is_multicast_or_reserved = first >= 224;
            first == 0
                || ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || is_carrier
                || is_multicast_or_reserved
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => is_internal(IpAddr::V4(mapped)),
            None => {
                ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local()
                    || ip.is_multicast()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reversed_names_are_those_of_rfc_5782() {
        assert_eq!(reversed("192.0.2.99".parse().unwrap(), "bad.example.com"), "99.2.0.192.bad.example.com");
        assert_eq!(
            reversed("2001:db8:1:2:3:4:567:89ab".parse().unwrap(), "ugly.example.com"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com"
        );
    }

    #[test]
    fn internal_addresses_mean_nothing_outside() {
        let internal = |text: &str| is_internal(text.parse().unwrap());
        for text in ["0.0.0.0", "127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1"] {
            assert!(internal(text), "{text}");
        }
        for text in ["224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:10.0.0.1"] {
            assert!(internal(text), "{text}");
        }
        for text in ["192.0.2.1", "100.128.0.1", "172.32.0.1", "9.255.255.255", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(!internal(text), "{text}");
        }
    }
}
