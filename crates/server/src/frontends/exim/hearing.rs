//! The threads that hear Exim. Each waits for a connection itself, reads the request, judges and answers: every other thread that had to
//! be woken in between would be a wait for the client as long as the judging of an envelope. What has to wait for somebody (DNS, the
//! disk, a request that comes in pieces) goes on in a runtime, and so does a message that takes long.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt::socket_peercred};
use tidegate_filter::aside::in_place;
use tidegate_wire::exim::{Ask, REQUEST_OCTETS_MAX, Stage};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Answered, answer, give};
use crate::daemon::Daemon;

/// Threads that hear: more than there are processors for the judging of envelopes on a usual server, and one may hold a message.
const THREADS: usize = 4;
/// Messages that are judged at once on threads that hear. These threads are as nice as any, so a hostile message competes with envelopes.
const MESSAGES_MAX: usize = 1;
/// Requests that are read or answered at once; Exim has at most some hundreds of processes.
const CONNECTIONS_MAX: usize = 2_000;
/// Room for a usual request, that of a short message included.
const REQUEST_OCTETS_USUAL: usize = 4096;
/// How long a thread waits for a request, all its pieces together: Exim writes it in one go, right after it has connected.
const REQUEST_SOON: Duration = Duration::from_millis(2);
/// How long a request may take to arrive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long nothing is accepted after a connection could not be: most likely, there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// What an event of epoll is about.
const CONNECTION: u64 = 0;
const STOP: u64 = 1;

/// The threads that hear. Dropping it ends them: no connection is accepted any more, and what was accepted is answered.
pub struct Hearing {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What all threads use.
struct Shared {
    listener: UnixListener,
    /// Becomes readable when all are to end.
    stop: OwnedFd,
    daemon: Arc<Daemon>,
    /// Where envelope asks go on that have to wait.
    envelope: Handle,
    /// Where messages are judged that take long or have to wait.
    content: Handle,
    places: Arc<Semaphore>,
    messages: Semaphore,
}

/// One process of Exim that waits for an answer.
pub(super) struct Peer {
    pub(super) stream: UnixStream,
    _place: OwnedSemaphorePermit,
}

impl Peer {
    /// Whether Exim has closed the connection already, so that nobody would hear an answer. Who only has no more to say (a half-closed
    /// connection) still waits for one.
    pub(super) fn is_gone(&self) -> bool {
        is_closed(&self.stream)
    }
}

fn is_closed(stream: &UnixStream) -> bool {
    let mut wait = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut wait, Some(&now)).is_ok()
        && wait.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR))
}

