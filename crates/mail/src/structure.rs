//! The tree of parts (RFC 2046 section 5.1), found in one pass over the lines of a message.
//! Ambiguities are read so that more is seen rather than less: a delimiter with a tail counts, a multipart without
//! boundary takes the first line that looks like a delimiter, a composite in base64 is decoded and read.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::charset::Charset;
use crate::header::{HeaderField, Reader};
use crate::octets::{before_line_end, line_at};
use crate::parameter::{ContentType, Parametrized};
use crate::part::Part;
use crate::{Defect, Defects, Limits, TransferEncoding};

/// Longest boundary (RFC 2046 section 5.1.1).
const BOUNDARY_OCTETS_MAX: usize = 70;
/// A preamble that only says "This is a multi-part message in MIME format." and the like.
const PREAMBLE_OCTETS_USUAL: usize = 512;
/// A shorter boundary must stand alone on its line: with any tail it would match ordinary text.
const TAIL_BOUNDARY_OCTETS_MIN: usize = 8;

/// Reads the parts of `raw` from `start` on. There is always at least one, the message itself.
pub(crate) fn read(raw: &Arc<[u8]>, start: usize, limits: &Limits, defects: &mut Defects) -> Vec<Part> {
    let mut walk = Walk { limits, defects, parts: Vec::new(), fields: 0, embedded_octets: 0 };
    let mut scan = Scan { buffer: Arc::clone(raw), is_raw: true, parent: None, open: Vec::new() };
    walk.entities(&mut scan, start);
    walk.parts
}

struct Walk<'a> {
    limits: &'a Limits,
    defects: &'a mut Defects,
    parts: Vec<Part>,
    fields: usize,
    embedded_octets: usize,
}

/// The pass over one buffer: the message, or what a decoded composite held.
struct Scan {
    buffer: Arc<[u8]>,
    is_raw: bool,
    /// The part that the outermost entities of this buffer belong to.
    parent: Option<usize>,
    /// Composites whose end was not seen yet, outermost first.
    open: Vec<Open>,
}

struct Open {
    part: usize,
    /// Without the two dashes; `None` for an embedded message.
    boundary: Option<Vec<u8>>,
    /// Whether the body of `part` stands in this buffer.
    is_here: bool,
    /// End of the last closing delimiter.
    closed_at: Option<usize>,
    has_children: bool,
}

struct Delimiter {
    /// Position in the list of open composites.
    level: usize,
    is_close: bool,
    start: usize,
    next: usize,
}

enum Composite {
    Multipart(Vec<u8>),
    Message,
    Leaf,
}

