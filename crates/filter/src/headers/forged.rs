//! What a message from outside says in our name: fields that begin with `X-Tidegate-`, and Authentication-Results (RFC 8601) with our
//! authserv-id. Also which foreign Authentication-Results are put back after all of that name were removed. Exim compares every name
//! to be removed with every field, and dies of more than 32 KB that are added at once: so all of it has limits.

use std::collections::HashSet;

use tidegate_mail::{Defect, Domain, HeaderField, Message};

pub(super) const RESULTS: &str = "Authentication-Results";
/// Every field of our own begins so; such fields in a message from outside are forged.
const OWN_PREFIX: &str = "X-Tidegate-";
/// Fields that we write.
const OWN: [&str; 3] = ["X-Tidegate-Status", "X-Tidegate-Id", "X-Tidegate-Released"];
/// Different names of ours that are removed from one message. Servers write no more than those of [`OWN`].
pub(crate) const NAMES_MAX: usize = 32;
/// Longest name that is removed, in octets.
pub(crate) const NAME_OCTETS_MAX: usize = 100;
/// Octets of foreign Authentication-Results that are put back, of one and of all together, the topmost first.
pub(crate) const FOREIGN_OCTETS_MAX: usize = 4 << 10;
pub(crate) const FOREIGN_OCTETS_IN_ALL_MAX: usize = 12 << 10;

/// The names of ours that a message brings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnNames<'a> {
    /// Those that are removed: what we write ourselves, then what stands topmost.
    pub(crate) removed: Vec<&'a str>,
    /// How many others there are: beyond the limits, or such that no MTA can be told to remove them.
    pub(crate) left: usize,
}

impl<'a> OwnNames<'a> {
    /// Those of `message`.
    pub(crate) fn of(message: &'a Message) -> OwnNames<'a> {
        let mut seen = HashSet::new();
        let (mut own, mut others, mut left) = (Vec::new(), Vec::new(), 0);
        for name in message.headers().iter().map(HeaderField::name).filter(|name| is_own(name)) {
            if !seen.insert(name.to_ascii_lowercase()) {
                continue;
            }
            if OWN.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
                own.push(name);
            } else if others.len() < NAMES_MAX && is_removable(name) {
                others.push(name);
            } else {
                left += 1;
            }
        }
        own.append(&mut others);
        OwnNames { removed: own, left }
    }
}

fn is_own(name: &str) -> bool {
    name.get(..OWN_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN_PREFIX))
}

/// Some versions of Exim read `*` at the end of a name as any ending, and quotes would end the answer's word.
fn is_removable(name: &str) -> bool {
    name.len() <= NAME_OCTETS_MAX && !name.contains(['*', '"', '\\'])
}

/// What becomes of the Authentication-Results of a message in which one claims to be ours.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ForeignResults {
    /// The values that are put back, topmost first, each on one line.
    pub(crate) kept: Vec<String>,
    /// How many are not.
    pub(crate) dropped: usize,
}

impl ForeignResults {
    /// Those of `message`; `None` if none of its fields claims to be ours, so that all can stay where they are.
    pub(crate) fn of(message: &Message, authserv_id: &Domain) -> Option<ForeignResults> {
        let claims_us = |field: &&HeaderField| claims(&one_line(field), authserv_id.as_str());
        // Below the last field that was read, anything may stand.
        let is_cut = message.defects().has(Defect::TooManyHeaders) || message.defects().has(Defect::HeaderTooLarge);
        if !is_cut && !message.headers_named(RESULTS).any(|field| claims_us(&field)) {
            return None;
        }
        let mut foreign = ForeignResults::default();
        let mut room = FOREIGN_OCTETS_IN_ALL_MAX;
        for field in message.headers_named(RESULTS).filter(|field| !claims_us(field)) {
            let value = one_line(field);
            let octets = RESULTS.len() + value.len();
            if octets > FOREIGN_OCTETS_MAX {
                foreign.dropped += 1;
            } else if octets > room {
                // What stands below is older: none of it is put back above this one.
                room = 0;
                foreign.dropped += 1;
            } else {
                room -= octets;
                foreign.kept.push(value);
            }
        }
        Some(foreign)
    }
}

