//! What the first sealer of a chain saw: ARC-Authentication-Results of instance 1 (RFC 8617 section 4.1.1, RFC 8601 section 2.2).

use tidegate_mail::Domain;

/// Longest value that is read.
const OCTETS_MAX: usize = 16 * 1024;

/// Whether the results say that DMARC passed, or an SPF or DKIM that is aligned with `author`.
pub(super) fn passed(value: &str, author: Option<&Domain>) -> bool {
    if value.len() > OCTETS_MAX {
        return false;
    }
    let plain = without_comments(value);
    plain.split(';').any(|result| {
        let mut words = result.split_ascii_whitespace();
        let property = |name: &str| result.split_ascii_whitespace().find_map(|word| word.strip_prefix(name));
        match words.next().map(str::to_ascii_lowercase).as_deref() {
            Some("dmarc=pass") => true,
            Some("dkim=pass") => [property("header.d="), property("header.i=")].iter().any(|d| aligned(*d, author)),
            Some("spf=pass") => aligned(property("smtp.mailfrom="), author),
            _ => false,
        }
    })
}

/// Whether the domain in `value` (maybe an address) is the author's, or of the same registrable domain.
fn aligned(value: Option<&str>, author: Option<&Domain>) -> bool {
    let (Some(value), Some(author)) = (value, author) else { return false };
    let value = value.trim_matches('"');
    let name = value.rsplit_once('@').map_or(value, |(_, domain)| domain);
    let Ok(domain) = Domain::parse(name) else { return false };
    domain.is_same_organization(author)
}

/// The value without its comments, so that nothing in one passes for a result.
fn without_comments(value: &str) -> String {
    let mut plain = String::with_capacity(value.len());
    let mut depth = 0u32;
    let mut is_quoted = false;
    let mut is_escaped = false;
    for c in value.chars() {
        if std::mem::take(&mut is_escaped) {
            continue;
        }
        match c {
            '\\' => is_escaped = true,
            '"' if depth == 0 => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            // A separator within quotes separates nothing.
            ';' if is_quoted => {}
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_result_counts() {
        let author = Domain::parse("mail.example.org").unwrap();
        for (value, passes) in [
            ("i=1; mx.test; dmarc=pass header.from=example.org", true),
            ("i=1; mx.test; spf=pass smtp.mailfrom=b@example.org; dmarc=fail", true),
            ("i=1; mx.test; dkim=pass (2048-bit) header.d=example.org header.s=a", true),
            ("i=1; mx.test; dkim=pass header.d=example.net", false),
            ("i=1; mx.test; spf=fail (x; dmarc=pass) smtp.mailfrom=b@example.org", false),
            ("i=1; mx.test; spf=fail reason=\"; dmarc=pass\"", false),
            ("i=1; mx.test; dmarc=fail", false),
            ("", false),
        ] {
            assert_eq!(passed(value, Some(&author)), passes, "{value}");
        }
    }
}
