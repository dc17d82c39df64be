//! A DNS server with a few records, which can also fail in every way that DNS fails.
//!
//! Names that are not there do not exist, at once. No recursion, no compression, no DNSSEC, no zone cuts.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};

/// Largest answer over UDP without EDNS (RFC 1035 section 4.2.1); a longer one is marked as cut.
const UDP_OCTETS_MAX: usize = 512;
/// Time to live of every answer, in seconds.
const TTL_S: u32 = 5;
/// How long a connection may be idle.
const TCP_WAIT: Duration = Duration::from_secs(5);

/// What the server says of one name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    /// These records, each as it stands on the wire.
    Records(Vec<Vec<u8>>),
    /// No answer at all.
    Silence,
    /// A reply code: 2 SERVFAIL, 5 REFUSED.
    Code(u8),
}

/// Records and failures by name and type. A name `*.zone` answers for every name below that has no entry of its own, and
/// `*` for every name at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    entries: BTreeMap<(String, u16), Entry>,
}

impl Zone {
    /// Reads lines of `name TYPE value`, such as `mail.good.test A 203.0.113.10`; `;` begins a comment. Types are A, AAAA,
    /// MX (`10 host`), TXT (the rest of the line, without quotes), PTR, CNAME, NS. The values `timeout`, `servfail` and
    /// `refused` are failures; with type `ANY` they hold for every type of the name.
    ///
    /// # Errors
    /// Names the line that cannot be read.
    pub fn parse(text: &str) -> anyhow::Result<Zone> {
        let mut zone = Zone::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(';')) {
            zone.add(line).with_context(|| format!("DNS record `{line}`"))?;
        }
        Ok(zone)
    }

    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        let (name, rest) = line.split_once(' ').context("a type is missing")?;
        let (kind, value) = rest.trim_start().split_once(' ').context("a value is missing")?;
        let key = (name.trim_end_matches('.').to_ascii_lowercase(), type_number(kind)?);
        let value = value.trim();
        let failure = match value {
            "timeout" => Some(Entry::Silence),
            "servfail" => Some(Entry::Code(2)),
            "refused" => Some(Entry::Code(5)),
            _ => None,
        };
        match (failure, self.entries.get_mut(&key)) {
            (Some(failure), _) => _ = self.entries.insert(key, failure),
            (None, Some(Entry::Records(records))) => records.push(record_data(key.1, value)?),
            (None, _) => _ = self.entries.insert(key.clone(), Entry::Records(vec![record_data(key.1, value)?])),
        }
        Ok(())
    }

    /// The entry for a name, or for the nearest wildcard above it; an alias stands for every type.
    fn find(&self, name: &str, kind: u16) -> Option<(u16, &Entry)> {
        let mut pattern = name.to_owned();
        let mut rest = name;
        loop {
            for kind in [kind, TYPE_ANY, TYPE_CNAME] {
                if let Some(entry) = self.entries.get(&(pattern.clone(), kind)) {
                    return Some((kind, entry));
                }
            }
            if !pattern.starts_with('*') && self.has_name(&pattern) {
                return None;
            }
            if pattern == "*" {
                return None;
            }
            rest = rest.split_once('.').map_or("", |(_, above)| above);
            pattern = if rest.is_empty() { "*".to_owned() } else { format!("*.{rest}") };
        }
    }

    fn has_name(&self, name: &str) -> bool {
        self.entries
            .keys()
            .any(|(known, _)| known == name || known.strip_suffix(name).is_some_and(|k| k.ends_with('.')))
    }
}

const TYPE_CNAME: u16 = 5;
const TYPE_ANY: u16 = 255;
/// The types there are, with their numbers (RFC 1035 section 3.2.2, RFC 3596).
const TYPES: [(&str, u16); 8] =
    [("A", 1), ("NS", 2), ("CNAME", TYPE_CNAME), ("PTR", 12), ("MX", 15), ("TXT", 16), ("AAAA", 28), ("ANY", TYPE_ANY)];

