//! Header fields: where each stands, its name as it was written, its value raw and decoded. RFC 5322 section 2.2.
//! A field is what Exim and Postfix take for one: printable ASCII, maybe blanks, a colon. `Fr om:` and a line without
//! colon end the header, as they do there; `:From:` is a field without a name, never a `From`.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::charset::Charset;
use crate::octets::{Line, before_line_end, line_at};
use crate::{Defect, Defects, Limits, words};

/// One header field of a message or part.
#[derive(Clone)]
pub struct HeaderField {
    buffer: Arc<[u8]>,
    /// The whole field, with its last line end.
    field: Range<usize>,
    name_end: usize,
    value: Range<usize>,
    /// What 8-bit text is that is not UTF-8: the charset of the body, as mail programs assume.
    pub(crate) fallback: Option<Charset>,
    decoded: OnceLock<(Box<str>, usize)>,
}

impl HeaderField {
    /// The name as it was written, without blanks before the colon: printable ASCII, maybe empty.
    #[must_use]
    pub fn name(&self) -> &str {
        std::str::from_utf8(self.slice(self.field.start..self.name_end)).unwrap_or_default()
    }

    /// Whether this is a field `name`; case does not count.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.slice(self.field.start..self.name_end).eq_ignore_ascii_case(name.as_bytes())
    }

    /// The whole field, from its name through its last line end.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        self.slice(self.field.clone())
    }

    /// What stands after the colon, with leading blank and folds, without the last line end.
    #[must_use]
    pub fn raw_value(&self) -> &[u8] {
        self.slice(self.value.clone())
    }

    /// The value without its line ends and surrounding blanks (RFC 5322 section 2.2.3), not decoded.
    #[must_use]
    pub fn unfolded(&self) -> Vec<u8> {
        unfold(self.raw_value())
    }

    /// The value as a reader sees it: unfolded, encoded words (RFC 2047) decoded, 8-bit text taken as UTF-8, or
    /// when it is none as the charset of the part, else windows-1252.
    #[must_use]
    pub fn decoded(&self) -> &str {
        &self.decode().0
    }

    /// Encoded words of the value that could not be decoded well.
    #[must_use]
    pub fn bad_words(&self) -> usize {
        self.decode().1
    }

    fn decode(&self) -> &(Box<str>, usize) {
        self.decoded.get_or_init(|| {
            let (text, bad) = words::decode_with(&self.unfolded(), self.fallback);
            (text.into(), bad)
        })
    }

    /// Where the field stands in the buffer of its part ([`crate::Part::buffer`]); for fields of the message itself
    /// that is [`crate::Message::raw`].
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.field.clone()
    }

    fn slice(&self, range: Range<usize>) -> &[u8] {
        self.buffer.get(range).unwrap_or_default()
    }
}

impl std::fmt::Debug for HeaderField {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", self.name(), String::from_utf8_lossy(self.raw_value()))
    }
}

fn unfold(value: &[u8]) -> Vec<u8> {
    let mut unfolded = Vec::with_capacity(value.len());
    for (index, line) in value.split(|&b| b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A fold with a tab reads as one blank, as mail programs show it.
        match (index, line.split_first()) {
            (1.., Some((b'\t', rest))) => {
                unfolded.push(b' ');
                unfolded.extend_from_slice(rest);
            }
            _ => unfolded.extend_from_slice(line),
        }
    }
    trim(&unfolded).to_vec()
}

