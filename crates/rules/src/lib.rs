//! The SpamAssassin 4.0 rule language: parse, compile, match.
//!
//! Texts of rule files come in, hits with their scores and evidence come out. The crate reads no file, asks no DNS and knows no
//! clock: [`Input`] holds one message as SpamAssassin sees it, [`Answers`] what DNS said.

mod compile;
pub mod dns;
pub mod evals;
pub mod field;
pub mod input;
pub mod language;
mod matching;
pub mod pattern;
mod plan;
mod prefilter;
mod replace;
mod ruleset;
pub mod settings;

pub use compile::{CompileOptions, compile};
pub use dns::{Answer, Answers, DnsQuestion, RecordType};
pub use evals::{Arg, EvalContext, EvalFn, EvalResult};
pub use field::FieldRequest;
pub use input::{Context, Input};
pub use matching::{Hit, Matches};
pub use pattern::{Limit, Pattern, PatternError};
pub use ruleset::{Flags, Rule, RuleId, RuleSet};
pub use settings::Settings;