/// All that is left to do for one request.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Hearing {
    /// Answers requests on `listener`. Envelope asks that have to wait go on in `envelope`, messages in `content`.
    ///
    /// # Errors
    /// The system gives no thread, or none of what these need.
    pub fn start(
        listener: UnixListener,
        daemon: Arc<Daemon>,
        envelope: Handle,
        content: Handle,
    ) -> io::Result<Hearing> {
        listener.set_nonblocking(true)?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC)?;
        let (places, messages) = (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Semaphore::new(MESSAGES_MAX));
        let shared = Arc::new(Shared { listener, stop, daemon, envelope, content, places, messages });
        let mut hearing = Hearing { shared, threads: Vec::new() };
        for _ in 0..THREADS {
            let shared = Arc::clone(&hearing.shared);
            let events = shared.events()?;
            let thread = std::thread::Builder::new().name("exim".into()).spawn(move || shared.hear_all(&events))?;
            hearing.threads.push(thread);
        }
        Ok(hearing)
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        if rustix::io::write(&self.shared.stop, &1_u64.to_ne_bytes()).is_err() {
            // They end with the process.
            return;
        }
        for thread in self.threads.drain(..) {
            // A panic of the thread has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// What one thread waits for. Each has an epoll of its own, so that a connection wakes one of them and not all.
    fn events(&self) -> io::Result<OwnedFd> {
        let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let only_one = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
        epoll::add(&events, &self.listener, epoll::EventData::new_u64(CONNECTION), only_one)?;
        epoll::add(&events, &self.stop, epoll::EventData::new_u64(STOP), epoll::EventFlags::IN)?;
        Ok(events)
    }

    fn hear_all(&self, events: &OwnedFd) {
        let mut happened = Vec::with_capacity(2);
        loop {
            happened.clear();
            match epoll::wait(events, spare_capacity(&mut happened), None) {
                Ok(_) if happened.iter().any(|event| event.data.u64() == STOP) => return,
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(error) => self.complain(error),
            }
            match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(connection) => {
                    // A panic here is one request without an answer; its thread hears on.
                    let heard = catch_unwind(AssertUnwindSafe(|| self.hear(connection.into())));
                    if heard.is_err() {
                        self.daemon.counters.failed_asks.increment();
                    }
                }
                // Another thread was quicker, or the peer is gone.
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => self.complain(error),
            }
        }
    }

    fn complain(&self, error: Errno) {
        tracing::warn!(%error, "cannot accept a connection from Exim");
        std::thread::sleep(PAUSE);
    }

    fn hear(&self, stream: UnixStream) {
        let allowed = socket_peercred(&stream).is_ok_and(|peer| self.daemon.may_ask(peer.uid.as_raw()));
        if !allowed {
            self.daemon.counters.refused_peers.increment();
            return;
        }
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Ok(place),
            Err(_all_taken) => self.envelope.block_on(Arc::clone(&self.places).acquire_owned()),
        };
        let Ok(place) = place else { return };
        let peer = Peer { stream, _place: place };
        let mut request = Vec::with_capacity(REQUEST_OCTETS_USUAL);
        match read_now(&peer.stream, &mut request, REQUEST_SOON) {
            Ok(Progress::Whole) => self.begin(peer, &request),
            Ok(Progress::Partly) => {
                let (daemon, content) = (Arc::clone(&self.daemon), self.content.clone());
                drop(self.envelope.spawn(hear_slowly(peer, request, daemon, content)));
            }
            Err(_) => self.daemon.counters.unreadable_asks.increment(),
        }
    }

    /// Answers a request on this thread, as far as that goes without waiting.
    fn begin(&self, peer: Peer, request: &[u8]) {
        let Some(ask) = read_ask(request, &self.daemon) else {
            return go_on(Box::pin(give_up(peer, Arc::clone(&self.daemon))), &self.envelope);
        };
        if !is_about_message(&ask) {
            return go_on(task(peer, ask, &self.daemon), &self.envelope);
        }
        match self.messages.try_acquire().ok().filter(|_| self.is_small(&ask)) {
            Some(_one_of_few) => go_on(task(peer, ask, &self.daemon), &self.content),
            None => drop(self.content.spawn(task(peer, ask, &self.daemon))),
        }
    }

    /// Whether a message is judged in one go. A header block in a file of its own is none that is small.
    fn is_small(&self, ask: &Ask) -> bool {
        let octets = |count: Option<u64>| count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
        let _entered = self.content.enter();
        let whole = octets(ask.content.body_octets).saturating_add(octets(ask.content.headers_octets));
        !ask.content.is_in_scan_file && in_place(whole)
    }
}

/// Does a task on this thread until it has to wait; then it goes on in `runtime`.
fn go_on(mut task: Task, runtime: &Handle) {
    let _entered = runtime.enter();
    // The runtime asks the task again at once, so nobody needs to be woken before.
    let began = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    if began == Poll::Pending {
        drop(runtime.spawn(task));
    }
}

fn task(peer: Peer, ask: Ask, daemon: &Arc<Daemon>) -> Task {
    let (daemon, began) = (Arc::clone(daemon), Instant::now());
    Box::pin(async move { answer(peer, ask, &daemon, began).await })
}

fn is_about_message(ask: &Ask) -> bool {
    matches!(ask.stage, Stage::Data | Stage::NotSmtp)
}

fn read_ask(request: &[u8], daemon: &Daemon) -> Option<Ask> {
    if request.is_empty() {
        daemon.counters.unreadable_asks.increment();
        return None;
    }
    let ask = Ask::decode(request);
    ask.inspect_err(|error| {
        tracing::warn!(%error, "an ask could not be read; the mail goes on");
        daemon.counters.unreadable_asks.increment();
    })
    .ok()
}

async fn give_up(peer: Peer, daemon: Arc<Daemon>) {
    let answered = Answered::accept();
    let line = answered.answer.encode();
    give(peer, &line, answered, &daemon).await;
}

