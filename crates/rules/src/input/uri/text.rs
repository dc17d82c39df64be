//! Links in running text: what a mail program would make clickable, and bare host names.

use crate::input::UriSource;
use crate::input::domain;
use crate::input::octets::{self, is_space, is_word, starts_caseless};
use crate::settings::Suffixes;

use super::canonical::unescape;

const TAIL_OCTETS_MAX: usize = 2048;
const MAIL_OCTETS_MAX: usize = 251;
const HOST_OCTETS_MAX: usize = 252;
/// Links found in the text of one message.
const LINKS_MAX: usize = 10_000;

/// A link of the text, its scheme added if it had none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TextLink {
    pub(crate) uri: Vec<u8>,
    pub(crate) sources: Vec<UriSource>,
}

/// The links in rendered paragraphs, without repeats.
pub(crate) fn links(body: &[Vec<u8>], suffixes: &Suffixes) -> Vec<TextLink> {
    let mut seen = std::collections::HashSet::new();
    let mut links = Vec::new();
    for paragraph in body {
        for found in Scanner::new(paragraph, suffixes) {
            let raw = trimmed(found.text);
            if links.len() < LINKS_MAX && seen.insert(raw.to_vec()) {
                links.extend(link(raw, &found, suffixes));
            }
        }
    }
    links
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Scheme,
    Mail,
    Bare,
}

#[derive(Clone, Copy, Debug)]
struct Found<'t> {
    text: &'t [u8],
    kind: Kind,
    host: Option<&'t [u8]>,
}

struct Scanner<'t> {
    text: &'t [u8],
    suffixes: &'t Suffixes,
    at: usize,
    /// Where the word ends that is looked through. A link never reaches beyond one.
    word_end: usize,
}

/// What may stand before a link.
fn starts_link(octet: u8) -> bool {
    is_space(octet)
        || matches!(octet, b'>' | b'<' | b'"' | b'\'' | b'`' | b',' | b'{' | b'[' | b'(' | b'|' | 0x1b | 0xa0)
}

/// What ends a link.
fn ends_link(octet: u8) -> bool {
    is_space(octet) || matches!(octet, b'>' | b'<' | b'"' | b'`' | b'}' | b']' | b'{' | b'[' | b'|' | 0x1b | 0xa0)
}

/// What ends a mail address.
fn ends_address(octet: u8) -> bool {
    ends_link(octet) || matches!(octet, b',' | b'(' | b'\'' | 0x80..=0xff)
}

