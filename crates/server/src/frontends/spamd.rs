//! The front-end that stands in for SpamAssassin's spamd: spamc, amavis and Exim's `spam =` ask it unchanged (see
//! `tidegate_wire::spamd`). It only advises: what is refused, kept back or made to wait elsewhere is spam or not spam here, and nothing
//! is learned of the client, because nobody tells what becomes of the message. Off until it is given a place to listen.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use flate2::read::ZlibDecoder;
use tidegate_wire::spamd::{self, Fault, HEAD_OCTETS_MAX, Head, Method};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::daemon::Daemon;

use config::Config;
use places::Listener;

pub mod config;
mod judge;
mod markup;
pub mod places;
mod report;

/// Clients served at once; further ones wait.
const CONNECTIONS_MAX: usize = 200;
/// How long a client may take with its request, as spamd lets it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(300);
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
        let (daemon, content) = (Arc::clone(&daemon), content.clone());
        let accepted = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                let config = Arc::new(daemon.config.load().spamd.clone());
                let may_ask = config.clients.iter().any(|net| net.contains(&peer.ip().to_canonical()));
                if !may_ask {
                    tracing::warn!(%peer, "a client that is not in [spamd] clients asked");
                    daemon.counters.refused_peers.increment();
                    return;
                }
                tokio::spawn(async move {
                    converse(stream, config, daemon, content).await;
                    drop(place);
                });
            }),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                let config = Arc::new(daemon.config.load().spamd.clone());
                tokio::spawn(async move {
                    converse(stream, config, daemon, content).await;
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

/// One request and its answer. The end of the connection is waited for: closed with octets unread, it would be reset, and the answer
/// lost on its way.
async fn converse<S>(mut stream: S, config: Arc<Config>, daemon: Arc<Daemon>, content: Handle)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let seconds = REQUEST_TIMEOUT.as_secs();
    let request = tokio::time::timeout(REQUEST_TIMEOUT, request(&mut stream, config.octets_max));
    let answer = match request.await.unwrap_or(Err(Fault::Timeout(seconds))) {
        Ok(None) => return,
        Ok(Some((head, message))) => answer(head, message, config, daemon, &content).await,
        Err(fault) => Err(fault),
    };
    let octets = answer.unwrap_or_else(|fault| {
        tracing::warn!(%fault, "a request of a spamd client cannot be answered");
        fault.encode()
    });
    if stream.write_all(&octets).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut rest = stream.take(LINGER_OCTETS_MAX);
        let _gone_or_late = tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

/// The head, and the message if one follows; `None` if the client went away without a word.
async fn request(stream: &mut (impl AsyncRead + Unpin), octets_max: usize) -> Result<Option<(Head, Vec<u8>)>, Fault> {
    let mut octets = Vec::with_capacity(HEAD_OCTETS_MAX);
    let read = loop {
        if let Some(read) = Head::read(&octets)? {
            break read;
        }
        if more(stream, &mut octets).await? == 0 {
            return match octets.as_slice() {
                [] => Ok(None),
                _ => Err(Fault::BadLine("(the request ends before its message)".into())),
            };
        }
    };
    octets.drain(..read.octets);
    if read.head.method.has_message() {
        message(stream, &read.head, &mut octets, octets_max).await?;
    }
    Ok(Some((read.head, octets)))
}

/// The rest of the message: as long as was announced, else until the client stops writing.
async fn message(
    stream: &mut (impl AsyncRead + Unpin),
    head: &Head,
    octets: &mut Vec<u8>,
    octets_max: usize,
) -> Result<(), Fault> {
    let wanted = head.length.unwrap_or(usize::MAX);
    while octets.len() < wanted && octets.len() <= octets_max {
        if more(stream, octets).await? == 0 {
            break;
        }
    }
    let got = octets.len();
    if got > octets_max {
        return Err(Fault::Unavailable(format!("the message is larger than {octets_max} octets")));
    }
    match head.length {
        Some(expected) if expected != got => Err(Fault::LengthMismatch { expected, got }),
        _ => Ok(()),
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), octets: &mut Vec<u8>) -> Result<usize, Fault> {
    octets.reserve(READ_OCTETS);
    stream.read_buf(octets).await.map_err(|error| Fault::BadLine(format!("(the request breaks off: {error})")))
}

async fn answer(
    head: Head,
    message: Vec<u8>,
    config: Arc<Config>,
    daemon: Arc<Daemon>,
    content: &Handle,
) -> Result<Vec<u8>, Fault> {
    match head.method {
        Method::Ping => return Ok(spamd::PONG.to_vec()),
        Method::Skip => return Ok(Vec::new()),
        Method::Tell => {
            return Err(Fault::Unavailable("Tidegate does not learn from TELL; nothing was changed".into()));
        }
        _ => {}
    }
    let judged = content.spawn(async move {
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
        return Err(Fault::Unavailable(format!("the message is larger than {octets_max} octets")));
    }
    Ok(octets)
}
