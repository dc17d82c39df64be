//! What a rule line defines: `header`, `body`, `rawbody`, `full`, `uri`, `uri_detail`, `mimeheader`, `meta`, `askdns`.

use crate::dns::RecordType;
use crate::evals::EvalTarget;
use crate::field::FieldRequest;
use crate::pattern::{self, Modifiers};

use super::expression::{self, Expr};
use super::line::{split_word, trim};

/// Longest rule name.
const NAME_OCTETS_MAX: usize = 100;
/// Longest expansion of `rules_matching()`, in names; also the longest list of arguments of an eval test.
const ARGUMENTS_MAX: usize = 100;

/// A pattern as a rule line has it, not yet compiled: replacement tags may still change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternText {
    /// What stands between the delimiters.
    pub source: Vec<u8>,
    /// What stands after them.
    pub modifiers: Modifiers,
}

/// What a rule tests.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// `header NAME Field =~ /…/`.
    Header {
        /// Which header.
        request: FieldRequest,
        /// The pattern that its values, joined, must match.
        pattern: PatternText,
        /// `!~`.
        is_negated: bool,
        /// `[if-unset: …]`.
        unset: Option<Vec<u8>>,
    },
    /// `header NAME exists:Field`.
    HeaderExists(FieldRequest),
    /// `body`, `rawbody`, `full` or `uri` with a pattern.
    Text(TextKind, PatternText),
    /// `mimeheader NAME Field =~ /…/`.
    MimeHeader {
        /// The field's name; `ALL` is all of a part's headers.
        field: String,
        /// `:raw`.
        is_raw: bool,
        /// The pattern.
        pattern: PatternText,
        /// `!~`.
        is_negated: bool,
        /// `[if-unset: …]`.
        unset: Vec<u8>,
    },
    /// `uri_detail NAME key =~ /…/ …`: each key at most once.
    UriDetail(Vec<UriClause>),
    /// `… eval:function(arguments)`.
    Eval {
        /// The kind of rule.
        target: EvalTarget,
        /// The function's name.
        function: String,
        /// Its arguments, without quotes.
        arguments: Vec<String>,
    },
    /// `meta`, before names are looked up; `rules_matching(GLOB)` is the name `rules_matching(GLOB)`.
    Meta(Expr<String>),
    /// `meta NAME ()`, or a name that only `reuse` gives: never hits by itself.
    Empty,
    /// `askdns NAME template TYPE subtest`.
    AskDns {
        /// The name to ask, with tags (`_dmarc._AUTHORDOMAIN_`).
        template: String,
        /// The record type; `None` for a type that is never asked here.
        record: Option<RecordType>,
        /// What a record must be; `None` for any.
        subtest: Option<String>,
    },
}

/// The texts that a pattern rule sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextKind {
    /// Rendered paragraphs, subject first.
    Body,
    /// Decoded text parts in chunks.
    RawBody,
    /// The whole message.
    Full,
    /// Each link.
    Uri,
}

/// One clause of `uri_detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriClause {
    /// What of the link.
    pub key: UriKey,
    /// The pattern.
    pub pattern: PatternText,
    /// `!~`.
    pub is_negated: bool,
}

/// What of a link a clause of `uri_detail` sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the language")]
pub enum UriKey {
    Raw,
    Type,
    Cleaned,
    Text,
    Domain,
    Host,
}

/// Whether `name` may name a rule.
#[must_use]
pub fn is_rule_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.len() <= NAME_OCTETS_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl Test {
    /// Reads the definition that follows `key NAME` in a rule line.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(key: &str, definition: &[u8]) -> Result<Test, String> {
        if definition.is_empty() {
            return Err("the rule's definition is missing".to_owned());
        }
        match key {
            "header" => read_header(definition),
            "body" => read_text(TextKind::Body, Some(EvalTarget::Body), definition),
            "rawbody" => read_text(TextKind::RawBody, Some(EvalTarget::RawBody), definition),
            "full" => read_text(TextKind::Full, Some(EvalTarget::Full), definition),
            "uri" => read_text(TextKind::Uri, None, definition),
            "mimeheader" => read_mimeheader(definition),
            "uri_detail" => read_uri_detail(definition),
            "askdns" => read_askdns(definition),
            _ => read_meta(definition),
        }
    }
}

fn read_pattern(text: &[u8]) -> Result<PatternText, String> {
    let (source, modifiers) = pattern::split_delimiters(text).map_err(|error| error.to_string())?;
    Ok(PatternText { source: source.to_vec(), modifiers })
}

