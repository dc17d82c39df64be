//! What `body` and `rawbody` rules see: paragraphs of rendered text, and chunks of decoded text.

use super::charset::{self, Text};
use super::html::{self, HtmlFacts};
use super::mime::{LINE_OCTETS_MAX, Node};
use super::octets::is_space;

const CHUNK_OCTETS: usize = 2048;
/// A cut is moved to the next better place within this many characters or octets.
const CUT_SLACK: usize = 1024;

/// Rendered text of one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) is_html: bool,
    pub(crate) text: String,
    /// Whether Perl holds the text as characters; if not, each is one octet.
    pub(crate) is_wide: bool,
}

/// Renders a part; `None` if it is neither plain text nor HTML. Facts of HTML are added to `facts`.
pub(crate) fn render(node: &Node, facts: &mut HtmlFacts) -> Option<Rendered> {
    let kind = effective_kind(node);
    let is_html = kind == "text/html";
    if !is_html && kind != "text/plain" {
        return None;
    }
    let charset = node.charset.as_deref().unwrap_or(b"us-ascii");
    let (text, is_wide) = match charset::normalize(&node.decoded, charset) {
        // All ASCII, so nothing is lost.
        Text::Plain(text) => (String::from_utf8_lossy(text), false),
        Text::Chars(text) => (text, true),
    };
    if is_html && !text.is_empty() {
        let rendered = html::render(&text, is_wide, node.decoded.len());
        facts.parts.push(rendered.facts);
        return Some(Rendered { is_html, text: rendered.text, is_wide: rendered.is_wide });
    }
    Some(Rendered { is_html, text: text.into_owned(), is_wide })
}

/// The content type, but a file called `.html` is HTML.
pub(crate) fn effective_kind(node: &Node) -> &str {
    let name = node.name.as_deref().unwrap_or_default().to_ascii_lowercase();
    let is_html = [&b".html"[..], b".htm", b".shtml", b".shtm"].iter().any(|suffix| name.ends_with(suffix));
    if is_html { "text/html" } else { &node.kind }
}

/// The paragraphs of all parts, the subject first. `parts` has one entry for each leaf, `None` for what is not rendered.
pub(crate) fn paragraphs(subject: &[u8], parts: &[Option<Rendered>], part_chars_max: usize) -> Vec<Vec<u8>> {
    let mut text = String::new();
    let mut is_wide = false;
    for part in parts {
        if !text.is_empty() {
            text.push('\n');
        }
        if let Some(part) = part {
            text.push_str(cut_text(&part.text, part_chars_max));
            is_wide |= part.is_wide;
        }
    }
    let mut all = Vec::with_capacity(subject.len() + text.len());
    all.extend_from_slice(subject);
    fold(&text, is_wide, &mut all);
    short_lines(&all)
}

/// Cut after a line end or space near the limit, else at the limit.
fn cut_text(text: &str, chars_max: usize) -> &str {
    if chars_max == 0 || text.len() <= chars_max {
        return text;
    }
    let Some((limit, _)) = text.char_indices().nth(chars_max) else { return text };
    let tail = text.get(limit..).unwrap_or_default();
    let near = |mark: char| {
        tail.char_indices().take(CUT_SLACK + 1).find(|(_, char)| *char == mark).map(|(at, _)| limit + at + 1)
    };
    text.get(..near('\n').or_else(|| near(' ')).unwrap_or(limit)).unwrap_or_default()
}

/// Empty lines part paragraphs (one `\n` each); all other white space becomes single spaces. Narrow text is written as octets.
fn fold(text: &str, is_wide: bool, folded: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        // Stretches without anything special are most of a text.
        let length = rest.bytes().position(|octet| octet <= b' ' || !octet.is_ascii()).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        folded.extend_from_slice(plain.as_bytes());
        let Some(char) = tail.chars().next() else { return };
        if is_white(char, is_wide) {
            let length = tail.find(|char| !is_white(char, is_wide)).unwrap_or(tail.len());
            let (run, after) = tail.split_at_checked(length).unwrap_or((tail, ""));
            push_white(run.as_bytes(), folded);
            rest = after;
            continue;
        }
        match char {
            // A NUL in the text parts paragraphs too: SpamAssassin uses it as its mark.
            '\0' => folded.push(b'\n'),
            _ if is_wide => folded.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => folded.push(u8::try_from(u32::from(char)).unwrap_or(b'?')),
        }
        rest = tail.get(char.len_utf8()..).unwrap_or_default();
    }
}

fn is_white(char: char, is_wide: bool) -> bool {
    if is_wide { char.is_whitespace() } else { u8::try_from(char).is_ok_and(is_space) }
}

/// A run of white space: from its first line end to its last is a paragraph break, if there are two; what is around it are spaces.
fn push_white(run: &[u8], folded: &mut Vec<u8>) {
    if run.len() > 1
        && let (Some(first), Some(last)) = (memchr::memchr(b'\n', run), memchr::memrchr(b'\n', run))
        && first < last
    {
        if first > 0 {
            folded.push(b' ');
        }
        folded.push(b'\n');
        if last + 1 < run.len() {
            folded.push(b' ');
        }
    } else {
        folded.push(b' ');
    }
}