impl Walk<'_> {
    /// Reads the entity at `start` and all that follow it in this buffer.
    fn entities(&mut self, scan: &mut Scan, start: usize) {
        let mut position = start;
        loop {
            let Some(part) = self.entity(scan, position) else {
                self.close_from(scan, 0, scan.buffer.len());
                return;
            };
            let body_start = self.parts.get(part).map_or(scan.buffer.len(), |part| part.body.start);
            let leaf = match self.composite(part, &scan.open) {
                Composite::Multipart(boundary) => {
                    self.check_boundary(&boundary, part, &scan.open);
                    scan.open.push(Open::of(part, Some(boundary)));
                    None
                }
                Composite::Message => {
                    scan.open.push(Open::of(part, None));
                    position = body_start;
                    continue;
                }
                Composite::Leaf => Some(part),
            };
            match self.next_part(scan, body_start, leaf) {
                Some(next) => position = next,
                None => return,
            }
        }
    }

    /// Looks for the delimiter that begins the next part, and ends the bodies that end before it. `None` at the end.
    fn next_part(&mut self, scan: &mut Scan, from: usize, mut leaf: Option<usize>) -> Option<usize> {
        let end = scan.buffer.len();
        let mut position = from;
        loop {
            let delimiter = self.find_delimiter(scan, position);
            let body_end = delimiter.as_ref().map_or(end, |found| before_line_end(&scan.buffer, from, found.start));
            if let Some(leaf) = leaf.take() {
                self.end_body(leaf, body_end);
                self.read_encoded(leaf);
            }
            let Some(delimiter) = delimiter else {
                self.close_from(scan, 0, end);
                return None;
            };
            self.close_from(scan, delimiter.level + 1, body_end);
            let composite = scan.open.get_mut(delimiter.level)?;
            if !composite.has_children && composite.is_here {
                self.set_preamble(composite.part, body_end);
            }
            composite.has_children = true;
            if delimiter.is_close {
                composite.closed_at = Some(delimiter.next);
                position = delimiter.next;
                continue;
            }
            if composite.closed_at.take().is_some() {
                self.defects.add(Defect::PartAfterClose, composite.part);
            }
            return Some(delimiter.next);
        }
    }

    /// The next line from `position` on that is a delimiter of an open multipart.
    fn find_delimiter(&mut self, scan: &Scan, position: usize) -> Option<Delimiter> {
        if scan.open.iter().all(|composite| composite.boundary.is_none()) {
            return None;
        }
        let (buffer, end) = (&scan.buffer, scan.buffer.len());
        let mut position = position;
        loop {
            let text = buffer.get(position..)?;
            // `position` is always the beginning of a line.
            let at = match text.starts_with(b"--") {
                true => position,
                false => position + memchr::memmem::find(text, b"\n--")? + 1,
            };
            let line = line_at(buffer, at, end)?;
            let found = match_delimiter(buffer.get(line.start..line.end)?, &scan.open);
            if let Some((level, tail)) = found {
                if tail == Tail::Other {
                    let part = scan.open.get(level).map_or(0, |composite| composite.part);
                    self.defects.add(Defect::BoundaryWithTail, part);
                }
                return Some(Delimiter { level, is_close: tail == Tail::Close, start: line.start, next: line.next });
            }
            position = line.next;
        }
    }

    /// Ends the composites from `level` on: their bodies end at `end`.
    fn close_from(&mut self, scan: &mut Scan, level: usize, end: usize) {
        while scan.open.len() > level {
            let Some(composite) = scan.open.pop() else { return };
            if composite.is_here {
                self.end_body(composite.part, end);
            }
            if composite.boundary.is_none() {
                continue;
            }
            match composite.closed_at {
                Some(start) => self.set_epilogue(&composite, &scan.buffer, start.min(end)..end),
                None if composite.has_children => self.defects.add(Defect::MissingCloseBoundary, composite.part),
                None if !composite.is_here => self.set_childless(composite.part),
                None => {
                    self.set_preamble(composite.part, end);
                    if !self.read_encoded(composite.part) {
                        self.set_childless(composite.part);
                    }
                }
            }
        }
    }

    fn set_childless(&mut self, part: usize) {
        self.defects.add(Defect::MultipartWithoutParts, part);
        if let Some(part) = self.parts.get_mut(part) {
            part.is_childless = true;
        }
    }

    fn end_body(&mut self, part: usize, end: usize) {
        if let Some(part) = self.parts.get_mut(part) {
            part.body.end = end.max(part.body.start);
        }
    }

    fn set_preamble(&mut self, part: usize, end: usize) {
        let Some(part) = self.parts.get_mut(part) else { return };
        let preamble = part.body.start..end.max(part.body.start);
        if preamble.len() > PREAMBLE_OCTETS_USUAL {
            self.defects.add(Defect::LongPreamble, part.index);
        }
        part.preamble = Some(preamble);
    }

    fn set_epilogue(&mut self, composite: &Open, buffer: &[u8], epilogue: Range<usize>) {
        let text = buffer.get(epilogue.clone()).unwrap_or_default();
        if text.iter().any(|b| !b.is_ascii_whitespace()) {
            self.defects.add(Defect::Epilogue, composite.part);
        }
        if let Some(part) = self.parts.get_mut(composite.part).filter(|_| composite.is_here) {
            part.epilogue = Some(epilogue);
        }
    }

    fn check_boundary(&mut self, boundary: &[u8], part: usize, open: &[Open]) {
        let is_allowed = |b: &u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(b);
        if boundary.len() > BOUNDARY_OCTETS_MAX || !boundary.iter().all(is_allowed) || boundary.ends_with(b" ") {
            self.defects.add(Defect::BadBoundary, part);
        }
        if open.iter().any(|outer| outer.boundary.as_deref() == Some(boundary)) {
            self.defects.add(Defect::BoundaryReused, part);
        }
    }

    /// Reads the header at `start` and adds the part. `None` when the limit of parts is reached.
    fn entity(&mut self, scan: &Scan, start: usize) -> Option<usize> {
        let parent = scan.open.last().map(|composite| composite.part).or(scan.parent);
        let index = self.parts.len();
        if index >= self.limits.parts_max.max(1) {
            self.defects.add(Defect::TooManyParts, parent.unwrap_or_default());
            return None;
        }
        let fields_left = self.limits.header_fields_max.saturating_sub(self.fields);
        let reader = Reader { buffer: &scan.buffer, limits: self.limits, part: index, fields_left };
        let is_delimiter = |line: &[u8]| match_delimiter(line, &scan.open).is_some();
        let mut block = reader.read(start, is_delimiter, self.defects);
        self.fields += block.fields.len();
        let parent_part = parent.and_then(|parent| self.parts.get(parent));
        let depth = parent_part.map_or(0, |parent| parent.depth + 1);
        let is_digest = parent_part.is_some_and(|parent| parent.content_type.essence() == "multipart/digest");
        let mime = Mime::read(&block.fields, is_digest, index, self.defects);
        let charset = mime.content_type.parameter("charset").and_then(Charset::of);
        for field in &mut block.fields {
            field.fallback = charset;
        }
        self.parts.push(Part {
            index,
            parent,
            depth,
            buffer: Arc::clone(&scan.buffer),
            is_raw: scan.is_raw,
            headers: block.fields,
            header: block.header,
            body: block.body_start..scan.buffer.len(),
            preamble: None,
            epilogue: None,
            content_type: mime.content_type,
            has_content_type: mime.has_content_type,
            is_childless: false,
            disposition: mime.disposition,
            encoding: mime.encoding,
            decoded: OnceLock::new(),
            text: OnceLock::new(),
        });
        Some(index)
    }

    fn composite(&mut self, index: usize, open: &[Open]) -> Composite {
        let Some(part) = self.parts.get(index).filter(|part| part.is_multipart() || part.is_message()) else {
            return Composite::Leaf;
        };
        if part.depth >= self.limits.depth_max {
            self.defects.add(Defect::TooDeep, index);
            return Composite::Leaf;
        }
        if !part.encoding.is_identity() {
            self.defects.add(Defect::EncodedComposite, index);
        }
        if part.is_message() {
            return if part.encoding.is_identity() { Composite::Message } else { Composite::Leaf };
        }
        let boundary = declared_boundary(part);
        if boundary.is_none() {
            self.defects.add(Defect::MissingBoundary, index);
        }
        // An encoded multipart that can be read as it stands is read so; else `close_from` decodes it.
        match boundary.or_else(|| first_boundary(part.raw_body(), open)) {
            Some(boundary) => Composite::Multipart(boundary),
            None => Composite::Leaf,
        }
    }

    /// Reads what an encoded composite holds, if `index` is one. Its depth was checked by `composite`.
    fn read_encoded(&mut self, index: usize) -> bool {
        let Some(part) = self.parts.get(index) else { return false };
        let is_composite = part.is_multipart() || part.is_message();
        if !is_composite || part.encoding.is_identity() || part.depth >= self.limits.depth_max {
            return false;
        }
        self.embedded_octets = self.embedded_octets.saturating_add(part.body.len());
        if self.embedded_octets > self.limits.embedded_octets_max {
            self.defects.add(Defect::EmbeddedTooLarge, index);
            return false;
        }
        let Some(buffer) = part.decoded_shared() else { return false };
        let mut scan = Scan { buffer, is_raw: false, parent: Some(index), open: Vec::new() };
        if part.is_message() {
            self.entities(&mut scan, 0);
            return true;
        }
        let Some(boundary) = declared_boundary(part).or_else(|| first_boundary(&scan.buffer, &[])) else {
            return false;
        };
        scan.open.push(Open { is_here: false, ..Open::of(index, Some(boundary)) });
        if let Some(start) = self.next_part(&mut scan, 0, None) {
            self.entities(&mut scan, start);
        }
        true
    }
}