fn read_text(kind: TextKind, target: Option<EvalTarget>, definition: &[u8]) -> Result<Test, String> {
    match (definition.strip_prefix(b"eval:"), target) {
        (Some(call), Some(target)) => read_eval(target, call),
        _ => Ok(Test::Text(kind, read_pattern(definition)?)),
    }
}

fn read_header(definition: &[u8]) -> Result<Test, String> {
    let call = definition.strip_prefix(b"eval:").or_else(|| definition.strip_prefix(b"rbleval:"));
    if let Some(call) = call {
        return read_eval(EvalTarget::Header, call);
    }
    if let Some(field) = definition.strip_prefix(b"exists:") {
        let field = field.strip_suffix(b":").unwrap_or(field);
        if field.is_empty() || !field.iter().all(|b| is_field_octet(*b)) {
            return Err("`exists:` needs the name of a header".to_owned());
        }
        return Ok(Test::HeaderExists(FieldRequest::parse(&String::from_utf8_lossy(field))));
    }
    let (field, is_negated, rest) = split_operator(definition)?;
    let field = field.strip_suffix(':').unwrap_or(field);
    let mut pieces = field.split(':');
    let name = pieces.next().unwrap_or_default();
    let modifiers = ["raw", "addr", "name", "host", "domain", "ip", "revip", "first", "last"];
    if name.is_empty() || !name.bytes().all(is_field_octet) {
        return Err(format!("`{field}` is no header name"));
    }
    if let Some(unknown) = pieces.find(|piece| !modifiers.contains(piece)) {
        return Err(format!("unknown header modifier `:{unknown}`"));
    }
    let (pattern, unset) = split_unset(rest);
    let pattern = read_pattern(pattern)?;
    Ok(Test::Header { request: FieldRequest::parse(field), pattern, is_negated, unset: unset.map(<[u8]>::to_vec) })
}

fn is_field_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'.' | b'-')
}

/// Cuts `field =~ rest` at its operator.
fn split_operator(text: &[u8]) -> Result<(&str, bool, &[u8]), String> {
    let is_operator = |pair: &[u8]| matches!(pair, b"=~" | b"!~");
    let missing = || "`=~` or `!~` is missing".to_owned();
    let at = text.windows(2).position(is_operator).ok_or_else(missing)?;
    let (field, rest) = text.split_at_checked(at).ok_or_else(missing)?;
    let field = std::str::from_utf8(trim(field)).map_err(|_| "the header's name is not ASCII".to_owned())?;
    if field.contains(char::is_whitespace) {
        return Err(format!("`{field}` is no header name"));
    }
    Ok((field, rest.starts_with(b"!"), trim(rest.get(2..).unwrap_or_default())))
}

/// Cuts off a final `[if-unset: …]`.
fn split_unset(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    const MARK: &[u8] = b"[if-unset:";
    let Some(inner) = text.strip_suffix(b"]") else {
        return (text, None);
    };
    let Some(at) = memchr::memmem::rfind(inner, MARK) else {
        return (text, None);
    };
    let value = trim(inner.get(at + MARK.len()..).unwrap_or_default());
    (trim(inner.get(..at).unwrap_or_default()), Some(value))
}

fn read_mimeheader(definition: &[u8]) -> Result<Test, String> {
    let (field, is_negated, rest) = split_operator(definition)?;
    let (field, is_raw) = match field.strip_suffix(":raw") {
        Some(field) => (field, true),
        None => (field.strip_suffix(':').unwrap_or(field), false),
    };
    if field.is_empty() || field.contains(':') {
        return Err(format!("`{field}` is no header name"));
    }
    let (pattern, unset) = split_unset(rest);
    let unset = unset.unwrap_or_default().to_vec();
    Ok(Test::MimeHeader { field: field.to_owned(), is_raw, pattern: read_pattern(pattern)?, is_negated, unset })
}

fn read_uri_detail(definition: &[u8]) -> Result<Test, String> {
    let mut clauses: Vec<UriClause> = Vec::new();
    let mut rest = definition;
    while !rest.is_empty() {
        let (key, is_negated, after) = split_operator(rest)?;
        let key = match key {
            "raw" => UriKey::Raw,
            "type" => UriKey::Type,
            "cleaned" => UriKey::Cleaned,
            "text" => UriKey::Text,
            "domain" => UriKey::Domain,
            "host" => UriKey::Host,
            _ => return Err(format!("`{key}` is nothing of a link; use raw, type, cleaned, text, domain or host")),
        };
        let end = clause_end(after).ok_or("the pattern has no end")?;
        let (pattern, tail) = after.split_at_checked(end).ok_or("the pattern has no end")?;
        clauses.retain(|clause| clause.key != key);
        clauses.push(UriClause { key, pattern: read_pattern(pattern)?, is_negated });
        rest = trim(tail);
    }
    Ok(Test::UriDetail(clauses))
}

