//! Rendering: tags and texts in, visible text and facts out.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::attributes::Attributes;
use super::cut_words::{is_letter_like, word_head, word_tail};
use super::elements::{self, Known};
use super::entities::{self, Decoded};
use super::inside::Inside;
use super::links;
use super::style::{Stack, Visibility};
use super::text::{is_perl_space, text_of};
use super::tokens::{Attribute, Event, Tokenizer};
use super::{HtmlLink, HtmlPart};
use crate::pattern::Pattern;

/// Anchors, comments, titles and scripts kept, and links of one part.
const TEXTS_MAX: usize = 10_000;
const LINKS_MAX: usize = 10_000;
/// A part may leave `style` or `script` open this often.
const CLOSINGS_MAX: usize = 16;

/// Rendered text and the facts.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The text; see [`Decoded::is_wide`] for the flag.
    pub(crate) text: String,
    pub(crate) is_wide: bool,
    pub(crate) facts: HtmlPart,
}

/// Renders `source`, whose octets before charset decoding were `octets`.
pub(crate) fn render(source: &str, is_wide: bool, octets: usize) -> Rendered {
    let mut renderer = Renderer::new(is_wide);
    renderer.facts.length = source.chars().count();
    let prepared = prepare(source);
    let mut tokenizer = Tokenizer::default();
    tokenizer.feed(prepared.as_bytes(), &mut |event| renderer.event(&event));
    // Unclosed `style` and `script` would hide all that follows: they are closed, as in a browser that got the whole message.
    for tag in ["style", "script"] {
        for _ in 0..CLOSINGS_MAX {
            if renderer.is_inside(tag) {
                tokenizer.feed(format!("</{tag}>").as_bytes(), &mut |event| renderer.event(&event));
            }
        }
    }
    tokenizer.finish(&mut |event| renderer.event(&event));
    renderer.finish(octets)
}

/// `&nbsp;` is a space, `<br/>` is `<br>`, typographic quotes are quotes: the tokenizer would read them otherwise.
fn prepare(source: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(source);
    if holds(&text, "&nbsp;") {
        text = Cow::Owned(text.replace("&nbsp;", " "));
    }
    if holds(&text, "/>") {
        text = Cow::Owned(without_empty_tag_slashes(&text));
    }
    if holds(&text, "\u{201c}") || holds(&text, "\u{201d}") {
        text = Cow::Owned(text.replace(['\u{201c}', '\u{201d}'], "\""));
    }
    text
}

fn holds(text: &str, piece: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), piece.as_bytes()).is_some()
}

fn without_empty_tag_slashes(text: &str) -> String {
    let mut prepared = String::with_capacity(text.len());
    let mut from = 0;
    for at in memchr::memmem::find_iter(text.as_bytes(), b"/>") {
        let before = text.get(from..at).unwrap_or_default();
        let trimmed = before.trim_end();
        let name = trimmed.trim_end_matches(|char: char| char.is_alphanumeric() || char == '_');
        if name.ends_with('<') && name.len() < trimmed.len() {
            prepared.push_str(trimmed);
            prepared.push('>');
        } else {
            prepared.push_str(before);
            prepared.push_str("/>");
        }
        from = at + 2;
    }
    prepared.push_str(text.get(from..).unwrap_or_default());
    prepared
}

/// The last piece of text, which the next one looks back at.
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    start: usize,
    is_wide: bool,
    is_white: bool,
    is_invisible: bool,
}

struct Renderer {
    facts: HtmlPart,
    text: String,
    is_wide: bool,
    /// Whether the source itself is held as characters.
    is_source_wide: bool,
    last: Option<Piece>,
    styles: Stack,
    base: String,
    anchor: Option<usize>,
    links: HashMap<String, usize>,
    backhair: HashSet<(usize, usize)>,
    inside: Inside,
    tags: u64,
    tags_seen: u64,
    elements: u64,
    elements_seen: u64,
    closed_extra: u64,
    obfuscation: u64,
}

impl Renderer {
    fn new(is_source_wide: bool) -> Renderer {
        Renderer {
            facts: HtmlPart::default(),
            text: String::new(),
            is_wide: false,
            is_source_wide,
            last: None,
            styles: Stack::new(),
            base: String::new(),
            anchor: None,
            links: HashMap::new(),
            backhair: HashSet::new(),
            inside: Inside::new(),
            tags: 0,
            tags_seen: 0,
            elements: 0,
            elements_seen: 0,
            closed_extra: 0,
            obfuscation: 0,
        }
    }

