//! Reading with a look ahead: what stands behind a line may tell who wrote it.

use std::io::{self, BufRead, Read};

use tidegate_watch::AHEAD_OCTETS;

/// Reads from `source` in large pieces and always has at hand what follows, as far as there is something.
pub(super) struct Ahead<R> {
    source: R,
    buffer: Vec<u8>,
    from: usize,
    until: usize,
    /// Why nothing more comes: the end, or what went wrong.
    end: Option<io::Result<()>>,
}

impl<R: Read> Ahead<R> {
    /// Holds up to `capacity` octets, which is many times what is looked ahead.
    pub(super) fn new(source: R, capacity: usize) -> Ahead<R> {
        let buffer = vec![0; capacity.max(2 * AHEAD_OCTETS)];
        Ahead { source, buffer, from: 0, until: 0, end: None }
    }

    /// Takes care that [`AHEAD_OCTETS`] are at hand, if there is so much. A failure is told by [`BufRead::fill_buf`] when all before it was
    /// read.
    pub(super) fn look(&mut self) {
        while self.until - self.from < AHEAD_OCTETS && self.end.is_none() {
            self.read_on();
        }
    }

    /// What is at hand.
    pub(super) fn following(&self) -> &[u8] {
        self.buffer.get(self.from..self.until).unwrap_or_default()
    }

    fn read_on(&mut self) {
        if self.from > 0 {
            self.buffer.copy_within(self.from..self.until, 0);
            (self.from, self.until) = (0, self.until - self.from);
        }
        let room = self.buffer.get_mut(self.until..).unwrap_or_default();
        match self.source.read(room) {
            Ok(0) => self.end = Some(Ok(())),
            Ok(octets) => self.until += octets,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.end = Some(Err(error)),
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
        let mut ahead = Ahead::new(Drops(LINES), 0);
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
