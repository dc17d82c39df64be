//! A Perl pattern as a tree of octet classes: what its matches are made of, leaving out where they may stand.
//!
//! The tree describes a superset of the matches: look-around and anchors are empty, back-references and recursion are anything. It
//! serves to find out what a text must hold; whether it matches is for the engine to say.

use crate::pattern::Modifiers;

/// How deep groups may nest; deeper patterns have no tree.
const DEPTH_MAX: usize = 60;
/// Largest count of a quantifier.
const COUNT_MAX: u32 = 65_535;

/// A set of octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(crate) struct OctetSet([u64; 4]);

impl OctetSet {
    pub(crate) const EMPTY: OctetSet = OctetSet([0; 4]);
    pub(crate) const ALL: OctetSet = OctetSet([u64::MAX; 4]);

    pub(crate) fn of(octets: impl IntoIterator<Item = u8>) -> OctetSet {
        let mut set = OctetSet::EMPTY;
        octets.into_iter().for_each(|octet| set.insert(octet));
        set
    }

    /// Its octets as bits, the lowest first.
    pub(crate) fn words(self) -> [u64; 4] {
        self.0
    }

    pub(crate) fn from_words(words: [u64; 4]) -> OctetSet {
        OctetSet(words)
    }

    pub(crate) fn insert(&mut self, octet: u8) {
        if let Some(word) = self.0.get_mut(usize::from(octet >> 6)) {
            *word |= 1 << (octet & 63);
        }
    }

    pub(crate) fn contains(&self, octet: u8) -> bool {
        self.0.get(usize::from(octet >> 6)).is_some_and(|word| word >> (octet & 63) & 1 == 1)
    }

    pub(crate) fn complement(self) -> OctetSet {
        OctetSet(self.0.map(|word| !word))
    }

    pub(crate) fn union(self, other: OctetSet) -> OctetSet {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        OctetSet([a | e, b | f, c | g, d | h])
    }

    pub(crate) fn intersection(self, other: OctetSet) -> OctetSet {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        OctetSet([a & e, b & f, c & g, d & h])
    }

    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(crate) fn octets(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |octet| self.contains(*octet))
    }

    /// With the other case of each ASCII letter.
    fn caseless(self) -> OctetSet {
        let other = |octet: u8| if octet.is_ascii_alphabetic() { octet ^ 0x20 } else { octet };
        self.union(OctetSet::of(self.octets().map(other)))
    }
}

/// What matches are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Nothing: anchors, look-around.
    Empty,
    /// One octet.
    Class(OctetSet),
    /// One after the other.
    Concat(Vec<Node>),
    /// Any of them.
    Alternate(Vec<Node>),
    /// Again and again.
    Repeat { node: Box<Node>, min: u32, max: Option<u32> },
    /// Anything at all.
    Any,
    /// Nothing, where this must not follow. What must not follow is [`Node::Any`] where it is more than a row of octets, such as a word with
    /// an anchor in it.
    NotAhead(Box<Node>),
    /// Nothing, at the edge of a line or of the text. Only [`parse_with_edges`] makes it.
    Edge(Edge),
}

/// An edge of a line, `^` or `$`; without `m` they stand in fewer places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    Start,
    End,
}

/// The tree of a pattern; `None` when it is written in a way that is not understood here.
pub(crate) fn parse(source: &[u8], modifiers: Modifiers) -> Option<Node> {
    Parser { source, at: 0, depth: 0, anchors: 0, keeps_edges: false }.whole(modifiers)
}

/// The same, with `^` and `$` where they stand.
pub(crate) fn parse_with_edges(source: &[u8], modifiers: Modifiers) -> Option<Node> {
    Parser { source, at: 0, depth: 0, anchors: 0, keeps_edges: true }.whole(modifiers)
}

/// The fewest octets that a match can have.
pub(crate) fn length_min(node: &Node) -> usize {
    match node {
        Node::Empty | Node::Any | Node::NotAhead(_) | Node::Edge(_) => 0,
        Node::Class(_) => 1,
        Node::Concat(nodes) => nodes.iter().map(length_min).fold(0, usize::saturating_add),
        Node::Alternate(nodes) => nodes.iter().map(length_min).min().unwrap_or(0),
        Node::Repeat { node, min, .. } => length_min(node).saturating_mul(*min as usize),
    }
}