/// Lines of at most 2048 octets, cut after a space where there is one.
fn short_lines(text: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for mut line in super::octets::lines(text) {
        while line.len() > LINE_OCTETS_MAX {
            let head = line.get(..=LINE_OCTETS_MAX).unwrap_or_default();
            let cut = memchr::memrchr(b' ', head).map_or(LINE_OCTETS_MAX, |space| space + 1);
            let (first, rest) = line.split_at_checked(cut).unwrap_or((line, b""));
            lines.push(first.to_vec());
            line = rest;
        }
        lines.push(line.to_vec());
    }
    lines
}

/// The decoded text of a part for `rawbody` rules, cut into chunks; `None` if it is no text.
pub(crate) fn chunks(node: &Node, part_octets_max: usize) -> Option<Vec<Vec<u8>>> {
    let kind = effective_kind(node);
    let is_text = ["text", "message"].iter().any(|prefix| {
        kind.strip_prefix(prefix)
            .is_some_and(|rest| !rest.as_bytes().first().is_some_and(|octet| super::octets::is_word(*octet)))
    });
    if !is_text || node.kind == "text/calendar" {
        return None;
    }
    Some(short_chunks(cut_octets(&node.decoded, part_octets_max)).map(<[u8]>::to_vec).collect())
}

fn cut_octets(text: &[u8], octets_max: usize) -> &[u8] {
    if octets_max == 0 || text.len() <= octets_max {
        return text;
    }
    let tail = text.get(octets_max..).unwrap_or_default();
    let window = tail.get(..=CUT_SLACK.min(tail.len() - 1)).unwrap_or_default();
    let near = |mark: u8| memchr::memchr(mark, window).map(|at| octets_max + at + 1);
    let end = near(b'\n').or_else(|| near(b'>')).or_else(|| near(b' ')).unwrap_or(octets_max);
    text.get(..end).unwrap_or_default()
}

/// Pieces of 2 to 4 KiB, cut after a line end, else after `>`, else after a space, else anywhere. Short text is one piece, empty text too.
pub(crate) fn short_chunks(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    let mut is_first = true;
    std::iter::from_fn(move || {
        if rest.is_empty() && !is_first {
            return None;
        }
        let is_short = if is_first { rest.len() <= CHUNK_OCTETS } else { rest.len() <= 2 * CHUNK_OCTETS };
        is_first = false;
        let window = rest.get(CHUNK_OCTETS..2 * CHUNK_OCTETS).filter(|_| !is_short && rest.len() > 2 * CHUNK_OCTETS);
        let Some(window) = window else { return Some(std::mem::take(&mut rest)) };
        let near = [b'\n', b'>', b' '].into_iter().find_map(|mark| memchr::memchr(mark, window));
        let (chunk, tail) = rest.split_at_checked(CHUNK_OCTETS + near.unwrap_or(0) + 1).unwrap_or((rest, b""));
        rest = tail;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Option<Rendered> {
        Some(Rendered { is_html: false, text: text.to_owned(), is_wide: true })
    }

    #[test]
    fn paragraphs_are_folded() {
        for (parts, expected, why) in [
            (vec![plain("a  b\nc\n\n\nd\n")], vec!["S\n", "a b c\n", "d "], "empty lines part paragraphs"),
            (vec![plain("a"), plain("b")], vec!["S\n", "a b"], "parts are joined by a line end"),
            (
                vec![plain("a\n"), None, plain("b")],
                vec!["S\n", "a\n", "b"],
                "a part that is not rendered leaves an empty line",
            ),
            (vec![plain("a \n \n b")], vec!["S\n", "a \n", " b"], "spaces around a paragraph end stay"),
            (vec![plain("a\u{a0}b")], vec!["S\n", "a b"], "a no-break space is white"),
        ] {
            let found: Vec<String> =
                paragraphs(b"S\n", &parts, 0).iter().map(|line| super::super::octets::lossy(line)).collect();
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn narrow_text_is_written_as_octets() {
        let narrow = Some(Rendered { is_html: true, text: "caf\u{e9}\u{a0}x".to_owned(), is_wide: false });
        assert_eq!(paragraphs(b"", &[narrow], 0), vec![b"caf\xe9\xa0x".to_vec()]);
    }

    #[test]
    fn long_text_is_cut() {
        let line = "word ".repeat(1000);
        assert!(
            paragraphs(b"", &[plain(&line)], 0)
                .iter()
                .all(|line| line.len() <= LINE_OCTETS_MAX && line.ends_with(b" "))
        );
        assert_eq!(short_chunks(&[b'x'; 10_000]).map(<[u8]>::len).collect::<Vec<_>>(), vec![2049, 2049, 2049, 3853]);
        assert_eq!(short_chunks(b"").count(), 1);
        assert_eq!(cut_text("abc def", 2), "abc ");
        assert_eq!(cut_octets(b"abc>def ", 2), b"abc>");
    }
}
