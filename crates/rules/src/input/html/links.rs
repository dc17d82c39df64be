//! Links as HTML gives them: which attribute, relative to which base (RFC 3986 section 5.2, with the laxity of mail programs).

use crate::input::octets;

pub(crate) const URI_CHARS_MAX: usize = 8192;

/// Without white space at either end, and cut at the limit; the flag tells whether it was cut.
pub(crate) fn trimmed(uri: &str) -> (String, bool) {
    let uri = uri.trim_matches(|char: char| char.is_whitespace() || char == '\u{a0}');
    match uri.char_indices().nth(URI_CHARS_MAX) {
        Some((end, _)) => (uri.get(..end).unwrap_or_default().to_owned(), true),
        None => (uri.to_owned(), false),
    }
}

/// Whether a base for relative links does not apply to `uri`.
pub(crate) fn has_own_scheme(uri: &str) -> bool {
    ["data:", "mailto:", "file:", "cid:", "tel:"]
        .iter()
        .any(|scheme| octets::starts_caseless(uri.as_bytes(), scheme.as_bytes()))
}

/// `href` of `base`, as the prefix of relative links; `None` if browsers would ignore it.
pub(crate) fn base(uri: &str) -> Option<String> {
    let scheme_end = ["http:", "https:", "ftp:"]
        .iter()
        .find(|scheme| octets::starts_caseless(uri.as_bytes(), scheme.as_bytes()))?
        .len();
    let rest = uri.get(scheme_end..)?;
    let slashes = rest.bytes().take(2).take_while(|octet| *octet == b'/').count();
    let path = rest.get(slashes..)?;
    let mut base = uri.to_owned();
    // A file name at the end is no part of the base.
    if let Some((folder, file)) = path.rsplit_once('/').filter(|(folder, _)| !folder.is_empty()) {
        let is_file = file.rsplit_once('.').is_some_and(|(name, suffix)| {
            let name = name.rsplit('.').next().unwrap_or_default();
            !name.is_empty() && (2..=4).contains(&suffix.chars().count())
        });
        if is_file {
            let stem = file.rsplit_once('.').map_or("", |(name, _)| name);
            let kept = stem.rsplit_once('.').map_or(0, |(front, _)| front.len() + 1);
            base = format!("{}{}/{}", uri.get(..scheme_end + slashes)?, folder, file.get(..kept)?);
        }
    }
    if !base.ends_with('/') {
        base.push('/');
    }
    Some(base)
}

/// The parts of a link.
#[derive(Clone, Copy, Debug, Default)]
struct Parts<'u> {
    scheme: Option<&'u str>,
    authority: Option<&'u str>,
    path: &'u str,
    query: Option<&'u str>,
    fragment: Option<&'u str>,
}

fn split(uri: &str) -> Parts<'_> {
    let (scheme, rest) = match uri.find([':', '/', '?', '#']) {
        Some(colon) if colon > 0 && uri.as_bytes().get(colon) == Some(&b':') => {
            (uri.get(..colon), uri.get(colon + 1..).unwrap_or_default())
        }
        _ => (None, uri),
    };
    let (authority, rest) = match rest.strip_prefix("//") {
        Some(rest) => {
            let (authority, tail) =
                rest.split_at_checked(rest.find(['/', '?', '#']).unwrap_or(rest.len())).unwrap_or((rest, ""));
            (Some(authority), tail)
        }
        None => (None, rest),
    };
    // A line end cannot be part of a fragment: what follows it is lost.
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, fragment)) => (rest, fragment.split('\n').next()),
        None => (rest, None),
    };
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    Parts { scheme, authority, path, query, fragment }
}

