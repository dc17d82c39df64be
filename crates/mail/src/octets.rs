//! The octets of a message as a whole: line ends, NULs, long lines. What SMTP (RFC 5321 section 2.3.8) forbids shows
//! here, as far as the MTA has left it in place.

use memchr::{memchr_iter, memmem};

use crate::{Defect, Defects};

/// Longest line without its line end (RFC 5322 section 2.1.1).
pub(crate) const LINE_OCTETS_MAX: usize = 998;

/// Counts over all octets of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// NUL octets.
    pub nuls: usize,
    /// CR without LF.
    pub bare_crs: usize,
    /// Lines that end in CRLF.
    pub crlf_lines: usize,
    /// Lines that end in LF alone.
    pub lf_lines: usize,
    /// Octets of the longest line, without its line end.
    pub line_octets_max: usize,
    /// Lines of more than 998 octets.
    pub long_lines: usize,
    /// Whether the first line ends in CRLF.
    pub begins_with_crlf: bool,
    /// Lone dots whose line ends are not both CRLF, in a message with CRLF.
    pub lone_dots: usize,
}

impl Survey {
    pub(crate) fn of(raw: &[u8]) -> Survey {
        let mut survey = Survey::default();
        let mut start = 0;
        let mut after_bare_lf = false;
        for lf in memchr_iter(b'\n', raw) {
            let line = raw.get(start..lf).unwrap_or_default();
            let is_crlf = line.last() == Some(&b'\r');
            survey.take_line(line, is_crlf, after_bare_lf);
            after_bare_lf = !is_crlf;
            start = lf + 1;
        }
        survey.note_length(raw.len() - start);
        survey.nuls = memchr_iter(0, raw).count();
        let crs = memchr_iter(b'\r', raw).count();
        survey.bare_crs = crs - survey.crlf_lines;
        if survey.bare_crs > 0 {
            survey.lone_dots += memmem::find_iter(raw, b"\r.\r").count();
        }
        survey
    }

    fn take_line(&mut self, line: &[u8], is_crlf: bool, after_bare_lf: bool) {
        if self.crlf_lines + self.lf_lines == 0 {
            self.begins_with_crlf = is_crlf;
        }
        let content = if is_crlf { line.len() - 1 } else { line.len() };
        self.note_length(content);
        if is_crlf {
            self.crlf_lines += 1;
        } else {
            self.lf_lines += 1;
        }
        let is_dot = content == 1 && line.first() == Some(&b'.');
        if self.begins_with_crlf && is_dot && (!is_crlf || after_bare_lf) {
            self.lone_dots += 1;
        }
    }

    fn note_length(&mut self, octets: usize) {
        self.line_octets_max = self.line_octets_max.max(octets);
        if octets > LINE_OCTETS_MAX {
            self.long_lines += 1;
        }
    }

    pub(crate) fn report(&self, defects: &mut Defects) {
        defects.add_many(Defect::Nul, 0, self.nuls);
        defects.add_many(Defect::BareCr, 0, self.bare_crs);
        defects.add_many(Defect::LongLine, 0, self.long_lines);
        defects.add_many(Defect::LoneDotLine, 0, self.lone_dots);
        if self.begins_with_crlf {
            defects.add_many(Defect::BareLf, 0, self.lf_lines);
        }
    }
}

/// One line of a buffer: content from `start` to `end`, the next line begins at `next`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) next: usize,
}

/// The line that begins at `start`, at most up to `limit`. `None` at the end.
pub(crate) fn line_at(buffer: &[u8], start: usize, limit: usize) -> Option<Line> {
    let rest = buffer.get(start..limit).filter(|rest| !rest.is_empty())?;
    let Some(lf) = memchr::memchr(b'\n', rest) else {
        return Some(Line { start, end: limit, next: limit });
    };
    let end = if lf > 0 && rest.get(lf - 1) == Some(&b'\r') { lf - 1 } else { lf };
    Some(Line { start, end: start + end, next: start + lf + 1 })
}

/// `end` moved back over the line end that stands before it.
pub(crate) fn before_line_end(buffer: &[u8], start: usize, end: usize) -> usize {
    let content = buffer.get(start..end).unwrap_or_default();
    let content = match content.strip_suffix(b"\n") {
        Some(content) => content.strip_suffix(b"\r").unwrap_or(content),
        None => content,
    };
    start + content.len()
}
