//! The notation of [`super::forms`] as patterns.

use super::outline::Outline;
use crate::pattern::{Modifiers, Pattern};

/// An address as `Received` headers write it; the generous grammar keeps odd headers readable.
pub(super) fn ip_pattern() -> String {
    let octet = "(?:1\\d\\d|2[0-4]\\d|25[0-5]|[1-9]\\d|\\d)";
    let v4 = format!("(?:{octet}\\.){{3}}{octet}");
    let group = "[a-fA-F0-9]{1,4}";
    // A colon-separated run; that it is a valid address is checked by its shape: at most eight groups, at most one gap.
    let full = format!("(?:{group}:){{7}}{group}");
    let gap = format!(
        "(?=[a-fA-F0-9:]*::)(?![a-fA-F0-9:]*::[a-fA-F0-9:]*::)(?![a-fA-F0-9:]*:::)(?!(?:{group}::?){{8}})(?:{group})?(?::{{1,2}}{group})*(?:::)?"
    );
    let mapped = format!("(?:{group}:){{6}}{v4}|(?=[a-fA-F0-9:]*::)(?:{group})?(?::{{1,2}}{group}){{0,6}}::?{v4}");
    format!("(?:\\b(?<!:){v4}\\b|(?:[Ii][Pp][Vv]6:|(?<![a-fA-F0-9:]))(?:{mapped}|{full}|{gap})(?![a-fA-F0-9:]))")
}

fn localhost_pattern() -> String {
    let zero = "0{1,4}";
    let mapped = format!("(?:::(?:{zero}:){{0,4}}|(?:{zero}:){{5}})[fF]{{4}}:127\\.0\\.0\\.1");
    let loopback = format!("(?:(?:{zero}:){{7}}|(?:{zero}:){{0,6}}:(?:{zero}:){{0,6}}|::)0{{0,3}}1");
    format!(
        "(?:localhost(?:\\.localdomain)?|\\b(?<!:)127\\.0\\.0\\.1\\b|(?:IPv6:|(?<![a-f0-9:]))(?:{mapped}|{loopback})(?![a-f0-9:]))"
    )
}

/// A compiled shape.
#[derive(Debug)]
pub(super) struct Template {
    pattern: Pattern,
    outline: Outline,
    /// The name of each group, the whole match first.
    names: Vec<&'static str>,
}

/// The kept words of a line. Where a shape keeps several under one name, the last counts.
#[derive(Debug)]
pub(super) struct Words<'l>(Vec<(&'static str, &'l [u8])>);

impl<'l> Words<'l> {
    pub(super) fn get(&self, name: &str) -> Option<&'l [u8]> {
        self.0.iter().rfind(|(known, _)| *known == name).map(|(_, word)| *word)
    }
}

/// The names that a shape keeps.
const NAMES: [&str; 7] = ["helo", "rdns", "ip", "by", "ident", "id", "rest"];

impl Template {
    /// Compiles a shape of the table, which is ours: one that does not compile is a mistake of this file.
    pub(super) fn compile(text: &str) -> Template {
        let mut source = String::from("^");
        let mut names = vec![""];
        let (ip, localhost) = (ip_pattern(), localhost_pattern());
        let mut outline = Outline::default();
        let mut rest = text;
        while let Some(start) = rest.find(['<', '`']) {
            let (literal, marked) = rest.split_at(start);
            push_literal(literal, &mut source);
            outline.literal(literal);
            if let Some(inner) = marked.strip_prefix('`') {
                let (pattern, tail) = inner.split_once('`').unwrap_or((inner, ""));
                push_pattern(pattern, &ip, &localhost, &mut source, &mut names);
                outline.gap();
                rest = tail;
            } else {
                let (mark, tail) =
                    marked.strip_prefix('<').and_then(|marked| marked.split_once('>')).unwrap_or((marked, ""));
                push_mark(mark, &ip, &mut source, &mut names);
                if has_no_space(mark) {
                    outline.word()
                } else {
                    outline.gap()
                }
                rest = tail;
            }
        }
        push_literal(rest, &mut source);
        outline.literal(rest);
        let pattern =
            Pattern::compile(source.as_bytes(), Modifiers::default()).expect("the shapes of Received headers are ours");
        Template { pattern, outline, names }
    }

    /// The kept words, if the shape fits `line`.
    pub(super) fn read<'l>(&self, line: &'l [u8]) -> Option<Words<'l>> {
        if !self.outline.may_fit(line) {
            return None;
        }
        let groups = self.pattern.captures(line).ok()??;
        let named = self.names.iter().zip(groups).filter(|(name, _)| !name.is_empty());
        Some(Words(named.filter_map(|(name, group)| group.map(|group| (*name, group))).collect()))
    }
}

/// Whether no text that `mark` stands for has white space in it.
fn has_no_space(mark: &str) -> bool {
    !matches!(mark, "." | ".." | "rest.") && !mark.contains([' ', '|', ':'])
}

