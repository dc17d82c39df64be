//! One Perl regular expression over bytes, with a limit on its work.
//!
//! PCRE2 without UTF mode sees what SpamAssassin's Perl sees: octets. A match that hits its limit is reported as [`Limit`], never as a
//! miss. Machine code is made when a pattern is first matched: of some thousand rules a server's mail needs a few hundred.

use std::sync::{Arc, OnceLock};

use pcre2::bytes::{Regex, RegexBuilder};

/// Backtracking steps that one match may take. Ordinary rules need some hundred on an ordinary paragraph.
const MATCH_STEPS_MAX: u32 = 1_000_000;

/// PCRE2's code for a pattern beyond its 64 KB.
const TOO_LARGE: i32 = 120;
/// PCRE2's code for "the stack of the machine code is full" (`PCRE2_ERROR_JIT_STACKLIMIT`).
const STACK_FULL: i32 = -46;
/// The large stack for texts that need more than 32 KB.
const STACK_OCTETS_MAX: usize = 4 << 20;
/// Memory that the automaton of one pattern may take which is too large for PCRE2.
const AUTOMATON_OCTETS_MAX: usize = 64 << 20;

/// A pattern that can be matched.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Arc<[u8]>,
    modifiers: Modifiers,
    /// The names of its groups.
    names: Arc<[String]>,
    /// The pattern is this letter or digit, or its other case: there are some hundred of it in a text, and no engine finds them sooner.
    letter: Option<(u8, u8)>,
    engine: OnceLock<Engine>,
}

#[derive(Clone, Debug)]
enum Engine {
    /// Nearly all.
    Backtracking {
        /// With a stack of 32 KB, which is enough for all but a few texts.
        regex: Regex,
        /// With a large one, once it was needed: a stack of its own for each pattern would take gigabytes.
        roomy: OnceLock<Option<Regex>>,
    },
    /// Patterns beyond the 64 KB that PCRE2 has for one: long texts in look-alike letters. They have no look-around.
    Linear(regex::bytes::Regex),
    /// No engine takes it after all, for want of room: whether it matches is never known.
    Oversized,
}

/// Modifiers of a pattern (`/…/imsx`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Modifiers {
    /// `i`: letters match in either case.
    pub caseless: bool,
    /// `m`: `^` and `$` match at line ends.
    pub multi_line: bool,
    /// `s`: the dot matches a line end.
    pub dot_all: bool,
    /// `x`: white space and comments in the pattern are ignored.
    pub extended: bool,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No delimiter, or no closing one.
    #[error("a pattern is written as /…/ or m{{…}}")]
    NoDelimiter,
    /// The delimiter stands inside the pattern without a backslash.
    #[error("`{0}` stands inside the pattern; write a backslash before it")]
    BareDelimiter(char),
    /// A modifier that this crate does not know.
    #[error("unknown pattern modifier `{0}`")]
    UnknownModifier(char),
    /// The engine refuses it.
    #[error("{0}")]
    Syntax(String),
}

/// The match was given up: it needed more steps, stack or memory than allowed. Whether the pattern matches is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit;

impl Pattern {
    /// Checks `source`, the bytes between the delimiters. It is compiled when it is first matched.
    ///
    /// # Errors
    /// [`PatternError::Syntax`] with the engine's words.
    pub fn compile(source: &[u8], modifiers: Modifiers) -> Result<Pattern, PatternError> {
        let names = match backtracking(source, modifiers, Code::Checked) {
            Ok(regex) => regex.capture_names().iter().flatten().cloned().collect(),
            Err(error) if error.code() == TOO_LARGE && is_regular(source, modifiers) => Vec::new(),
            Err(error) => return Err(PatternError::Syntax(in_words(&error))),
        };
        Ok(Pattern { names: names.into(), ..Pattern::known(source, modifiers) })
    }

    /// A pattern without named groups that the engine is known to take: nothing is checked.
    pub(crate) fn known(source: &[u8], modifiers: Modifiers) -> Pattern {
        let letter = match source {
            [letter] if letter.is_ascii_alphanumeric() && modifiers.caseless => {
                Some((letter.to_ascii_lowercase(), letter.to_ascii_uppercase()))
            }
            [letter] if letter.is_ascii_alphanumeric() => Some((*letter, *letter)),
            _ => None,
        };
        Pattern { source: source.into(), modifiers, names: Arc::default(), letter, engine: OnceLock::new() }
    }

