//! Evaluates SPF records against a client (RFC 7208 sections 4 and 5). Every question goes to the World's resolver; the
//! limits on questions are those of section 4.6.4.

use std::future::Future;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;

use futures_util::future::join_all;
use tidegate_mail::Domain;

use super::macros::{DomainSpec, Letter};
use super::record::{Directive, Mechanism, Prefixes, Record, is_record};
use crate::dns::{Question, Record as DnsRecord, RecordKind, Reply, Resolver, Status, reverse_question};
use crate::identity::SpfResult;
use crate::known::Unavailable;

/// Terms of one check that ask DNS (RFC 7208 section 4.6.4).
const LOOKUPS_MAX: u32 = 10;
/// Questions of one check that find nothing (RFC 7208 section 4.6.4).
const VOIDS_MAX: u32 = 2;
/// Hosts of one `mx`, and reverse names of one `ptr` (RFC 7208 section 4.6.4).
const HOSTS_MAX: usize = 10;

/// Who claims to send.
pub(super) struct Identity<'a> {
    pub(super) ip: IpAddr,
    pub(super) local: &'a str,
    pub(super) domain: &'a str,
    pub(super) helo: &'a str,
}

/// One check and what it has used up.
pub(super) struct Evaluation<'a> {
    who: Identity<'a>,
    dns: &'a dyn Resolver,
    lookups: u32,
    voids: u32,
    /// Names of the client that lead back to it; asked for at most once.
    validated: Option<Vec<Domain>>,
}

/// What a record says about the client.
pub(super) struct Verdict {
    pub(super) result: SpfResult,
    pub(super) allows_everyone: bool,
    /// The term that decided, for people.
    pub(super) because: String,
}

/// Why there is no verdict.
pub(super) enum Stop {
    PermError(String),
    TempError(Unavailable),
}

impl From<Unavailable> for Stop {
    fn from(unavailable: Unavailable) -> Stop {
        Stop::TempError(unavailable)
    }
}

type Evaluated<'s, T> = Pin<Box<dyn Future<Output = Result<T, Stop>> + Send + 's>>;