    fn is_inside(&self, tag: &str) -> bool {
        elements::find(tag.as_bytes()).is_some_and(|(index, _)| self.inside.is_open(index))
    }

    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start { tag, attributes } => self.tag(tag, Some(attributes)),
            Event::End { tag } => self.tag(tag, None),
            Event::Text { text, is_cdata } => {
                let text = text_of(text);
                let decoded = if *is_cdata {
                    Decoded { text: Cow::Borrowed(text.as_ref()), is_wide: self.is_source_wide }
                } else {
                    entities::decode(&text, self.is_source_wide, true)
                };
                self.text(&decoded);
            }
            Event::Comment { text } => {
                if self.facts.comments.len() < TEXTS_MAX {
                    self.facts.comments.push(text_of(text).into_owned());
                }
            }
            Event::Declaration { text } => {
                if crate::input::octets::starts_caseless(text, b"<!doctype") {
                    self.elements += 1;
                    self.tags += 1;
                    self.inside.has_doctype = true;
                }
            }
        }
    }

    /// A start tag with its attributes, or an end tag.
    fn tag(&mut self, tag: &[u8], attributes: Option<&[Attribute<'_>]>) {
        let known = elements::find(tag);
        let lower = if known.is_some() { String::new() } else { text_of(tag).to_ascii_lowercase() };
        let is_element = known.map_or_else(|| is_office_tag(&lower), |(_, known)| known.is_valid);
        let counted = match known {
            Some((index, _)) => self.inside.count(index, attributes.is_some()),
            None => self.inside.count_unknown(lower, attributes.is_some()),
        };
        self.tags += 1;
        self.tags_seen += u64::from(counted.is_new);
        self.elements += u64::from(is_element);
        self.elements_seen += u64::from(is_element && counted.is_new);
        self.closed_extra += u64::from(counted.is_extra);
        if let Some((_, known)) = known {
            self.element(known, attributes);
        }
    }

    fn element(&mut self, known: &Known, attributes: Option<&[Attribute<'_>]>) {
        let attributes = attributes.map(|attributes| Attributes::read(attributes, self.is_source_wide));
        if let Some(element) = known.style {
            match &attributes {
                Some(attributes) => self.styles.open(element, attributes),
                None => self.styles.close(element),
            }
        }
        if !known.space.is_empty() {
            self.white_space(known.space);
        }
        if let Some(mut attributes) = attributes {
            self.links(known.name, &mut attributes);
            self.start_facts(known.name, &attributes);
        }
    }

    fn white_space(&mut self, space: &str) {
        if let Some(last) = self.last
            && !last.is_white
            && !last.is_invisible
            && self.text.len() > last.start
            && self.text.ends_with(' ')
        {
            self.text.pop();
        }
        self.push(space, Piece { is_white: true, ..Piece::default() });
    }

    fn push(&mut self, text: &str, piece: Piece) {
        self.last = Some(Piece { start: self.text.len(), ..piece });
        self.is_wide |= piece.is_wide;
        self.text.push_str(text);
    }

    fn text(&mut self, decoded: &Decoded<'_>) {
        let text = decoded.text.as_ref();
        if self.inside.is_open(self.inside.script) {
            push_text(&mut self.facts.scripts, text);
            return;
        }
        if self.inside.is_open(self.inside.style) {
            return;
        }
        if self.inside.is_open(self.inside.anchor) {
            self.anchor_text(text);
        }
        if self.inside.is_open(self.inside.title)
            && let Some(title) = self.facts.titles.last_mut()
        {
            title.push_str(text);
        }
        let folded = fold(text);
        let is_blank = folded.as_bytes().iter().all(|octet| *octet == b' ');
        let is_invisible = !is_blank && self.is_invisible();
        self.note_cut_words(text, decoded.is_wide);
        let shown = match self.last {
            Some(last) if last.is_white && !is_invisible => folded.strip_prefix(' ').unwrap_or(&folded),
            _ => &folded,
        };
        self.push(shown, Piece { is_wide: decoded.is_wide, is_invisible, ..Piece::default() });
    }

    fn is_invisible(&mut self) -> bool {
        match self.styles.top().visibility() {
            Visibility::Visible => return false,
            Visibility::LowContrast => self.facts.font_low_contrast = true,
            Visibility::InvalidColor => self.facts.font_invalid_color = true,
            Visibility::Hidden => {}
        }
        true
    }

    fn anchor_text(&mut self, text: &str) {
        if let Some(anchor) = self.facts.anchors.last_mut() {
            anchor.push_str(text);
        }
        let link = self.anchor.and_then(|index| self.facts.links.get_mut(index));
        if let Some(anchor) = link.and_then(|link| link.anchor_texts.last_mut()) {
            anchor.push_str(text);
        }
    }

    /// Tags between the letters of a word: `V<b>i</b>agra`.
    fn note_cut_words(&mut self, text: &str, is_wide: bool) {
        let Some(last) = self.last else { return };
        let before = self.text.get(last.start..).unwrap_or_default();
        let joins = |char: char, is_wide: bool| is_letter_like(char, is_wide);
        let ends = before.chars().next_back().is_some_and(|char| joins(char, last.is_wide));
        let begins = text.chars().next().is_some_and(|char| joins(char, is_wide));
        if !ends {
            return;
        }
        self.obfuscation += u64::from(begins);
        if let (Some(head), true) = (word_tail(before, last.is_wide), begins)
            && let Some(tail) = word_head(text, is_wide)
        {
            self.backhair.insert((head, tail));
        }
    }

    fn links(&mut self, tag: &str, attributes: &mut Attributes<'_>) {
        match tag {
            "body" | "table" | "tr" | "td" => {
                if let Some(uri) = attributes.get("background") {
                    self.add_link(tag, &uri);
                }
            }
            "a" | "area" | "link" => {
                attributes.take_glued("href");
                if let Some(uri) = attributes.get("href") {
                    self.add_link(tag, &without_mark(&uri));
                }
                if let Some(uri) = attributes.get("data-saferedirecturl") {
                    self.add_link(tag, &uri);
                }
            }
            "img" | "frame" | "iframe" | "embed" | "script" | "bgsound" => {
                attributes.take_glued("src");
                if let Some(uri) = attributes.get("src") {
                    self.add_link(tag, &uri);
                }
            }
            "form" => {
                if let Some(uri) = attributes.get("action") {
                    self.add_link(tag, &uri);
                }
            }
            "base" => {
                if let Some(uri) = attributes.get("href").filter(|uri| !matches!(&**uri, "" | "0")) {
                    let (uri, _) = links::trimmed(&uri);
                    self.add_link(tag, &uri);
                    if let Some(base) = links::base(&uri) {
                        self.base = base;
                    }
                }
            }
            "meta" => {
                if let Some(uri) = refresh_target(attributes) {
                    self.add_link(tag, &uri);
                }
            }
            _ => {}
        }
    }

    fn add_link(&mut self, tag: &str, uri: &str) {
        let (uri, is_cut) = links::trimmed(uri);
        self.facts.is_uri_truncated |= is_cut;
        if uri.is_empty() {
            return;
        }
        let target = if links::has_own_scheme(&uri) { uri } else { links::target(&self.base, &uri) };
        let Some(index) = (if target.is_empty() { None } else { self.link(target) }) else { return };
        if let (Some(link), Some(tag)) = (self.facts.links.get_mut(index), link_tag(tag))
            && !link.tags.contains(&tag)
        {
            link.tags.push(tag);
        }
    }

    /// The entry of a link.
    fn link(&mut self, uri: String) -> Option<usize> {
        if let Some(index) = self.links.get(&uri) {
            return Some(*index);
        }
        let index = self.facts.links.len();
        if index >= LINKS_MAX {
            self.facts.is_uri_truncated = true;
            return None;
        }
        self.facts.links.push(HtmlLink { uri: uri.clone(), ..HtmlLink::default() });
        self.links.insert(uri, index);
        Some(index)
    }

    fn start_facts(&mut self, tag: &str, attributes: &Attributes<'_>) {
        match tag {
            "font" => {
                if let Some(face) = attributes.get("face") {
                    self.facts.font_face_bad |= FONT_FACE.is_match(face.as_bytes()) == Ok(false);
                }
            }
            "img" => {
                if self.inside.is_open(self.inside.anchor) {
                    self.anchor_text("<img>\n");
                }
                if let (Some(width), Some(height)) = (attributes.get("width"), attributes.get("height")) {
                    self.facts.image_area += side(&width, 8.0) * side(&height, 6.0);
                }
            }
            "form" => {
                self.facts.form_action_mailto |=
                    attributes.get("action").is_some_and(|action| action.to_ascii_lowercase().contains("mailto:"))
            }
            "object" | "embed" => self.facts.embeds = true,
            "a" => {
                let uri = attributes.get("href").map(|uri| links::trimmed(&uri).0).unwrap_or_default();
                self.anchor = self.link(uri);
                if let Some(link) = self.anchor.and_then(|index| self.facts.links.get_mut(index)) {
                    push_text(&mut link.anchor_texts, "");
                }
                push_text(&mut self.facts.anchors, "");
            }
            "title" => push_text(&mut self.facts.titles, ""),
            _ => {}
        }
    }

    fn finish(self, octets: usize) -> Rendered {
        let mut facts = self.facts;
        facts.inside = self.inside.into_counts();
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        facts.min_size = self.styles.size_min;
        facts.max_size = self.styles.size_max;
        facts.closed_extra_ratio = ratio(self.closed_extra, self.tags);
        if self.elements > 0 {
            facts.bad_tag_ratio = ratio(self.tags - self.elements, self.tags);
        }
        if self.elements_seen > 0 {
            facts.non_element_ratio = ratio(self.tags_seen - self.elements_seen, self.tags_seen);
        }
        if self.obfuscation > 0 {
            facts.obfuscation_ratio = ratio(self.obfuscation, self.tags);
        }
        facts.backhair_count = (!self.backhair.is_empty()).then_some(self.backhair.len());
        facts.html_length = self.text.chars().count();
        let is_space = |char: char| {
            if self.is_wide { is_perl_space(char) } else { matches!(char, ' ' | '\t' | '\n' | '\r' | '\u{b}') }
        };
        let spaces = if self.text.is_ascii() {
            self.text.bytes().filter(|octet| is_space(char::from(*octet))).count()
        } else {
            self.text.chars().filter(|char| is_space(*char)).count()
        };
        facts.non_space_len = facts.html_length - spaces;
        facts.ratio = (octets > 0).then(|| (octets as f64 - facts.html_length as f64) / octets as f64);
        Rendered { text: self.text, is_wide: self.is_wide, facts }
    }
}

static FONT_FACE: LazyLock<Pattern> = LazyLock::new(|| {
    let name = r#"[a-z][a-z -]*[a-z]\d?["']?"#;
    let pattern = format!(r#"m{{^\s*["'.]?[a-z ][a-z -]*[a-z]\d?["']?(?:,\s*["']?{name})*;?$}}i"#);
    Pattern::parse(pattern.as_bytes()).expect("the pattern of font names is ours")
});

fn push_text(texts: &mut Vec<String>, text: &str) {
    if texts.len() < TEXTS_MAX {
        texts.push(text.to_owned());
    }
}

/// A link may be cut by marks of octet order, which browsers pass over.
fn without_mark(uri: &str) -> Cow<'_, str> {
    if holds(uri, "\u{feff}") { Cow::Owned(uri.replace('\u{feff}', "")) } else { Cow::Borrowed(uri) }
}

fn link_tag(tag: &str) -> Option<&'static str> {
    const TAGS: [&str; 16] = [
        "a", "area", "base", "bgsound", "body", "embed", "form", "frame", "iframe", "img", "link", "meta", "script",
        "table", "td", "tr",
    ];
    TAGS.into_iter().find(|known| *known == tag)
}

