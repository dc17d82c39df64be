//! Macros of SPF records: `%{ir}.%{v}._spf.%{d2}` (RFC 7208 section 7). Only those a domain may hold; `c`, `r` and `t` belong
//! to explanations, which are never fetched.

/// A domain with macros, as it stands in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DomainSpec(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Macro(Macro),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Macro {
    letter: Letter,
    /// How many of the right-hand parts stay; `None` for all.
    keep: Option<usize>,
    reverse: bool,
    delimiters: String,
    escape: bool,
}

/// What a macro stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    Sender,
    LocalPart,
    SenderDomain,
    Domain,
    Ip,
    ValidatedName,
    Family,
    Helo,
}

/// Longest name that can be asked for (RFC 7208 section 7.3).
const NAME_OCTETS_MAX: usize = 253;
/// Longest text that is expanded at all, before it is cut to a name: a record may repeat a macro thousands of times.
const EXPANDED_OCTETS_MAX: usize = 8192;

impl DomainSpec {
    /// A domain-spec: a macro-string that ends in a top label or a macro.
    pub(super) fn parse(text: &str) -> Option<DomainSpec> {
        let spec = DomainSpec::parse_macro_string(text)?;
        let ends_well = match spec.0.last()? {
            Piece::Macro(_) => true,
            Piece::Literal(_) => ends_in_top_label(text),
        };
        ends_well.then_some(spec)
    }

    /// Any macro-string.
    pub(super) fn parse_macro_string(text: &str) -> Option<DomainSpec> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = rest.get(c.len_utf8()..)?;
            if c != '%' {
                if !c.is_ascii_graphic() {
                    return None;
                }
                literal.push(c);
                continue;
            }
            let kind = rest.chars().next()?;
            rest = rest.get(kind.len_utf8()..)?;
            match kind {
                '%' => literal.push('%'),
                '_' => literal.push(' '),
                '-' => literal.push_str("%20"),
                '{' => {
                    let (inner, after) = rest.split_once('}')?;
                    rest = after;
                    if !literal.is_empty() {
                        pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    pieces.push(Piece::Macro(Macro::parse(inner)?));
                }
                _ => return None,
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Some(DomainSpec(pieces))
    }

    /// Whether expanding needs the client's validated name, which has to be asked for.
    pub(super) fn needs_validated_name(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Macro(m) if m.letter == Letter::ValidatedName))
    }

    /// The name with macros replaced by what `value` gives, cut from the left to what can be asked for; `None` when the
    /// record would make us write a text of no reasonable length.
    pub(super) fn expand(&self, value: impl Fn(Letter) -> String) -> Option<String> {
        let mut name = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Macro(m) => m.expand_into(&value(m.letter), &mut name),
            }
            if name.len() > EXPANDED_OCTETS_MAX {
                return None;
            }
        }
        let mut name = name.strip_suffix('.').unwrap_or(&name);
        while name.len() > NAME_OCTETS_MAX {
            name = name.split_once('.')?.1;
        }
        Some(name.to_owned())
    }
}

/// `toplabel` of RFC 7208 section 7.1: letters, digits and hyphens, not only digits, no hyphen at either end.
fn ends_in_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, label)) = text.rsplit_once('.') else { return false };
    !label.is_empty()
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.bytes().all(|b| b.is_ascii_digit())
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl Macro {
    /// What stands between `%{` and `}`: letter, digits, `r`, delimiters.
    fn parse(text: &str) -> Option<Macro> {
        let first = text.chars().next()?;
        let letter = match first.to_ascii_lowercase() {
            's' => Letter::Sender,
            'l' => Letter::LocalPart,
            'o' => Letter::SenderDomain,
            'd' => Letter::Domain,
            'i' => Letter::Ip,
            'p' => Letter::ValidatedName,
            'v' => Letter::Family,
            'h' => Letter::Helo,
            _ => return None,
        };
        let rest = text.get(1..)?;
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = rest.split_at_checked(digits)?;
        let keep = match number {
            "" => None,
            // A number beyond any count of labels keeps them all.
            _ => Some(number.parse().unwrap_or(usize::MAX)).filter(|keep| *keep > 0),
        };
        if !number.is_empty() && keep.is_none() {
            return None;
        }
        let (reverse, delimiters) = match rest.strip_prefix(['r', 'R']) {
            Some(after) => (true, after),
            None => (false, rest),
        };
        let are_delimiters = delimiters.chars().all(|c| ".-+,/_=".contains(c));
        are_delimiters.then(|| Macro {
            letter,
            keep,
            reverse,
            delimiters: if delimiters.is_empty() { ".".into() } else { delimiters.into() },
            escape: first.is_ascii_uppercase(),
        })
    }

    fn expand_into(&self, value: &str, name: &mut String) {
        let mut parts: Vec<&str> = value.split(|c| self.delimiters.contains(c)).collect();
        if self.reverse {
            parts.reverse();
        }
        let skipped = parts.len().saturating_sub(self.keep.unwrap_or(usize::MAX));
        let joined = parts.split_off(skipped).join(".");
        if self.escape { escape_into(&joined, name) } else { name.push_str(&joined) }
    }
}

/// Percent-escapes all but the unreserved characters of RFC 3986.
fn escape_into(text: &str, name: &mut String) {
    use std::fmt::Write;
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            name.push(char::from(b));
        } else {
            let _infallible = write!(name, "%{b:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7208 section 7.4.
    #[test]
    fn the_examples_of_the_rfc_expand() {
        let value = |letter: Letter| {
            match letter {
                Letter::Sender => "strong-bad@email.example.com",
                Letter::LocalPart => "strong-bad",
                Letter::SenderDomain | Letter::Domain => "email.example.com",
                Letter::Ip => "192.0.2.3",
                Letter::Family => "in-addr",
                Letter::ValidatedName | Letter::Helo => "unknown",
            }
            .to_owned()
        };
        for (spec, name) in [
            ("%{s}", "strong-bad@email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l-}", "strong.bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ] {
            assert_eq!(DomainSpec::parse(spec).unwrap().expand(value).as_deref(), Some(name), "{spec}");
        }
    }

    #[test]
    fn wrong_macros_are_no_spec() {
        for spec in ["%{d0}", "%{z}", "%{d", "%", "%x", "%{d!}", "abc", "a.-b", "a.1", "%{}", ""] {
            assert_eq!(DomainSpec::parse(spec), None, "{spec}");
        }
    }

    #[test]
    fn a_record_cannot_make_us_write_without_end() {
        let spec = DomainSpec::parse(&"%{s}".repeat(10_000)).unwrap();
        assert_eq!(spec.expand(|_| "a.b".into()), None);
        let long = DomainSpec::parse("%{s}.example.com").unwrap();
        assert_eq!(long.expand(|_| "a.".repeat(200)).map(|name| name.len() <= NAME_OCTETS_MAX), Some(true));
    }
}