struct Parser<'s> {
    source: &'s [u8],
    at: usize,
    depth: usize,
    /// How many anchors and look-arounds were read.
    anchors: usize,
    keeps_edges: bool,
}

impl Parser<'_> {
    fn whole(mut self, modifiers: Modifiers) -> Option<Node> {
        let node = self.alternation(modifiers)?;
        (self.at == self.source.len()).then_some(node)
    }

    fn peek(&self) -> Option<u8> {
        self.source.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let octet = self.peek()?;
        self.at += 1;
        Some(octet)
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let is_there = self.source.get(self.at..).is_some_and(|rest| rest.starts_with(text));
        self.at += if is_there { text.len() } else { 0 };
        is_there
    }

    fn alternation(&mut self, modifiers: Modifiers) -> Option<Node> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        // Flags set inside (`(?i)`) hold to the end of the group, also in the alternatives that follow.
        let mut modifiers = modifiers;
        let mut branches = vec![self.concatenation(&mut modifiers)?];
        while self.take(b"|") {
            branches.push(self.concatenation(&mut modifiers)?);
        }
        self.depth -= 1;
        if branches.len() == 1 { branches.pop() } else { Some(Node::Alternate(branches)) }
    }

    fn concatenation(&mut self, modifiers: &mut Modifiers) -> Option<Node> {
        let mut nodes = Vec::new();
        loop {
            if modifiers.extended {
                self.skip_layout();
            }
            match self.peek() {
                None | Some(b'|' | b')') => break,
                _ => {}
            }
            let atom = self.atom(modifiers)?;
            let node = self.quantified(atom, *modifiers)?;
            if node != Node::Empty {
                nodes.push(node);
            }
        }
        Some(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.pop()?,
            _ => Node::Concat(nodes),
        })
    }

    /// With `x`, white space and comments mean nothing.
    fn skip_layout(&mut self) {
        while let Some(octet) = self.peek() {
            if octet == b'#' {
                while self.peek().is_some_and(|octet| octet != b'\n') {
                    self.at += 1;
                }
            } else if octet.is_ascii_whitespace() || octet == 0x0b {
                self.at += 1;
            } else {
                break;
            }
        }
    }

    fn quantified(&mut self, node: Node, modifiers: Modifiers) -> Option<Node> {
        let mut node = node;
        loop {
            if modifiers.extended {
                self.skip_layout();
            }
            let start = self.at;
            let (min, max) = match self.peek() {
                Some(b'*') => (0, None),
                Some(b'+') => (1, None),
                Some(b'?') => (0, Some(1)),
                Some(b'{') => match self.counts() {
                    Some(counts) => counts,
                    None => {
                        self.at = start;
                        return Some(node);
                    }
                },
                _ => return Some(node),
            };
            if self.peek() != Some(b'{') && self.at == start {
                self.at += 1;
            }
            // Lazy and possessive change which match is found, not what it is made of.
            if matches!(self.peek(), Some(b'?' | b'+')) {
                self.at += 1;
            }
            if !matches!(node, Node::Empty | Node::NotAhead(_)) {
                node = Node::Repeat { node: Box::new(node), min, max };
            } else if min == 0 {
                node = Node::Empty;
            }
        }
    }

    /// `{n}`, `{n,}`, `{n,m}` or `{,m}`; else the brace is a literal.
    fn counts(&mut self) -> Option<(u32, Option<u32>)> {
        self.take(b"{").then_some(())?;
        let number = |parser: &mut Self| {
            let mut number = None;
            while let Some(digit) = parser.peek().filter(u8::is_ascii_digit) {
                number = Some(
                    number.unwrap_or(0u32).saturating_mul(10).saturating_add(u32::from(digit - b'0')).min(COUNT_MAX),
                );
                parser.at += 1;
            }
            number
        };
        let min = number(self);
        if self.take(b",") {
            let max = number(self);
            return (self.take(b"}") && (min.is_some() || max.is_some())).then_some((min.unwrap_or(0), max));
        }
        self.take(b"}").then_some((min?, min))
    }

    fn atom(&mut self, modifiers: &mut Modifiers) -> Option<Node> {
        match self.next()? {
            b'(' => self.group(modifiers),
            b'[' => Some(class(self.bracket()?, *modifiers)),
            b'.' => {
                let newline = OctetSet::of([b'\n']);
                Some(Node::Class(if modifiers.dot_all { OctetSet::ALL } else { newline.complement() }))
            }
            b'^' => Some(self.edge(Edge::Start)),
            b'$' => Some(self.edge(Edge::End)),
            b'\\' => self.escape(*modifiers),
            octet => Some(class(OctetSet::of([octet]), *modifiers)),
        }
    }

    fn anchor(&mut self) -> Node {
        self.anchors += 1;
        Node::Empty
    }

    fn edge(&mut self, edge: Edge) -> Node {
        let empty = self.anchor();
        if self.keeps_edges { Node::Edge(edge) } else { empty }
    }

    fn group(&mut self, modifiers: &mut Modifiers) -> Option<Node> {
        if self.peek() == Some(b'*') {
            return None;
        }
        if !self.take(b"?") {
            return self.closed(*modifiers);
        }
        match self.next()? {
            b':' | b'>' | b'|' => self.closed(*modifiers),
            b'=' => self.closed(*modifiers).map(|_| self.anchor()),
            b'!' => {
                let before = self.anchors;
                let node = self.closed(*modifiers)?;
                let is_plain = self.anchors == before;
                self.anchors += 1;
                Some(Node::NotAhead(Box::new(if is_plain { node } else { Node::Any })))
            }
            b'#' => {
                while self.next()? != b')' {}
                Some(Node::Empty)
            }
            b'<' => match self.peek()? {
                b'=' | b'!' => {
                    self.at += 1;
                    self.closed(*modifiers).map(|_| self.anchor())
                }
                _ => {
                    while self.next()? != b'>' {}
                    self.closed(*modifiers)
                }
            },
            b'\'' => {
                while self.next()? != b'\'' {}
                self.closed(*modifiers)
            }
            b'P' if self.take(b"<") => {
                while self.next()? != b'>' {}
                self.closed(*modifiers)
            }
            first if first.is_ascii_lowercase() || matches!(first, b'^' | b'-') => self.flags(first, modifiers),
            _ => None,
        }
    }

    fn closed(&mut self, modifiers: Modifiers) -> Option<Node> {
        let node = self.alternation(modifiers)?;
        self.take(b")").then_some(node)
    }

    /// `(?i)`, `(?i-s)`, `(?^:…)`, `(?i:…)`.
    fn flags(&mut self, first: u8, modifiers: &mut Modifiers) -> Option<Node> {
        let mut changed = *modifiers;
        let mut is_set = true;
        let mut flag = first;
        loop {
            match flag {
                b'^' => changed = Modifiers::default(),
                b'-' => is_set = false,
                b'i' => changed.caseless = is_set,
                b'm' => changed.multi_line = is_set,
                b's' => changed.dot_all = is_set,
                b'x' => changed.extended = is_set,
                b'a' | b'n' | b'p' | b'o' => {}
                b':' => return self.closed(changed),
                b')' => {
                    *modifiers = changed;
                    return Some(Node::Empty);
                }
                _ => return None,
            }
            flag = self.next()?;
        }
    }

    fn escape(&mut self, modifiers: Modifiers) -> Option<Node> {
        let letter = self.next()?;
        if let Some(set) = class_escape(letter) {
            return Some(Node::Class(set));
        }
        match letter {
            b'b' | b'B' | b'A' | b'z' | b'Z' | b'G' | b'K' => Some(self.anchor()),
            b'R' | b'X' | b'k' | b'g' | b'1'..=b'9' => {
                // Names and numbers of back-references.
                if matches!(letter, b'k' | b'g') {
                    let close = match self.peek()? {
                        b'{' => b'}',
                        b'<' => b'>',
                        b'\'' => b'\'',
                        _ => return None,
                    };
                    self.at += 1;
                    while self.next()? != close {}
                } else {
                    while letter.is_ascii_digit() && self.peek().is_some_and(|octet| octet.is_ascii_digit()) {
                        self.at += 1;
                    }
                }
                Some(Node::Any)
            }
            b'p' | b'P' | b'Q' | b'E' | b'U' | b'L' | b'C' => None,
            _ => Some(class(OctetSet::of([self.octet_escape(letter)?]), modifiers)),
        }
    }

    /// The octet that `\letter…` stands for.
    fn octet_escape(&mut self, letter: u8) -> Option<u8> {
        Some(match letter {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'f' => 0x0c,
            b'e' => 0x1b,
            b'a' => 0x07,
            b'c' => self.next()?.to_ascii_uppercase() ^ 0x40,
            b'x' => {
                let is_braced = self.take(b"{");
                let limit = if is_braced { usize::MAX } else { 2 };
                let digits: Vec<u8> = self.digits(limit, |octet| octet.is_ascii_hexdigit());
                if is_braced && !self.take(b"}") {
                    return None;
                }
                let text = std::str::from_utf8(&digits).ok()?;
                if text.is_empty() { 0 } else { u8::try_from(u32::from_str_radix(text, 16).ok()?).ok()? }
            }
            b'0' => {
                let digits = self.digits(2, |octet| matches!(octet, b'0'..=b'7'));
                let text = std::str::from_utf8(&digits).ok()?;
                if text.is_empty() { 0 } else { u8::from_str_radix(text, 8).ok()? }
            }
            other if other.is_ascii_alphanumeric() => return None,
            other => other,
        })
    }

    fn digits(&mut self, limit: usize, is_digit: fn(u8) -> bool) -> Vec<u8> {
        let rest = self.source.get(self.at..).unwrap_or_default();
        let digits: Vec<u8> = rest.iter().copied().take(limit).take_while(|octet| is_digit(*octet)).collect();
        self.at += digits.len();
        digits
    }

    /// A bracketed class, after its `[`.
    fn bracket(&mut self) -> Option<OctetSet> {
        let is_negated = self.take(b"^");
        let mut set = OctetSet::EMPTY;
        let mut is_first = true;
        loop {
            let octet = self.next()?;
            if octet == b']' && !is_first {
                break;
            }
            is_first = false;
            let low = match self.member(octet)? {
                Member::Set(members) => {
                    set = set.union(members);
                    continue;
                }
                Member::Octet(low) => low,
            };
            let is_range = self.peek() == Some(b'-') && self.source.get(self.at + 1).is_some_and(|next| *next != b']');
            if !is_range {
                set.insert(low);
                continue;
            }
            self.at += 1;
            let octet = self.next()?;
            match self.member(octet)? {
                Member::Octet(high) => (low..=high).for_each(|octet| set.insert(octet)),
                Member::Set(members) => {
                    set.insert(low);
                    set.insert(b'-');
                    set = set.union(members);
                }
            }
        }
        Some(if is_negated { set.complement() } else { set })
    }

    fn member(&mut self, octet: u8) -> Option<Member> {
        if octet == b'[' && self.peek() == Some(b':') {
            let start = self.at;
            self.at += 1;
            let is_negated = self.take(b"^");
            let name = self.digits(usize::MAX, |octet| octet.is_ascii_lowercase());
            if self.take(b":]") {
                let set = posix_class(&name)?;
                return Some(Member::Set(if is_negated { set.complement() } else { set }));
            }
            self.at = start;
        }
        if octet != b'\\' {
            return Some(Member::Octet(octet));
        }
        let letter = self.next()?;
        if let Some(set) = class_escape(letter) {
            return Some(Member::Set(set));
        }
        match letter {
            b'b' => Some(Member::Octet(0x08)),
            b'1'..=b'7' => {
                self.at -= 1;
                let digits = self.digits(3, |octet| matches!(octet, b'0'..=b'7'));
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 8).ok().map(Member::Octet)
            }
            b'p' | b'P' | b'Q' | b'E' | b'R' | b'X' => None,
            _ => self.octet_escape(letter).map(Member::Octet),
        }
    }
}