impl<'a> Evaluation<'a> {
    pub(super) fn new(who: Identity<'a>, dns: &'a dyn Resolver) -> Evaluation<'a> {
        Evaluation { who, dns, lookups: 0, voids: 0, validated: None }
    }

    /// Evaluates the record of `domain`. Includes and redirects come back here; the limit on look-ups ends them.
    pub(super) fn check_host<'s>(&'s mut self, domain: &'s str) -> Evaluated<'s, Verdict> {
        Box::pin(async move {
            let Some(record) = self.record(domain).await? else {
                return Ok(Verdict::new(SpfResult::None, String::new()));
            };
            let record = Record::parse(&record).map_err(|wrong| Stop::PermError(format!("{domain}: {wrong}")))?;
            let allows_everyone = record.allows_everyone();
            for directive in &record.directives {
                if let Some(within) = self.matches(directive, domain).await? {
                    return Ok(Verdict {
                        result: directive.result,
                        allows_everyone: directive.result == SpfResult::Pass && (allows_everyone || within),
                        because: format!("{domain}: {}", directive.text),
                    });
                }
            }
            match &record.redirect {
                Some(target) => self.redirect(target, domain).await,
                None => Ok(Verdict::new(SpfResult::Neutral, format!("{domain}: no term matches"))),
            }
        })
    }

    /// The one record of `domain`, if it has one (RFC 7208 sections 4.4 and 4.5).
    async fn record(&self, domain: &str) -> Result<Option<Vec<u8>>, Stop> {
        let reply = self.ask(domain, RecordKind::Txt).await?;
        let mut records = reply.records.into_iter().filter_map(|record| match record {
            DnsRecord::Txt(text) if is_record(&text) => Some(text),
            _ => None,
        });
        let first = records.next();
        if records.next().is_some() {
            return Err(Stop::PermError(format!("{domain} has several SPF records")));
        }
        Ok(first)
    }

    async fn redirect(&mut self, target: &DomainSpec, domain: &str) -> Result<Verdict, Stop> {
        self.count_lookup(domain)?;
        let target = self.expand(target, domain).await?;
        let verdict = self.check_host(&target).await?;
        match verdict.result {
            SpfResult::None => Err(Stop::PermError(format!("{domain}: redirect to {target}, which has no record"))),
            _ => Ok(verdict),
        }
    }

    /// Whether the directive matches; within `Some`, whether an included record allows everyone.
    async fn matches(&mut self, directive: &Directive, domain: &str) -> Result<Option<bool>, Stop> {
        let ip = self.who.ip;
        let is_match = match &directive.mechanism {
            Mechanism::All => true,
            Mechanism::Ip4(network, prefix) => {
                matches!(ip, IpAddr::V4(ip) if within_v4(ip.into(), (*network).into(), *prefix))
            }
            Mechanism::Ip6(network, prefix) => matches!(ip, IpAddr::V6(ip) if within_v6(ip, *network, *prefix)),
            Mechanism::Include(target) => {
                self.count_lookup(domain)?;
                let target = self.expand(target, domain).await?;
                let verdict = self.check_host(&target).await?;
                return match verdict.result {
                    SpfResult::Pass => Ok(Some(verdict.allows_everyone)),
                    SpfResult::None => {
                        Err(Stop::PermError(format!("{domain}: include of {target}, which has no record")))
                    }
                    _ => Ok(None),
                };
            }
            Mechanism::A(target, prefixes) => {
                self.count_lookup(domain)?;
                let target = self.target(target.as_ref(), domain).await?;
                let reply = self.ask_counted(&target, self.address_kind()).await?;
                reply.addresses().any(|address| prefixes.hold(ip, address))
            }
            Mechanism::Mx(target, prefixes) => {
                self.count_lookup(domain)?;
                let target = self.target(target.as_ref(), domain).await?;
                self.matches_mx(&target, *prefixes).await?
            }
            Mechanism::Ptr(target) => {
                self.count_lookup(domain)?;
                let target = self.target(target.as_ref(), domain).await?;
                let Ok(target) = Domain::parse(&target) else { return Ok(None) };
                self.validated_names().await.iter().any(|name| name.is_within(&target))
            }
            Mechanism::Exists(target) => {
                self.count_lookup(domain)?;
                let target = self.expand(target, domain).await?;
                self.ask_counted(&target, RecordKind::A).await?.status == Status::Found
            }
        };
        Ok(is_match.then_some(false))
    }

    async fn matches_mx(&mut self, target: &str, prefixes: Prefixes) -> Result<bool, Stop> {
        let reply = self.ask_counted(target, RecordKind::Mx).await?;
        let hosts: Vec<String> = reply
            .records
            .into_iter()
            .filter_map(|record| match record {
                DnsRecord::Mx(_, host) if !host.is_empty() => Some(host),
                _ => None,
            })
            .collect();
        if hosts.len() > HOSTS_MAX {
            return Err(Stop::PermError(format!("mx: {target} has more than {HOSTS_MAX} hosts")));
        }
        let kind = self.address_kind();
        let answers = join_all(hosts.iter().map(|host| self.ask(host, kind))).await;
        let mut failure = None;
        for answer in answers {
            match answer {
                Ok(reply) if reply.addresses().any(|address| prefixes.hold(self.who.ip, address)) => return Ok(true),
                Ok(_) => {}
                Err(stop) => failure = Some(stop),
            }
        }
        failure.map_or(Ok(false), Err)
    }

    /// Reverse names of the client that lead back to it. A question that fails gives no name, and no error (RFC 7208
    /// section 5.5).
    async fn validated_names(&mut self) -> &[Domain] {
        if self.validated.is_none() {
            let names = match self.dns.lookup(&reverse_question(self.who.ip)).await {
                Ok(reply) => reply.records,
                Err(_unavailable) => Vec::new(),
            };
            let names = names.into_iter().filter_map(|record| match record {
                DnsRecord::Ptr(name) => Domain::parse(&name).ok(),
                _ => None,
            });
            let names: Vec<Domain> = names.take(HOSTS_MAX).collect();
            let answers = join_all(names.iter().map(|name| self.ask(name.as_str(), self.address_kind()))).await;
            let ip = self.who.ip;
            let leads_back = |answer: &Result<Reply, Stop>| {
                answer.as_ref().is_ok_and(|reply| reply.addresses().any(|address| address == ip))
            };
            let validated = names.into_iter().zip(&answers).filter(|(_, answer)| leads_back(answer));
            self.validated = Some(validated.map(|(name, _)| name).collect());
        }
        self.validated.as_deref().unwrap_or_default()
    }

    async fn target(&mut self, spec: Option<&DomainSpec>, domain: &str) -> Result<String, Stop> {
        match spec {
            Some(spec) => self.expand(spec, domain).await,
            None => Ok(domain.to_owned()),
        }
    }

    async fn expand(&mut self, spec: &DomainSpec, domain: &str) -> Result<String, Stop> {
        if spec.needs_validated_name() {
            self.validated_names().await;
        }
        let expanded = spec.expand(|letter| self.value(letter, domain));
        expanded.ok_or_else(|| Stop::PermError(format!("{domain}: a macro expands beyond any name")))
    }

    fn value(&self, letter: Letter, domain: &str) -> String {
        match letter {
            Letter::Sender => format!("{}@{}", self.who.local, self.who.domain),
            Letter::LocalPart => self.who.local.to_owned(),
            Letter::SenderDomain => self.who.domain.to_owned(),
            Letter::Domain => domain.to_owned(),
            Letter::Ip => dotted(self.who.ip),
            Letter::ValidatedName => self.preferred_name(domain),
            Letter::Family => if self.who.ip.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            Letter::Helo => self.who.helo.to_owned(),
        }
    }

    /// The validated name that fits `domain` best (RFC 7208 section 7.3): itself, one below it, any, or `unknown`.
    fn preferred_name(&self, domain: &str) -> String {
        let names = self.validated.as_deref().unwrap_or_default();
        let own = Domain::parse(domain).ok();
        let same = names.iter().find(|name| Some(*name) == own.as_ref());
        let below = || names.iter().find(|name| own.as_ref().is_some_and(|own| name.is_within(own)));
        same.or_else(below).or(names.first()).map_or_else(|| "unknown".to_owned(), ToString::to_string)
    }

    fn count_lookup(&mut self, domain: &str) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUPS_MAX {
            return Err(Stop::PermError(format!("{domain}: the record asks DNS more than {LOOKUPS_MAX} times")));
        }
        Ok(())
    }

    /// Asks on behalf of a term; an answer without records counts as void.
    async fn ask_counted(&mut self, name: &str, kind: RecordKind) -> Result<Reply, Stop> {
        let reply = self.ask(name, kind).await?;
        if reply.status != Status::Found {
            self.voids += 1;
            if self.voids > VOIDS_MAX {
                return Err(Stop::PermError(format!(
                    "more than {VOIDS_MAX} questions found nothing, the last for {name}"
                )));
            }
        }
        Ok(reply)
    }

    async fn ask(&self, name: &str, kind: RecordKind) -> Result<Reply, Stop> {
        if !can_be_asked(name) {
            return Ok(Reply::nxdomain(std::time::Duration::ZERO));
        }
        Ok(self.dns.lookup(&Question::new(name, kind)).await?)
    }

    fn address_kind(&self) -> RecordKind {
        if self.who.ip.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa }
    }
}