/// `<meta http-equiv=refresh content="3; url=…">`.
fn refresh_target(attributes: &Attributes<'_>) -> Option<String> {
    let (kind, content) = (attributes.get("http-equiv")?, attributes.get("content")?);
    if !kind.to_ascii_lowercase().contains("refresh") {
        return None;
    }
    let lower = content.to_ascii_lowercase();
    // The last `url =` of the first line counts, as a whole word.
    let uri = lower.rmatch_indices("url").find_map(|(at, _)| {
        let is_glued = content.get(..at)?.chars().next_back().is_some_and(|char| char.is_alphanumeric() || char == '_');
        let rest = content.get(at + 3..)?.trim_start().strip_prefix('=')?;
        (!is_glued).then(|| rest.trim_start())
    })?;
    Some(uri.split(';').next().unwrap_or_default().trim_end().to_owned())
}

/// A side of an image in pixels: a number, or per cent of a screen (`pixels` each); what is neither is 200.
fn side(value: &str, pixels: f64) -> f64 {
    let (digits, factor) = value.strip_suffix('%').map_or((value, 1.0), |digits| (digits, pixels));
    let is_number = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    let side = if is_number { digits.parse().unwrap_or(0.0) * factor } else { 0.0 };
    if side > 0.0 { side } else { 200.0 }
}

