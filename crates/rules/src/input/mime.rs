//! The MIME tree as SpamAssassin cuts it, line by line: it keeps broken boundaries, missing headers and long lines in its own way, and
//! rules were written for that. So this does not use crate `mail`, which reads MIME as mail programs do (RFC 2045, 2046).

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use super::content_type::ContentType;
use super::header::{self, Block};
use super::octets::{self, is_space};
use super::{Field, transfer};

mod lines;

pub(crate) use lines::LINE_OCTETS_MAX;
use lines::{Line, Lines};

const NESTING_MAX: usize = 20;
const PARTS_MAX: usize = 1000;
/// All parts of all levels together. SpamAssassin has no such limit; deeper nesting of full multiparts would cost it minutes.
const NODES_MAX: usize = 4000;

/// Oddities of the message as a whole; rules ask for them by name (`check_msg_parse_flags`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseFlags {
    /// `missing_head_body_separator`.
    pub missing_head_body_separator: bool,
    /// `truncated_header`.
    pub truncated_header: bool,
    /// `missing_mime_headers`.
    pub missing_mime_headers: bool,
    /// `missing_mime_head_body_separator`.
    pub missing_mime_head_body_separator: bool,
    /// `mime_epilogue_exists`.
    pub mime_epilogue_exists: bool,
    /// `mimepart_limit_exceeded`.
    pub mimepart_limit_exceeded: bool,
    /// A multipart was not closed, or closed twice.
    pub missing_mime_boundary: bool,
}

/// One node of the tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    /// Header fields; the root's are those of the message and are kept apart.
    pub(crate) fields: Vec<Field<'static>>,
    pub(crate) kind: String,
    pub(crate) charset: Option<Vec<u8>>,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) children: Vec<usize>,
    pub(crate) is_leaf: bool,
    pub(crate) raw: Vec<u8>,
    pub(crate) decoded: Vec<u8>,
    pub(crate) depth: usize,
}

/// The tree; node 0 is the message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) flags: ParseFlags,
    boundaries: HashMap<Vec<u8>, i32>,
}

impl Tree {
    /// The nodes as a reader meets them, with their numbers: a part before its own parts.
    pub(crate) fn into_order(mut self) -> Vec<(usize, Node)> {
        let mut ordered = Vec::with_capacity(self.nodes.len());
        let mut waiting = vec![0];
        while let Some(index) = waiting.pop() {
            let Some(node) = self.nodes.get_mut(index).map(std::mem::take) else { continue };
            waiting.extend(node.children.iter().rev());
            ordered.push((index, node));
        }
        ordered
    }
}

struct Work {
    node: usize,
    boundary: Option<Vec<u8>>,
    lines: Lines,
    nesting_left: usize,
}

struct Parser {
    tree: Tree,
    buffers: Vec<Vec<u8>>,
    queue: VecDeque<Work>,
}

/// Reads the tree of a message whose header is `block` and whose body is `body`.
pub(crate) fn parse(block: &Block<'_>, body: &[u8]) -> Tree {
    let mut parser = Parser { tree: Tree::default(), buffers: Vec::new(), queue: VecDeque::new() };
    parser.tree.flags.missing_head_body_separator = block.is_unseparated;
    parser.tree.flags.truncated_header = block.is_truncated;
    parser.tree.nodes.push(Node { is_leaf: true, ..Node::default() });
    parser.message(0, &block.fields, body, block.is_crlf, NESTING_MAX);
    while let Some(work) = parser.queue.pop_front() {
        parser.step(work, &block.fields);
    }
    let mut tree = parser.tree;
    tree.flags.missing_mime_boundary = tree.boundaries.values().any(|&state| state != 0);
    tree
}

/// The values of the fields called `name`.
pub(crate) fn values<'f>(fields: &'f [Field<'_>], name: &'f [u8]) -> impl DoubleEndedIterator<Item = &'f [u8]> {
    fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.decoded.as_slice())
}

