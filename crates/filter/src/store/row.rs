//! What a row holds and how a write changes it. Pure, and the same for every backend: a backend only keeps octets.

use std::hash::Hasher;
use std::time::Duration;

use jiff::Timestamp;
use siphasher::sip::SipHasher13;

use super::{DISTINCT_MAX, Level, Rate, Write};

/// Version of the stored form; a row of another version reads as absent.
const VERSION: u8 = 1;
/// Parts a counter's window is divided into.
const SLOTS: i64 = 6;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: i64,
    /// What it holds.
    pub value: Value,
}

/// What a row holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Octets that the owner of the table understands.
    Octets(Vec<u8>),
    /// Sums of a windowed counter: slot number and sum.
    Counter(Vec<(i64, u32)>),
    /// Theoretical arrival time of a rate, in milliseconds since 1970.
    Level(i64),
    /// Members of a counted set, hashed, with the second at which each was last seen.
    Set(Vec<(u64, i64)>),
}

impl Stored {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = vec![VERSION];
        octets.extend_from_slice(&self.expires_ms.to_be_bytes());
        match &self.value {
            Value::Octets(value) => {
                octets.push(b'o');
                octets.extend_from_slice(value);
            }
            Value::Counter(slots) => {
                octets.push(b'c');
                for (slot, sum) in slots {
                    octets.extend_from_slice(&slot.to_be_bytes());
                    octets.extend_from_slice(&sum.to_be_bytes());
                }
            }
            Value::Level(arrival) => {
                octets.push(b'l');
                octets.extend_from_slice(&arrival.to_be_bytes());
            }
            Value::Set(members) => {
                octets.push(b's');
                for (member, seen) in members {
                    octets.extend_from_slice(&member.to_be_bytes());
                    octets.extend_from_slice(&seen.to_be_bytes());
                }
            }
        }
        octets
    }

    /// Reads the stored form; `None` for another version or damaged octets.
    pub fn decode(octets: &[u8]) -> Option<Stored> {
        let octets = octets.strip_prefix(&[VERSION])?;
        let (expires, octets) = octets.split_first_chunk::<8>()?;
        let (kind, octets) = octets.split_first()?;
        let value = match kind {
            b'o' => Value::Octets(octets.to_vec()),
            b'c' => Value::Counter(pairs(
                octets,
                |o| {
                    let (slot, sum) = o.split_first_chunk::<8>()?;
                    Some((i64::from_be_bytes(*slot), u32::from_be_bytes(sum.try_into().ok()?)))
                },
                12,
            )?),
            b'l' => Value::Level(i64::from_be_bytes(octets.try_into().ok()?)),
            b's' => Value::Set(pairs(
                octets,
                |o| {
                    let (member, seen) = o.split_first_chunk::<8>()?;
                    Some((u64::from_be_bytes(*member), i64::from_be_bytes(seen.try_into().ok()?)))
                },
                16,
            )?),
            _ => return None,
        };
        Some(Stored { expires_ms: i64::from_be_bytes(*expires), value })
    }

    /// Whether the row still holds at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_ms > now.as_millisecond()
    }
}

fn pairs<T>(octets: &[u8], read: impl Fn(&[u8]) -> Option<T>, size: usize) -> Option<Vec<T>> {
    let chunks = octets.chunks_exact(size);
    if !chunks.remainder().is_empty() {
        return None;
    }
    chunks.map(read).collect()
}

/// What a write makes of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The row stays as it is.
    Keep,
    /// The row becomes this.
    Set(Stored),
    /// The row goes.
    Remove,
}

