//! Refusals before DATA that say the same of the same client become one entry that counts. Which entry that is, is settled before
//! the reply ([`Names`]), so that the reply carries the id under which its refusal will be found; the thread that writes puts together
//! what has one id ([`Floods`]).

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use siphasher::sip::SipHasher13;
use tidegate_filter::policy::Weighed;
use tidegate_filter::verdict::Action;

use super::day;
use super::record::{Entry, REPEATED_RECIPIENTS_MAX, Record, Repeats};

/// How long an entry stays open after its last refusal.
const IDLE: Duration = Duration::from_secs(600);
/// How long an entry stays open after its first refusal.
const LONGEST: Duration = Duration::from_secs(3600);
/// Entries that are open at most, each some kilobytes; above it the oldest are closed.
const OPEN_MAX: usize = 4_000;

/// Who opened an entry that still counts: the ids that further refusals of its kind will have. They are of one process: after a
/// restart, each kind begins anew.
#[derive(Default)]
pub(super) struct Names {
    by_kind: HashMap<i64, Named>,
}

struct Named {
    id: String,
    first: Timestamp,
    last: Timestamp,
}

impl Names {
    /// Gives `record` the id of the entry it will be added to; it keeps its own if it opens one.
    pub(super) fn name(&mut self, record: &mut Record) {
        let (kind, at) = (kind(record), record.at);
        match self.by_kind.get_mut(&kind) {
            // The entry stands in the file of its day.
            Some(named) if !has_ended(named.first, named.last, at) && day::date(named.first) == day::date(at) => {
                named.last = named.last.max(at);
                record.id.clone_from(&named.id);
            }
            _ => {
                self.by_kind.insert(kind, Named { id: record.id.clone(), first: at, last: at });
                if self.by_kind.len() > OPEN_MAX {
                    self.forget(at);
                }
            }
        }
    }

    /// Forgets what has ended by `now` and, if there are still too many, the quarter that was idle longest.
    fn forget(&mut self, now: Timestamp) {
        self.by_kind.retain(|_, named| !has_ended(named.first, named.last, now));
        if self.by_kind.len() <= OPEN_MAX {
            return;
        }
        let mut by_age: Vec<_> = self.by_kind.iter().map(|(kind, named)| (named.last, *kind)).collect();
        by_age.sort_unstable();
        for (_, kind) in by_age.into_iter().take(OPEN_MAX / 4) {
            self.by_kind.remove(&kind);
        }
    }
}

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
    /// Adds a refusal to the entry of its kind that has its id, or opens one. An earlier entry that no longer counts is handed back.
    pub(super) fn add(&mut self, record: Record) -> Option<(i64, Entry)> {
        let kind = kind_and_id(&record);
        match self.open.get_mut(&kind) {
            Some(open) if !open.has_ended(record.at) => {
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
        let mut kinds: Vec<i64> =
            self.open.iter().filter(|(_, open)| open.has_ended(now)).map(|(kind, _)| *kind).collect();
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

impl Open {
    fn has_ended(&self, now: Timestamp) -> bool {
        has_ended(self.entry.record.at, self.entry.last(), now)
    }
}

/// Whether an entry of which the `first` and the `last` refusal are known counts no more at `now`. A clock that was set back ends it
/// as well.
fn has_ended(first: Timestamp, last: Timestamp, now: Timestamp) -> bool {
    now.duration_since(last).unsigned_abs() >= IDLE || now.duration_since(first).unsigned_abs() >= LONGEST
}

fn repeat(entry: &mut Entry, record: &Record) {
    let first: Vec<_> = entry.record.recipients().cloned().collect();
    let none = || Repeats { count: 0, last: record.at, recipients: Vec::new() };
    let repeats = entry.repeats.get_or_insert_with(none);
    repeats.count = repeats.count.saturating_add(1);
    repeats.last = repeats.last.max(record.at);
    for recipient in record.recipients() {
        let is_known = first.contains(recipient) || repeats.recipients.contains(recipient);
        if !is_known && repeats.recipients.len() < REPEATED_RECIPIENTS_MAX {
            repeats.recipients.push(recipient.clone());
        }
    }
}

/// What two refusals must share to be one entry. The id alone would not do: that of a transaction stands in all its refusals, for
/// whatever reason.
fn kind_and_id(record: &Record) -> i64 {
    let mut hasher = SipHasher13::new();
    kind(record).hash(&mut hasher);
    record.id.hash(&mut hasher);
    i64::from_ne_bytes(hasher.finish().to_ne_bytes())
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
    record.unheard.hash(&mut hasher);
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