fn type_number(name: &str) -> anyhow::Result<u16> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number).context("unknown type")
}

fn record_data(kind: u16, value: &str) -> anyhow::Result<Vec<u8>> {
    Ok(match kind {
        1 => value.parse::<Ipv4Addr>()?.octets().to_vec(),
        28 => value.parse::<Ipv6Addr>()?.octets().to_vec(),
        2 | TYPE_CNAME | 12 => wire_name(value),
        15 => {
            let (preference, host) = value.split_once(' ').context("MX needs a preference and a host")?;
            [preference.parse::<u16>()?.to_be_bytes().to_vec(), wire_name(host)].concat()
        }
        16 => value.as_bytes().chunks(255).flat_map(character_string).collect(),
        _ => bail!("this type holds no data"),
    })
}

fn character_string(chunk: &[u8]) -> Vec<u8> {
    let length = u8::try_from(chunk.len()).expect("chunks are 255 octets at most");
    [&[length], chunk].concat()
}

fn wire_name(name: &str) -> Vec<u8> {
    let labels = name.trim_end_matches('.').split('.').filter(|label| !label.is_empty());
    let mut wire: Vec<u8> = labels.flat_map(|label| character_string(label.as_bytes())).collect();
    wire.push(0);
    wire
}

/// A running server. Its threads end with the process, or when their sockets' namespace goes; they hold nothing else.
#[derive(Clone, Debug)]
pub struct Dns {
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Dns {
    /// Answers on port 53 of 127.0.0.1 from `zone`, over UDP and TCP, in the namespace of the calling thread.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn serve(zone: Zone) -> anyhow::Result<Dns> {
        let dns = Dns { zone: Arc::new(Mutex::new(zone)), asked: Arc::default() };
        let udp = UdpSocket::bind("127.0.0.1:53").context("binding the DNS port")?;
        let tcp = TcpListener::bind("127.0.0.1:53").context("binding the DNS port")?;
        let server = dns.clone();
        thread::spawn(move || server.serve_udp(&udp));
        let server = dns.clone();
        thread::spawn(move || {
            for stream in tcp.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve_tcp(stream));
            }
        });
        Ok(dns)
    }

    /// Answers from `zone` from now on.
    pub fn set(&self, zone: Zone) {
        *self.zone.lock().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    /// All names asked for so far, as `name TYPE`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn serve_udp(&self, socket: &UdpSocket) {
        let mut query = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            let Some(mut answer) = query.get(..length).and_then(|query| self.answer(query)) else {
                continue;
            };
            if answer.len() > UDP_OCTETS_MAX {
                answer.truncate(UDP_OCTETS_MAX);
                cut(&mut answer, query.get(..length).unwrap_or_default());
            }
            let _ = socket.send_to(&answer, client);
        }
    }

    fn serve_tcp(&self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(TCP_WAIT));
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            if stream.read_exact(&mut query).is_err() {
                return;
            }
            let Some(answer) = self.answer(&query) else {
                continue;
            };
            let length = u16::try_from(answer.len()).unwrap_or(u16::MAX).to_be_bytes();
            if stream.write_all(&[&length[..], &answer].concat()).is_err() {
                return;
            }
        }
    }

    /// The answer to a query; `None` for silence and for what is no query.
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let question = Question::parse(query)?;
        let kind_name = TYPES.iter().find(|(_, n)| *n == question.kind).map_or("?", |(name, _)| name);
        let shown = format!("{} {kind_name}", question.name);
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(shown);
        let zone = self.zone.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = query.get(..2)?.to_vec();
        let (code, records, soa): (u8, Vec<Vec<u8>>, bool) = match zone.find(&question.name, question.kind) {
            Some((_, Entry::Silence)) => return None,
            Some((_, Entry::Code(code))) => (*code, Vec::new(), false),
            Some((kind, Entry::Records(records))) => (0, records.iter().map(|r| record(kind, r)).collect(), false),
            None if zone.has_name(&question.name) => (0, Vec::new(), true),
            None => (3, Vec::new(), true),
        };
        // Flags: a response, authoritative, recursion desired and available.
        answer.extend([0x85, 0x80 | code, 0, 1]);
        answer.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
        answer.extend([0, u8::from(soa), 0, 0]);
        answer.extend(question.bytes);
        answer.extend(records.concat());
        if soa {
            answer.extend(negative_soa());
        }
        Some(answer)
    }
}