enum Member {
    Octet(u8),
    Set(OctetSet),
}

fn class(set: OctetSet, modifiers: Modifiers) -> Node {
    Node::Class(if modifiers.caseless { set.caseless() } else { set })
}

fn is_word(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_'
}

fn class_escape(letter: u8) -> Option<OctetSet> {
    let horizontal = || OctetSet::of([b' ', b'\t', 0xa0]);
    let vertical = || OctetSet::of([b'\n', 0x0b, 0x0c, b'\r', 0x85]);
    let set = match letter.to_ascii_lowercase() {
        b'd' => OctetSet::of(b'0'..=b'9'),
        b'w' => OctetSet::of((0..=u8::MAX).filter(|octet| is_word(*octet))),
        b's' => OctetSet::of([b' ', b'\t', b'\n', 0x0b, 0x0c, b'\r']),
        b'h' => horizontal(),
        b'v' => vertical(),
        b'n' if letter == b'N' => return Some(OctetSet::of([b'\n']).complement()),
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() { set.complement() } else { set })
}

fn posix_class(name: &[u8]) -> Option<OctetSet> {
    let all = |is_in: fn(&u8) -> bool| OctetSet::of((0..=u8::MAX).filter(is_in));
    Some(match name {
        b"alpha" => all(u8::is_ascii_alphabetic),
        b"digit" => all(u8::is_ascii_digit),
        b"alnum" => all(u8::is_ascii_alphanumeric),
        b"upper" => all(u8::is_ascii_uppercase),
        b"lower" => all(u8::is_ascii_lowercase),
        b"punct" => all(u8::is_ascii_punctuation),
        b"xdigit" => all(u8::is_ascii_hexdigit),
        b"cntrl" => all(u8::is_ascii_control),
        b"graph" => all(u8::is_ascii_graphic),
        b"print" => all(|octet| octet.is_ascii_graphic() || *octet == b' '),
        b"blank" => OctetSet::of([b' ', b'\t']),
        b"space" => OctetSet::of([b' ', b'\t', b'\n', 0x0b, 0x0c, b'\r']),
        b"ascii" => all(u8::is_ascii),
        b"word" => all(|octet| is_word(*octet)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(source: &str) -> Option<Node> {
        parse(source.as_bytes(), Modifiers::default())
    }

    fn octet(octet: u8) -> Node {
        Node::Class(OctetSet::of([octet]))
    }

    #[test]
    fn trees_of_common_shapes() {
        let repeat = |node, min, max| Node::Repeat { node: Box::new(node), min, max };
        for (source, expected) in [
            ("", Node::Empty),
            ("^a$", octet(b'a')),
            ("a|b", Node::Alternate(vec![octet(b'a'), octet(b'b')])),
            ("a{2,3}+", repeat(octet(b'a'), 2, Some(3))),
            ("a{,3}", repeat(octet(b'a'), 0, Some(3))),
            ("a{x", Node::Concat(vec![octet(b'a'), octet(b'{'), octet(b'x')])),
            ("(?i)k", Node::Class(OctetSet::of(*b"Kk"))),
            ("(?i:k)l", Node::Concat(vec![Node::Class(OctetSet::of(*b"Kk")), octet(b'l')])),
            ("(?x) a # b\n c", Node::Concat(vec![octet(b'a'), octet(b'c')])),
            ("(?<=x)a(?=y)", octet(b'a')),
            ("(?!b)a", Node::Concat(vec![Node::NotAhead(Box::new(octet(b'b'))), octet(b'a')])),
            ("(a)\\1", Node::Concat(vec![octet(b'a'), Node::Any])),
            ("[]a-c\\d]", Node::Class(OctetSet::of(*b"]abc0123456789"))),
            ("[a-]", Node::Class(OctetSet::of(*b"a-"))),
            ("[^[:^digit:]]", Node::Class(OctetSet::of(*b"0123456789"))),
            ("\\x41\\x{42}\\.", Node::Concat(vec![octet(b'A'), octet(b'B'), octet(b'.')])),
            ("(?>a)(?<n>b)", Node::Concat(vec![octet(b'a'), octet(b'b')])),
        ] {
            assert_eq!(tree(source), Some(expected), "{source}");
        }
    }

    #[test]
    fn what_is_not_understood_has_no_tree() {
        for source in ["(", "a)", "[a", "\\p{L}", "(?R)", "(?(1)a|b)", "(*FAIL)", "\\"] {
            assert_eq!(tree(source), None, "{source}");
        }
        assert_eq!(tree(&"(".repeat(10_000)), None);
    }
}
