//! Name resolution over hickory, behind one cache: a warm answer costs a look-up in a map, a name that is asked by many
//! sessions at once is sent once, and silence is remembered for a moment so that a dead server delays one session, not all.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use quick_cache::sync::Cache;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_filter::dns::{Question, Record, RecordKind, Reply, Resolver};
use tidegate_filter::known::{Answer, Known, Service, Unavailable};
use tidegate_mail::Domain;

mod live;
mod pulse;
pub mod zone;

pub use live::{Live, Seen};
use pulse::Pulse;

/// Answers that are kept, at about 300 bytes each.
const ANSWERS_MAX: usize = 50_000;
/// Longest time an answer is kept, whatever its TTL says: a listing must be able to end.
const KEPT_MAX: Duration = Duration::from_secs(3600);
/// How long a negative answer without an SOA is kept; hickory does not keep those.
const NEGATIVE_KEPT: Duration = Duration::from_secs(60);
/// How long silence is remembered.
const SILENCE_KEPT: Duration = Duration::from_secs(5);
/// Questions that may be under way at once.
const ACTIVE_MAX: usize = 1024;
/// Records of one answer that are used.
const RECORDS_MAX: usize = 100;

const TIMEOUT_MS: NonZeroU64 = NonZeroU64::new(1000).expect("it is above zero");

/// `[dns]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Resolvers to ask, as addresses with or without a port (53); those of /etc/resolv.conf if empty. Blocklists refuse public
    /// resolvers: run an own one on this machine.
    #[serde(deserialize_with = "addresses")]
    #[schemars(with = "Vec<String>")]
    pub servers: Vec<SocketAddr>,
    /// How long one question may take, in milliseconds.
    pub timeout_ms: NonZeroU64,
}

impl Default for Config {
    fn default() -> Config {
        Config { servers: Vec::new(), timeout_ms: TIMEOUT_MS }
    }
}

/// Where resolvers listen (RFC 1035 section 4.2).
const PORT: u16 = 53;

fn addresses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    Vec::<Server>::deserialize(deserializer).map(|servers| servers.into_iter().map(|Server(address)| address).collect())
}

/// A resolver as it is written: `127.0.0.1`, `127.0.0.1:53`, `::1`, `[::1]:53`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Server(SocketAddr);

impl TryFrom<String> for Server {
    type Error = String;

    fn try_from(text: String) -> Result<Server, String> {
        let address = text.parse().or_else(|_| Ok::<_, std::net::AddrParseError>(SocketAddr::new(text.parse()?, PORT)));
        address.map(Server).map_err(|_| {
            format!("`{text}` is no address of a resolver: write it as 127.0.0.1, 127.0.0.1:53, ::1 or [::1]:53, not as a name")
        })
    }
}

/// The server's [`Resolver`].
pub struct Dns(Arc<Asker>);

struct Asker {
    hickory: TokioResolver,
    deadline: Duration,
    kept: Cache<Question, Arc<Kept>>,
    pulse: Pulse,
}

struct Kept {
    answer: Known<Reply>,
    until: Instant,
}

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
pub enum NoResolver {
    /// /etc/resolv.conf cannot be read, and no servers are configured.
    #[error("no resolver to ask: {0}; name one in [dns] servers")]
    NoServers(NetError),
}

impl Dns {
    /// A resolver as configured.
    ///
    /// # Errors
    /// /etc/resolv.conf is needed but cannot be read.
    pub fn new(config: &Config) -> Result<Dns, NoResolver> {
        let deadline = Duration::from_millis(config.timeout_ms.get());
        let mut builder = if config.servers.is_empty() {
            TokioResolver::builder_tokio().map_err(NoResolver::NoServers)?
        } else {
            let servers = config.servers.iter().map(name_server).collect();
            // No search list: a name is asked as it stands.
            let servers = ResolverConfig::from_parts(None, Vec::new(), servers);
            TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
        };
        set_options(builder.options_mut(), deadline);
        let hickory = builder.build().map_err(NoResolver::NoServers)?;
        Ok(Dns(Arc::new(Asker { hickory, deadline, kept: Cache::new(ANSWERS_MAX), pulse: Pulse::default() })))
    }

    /// Whether most questions of late were not answered.
    fn is_weak(&self) -> bool {
        self.0.pulse.is_weak(Instant::now())
    }

    /// Whether one of two questions, whose answers are in no client's hands, is answered now.
    async fn answers(&self, hostname: &Domain) -> bool {
        let own = Question::new(hostname.as_str(), RecordKind::A);
        let common = Question::new("in-addr.arpa", RecordKind::Ns);
        let (own, common) = tokio::join!(self.0.in_time(&own), self.0.in_time(&common));
        own.is_ok() || common.is_ok()
    }
}

