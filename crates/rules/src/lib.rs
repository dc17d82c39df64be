//! The SpamAssassin 4.0 rule language: parse, compile, match.
//!
//! Texts of rule files come in, hits with their scores and evidence come out. The crate reads no file, asks no DNS and knows no
//! clock: [`Input`] holds one message as SpamAssassin sees it, [`Answers`] what DNS said.

pub mod dns;
pub mod evals;
pub mod field;
pub mod input;
pub mod language;
pub mod pattern;
pub mod settings;

pub use dns::{Answer, Answers, DnsQuestion, RecordType};
pub use evals::{Arg, EvalContext, EvalFn, EvalResult};
pub use field::FieldRequest;
pub use input::{Context, Input};
pub use pattern::{Limit, Pattern, PatternError};
pub use settings::Settings;