/// Tags of office programs (`o:p`, `st1:city`) are no elements, but valid.
fn is_office_tag(tag: &str) -> bool {
    let Some((prefix, name)) = tag.split_once(':') else { return false };
    let is_prefix = prefix == "o"
        || prefix
            .strip_prefix("st")
            .is_some_and(|digit| digit.len() == 1 && digit.bytes().all(|octet| octet.is_ascii_digit()));
    let name = name.strip_suffix('/').unwrap_or(name);
    is_prefix && !name.is_empty() && name.chars().all(|char| char.is_alphanumeric() || char == '_' || char == '-')
}

/// Runs of white space become one space. A no-break space that was decoded wrongly (`\u{c2}\u{a0}`) does as well.
fn fold(text: &str) -> Cow<'_, str> {
    let is_space = |octet: u8| matches!(octet, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | 0x0b);
    let mut before = 0;
    let is_folded = text.bytes().all(|octet| {
        let is_odd = is_space(octet) && (octet != b' ' || before == b' ');
        before = octet;
        !is_odd
    });
    if is_folded && (text.is_ascii() || !holds(text, "\u{c2}\u{a0}")) {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    let mut was_space = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let is_white = char.is_ascii() && is_space(char as u8);
        if is_white {
            if !was_space {
                folded.push(' ');
            }
        } else if char == '\u{c2}' && chars.peek() == Some(&'\u{a0}') {
            chars.next();
            folded.push(' ');
        } else {
            folded.push(char);
        }
        was_space = is_white;
    }
    Cow::Owned(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> String {
        render(source, true, source.len()).text
    }

    #[test]
    fn renders_text() {
        for (source, expected, why) in [
            ("<p>a  b</p> c", "\n\na b\n\nc", "paragraphs"),
            ("a<br/>b", "a\nb", "a slash before the end"),
            ("a <br> b", "a\nb", "white space around white space goes"),
            ("x<td>y</td>z", "x y z", "cells"),
            ("<title>t</title>b", "\n\nt\n\nb", "titles are text"),
            ("<style>p{}</style>a<script>b</script>c", "ac", "styles and scripts are not"),
            ("a <style>p{} b", "a ", "an unclosed style hides the rest"),
            ("a &lt;b&gt; &nbsp; c", "a <b> c", "references"),
            ("a <a href=\"x>b</a> c", "a ", "an unclosed quote hides the rest"),
            ("a < b", "a < b", "a lone sign is text"),
        ] {
            assert_eq!(text(source), expected, "{why}");
        }
    }

    #[test]
    fn collects_facts() {
        let source = "<!DOCTYPE html><html><body><a href=' http://a.example/x '>click <img width=100 height=50%></a>\
            <font color=white>hidden</font><blah></p>V<b>ia</b>gra<meta http-equiv=refresh content='0; URL=b.html'>";
        let facts = render(source, true, source.len()).facts;
        assert_eq!(facts.inside.get("html"), Some(&1));
        assert_eq!(facts.inside.get("!doctype"), Some(&0));
        assert_eq!(facts.inside.get("p"), Some(&0));
        assert_eq!(facts.image_area, 100.0 * 300.0);
        assert!(facts.font_low_contrast && !facts.font_invalid_color);
        assert_eq!(
            facts.links.first().unwrap(),
            &HtmlLink {
                uri: "http://a.example/x".to_owned(),
                tags: vec!["a"],
                anchor_texts: vec!["click <img>\n".to_owned()],
            }
        );
        assert_eq!(facts.links.get(1).unwrap().uri, "b.html");
        assert_eq!(facts.obfuscation_ratio, Some(2.0 / 13.0));
        assert_eq!(facts.backhair_count, Some(2));
    }
}
