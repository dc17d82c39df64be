//! One line of a rule text: without its comment, cut into words, with columns for diagnostics.

/// A line without comment and outer white space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The first word in lower case, with `_` for `-`.
    pub key: String,
    /// What follows it.
    pub value: Vec<u8>,
    /// Column of the key, counted from 1.
    pub key_column: u32,
    /// Column of the value, counted from 1.
    pub value_column: u32,
}

impl Line {
    /// Reads a line; `None` when it holds nothing. A `#` begins a comment unless a backslash stands before it.
    #[must_use]
    pub fn read(line: &[u8]) -> Option<Line> {
        let text = uncomment(line);
        let indent = text.iter().take_while(|b| is_space(**b)).count();
        let text = trim(&text);
        let (key, value) = split_word(text);
        if key.is_empty() {
            return None;
        }
        let value_start = text.len() - value.len();
        Some(Line {
            key: String::from_utf8_lossy(key).to_ascii_lowercase().replace('-', "_"),
            value: value.to_vec(),
            key_column: column(indent),
            value_column: column(indent + value_start),
        })
    }
}

fn column(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX).saturating_add(1)
}

fn uncomment(line: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(line.len());
    for &octet in line {
        if octet == b'#' && text.last() != Some(&b'\\') {
            break;
        }
        if octet == b'#' {
            text.pop();
        }
        text.push(octet);
    }
    text
}

/// White space as Perl's `\s` has it over octets.
#[must_use]
pub fn is_space(octet: u8) -> bool {
    octet.is_ascii_whitespace() || octet == 0x0b
}

/// `text` without white space at its ends.
#[must_use]
pub fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().take_while(|b| is_space(**b)).count();
    let rest = text.get(start..).unwrap_or_default();
    let end = rest.iter().rev().take_while(|b| is_space(**b)).count();
    rest.get(..rest.len() - end).unwrap_or_default()
}

/// The first word and what follows the white space after it.
#[must_use]
pub fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| is_space(*b)).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, rest.get(rest.iter().take_while(|b| is_space(**b)).count()..).unwrap_or_default())
}

/// The words of `text` as text; what is not UTF-8 is replaced.
pub fn words(text: &[u8]) -> impl Iterator<Item = String> + '_ {
    text.split(|b| is_space(*b)).filter(|word| !word.is_empty()).map(|word| String::from_utf8_lossy(word).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_columns() {
        let line = Line::read(b"  Trusted-Networks\t 10/8  # ours\r\n").unwrap();
        assert_eq!((line.key.as_str(), line.value.as_slice()), ("trusted_networks", b"10/8".as_slice()));
        assert_eq!((line.key_column, line.value_column), (3, 21));
        assert_eq!(Line::read(b"body A /\\#1/ # first").unwrap().value, b"A /#1/");
        assert_eq!(Line::read(b"  # nothing"), None);
        assert_eq!(Line::read(b""), None);
    }
}
