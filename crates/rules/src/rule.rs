//! One rule, compiled: what it tests, and what it is worth.

use std::sync::Arc;

use tidegate_mail::Score;

use crate::dns::RecordType;
use crate::evals::{Arg, EvalFn, EvalTarget};
use crate::language::expression::Expr;
use crate::language::rule::{TextKind, UriKey};
use crate::language::shortcircuit::Shortcircuit;
use crate::language::source::Place;
use crate::pattern::Pattern;
use crate::template::Template;

/// A rule's place in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(crate) u32);

impl RuleId {
    /// Its place in [`RuleSet::rules`](crate::RuleSet::rules).
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What `tflags` says of a rule, as far as it matters for matching and scoring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Each hit counts, not only the first.
    pub multiple: bool,
    /// Hits after this many are not looked for.
    pub hits_max: Option<u32>,
    /// Body rules: the subject is left out.
    pub no_subject: bool,
    /// Needs DNS or another service.
    pub net: bool,
    /// Speaks against spam.
    pub nice: bool,
    /// Needs a trained classifier.
    pub learn: bool,
    /// `mimeheader`: the first and last part to look at, counted from 1.
    pub parts: Option<(u32, u32)>,
    /// `mimeheader`: the parts' values are joined.
    pub concat: bool,
    /// All flags as written.
    pub text: String,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: Arc<str>,
    /// Points for one hit in the set's score set.
    pub score: Score,
    /// Its description, if it has one.
    pub description: Option<String>,
    /// Where it is defined.
    pub place: Place,
    /// Its flags.
    pub flags: Flags,
    /// When SpamAssassin would run it, as its own lines say: lower numbers first.
    pub priority: i32,
    /// Whether a hit settles the matter.
    pub shortcircuit: Option<Shortcircuit>,
    pub(crate) matcher: Matcher,
}

impl Rule {
    /// Whether the rule only serves others (`__NAME`) and has no points of its own.
    #[must_use]
    pub fn is_subtest(&self) -> bool {
        self.name.starts_with("__")
    }

    /// Whether the rule can hit in this set: it has points, and all that it needs is there.
    #[must_use]
    pub fn can_hit(&self) -> bool {
        !matches!(self.matcher, Matcher::Never)
    }
}

/// How a rule is matched.
#[derive(Debug)]
pub(crate) enum Matcher {
    /// A header's values, joined, against a pattern.
    Header { field: usize, pattern: Template, is_negated: bool, unset: Option<Vec<u8>> },
    /// Whether a header is there.
    HeaderExists { field: usize },
    /// Texts against a pattern.
    Text { kind: TextKind, pattern: Template },
    /// Headers of MIME parts against a pattern.
    MimeHeader { field: String, is_raw: bool, pattern: Template, is_negated: bool, unset: Vec<u8> },
    /// One link that fulfils all clauses.
    UriDetail(Vec<(UriKey, bool, Pattern)>),
    /// A function.
    Eval { target: EvalTarget, function: &'static EvalFn, arguments: Vec<Arg> },
    /// Arithmetic over other rules.
    Meta(Expr<RuleId>),
    /// A question to DNS.
    AskDns { template: String, record: RecordType, subtest: Option<Subtest> },
    /// Cannot hit in this set: no points, no DNS, no such function.
    Never,
}

/// What a DNS record must be.
#[derive(Debug)]
pub(crate) enum Subtest {
    /// The record's text.
    Text(String),
    /// A pattern over the record's text.
    Pattern(Pattern),
    /// An address, or bits of one, in a range.
    Bits { mask: u32, low: u32, high: u32 },
}