impl Open {
    fn of(part: usize, boundary: Option<Vec<u8>>) -> Open {
        Open { part, boundary, is_here: true, closed_at: None, has_children: false }
    }
}

fn declared_boundary(part: &Part) -> Option<Vec<u8>> {
    let boundary = part.content_type.parameter("boundary")?;
    // Trailing blanks cannot be told from what a transport adds to a delimiter line.
    let boundary = boundary.trim_end();
    (!boundary.is_empty()).then(|| boundary.as_bytes().to_vec())
}

/// What stands on the first line of `body` that looks like a delimiter, unless that is one of `open`.
fn first_boundary(body: &[u8], open: &[Open]) -> Option<Vec<u8>> {
    let at = if body.starts_with(b"--") { 0 } else { memchr::memmem::find(body, b"\n--")? + 1 };
    let line = line_at(body, at, body.len())?;
    let line = body.get(line.start..line.end)?;
    if match_delimiter(line, open).is_some() {
        return None;
    }
    let boundary = line.get(2..)?.trim_ascii_end();
    (!boundary.is_empty()).then(|| boundary.to_vec())
}

/// What follows the boundary on a delimiter line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    None,
    Close,
    Other,
}

/// The innermost open multipart of which `line` is a delimiter; one that matches exactly goes first.
fn match_delimiter(line: &[u8], open: &[Open]) -> Option<(usize, Tail)> {
    let line = line.strip_prefix(b"--")?;
    let mut with_tail = None;
    for (level, composite) in open.iter().enumerate().rev() {
        let Some(boundary) = composite.boundary.as_deref() else { continue };
        let Some(tail) = line.strip_prefix(boundary) else { continue };
        if tail.trim_ascii().is_empty() {
            return Some((level, Tail::None));
        }
        if tail.trim_ascii_end() == b"--" {
            return Some((level, Tail::Close));
        }
        // RFC 2046 section 5.1.1 asks for no more than the beginning of the line.
        if composite.closed_at.is_none() && boundary.len() >= TAIL_BOUNDARY_OCTETS_MIN {
            with_tail = with_tail.or(Some((level, Tail::Other)));
        }
    }
    with_tail
}