/// A request that comes in pieces.
async fn hear_slowly(peer: Peer, mut request: Vec<u8>, daemon: Arc<Daemon>, content: Handle) {
    let Peer { stream, _place } = peer;
    let read = tokio::time::timeout(REQUEST_TIMEOUT, read_rest(stream, &mut request)).await;
    let Ok(Some(stream)) = read else {
        daemon.counters.unreadable_asks.increment();
        return;
    };
    let peer = Peer { stream, _place };
    match read_ask(&request, &daemon) {
        Some(ask) if is_about_message(&ask) => drop(content.spawn(task(peer, ask, &daemon))),
        Some(ask) => task(peer, ask, &daemon).await,
        None => give_up(peer, daemon).await,
    }
}

async fn read_rest(stream: UnixStream, request: &mut Vec<u8>) -> Option<UnixStream> {
    let mut stream = tokio::net::UnixStream::from_std(stream).ok()?;
    while !is_whole(request) {
        if stream.read_buf(request).await.ok()? == 0 {
            break;
        }
    }
    stream.into_std().ok()
}

/// How far a request has come.
enum Progress {
    Whole,
    Partly,
}

/// Reads what is there, or comes within `soon`, of a request: one line, in however many pieces, but with a limit on its length.
fn read_now(stream: &UnixStream, request: &mut Vec<u8>, soon: Duration) -> io::Result<Progress> {
    let began = Instant::now();
    while !is_whole(request) {
        if request.len() == request.capacity() {
            request.reserve(request.len());
        }
        match rustix::io::read(stream, spare_capacity(request)) {
            Ok(0) => return Ok(Progress::Whole),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let left = soon.saturating_sub(began.elapsed());
                if left.is_zero() || !becomes_readable(stream, left) {
                    return Ok(Progress::Partly);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Progress::Whole)
}

/// Whether something can be read within `left`, which is below a second. A signal or a failure is left to the next read.
fn becomes_readable(stream: &UnixStream, left: Duration) -> bool {
    let left = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
    let mut wait = [PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)];
    poll(&mut wait, Some(&left)) != Ok(0)
}

fn is_whole(request: &[u8]) -> bool {
    request.ends_with(b"\n") || request.len() > REQUEST_OCTETS_MAX
}

/// Sends `octets` and closes the connection, which ends an answer. They find room in the socket, unless somebody does not read.
pub(super) async fn send(peer: Peer, octets: &[u8]) -> io::Result<()> {
    let sent = loop {
        match rustix::net::send(&peer.stream, octets, rustix::net::SendFlags::NOSIGNAL) {
            Ok(count) => break count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break 0,
            Err(error) => return Err(error.into()),
        }
    };
    match octets.get(sent..) {
        None | Some([]) => Ok(()),
        Some(rest) => {
            let mut stream = tokio::net::UnixStream::from_std(peer.stream)?;
            tokio::io::AsyncWriteExt::write_all(&mut stream, rest).await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Somebody who writes octet after octet would otherwise hold a thread that others wait for.
    #[test]
    fn pieces_that_keep_coming_are_left_to_the_runtime() {
        let (here, mut there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        // Each piece comes well within the time that all of them have.
        let soon = Duration::from_millis(500);
        let writer = std::thread::spawn(move || {
            for octet in b"v=1 st=connect ".iter().cycle().take(400).chain(b"\n") {
                if there.write_all(&[*octet]).is_err() {
                    return;
                }
                std::thread::sleep(soon / 100);
            }
        });
        let progress = read_now(&here, &mut Vec::with_capacity(REQUEST_OCTETS_USUAL), soon).unwrap();
        assert!(matches!(progress, Progress::Partly));
        drop(here);
        writer.join().unwrap();
    }

    /// Exim that has given up closes both ways; one that half-closes after its request waits for the answer.
    #[test]
    fn only_who_closed_both_ways_is_gone() {
        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(b"v=1 st=connect\n").unwrap();
        assert!(!is_closed(&here));
        there.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(!is_closed(&here));
        drop(there);
        assert!(is_closed(&here));
    }

    #[test]
    fn a_request_in_one_go_is_whole() {
        let (here, mut there) = UnixStream::pair().unwrap();
        here.set_nonblocking(true).unwrap();
        there.write_all(b"v=1 st=connect\n").unwrap();
        let mut request = Vec::with_capacity(REQUEST_OCTETS_USUAL);
        assert!(matches!(read_now(&here, &mut request, REQUEST_SOON).unwrap(), Progress::Whole));
        assert_eq!(request, b"v=1 st=connect\n");
    }
}