impl Asker {
    async fn ask(&self, question: &Question) -> Kept {
        let answer = self.in_time(question).await;
        self.pulse.note(answer.is_ok(), Instant::now());
        let keep = match &answer {
            Ok(reply) if reply.records.is_empty() => reply.ttl.clamp(NEGATIVE_KEPT, KEPT_MAX),
            Ok(reply) => reply.ttl.min(KEPT_MAX),
            Err(_) => SILENCE_KEPT,
        };
        Kept { answer, until: Instant::now() + keep }
    }

    async fn in_time(&self, question: &Question) -> Known<Reply> {
        let asked = tokio::time::timeout(self.deadline, self.send(question)).await;
        asked.unwrap_or_else(|_elapsed| {
            let cause = format!("{question}: no answer within {} ms", self.deadline.as_millis());
            Err(Unavailable::new(Service::Dns, cause))
        })
    }

    async fn send(&self, question: &Question) -> Known<Reply> {
        // What is no name does not exist; it is not worth a packet.
        let Ok(name) = Name::from_ascii(format!("{}.", question.name())) else {
            return Ok(Reply::nxdomain(KEPT_MAX));
        };
        match self.hickory.lookup(name, record_type(question.kind())).await {
            Ok(lookup) => {
                let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
                let records = lookup.answers().iter().filter_map(|record| read(&record.data, question.kind()));
                Ok(Reply::found(records.take(RECORDS_MAX).collect(), ttl))
            }
            Err(error) => negative(question, error),
        }
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn set_options(options: &mut ResolverOpts, deadline: Duration) {
    // "attempts" counts repetitions: two tries fit into the deadline, and UDP loses packets.
    options.timeout = deadline / 2;
    options.attempts = 1;
    options.use_hosts_file = ResolveHosts::Never;
    options.max_active_requests = ACTIVE_MAX;
    options.cache_size = 0;
    options.ndots = 0;
}

fn negative(question: &Question, error: NetError) -> Known<Reply> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            let ttl = none.negative_ttl.map_or(NEGATIVE_KEPT, |seconds| Duration::from_secs(u64::from(seconds)));
            let is_nxdomain = none.response_code == hickory_resolver::proto::op::ResponseCode::NXDomain;
            Ok(if is_nxdomain { Reply::nxdomain(ttl) } else { Reply::found(Vec::new(), ttl) })
        }
        other => Err(Unavailable::new(Service::Dns, format!("{question}: {other}"))),
    }
}

fn record_type(kind: RecordKind) -> RecordType {
    match kind {
        RecordKind::A => RecordType::A,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Mx => RecordType::MX,
        RecordKind::Ns => RecordType::NS,
        RecordKind::Ptr => RecordType::PTR,
        RecordKind::Txt => RecordType::TXT,
    }
}

fn read(data: &RData, kind: RecordKind) -> Option<Record> {
    let text = |name: &Name| name.to_ascii().trim_end_matches('.').to_owned();
    match (kind, data) {
        (RecordKind::A, RData::A(a)) => Some(Record::A(a.0)),
        (RecordKind::Aaaa, RData::AAAA(aaaa)) => Some(Record::Aaaa(aaaa.0)),
        (RecordKind::Mx, RData::MX(mx)) => Some(Record::Mx(mx.preference, text(&mx.exchange))),
        (RecordKind::Ns, RData::NS(ns)) => Some(Record::Ns(text(&ns.0))),
        (RecordKind::Ptr, RData::PTR(ptr)) => Some(Record::Ptr(text(&ptr.0))),
        (RecordKind::Txt, RData::TXT(txt)) => Some(Record::Txt(txt.txt_data.concat())),
        // CNAMEs stand in the answer as well; their targets' records follow.
        _ => None,
    }
}

impl Resolver for Dns {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        Box::pin(async move {
            if let Some(kept) = self.0.kept.get(question).filter(|kept| kept.until > Instant::now()) {
                return kept.answer.clone();
            }
            // Who asks may wait less long than an answer takes; it is kept all the same, silence as well.
            let (asker, question) = (Arc::clone(&self.0), question.clone());
            match tokio::spawn(async move { asker.answer(&question).await }).await {
                Ok(answer) => answer,
                Err(_panic) => Err(Unavailable::new(Service::Dns, "asking DNS failed")),
            }
        })
    }
}

impl Asker {
    /// The answer to a question that is not kept any more, which is sent once however many ask it now.
    async fn answer(&self, question: &Question) -> Known<Reply> {
        self.kept.remove_if(question, |kept| kept.until <= Instant::now());
        let asked = self.kept.get_or_insert_async(question, async {
            Ok::<_, std::convert::Infallible>(Arc::new(self.ask(question).await))
        });
        match asked.await {
            Ok(kept) => kept.answer.clone(),
            Err(never) => match never {},
        }
    }
}
