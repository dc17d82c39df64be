//! Analyses as octets: a head with version and checksum, then one entry after the other. Numbers are little-endian.
//!
//! The checksum finds damage, it proves no origin: whoever can write the file can write the rules as well. Reading never trusts a
//! length, and takes no more memory than a few times the file.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::Analysis;
use crate::prefilter::formula::Formula;
use crate::prefilter::sequence::{POSITIONS_MAX, Position, Sequence};
use crate::prefilter::syntax::OctetSet;

/// Changes with the form and with what an analysis says.
pub(super) const VERSION: u32 = 2;
const MAGIC: &[u8; 8] = b"tgrules\0";
const CHECKSUM_OCTETS: usize = 16;
/// How deep conditions nest at most; real ones nest as deep as groups of a pattern do.
const DEPTH_MAX: usize = 100;

/// Why octets cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// Written by another version.
    #[error("the cache is of another version")]
    Version,
    /// Cut short, or changed.
    #[error("the cache is damaged")]
    Damaged,
}

pub(super) fn write(known: &HashMap<u128, Arc<Analysis>>) -> Vec<u8> {
    let mut entries: Vec<_> = known.iter().collect();
    entries.sort_by_key(|(key, _)| **key);
    let mut body = Vec::new();
    for (key, analysis) in entries {
        body.extend_from_slice(&key.to_le_bytes());
        body.push(u8::from(analysis.is_large));
        number(analysis.length_min, &mut body);
        body.push(u8::from(analysis.formula.is_some()));
        if let Some(formula) = &analysis.formula {
            write_formula(formula, &mut body);
        }
        body.push(u8::from(analysis.sequences.is_some()));
        if let Some(sequences) = &analysis.sequences {
            number(sequences.len(), &mut body);
            sequences.iter().for_each(|sequence| write_sequence(sequence, &mut body));
        }
    }
    sealed(&body)
}

/// `body` with a head before it.
pub(super) fn sealed(body: &[u8]) -> Vec<u8> {
    [MAGIC.as_slice(), &VERSION.to_le_bytes(), &checksum(body), body].concat()
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_OCTETS] {
    let mut hasher = SipHasher13::new();
    hasher.write(body);
    hasher.finish128().as_u128().to_le_bytes()
}

fn number(number: usize, into: &mut Vec<u8>) {
    into.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn write_formula(formula: &Formula, into: &mut Vec<u8>) {
    match formula {
        Formula::True => into.push(0),
        Formula::Times(times, literals) => {
            into.push(1);
            into.extend_from_slice(&times.to_le_bytes());
            number(literals.len(), into);
            for literal in literals {
                number(literal.len(), into);
                into.extend_from_slice(literal);
            }
        }
        Formula::All(parts) | Formula::Any(parts) => {
            into.push(if matches!(formula, Formula::All(_)) { 2 } else { 3 });
            number(parts.len(), into);
            parts.iter().for_each(|part| write_formula(part, into));
        }
    }
}

fn write_sequence(sequence: &Sequence, into: &mut Vec<u8>) {
    number(sequence.plain_length, into);
    number(sequence.positions.len(), into);
    for Position { enter, stay, plain } in &sequence.positions {
        for set in [enter, stay, plain] {
            set.words().iter().for_each(|word| into.extend_from_slice(&word.to_le_bytes()));
        }
    }
}

pub(super) fn read(octets: &[u8]) -> Result<HashMap<u128, Arc<Analysis>>, CacheError> {
    let mut reader = Reader { rest: octets };
    if reader.take(MAGIC.len()) != Some(MAGIC) {
        return Err(CacheError::Damaged);
    }
    match reader.u32() {
        Some(VERSION) => {}
        Some(_) => return Err(CacheError::Version),
        None => return Err(CacheError::Damaged),
    }
    let sum = reader.take(CHECKSUM_OCTETS).ok_or(CacheError::Damaged)?;
    if sum != checksum(reader.rest) {
        return Err(CacheError::Damaged);
    }
    let mut known = HashMap::new();
    while !reader.rest.is_empty() {
        let (key, analysis) = reader.entry().ok_or(CacheError::Damaged)?;
        known.insert(key, Arc::new(analysis));
    }
    Ok(known)
}

/// What is left to read. `None` when it ends too soon, or is not what can be written.
struct Reader<'o> {
    rest: &'o [u8],
}

impl<'o> Reader<'o> {
    fn take(&mut self, count: usize) -> Option<&'o [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn number(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }

    fn flag(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn entry(&mut self) -> Option<(u128, Analysis)> {
        let key = u128::from_le_bytes(self.array()?);
        let is_large = self.flag()?;
        let length_min = self.number()?;
        let formula = if self.flag()? { Some(self.formula(DEPTH_MAX)?) } else { None };
        let sequences = if self.flag()? { Some(self.list(Self::sequence)?) } else { None };
        Some((key, Analysis { formula, sequences, is_large, length_min }))
    }

    /// A count, then so many. The count alone takes no memory.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.number()?;
        let mut list = Vec::new();
        for _ in 0..count {
            // Each item is at least an octet long, so that a false count ends with the file.
            list.push(one(self)?);
        }
        Some(list)
    }

    fn formula(&mut self, depth_left: usize) -> Option<Formula> {
        let depth_left = depth_left.checked_sub(1)?;
        Some(match self.array()? {
            [1] => {
                let times = self.u32()?;
                Formula::Times(
                    times,
                    self.list(|reader| reader.number().and_then(|n| reader.take(n)).map(<[u8]>::to_vec))?,
                )
            }
            [2] => Formula::All(self.list(|reader| reader.formula(depth_left))?),
            [3] => Formula::Any(self.list(|reader| reader.formula(depth_left))?),
            _ => return None,
        })
    }

    fn sequence(&mut self) -> Option<Sequence> {
        let plain_length = self.number()?;
        let positions =
            self.list(|reader| Some(Position { enter: reader.set()?, stay: reader.set()?, plain: reader.set()? }))?;
        let is_sound = !positions.is_empty() && positions.len() <= POSITIONS_MAX && plain_length <= positions.len();
        is_sound.then_some(Sequence { positions, plain_length })
    }

    fn set(&mut self) -> Option<OctetSet> {
        let mut words = [0; 4];
        for word in &mut words {
            *word = u64::from_le_bytes(self.array()?);
        }
        Some(OctetSet::from_words(words))
    }
}