    fn engine(&self) -> &Engine {
        self.engine.get_or_init(|| match backtracking(&self.source, self.modifiers, Code::Machine) {
            Ok(regex) => Engine::Backtracking { regex, roomy: OnceLock::new() },
            Err(_) => linear(&escape_octets(&self.source), self.modifiers).map_or(Engine::Oversized, Engine::Linear),
        })
    }

    /// Runs the backtracking engine, and once more with a large stack when the ordinary one was full.
    fn attempt<T>(
        &self,
        regex: &Regex,
        roomy: &OnceLock<Option<Regex>>,
        run: impl Fn(&Regex) -> Result<T, pcre2::Error>,
    ) -> Result<T, Limit> {
        match run(regex) {
            Ok(value) => Ok(value),
            Err(error) if error.code() == STACK_FULL => {
                let build = || backtracking(&self.source, self.modifiers, Code::Roomy).ok();
                roomy.get_or_init(build).as_ref().map_or(Err(Limit), |regex| run(regex).map_err(|_| Limit))
            }
            Err(_) => Err(Limit),
        }
    }

    /// Compiles a pattern with its delimiters and modifiers, as `/cheap/i` or `m{://cheap}i`.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &[u8]) -> Result<Pattern, PatternError> {
        let (source, modifiers) = split_delimiters(text)?;
        Pattern::compile(source, modifiers)
    }

    /// What stands between the delimiters.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    /// What stands after them.
    #[must_use]
    pub fn modifiers(&self) -> Modifiers {
        self.modifiers
    }

    /// The names of its groups.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether the pattern matches somewhere in `text`.
    ///
    /// # Errors
    /// [`Limit`] when the answer would cost too much.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, Limit> {
        match self.engine() {
            Engine::Backtracking { regex, roomy } => self.attempt(regex, roomy, |regex| regex.is_match(text)),
            Engine::Linear(regex) => Ok(regex.is_match(text)),
            Engine::Oversized => Err(Limit),
        }
    }

    /// The leftmost match that begins at or after `start`.
    ///
    /// # Errors
    /// [`Limit`] when the answer would cost too much.
    pub fn find_at(&self, text: &[u8], start: usize) -> Result<Option<(usize, usize)>, Limit> {
        if start > text.len() {
            return Ok(None);
        }
        if let Some((lower, upper)) = self.letter {
            let place = memchr::memchr2(lower, upper, text.get(start..).unwrap_or_default());
            return Ok(place.map(|at| (start + at, start + at + 1)));
        }
        match self.engine() {
            Engine::Backtracking { regex, roomy } => {
                let find = |regex: &Regex| Ok(regex.find_at(text, start)?.map(|found| (found.start(), found.end())));
                self.attempt(regex, roomy, find)
            }
            Engine::Linear(regex) => Ok(regex.find_at(text, start).map(|found| (found.start(), found.end()))),
            Engine::Oversized => Err(Limit),
        }
    }

    /// The groups of the leftmost match: the whole match first, then each group, `None` where it took no part.
    ///
    /// # Errors
    /// [`Limit`] when the answer would cost too much.
    pub fn captures<'t>(&self, text: &'t [u8]) -> Result<Option<Vec<Option<&'t [u8]>>>, Limit> {
        match self.engine() {
            Engine::Backtracking { regex, roomy } => self.attempt(regex, roomy, |regex| {
                let mut locations = regex.capture_locations();
                if regex.captures_read(&mut locations, text)?.is_none() {
                    return Ok(None);
                }
                let group = |index| locations.get(index).and_then(|(start, end)| text.get(start..end));
                Ok(Some((0..locations.len()).map(group).collect()))
            }),
            Engine::Linear(regex) => Ok(regex
                .captures(text)
                .map(|groups| groups.iter().map(|group| group.map(|group| group.as_bytes())).collect())),
            Engine::Oversized => Err(Limit),
        }
    }

    /// The named groups of the leftmost match that took part in it.
    ///
    /// # Errors
    /// [`Limit`] when the answer would cost too much.
    pub fn named_captures<'p, 't>(&'p self, text: &'t [u8]) -> Result<Vec<(&'p str, &'t [u8])>, Limit> {
        let Engine::Backtracking { regex, .. } = self.engine() else {
            return Ok(Vec::new());
        };
        let groups = self.captures(text)?.unwrap_or_default();
        let named = regex.capture_names().iter().zip(groups);
        Ok(named.filter_map(|(name, group)| Some((name.as_deref()?, group?))).collect())
    }
}

