//! What is found out about a pattern when a set is compiled, and a form of it to be kept on disk, so that a set that was compiled before
//! is ready several times sooner.
//!
//! Entries are found by the content of the pattern, so that after a change of one rule all others are still known. Machine code is
//! not kept: it is made on first need. The crate reads and writes octets; the file is the server's.

mod codec;

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::pattern::{Modifiers, Pattern};
use crate::prefilter::formula::{self, Formula};
use crate::prefilter::sequence::{self, Sequence};
use crate::prefilter::{network, relaxed, syntax};

pub use codec::CacheError;

/// What must be known of a pattern to try it together with others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Analysis {
    /// A condition that texts must fulfil, if it is worth asking.
    pub(crate) formula: Option<Formula>,
    /// Without such a condition, classes that a match passes.
    pub(crate) sequences: Option<Vec<Sequence>>,
    /// A loosened automaton is worth its while.
    pub(crate) is_large: bool,
    /// The fewest octets of a match; 0 when the pattern has no tree.
    pub(crate) length_min: usize,
}

impl Analysis {
    fn of(source: &[u8], modifiers: Modifiers) -> Analysis {
        let Some(tree) = syntax::parse(source, modifiers) else {
            return Analysis { formula: None, sequences: None, is_large: false, length_min: 0 };
        };
        let is_large = relaxed::is_worthwhile(&tree);
        let whole = Some(formula::of(&tree)).filter(|formula| *formula != Formula::True);
        let formula = whole.clone().filter(network::is_selective);
        let sequences = if formula.is_none() { sequence::of(&tree) } else { None };
        // To try a large pattern takes so long that a condition may be met often and still be worth asking.
        let formula = formula.or(whole.filter(|_| is_large && sequences.is_none()));
        let length_min = syntax::length_min(&tree);
        Analysis { formula, sequences, is_large, length_min }
    }
}

/// Analyses of patterns, by a hash of what the pattern is.
///
/// Give the same value to [`compile_with`](crate::compile_with) again, or one that was read from what [`Analyses::write`] gave, and
/// patterns that have not changed are not analysed again.
#[derive(Debug, Default)]
pub struct Analyses {
    known: HashMap<u128, Arc<Analysis>>,
    /// Those that the set being compiled uses.
    used: HashMap<u128, Arc<Analysis>>,
    is_changed: bool,
}

impl Analyses {
    /// Reads what [`Analyses::write`] gave.
    ///
    /// # Errors
    /// [`CacheError`] when it is of another version, or damaged. Nothing is wrong then: compile without it.
    pub fn read(octets: &[u8]) -> Result<Analyses, CacheError> {
        Ok(Analyses { known: codec::read(octets)?, ..Analyses::default() })
    }

    /// The octets to be kept: some hundred for each pattern.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        codec::write(&self.known)
    }

    /// Whether the last set had other patterns than those known before, so that it is worth writing.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether the engine is known to take this pattern.
    pub(crate) fn knows(&self, source: &[u8], modifiers: Modifiers) -> bool {
        self.known.contains_key(&key(source, modifiers))
    }

    pub(crate) fn of(&mut self, pattern: &Pattern) -> Arc<Analysis> {
        let key = key(pattern.source(), pattern.modifiers());
        let known = self.known.get(&key).or_else(|| self.used.get(&key)).cloned();
        let analysis = known.unwrap_or_else(|| {
            self.is_changed = true;
            Arc::new(Analysis::of(pattern.source(), pattern.modifiers()))
        });
        self.used.insert(key, analysis.clone());
        analysis
    }

    pub(crate) fn begin(&mut self) {
        self.is_changed = false;
        self.used.clear();
    }

    /// What the set did not use is forgotten.
    pub(crate) fn end(&mut self) {
        self.is_changed |= self.used.len() != self.known.len();
        self.known = std::mem::take(&mut self.used);
    }
}

fn key(source: &[u8], modifiers: Modifiers) -> u128 {
    let Modifiers { caseless, multi_line, dot_all, extended } = modifiers;
    let mut hasher = SipHasher13::new();
    hasher.write(&[caseless, multi_line, dot_all, extended].map(u8::from));
    hasher.write(source);
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Patterns of all shapes that an analysis tells apart.
    const SOURCES: &[&str] = &[
        "cheap pills",
        "click (?:here|now).{0,9}today",
        "(?:(?:name|street|city)\\W.{0,20}){4}",
        "\\b[_\\W]{0,3}v[_\\W]{0,3}[i1!|l][_\\W]{0,3}[a4@][_\\W]{0,3}g[_\\W]{0,3}r[_\\W]{0,3}[a4@]",
        "(?:^|\\W)(?!amazon)[a4@]m[a4@][z2][o0](?:n|\\xc3\\xb1)(?:$|\\W)",
        "e",
        "^$",
        "(?R)",
    ];

    fn analysed() -> Analyses {
        let mut analyses = Analyses::default();
        for source in SOURCES {
            if let Ok(pattern) =
                Pattern::compile(source.as_bytes(), Modifiers { caseless: true, ..Modifiers::default() })
            {
                analyses.of(&pattern);
            }
        }
        analyses.end();
        analyses
    }

    #[test]
    fn what_was_written_is_read() {
        let analyses = analysed();
        let again = Analyses::read(&analyses.write()).unwrap();
        assert_eq!(again.known, analyses.known);
        assert!(again.known.len() >= 7 && again.known.values().any(|known| known.sequences.is_some()));
    }

    #[test]
    fn the_version_changes_with_the_analysis() {
        // When this fails, `codec::VERSION` must change as well: files of the former analysis would leave rules out.
        let mut hasher = SipHasher13::new();
        let mut known: Vec<_> = analysed().known.into_iter().collect();
        known.sort_by_key(|(key, _)| *key);
        hasher.write(format!("{known:?}").as_bytes());
        assert_eq!((codec::VERSION, format!("{:016x}", hasher.finish128().h1)), (2, "5c208b6aab038f95".to_owned()));
    }

    #[test]
    fn damage_is_refused() {
        let octets = analysed().write();
        for at in 0..octets.len() {
            let mut damaged = octets.clone();
            damaged[at] ^= 0x10;
            assert!(Analyses::read(&damaged).is_err(), "octet {at}");
        }
        assert_eq!(Analyses::read(b"").unwrap_err(), CacheError::Damaged);
        assert!(Analyses::read(&octets[..octets.len() - 1]).is_err());
    }

    proptest! {
        /// Also where the checksum is right.
        #[test]
        fn any_octets_are_read_without_panic(body in prop::collection::vec(any::<u8>(), 0..300), octets in prop::collection::vec(0u8..8, 0..300)) {
            for body in [body, octets] {
                let _ = Analyses::read(&codec::sealed(&body));
                let _ = Analyses::read(&body);
            }
        }
    }
}