/// What may stand before a bare host name.
fn starts_bare(octet: u8) -> bool {
    is_space(octet)
        || matches!(
            octet,
            b'!' | b'"'
                | b'#'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'/'
                | b':'
                | b';'
                | b'<'
                | b'='
                | b'>'
                | b'?'
        )
        || matches!(octet, b'@' | b'[' | b'\\' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' | b'~' | 0x1b | 0xa0)
}

impl<'t> Scanner<'t> {
    fn new(text: &'t [u8], suffixes: &'t Suffixes) -> Scanner<'t> {
        Scanner { text, suffixes, at: 0, word_end: 0 }
    }

    /// The next stretch without an octet that ends a link in which a link may be: all of them have an `@`, a colon, or a dot with
    /// something behind it. Few words of a text have.
    fn next_word(&self) -> Option<(usize, usize)> {
        let (mut from, mut begin) = (self.word_end.max(self.at), self.at);
        loop {
            let mark = from + memchr::memchr3(b'.', b'@', b':', self.text.get(from..)?)?;
            let is_end = self.octet(mark + 1).is_none_or(ends_link);
            if self.octet(mark) == Some(b'.') && is_end {
                // What stands before this dot has no other mark.
                (from, begin) = (mark + 1, mark + 1);
                continue;
            }
            let before = self.text.get(begin..mark)?;
            let start = before.iter().rposition(|&octet| ends_link(octet)).map_or(begin, |last| begin + last + 1);
            return Some((start, mark + self.run(mark, ends_link)));
        }
    }

    fn octet(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    fn before(&self, at: usize) -> Option<u8> {
        at.checked_sub(1).and_then(|before| self.octet(before))
    }

    /// A word boundary, an octet that may stand before a link, or the end of a shift sequence of ISO-2022.
    fn may_start(&self, at: usize) -> bool {
        let before = self.before(at);
        let is_boundary = before.is_some_and(is_word) != self.octet(at).is_some_and(is_word);
        let is_shifted = at >= 3 && self.text.get(at - 3..at - 1) == Some(b"\x1b(") && before != Some(b'\n');
        is_boundary || before.is_some_and(starts_link) || is_shifted
    }

    fn run(&self, at: usize, ends: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        rest.iter().position(|&octet| ends(octet)).unwrap_or(rest.len())
    }

    fn found(&self, at: usize) -> Option<Found<'t>> {
        let whole = |end: usize, kind| Some(Found { text: self.text.get(at..end)?, kind, host: None });
        if let Some(end) = self.scheme_end(at) {
            return whole(end, Kind::Scheme);
        }
        if let Some(end) = self.mail_end(at) {
            return whole(end, Kind::Mail);
        }
        let (host_end, end) = self.bare_end(at)?;
        Some(Found { text: self.text.get(at..end)?, kind: Kind::Bare, host: self.text.get(at..host_end) })
    }

    /// `http://…`, `ftp://…`, `www3.…`, `ftp.…`
    fn scheme_end(&self, at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?;
        let first = rest.first()?.to_ascii_lowercase();
        if !matches!(first, b'h' | b'f' | b'w') {
            return None;
        }
        let prefix = [&b"http://"[..], b"https://", b"ftp://", b"ftp."]
            .into_iter()
            .find(|prefix| starts_caseless(rest, prefix))
            .map(<[u8]>::len);
        let prefix = prefix.or_else(|| {
            let digits = rest.iter().skip(3).take(2).take_while(|octet| octet.is_ascii_digit()).count();
            (starts_caseless(rest, b"www") && rest.get(3 + digits) == Some(&b'.')).then_some(digits + 4)
        })?;
        let length = self.run(at + prefix, ends_link);
        (1..=TAIL_OCTETS_MAX).contains(&length).then_some(at + prefix + length)
    }

    /// `mailto:…` or `user@host`; the host may hold further `@`.
    fn mail_end(&self, at: usize) -> Option<usize> {
        let rest = self.text.get(at..)?;
        if starts_caseless(rest, b"mailto:") {
            let length = self.run(at + 7, ends_address);
            if (1..=TAIL_OCTETS_MAX).contains(&length) {
                return Some(at + 7 + length);
            }
        }
        let window = rest.get(..(MAIL_OCTETS_MAX + 1).min(rest.len()))?;
        let user = window.iter().position(|&octet| octet == b'@' || ends_address(octet))?;
        if user == 0 || rest.get(user) != Some(&b'@') {
            return None;
        }
        let host = self.run(at + user + 1, ends_address);
        (1..=MAIL_OCTETS_MAX).contains(&host).then_some(at + user + 1 + host)
    }

    /// A host name with a known top-level domain, perhaps a port and a path. Returns where the host ends and where all ends.
    fn bare_end(&self, at: usize) -> Option<(usize, usize)> {
        if at > 0 && !self.before(at).is_some_and(starts_bare) {
            return None;
        }
        let rest = self.text.get(at..)?;
        if !rest.first()?.is_ascii_alphanumeric() {
            return None;
        }
        let is_host = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-');
        let run = rest.iter().take(HOST_OCTETS_MAX + 1).take_while(|octet| is_host(octet)).count();
        let mut dot = rest.get(1..run)?.iter().rposition(|&octet| octet == b'.').map(|dot| dot + 1);
        while let Some(at_dot) = dot {
            if let Some(host_end) = domain::tld_end(self.text, at + at_dot + 1, self.suffixes)
                && let Some(end) = self.bare_tail_end(host_end)
            {
                return Some((host_end, end));
            }
            dot = rest.get(1..at_dot)?.iter().rposition(|&octet| octet == b'.').map(|dot| dot + 1);
        }
        None
    }

    /// After a bare host: a dot, `:port`, `/path`, each optional; then the link must end.
    fn bare_tail_end(&self, host_end: usize) -> Option<usize> {
        let is_end = |at: usize| self.octet(at).is_none_or(ends_link);
        let after_dot = host_end + usize::from(self.octet(host_end) == Some(b'.'));
        for start in [after_dot, host_end] {
            let digits = self.text.iter().skip(start + 1).take(6).take_while(|octet| octet.is_ascii_digit()).count();
            let has_port = self.octet(start) == Some(b':') && (1..=5).contains(&digits);
            let after_port = if has_port { start + 1 + digits } else { start };
            if self.octet(after_port) == Some(b'/') {
                let length = self.run(after_port + 1, ends_link);
                if (1..=TAIL_OCTETS_MAX).contains(&length) {
                    return Some(after_port + 1 + length);
                }
            }
            if is_end(after_port) {
                return Some(after_port);
            }
        }
        None
    }
}

impl<'t> Iterator for Scanner<'t> {
    type Item = Found<'t>;

    fn next(&mut self) -> Option<Found<'t>> {
        loop {
            while self.at < self.word_end {
                let at = self.at;
                if self.may_start(at)
                    && let Some(found) = self.found(at)
                {
                    self.at = at + found.text.len().max(1);
                    return Some(found);
                }
                self.at += 1;
            }
            (self.at, self.word_end) = self.next_word()?;
        }
    }
}