/// Whether patterns run as machine code here. Where memory may not be both written and executed (systemd's `MemoryDenyWriteExecute`,
/// some kernels), or the processor is none that PCRE2 knows, they are interpreted, which takes about twice as long.
#[must_use]
pub fn has_machine_code() -> bool {
    RegexBuilder::new().jit(true).build("a+b").is_ok()
}

/// What PCRE2 is to make of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// Only its own code, to see that the pattern is one: machine code takes four times as long.
    Checked,
    Machine,
    /// Machine code with a large stack.
    Roomy,
}

fn backtracking(source: &[u8], modifiers: Modifiers, code: Code) -> Result<Regex, pcre2::Error> {
    let text = escape_octets(source);
    let build = |text: &str| {
        RegexBuilder::new()
            .caseless(modifiers.caseless)
            .multi_line(modifiers.multi_line)
            .dotall(modifiers.dot_all)
            .extended(modifiers.extended)
            .jit_if_available(code != Code::Checked)
            .max_jit_stack_size((code == Code::Roomy).then_some(STACK_OCTETS_MAX))
            .build(&(preamble() + text))
    };
    build(&text).or_else(|error| build(&wrap_assertions(&text)).map_err(|_| error))
}

/// What stands before each pattern: its limit of steps, that lines end with LF whatever the engine was built with (guards count on it), and
/// that groups may share a name.
fn preamble() -> String {
    format!("(*LIMIT_MATCH={MATCH_STEPS_MAX})(*LF)(?J)")
}

/// What the engine says, counting from where the pattern begins as it was written.
fn in_words(error: &pcre2::Error) -> String {
    let text = error.to_string();
    let told = error.offset().and_then(|offset| Some((offset, text.split_once(&format!(" at offset {offset}: "))?.1)));
    match told {
        Some((offset, words)) => {
            format!("{words}, at octet {} of the pattern", offset.saturating_sub(preamble().len()))
        }
        None => text,
    }
}

/// Whether the linear engine takes the pattern, without building its automaton.
fn is_regular(source: &[u8], modifiers: Modifiers) -> bool {
    let mut parser = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .case_insensitive(modifiers.caseless)
        .multi_line(modifiers.multi_line)
        .dot_matches_new_line(modifiers.dot_all)
        .ignore_whitespace(modifiers.extended)
        .build();
    parser.parse(&escape_octets(source)).is_ok()
}

fn linear(text: &str, modifiers: Modifiers) -> Option<regex::bytes::Regex> {
    regex::bytes::RegexBuilder::new(text)
        .unicode(false)
        .case_insensitive(modifiers.caseless)
        .multi_line(modifiers.multi_line)
        .dot_matches_new_line(modifiers.dot_all)
        .ignore_whitespace(modifiers.extended)
        .size_limit(AUTOMATON_OCTETS_MAX)
        .build()
        .ok()
}

/// Perl lets `^` and `$` be repeated (`$?`), PCRE2 wants a group around them.
fn wrap_assertions(text: &str) -> String {
    let mut wrapped = String::with_capacity(text.len() + 16);
    let mut is_class = false;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                wrapped.push(c);
                wrapped.extend(rest.next());
                continue;
            }
            '[' => is_class = true,
            ']' => is_class = false,
            '^' | '$' if !is_class && matches!(rest.peek(), Some('?' | '*' | '+')) => {
                wrapped.push_str("(?:");
                wrapped.push(c);
                wrapped.push(')');
                continue;
            }
            _ => {}
        }
        wrapped.push(c);
    }
    wrapped
}