fn push_literal(literal: &str, source: &mut String) {
    for char in literal.chars() {
        if matches!(char, '\\' | '^' | '$' | '.' | '[' | ']' | '|' | '(' | ')' | '?' | '*' | '+' | '{' | '}') {
            source.push('\\');
        }
        source.push(char);
    }
}

/// A piece that is a pattern already. A group with a name keeps it; the group around `IP` keeps the address.
fn push_pattern(pattern: &str, ip: &str, localhost: &str, source: &mut String, names: &mut Vec<&'static str>) {
    let mut rest = pattern;
    while let Some(open) = rest.find('(') {
        let after = rest.get(open + 1..).unwrap_or_default();
        let is_escaped = rest.get(..open).is_some_and(|before| before.ends_with('\\'));
        let name = after.strip_prefix("?<").and_then(|after| after.split_once('>')).map(|(name, _)| name);
        let name = name.and_then(|name| NAMES.into_iter().find(|known| *known == name));
        if let Some(name) = name {
            names.push(name);
        } else if !is_escaped && !after.starts_with('?') {
            names.push("ip");
        }
        rest = after;
    }
    let mut text = pattern.replace("IP", ip).replace("LOCALHOST", localhost);
    for name in NAMES {
        text = text.replace(&format!("(?<{name}>"), "(");
    }
    // A leading anchor stands for itself: the shape begins with one already.
    source.push_str(text.strip_prefix('^').unwrap_or(&text));
}

fn push_mark(mark: &str, ip: &str, source: &mut String, names: &mut Vec<&'static str>) {
    let name = |text: &str| NAMES.into_iter().find(|known| *known == text);
    match mark {
        "_" => source.push_str("\\S+"),
        "_*" => source.push_str("\\S*"),
        "_ip" => source.push_str(ip),
        ".." => source.push_str(".*"),
        "." => source.push_str(".*?"),
        "rest." => {
            names.push("rest");
            source.push_str("(.*?)");
        }
        "ip" => {
            names.push("ip");
            source.push_str(&format!("({ip})"));
        }
        "0,40:)" => source.push_str("[^)]{0,40}"),
        _ if mark.contains('|') => source.push_str(&format!("(?:{mark})")),
        _ => match (name(mark), mark.strip_suffix('*').and_then(name)) {
            (Some(kept), _) => {
                names.push(kept);
                source.push_str("(\\S+)");
            }
            (_, Some(kept)) => {
                names.push(kept);
                source.push_str("(\\S*)");
            }
            _ => unreachable!("the marks of Received shapes are ours: <{mark}>"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::received::forms::{FROM, PARENTHESIS_FROM, UPPER_FROM};

    #[test]
    fn all_shapes_compile() {
        for form in FROM.iter().chain(UPPER_FROM).chain(PARENTHESIS_FROM) {
            form.template();
        }
    }

    /// An alternative or a repeat at the edge of a piece would reach beyond it: then the literals around it need not stand in the line.
    #[test]
    fn pieces_keep_to_themselves() {
        for form in FROM.iter().chain(UPPER_FROM).chain(PARENTHESIS_FROM) {
            for piece in form.text.split('`').skip(1).step_by(2) {
                assert!(!piece.starts_with(['?', '*', '+', '{', '|']) && !piece.ends_with('|'), "{}", form.text);
                let (mut depth, mut octets) = (0_i32, piece.bytes());
                while let Some(octet) = octets.next() {
                    match octet {
                        b'\\' => _ = octets.next(),
                        b'(' => depth += 1,
                        b')' => depth -= 1,
                        b'|' => assert!(depth > 0, "{}", form.text),
                        _ => {}
                    }
                }
            }
        }
    }

    #[test]
    fn shapes_keep_words() {
        let template = Template::compile("<helo> (<rdns> [<ip>]) by <by> ");
        let words = template.read(b"a (b.example [IPv6:2001:db8::1]) by c with SMTP").unwrap();
        assert_eq!(words.get("helo"), Some(&b"a"[..]));
        assert_eq!(words.get("rdns"), Some(&b"b.example"[..]));
        assert_eq!(words.get("ip"), Some(&b"IPv6:2001:db8::1"[..]));
        assert_eq!(words.get("by"), Some(&b"c"[..]));
    }

    #[test]
    fn addresses() {
        let pattern = Pattern::compile(format!("^{}$", ip_pattern()).as_bytes(), Modifiers::default()).unwrap();
        for (text, expected) in [
            ("192.0.2.1", true),
            ("192.0.2.256", false),
            ("2001:db8::1", true),
            ("2001:db8:0:0:0:0:0:1", true),
            ("2001:db8:0:0:0:0:1", false),
            ("::ffff:192.0.2.1", true),
            ("::", true),
            ("fe80::", true),
            ("1::2::3", false),
            ("1:2:3:4:5:6:7:8:9", false),
            ("IPv6:::1", true),
            ("12:30", false),
        ] {
            assert_eq!(pattern.is_match(text.as_bytes()), Ok(expected), "{text}");
        }
    }
}
