//! Records packed together, and the filter that tells whether a key may be among them.

use std::collections::BTreeSet;

use siphasher::sip128::SipHasher13;

use super::JournalError;
use super::record::Entry;

/// zstd's level. Above it a block takes much longer and hardly gets smaller.
const LEVEL: i32 = 12;
/// Largest block when unpacked; a larger one is damage.
const UNPACKED_MAX: usize = 256 << 20;
/// Bits of a filter for each key; with [`PROBES`] one in three hundred answers "maybe" is wrong.
const BITS_A_KEY: usize = 12;
const PROBES: u64 = 8;

/// Lines of JSON, one for each entry.
pub(super) fn pack(lines: &[Vec<u8>]) -> Result<Vec<u8>, JournalError> {
    let octets = lines.join(&b'\n');
    zstd::bulk::compress(&octets, LEVEL).map_err(|error| JournalError(format!("compression: {error}")))
}

/// The entries of a block. One that does not read is left out and counted: its neighbours are as good as before.
pub(super) fn unpack(octets: &[u8]) -> Result<(Vec<Entry>, u64), JournalError> {
    let damaged = |error: std::io::Error| JournalError(format!("a block does not unpack: {error}"));
    let size = zstd::bulk::Decompressor::upper_bound(octets).unwrap_or(UNPACKED_MAX).min(UNPACKED_MAX);
    let lines = zstd::bulk::decompress(octets, size).map_err(damaged)?;
    let mut unreadable = 0;
    let mut entries = Vec::new();
    for line in lines.split(|octet| *octet == b'\n') {
        match serde_json::from_slice(line) {
            Ok(entry) => entries.push(entry),
            Err(_) => unreadable += 1,
        }
    }
    Ok((entries, unreadable))
}

/// A Bloom filter of all keys of `entries`.
pub(super) fn filter<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<u8> {
    let keys: BTreeSet<String> = entries.flat_map(Entry::keys).collect();
    let mut filter = vec![0; (keys.len() * BITS_A_KEY).div_ceil(8)];
    for key in keys {
        for (octet, bit) in places(&key, filter.len()) {
            if let Some(octet) = filter.get_mut(octet) {
                *octet |= bit;
            }
        }
    }
    filter
}

/// Whether `key` may be among the keys of `filter`; `false` is certain.
pub(super) fn may_hold(filter: &[u8], key: &str) -> bool {
    places(key, filter.len()).all(|(octet, bit)| filter.get(octet).is_some_and(|octet| octet & bit != 0))
}

/// Octet and bit of each probe, by double hashing.
fn places(key: &str, octets: usize) -> impl Iterator<Item = (usize, u8)> {
    // The key of the hash is part of the stored form: it must never change.
    let hash = SipHasher13::new_with_keys(0x7469_6465_6761_7465, 2).hash(key.as_bytes());
    let bits = u64::try_from(octets).unwrap_or(u64::MAX).saturating_mul(8).max(1);
    (0..PROBES).map(move |probe| {
        let bit = hash.h1.wrapping_add(probe.wrapping_mul(hash.h2)) % bits;
        (usize::try_from(bit / 8).unwrap_or(usize::MAX), 1 << (bit % 8))
    })
}
