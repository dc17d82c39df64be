//! What a message shows that a rule can ask for: phrases of its text and subject, whom its links lead to, who it says it is from and with what it was
//! written. Only what its sender wrote, never what servers on the way added.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::input::{Input, UriSource};

/// Words of a phrase of the text, and of the subject.
const PHRASE_WORDS: usize = 4;
const SUBJECT_WORDS: usize = 3;
/// Letters that a phrase must have: shorter ones are in all mail.
const PHRASE_LETTERS_MIN: usize = 14;
const SUBJECT_LETTERS_MIN: usize = 8;
/// Longest word of a phrase; longer ones are codes, and differ.
const WORD_OCTETS_MAX: usize = 30;
/// Words of a paragraph that are looked at, and signs that are kept of a message.
const PARAGRAPH_WORDS_MAX: usize = 400;
const SIGNS_MAX: usize = 400;
/// Longest value of a header that is a sign.
const VALUE_OCTETS_MAX: usize = 100;
/// Links of a message that are looked at.
const LINKS_MAX: usize = 100;
/// Segments at the end of a link's path that are a sign, and letters that make one a word.
const PATH_SEGMENTS: usize = 2;
const SEGMENT_LETTERS_MIN: usize = 4;
const SEGMENT_OCTETS_MAX: usize = 30;
/// Headers that senders' programs write about themselves.
const PROGRAMS: [&str; 2] = ["X-Mailer", "User-Agent"];

/// One thing that a rule can ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Sign {
    /// Words in a row in a paragraph; `0` stands for any digits.
    Phrase(Vec<String>),
    /// Words in a row in the subject.
    Subject(Vec<String>),
    /// The registrable domain of a link.
    LinkDomain(String),
    /// The end of a link's path; `None` stands for anything.
    LinkPath(Vec<Option<String>>),
    /// The domain of an address in this header.
    AddressDomain(&'static str, String),
    /// The whole value of this header.
    Value(&'static str, String),
}

/// Kinds of signs: a rule of several kinds is harder to hit by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Body,
    Subject,
    Link,
    Header,
}

/// All signs of a message, each once.
pub(super) fn of(input: &Input<'_>) -> Vec<Sign> {
    let personal = personal_words(input);
    let is_open = |phrase: &[String]| phrase.iter().all(|word| !personal.contains(word));
    let mut signs = BTreeSet::new();
    let subject = input.body.first().map(|text| words(text)).unwrap_or_default();
    for phrase in phrases(&subject, SUBJECT_WORDS, SUBJECT_LETTERS_MIN).filter(|phrase| is_open(phrase)) {
        signs.insert(Sign::Subject(phrase.to_vec()));
    }
    for name in ["From", "Reply-To"] {
        signs.extend(header(input, name).and_then(address_domain).map(|domain| Sign::AddressDomain(name, domain)));
    }
    for name in PROGRAMS {
        let value = header(input, name).map(|value| String::from_utf8_lossy(value).trim().to_owned());
        let value = value.filter(|value| !value.is_empty() && value.len() <= VALUE_OCTETS_MAX && value.is_ascii());
        signs.extend(value.map(|value| Sign::Value(name, value)));
    }
    let is_shown = |source: &UriSource| !matches!(source, UriSource::Dkim | UriSource::Unlinked);
    for uri in input.uris.iter().filter(|uri| uri.sources.iter().any(is_shown)).take(LINKS_MAX) {
        signs.extend(uri.domains.iter().filter(|domain| domain.is_ascii()).cloned().map(Sign::LinkDomain));
        signs.extend(uri.cleaned.first().and_then(|link| path(link)).map(Sign::LinkPath));
    }
    for text in input.body.iter().skip(1) {
        for phrase in phrases(&words(text), PHRASE_WORDS, PHRASE_LETTERS_MIN).filter(|phrase| is_open(phrase)) {
            if signs.len() >= SIGNS_MAX {
                return signs.into_iter().collect();
            }
            signs.insert(Sign::Phrase(phrase.to_vec()));
        }
    }
    signs.into_iter().collect()
}

/// The first value of a header, decoded.
pub(super) fn header<'a>(input: &'a Input<'_>, name: &str) -> Option<&'a [u8]> {
    let field = input.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))?;
    Some(&field.decoded)
}

/// The words of a paragraph as rules see them: ASCII letters in lower case, digits in a row as `0`.
pub(super) fn words(text: &[u8]) -> Vec<String> {
    let is_word = |octet: &u8| octet.is_ascii_alphanumeric() || !octet.is_ascii();
    let words = text.split(|octet| !is_word(octet)).filter(|word| !word.is_empty()).take(PARAGRAPH_WORDS_MAX);
    words.map(normal).collect()
}

fn normal(word: &[u8]) -> String {
    let mut normal = String::new();
    for c in String::from_utf8_lossy(word).chars() {
        if !c.is_ascii_digit() {
            normal.push(c.to_ascii_lowercase());
        } else if !normal.ends_with('0') {
            normal.push('0');
        }
    }
    normal
}

/// Rows of so many words; a shorter text is one.
fn phrases(words: &[String], length: usize, letters_min: usize) -> impl Iterator<Item = &[String]> {
    let length = length.min(words.len()).max(2);
    words.windows(length).filter(move |phrase| {
        let letters = phrase.iter().flat_map(|word| word.chars()).filter(|c| c.is_alphabetic()).count();
        letters >= letters_min && phrase.iter().all(|word| word.len() <= WORD_OCTETS_MAX)
    })
}

/// Words by which the recipient is addressed: they are the same in all mail to one mailbox.
fn personal_words(input: &Input<'_>) -> BTreeSet<String> {
    let names = ["To", "Delivered-To", "X-Original-To"];
    let headers = names.into_iter().filter_map(|name| header(input, name));
    let recipients = input.recipients.iter().map(String::as_bytes);
    headers.chain(recipients).flat_map(words).filter(|word| word.len() > 2).collect()
}

