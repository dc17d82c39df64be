//! The front-end for Exim: one request a connection on a Unix socket (see `tidegate_wire::exim`). Only Exim's own user may ask.
//! The answer is always given within the stage's deadline; whatever goes wrong here, mail flows.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tidegate_filter::store::Write;
use tidegate_wire::exim::{Action, Answer, Ask, REQUEST_OCTETS_MAX, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::daemon::Daemon;

pub mod config;
mod judge;
pub mod slot;
pub(crate) mod spool;
pub mod waits;

/// Requests that are read or answered at once; Exim has at most some hundreds of processes.
const CONNECTIONS_MAX: usize = 2_000;
/// How long a request may take to arrive; Exim writes it in one go.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Two files beside the socket that name the process which listens: its number, and a link to its folder in /proc, which leads nowhere
/// once it is gone. Exim must not try to connect where nobody listens (see `tidegate_is_gone` in `packaging/exim/acls.conf`), and of a
/// killed process, the socket's own file stays. Dropping it says that nobody listens any more.
pub struct Listening {
    file: PathBuf,
    link: PathBuf,
    holder: Holder,
}

/// Who keeps the socket open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This process: nobody listens any more when it is gone.
    Daemon,
    /// Systemd, whether this process runs or not.
    Systemd,
}

impl Listening {
    /// Says that `holder` keeps `socket` open.
    ///
    /// # Errors
    /// The files cannot be written; no event is told then.
    pub fn announce(socket: &Path, holder: Holder) -> std::io::Result<Listening> {
        let beside = |ending: &str| {
            let mut path = socket.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        let listening = Listening { file: beside(".pid"), link: beside(".alive"), holder };
        listening.write(match holder {
            Holder::Daemon => std::process::id(),
            Holder::Systemd => 1,
        })?;
        Ok(listening)
    }

    /// No process has the number 0.
    fn write(&self, pid: u32) -> std::io::Result<()> {
        // The link first: where it leads nowhere, the number decides.
        let fresh = self.link.with_extension("alive-new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::os::unix::fs::symlink(format!("/proc/{pid}"), &fresh)?;
        std::fs::rename(&fresh, &self.link)?;
        let fresh = self.file.with_extension("pid-new");
        std::fs::write(&fresh, pid.to_string())?;
        std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o644))?;
        std::fs::rename(&fresh, &self.file)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.holder == Holder::Systemd {
            return;
        }
        // Files that are left as they were name a process that is gone soon.
        let _left_over = self.write(0);
    }
}

/// Answers requests on `listener` until the task is dropped. Messages are judged on `content`, a runtime of its own, so
/// that envelope asks stay fast while a large message is taken apart. Either way a request has one task, from its first octet to
/// what is remembered: each thread that is woken on the way is a wait for the client.
pub async fn serve(listener: UnixListener, daemon: Arc<Daemon>, content: Handle) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (daemon, content) = (Arc::clone(&daemon), content.clone());
                tokio::spawn(async move { hear(Peer { stream, _place: place }, daemon, content).await });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection from Exim");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One process of Exim that waits for an answer.
struct Peer {
    stream: UnixStream,
    _place: OwnedSemaphorePermit,
}

async fn hear(mut peer: Peer, daemon: Arc<Daemon>, content: Handle) {
    let allowed = peer.stream.peer_cred().is_ok_and(|peer| daemon.may_ask(peer.uid()));
    if !allowed {
        daemon.counters.refused_peers.increment();
        return;
    }
    let Some(request) = read_request(&mut peer.stream).await else {
        daemon.counters.unreadable_asks.increment();
        return;
    };
    let began = Instant::now();
    match Ask::decode(&request) {
        Ok(ask) if matches!(ask.stage, Stage::Data | Stage::NotSmtp) => {
            content.spawn(async move { answer(peer, ask, &daemon, began).await });
        }
        Ok(ask) => answer(peer, ask, &daemon, began).await,
        Err(error) => {
            tracing::warn!(%error, "an ask could not be read; the mail goes on");
            daemon.counters.unreadable_asks.increment();
            give(peer, Answered::accept(), &daemon).await;
        }
    }
}

async fn answer(peer: Peer, ask: Ask, daemon: &Arc<Daemon>, began: Instant) {
    let stage = ask.stage;
    // A session whose ask panicked is judged as far as it came: its next ask carries all facts again.
    let judged = AssertUnwindSafe(judge::answer(daemon, ask)).catch_unwind().await;
    let answered = judged.unwrap_or_else(|_panic| {
        tracing::error!("judging an ask failed; the mail goes on");
        daemon.counters.failed_asks.increment();
        Answered::accept()
    });
    daemon.waits.note(stage, began.elapsed());
    give(peer, answered, daemon).await;
}

/// Exim may have given up waiting. A reply that was not given must not be remembered as given: a client that never heard of
/// greylisting has not begun to wait.
async fn give(mut peer: Peer, answered: Answered, daemon: &Daemon) {
    let Answered { answer, writes } = answered;
    if peer.stream.write_all(&answer.encode()).await.is_err() {
        return;
    }
    drop(peer);
    if !writes.is_empty() {
        daemon.conclude.remember(&writes, &daemon.world).await;
    }
}

/// An answer, with what is to be remembered once it has been given.
struct Answered {
    answer: Answer,
    writes: Vec<Write>,
}

impl Answered {
    fn accept() -> Answered {
        Answered::only(Answer::new(Action::Accept))
    }

    fn only(answer: Answer) -> Answered {
        Answered { answer, writes: Vec::new() }
    }
}

/// One line, without a limit on how often it arrives in pieces but with one on its length and its time.
async fn read_request(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut request = Vec::with_capacity(1024);
    let read = async {
        let mut limited = stream.take(u64::try_from(REQUEST_OCTETS_MAX).unwrap_or(u64::MAX) + 1);
        loop {
            let count = limited.read_buf(&mut request).await.ok()?;
            if count == 0 || request.ends_with(b"\n") {
                return Some(());
            }
        }
    };
    tokio::time::timeout(REQUEST_TIMEOUT, read).await.ok()??;
    (!request.is_empty()).then_some(request)
}