/// Where the pattern at the start of `text` ends: its second delimiter that is followed by modifiers and white space.
fn clause_end(text: &[u8]) -> Option<usize> {
    let (delimiter, start) = match text {
        [b'/', ..] => (b'/', 1),
        [b'm', delimiter, ..] => (*delimiter, 2),
        _ => return None,
    };
    let mut at = start;
    loop {
        at += memchr::memchr(delimiter, text.get(at..)?)? + 1;
        let modifiers = text.get(at..)?.iter().take_while(|b| matches!(b, b'i' | b'm' | b's' | b'x')).count();
        if text.get(at + modifiers).is_none_or(u8::is_ascii_whitespace) {
            return Some(at + modifiers);
        }
    }
}

fn read_eval(target: EvalTarget, call: &[u8]) -> Result<Test, String> {
    let call = std::str::from_utf8(call).map_err(|_| "the arguments are not UTF-8".to_owned())?;
    let syntax = || format!("`{call}` is no call; write function(arguments)");
    let (function, arguments) = call.strip_suffix(')').and_then(|c| c.split_once('(')).ok_or_else(syntax)?;
    if function.is_empty() || !function.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(syntax());
    }
    Ok(Test::Eval { target, function: function.to_owned(), arguments: read_arguments(arguments).ok_or_else(syntax)? })
}

/// Quoted texts, or bare numbers, addresses and names, between commas.
fn read_arguments(text: &str) -> Option<Vec<String>> {
    let mut arguments = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() && arguments.len() < ARGUMENTS_MAX {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (argument, after) = match quote {
            Some(quote) => quoted_argument(rest.strip_prefix(quote)?, quote)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (argument, after) = rest.split_at_checked(end)?;
                let argument = argument.trim_end();
                let is_bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-');
                argument.bytes().all(is_bare).then_some((argument, after))?
            }
        };
        arguments.push(argument.to_owned());
        rest = match after.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if after.is_empty() => after,
            None => return None,
        };
    }
    rest.is_empty().then_some(arguments)
}

/// A quoted text ends at the first quote that a comma or the end follows.
fn quoted_argument(text: &str, quote: char) -> Option<(&str, &str)> {
    text.match_indices(quote).find_map(|(at, _)| {
        let (argument, after) = text.split_at_checked(at)?;
        let after = after.strip_prefix(quote)?.trim_start();
        (after.is_empty() || after.starts_with(',')).then_some((argument, after))
    })
}

/// The name that in metas, as in conditions, is no rule: whether DNS is left alone.
pub const LOCAL_TESTS_ONLY: &str = "local_tests_only";

/// The name that stands for `rules_matching(GLOB)` in a meta expression before the rules are known.
#[must_use]
pub fn matching_glob(name: &str) -> Option<&str> {
    name.strip_prefix("rules_matching:")
}

fn read_meta(definition: &[u8]) -> Result<Test, String> {
    if definition.iter().filter(|b| !b.is_ascii_whitespace()).eq(b"()") {
        return Ok(Test::Empty);
    }
    if let Some(bad) = definition.iter().find(|b| matches!(b, b'$' | b'@' | b'%' | b';' | b'{' | b'}')) {
        return Err(format!("`{}` has no place in a meta rule", char::from(*bad)));
    }
    let text = name_globs(definition);
    let tokens = expression::tokens(&text).map_err(|error| error.message)?;
    let expression = expression::parse(&tokens).map_err(|error| error.message)?;
    let mut bad = None;
    expression.names(&mut |name| {
        if matching_glob(name).is_none() && !is_rule_name(name) {
            bad.get_or_insert_with(|| name.clone());
        }
    });
    match bad {
        Some(name) => Err(format!("`{name}` is no rule name")),
        None => Ok(Test::Meta(decode_globs(&expression))),
    }
}

/// Octets of a glob that no name holds are written as names in the expression's own alphabet.
const GLOB_MARKS: &[(u8, &str)] = &[(b'*', ":S:"), (b'?', ":Q:")];