/// The engine takes text, rules are octets: what is not ASCII is written as `\xHH`, which means the same inside and outside a class.
fn escape_octets(source: &[u8]) -> String {
    let mut text = String::with_capacity(source.len());
    for &octet in source {
        if octet.is_ascii() {
            text.push(char::from(octet));
        } else {
            text.push_str(&format!("\\x{octet:02x}"));
        }
    }
    text
}

/// Splits `/source/modifiers`, `m{source}modifiers` and the like.
///
/// # Errors
/// [`PatternError::NoDelimiter`] or [`PatternError::UnknownModifier`].
pub fn split_delimiters(text: &[u8]) -> Result<(&[u8], Modifiers), PatternError> {
    let rest = match text {
        [b'm', open, ..] if is_delimiter(*open) => text.get(1..),
        [b'q', b'r', open, ..] if is_delimiter(*open) => text.get(2..),
        [b'/', ..] => Some(text),
        _ => None,
    };
    let (&open, rest) = rest.and_then(<[u8]>::split_first).ok_or(PatternError::NoDelimiter)?;
    let close = match open {
        b'(' => b')',
        b'[' => b']',
        b'{' => b'}',
        b'<' => b'>',
        other => other,
    };
    let end = memchr::memrchr(close, rest).ok_or(PatternError::NoDelimiter)?;
    let (source, tail) = rest.split_at_checked(end).ok_or(PatternError::NoDelimiter)?;
    if open == close && has_bare(source, close) {
        return Err(PatternError::BareDelimiter(char::from(close)));
    }
    let mut modifiers = Modifiers::default();
    for &modifier in tail.iter().skip(1) {
        match modifier {
            b'i' => modifiers.caseless = true,
            b'm' => modifiers.multi_line = true,
            b's' => modifiers.dot_all = true,
            b'x' => modifiers.extended = true,
            // Once-only compiling, ASCII rules and "not global" mean nothing here.
            b'o' | b'a' | b'u' | b'n' => {}
            other => return Err(PatternError::UnknownModifier(char::from(other))),
        }
    }
    Ok((source, modifiers))
}

fn is_delimiter(octet: u8) -> bool {
    octet.is_ascii_punctuation() && octet != b'\\' && octet != b'_'
}

/// Whether `octet` stands in `source` without a backslash before it.
fn has_bare(source: &[u8], octet: u8) -> bool {
    let mut is_escaped = false;
    source.iter().any(|&b| {
        let is_bare = b == octet && !is_escaped;
        is_escaped = b == b'\\' && !is_escaped;
        is_bare
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_match_octets() {
        // The two octets of `é` stand for themselves, also inside a class (there each alone), as in Perl without `use utf8`.
        for (pattern, text, expected) in [
            ("/caf\u{e9}/", "caf\u{e9}".as_bytes(), true),
            ("/caf[\u{e9}]$/", b"caf\xc3", true),
            ("m{CHEAP}i", b"so cheap", true),
            ("m(a(b)c)", b"abc", true),
            ("/^b$/m", b"a\nb\nc", true),
            ("/a.c/", b"a\nc", false),
            ("/b/", b"aB", false),
            ("/b/i", b"aB", true),
            ("/a.c/s", b"a\nc", true),
            ("/^a{,3}b$/", b"aab", true),
            ("/save $?[\\d]+/", b"save 3", true),
            ("/(?<A>x)|(?<A>y)/", b"y", true),
        ] {
            let compiled = Pattern::parse(pattern.as_bytes()).unwrap();
            assert_eq!(compiled.is_match(text), Ok(expected), "{pattern}");
            assert_eq!(compiled.find_at(text, 0).map(|found| found.is_some()), Ok(expected), "{pattern}");
        }
    }

    #[test]
    fn a_long_text_that_needs_a_large_stack_is_matched() {
        let pattern = Pattern::parse(b"/^(?:[^\\n]|\\n(?!\\n))*\\nend/").unwrap();
        let text = [b"line\n".repeat(4000), b"end".to_vec()].concat();
        assert_eq!(pattern.is_match(&text), Ok(true));
    }

    #[test]
    fn a_match_that_costs_too_much_is_no_miss() {
        let pattern = Pattern::parse(b"/^(a+)+$/").unwrap();
        assert_eq!(pattern.is_match(&[b'a'; 64].iter().chain(b"!").copied().collect::<Vec<_>>()), Err(Limit));
    }
}