impl Verdict {
    fn new(result: SpfResult, because: String) -> Verdict {
        Verdict { result, allows_everyone: false, because }
    }
}

/// Whether DNS can hold `name` at all; macros may bring in any octet.
fn can_be_asked(name: &str) -> bool {
    const LABEL_OCTETS_MAX: usize = 63;
    !name.is_empty() && name.split('.').all(|label| (1..=LABEL_OCTETS_MAX).contains(&label.len()))
}

impl Prefixes {
    fn hold(self, ip: IpAddr, network: IpAddr) -> bool {
        match (ip, network) {
            (IpAddr::V4(ip), IpAddr::V4(network)) => within_v4(ip.into(), network.into(), self.v4),
            (IpAddr::V6(ip), IpAddr::V6(network)) => within_v6(ip, network, self.v6),
            _ => false,
        }
    }
}

fn within_v4(ip: u32, network: u32, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32u32.saturating_sub(prefix.into())).unwrap_or(0);
    ip & mask == network & mask
}

fn within_v6(ip: Ipv6Addr, network: Ipv6Addr, prefix: u8) -> bool {
    let mask = u128::MAX.checked_shl(128u32.saturating_sub(prefix.into())).unwrap_or(0);
    u128::from(ip) & mask == u128::from(network) & mask
}

/// `%{i}`: dotted octets, or dotted nibbles (RFC 7208 section 7.3).
fn dotted(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().flat_map(|octet| [octet >> 4, octet & 15]);
            nibbles.map(|nibble| format!("{nibble:X}")).collect::<Vec<_>>().join(".")
        }
    }
}
