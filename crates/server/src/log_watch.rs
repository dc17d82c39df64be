//! Watches the mail logs while they are written: each line becomes an event, events become pictures of messages, and detectors
//! raise alerts. Alerts are shown and recorded; nothing is done about them here.
//!
//! One thread reads all logs. Where it stands in each, what it counted, the open messages and the state of the detectors are
//! stored together as one unit, so a line counts once whatever is killed when. Lines that lay there already when nobody
//! looked count as well, and teach the detectors what is usual; their alerts are marked as old.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_watch::detectors::{Limits, Thresholds};

use crate::stores::embedded::Embedded;

mod counts;
mod followed;
mod once;
mod outside;
mod picture;
mod rows;
mod status;
#[cfg(test)]
mod tests;
mod told;
mod unheard;
mod watcher;

pub use outside::{Outside, script_named};
pub use status::Status;
pub use told::Told;

use self::watcher::Watcher;

/// `[logs]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Whether logs are followed.
    pub follow: bool,
    /// The logs, each by the name under which it is written; none means those at the usual places. A log that repeats
    /// another, such as Exim's reject log, must not stand here.
    pub files: Vec<PathBuf>,
    /// Minutes after which a log that is missing, or cannot be read, is an alarm.
    pub missing_minutes: u32,
    /// From which counts on a pattern is an alert.
    pub thresholds: Thresholds,
}

impl Default for Config {
    fn default() -> Config {
        Config { follow: true, files: Vec::new(), missing_minutes: 15, thresholds: Thresholds::default() }
    }
}

/// From one look at the logs to the next, when nothing came.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// From one glance to the next at whether what was read, and may not be on disk, is in its file still.
const GLANCE_EVERY: Duration = Duration::from_millis(20);
/// Requests that wait for the thread, tellings of Exim for the most part.
const QUEUE_MAX: usize = 8192;

/// What the thread is asked to do.
enum Request {
    /// Exim tells something.
    Told(Box<Told>),
    /// The header of a message names a script.
    Script {
        /// Queue id.
        id: String,
        /// The script.
        script: String,
    },
    /// Go on with another configuration.
    Configure(Box<(Config, Limits)>),
    /// Store everything and end.
    Stop,
}

/// The watch over the logs.
pub struct LogWatch {
    requests: SyncSender<Request>,
    status: Arc<Mutex<Status>>,
    lost_tellings: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl LogWatch {
    /// Begins to watch, from where the store says that it was left.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(config: &Config, outside: Outside, store: &Arc<Embedded>) -> std::io::Result<LogWatch> {
        let (requests, receiver) = sync_channel(QUEUE_MAX);
        let status = Arc::new(Mutex::new(Status::default()));
        let watcher = Watcher::new(config.clone(), outside, Arc::clone(store), Arc::clone(&status));
        let thread = std::thread::Builder::new().name("logs".into()).spawn(move || run(watcher, &receiver))?;
        Ok(LogWatch { requests, status, lost_tellings: AtomicU64::new(0), thread: Mutex::new(Some(thread)) })
    }

    /// How the logs are, and what was seen in them.
    pub fn status(&self) -> Status {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status.told.lost = self.lost_tellings.load(Ordering::Relaxed);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.as_ref().is_none_or(JoinHandle::is_finished) {
            status.note = Some("the thread that reads the logs has ended; restart the daemon".into());
        }
        status
    }

    /// Takes what Exim tells of a delivery. Never waits: what there is no room for is lost, and counted.
    pub fn tell(&self, told: Told) {
        if self.requests.try_send(Request::Told(Box::new(told))).is_err() {
            self.lost_tellings.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes which script the header of message `id`, born here, names. Never waits: a hint for which there is no room is no loss.
    pub fn script_is(&self, id: String, script: String) {
        let _no_room = self.requests.try_send(Request::Script { id, script });
    }

    /// Goes on with another configuration and other limits.
    pub fn configure(&self, config: Config, limits: Limits) {
        self.ask(Request::Configure(Box::new((config, limits))));
    }

    /// Stores where it stands, and ends. The store itself must be flushed afterwards.
    pub fn stop(&self) {
        self.ask(Request::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread has been reported by the panic hook already.
            let _ended = thread.join();
        }
    }

    fn ask(&self, request: Request) {
        match self.requests.try_send(request) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(request)) => {
                // The thread takes requests between two looks.
                let _ended = self.requests.send(request);
            }
        }
    }
}

fn run(mut watcher: Watcher, requests: &Receiver<Request>) {
    loop {
        let has_more = watcher.look(jiff::Timestamp::now());
        let pause = if has_more { Duration::ZERO } else { LOOK_EVERY };
        let mut request = wait(&watcher, requests, pause);
        loop {
            match request {
                Ok(Request::Told(told)) => watcher.tell(*told, jiff::Timestamp::now()),
                Ok(Request::Script { id, script }) => watcher.script_is(&id, &script),
                Ok(Request::Configure(configured)) => watcher.configure(configured.0, configured.1),
                Ok(Request::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    watcher.store(jiff::Timestamp::now());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => break,
            }
            request = requests.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
    }
}

/// Waits for a request, no longer than `pause`, and only until a log goes away of which something may not be on disk.
fn wait(watcher: &Watcher, requests: &Receiver<Request>, pause: Duration) -> Result<Request, RecvTimeoutError> {
    let until = Instant::now() + pause;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let glance = if watcher.has_something_to_lose() { left.min(GLANCE_EVERY) } else { left };
        match requests.recv_timeout(glance) {
            Err(RecvTimeoutError::Timeout) if glance < left && !watcher.is_endangered() => {}
            request => return request,
        }
    }
}
