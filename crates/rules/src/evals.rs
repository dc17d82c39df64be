//! `eval:` tests: the table of functions, and what they may see.

use crate::dns::{Answers, DnsQuestion};
use crate::input::Input;
use crate::pattern::Pattern;
use crate::settings::Settings;

/// One argument of an `eval:` test, without its quotes.
#[derive(Clone, Debug)]
pub struct Arg {
    /// The octets between the quotes, or of the bare number.
    pub text: String,
    /// The argument as a pattern, compiled at load time when [`EvalFn::pattern_args`] names it. `/…/i` and `m{…}` are read with their
    /// delimiters, else the whole text is the source.
    pub pattern: Option<Pattern>,
}

impl Arg {
    /// The argument as a number; what does not read as one is 0, as in Perl.
    #[must_use]
    pub fn number(&self) -> f64 {
        self.text.trim().parse().unwrap_or(0.0)
    }
}

/// The part of a message to which the rule is attached (`header X eval:…`, `body X eval:…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EvalTarget {
    /// `header`.
    Header,
    /// `body`.
    Body,
    /// `rawbody`.
    RawBody,
    /// `full`.
    Full,
    /// `uri`.
    Uri,
}

/// What an eval function sees.
#[derive(Clone, Copy, Debug)]
pub struct EvalContext<'a> {
    /// The message.
    pub input: &'a Input<'a>,
    /// What the rule files configure.
    pub settings: &'a Settings,
    /// What DNS said so far.
    pub answers: &'a Answers,
    /// The kind of rule that calls.
    pub target: EvalTarget,
    /// The name of the rule that calls.
    pub rule: &'a str,
}

/// What an eval function found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalResult {
    /// Not so.
    Miss,
    /// So, with what was seen (empty when there is nothing to show).
    Hit {
        /// How often; 1 for nearly all.
        count: u32,
        /// The text or fact that decided, for people.
        evidence: String,
    },
    /// The answers to these questions are needed first. Questions whose answers are known are left out.
    Ask(Vec<DnsQuestion>),
    /// Could not know, and why: no classifier, no identity result, DNS failed.
    Unavailable(&'static str),
}

impl EvalResult {
    /// A hit without evidence when `is_hit`, else a miss.
    #[must_use]
    pub fn of(is_hit: bool) -> EvalResult {
        if is_hit { EvalResult::Hit { count: 1, evidence: String::new() } } else { EvalResult::Miss }
    }
}

/// How far an eval function is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalState {
    /// As SpamAssassin does it.
    Full,
    /// Known, but without its service (Razor, Pyzor, DCC, …): never hits.
    NoService,
}

/// One eval function.
#[derive(Debug)]
pub struct EvalFn {
    /// Its name in rules.
    pub name: &'static str,
    /// The plugin that has it, without `Mail::SpamAssassin::Plugin::`.
    pub plugin: &'static str,
    /// How far it is built.
    pub state: EvalState,
    /// Arguments, counted from 0, that are patterns.
    pub pattern_args: &'static [usize],
    /// The function. It must be pure: the same context and arguments give the same result.
    pub run: fn(&EvalContext<'_>, &[Arg]) -> EvalResult,
}

/// All functions, sorted by name.
static TABLE: &[EvalFn] = &[];

/// The function of this name; `None` when there is none.
#[must_use]
pub fn lookup(name: &str) -> Option<&'static EvalFn> {
    TABLE.binary_search_by(|entry| entry.name.cmp(name)).ok().and_then(|index| TABLE.get(index))
}
