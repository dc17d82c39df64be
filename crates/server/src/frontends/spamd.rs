//! The front-end that stands in for SpamAssassin's spamd: spamc, amavis and Exim's `spam =` ask it unchanged (see
//! `tidegate_wire::spamd`). It only advises: what is refused, kept back or made to wait elsewhere is spam or not spam here, and nothing
//! is learned of the client, because nobody tells what becomes of the message. Off until it is given a place to listen.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::read::ZlibDecoder;
use tidegate_filter::aside::in_place;
use tidegate_wire::spamd::{self, Fault, HEAD_OCTETS_MAX, Head, Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::daemon::Daemon;
use crate::room::{Room, Taken};

use config::Config;
use places::Listener;

pub mod config;
mod judge;
mod markup;
pub mod places;
mod report;

/// Clients served at once at each place; further ones wait.
const CONNECTIONS_MAX: usize = 200;
/// How long a client may take with its request, as spamd lets it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
/// How long it may take when others wait for its place or room, if its message is small.
const HURRIED_TIMEOUT: Duration = Duration::from_secs(10);
/// Octets of a larger message that earn it a second more.
const HURRIED_OCTETS_A_SECOND: usize = 4 << 20;
/// How often a client that says nothing is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a large message waits for room, and again for its turn to be judged. Exim's `spam` gives up after two minutes.
const ROOM_TIMEOUT: Duration = Duration::from_secs(90);
/// A message up to this size waits for no room: all clients of a place together hold 50 MB of such.
const SMALL_OCTETS_MAX: usize = 256 * 1024;
/// How long a client may take to read its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the end of a connection is waited for once the answer has been given.
const LINGER: Duration = Duration::from_secs(2);
/// Octets that are read at the end of a connection, so that the answer is not lost to a reset.
const LINGER_OCTETS_MAX: u64 = 1 << 20;
/// Octets a request may have beyond its message, for what is read with the head.
const READ_OCTETS: usize = 64 * 1024;

/// Answers requests on `listener` until the task is dropped. Messages are judged on `content`.
async fn serve(listener: Listener, daemon: Arc<Daemon>, content: Handle) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let config = Arc::new(daemon.config.load().spamd.clone());
        let occasion =
            Occasion { daemon: Arc::clone(&daemon), config, places: Arc::clone(&places), content: content.clone() };
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                if !occasion.config.clients.iter().any(|net| net.contains(&peer.ip().to_canonical())) {
                    tracing::warn!(%peer, "a client that is not in [spamd] clients asked");
                    daemon.counters.refused_peers.increment();
                    return;
                }
                tokio::spawn(async move {
                    converse(stream, occasion).await;
                    drop(place);
                });
            }),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                tokio::spawn(async move {
                    converse(stream, occasion).await;
                    drop(place);
                });
            }),
        };
        if let Err(error) = accepted {
            tracing::warn!(%error, "cannot accept a connection of a spamd client");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// What a client is answered with, and who else may want its place.
struct Occasion {
    daemon: Arc<Daemon>,
    config: Arc<Config>,
    places: Arc<Semaphore>,
    content: Handle,
}

/// A request as it came.
struct Request {
    head: Head,
    message: Vec<u8>,
    /// Its share of what may be held at once; `None` for a small message.
    room: Option<Taken>,
}

/// One request and its answer. The end of the connection is waited for: closed with octets unread, it would be reset, and the answer
/// lost on its way.
async fn converse<S>(mut stream: S, occasion: Occasion)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (octets, room) = match request(&mut stream, &occasion).await {
        Ok(None) => return,
        Ok(Some(Request { head, message, room })) => (answer(head, message, &occasion).await, room),
        Err(fault) => (Err(fault), None),
    };
    let octets = octets.unwrap_or_else(|fault| {
        tracing::warn!(%fault, "a request of a spamd client cannot be answered");
        fault.encode()
    });
    let answered = tokio::time::timeout(ANSWER_TIMEOUT, async {
        stream.write_all(&octets).await?;
        stream.shutdown().await
    });
    let is_answered = matches!(answered.await, Ok(Ok(())));
    drop((octets, room));
    if is_answered {
        let mut rest = stream.take(LINGER_OCTETS_MAX);
        let _gone_or_late = tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

/// The head, and the message if one follows; `None` if the client went away without a word.
async fn request(stream: &mut (impl AsyncRead + Unpin), occasion: &Occasion) -> Result<Option<Request>, Fault> {
    let pace = Pace::begin(occasion, 0);
    let mut octets = Vec::with_capacity(HEAD_OCTETS_MAX);
    let read = loop {
        if let Some(read) = Head::read(&octets)? {
            break read;
        }
        if more(stream, &mut octets, &pace).await? == 0 {
            return match octets.as_slice() {
                [] => Ok(None),
                _ => Err(Fault::BadLine("(the request ends before its message)".into())),
            };
        }
    };
    octets.drain(..read.octets);
    let mut room = None;
    if read.head.method.has_message() {
        let octets_max = occasion.config.octets_max;
        let announced = read.head.length.unwrap_or(octets_max);
        if announced > octets_max {
            return Err(too_large(octets_max));
        }
        // What is packed is unpacked beside it.
        let held = if read.head.is_compressed { announced.saturating_add(octets_max) } else { announced };
        if held > SMALL_OCTETS_MAX {
            room = Some(room_for(held, &occasion.daemon.rooms.spamd_held).await?);
        }
        // What no octet has come for takes no memory, and nothing has to move.
        octets.reserve_exact(announced.saturating_add(READ_OCTETS));
        message(stream, &read.head, &mut octets, octets_max, &Pace::begin(occasion, held)).await?;
    }
    Ok(Some(Request { head: read.head, message: octets, room }))
}

fn too_large(octets_max: usize) -> Fault {
    Fault::Unavailable(format!("the message is larger than {octets_max} octets"))
}

/// Waits for room.
async fn room_for(octets: usize, room: &Room) -> Result<Taken, Fault> {
    let taken = tokio::time::timeout(ROOM_TIMEOUT, room.take(octets)).await;
    taken.ok().flatten().ok_or_else(|| Fault::Unavailable("too many large messages at once; ask again".into()))
}

/// How long a client may take with its request: less, when others wait for what it holds.
struct Pace<'a> {
    began: Instant,
    hurried: Duration,
    occasion: &'a Occasion,
}

impl<'a> Pace<'a> {
    fn begin(occasion: &'a Occasion, octets: usize) -> Pace<'a> {
        let more = u64::try_from(octets / HURRIED_OCTETS_A_SECOND).unwrap_or(u64::MAX);
        let hurried = HURRIED_TIMEOUT.saturating_add(Duration::from_secs(more)).min(REQUEST_TIMEOUT);
        Pace { began: Instant::now(), hurried, occasion }
    }

    /// The time is over, or it is for the sake of others.
    fn check(&self) -> Result<(), Fault> {
        let is_wanted =
            || self.occasion.daemon.rooms.spamd_held.is_wanted() || self.occasion.places.available_permits() == 0;
        let allowed = if is_wanted() { self.hurried } else { REQUEST_TIMEOUT };
        if self.began.elapsed() > allowed { Err(Fault::Timeout(allowed.as_secs())) } else { Ok(()) }
    }
}

/// The rest of the message: as long as was announced, else until the client stops writing.
async fn message(
    stream: &mut (impl AsyncRead + Unpin),
    head: &Head,
    octets: &mut Vec<u8>,
    octets_max: usize,
    pace: &Pace<'_>,
) -> Result<(), Fault> {
    let wanted = head.length.unwrap_or(usize::MAX);
    while octets.len() < wanted && octets.len() <= octets_max {
        if more(stream, octets, pace).await? == 0 {
            break;
        }
    }
    let got = octets.len();
    if got > octets_max {
        return Err(too_large(octets_max));
    }
    match head.length {
        Some(expected) if expected != got => Err(Fault::LengthMismatch { expected, got }),
        _ => Ok(()),
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), octets: &mut Vec<u8>, pace: &Pace<'_>) -> Result<usize, Fault> {
    octets.reserve(READ_OCTETS);
    loop {
        pace.check()?;
        if let Ok(read) = tokio::time::timeout(LOOK_INTERVAL, stream.read_buf(octets)).await {
            return read.map_err(|error| Fault::BadLine(format!("(the request breaks off: {error})")));
        }
    }
}

async fn answer(head: Head, message: Vec<u8>, occasion: &Occasion) -> Result<Vec<u8>, Fault> {
    match head.method {
        Method::Ping => return Ok(spamd::PONG.to_vec()),
        Method::Skip => return Ok(Vec::new()),
        Method::Tell => {
            return Err(Fault::Unavailable("Tidegate does not learn from TELL; nothing was changed".into()));
        }
        _ => {}
    }
    let (daemon, config) = (Arc::clone(&occasion.daemon), Arc::clone(&occasion.config));
    let judged = occasion.content.spawn(async move {
        // Whoever sends a megabyte of nothing, packed, takes the time of what it becomes.
        let octets = if head.is_compressed { config.octets_max } else { message.len() };
        let turn = match in_place(octets) {
            true => None,
            false => Some(room_for(octets, &daemon.rooms.spamd).await?),
        };
        let message = if head.is_compressed { unpacked(&message, config.octets_max)? } else { message };
        let judged = judge::judge(&daemon, message, head.user.as_deref()).await?;
        let body = match head.method {
            Method::Symbols => judged.symbols().join(",").into_bytes(),
            Method::Report => judged.report().into_bytes(),
            Method::ReportIfSpam if judged.summary.is_spam => judged.report().into_bytes(),
            Method::Process => judged.rewritten(config.report_safe).whole(),
            Method::Headers => judged.rewritten(config.report_safe).header(),
            _ => Vec::new(),
        };
        drop(turn);
        Ok(spamd::answer(&head, judged.summary, &body))
    });
    judged.await.unwrap_or_else(|error| {
        tracing::error!(%error, "judging for a spamd client failed");
        Err(Fault::Unavailable("the message could not be judged".into()))
    })
}

/// A message that was packed with zlib; a small one can become a huge one.
fn unpacked(packed: &[u8], octets_max: usize) -> Result<Vec<u8>, Fault> {
    let mut octets = Vec::new();
    let limit = u64::try_from(octets_max).unwrap_or(u64::MAX);
    let mut decoder = ZlibDecoder::new(packed).take(limit.saturating_add(1));
    decoder.read_to_end(&mut octets).map_err(|error| Fault::Unavailable(format!("zlib: {error}")))?;
    if octets.len() > octets_max {
        return Err(too_large(octets_max));
    }
    Ok(octets)
}
