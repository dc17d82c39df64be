//! The lines of a part as stretches of the buffers that hold them. A message of millions of lines is mostly one stretch: a value for each
//! line would take many times the room of the message.

use std::collections::VecDeque;

use crate::input::octets::{self, is_space};

const BLANK_LINES_MAX: usize = 20;
/// Longer lines are cut, so that no pattern runs over megabytes.
pub(crate) const LINE_OCTETS_MAX: usize = 2048;

/// A line of some buffer, with its line end if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) buffer: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The line was cut here: a line end is added.
    pub(super) is_cut: bool,
}

/// Lines in their order, cut from the buffers only when a part is complete.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// Each of them many lines, or one that was cut.
    stretches: Vec<Line>,
}

impl Lines {
    /// The lines of a body. Long runs of blank lines are cut short: the first one stays, and the last ones. At the start of a body a run
    /// may be one line longer: that is how SpamAssassin counts.
    pub(super) fn of(body: &[u8], buffer: usize) -> Lines {
        let mut lines = Lines::default();
        let mut run = Run::default();
        // What stands before `kept` is in the list.
        let (mut kept, mut at) = (0, 0);
        for line in octets::lines(body) {
            if line.iter().all(|&octet| is_space(octet)) {
                run.push(at, at + line.len());
            } else if let Some((first_end, rest)) = std::mem::take(&mut run).cut() {
                lines.stretches.push(Line { buffer, start: kept, end: first_end, is_cut: false });
                kept = rest;
            }
            at += line.len();
        }
        if let Some((first_end, rest)) = run.cut() {
            lines.stretches.push(Line { buffer, start: kept, end: first_end, is_cut: false });
            kept = rest;
        }
        if kept < at {
            lines.stretches.push(Line { buffer, start: kept, end: at, is_cut: false });
        }
        lines
    }

    /// Puts all octets of a buffer before the others, as one line.
    pub(super) fn prepend(&mut self, buffer: usize, length: usize) {
        self.stretches.insert(0, Line { buffer, start: 0, end: length, is_cut: false });
    }

    /// The lines, one by one.
    pub(super) fn iter<'b>(&'b self, buffers: &'b [Vec<u8>]) -> Iter<'b> {
        Iter { stretches: self.stretches.iter(), open: None, buffers }
    }

    /// Adds a line; one that is too long is cut in pieces.
    pub(super) fn push(&mut self, mut line: Line) {
        while line.end - line.start > LINE_OCTETS_MAX {
            self.add(Line { end: line.start + LINE_OCTETS_MAX, is_cut: true, ..line });
            line.start += LINE_OCTETS_MAX;
        }
        self.add(line);
    }

    /// A line that follows the last one in its buffer makes that stretch longer.
    fn add(&mut self, line: Line) {
        match self.stretches.last_mut() {
            Some(last) if !last.is_cut && !line.is_cut && last.buffer == line.buffer && last.end == line.start => {
                last.end = line.end;
            }
            _ => self.stretches.push(line),
        }
    }

    /// Takes away the line end of the last line: a boundary after it owns it.
    pub(super) fn trim_line_end(&mut self, buffers: &[Vec<u8>]) {
        let Some(last) = self.stretches.last_mut() else { return };
        if last.is_cut {
            last.is_cut = false;
        } else if text(buffers, *last).ends_with(b"\n") {
            last.end -= 1;
        }
        if last.start == last.end {
            self.stretches.pop();
        }
    }

    /// All of them in one.
    pub(super) fn join(&self, buffers: &[Vec<u8>]) -> Vec<u8> {
        let octets = self.stretches.iter().map(|line| line.end - line.start + usize::from(line.is_cut)).sum();
        let mut joined = Vec::with_capacity(octets);
        for &line in &self.stretches {
            joined.extend_from_slice(text(buffers, line));
            if line.is_cut {
                joined.push(b'\n');
            }
        }
        joined
    }
}

/// The octets of a line.
pub(super) fn text(buffers: &[Vec<u8>], line: Line) -> &[u8] {
    buffers.get(line.buffer).and_then(|buffer| buffer.get(line.start..line.end)).unwrap_or_default()
}

