//! The front-end for Exim: one request a connection on a Unix socket (see `tidegate_wire::exim`). Only Exim's own user may ask.
//! The answer is always given within the stage's deadline; whatever goes wrong here, mail flows.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use tidegate_filter::store::Write;
use tidegate_wire::exim::{Action, Answer, Ask};

use self::hearing::Peer;
use self::slot::Slot;
use crate::conclude::Conclusion;
use crate::daemon::Daemon;
use crate::sessions::Begun;

pub mod config;
pub mod hearing;
mod judge;
pub mod slot;
pub(crate) mod spool;
pub mod waits;

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

async fn answer(peer: Peer, ask: Ask, daemon: &Arc<Daemon>, began: Instant) {
    if judge::is_judged(ask.stage) && peer.is_gone() {
        // Exim went on without a verdict. A session that is begun now would never be ended.
        daemon.counters.late_asks.increment();
        return;
    }
    let (stage, takes_quoted) = (ask.stage, ask.content.takes_quoted);
    // A session whose ask panicked is judged as far as it came, and one that was begun for it is gone: the next ask carries all facts again.
    let judged = AssertUnwindSafe(judge::answer(daemon, ask)).catch_unwind().await;
    let answered = judged.unwrap_or_else(|_panic| {
        tracing::error!("judging an ask failed; the mail goes on");
        daemon.counters.failed_asks.increment();
        Answered::accept()
    });
    daemon.waits.note(stage, began.elapsed());
    let line = if takes_quoted { answered.answer.encode_quoted() } else { answered.answer.encode() };
    if !give(peer, &line, answered, daemon).await && judge::is_judged(stage) {
        daemon.counters.late_answers.increment();
    }
}

/// Whether the answer could be given: Exim may have given up waiting. A reply that was not given is neither recorded, counted nor remembered
/// as given: a client that never heard of greylisting has not begun to wait. Nor does Exim know the name of a session that was begun for it.
async fn give(peer: Peer, line: &[u8], answered: Answered, daemon: &Daemon) -> bool {
    let Answered { conclusion, writes, begun, .. } = answered;
    if hearing::send(peer, line).await.is_err() {
        drop(begun);
        if let Some(conclusion) = conclusion {
            daemon.conclude.unheard(conclusion, &daemon.world).await;
        }
        return false;
    }
    if let Some(begun) = begun {
        begun.keep();
    }
    if let Some(conclusion) = conclusion {
        daemon.conclude.heard(conclusion);
    }
    if !writes.is_empty() {
        daemon.conclude.remember(&writes, &daemon.world).await;
    }
    true
}

/// An answer, with what is to be recorded and remembered once it has been given.
struct Answered {
    answer: Answer,
    conclusion: Option<Conclusion>,
    writes: Vec<Write>,
    /// The session that was begun for this ask: it ends unless the answer is given.
    begun: Option<Begun<Slot>>,
}

impl Answered {
    fn accept() -> Answered {
        Answered::only(Answer::new(Action::Accept))
    }

    fn only(answer: Answer) -> Answered {
        Answered { answer, conclusion: None, writes: Vec::new(), begun: None }
    }
}