pub(crate) fn is_blank(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&b| !is_blank(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|&b| !is_blank(b)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

/// The header of one entity.
pub(crate) struct Block {
    pub(crate) fields: Vec<HeaderField>,
    /// From the first field through the last, with line ends.
    pub(crate) header: Range<usize>,
    pub(crate) body_start: usize,
}

/// What a header is read with.
pub(crate) struct Reader<'a> {
    pub(crate) buffer: &'a Arc<[u8]>,
    pub(crate) limits: &'a Limits,
    /// Index of the part that the header belongs to.
    pub(crate) part: usize,
    /// Fields that may still be kept.
    pub(crate) fields_left: usize,
}

impl Reader<'_> {
    /// Reads the header that begins at `start`. It ends at an empty line, at a line that is no field, or where
    /// `is_delimiter` says so of a line that begins with two dashes.
    pub(crate) fn read(&self, start: usize, is_delimiter: impl Fn(&[u8]) -> bool, defects: &mut Defects) -> Block {
        let mut block = Block { fields: Vec::new(), header: start..start, body_start: start };
        let mut open: Option<(Range<usize>, usize)> = None;
        let mut position = start;
        let mut ended = false;
        while let Some(line) = line_at(self.buffer, position, self.buffer.len()) {
            let content = self.buffer.get(line.start..line.end).unwrap_or_default();
            match self.classify(content) {
                Kind::Empty => {
                    block.body_start = line.next;
                    ended = true;
                    break;
                }
                Kind::Fold => match &mut open {
                    Some((field, _)) => field.end = line.next,
                    None => defects.add(Defect::FoldWithoutField, self.part),
                },
                Kind::Field(_) | Kind::Other if content.starts_with(b"--") && is_delimiter(content) => break,
                Kind::Field(name_end) => {
                    self.close(&mut block, open.take(), defects);
                    open = Some((line.start..line.next, line.start + name_end));
                }
                Kind::Other => {
                    defects.add(Defect::HeaderWithoutColon, self.part);
                    ended = true;
                    break;
                }
            }
            position = line.next;
            block.body_start = position;
        }
        self.close(&mut block, open.take(), defects);
        if !ended && self.part == 0 {
            defects.add(Defect::NoBody, self.part);
        }
        block
    }

    fn classify(&self, line: &[u8]) -> Kind {
        match line.first() {
            None => Kind::Empty,
            Some(b' ' | b'\t') => Kind::Fold,
            Some(_) => {
                let name_end = line.iter().position(|&b| !b.is_ascii_graphic() || b == b':').unwrap_or(line.len());
                let after = line.get(name_end..).unwrap_or_default();
                match after.iter().find(|&&b| b != b' ' && b != b'\t') {
                    Some(b':') => Kind::Field(name_end),
                    _ => Kind::Other,
                }
            }
        }
    }

    fn close(&self, block: &mut Block, open: Option<(Range<usize>, usize)>, defects: &mut Defects) {
        let Some((field, name_end)) = open else { return };
        block.header.end = field.end;
        if field.end - block.header.start > self.limits.header_octets_max {
            return defects.add(Defect::HeaderTooLarge, self.part);
        }
        if block.fields.len() >= self.fields_left {
            return defects.add(Defect::TooManyHeaders, self.part);
        }
        let after_name = self.buffer.get(name_end..field.end).unwrap_or_default();
        let colon = name_end + memchr::memchr(b':', after_name).unwrap_or_default();
        let value = colon + 1..before_line_end(self.buffer, colon + 1, field.end);
        let field = HeaderField {
            buffer: Arc::clone(self.buffer),
            field,
            name_end,
            value,
            fallback: None,
            decoded: OnceLock::new(),
        };
        report(&field, colon, self.part, defects);
        block.fields.push(field);
    }
}

enum Kind {
    Empty,
    Fold,
    /// With the length of the name.
    Field(usize),
    Other,
}

fn report(field: &HeaderField, colon: usize, part: usize, defects: &mut Defects) {
    if field.name_end == field.field.start {
        defects.add(Defect::EmptyHeaderName, part);
    }
    if colon > field.name_end {
        defects.add(Defect::SpaceBeforeColon, part);
    }
    if !field.raw_value().is_ascii() {
        defects.add(Defect::EightBitHeader, part);
        if std::str::from_utf8(field.raw_value()).is_err() {
            defects.add(Defect::EightBitHeaderNotUtf8, part);
        }
    }
}

/// The length of an mbox line (`From `, also quoted as `>From `) at the beginning of a message, with its line end.
pub(crate) fn mbox_line(buffer: &[u8]) -> Option<Line> {
    let text = buffer.strip_prefix(b">").unwrap_or(buffer);
    if text.starts_with(b"From ") { line_at(buffer, 0, buffer.len()) } else { None }
}
