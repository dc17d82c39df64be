//! `word=value` pairs as Exim's string expansion writes them, split and unescaped.
//! Does not know which words there are: that is `ask.rs` and `answer.rs`.

/// Most words that are read from one line; the rest is ignored, with a defect.
pub(super) const WORDS_MAX: usize = 64;

/// One `key=value`. The value is unescaped but not yet text: Exim passes eight-bit bytes through.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub(super) key: &'a str,
    pub(super) value: Vec<u8>,
    /// The value was quoted and the closing quote was there, or it was bare.
    pub(super) is_closed: bool,
}

/// Splits a line into words. What is no `key=value` is skipped; nothing fails.
pub(super) fn split(line: &[u8]) -> Words<'_> {
    Words { rest: line }
}

pub(super) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] = self.rest {
                self.rest = rest;
            }
            if self.rest.is_empty() {
                return None;
            }
            let end = self.rest.iter().position(|&b| matches!(b, b'=' | b' ' | b'\t' | b'\r' | b'\n'));
            let (key, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
            let Some(rest) = rest.strip_prefix(b"=") else {
                self.rest = rest;
                continue;
            };
            let (value, is_closed, rest) = take_value(rest);
            self.rest = rest;
            let is_key = !key.is_empty() && key.iter().all(u8::is_ascii_lowercase);
            if let Some(key) = std::str::from_utf8(key).ok().filter(|_| is_key) {
                return Some(Word { key, value, is_closed });
            }
        }
    }
}

fn take_value(bytes: &[u8]) -> (Vec<u8>, bool, &[u8]) {
    let Some(quoted) = bytes.strip_prefix(b"\"") else {
        let end = bytes.iter().position(|&b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).unwrap_or(bytes.len());
        let (value, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        return (value.to_vec(), true, rest);
    };
    let mut value = Vec::new();
    let mut rest = quoted;
    loop {
        match rest {
            [b'"', after @ ..] => return (value, true, after),
            // `${quote:}` writes `\n` and `\r` for line ends, and a backslash before `"` and `\`.
            [b'\\', b'n', after @ ..] => (value.push(b'\n'), rest = after).1,
            [b'\\', b'r', after @ ..] => (value.push(b'\r'), rest = after).1,
            [b'\\', byte, after @ ..] => (value.push(*byte), rest = after).1,
            [byte, after @ ..] => (value.push(*byte), rest = after).1,
            [] => return (value, false, rest),
        }
    }
}

/// Appends ` key=value`, quoted exactly as Exim's `${quote:}` does.
pub(super) fn push_quoted(line: &mut Vec<u8>, key: &str, value: &[u8]) {
    push_bare(line, key, b"");
    let is_bare = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if !value.is_empty() && value.iter().all(is_bare) {
        line.extend_from_slice(value);
        return;
    }
    push_in_quotes(line, value);
}

fn push_in_quotes(line: &mut Vec<u8>, value: &[u8]) {
    line.push(b'"');
    for byte in value {
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'"' | b'\\' => line.extend_from_slice(&[b'\\', *byte]),
            _ => line.push(*byte),
        }
    }
    line.push(b'"');
}

/// Appends ` key="value"`, as an answer has it: never bare.
pub(super) fn push_always_quoted(line: &mut Vec<u8>, key: &str, value: &[u8]) {
    push_bare(line, key, b"");
    push_in_quotes(line, value);
}

/// Appends ` key=value` as it is: for numbers, addresses with ports, and base64.
pub(super) fn push_bare(line: &mut Vec<u8>, key: &str, value: &[u8]) {
    line.push(b' ');
    line.extend_from_slice(key.as_bytes());
    line.push(b'=');
    line.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(line: &[u8]) -> Vec<(String, Vec<u8>)> {
        split(line).map(|w| (w.key.to_owned(), w.value)).collect()
    }

    #[test]
    fn words_are_found_whatever_stands_between_them() {
        let expected = vec![("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"x y=\"z".to_vec())];
        for line in [
            &b"a=1 b=\"x y=\\\"z\""[..],
            b"  a=1   junk =2 B=3 b=\"x y=\\\"z\" \n",
            b"a=1 b=\"x y=\\\"z\"\r\n",
            b"=\"\" a=1 b=\"x y=\\\"z",
        ] {
            assert_eq!(pairs(line), expected, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut line = Vec::new();
            for value in &values {
                push_quoted(&mut line, "k", value);
            }
            prop_assert!(!line.contains(&b'\n'));
            let read: Vec<Vec<u8>> = split(&line).map(|w| w.value).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn arbitrary_bytes_are_split_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = split(&line).count();
        }
    }
}