/// Lines one by one.
#[derive(Clone, Debug)]
pub(super) struct Iter<'b> {
    stretches: std::slice::Iter<'b, Line>,
    open: Option<Line>,
    buffers: &'b [Vec<u8>],
}

impl Iterator for Iter<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let stretch = match self.open.take() {
            Some(open) => open,
            None => *self.stretches.next()?,
        };
        let length = if stretch.is_cut { None } else { memchr::memchr(b'\n', text(self.buffers, stretch)) };
        let end = length.map_or(stretch.end, |length| stretch.start + length + 1);
        if end < stretch.end {
            self.open = Some(Line { start: end, ..stretch });
        }
        Some(Line { end, ..stretch })
    }
}

/// A run of blank lines.
#[derive(Debug, Default)]
struct Run {
    first: Option<(usize, usize)>,
    count: usize,
    /// Where the last lines begin that would be kept after the first.
    last: VecDeque<usize>,
}

impl Run {
    fn push(&mut self, start: usize, end: usize) {
        self.count += 1;
        match self.first {
            None => self.first = Some((start, end)),
            Some(_) => {
                if self.last.len() >= self.most() - 1 {
                    self.last.pop_front();
                }
                self.last.push_back(start);
            }
        }
    }

    fn most(&self) -> usize {
        let begins_body = self.first.is_some_and(|(start, _)| start == 0);
        if begins_body { BLANK_LINES_MAX + 1 } else { BLANK_LINES_MAX }
    }

    /// Where its first line ends and where the last ones begin, if there are lines between them.
    fn cut(&self) -> Option<(usize, usize)> {
        let is_long = self.count > self.most();
        Some((self.first?.1, self.last.front().copied()?)).filter(|_| is_long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_blank_lines_are_cut_short() {
        for (before, blank, expected, why) in [
            ("", 21, 21, "at the start a run may be one longer"),
            ("", 60, 21, "the first and the last twenty"),
            ("a\n", 20, 21, "a run that may stay"),
            ("a\n", 60, 21, "with the line before it"),
            ("a\n\nb\n", 60, 23, "a short run does not count"),
        ] {
            let body = [before.as_bytes(), b" \n".repeat(blank - 1).as_slice(), b"\t\n"].concat();
            let buffers = [body];
            let lines: Vec<Line> = Lines::of(&buffers[0], 0).iter(&buffers).collect();
            assert_eq!((lines.len(), lines.last().map(|line| line.end)), (expected, Some(buffers[0].len())), "{why}");
            assert_eq!(buffers[0][lines[0].start..lines[0].end], buffers[0][..lines[0].end], "the first one stays");
        }
    }

    #[test]
    fn lines_are_cut_and_joined() {
        let body = [b"a\n".as_slice(), &[b'x'; LINE_OCTETS_MAX + 5], b"\nb\n\nlast"].concat();
        let buffers = [body];
        let mut lines = Lines::default();
        Lines::of(&buffers[0], 0).iter(&buffers).for_each(|line| lines.push(line));
        let lengths: Vec<usize> = lines.iter(&buffers).map(|line| line.end - line.start).collect();
        assert_eq!(lengths, [2, LINE_OCTETS_MAX, 6, 2, 1, 4]);
        assert_eq!(lines.join(&buffers).len(), buffers[0].len() + 1, "a cut adds a line end");
        lines.trim_line_end(&buffers);
        assert_eq!(lines.join(&buffers).len(), buffers[0].len() + 1, "the last line has no line end");
        let mut ended = Lines::default();
        Lines::of(b"a\n\n", 0).iter(&[b"a\n\n".to_vec()]).for_each(|line| ended.push(line));
        ended.trim_line_end(&[b"a\n\n".to_vec()]);
        assert_eq!(ended.join(&[b"a\n\n".to_vec()]), b"a\n");
    }

    /// A line for each octet would take 24 times the room.
    #[test]
    fn many_short_lines_are_one_stretch() {
        let buffers = [b"a\n".repeat(10_000)];
        let mut lines = Lines::default();
        Lines::of(&buffers[0], 0).iter(&buffers).for_each(|line| lines.push(line));
        assert_eq!((lines.stretches.len(), lines.iter(&buffers).count()), (1, 10_000));
    }
}