/// What the MIME fields of a header say.
struct Mime {
    content_type: ContentType,
    has_content_type: bool,
    disposition: Option<Parametrized>,
    encoding: TransferEncoding,
}

impl Mime {
    /// The first field of each name counts; others are a defect.
    fn read(fields: &[HeaderField], is_digest: bool, part: usize, defects: &mut Defects) -> Mime {
        let mut first = |name: &str| {
            let mut found = fields.iter().filter(|field| field.is(name));
            let first = found.next();
            defects.add_many(Defect::DuplicateMimeField, part, found.count());
            first
        };
        let (content_type, disposition) = (first("Content-Type"), first("Content-Disposition"));
        let (encoding, _) = (first("Content-Transfer-Encoding"), first("MIME-Version"));
        let declared = content_type.and_then(|field| ContentType::parse(&field.unfolded()));
        if content_type.is_some() && declared.is_none() {
            defects.add(Defect::BadContentType, part);
        }
        let disposition = disposition.map(|field| Parametrized::parse(&field.unfolded()));
        let has_duplicates = declared.as_ref().is_some_and(ContentType::has_duplicates)
            || disposition.as_ref().is_some_and(|disposition| disposition.has_duplicates);
        defects.add_many(Defect::DuplicateParameter, part, usize::from(has_duplicates));
        let encoding =
            encoding.map_or_else(TransferEncoding::default, |field| TransferEncoding::parse(&field.unfolded()));
        if encoding == TransferEncoding::Unknown {
            defects.add(Defect::UnknownTransferEncoding, part);
        }
        let has_content_type = declared.is_some();
        let default = if is_digest { "message/rfc822" } else { "text/plain" };
        Mime {
            content_type: declared.unwrap_or_else(|| ContentType::of(default)),
            has_content_type,
            disposition,
            encoding,
        }
    }
}
