//! Where plain text holds what looks like a URL, a host name or an address.

use super::{UrlForm, cut};
use crate::Domain;

/// Octets of one word of text that are looked at for URLs.
const WORD_OCTETS_MAX: usize = 64 << 10;
/// Octets of one URL within text that are looked at.
const URL_OCTETS_MAX: usize = 4 << 10;

/// What looks like a URL, host name or address in `text`, as written. Each word is looked at by itself.
pub(super) fn candidates(text: &str) -> impl Iterator<Item = (&str, UrlForm)> {
    marked_words(text).flat_map(|word| Word { word: cut(word, WORD_OCTETS_MAX), from: 0, is_in_url: false })
}

/// The words that hold a dot, a colon or an at sign. Most words do not, so marks are looked for first, and then the word around each.
fn marked_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mark = memchr::memchr3(b'.', b':', b'@', rest.as_bytes())?;
        let (before, after) = rest.split_at_checked(mark)?;
        let edge = before.char_indices().rev().find(|(_, c)| is_edge(*c));
        let start = edge.map_or(0, |(at, c)| at + c.len_utf8());
        let end = mark + after.find(is_edge).unwrap_or(after.len());
        let word = rest.get(start..end)?;
        rest = rest.get(end..)?;
        Some(word)
    })
}

/// Whether a word ends here.
fn is_edge(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\u{201c}' | '\u{201d}')
}

/// A word, from `from` on.
struct Word<'a> {
    word: &'a str,
    from: usize,
    is_in_url: bool,
}

/// Schemes that are found within text.
const SCHEMES: [&str; 6] = ["https", "http", "ftp", "hxxps", "hxxp", "mailto"];

impl<'a> Iterator for Word<'a> {
    type Item = (&'a str, UrlForm);

    fn next(&mut self) -> Option<(&'a str, UrlForm)> {
        let rest = self.word.get(self.from..)?;
        let scheme = next_scheme(rest);
        let before = scheme.map_or(rest, |(start, _)| rest.get(..start).unwrap_or_default());
        if !self.is_in_url
            && let Some((found, end)) = plain(before)
        {
            self.from += end;
            return Some(found);
        }
        let (start, after) = scheme?;
        // What follows may be a URL within this one (a redirect): it is found next.
        self.from += after;
        self.is_in_url = true;
        Some((trim_url(cut(rest.get(start..)?, URL_OCTETS_MAX)), UrlForm::Full))
    }
}

/// Where the next `scheme:` of a known scheme begins, and what follows it.
fn next_scheme(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(':')) {
        let colon = from + at;
        let before = text.get(..colon)?;
        let after = text.get(colon + 1..)?;
        let scheme = SCHEMES.into_iter().find(|scheme| {
            let tail = before.len().checked_sub(scheme.len()).and_then(|start| before.get(start..));
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(scheme))
        });
        if let Some(scheme) =
            scheme.filter(|scheme| *scheme == "mailto" || after.starts_with("//") || after.starts_with("\\\\"))
        {
            return Some((colon - scheme.len(), colon + 1));
        }
        from = colon + 1;
    }
    None
}

/// The first host name or address in text without scheme, and where it ends.
fn plain(text: &str) -> Option<((&str, UrlForm), usize)> {
    let is_edge =
        |c: char| matches!(c, ',' | ';' | '\'' | '`' | '(' | ')' | '{' | '}' | '[' | ']' | '|' | '\\' | '!' | '*');
    let mut start = 0;
    for piece in text.split(is_edge) {
        let end = start + piece.len();
        if let Some((offset, form)) = plain_piece(piece) {
            let found = text.get(start + offset..end)?;
            // A path may go on over what ended the piece.
            let is_path = found.contains('/') && form != UrlForm::Address;
            let (found, end) = if is_path { (text.get(start + offset..)?, text.len()) } else { (found, end) };
            return Some(((trim_url(found), form), end));
        }
        // Each edge is one octet.
        start = end + 1;
    }
    None
}

/// Where a host name or address begins in a piece of a word.
fn plain_piece(piece: &str) -> Option<(usize, UrlForm)> {
    let trimmed = piece.trim_start_matches(|c: char| !c.is_alphanumeric());
    let mut offset = piece.len() - trimmed.len();
    let host_end = trimmed.find(['/', '?', '#']).unwrap_or(trimmed.len());
    let authority = trimmed.get(..host_end)?;
    let is_www = |text: &str| text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("www."));
    if let Some((local, domain)) = authority.rsplit_once('@')
        && !is_www(authority)
    {
        let domain = domain.trim_end_matches(|c: char| !c.is_alphanumeric());
        let is_local = !local.is_empty() && !local.contains(['@', ':']);
        return (is_local && has_known_suffix(domain)).then_some((offset, UrlForm::Address));
    }
    // `a=www.example.org`: what stands before is no part of the name.
    let skip = authority.rfind(['=', '&', '+', '%', '~', '$', '^']).map_or(0, |at| at + 1);
    offset += skip;
    let host = authority.get(skip..)?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = host.split(':').next().unwrap_or_default().trim_end_matches(|c: char| !c.is_alphanumeric());
    if !has_known_suffix(host) {
        return None;
    }
    let is_www = is_www(piece.get(offset..)?);
    Some((offset, if is_www { UrlForm::Www } else { UrlForm::Bare }))
}

fn has_known_suffix(host: &str) -> bool {
    let is_fine = |label: &str| !label.starts_with('-') && !label.ends_with('-');
    host.contains('.')
        && host.split('.').all(is_fine)
        && host.ends_with(char::is_alphabetic)
        && Domain::parse(host).is_ok_and(|domain| domain.is_below_known_suffix())
}

/// `url` without what ends a sentence. A closing bracket stays where an opening one stands before it.
fn trim_url(url: &str) -> &str {
    let mut url = url;
    while let Some(last) = url.chars().next_back() {
        let is_tail = match last {
            ')' => !url.contains('('),
            ']' => !url.contains('['),
            _ => matches!(
                last,
                '.' | ','
                    | ';'
                    | ':'
                    | '!'
                    | '?'
                    | '\''
                    | '"'
                    | '}'
                    | '*'
                    | '~'
                    | '^'
                    | '|'
                    | '`'
                    | '\\'
                    | '\u{2026}'
                    | '\u{2019}'
            ),
        };
        if !is_tail {
            break;
        }
        url = url.get(..url.len() - last.len_utf8()).unwrap_or_default();
    }
    let has_path = url.split_once("//").map_or(url, |(_, rest)| rest).contains(['/', '?', '#']);
    if has_path { url } else { url.trim_end_matches(|c: char| !c.is_alphanumeric() && c != ']') }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn marked_words_are_those_with_a_mark(text in "[ab.:@<>\" \t\n\u{201c}\u{a0}\u{e9}]{0,40}") {
            let plainly: Vec<&str> = text.split(is_edge).filter(|word| word.contains(['.', ':', '@'])).collect();
            proptest::prop_assert_eq!(marked_words(&text).collect::<Vec<_>>(), plainly);
        }
    }
}
