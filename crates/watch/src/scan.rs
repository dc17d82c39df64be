//! Walking a line from left to right: words, quoted strings, addresses. What is taken is returned with what follows it.

/// Everything up to the next blank, and what follows the blank; at the end of the line nothing follows.
pub(crate) fn word(text: &str) -> (&str, &str) {
    match memchr::memchr(b' ', text.as_bytes()).and_then(|at| text.split_at_checked(at)) {
        Some((word, rest)) => (word, rest.strip_prefix(' ').unwrap_or(rest)),
        None => (text, ""),
    }
}

/// Splits in front of the blank that ends the first word: the rest is empty or begins with a blank.
pub(crate) fn token(text: &str) -> (&str, &str) {
    let end = memchr::memchr(b' ', text.as_bytes()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// `key=value`, split at the first equals sign. Keys have one to four letters, so a search made for long texts costs more than it
/// saves.
pub(crate) fn pair(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|b| b == b'=')?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// A string in double quotes in which a backslash hides the next character. Returns the inside, still escaped.
pub(crate) fn quoted(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('"')?;
    let bytes = inside.as_bytes();
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes.get(at) == Some(&b'"') {
            let (inside, rest) = inside.split_at_checked(at)?;
            return Some((inside, rest.strip_prefix('"')?));
        }
        from = at + 2;
    }
}

/// An envelope address as MTAs write it: no blank or angle bracket outside a quoted local part. It ends before the first
/// blank, `>` or `,` outside quotes, or at the end of the line.
pub(crate) fn address(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let Some(end) = memchr::memchr3(b' ', b'>', b'"', bytes) else { return (text, "") };
    if bytes.get(end) == Some(&b'"') || memchr::memchr(b'\\', bytes.get(..end).unwrap_or(bytes)).is_some() {
        return quoted_address(text);
    }
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn quoted_address(text: &str) -> (&str, &str) {
    let mut in_quotes = false;
    let mut is_escaped = false;
    for (i, b) in text.bytes().enumerate() {
        match b {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => in_quotes = !in_quotes,
            b' ' | b'>' if !in_quotes => return text.split_at_checked(i).unwrap_or((text, "")),
            _ => {}
        }
    }
    (text, "")
}

/// Whether `text` can be one envelope address: quotes only around the local part, no blank outside them. A local part
/// without a domain passes, since local messages have such.
pub(crate) fn is_address(text: &str) -> bool {
    if memchr::memchr3(b'"', b' ', b'<', text.as_bytes()).is_none() {
        return !text.is_empty() && memchr::memchr(b'>', text.as_bytes()).is_none();
    }
    let Some((_, rest)) = quoted(text) else { return false };
    match rest.strip_prefix('@') {
        Some(domain) => !domain.is_empty() && !domain.contains(['"', ' ', '<', '>']),
        None => rest.is_empty(),
    }
}

/// `<address>`: returns the inside and what follows the bracket. An empty inside is the null path.
pub(crate) fn bracketed(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = address(text.strip_prefix('<')?);
    Some((inside, rest.strip_prefix('>')?))
}

/// Text between the brackets of an address literal, `[192.0.2.1]`: letters, digits, dots, colons and the like.
pub(crate) fn literal(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('[')?;
    let (inside, rest) = text.split_at_checked(memchr::memchr(b']', text.as_bytes())?)?;
    let rest = rest.strip_prefix(']')?;
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'%' | b'_' | b'-');
    inside.bytes().all(is_allowed).then_some((inside, rest))
}

/// Byte offsets of every occurrence of `needle`, from left to right.
pub(crate) fn positions<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(text.as_bytes(), needle.as_bytes())
}

/// Splits at each occurrence of `needle`, from left to right: what stands before it and what stands behind it.
pub(crate) fn splits<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
    positions(text, needle).filter_map(move |at| Some((text.get(..at)?, text.get(at + needle.len()..)?)))
}

/// A whole number at the start of `text`.
pub(crate) fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hide_blanks_and_brackets() {
        assert_eq!(quoted(r#""a \" b" c"#), Some((r#"a \" b"#, " c")));
        assert_eq!(quoted("\"open"), None);
        assert_eq!(address(r#""a b>"@example.org> x"#), (r#""a b>"@example.org"#, "> x"));
        assert_eq!(bracketed("<> x"), Some(("", " x")));
        assert_eq!(address(r"a\ b@example.org c"), (r"a\ b@example.org", " c"));
        assert!(is_address("a@b") && is_address("\"a b\"@c") && is_address("root"));
        assert!(!is_address("a b@c") && !is_address("a@b\"") && !is_address("") && !is_address("\"a\"b c"));
    }
}
