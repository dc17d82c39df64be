//! `Content-Type` as SpamAssassin reads it: forgiving, the last of several wins, all odd text types are `text/plain`.

use super::octets::{self, is_space, is_word};

/// A content type and the parameters that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContentType {
    /// Lower case, like `text/html`.
    pub(crate) kind: String,
    pub(crate) boundary: Option<Vec<u8>>,
    pub(crate) charset: Option<Vec<u8>>,
    pub(crate) name: Option<Vec<u8>>,
    /// The header was absent or empty: `kind` is a guess.
    pub(crate) is_missing: bool,
}

impl ContentType {
    /// Reads a decoded value; `None` when the header is absent.
    pub(crate) fn read(value: Option<&[u8]>) -> ContentType {
        let Some(value) = value.filter(|value| !value.is_empty() && *value != b"0") else {
            let (charset, kind) = (Some(b"us-ascii".to_vec()), "text/plain".to_owned());
            return ContentType { kind, boundary: None, charset, name: None, is_missing: true };
        };
        let (kind, is_missing) = kind(value);
        let name = parameter(value, &[b"filename", b"name"]);
        let name = if name.as_ref().is_none_or(Vec::is_empty) { continued_name(value).or(name) } else { name };
        ContentType { kind, boundary: boundary(value), charset: parameter(value, &[b"charset"]), name, is_missing }
    }

    pub(crate) fn is_multipart(&self) -> bool {
        self.kind.starts_with("multipart/")
    }
}

fn kind(value: &[u8]) -> (String, bool) {
    let value = octets::trim_start(value).split(|&octet| octet == b';').next().unwrap_or_default();
    let kind = match memchr::memchr(b'/', value) {
        Some(slash) if slash > 0 => {
            let end = value.iter().skip(slash + 1).position(|&octet| octet == b'/' || is_space(octet));
            value.get(..end.map_or(value.len(), |end| end + slash + 1)).unwrap_or_default()
        }
        _ => value,
    };
    let kind = kind.to_ascii_lowercase();
    let is_missing = kind.is_empty() || kind == b"0";
    let is_text = kind.starts_with(b"text") && !kind.get(4).is_some_and(|&octet| is_word(octet));
    let is_kept = matches!(kind.as_slice(), b"text/x-vcard" | b"text/calendar" | b"text/html");
    if is_missing || (is_text && !is_kept) {
        return ("text/plain".to_owned(), is_missing);
    }
    let is_foreign = |octet: u8| {
        octet <= b' ' || octet >= 0x7f || matches!(octet, b'"' | b'(' | b')' | b',' | b':'..=b'?' | b'@' | b'['..=b']')
    };
    (kind.into_iter().filter(|&octet| !is_foreign(octet)).map(char::from).collect(), false)
}

/// Where the value of a parameter begins; its name is a whole word, with white space around `=`.
fn parameter_values<'v>(value: &'v [u8], name: &'v [u8]) -> impl Iterator<Item = &'v [u8]> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = octets::find_caseless(value, name, from)?;
            from = at + 1;
            let is_glued = at.checked_sub(1).and_then(|before| value.get(before)).is_some_and(|&octet| is_word(octet));
            let rest = octets::trim_start(value.get(at + name.len()..)?);
            if let Some(rest) = rest.strip_prefix(b"=").filter(|_| !is_glued) {
                return Some(octets::trim_start(rest));
            }
        }
    })
}

/// Up to the semicolon or the end, one quote at either end removed.
fn parameter(value: &[u8], names: &[&[u8]]) -> Option<Vec<u8>> {
    let rests = names.iter().filter_map(|name| parameter_values(value, name).next());
    // The one that comes first counts.
    let rest = rests.max_by_key(|rest| rest.len())?;
    Some(parameter_text(rest).to_vec())
}

fn parameter_text(rest: &[u8]) -> &[u8] {
    let is_quote = |octet: u8| octet == b'"' || octet == b'\'';
    let rest = match rest.split_first() {
        Some((&quote, tail)) if is_quote(quote) => tail,
        _ => rest,
    };
    let text = rest.split(|&octet| octet == b';').next().unwrap_or_default();
    match text.split_last() {
        Some((&quote, head)) if is_quote(quote) => head,
        _ => text,
    }
}

/// `name*0=`, `name*1=`, … joined (RFC 2231 section 3).
fn continued_name(value: &[u8]) -> Option<Vec<u8>> {
    const PIECES_MAX: usize = 100;
    memchr::memchr(b'*', value)?;
    let mut joined = Vec::new();
    for index in 0..PIECES_MAX {
        let names = [format!("filename*{index}"), format!("name*{index}")];
        let Some(piece) = names.iter().find_map(|name| parameter_values(value, name.as_bytes()).next()) else { break };
        joined.extend_from_slice(parameter_text(piece));
    }
    (!joined.is_empty()).then_some(joined)
}

/// A quoted boundary needs only its opening quote; an unquoted one ends at white space, a semicolon or the end.
fn boundary(value: &[u8]) -> Option<Vec<u8>> {
    parameter_values(value, b"boundary").find_map(|rest| {
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            let end = quoted.iter().position(|&octet| octet == b'"').unwrap_or(quoted.len());
            return if end > 0 { quoted.get(..end).map(<[u8]>::to_vec) } else { None };
        }
        let end = rest.iter().position(|&octet| is_space(octet) || matches!(octet, b'"' | b';')).unwrap_or(rest.len());
        let is_ended = rest.get(end).is_none_or(|&octet| octet != b'"');
        if end > 0 && is_ended { rest.get(..end).map(<[u8]>::to_vec) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for (value, kind, boundary, charset, why) in [
            ("text/html; charset=\"utf-8\"", "text/html", None, Some("utf-8"), "quotes go"),
            ("TEXT/Enriched", "text/plain", None, None, "odd text is plain"),
            ("text; charset = x ; y", "text/plain", None, Some("x "), "up to the semicolon"),
            (
                "multipart/mixed; boundary=\"a b",
                "multipart/mixed",
                Some("a b"),
                None,
                "the closing quote may be missing",
            ),
            ("multipart/mixed;\tboundary=ab\"c", "multipart/mixed", None, None, "a quote inside is no boundary"),
            ("multipart/mixed; Boundary = x; z", "multipart/mixed", Some("x"), None, "white space around the sign"),
            ("application/octet-stream charset=x", "application/octet-stream", None, Some("x"), "no semicolon"),
            ("image/(x)png", "image/xpng", None, None, "foreign characters go"),
        ] {
            let read = ContentType::read(Some(value.as_bytes()));
            assert_eq!(read.kind, kind, "{why}");
            assert_eq!(read.boundary.as_deref(), boundary.map(str::as_bytes), "{why}");
            assert_eq!(read.charset.as_deref(), charset.map(str::as_bytes), "{why}");
        }
        assert!(ContentType::read(None).is_missing);
        let continued = ContentType::read(Some(b"a/b; name*0=\"x\"; name*1=y.pdf"));
        assert_eq!(continued.name.as_deref(), Some(&b"xy.pdf"[..]));
    }
}