fn address_domain(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let (_, after) = text.rsplit_once('@')?;
    let domain: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).collect();
    (domain.contains('.')).then(|| domain.to_ascii_lowercase())
}

/// The end of a link's path: words as they are, codes and numbers as anything; `None` without a word.
fn path(link: &[u8]) -> Option<Vec<Option<String>>> {
    let link = String::from_utf8_lossy(link);
    let (_, rest) = link.split_once("://")?;
    let (_, path) = rest.split(['?', '#']).next()?.split_once('/')?;
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let end = segments.get(segments.len().saturating_sub(PATH_SEGMENTS)..).unwrap_or_default();
    let shape = |segment: &&str| {
        let letters = segment.bytes().filter(u8::is_ascii_alphabetic).count();
        let is_word = segment.bytes().all(|octet| octet.is_ascii_alphabetic() || matches!(octet, b'.' | b'-' | b'_'));
        (is_word && (SEGMENT_LETTERS_MIN..=SEGMENT_OCTETS_MAX).contains(&letters)).then(|| (*segment).to_owned())
    };
    let shapes: Vec<Option<String>> = end.iter().map(shape).collect();
    shapes.iter().any(Option::is_some).then_some(shapes)
}

impl Sign {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Sign::Phrase(_) => Kind::Body,
            Sign::Subject(_) => Kind::Subject,
            Sign::LinkDomain(_) | Sign::LinkPath(_) => Kind::Link,
            Sign::AddressDomain(..) | Sign::Value(..) => Kind::Header,
        }
    }

    /// Whether it is what people read, which tells them best what a rule is about.
    pub(super) fn is_phrase(&self) -> bool {
        matches!(self, Sign::Phrase(_) | Sign::Subject(_))
    }

    /// How much it says, in characters.
    pub(super) fn weight(&self) -> usize {
        self.said().chars().count()
    }

    /// Words that follow one another in it, so that overlapping phrases are known.
    pub(super) fn word_pairs(&self) -> Vec<(Kind, String)> {
        match self {
            Sign::Phrase(words) | Sign::Subject(words) => {
                words.windows(2).map(|pair| (self.kind(), pair.join(" "))).collect()
            }
            _ => vec![(self.kind(), self.said())],
        }
    }

    /// For people.
    pub(super) fn said(&self) -> String {
        // No terminal obeys it, and no rule file takes a part of it for a comment.
        let is_shown = |c: char| c.is_alphanumeric() || (c.is_ascii_graphic() && c != '#');
        let shown = |text: String| text.chars().map(|c| if is_shown(c) { c } else { ' ' }).collect();
        shown(match self {
            Sign::Phrase(words) | Sign::Subject(words) => words.join(" "),
            Sign::LinkDomain(domain) => domain.clone(),
            Sign::LinkPath(shapes) => {
                shapes.iter().map(|shape| format!("/{}", shape.as_deref().unwrap_or("*"))).collect()
            }
            Sign::AddressDomain(name, value) | Sign::Value(name, value) => format!("{name} {value}"),
        })
    }

    /// A line of a rule file that asks for it under this name.
    pub(super) fn rule(&self, name: &str) -> String {
        match self {
            Sign::Phrase(words) => format!("body     {name} /{}/i\n", phrase_pattern(words)),
            Sign::Subject(words) => format!("header   {name} Subject =~ /{}/i\n", phrase_pattern(words)),
            Sign::LinkDomain(domain) => {
                let domain = escaped(domain);
                format!("uri      {name} /^https?:\\/\\/(?:[^\\/?#]{{1,200}}\\.)?{domain}(?:[\\/:?#]|$)/i\n")
            }
            Sign::LinkPath(shapes) => {
                let shape =
                    |shape: &Option<String>| shape.as_deref().map_or_else(|| "[^\\/?#]{1,200}".to_owned(), escaped);
                let path: Vec<String> = shapes.iter().map(shape).collect();
                format!("uri      {name} /\\/{}(?:[?#]|$)/\n", path.join("\\/"))
            }
            Sign::AddressDomain(header, domain) => {
                format!("header   {name} {header}:addr =~ /\\@{}$/i\n", escaped(domain))
            }
            Sign::Value(header, value) => format!("header   {name} {header} =~ /^\\s*{}\\s*$/\n", escaped(value)),
        }
    }
}

/// The words with what may stand between them. At an end that is a letter of ASCII a word must end as well.
fn phrase_pattern(words: &[String]) -> String {
    let word = |word: &String| {
        let mut pattern = String::new();
        for c in word.chars() {
            match c {
                '0' => pattern.push_str("\\d+"),
                c => pattern.push_str(&escaped(c.encode_utf8(&mut [0; 4]))),
            }
        }
        pattern
    };
    let edge = |c: Option<char>| if c.is_some_and(|c| c.is_ascii()) { "\\b" } else { "" };
    let first = edge(words.first().and_then(|word| word.chars().next()));
    let last = edge(words.last().and_then(|word| word.chars().last()));
    // Between words stand white space and punctuation, of which curly quotes and dashes have several octets.
    format!("{first}{}{last}", words.iter().map(word).collect::<Vec<String>>().join("\\W{1,12}"))
}

/// Text that a pattern matches literally, octet by octet, in ASCII alone.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b' ' => escaped.push(char::from(octet)),
            0x21..=0x7e if octet != b'#' => {
                escaped.push('\\');
                escaped.push(char::from(octet));
            }
            // Line ends and what a rule file takes for a comment as well.
            _ => {
                let _ = write!(escaped, "\\x{octet:02x}");
            }
        }
    }
    escaped
}