impl Parser {
    /// Queues a message (the outermost or a forwarded one) for the node it fills.
    fn message(&mut self, node: usize, fields: &[Field<'_>], body: &[u8], is_crlf: bool, nesting_left: usize) {
        let body = if is_crlf { octets::lf_lines(body) } else { body.to_vec() };
        let buffer = self.buffers.len();
        let mut lines = Lines::of(&body, buffer);
        self.buffers.push(body);
        let kind = ContentType::read(values(fields, b"content-type").next_back());
        if kind.is_multipart() && self.needs_blank_line(&lines, kind.boundary.as_deref()) {
            let blank = self.buffers.len();
            self.buffers.push(b"\n".to_vec());
            lines.prepend(blank, 1);
        }
        if let Some(root) = self.tree.nodes.get_mut(node) {
            root.kind.clone_from(&kind.kind);
        }
        self.queue.push_back(Work { node, boundary: kind.boundary, lines, nesting_left });
    }

    fn text(&self, line: Line) -> &[u8] {
        lines::text(&self.buffers, line)
    }

    /// A body that does not begin with a blank line or its boundary gets a blank line, so that it is not taken for a part's header.
    fn needs_blank_line(&self, lines: &Lines, boundary: Option<&[u8]>) -> bool {
        let mut lines = lines.iter(&self.buffers);
        let Some(first) = lines.next().map(|line| self.text(line)) else { return false };
        if lines.next().is_none() {
            return false;
        }
        let is_text = first.iter().any(|&octet| !is_space(octet));
        let is_boundary =
            boundary.is_some_and(|boundary| first.strip_prefix(b"--").is_some_and(|rest| rest.starts_with(boundary)));
        is_text && !is_boundary
    }

    fn step(&mut self, work: Work, root_fields: &[Field<'_>]) {
        let is_multipart = self.tree.nodes.get(work.node).is_some_and(|node| node.kind.starts_with("multipart/"));
        match &work.boundary {
            Some(boundary) if is_multipart && work.nesting_left > 0 => {
                let boundary = boundary.clone();
                self.multipart(&work, &boundary);
            }
            _ => self.leaf(work, root_fields),
        }
    }

    /// A part without parts of its own, unless it is a forwarded message.
    fn leaf(&mut self, work: Work, root_fields: &[Field<'_>]) {
        let raw = work.lines.join(&self.buffers);
        let has_room = self.tree.nodes.len() < NODES_MAX;
        let Some(node) = self.tree.nodes.get_mut(work.node) else { return };
        let fields: &[Field<'_>] = if work.node == 0 { root_fields } else { &node.fields };
        let kind = ContentType::read(values(fields, b"content-type").next_back());
        let disposition = values(fields, b"content-disposition").next_back();
        let encoding =
            values(fields, b"content-transfer-encoding").next_back().unwrap_or_default().to_ascii_lowercase();
        node.name = disposition.and_then(disposition_name).or(kind.name.clone().filter(|name| !name.is_empty()));
        if !kind.is_missing {
            let is_broken = kind.is_multipart() && work.boundary.is_none();
            node.kind = if is_broken { "text/plain".to_owned() } else { kind.kind.clone() };
        }
        node.charset = kind.charset;
        node.decoded = decode(&raw, &encoding, &node.kind);
        let is_message = node.kind == "message/rfc822" || node.kind == "message/global";
        if is_message && work.nesting_left > 0 && !node.decoded.is_empty() && has_room {
            let message = std::mem::take(&mut node.decoded);
            let depth = node.depth;
            node.is_leaf = false;
            self.forwarded(work.node, depth, &message, work.nesting_left - 1);
        } else {
            node.raw = raw;
        }
    }

    fn forwarded(&mut self, parent: usize, depth: usize, message: &[u8], nesting_left: usize) {
        let message = without_mbox_line(message);
        let block = header::read_block(message);
        let child = self.tree.nodes.len();
        let fields: Vec<Field<'static>> = block.fields.iter().map(owned).collect();
        self.tree.nodes.push(Node { fields, is_leaf: true, depth: depth + 1, ..Node::default() });
        if let Some(parent) = self.tree.nodes.get_mut(parent) {
            parent.children.push(child);
        }
        let body = message.get(block.body_start..).unwrap_or_default();
        self.message(child, &block.fields, body, block.is_crlf, nesting_left);
    }

    fn multipart(&mut self, work: &Work, boundary: &[u8]) {
        if let Some(node) = self.tree.nodes.get_mut(work.node) {
            node.is_leaf = false;
        }
        // The buffers are put aside, so that their lines can be read while parts are added.
        let buffers = std::mem::take(&mut self.buffers);
        self.parts(work, boundary, &buffers);
        self.buffers = buffers;
    }

    fn parts(&mut self, work: &Work, boundary: &[u8], buffers: &[Vec<u8>]) {
        let delimiter = |line: Line| boundary_kind(lines::text(buffers, line), boundary);
        let begins_field = |line: Line| header::begins_strict_field(lines::text(buffers, line));
        let mut rest = work.lines.iter(buffers);
        if rest.any(|line| delimiter(line) == Some(Delimiter::Open)) {
            self.tree.boundaries.insert(boundary.to_vec(), 1);
            self.tree.flags.missing_mime_headers |= rest.clone().next().is_some_and(|line| !begins_field(line));
        } else {
            // Without an opening boundary all of it is looked through.
            rest = work.lines.iter(buffers);
        }
        let mut rest = rest.peekable();
        let mut collector = Collector { seen: 0, part: Part::default(), is_nested: false };
        while let Some(line) = rest.next() {
            let is_last = rest.peek().is_none();
            let mut delimiter = delimiter(line);
            if delimiter.is_some() && collector.is_nested {
                // One level of parts that reuse their parent's boundary.
                collector.is_nested = delimiter != Some(Delimiter::Close);
                delimiter = None;
            }
            if delimiter.is_none() && !is_last {
                self.part_line(&mut collector, line, boundary, buffers);
                continue;
            }
            match delimiter {
                // The last line of all belongs to its part.
                None => collector.part.lines.push(line),
                Some(_) => collector.part.lines.trim_line_end(buffers),
            }
            let part = std::mem::take(&mut collector.part);
            self.queue_part(work, part, boundary);
            if delimiter == Some(Delimiter::Close) {
                *self.tree.boundaries.entry(boundary.to_vec()).or_insert(0) -= 1;
                break;
            }
            self.tree.flags.missing_mime_headers |= rest.peek().is_some_and(|line| !begins_field(*line));
            collector.seen += 1;
            if collector.seen >= PARTS_MAX || self.tree.nodes.len() >= NODES_MAX {
                self.tree.flags.mimepart_limit_exceeded = true;
                return;
            }
        }
        let is_text = |line: Line| lines::text(buffers, line).iter().any(|&octet| !is_space(octet) && octet != b'.');
        self.tree.flags.mime_epilogue_exists |= rest.any(is_text);
    }

    /// One line of a part: of its header, or of its body.
    fn part_line(&mut self, collector: &mut Collector, line: Line, boundary: &[u8], buffers: &[Vec<u8>]) {
        let part = &mut collector.part;
        if !part.is_in_body {
            let text = lines::text(buffers, line);
            if header::begins_part_field(text) {
                part.close_field();
                part.field = text.to_vec();
                return;
            }
            if (text.starts_with(b" ") || text.starts_with(b"\t")) && !part.field.is_empty() {
                part.field.extend_from_slice(text);
                return;
            }
            let is_content_type = octets::starts_caseless(&part.field, b"content-type:");
            part.close_field();
            if is_content_type {
                let kind = ContentType::read(values(&part.fields, b"content-type").next_back());
                collector.is_nested |= kind.boundary.as_deref() == Some(boundary);
            }
            part.is_in_body = true;
            if text == b"\n" || text == b"\r\n" || text == b"\r" || text.is_empty() {
                return;
            }
            self.tree.flags.missing_mime_head_body_separator = true;
        }
        part.lines.push(line);
    }

    fn queue_part(&mut self, work: &Work, part: Part, boundary: &[u8]) {
        let kind = ContentType::read(values(&part.fields, b"content-type").next_back());
        let parent_kind = self.tree.nodes.get(work.node).map_or("", |node| node.kind.as_str());
        let is_digest = kind.is_missing && parent_kind == "multipart/digest";
        let child = self.tree.nodes.len();
        let depth = self.tree.nodes.get(work.node).map_or(0, |node| node.depth) + 1;
        self.tree.nodes.push(Node {
            fields: part.fields,
            kind: if is_digest { "message/rfc822".to_owned() } else { kind.kind },
            is_leaf: true,
            depth,
            ..Node::default()
        });
        if let Some(parent) = self.tree.nodes.get_mut(work.node) {
            parent.children.push(child);
        }
        let boundary = kind.boundary.filter(|boundary| !boundary.is_empty()).unwrap_or_else(|| boundary.to_vec());
        self.queue.push_back(Work {
            node: child,
            boundary: Some(boundary),
            lines: part.lines,
            nesting_left: work.nesting_left - 1,
        });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delimiter {
    Open,
    Close,
}

/// Whether `line` is `--boundary` or `--boundary--`, white space after it.
fn boundary_kind(line: &[u8], boundary: &[u8]) -> Option<Delimiter> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let is_blank = |text: &[u8]| text.iter().all(|&octet| is_space(octet));
    match rest.strip_prefix(b"--") {
        Some(rest) if is_blank(rest) => Some(Delimiter::Close),
        _ if is_blank(rest) => Some(Delimiter::Open),
        _ => None,
    }
}

struct Collector {
    seen: usize,
    part: Part,
    /// A part of this multipart declared the same boundary: its delimiters are not ours.
    is_nested: bool,
}

/// A part that is being collected.
#[derive(Default)]
struct Part {
    fields: Vec<Field<'static>>,
    field: Vec<u8>,
    is_in_body: bool,
    lines: Lines,
}

impl Part {
    fn close_field(&mut self) {
        let lines = std::mem::take(&mut self.field);
        self.fields.extend(header::part_field(&lines));
    }
}

fn owned(field: &Field<'_>) -> Field<'static> {
    Field { name: Cow::Owned(field.name.to_vec()), raw: Cow::Owned(field.raw.to_vec()), decoded: field.decoded.clone() }
}

/// Drops the line `From …` of a mailbox file.
pub(crate) fn without_mbox_line(message: &[u8]) -> &[u8] {
    let first = octets::lines(message).next().unwrap_or_default();
    let is_mbox = first.strip_prefix(b"From").is_some_and(|rest| {
        let spaces = rest.iter().take_while(|octet| is_space(**octet)).count();
        // `From :` is an old way to write a header field, but two blanks may be read as one and a line that starts with a blank.
        spaces > 1 || (spaces == 1 && rest.get(1) != Some(&b':'))
    });
    if is_mbox { message.get(first.len()..).unwrap_or_default() } else { message }
}

fn decode(raw: &[u8], encoding: &[u8], kind: &str) -> Vec<u8> {
    match encoding {
        b"quoted-printable" => octets::lf_lines(&transfer::quoted_printable(raw)),
        b"base64" => {
            let decoded = transfer::base64(raw);
            if kind.starts_with("text/") || kind.starts_with("message/") { octets::lf_lines(&decoded) } else { decoded }
        }
        _ => raw.to_vec(),
    }
}

/// `name=` of a disposition, also as the end of `filename=`.
fn disposition_name(disposition: &[u8]) -> Option<Vec<u8>> {
    let mut from = 0;
    while let Some(at) = octets::find_caseless(disposition, b"name=", from) {
        let rest = octets::trim_start(disposition.get(at + 5..)?);
        let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let end = rest.iter().position(|octet| matches!(octet, b'"' | b';')).unwrap_or(rest.len());
        if end > 0 {
            return rest.get(..end).map(<[u8]>::to_vec);
        }
        from = at + 1;
    }
    None
}
