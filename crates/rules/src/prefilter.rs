//! Which rules can match a text at all: one pass over the text instead of one for each rule.
//!
//! Each pattern is read as a tree ([`syntax`]), from which follows what a text must hold so that it can match ([`formula`]). The
//! literals of all rules are looked up in one pass ([`literals`]); a rule is verified by its engine only where its formula holds.

pub(crate) mod formula;
pub(crate) mod literals;
pub(crate) mod network;
pub(crate) mod relaxed;
pub(crate) mod screen;
pub(crate) mod sequence;
pub(crate) mod syntax;
