//! The SpamAssassin 4.0 rule language: parse, compile, match.
//!
//! Texts of rule files come in, hits with their scores and evidence come out. The crate reads no file, asks no DNS and knows no
//! clock: [`Input`] holds one message as SpamAssassin sees it, [`Answers`] what DNS said.
//!
//! ```
//! use tidegate_rules::language::{ParseOptions, no_includes, parse, source::SourceFile};
//! use tidegate_rules::{Answers, CompileOptions, Context, Input, compile};
//!
//! let text = b"body CHEAP /cheap pills/i\nscore CHEAP 2.5\ndescribe CHEAP Sells pills".to_vec();
//! let parsed = parse(&[SourceFile { name: "local.cf".into(), text }], &ParseOptions::default(), &no_includes);
//! assert!(parsed.diagnostics.is_empty());
//! let (set, remarks) = compile(parsed, CompileOptions { network: true, classifier: false });
//! assert!(remarks.is_empty());
//!
//! let message = b"Subject: Hello\n\nCHEAP PILLS\nhere\n";
//! let input = Input::from_octets(message, &Context::default(), set.settings());
//! let questions = set.wanted(&input); // the engine asks DNS
//! assert!(questions.is_empty());
//! let matches = set.hits(&input, &Answers::default());
//! let hit = &matches.hits[0];
//! assert_eq!((&*set.rules()[hit.rule.index()].name, hit.evidence.as_slice()), ("CHEAP", b"CHEAP PILLS".as_slice()));
//! assert_eq!(matches.score().to_string(), "2.5");
//! ```
//!
//! - [`language`]: texts to [`language::Parsed`], with file, line and column of each mistake;
//! - [`compile()`]: patterns compiled, names looked up, metas in order: a [`RuleSet`], immutable and shared between threads;
//! - [`RuleSet::wanted`], then [`RuleSet::hits`]: one message; how rules are matched quickly is in docs/decisions/rule-matching.md;
//! - [`propose`]: rules for mail that rules missed;
//! - [`input`] and [`evals`]: the message as rules see it, and the functions behind `eval:`.

mod analysis;
mod basis;
mod bound;
mod compile;
pub mod dns;
pub mod evals;
pub mod field;
mod guard;
pub mod input;
pub mod language;
mod matching;
mod metas;
mod needs;
pub mod pattern;
mod plan;
mod prefilter;
pub mod propose;
mod replace;
mod rule;
mod ruleset;
mod scratch;
pub mod settings;
pub mod shipped;
mod shortcircuit;
mod template;

pub use analysis::{Analyses, CacheError};
pub use basis::Basis;
pub use compile::{CompileOptions, compile, compile_with};
pub use dns::{Answer, Answers, DnsQuestion, RecordType};
pub use evals::{Arg, EvalContext, EvalFn, EvalResult};
pub use field::FieldRequest;
pub use guard::Guard;
pub use input::{Context, Input, Relay};
pub use language::shortcircuit::Shortcircuit;
pub use matching::cost::{Cost, Trial};
pub use matching::{Hit, Matches};
pub use pattern::{Limit, Pattern, PatternError};
pub use rule::{Flags, Rule, RuleId};
pub use ruleset::RuleSet;
pub use settings::Settings;
pub use shortcircuit::{SETTLED_RULE, Settled};
