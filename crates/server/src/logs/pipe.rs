//! Standard input and other pipes, into which somebody may write for days, as `tail -f` does: whoever reads on does not wait for more
//! than it wants, and is told before it waits.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How reading a pipe goes on when there is nothing in it.
#[derive(Default)]
pub(super) struct Pace {
    /// Until when it is waited; for ever if there is no such time.
    until: Cell<Option<Instant>>,
    /// Not to be broken off: what unpacks it could not go on.
    is_packed: Cell<bool>,
    before_waiting: RefCell<Option<Box<dyn FnMut()>>>,
}

impl Pace {
    /// Calls `each` whenever nothing is there to be read.
    pub(super) fn before_waiting(&self, each: Box<dyn FnMut()>) {
        *self.before_waiting.borrow_mut() = Some(each);
    }

    /// The content is packed.
    pub(super) fn is_packed(&self) {
        self.is_packed.set(true);
    }

    /// From now on a read that finds nothing until then fails with [`io::ErrorKind::TimedOut`], and loses nothing; with `None` it waits.
    pub(super) fn wait_until(&self, until: Option<Instant>) {
        self.until.set(until.filter(|_| !self.is_packed.get()));
    }

    /// Waits for as long as is wanted.
    fn wait(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        if has_some(file, Duration::ZERO)? {
            return Ok(());
        }
        if let Some(each) = self.before_waiting.borrow_mut().as_mut() {
            each();
        }
        let Some(until) = self.until.get() else { return Ok(()) };
        let left = until.saturating_duration_since(Instant::now());
        if has_some(file, left)? { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

/// Whether there is something to read, or the end, within this time.
fn has_some(file: BorrowedFd<'_>, within: Duration) -> io::Result<bool> {
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let time = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::from_borrowed_fd(file, PollFlags::IN)], Some(&time)) {
            Ok(ready) => return Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A file that is read once, from where it stands.
pub(super) struct Pipe {
    file: File,
    pace: Rc<Pace>,
}

impl Pipe {
    /// Opens what is at `path`; `-` is standard input.
    pub(super) fn open(path: &Path, pace: &Rc<Pace>) -> io::Result<Box<dyn Read>> {
        let file = if path == Path::new("-") {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            File::open(path)?
        };
        if file.metadata()?.is_file() {
            return Ok(Box::new(file));
        }
        Ok(Box::new(Pipe { file, pace: Rc::clone(pace) }))
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.pace.wait(self.file.as_fd())?;
        self.file.read(into)
    }
}
