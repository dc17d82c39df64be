//! HTML cut into tags, texts, comments and declarations, as Perl's HTML::Parser 3.81 cuts it (its forgiving mode with marked sections).
//! Rules see what this reading leaves visible, so its oddities are kept: an unfinished tag swallows the rest, `<a/href=x>` is one name.

use super::entities::is_html_space;

/// One thing found. Texts and values are as written: entities are the reader's business.
#[derive(Debug)]
pub(crate) enum Event<'t> {
    Start { tag: &'t [u8], attributes: &'t [Attribute<'t>] },
    End { tag: &'t [u8] },
    Text { text: &'t [u8], is_cdata: bool },
    Comment { text: &'t [u8] },
    Declaration { text: &'t [u8] },
}

/// One attribute; without a value it has its name as value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'t> {
    pub(crate) name: &'t [u8],
    pub(crate) value: Option<&'t [u8]>,
}

/// Elements whose content is text up to their end tag, and whether entities mean nothing in it.
const LITERAL: [(&str, bool); 7] = [
    ("script", true),
    ("style", true),
    ("xmp", true),
    ("iframe", true),
    ("plaintext", true),
    ("title", false),
    ("textarea", false),
];

/// What marked sections (`<![CDATA[`) make of their content; the strongest of the open ones counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Marked {
    #[default]
    None,
    Include,
    Rcdata,
    Cdata,
    Ignore,
}

/// Reads chunks; what a chunk leaves unfinished waits for the next.
#[derive(Debug, Default)]
pub(crate) struct Tokenizer {
    rest: Vec<u8>,
    literal: Option<&'static str>,
    is_cdata: bool,
    sections: Vec<Marked>,
    section: Marked,
    /// A lone `>` ends a comment: the end of the document was reached within one.
    is_comment_loose: bool,
    pending_end: Option<&'static str>,
}

/// Where a markup parser stands after `<`.
enum Step {
    /// Markup read up to here.
    Done(usize),
    /// The text ends within the markup.
    Unfinished,
    /// No markup: the `<` is text.
    NotMarkup,
}

impl Tokenizer {
    /// Reads `chunk` after what earlier chunks left.
    pub(crate) fn feed(&mut self, chunk: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        if self.rest.is_empty() {
            let end = self.run(chunk, 0, sink);
            self.rest = chunk.get(end..).unwrap_or_default().to_vec();
        } else {
            let mut text = std::mem::take(&mut self.rest);
            text.extend_from_slice(chunk);
            let end = self.run(&text, 0, sink);
            text.drain(..end);
            self.rest = text;
        }
    }

    /// Ends the document: what is unfinished is text or a comment.
    pub(crate) fn finish(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        let text = std::mem::take(&mut self.rest);
        let mut at = 0;
        while at < text.len() {
            match self.literal {
                Some("plaintext" | "xmp" | "iframe" | "textarea") => break,
                Some(tag) => {
                    if tag == "script" || tag == "style" {
                        self.emit(Event::End { tag: tag.as_bytes() }, sink);
                    } else {
                        self.pending_end = Some(tag);
                    }
                    self.literal = None;
                    at = self.run(&text, at, sink);
                    continue;
                }
                None => {}
            }
            let is_markup = text.get(at) == Some(&b'<');
            if is_markup && !self.is_comment_loose {
                self.is_comment_loose = true;
                at = self.run(&text, at, sink);
                continue;
            }
            let next = text.get(at + 1).copied();
            if is_markup
                && next.is_none_or(|octet| {
                    octet.is_ascii_alphabetic() || matches!(octet, b'_' | b':' | b'/' | b'!' | b'?')
                })
            {
                self.emit(Event::Comment { text: text.get(at..).unwrap_or_default() }, sink);
                at = text.len();
            }
            break;
        }
        if at < text.len() {
            self.emit_text(text.get(at..).unwrap_or_default(), sink);
        }
        if let Some(tag) = self.pending_end.take() {
            sink(Event::End { tag: tag.as_bytes() });
        }
    }

    fn emit(&mut self, event: Event<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        if !matches!(event, Event::Text { .. } | Event::Comment { .. })
            && let Some(tag) = self.pending_end.take()
        {
            sink(Event::End { tag: tag.as_bytes() });
        }
        if self.section != Marked::Ignore {
            sink(event);
        }
    }

    fn emit_text(&mut self, text: &[u8], sink: &mut dyn FnMut(Event<'_>)) {
        self.emit(Event::Text { text, is_cdata: self.is_cdata }, sink);
    }

    /// Reads from `from` and returns where the unfinished rest begins.
    fn run(&mut self, text: &[u8], from: usize, sink: &mut dyn FnMut(Event<'_>)) -> usize {
        // `start` is where unreported text begins, `at` how far it was looked through.
        let (mut start, mut at) = (from, from);
        loop {
            if let Some(tag) = self.literal {
                let Some(end) = self.literal_text(text, start, tag, sink) else { return start };
                (start, at) = (end, end);
            }
            while matches!(self.section, Marked::Cdata | Marked::Rcdata) {
                let Some(end) = self.section_text(text, start, sink) else { return start };
                (start, at) = (end, end);
            }
            at = self.plain_text(text, &mut start, at, sink);
            if at < text.len() && at != start {
                self.emit_text(text.get(start..at).unwrap_or_default(), sink);
                start = at;
            } else if at != start {
                let end = last_word(text, start);
                if end != start {
                    self.emit_text(text.get(start..end).unwrap_or_default(), sink);
                }
                return end;
            }
            if text.len() - at < 3 {
                return at;
            }
            match self.markup(text, at, sink) {
                Step::Done(end) => (start, at) = (end, end),
                Step::Unfinished => return start,
                Step::NotMarkup => at += 1,
            }
        }
    }

    /// Moves over text up to `<`. Within a marked section, `]]>` ends it on the way.
    fn plain_text(&mut self, text: &[u8], start: &mut usize, mut at: usize, sink: &mut dyn FnMut(Event<'_>)) -> usize {
        if self.section == Marked::None {
            return text.get(at..).and_then(|rest| memchr::memchr(b'<', rest)).map_or(text.len(), |length| at + length);
        }
        while let Some(&octet) = text.get(at).filter(|octet| **octet != b'<') {
            if octet == b']' && self.section != Marked::None && text.get(at..at + 3) == Some(b"]]>") {
                self.emit_text(text.get(*start..at).unwrap_or_default(), sink);
                at += 3;
                *start = at;
                self.close_section();
            } else {
                at += 1;
            }
        }
        at
    }

    /// Text of a literal element up to its end tag; `None` if that is missing.
    fn literal_text(
        &mut self,
        text: &[u8],
        start: usize,
        tag: &'static str,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Option<usize> {
        for before in memchr::memchr_iter(b'<', text.get(start..)?).map(|at| start + at) {
            let Some(name) = text.get(before + 2..before + 2 + tag.len()) else { continue };
            if text.get(before + 1) != Some(&b'/') || !name.eq_ignore_ascii_case(tag.as_bytes()) || tag == "plaintext" {
                continue;
            }
            let after = skip_space(text, before + 2 + tag.len());
            if text.get(after) == Some(&b'>') {
                if before != start {
                    self.emit_text(text.get(start..before)?, sink);
                }
                self.emit(Event::End { tag: name }, sink);
                self.literal = None;
                self.is_cdata = false;
                return Some(after + 1);
            }
        }
        None
    }

    /// Text of a marked section up to `]]>`; `None` if that is missing.
    fn section_text(&mut self, text: &[u8], start: usize, sink: &mut dyn FnMut(Event<'_>)) -> Option<usize> {
        let end = start + memchr::memmem::find(text.get(start..)?, b"]]>")?;
        if end != start {
            self.emit_text(text.get(start..end)?, sink);
        }
        self.close_section();
        Some(end + 3)
    }

    fn close_section(&mut self) {
        self.sections.pop();
        self.update_section();
    }

    fn update_section(&mut self) {
        self.section = self.sections.iter().copied().max().unwrap_or_default();
        self.is_cdata = self.section == Marked::Cdata;
    }

    /// Markup whose `<` stands at `at`.
    fn markup(&mut self, text: &[u8], at: usize, sink: &mut dyn FnMut(Event<'_>)) -> Step {
        match text.get(at + 1) {
            Some(octet) if octet.is_ascii_alphabetic() => self.start_tag(text, at, sink),
            Some(b'/') => self.end_tag(text, at, sink),
            Some(b'!') => self.declaration(text, at, sink),
            Some(b'?') => match memchr::memchr(b'>', text.get(at + 2..).unwrap_or_default()) {
                Some(length) => Step::Done(at + 2 + length + 1),
                None => Step::Unfinished,
            },
            // Names may begin with these two as well.
            Some(b'_' | b':') => self.start_tag(text, at, sink),
            _ => Step::NotMarkup,
        }
    }

    fn start_tag(&mut self, text: &[u8], at: usize, sink: &mut dyn FnMut(Event<'_>)) -> Step {
        let name_end = skip_while(text, at + 2, is_not_space_gt);
        let tag = text.get(at + 1..name_end).unwrap_or_default();
        let mut here = skip_space(text, name_end);
        let mut attributes = Vec::new();
        while let Some(&octet) = text.get(here) {
            if octet == b'>' {
                break;
            }
            let attribute_end = skip_while(text, here + 1, |octet| is_not_space_gt(octet) && octet != b'=');
            let name = text.get(here..attribute_end).unwrap_or_default();
            here = skip_space(text, attribute_end);
            let mut value = None;
            if text.get(here) == Some(&b'=') {
                let Some((found, end)) = attribute_value(text, skip_space(text, here + 1)) else {
                    return Step::Unfinished;
                };
                value = Some(found);
                here = skip_space(text, end);
            }
            if attributes.len() < ATTRIBUTES_MAX {
                attributes.push(Attribute { name, value });
            }
        }
        if here >= text.len() {
            return Step::Unfinished;
        }
        self.emit(Event::Start { tag, attributes: &attributes }, sink);
        if let Some((name, is_cdata)) = LITERAL.iter().find(|(name, _)| tag.eq_ignore_ascii_case(name.as_bytes())) {
            self.literal = Some(name);
            self.is_cdata = *is_cdata;
        }
        Step::Done(here + 1)
    }

    fn end_tag(&mut self, text: &[u8], at: usize, sink: &mut dyn FnMut(Event<'_>)) -> Step {
        let name_end = skip_while(text, at + 2, is_not_space_gt);
        let Some(end) = closing_gt(text, name_end) else { return Step::Unfinished };
        if name_end > at + 2 {
            self.emit(Event::End { tag: text.get(at + 2..name_end).unwrap_or_default() }, sink);
        } else {
            self.emit(Event::Comment { text: text.get(at..=end).unwrap_or_default() }, sink);
        }
        Step::Done(end + 1)
    }

    fn declaration(&mut self, text: &[u8], at: usize, sink: &mut dyn FnMut(Event<'_>)) -> Step {
        match text.get(at + 2) {
            None => return Step::Unfinished,
            Some(b'-') if text.get(at + 3).is_none() => return Step::Unfinished,
            Some(b'-') if text.get(at + 3) == Some(&b'-') => {
                return match self.comment_end(text, at + 4) {
                    Some(end) => {
                        self.emit(Event::Comment { text: text.get(at..end).unwrap_or_default() }, sink);
                        Step::Done(end)
                    }
                    None => Step::Unfinished,
                };
            }
            Some(b'[') => match self.open_section(text, at + 3) {
                Step::NotMarkup => {}
                step => return step,
            },
            Some(octet) if octet.is_ascii_alphabetic() => match declaration_end(text, at + 2) {
                Step::NotMarkup => {}
                Step::Done(end) => {
                    self.emit(Event::Declaration { text: text.get(at..end).unwrap_or_default() }, sink);
                    return Step::Done(end);
                }
                Step::Unfinished => return Step::Unfinished,
            },
            Some(_) => {}
        }
        let Some(length) = memchr::memchr(b'>', text.get(at + 2..).unwrap_or_default()) else {
            return Step::Unfinished;
        };
        let end = at + 2 + length + 1;
        self.emit(Event::Comment { text: text.get(at..end).unwrap_or_default() }, sink);
        Step::Done(end)
    }

    fn comment_end(&self, text: &[u8], from: usize) -> Option<usize> {
        let rest = text.get(from..)?;
        if self.is_comment_loose {
            return memchr::memchr(b'>', rest).map(|at| from + at + 1);
        }
        // Dashes may overlap: `--->` ends a comment.
        memchr::memchr_iter(b'-', rest).find_map(|dash| {
            let after = from + dash + 1;
            if text.get(after) != Some(&b'-') {
                return None;
            }
            let end = skip_space(text, after + 1);
            (text.get(end) == Some(&b'>')).then_some(end + 1)
        })
    }

    /// `<![ names [`: opens a marked section. Comments between the names are passed over.
    fn open_section(&mut self, text: &[u8], from: usize) -> Step {
        let mut section = Marked::None;
        let mut is_named = false;
        let mut at = skip_space(text, from);
        loop {
            match text.get(at) {
                None => return Step::Unfinished,
                Some(octet) if octet.is_ascii_alphabetic() || matches!(octet, b'_' | b':') => {
                    let end = skip_while(text, at, |octet| {
                        octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b':' | b'-')
                    });
                    section = section.max(marked(text.get(at..end).unwrap_or_default()));
                    is_named = true;
                    at = skip_space(text, end);
                }
                Some(b'-') if text.get(at + 1) == Some(&b'-') => {
                    let Some(length) = memchr::memmem::find(text.get(at + 2..).unwrap_or_default(), b"--") else {
                        return Step::Unfinished;
                    };
                    at = skip_space(text, at + 2 + length + 2);
                }
                Some(b'[') => {
                    if self.sections.len() >= SECTIONS_MAX {
                        return Step::NotMarkup;
                    }
                    self.sections.push(if is_named { section } else { Marked::Include });
                    self.update_section();
                    return Step::Done(at + 1);
                }
                Some(_) => return Step::NotMarkup,
            }
        }
    }
}

const ATTRIBUTES_MAX: usize = 512;
const SECTIONS_MAX: usize = 64;

fn marked(name: &[u8]) -> Marked {
    match name.to_ascii_lowercase().as_slice() {
        b"include" => Marked::Include,
        b"rcdata" => Marked::Rcdata,
        b"cdata" => Marked::Cdata,
        b"ignore" => Marked::Ignore,
        _ => Marked::None,
    }
}

fn is_not_space_gt(octet: u8) -> bool {
    octet != b'>' && !is_html_space(octet)
}

fn skip_while(text: &[u8], from: usize, is_wanted: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    from + rest.iter().position(|&octet| !is_wanted(octet)).unwrap_or(rest.len())
}

fn skip_space(text: &[u8], from: usize) -> usize {
    skip_while(text, from, is_html_space)
}

/// The value that begins at `from`, and where it ends; `None` if the text ends before it does.
fn attribute_value(text: &[u8], from: usize) -> Option<(&[u8], usize)> {
    match text.get(from)? {
        b'>' => Some((b"", from)),
        quote @ (b'"' | b'\'') => {
            let length = memchr::memchr(*quote, text.get(from + 1..)?)?;
            Some((text.get(from + 1..from + 1 + length)?, from + length + 2))
        }
        _ => {
            let end = skip_while(text, from, is_not_space_gt);
            if end < text.len() { Some((text.get(from..end)?, end)) } else { None }
        }
    }
}

/// The `>` that ends an end tag. Quoted strings are passed over where a quote follows a space or `=`, as an old browser did.
fn closing_gt(text: &[u8], from: usize) -> Option<usize> {
    let mut quote = None;
    let mut before = b' ';
    for (at, &octet) in text.iter().enumerate().skip(from) {
        match (octet, quote) {
            (b'>', None) => return Some(at),
            (b'"' | b'\'', Some(open)) if octet == open => quote = None,
            (b'"' | b'\'', None) if before == b' ' || before == b'=' => quote = Some(octet),
            _ => {}
        }
        before = octet;
    }
    None
}

/// The end of `<!DOCTYPE …>` or `<!ENTITY …>` whose name begins at `from`.
fn declaration_end(text: &[u8], from: usize) -> Step {
    let name_end =
        skip_while(text, from, |octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b':' | b'-'));
    if name_end >= text.len() {
        return Step::Unfinished;
    }
    let name = text.get(from..name_end).unwrap_or_default();
    if !name.eq_ignore_ascii_case(b"doctype") && !name.eq_ignore_ascii_case(b"entity") {
        return Step::NotMarkup;
    }
    let mut at = name_end;
    loop {
        at = skip_space(text, at);
        let rest = text.get(at + 1..).unwrap_or_default();
        match text.get(at) {
            None => return Step::Unfinished,
            Some(b'>') => return Step::Done(at + 1),
            Some(quote @ (b'"' | b'\'')) => match memchr::memchr(*quote, rest) {
                Some(length) => at += length + 2,
                None => return Step::Unfinished,
            },
            Some(b'-') => match rest.first() {
                None => return Step::Unfinished,
                Some(b'-') => match memchr::memmem::find(rest.get(1..).unwrap_or_default(), b"--") {
                    Some(length) => at += length + 4,
                    None => return Step::Unfinished,
                },
                Some(_) => return Step::NotMarkup,
            },
            Some(_) => at = skip_while(text, at + 1, is_not_space_gt),
        }
    }
}

/// Where the last word of an unfinished text begins, the white space before it included: it may go on in the next chunk.
fn last_word(text: &[u8], start: usize) -> usize {
    let piece = text.get(start..).unwrap_or_default();
    let trimmed = |piece: &[u8], is_wanted: fn(u8) -> bool| {
        piece.iter().rposition(|&octet| !is_wanted(octet)).map_or(0, |last| last + 1)
    };
    let is_word = |octet: u8| !is_html_space(octet);
    let mut end = piece.len();
    if piece.last().is_some_and(|&octet| is_word(octet)) {
        end = trimmed(piece, is_word);
    }
    start + trimmed(piece.get(..end).unwrap_or_default(), is_html_space)
}
