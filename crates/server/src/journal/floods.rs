//! Refusals before DATA that say the same of the same client become one entry that counts.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use siphasher::sip::SipHasher13;
use tidegate_filter::policy::Weighed;
use tidegate_filter::verdict::Action;

use super::record::{Entry, Record, Repeats};

/// How long an entry stays open after its last refusal.
const IDLE: Duration = Duration::from_secs(600);
/// How long an entry stays open after its first refusal.
const LONGEST: Duration = Duration::from_secs(3600);
/// Entries that are open at most, each some kilobytes; above it the oldest are closed.
const OPEN_MAX: usize = 4_000;
/// Recipients an entry names besides the first: they are half of what a flood takes on disk, and the client is what tells.
const RECIPIENTS_MAX: usize = 6;

/// Entries of one day that still count.
#[derive(Default)]
pub(super) struct Floods {
    open: HashMap<i64, Open>,
}

struct Open {
    entry: Entry,
    /// Whether it has changed since it was written.
    is_changed: bool,
}

impl Floods {
    /// Adds a refusal to the entry of its kind, or opens one. An earlier entry that no longer counts is handed back.
    pub(super) fn add(&mut self, record: Record) -> Option<(i64, Entry)> {
        let kind = kind(&record);
        match self.open.get_mut(&kind) {
            Some(open) if !has_ended(&open.entry, record.at) => {
                open.is_changed = true;
                repeat(&mut open.entry, &record);
                None
            }
            _ => {
                let entry = Entry { record, repeats: None };
                let earlier = self.open.insert(kind, Open { entry, is_changed: true });
                earlier.map(|open| (kind, open.entry))
            }
        }
    }

    /// Entries to be written, with the number of their kind.
    pub(super) fn changed(&self) -> impl Iterator<Item = (i64, &Entry)> {
        self.open.iter().filter(|(_, open)| open.is_changed).map(|(kind, open)| (*kind, &open.entry))
    }

    pub(super) fn written(&mut self) {
        self.open.values_mut().for_each(|open| open.is_changed = false);
    }

    /// Takes out the entries that no longer count at `now`.
    pub(super) fn close(&mut self, now: Timestamp) -> Vec<(i64, Entry)> {
        let has_ended = |open: &Open| has_ended(&open.entry, now);
        let mut kinds: Vec<i64> = self.open.iter().filter(|(_, open)| has_ended(open)).map(|(kind, _)| *kind).collect();
        if self.open.len() - kinds.len() > OPEN_MAX {
            let mut by_age: Vec<_> = self.open.iter().map(|(kind, open)| (open.entry.last(), *kind)).collect();
            by_age.sort_unstable();
            // A quarter at once, so that this is not done at every refusal.
            kinds = by_age.into_iter().take(OPEN_MAX / 4).map(|(_, kind)| kind).collect();
        }
        kinds.into_iter().filter_map(|kind| Some((kind, self.open.remove(&kind)?.entry))).collect()
    }

    /// Takes out all entries.
    pub(super) fn close_all(&mut self) -> Vec<(i64, Entry)> {
        self.open.drain().map(|(kind, open)| (kind, open.entry)).collect()
    }
}

/// Whether an entry counts no more at `now`. A clock that was set back ends it as well.
fn has_ended(entry: &Entry, now: Timestamp) -> bool {
    now.duration_since(entry.last()).unsigned_abs() >= IDLE
        || now.duration_since(entry.record.at).unsigned_abs() >= LONGEST
}

fn repeat(entry: &mut Entry, record: &Record) {
    let first: Vec<_> = entry.record.recipients().cloned().collect();
    let none = || Repeats { count: 0, last: record.at, recipients: Vec::new() };
    let repeats = entry.repeats.get_or_insert_with(none);
    repeats.count = repeats.count.saturating_add(1);
    repeats.last = repeats.last.max(record.at);
    for recipient in record.recipients() {
        let is_known = first.contains(recipient) || repeats.recipients.contains(recipient);
        if !is_known && repeats.recipients.len() < RECIPIENTS_MAX {
            repeats.recipients.push(recipient.clone());
        }
    }
}

/// What two refusals must share to say the same.
fn kind(record: &Record) -> i64 {
    let mut hasher = SipHasher13::new();
    record.client.hash(&mut hasher);
    record.login.hash(&mut hasher);
    record.uid.hash(&mut hasher);
    record.brief.stage.hash(&mut hasher);
    record.verdict.action.hash(&mut hasher);
    record.verdict.reply.code.hash(&mut hasher);
    record.engine.hash(&mut hasher);
    let own = record.brief.recipients.iter().flat_map(|recipient| &recipient.findings);
    let mut symbols: Vec<&str> = record.brief.findings.iter().chain(own).map(|f: &Weighed| f.symbol.as_str()).collect();
    symbols.sort_unstable();
    symbols.hash(&mut hasher);
    // Who waits for a greylisted message asks by sender and recipient.
    if matches!(record.verdict.action, Action::Greylist | Action::Defer) {
        record.sender.as_ref().map(ToString::to_string).hash(&mut hasher);
        record.recipients().for_each(|recipient| recipient.to_string().hash(&mut hasher));
    }
    i64::from_ne_bytes(hasher.finish().to_ne_bytes())
}
