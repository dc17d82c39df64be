//! Reading with a look ahead: what stands behind a line may tell who wrote it.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidegate_watch::AHEAD_OCTETS;

use super::pipe::Pace;

/// How long it is waited for what follows a line, since that line was there. What belongs together is written at once.
const QUIET: Duration = Duration::from_secs(1);
/// Octets that came so close to each other are taken to be of one time.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Reads from `source` in large pieces and always has at hand what follows, as far as there is something.
pub(super) struct Ahead<R> {
    source: R,
    buffer: Vec<u8>,
    from: usize,
    until: usize,
    /// Why nothing more comes: the end, or what went wrong.
    end: Option<io::Result<()>>,
    pace: Rc<Pace>,
    /// When octets that are at hand came, oldest first, each with the place behind them in the buffer.
    came: VecDeque<(usize, Instant)>,
}

impl<R: Read> Ahead<R> {
    /// Holds up to `capacity` octets, which is many times what is looked ahead.
    pub(super) fn new(source: R, capacity: usize, pace: Rc<Pace>) -> Ahead<R> {
        let buffer = vec![0; capacity.max(2 * AHEAD_OCTETS)];
        Ahead { source, buffer, from: 0, until: 0, end: None, pace, came: VecDeque::new() }
    }

    /// Takes care that [`AHEAD_OCTETS`] are at hand behind the line that was read last, if there is so much, or comes within a second. A failure is
    /// told by [`BufRead::fill_buf`] when all before it was read.
    pub(super) fn look(&mut self) {
        let line_came = self.came.front().map_or_else(Instant::now, |(_, at)| *at);
        self.pace.wait_until(Some(line_came + QUIET));
        while self.until - self.from < AHEAD_OCTETS && self.end.is_none() {
            if !self.read_on() {
                break;
            }
        }
        self.pace.wait_until(None);
    }

    /// What is at hand.
    pub(super) fn following(&self) -> &[u8] {
        self.buffer.get(self.from..self.until).unwrap_or_default()
    }

    /// `false` if nothing came in time.
    fn read_on(&mut self) -> bool {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.until, 0);
            self.came.iter_mut().for_each(|(until, _)| *until = until.saturating_sub(self.from));
            (self.from, self.until) = (0, self.until - self.from);
        }
        let room = self.buffer.get_mut(self.until..).unwrap_or_default();
        match self.source.read(room) {
            Ok(0) => self.end = Some(Ok(())),
            Ok(octets) => {
                self.until += octets;
                self.note_time();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return false,
            Err(error) => self.end = Some(Err(error)),
        }
        true
    }

    fn note_time(&mut self) {
        let now = Instant::now();
        match self.came.back_mut() {
            Some((until, at)) if now.duration_since(*at) < AT_ONCE => *until = self.until,
            _ => self.came.push_back((self.until, now)),
        }
    }
}

impl<R: Read> Read for Ahead<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let octets = self.fill_buf()?.read(into)?;
        self.consume(octets);
        Ok(octets)
    }
}

impl<R: Read> BufRead for Ahead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.from == self.until && self.end.is_none() {
            self.read_on();
        }
        if self.from == self.until
            && let Some(end) = &mut self.end
        {
            std::mem::replace(end, Ok(()))?;
        }
        Ok(self.following())
    }

    fn consume(&mut self, octets: usize) {
        self.from = self.from.saturating_add(octets).min(self.until);
        // The time of the octet before the present one stays: that is the line that was read last.
        while self.came.front().is_some_and(|(until, _)| *until < self.from) {
            self.came.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source that gives a few octets at a time, and fails at its end.
    struct Drops(u32);

    impl Read for Drops {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("it is damaged"));
            }
            self.0 -= 1;
            let line = b"0123456789\n";
            into[..line.len()].copy_from_slice(line);
            Ok(line.len())
        }
    }

    #[test]
    fn what_follows_is_at_hand_at_every_line() {
        const LINES: u32 = 10_000;
        let mut ahead = Ahead::new(Drops(LINES), 0, Rc::default());
        for line in 0..LINES {
            let left = usize::try_from(LINES - line).unwrap() * 11;
            ahead.look();
            assert!(ahead.following().len() >= left.min(AHEAD_OCTETS), "{line}");
            assert!(ahead.fill_buf().unwrap().starts_with(b"0123456789\n"));
            ahead.consume(11);
        }
        // The failure comes once, behind the last line.
        ahead.look();
        assert!(ahead.following().is_empty());
        assert!(ahead.fill_buf().is_err());
        assert!(ahead.fill_buf().unwrap().is_empty());
    }
}