/// What `write` makes of `row`, the row at its key, which is `None` when absent or expired.
pub fn apply(write: &Write, row: Option<Stored>, now: Timestamp) -> Change {
    let ends = |ttl: Duration| now.as_millisecond().saturating_add(millis(ttl));
    let value = row.map(|stored| stored.value);
    match write {
        Write::Put { table, value, .. } => set(ends(table.ttl), Value::Octets(value.clone())),
        Write::Insert { table, value: first, .. } => match value {
            Some(_) => Change::Keep,
            None => set(ends(table.ttl), Value::Octets(first.clone())),
        },
        Write::Add { table, amount, window, .. } => {
            set(ends(table.ttl), Value::Counter(added(value, *amount, *window, now)))
        }
        Write::Take { table, rate, cost, .. } => {
            let arrival = match value {
                Some(Value::Level(arrival)) => arrival.max(now.as_millisecond()),
                _ => now.as_millisecond(),
            };
            let after = arrival.saturating_add(interval(*rate).saturating_mul(i64::from(*cost)));
            set(ends(table.ttl), Value::Level(after))
        }
        Write::Distinct { table, member, .. } => {
            set(ends(table.ttl), Value::Set(with_member(value, member, table.ttl, now)))
        }
        Write::Remove { .. } => Change::Remove,
    }
}

fn set(expires_ms: i64, value: Value) -> Change {
    Change::Set(Stored { expires_ms, value })
}

fn added(value: Option<Value>, amount: u32, window: Duration, now: Timestamp) -> Vec<(i64, u32)> {
    let mut slots = match value {
        Some(Value::Counter(slots)) => slots,
        _ => Vec::new(),
    };
    let present = slot(window, now);
    slots.retain(|(at, _)| in_window(*at, present));
    match slots.iter_mut().find(|(at, _)| *at == present) {
        Some((_, sum)) => *sum = sum.saturating_add(amount),
        None => slots.push((present, amount)),
    }
    slots
}

fn with_member(value: Option<Value>, member: &[u8], ttl: Duration, now: Timestamp) -> Vec<(u64, i64)> {
    let mut members = match value {
        Some(Value::Set(members)) => members,
        _ => Vec::new(),
    };
    let second = now.as_second();
    let oldest = second.saturating_sub(seconds(ttl));
    members.retain(|(_, seen)| *seen > oldest);
    let hashed = hash(member);
    let is_full = count(members.len()) >= DISTINCT_MAX;
    match members.iter_mut().find(|(known, _)| *known == hashed) {
        Some((_, seen)) => *seen = second,
        None if is_full => {}
        None => members.push((hashed, second)),
    }
    members
}

/// The sum of a counter's slots within `window`.
pub fn count_of(value: &Value, window: Duration, now: Timestamp) -> u64 {
    let present = slot(window, now);
    match value {
        Value::Counter(slots) => {
            slots.iter().filter(|(at, _)| in_window(*at, present)).map(|(_, sum)| u64::from(*sum)).sum()
        }
        _ => 0,
    }
}

/// How many members of a set were seen within `ttl`.
pub fn distinct_of(value: &Value, ttl: Duration, now: Timestamp) -> u64 {
    let oldest = now.as_second().saturating_sub(seconds(ttl));
    match value {
        Value::Set(members) => count(members.iter().filter(|(_, seen)| *seen > oldest).count()),
        _ => 0,
    }
}

/// Where `rate` stands with the arrival time that `value` holds.
pub fn level_of(value: Option<&Value>, rate: Rate, now: Timestamp) -> Level {
    let arrival = match value {
        Some(Value::Level(arrival)) => *arrival,
        _ => return Level { conforms: true, next: now },
    };
    let tolerance = interval(rate).saturating_mul(i64::from(rate.burst.saturating_sub(1)));
    let next = Timestamp::from_millisecond(arrival.saturating_sub(tolerance)).unwrap_or(Timestamp::MAX);
    Level { conforms: next <= now, next }
}

/// Milliseconds between two units of a rate.
fn interval(rate: Rate) -> i64 {
    millis(rate.period) / i64::from(rate.quantity.max(1))
}

fn slot(window: Duration, now: Timestamp) -> i64 {
    now.as_millisecond().div_euclid((millis(window) / SLOTS).max(1))
}

fn in_window(slot: i64, present: i64) -> bool {
    slot > present.saturating_sub(SLOTS) && slot <= present
}

fn hash(member: &[u8]) -> u64 {
    // The key is part of the stored form: it must never change.
    let mut hasher = SipHasher13::new_with_keys(0x7469_6465_6761_7465, 1);
    hasher.write(member);
    hasher.finish()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
