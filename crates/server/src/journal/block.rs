//! Records packed together, and the filter that tells whether a key may be among them.
//!
//! A record says the same few names many times: the sender's domain stands in the greeting, in SPF, in DKIM, in the header
//! that is added. Each such text is taken out once and stands in the rest as one control character, which JSON never holds.
//! What is left is nearly the same for all records with the same findings; the texts of each kind are compressed together.

use std::collections::BTreeSet;

use siphasher::sip128::SipHasher13;
use tidegate_mail::ReversePath;
use zstd::zstd_safe::CParameter;

use super::JournalError;
use super::record::Entry;

/// zstd's level. Level 17 takes twice as long, and the block is larger by a fiftieth.
const LEVEL: i32 = 15;
/// Places that zstd remembers, as powers of two: for a column of some megabytes, its own choice takes ten times the memory and spares nothing.
const CHAIN_LOG: u32 = 19;
const HASH_LOG: u32 = 17;
/// Largest column when unpacked; a larger one is damage.
const UNPACKED_MAX: usize = 64 << 20;
/// Longest record when unpacked; a longer one is damage.
const RECORD_OCTETS_MAX: usize = 64 << 20;
/// Texts taken out of a record. They are marked by the characters from 1 on, leaving out the line end.
const MARKS: [char; 14] = [
    '\u{1}', '\u{2}', '\u{3}', '\u{4}', '\u{5}', '\u{6}', '\u{7}', '\u{8}', '\u{b}', '\u{c}', '\u{e}', '\u{f}',
    '\u{10}', '\u{11}',
];
/// Shortest text worth taking out; a shorter one would be found in the names of fields.
const TEXT_OCTETS_MIN: usize = 6;
/// Bits of a filter for each key; with [`PROBES`] one in a hundred and twenty answers "maybe" is wrong.
const BITS_A_KEY: usize = 10;
const PROBES: u64 = 7;

/// Packs entries, each given with its line of JSON.
pub(super) fn pack(entries: &[(Entry, Vec<u8>)]) -> Result<Vec<u8>, JournalError> {
    let mut columns: Vec<String> = vec![String::new(); MARKS.len() + 1];
    for (entry, line) in entries {
        let mut rest = String::from_utf8_lossy(line).into_owned();
        let texts = take_out(entry, &mut rest);
        for (column, text) in columns.iter_mut().zip(texts.iter().chain([&rest])) {
            column.push_str(text);
            column.push('\n');
        }
    }
    let failed = |error: std::io::Error| JournalError(format!("compression: {error}"));
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(failed)?;
    compressor.include_checksum(true).map_err(failed)?;
    for parameter in [CParameter::ChainLog(CHAIN_LOG), CParameter::HashLog(HASH_LOG)] {
        compressor.set_parameter(parameter).map_err(failed)?;
    }
    let mut packed = Vec::new();
    for column in columns {
        let octets = compressor.compress(column.as_bytes()).map_err(failed)?;
        let length = u32::try_from(octets.len()).map_err(|_| JournalError("a block is too large".into()))?;
        packed.extend_from_slice(&length.to_be_bytes());
        packed.extend_from_slice(&octets);
    }
    Ok(packed)
}

/// Replaces texts of `entry` in its line by marks; returns the texts in the order of the marks, empty where there is none.
fn take_out(entry: &Entry, line: &mut String) -> Vec<String> {
    let record = &entry.record;
    let domain = record.sender.as_ref().and_then(ReversePath::domain);
    let domain = domain.map(|domain| domain.organization().to_string());
    let client = record.client.map(|ip| ip.to_string());
    let first = record.recipients().next().map(ToString::to_string);
    let numbers = format!("\"duration_us\":{}", record.duration_us);
    let recipients = entry.repeats.as_ref().map(|repeats| field("recipients", &repeats.recipients));
    // In this order: a text may hold those before it.
    let texts = [
        domain.map(|text| inner(&text)),
        client.as_ref().map(|text| inner(text)),
        client.as_ref().map(|text| text.replace('.', "-")),
        Some(inner(&record.id)),
        record.helo.as_ref().map(|text| inner(text)),
        record.sender.as_ref().map(|path| inner(&path.to_string())),
        first.map(|text| inner(&text)),
        recipients,
        record.message_id.as_ref().map(|text| inner(text)),
        record.subject.as_ref().map(|text| inner(text)),
        record.mta_id.as_ref().map(|text| inner(text)),
        record.size.map(|size| format!("\"size\":{size}")),
        Some(numbers),
        Some(inner(&record.at.to_string())),
    ];
    let mut taken: Vec<String> = Vec::new();
    for (mark, text) in MARKS.iter().zip(texts) {
        let mut text = text.unwrap_or_default();
        for (mark, earlier) in MARKS.iter().zip(&taken).filter(|(_, earlier)| !earlier.is_empty()) {
            text = text.replace(earlier, mark.encode_utf8(&mut [0; 4]));
        }
        if text.len() < TEXT_OCTETS_MIN || !line.contains(&text) {
            text.clear();
        } else {
            *line = line.replace(&text, mark.encode_utf8(&mut [0; 4]));
        }
        taken.push(text);
    }
    taken
}

/// A text as JSON has it between quotes.
fn inner(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

/// A field as JSON has it within an object.
fn field(name: &str, value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).map(|value| format!("\"{name}\":{value}")).unwrap_or_default()
}

/// The entries of a block. One that does not read is left out and counted: its neighbours are as good as before.
pub(super) fn unpack(mut octets: &[u8]) -> Result<(Vec<Entry>, u64), JournalError> {
    let damaged = || JournalError("a block does not unpack".into());
    let mut columns = Vec::new();
    while let Some((length, rest)) = octets.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
        let (column, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        octets = rest;
        let size = zstd::bulk::Decompressor::upper_bound(column).unwrap_or(UNPACKED_MAX).min(UNPACKED_MAX);
        let column = zstd::bulk::decompress(column, size).map_err(|_| damaged())?;
        columns.push(String::from_utf8(column).map_err(|_| damaged())?);
    }
    let Some(rests) = columns.pop().filter(|_| columns.len() == MARKS.len()) else { return Err(damaged()) };
    let mut columns: Vec<_> = columns.iter().map(|column| column.lines()).collect();
    let (mut entries, mut unreadable) = (Vec::new(), 0);
    for rest in rests.lines() {
        let texts: Vec<&str> = columns.iter_mut().map_while(Iterator::next).collect();
        if texts.len() != MARKS.len() {
            return Err(damaged());
        }
        match put_back(rest, &texts).and_then(|line| serde_json::from_str(&line).ok()) {
            Some(entry) => entries.push(entry),
            None => unreadable += 1,
        }
    }
    Ok((entries, unreadable))
}

/// The line as it was; `None` if that would be longer than any record.
fn put_back(rest: &str, texts: &[&str]) -> Option<String> {
    let mut line = rest.to_owned();
    for (mark, text) in MARKS.iter().zip(texts).rev() {
        let growth = line.matches(*mark).count().checked_mul(text.len())?;
        if line.len().checked_add(growth)? > RECORD_OCTETS_MAX {
            return None;
        }
        line = line.replace(*mark, text);
    }
    Some(line)
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