/// A foreign field's value on one line; a control character would let it add fields of its own.
fn one_line(field: &HeaderField) -> String {
    let value = String::from_utf8_lossy(&field.unfolded()).into_owned();
    value.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Whether a value of Authentication-Results says that `host` wrote it. What is no such value by RFC 8601 section 2.2 and yet names
/// `host` is taken for forged as well: who reads it less strictly could believe it.
fn claims(value: &str, host: &str) -> bool {
    match authserv_id(value) {
        Some(id) => id.trim_end_matches('.').eq_ignore_ascii_case(host),
        None => value.to_ascii_lowercase().contains(&host.to_ascii_lowercase()),
    }
}

/// The authserv-id: a token or a quoted string, after any comments (RFC 8601 section 2.2; RFC 2045 section 5.1). `None` if there is none.
fn authserv_id(value: &str) -> Option<String> {
    let start = after_comments(value)?;
    let id = match start.strip_prefix('"') {
        Some(quoted) => quoted_text(quoted)?,
        None => {
            let ends_token = |c: char| c.is_whitespace() || "()<>@,;:\\\"/[]?=".contains(c);
            start.chars().take_while(|c| !ends_token(*c)).collect()
        }
    };
    (!id.is_empty()).then_some(id)
}

/// `value` from the first character that is neither blank nor within a comment; `None` if a comment does not end.
fn after_comments(value: &str) -> Option<&str> {
    let (mut depth, mut is_quoted) = (0_usize, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if is_quoted => is_quoted = false,
            '\\' if depth > 0 => is_quoted = true,
            '(' => depth = depth.saturating_add(1),
            ')' if depth > 0 => depth -= 1,
            c if depth > 0 || c.is_whitespace() => {}
            _ => return value.get(at..),
        }
    }
    (depth == 0).then_some("")
}

/// A quoted string, after its first quote, up to the other; `None` if there is none.
fn quoted_text(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Some(text),
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(header: &str) -> Message {
        Message::parse(format!("{header}\n").into_bytes(), &tidegate_mail::Limits::default())
    }

    #[test]
    fn ours_is_what_says_so_in_any_way() {
        for (value, is_ours) in [
            ("mx.example.org; spf=pass", true),
            ("MX.Example.Org 1; none", true),
            (" (a comment) mx.example.org 1; none", true),
            ("mx.example.org(comment); none", true),
            ("((nested) twice) mx.example.org; none", true),
            (r"(a \) b) mx.example.org; none", true),
            (r#""mx.example.org"; none"#, true),
            (r#""mx.example\.org" ; none"#, true),
            ("mx.example.org.; none", true),
            ("mx.example.org/1; none", true),
            // No authserv-id, but a reader who looks for the name alone finds it.
            ("(mx.example.org; spf=pass", true),
            ("; mx.example.org; spf=pass", true),
            (r#""mx.example.org; spf=pass"#, true),
            ("other.example.net; spf=pass smtp.mailfrom=a@mx.example.org", false),
            ("sub.mx.example.org; spf=pass", false),
            ("example.org; spf=pass", false),
            ("(mx.example.org) example.net; none", false),
            ("(unended", false),
            ("", false),
        ] {
            assert_eq!(claims(value, "mx.example.org"), is_ours, "{value}");
        }
    }

    #[test]
    fn what_we_write_is_removed_before_all_else() {
        let many: String = (0..NAMES_MAX + 5).map(|n| format!("X-Tidegate-{n}: f\nx-TIDEGATE-{n}: f\n")).collect();
        let odd = format!(
            "X-Tidegate-{}: f\nX-Tidegate-*: f\nX-Tidegate: f\nX-Tidegatex-A: f\n",
            "a".repeat(NAME_OCTETS_MAX)
        );
        let message = message(&format!("{many}{odd}x-tidegate-STATUS: accept\nX-Tidegate-Id: i\n"));
        let names = OwnNames::of(&message);
        assert_eq!(names.removed.get(..3), Some(&["x-tidegate-STATUS", "X-Tidegate-Id", "X-Tidegate-0"][..]));
        assert_eq!((names.removed.len(), names.left), (NAMES_MAX + 2, 5 + 2));
    }

    #[test]
    fn the_topmost_foreign_results_fit_into_what_exim_takes() {
        let us: Domain = "mx.example.org".parse().unwrap();
        let field = |n: usize, octets: usize| format!("Authentication-Results: f{n}.example; {}\n", "x".repeat(octets));
        let honest = field(1, 10) + &field(2, 10);
        assert_eq!(ForeignResults::of(&message(&honest), &us), None, "nothing to remove");
        let own = "Authentication-Results: mx.example.org; none\n";
        let some = ForeignResults::of(&message(&(field(1, 10) + own + &field(2, 10))), &us).unwrap();
        assert_eq!(some.kept, ["f1.example; xxxxxxxxxx", "f2.example; xxxxxxxxxx"]);
        let many: String = (0..1000).map(|n| field(n, 100)).collect();
        let some = ForeignResults::of(&message(&(field(0, FOREIGN_OCTETS_MAX) + own + &many)), &us).unwrap();
        assert!(some.kept.iter().map(|value| RESULTS.len() + value.len()).sum::<usize>() <= FOREIGN_OCTETS_IN_ALL_MAX);
        assert!(some.kept.len() > 50 && some.kept.len() + some.dropped == 1001, "{}", some.kept.len());
        assert!(some.kept.first().is_some_and(|value| value.starts_with("f0.")));
    }
}