/// `uri` as seen from `base` (which may be empty).
pub(crate) fn target(base: &str, uri: &str) -> String {
    let (base, mut relative) = (split(base), split(uri));
    if relative.scheme.is_some() && relative.scheme == base.scheme {
        relative.scheme = None;
    }
    let (scheme, authority, path, query);
    if relative.scheme.is_some() || relative.authority.is_some() {
        scheme = relative.scheme.or(base.scheme);
        authority = relative.authority;
        path = without_dot_segments(relative.path);
        query = relative.query;
    } else {
        scheme = base.scheme;
        authority = base.authority;
        if relative.path.is_empty() {
            path = base.path.to_owned();
            query = relative.query.or(base.query);
        } else {
            path = if relative.path.starts_with('/') {
                without_dot_segments(relative.path)
            } else {
                without_dot_segments(&merged(&base, relative.path))
            };
            query = relative.query;
        }
    }
    compose(scheme, authority, &path, query, relative.fragment)
}

fn compose(
    scheme: Option<&str>,
    authority: Option<&str>,
    path: &str,
    query: Option<&str>,
    fragment: Option<&str>,
) -> String {
    let mut uri = String::new();
    match (scheme.filter(|scheme| !scheme.is_empty() && *scheme != "0"), authority) {
        (Some(scheme), _) => uri = format!("{scheme}:"),
        // A link without a scheme is followed by mail programs all the same.
        (None, Some(authority)) if has_numbered_prefix(authority, b"www") => uri.push_str("http:"),
        (None, Some(authority)) if has_numbered_prefix(authority, b"ftp") => uri.push_str("ftp:"),
        _ => {}
    }
    for (mark, part) in [("//", authority), ("", Some(path)), ("?", query), ("#", fragment)] {
        if let Some(part) = part {
            uri.push_str(mark);
            uri.push_str(part);
        }
    }
    uri
}

/// `www.`, `www3.`
fn has_numbered_prefix(authority: &str, prefix: &[u8]) -> bool {
    octets::starts_caseless(authority.as_bytes(), prefix)
        && authority.bytes().skip(prefix.len()).find(|octet| !octet.is_ascii_digit()) == Some(b'.')
}

fn merged(base: &Parts<'_>, path: &str) -> String {
    if base.authority.is_some() && matches!(base.path, "" | "0") {
        return format!("/{path}");
    }
    let folder = base.path.rfind('/').and_then(|slash| base.path.get(..=slash)).unwrap_or_default();
    format!("{folder}{path}")
}

/// Resolves `.` and `..` (RFC 3986 section 5.2.4).
fn without_dot_segments(path: &str) -> String {
    // Without a segment that begins with a dot, nothing changes.
    if !path.starts_with('.') && path != "0" && memchr::memmem::find(path.as_bytes(), b"/.").is_none() {
        return path.to_owned();
    }
    let mut output: Vec<&str> = Vec::new();
    let mut rest = path;
    let lead;
    if let Some(tail) = path.strip_prefix("../").or_else(|| path.strip_prefix("./")) {
        lead = format!("/{tail}");
        rest = &lead;
    }
    while !rest.is_empty() && rest != "0" {
        let length = rest.get(1..).and_then(|tail| tail.find('/')).map_or(rest.len(), |at| at + 1);
        let (segment, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        match segment {
            "/." => {
                if tail.is_empty() {
                    output.push("/");
                }
            }
            "/.." => {
                output.pop();
                if tail.is_empty() {
                    output.push("/");
                }
            }
            _ => output.push(segment),
        }
        rest = tail;
    }
    output.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for (base, uri, expected) in [
            ("", "http://a.example/b/../c?d#e", "http://a.example/c?d#e"),
            ("", "//www2.a.example/x", "http://www2.a.example/x"),
            ("", "www.a.example/x", "www.a.example/x"),
            ("http://a.example/b/", "c", "http://a.example/b/c"),
            ("http://a.example/b/", "http:d", "http://a.example/b/d"),
            ("http://a.example/b/", "/e/./f/", "http://a.example/e/f/"),
            ("http://a.example", "?q", "http://a.example?q"),
            ("", "#top", "#top"),
        ] {
            assert_eq!(target(base, uri), expected, "{base} {uri}");
        }
        assert_eq!(base("http://a.example/b/index.html").as_deref(), Some("http://a.example/b/"));
        assert_eq!(base("http://a.example").as_deref(), Some("http://a.example/"));
        assert_eq!(base("foo/"), None);
    }
}