/// Without what a mail program leaves out at the end: a closing parenthesis that was not opened, punctuation.
fn trimmed(text: &[u8]) -> &[u8] {
    let before_open = text.iter().position(|&octet| octet == b'(').unwrap_or(text.len());
    let text = match text.get(..before_open).and_then(|head| memchr::memrchr(b')', head)) {
        Some(close) => text.get(..close).unwrap_or_default(),
        None => text,
    };
    let is_left_out = |octet: u8| {
        matches!(
            octet,
            b'-' | b'~'
                | b'!'
                | b'@'
                | b'#'
                | b'^'
                | b'&'
                | b'*'
                | b'('
                | b')'
                | b'_'
                | b'+'
                | b'='
                | b':'
                | b';'
                | b'\''
                | b'?'
                | b','
                | b'.'
        )
    };
    let end = text.iter().rposition(|&octet| !is_left_out(octet)).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// The link as it is to be followed; `None` if nobody would.
fn link(raw: &[u8], found: &Found<'_>, suffixes: &Suffixes) -> Option<TextLink> {
    let is_ignored = (found.kind == Kind::Mail && !raw.contains(&b'@'))
        || found.host.is_some_and(|host| !domain::is_well_formed(&host.to_ascii_lowercase()))
        || starts_caseless(raw, b"cid:")
        || starts_caseless(raw, b"mid:")
        || is_bare_scheme(raw);
    if is_ignored {
        return None;
    }
    let mut sources = vec![UriSource::Parsed];
    let has_scheme = [&b"http:"[..], b"https:", b"ftp:", b"mailto:"].iter().any(|scheme| starts_caseless(raw, scheme));
    let mut uri = raw.to_vec();
    if !has_scheme {
        uri = with_scheme(raw, &mut sources)?;
        sources.push(UriSource::Schemeless);
    }
    if starts_caseless(&uri, b"mailto:") {
        if uri
            .windows(3)
            .any(|window| matches!(window, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
        {
            uri = unescape(&uri);
        }
        let at = memchr::memchr(b'@', &uri)?;
        let host = uri.get(at + 1..)?.split(|octet| matches!(octet, b'?' | b'&' | b'>')).next()?;
        let mut host = host.to_vec();
        while host.ends_with(b"%20") {
            host.truncate(host.len() - 3);
        }
        if !domain::has_known_tld(&host, suffixes) {
            return None;
        }
    }
    Some(TextLink { uri, sources })
}

/// `http://` and the like, without anything after it.
fn is_bare_scheme(raw: &[u8]) -> bool {
    let name = raw.iter().take_while(|octet| is_word(**octet)).count();
    name > 0 && matches!(raw.get(name..), Some(b":" | b":/" | b"://"))
}

fn with_scheme(raw: &[u8], sources: &mut Vec<UriSource>) -> Option<Vec<u8>> {
    let digits = raw.iter().skip(3).take(2).take_while(|octet| octet.is_ascii_digit()).count();
    if starts_caseless(raw, b"ftp.") {
        return Some([b"ftp://", raw].concat());
    }
    if starts_caseless(raw, b"www") && raw.get(3 + digits) == Some(&b'.') {
        return Some([b"http://", raw].concat());
    }
    // A slash before the sign: no address.
    let slash = memchr::memchr(b'/', raw);
    if slash.is_some_and(|slash| raw.get(slash + 2..).is_some_and(|rest| rest.contains(&b'@'))) {
        return Some([b"http://", raw].concat());
    }
    if let Some(at) = memchr::memchr(b'@', raw) {
        // `Vi@gra` is no address: a dot must follow, not at once.
        let has_dot = raw.get(at + 2..).is_some_and(|rest| rest.contains(&b'.'));
        if !has_dot || octets::contains(raw, b"&nbsp;") {
            return None;
        }
        return Some([b"mailto:", without_misread_scheme(raw)].concat());
    }
    if !raw.contains(&b'.') {
        return None;
    }
    sources.push(UriSource::Unlinked);
    Some([b"http://", raw].concat())
}

/// `skype:`, `mail:`, `e-mail:` and lone colons before an address.
fn without_misread_scheme(raw: &[u8]) -> &[u8] {
    let names = [&b"skype"[..], b"e-mail", b"email", b"mail", b"-mail", b""];
    let rest = names
        .iter()
        .find_map(|name| raw.get(name.len()..).filter(|rest| starts_caseless(raw, name) && rest.starts_with(b":")));
    let Some(rest) = rest else { return raw };
    let colons = rest.iter().take_while(|octet| **octet == b':').count();
    rest.get(colons..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::domain::tests::some_suffixes;

    #[test]
    fn finds_links() {
        for (text, expected) in [
            ("see http://foo.com/x, or www2.foo.com.", vec!["http://foo.com/x", "http://www2.foo.com"]),
            ("(foo.co.uk/bar)", vec!["http://foo.co.uk/bar"]),
            ("a@foo.com <b@foo.com> Vi@gra", vec!["mailto:a@foo.com", "mailto:b@foo.com"]),
            ("mail:a@foo.com", vec!["mailto:a@foo.com"]),
            ("cid:a@foo.com http:// foo.nosuch", vec![]),
            ("http://foo.com/a_(b)_c) x", vec!["http://foo.com/a_(b)_c"]),
            ("foo.com:8080/x foo.com. foo.com.nosuch", vec!["http://foo.com:8080/x", "http://foo.com"]),
            ("ftp.foo.com", vec!["ftp://ftp.foo.com"]),
        ] {
            let found: Vec<String> = links(&[text.as_bytes().to_vec()], &some_suffixes())
                .iter()
                .map(|link| octets::lossy(&link.uri))
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