fn name_globs(text: &[u8]) -> Vec<u8> {
    const CALL: &[u8] = b"rules_matching(";
    let mut named = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, CALL) {
        let (before, call) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        named.extend_from_slice(before);
        let inner = call.get(CALL.len()..).unwrap_or_default();
        let end = memchr::memchr(b')', inner).unwrap_or(inner.len());
        named.extend_from_slice(b" rules_matching:");
        for octet in trim(inner.get(..end).unwrap_or_default()) {
            match GLOB_MARKS.iter().find(|(mark, _)| mark == octet) {
                Some((_, name)) => named.extend_from_slice(name.as_bytes()),
                None => named.push(*octet),
            }
        }
        named.push(b' ');
        rest = inner.get(end + 1..).unwrap_or_default();
    }
    named.extend_from_slice(rest);
    named
}

fn decode_globs(expression: &Expr<String>) -> Expr<String> {
    expression.replace(&mut |name: &String| match matching_glob(name) {
        None => Expr::Name(name.clone()),
        Some(_) => Expr::Name(
            GLOB_MARKS
                .iter()
                .fold(name.clone(), |name, (mark, code)| name.replace(code, &char::from(*mark).to_string())),
        ),
    })
}

fn read_askdns(definition: &[u8]) -> Result<Test, String> {
    let (template, rest) = split_word(definition);
    let (record, subtest) = split_word(rest);
    let record = match String::from_utf8_lossy(record).to_ascii_uppercase().as_str() {
        "" | "A" => Some(RecordType::A),
        "AAAA" => Some(RecordType::Aaaa),
        "MX" => Some(RecordType::Mx),
        "NS" => Some(RecordType::Ns),
        "PTR" => Some(RecordType::Ptr),
        "TXT" => Some(RecordType::Txt),
        _ => None,
    };
    let subtest = Some(String::from_utf8_lossy(subtest).into_owned()).filter(|subtest| !subtest.is_empty());
    Ok(Test::AskDns { template: String::from_utf8_lossy(template).into_owned(), record, subtest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_rules() {
        let test = Test::read("header", b"Subject:raw !~ /a[]]b/i [if-unset: none ]").unwrap();
        let Test::Header { request, pattern, is_negated, unset } = test else { panic!("a header rule") };
        assert!(request.raw && request.name == "Subject" && is_negated && pattern.modifiers.caseless);
        assert_eq!((pattern.source.as_slice(), unset.as_deref()), (b"a[]]b".as_slice(), Some(b"none".as_slice())));
        assert_eq!(Test::read("header", b"exists:X-A"), Ok(Test::HeaderExists(FieldRequest::parse("X-A"))));
        for bad in ["Subject /a/", "Subject:loud =~ /a/", "exists:", "Sub ject =~ /a/", "Subject =~ a", "=~ /a/"] {
            assert!(Test::read("header", bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn eval_arguments() {
        let arguments = |call: &str| match Test::read("body", format!("eval:{call}").as_bytes()) {
            Ok(Test::Eval { arguments, .. }) => Some(arguments),
            _ => None,
        };
        assert_eq!(arguments("f()"), Some(vec![]));
        assert_eq!(arguments("f('a, b', \"c\" , 0.5,-1)"), Some(["a, b", "c", "0.5", "-1"].map(String::from).to_vec()));
        assert_eq!(arguments("f('it''s')"), Some(vec!["it''s".to_owned()]));
        for bad in ["f", "f(", "f(a b)", "f(/x/)", "f('a)"] {
            assert_eq!(arguments(bad), None, "{bad}");
        }
    }

    #[test]
    fn uri_detail_clauses() {
        let Ok(Test::UriDetail(clauses)) = Test::read("uri_detail", b"cleaned =~ /a\\/b/ text !~ m|c d|i  text =~ /e/")
        else {
            panic!("a uri_detail rule")
        };
        assert_eq!(clauses.iter().map(|clause| clause.key).collect::<Vec<_>>(), [UriKey::Cleaned, UriKey::Text]);
        assert_eq!(clauses[0].pattern.source, b"a\\/b");
        assert!(Test::read("uri_detail", b"colour =~ /a/").is_err());
    }

    #[test]
    fn meta_globs_are_names() {
        let Ok(Test::Meta(expression)) = Test::read("meta", b"A && (rules_matching( __B_?* ) > 1)") else {
            panic!("a meta rule")
        };
        let mut names = Vec::new();
        expression.names(&mut |name| names.push(name.clone()));
        assert_eq!(names, ["A", "rules_matching:__B_?*"]);
        assert_eq!(Test::read("meta", b" ( ) "), Ok(Test::Empty));
        assert!(Test::read("meta", b"A::B && C").is_err());
    }
}