/// A record whose owner is the name asked for: a pointer to the question.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    let kind = kind.to_be_bytes();
    [&[0xc0, 12][..], &kind, &[0, 1], &TTL_S.to_be_bytes(), &length.to_be_bytes(), data].concat()
}

/// The record that lets a negative answer be cached (RFC 2308): an SOA of the root.
fn negative_soa() -> Vec<u8> {
    let numbers = [1_u32, 60, 60, 60, TTL_S].iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    let data = [vec![0, 0], numbers].concat();
    let length = u16::try_from(data.len()).unwrap_or(u16::MAX);
    [&[0][..], &6_u16.to_be_bytes(), &[0, 1], &TTL_S.to_be_bytes(), &length.to_be_bytes(), &data].concat()
}

/// Leaves header and question, says that the answer was cut.
fn cut(answer: &mut Vec<u8>, query: &[u8]) {
    let Some(question) = Question::parse(query) else {
        return;
    };
    answer.truncate(12 + question.bytes.len());
    if let Some([_, _, flags, _, _, _, counts @ ..]) = answer.get_mut(..12) {
        *flags |= 0x02;
        counts.fill(0);
    }
}

struct Question<'a> {
    name: String,
    kind: u16,
    bytes: &'a [u8],
}

impl Question<'_> {
    fn parse(query: &[u8]) -> Option<Question<'_>> {
        let from = query.get(12..)?;
        let mut labels: Vec<String> = Vec::new();
        let mut at = 0;
        loop {
            let length = usize::from(*from.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(from.get(at..at + length)?).to_ascii_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes([*from.get(at)?, *from.get(at + 1)?]);
        Some(Question { name: labels.join("."), kind, bytes: from.get(..at + 4)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &wire_name(name), &kind.to_be_bytes(), &[0, 1]].concat()
    }

    #[test]
    fn names_answer_as_the_zone_says() {
        let zone =
            "a.test A 192.0.2.1\na.test A 192.0.2.2\n*.bl.test A 127.0.0.2\nb.test ANY timeout\nc.test TXT servfail";
        let all = Dns { zone: Arc::new(Mutex::new(Zone::parse("* ANY timeout").unwrap())), asked: Arc::default() };
        assert!(all.answer(&query("any.name.at.all", 1)).is_none());
        let dns = Dns { zone: Arc::new(Mutex::new(Zone::parse(zone).unwrap())), asked: Arc::default() };
        let counts = |name, kind| dns.answer(&query(name, kind)).map(|a| (a[3] & 15, a[7]));
        assert_eq!(counts("A.test", 1), Some((0, 2)));
        assert_eq!(counts("a.test", 16), Some((0, 0)), "a name without this type");
        assert_eq!(counts("x.test", 1), Some((3, 0)), "no such name");
        assert_eq!(counts("test", 1), Some((0, 0)), "a name with names below it exists");
        assert_eq!(counts("1.2.3.bl.test", 1), Some((0, 1)));
        assert_eq!(counts("b.test", 28), None);
        assert_eq!(counts("c.test", 16), Some((2, 0)));
    }

    #[test]
    fn what_is_no_query_is_not_answered() {
        let dns = Dns { zone: Arc::default(), asked: Arc::default() };
        let whole = query("a.test", 1);
        for length in 0..whole.len() {
            assert!(dns.answer(&whole[..length]).is_none(), "{length}");
        }
    }
}
