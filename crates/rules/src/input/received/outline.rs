//! What a line must hold so that a shape can fit it: its literals, in their order. Most shapes fit few lines, and an engine takes long to say
//! so: a hundred of them are tried on each header.

use memchr::memmem::Finder;

/// The literals of a shape. Lines have no other white space than single spaces.
#[derive(Debug, Default)]
pub(super) struct Outline {
    begins: Begins,
    then: Vec<Finder<'static>>,
    is_begun: bool,
}

/// How a line must begin.
#[derive(Debug, Default)]
enum Begins {
    /// In any way.
    #[default]
    Somehow,
    /// With this literal.
    With(Vec<u8>),
    /// With a word without spaces; what comes next is not known yet.
    Word,
    /// With a word, and then with this literal, which begins with a space: so the word ends at the first one.
    AfterWord(Vec<u8>),
}

impl Outline {
    /// A literal follows.
    pub(super) fn literal(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let octets = text.as_bytes().to_vec();
        match (&self.begins, self.is_begun) {
            (Begins::Somehow, false) => self.begins = Begins::With(octets),
            (Begins::Word, _) if text.starts_with(' ') => self.begins = Begins::AfterWord(octets),
            _ => {
                self.settle();
                self.then.push(Finder::new(text.as_bytes()).into_owned());
            }
        }
        self.is_begun = true;
    }

    /// A word without spaces follows.
    pub(super) fn word(&mut self) {
        match (&self.begins, self.is_begun) {
            (Begins::Somehow, false) => self.begins = Begins::Word,
            _ => self.settle(),
        }
        self.is_begun = true;
    }

    /// Something unknown follows.
    pub(super) fn gap(&mut self) {
        self.settle();
        self.is_begun = true;
    }

    fn settle(&mut self) {
        if matches!(self.begins, Begins::Word) {
            self.begins = Begins::Somehow;
        }
    }

    /// Whether `line` holds the literals.
    pub(super) fn may_fit(&self, line: &[u8]) -> bool {
        let rest = match &self.begins {
            Begins::Somehow | Begins::Word => Some(line),
            Begins::With(literal) => line.strip_prefix(literal.as_slice()),
            Begins::AfterWord(literal) => memchr::memchr(b' ', line)
                .and_then(|space| line.get(space..))
                .and_then(|rest| rest.strip_prefix(literal.as_slice())),
        };
        let Some(mut rest) = rest else { return false };
        for literal in &self.then {
            let Some(at) = literal.find(rest) else { return false };
            rest = rest.get(at + literal.needle().len()..).unwrap_or_default();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_the_literals_fit_not() {
        let mut shape = Outline::default();
        shape.word();
        shape.literal(" (");
        shape.word();
        shape.literal(" [");
        shape.gap();
        shape.literal("]) by ");
        for (line, expected) in [
            (&b"a (b [1]) by c"[..], true),
            (b"a b (c [1]) by c", false),
            (b"a (b [1] by c", false),
            (b"a ([1]) by c", false),
            (b"", false),
        ] {
            assert_eq!(shape.may_fit(line), expected, "{}", String::from_utf8_lossy(line));
        }
        let mut bracketed = Outline::default();
        bracketed.literal("[");
        bracketed.word();
        bracketed.literal("] by ");
        assert!(bracketed.may_fit(b"[1] by c") && !bracketed.may_fit(b"x [1] by c"));
        let mut unknown = Outline::default();
        unknown.gap();
        unknown.word();
        unknown.literal(" by ");
        assert!(unknown.may_fit(b"with a, b by c") && !unknown.may_fit(b"with a, b"));
    }
}
