//! Which event is told twice: by Exim's log and by Exim itself. Both tell of the same deliveries, in any order and with any delay;
//! a recipient may be deferred again and again. So of each kind of event of a message, as many count as the teller that told more
//! of them has told.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use tidegate_watch::{Event, Kind, Outcome, QueueId};

/// Events that are remembered; those of the oldest messages are forgotten.
const EVENTS_MAX: usize = 200_000;
/// Without any telling for so long, the log alone tells, and nothing needs to be remembered.
const SILENCE_MS_MAX: i64 = 24 * 3600 * 1000;

/// Who tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Teller {
    /// The log.
    Log,
    /// Exim itself.
    Exim,
}

/// What was told by whom.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Once {
    messages: HashMap<QueueId, HashMap<u64, Told>>,
    order: VecDeque<QueueId>,
    events: usize,
    /// When Exim told something last, in milliseconds since 1970.
    exim_ms: Option<i64>,
}

/// How often each told it.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Told {
    log: u32,
    exim: u32,
}

impl Once {
    /// Exim tells something at this time.
    pub(super) fn exim_tells(&mut self, now_ms: i64) {
        self.exim_ms = Some(now_ms);
    }

    /// Whether Exim told anything lately.
    fn is_needed(&self, now_ms: i64) -> bool {
        self.exim_ms.is_some_and(|at| now_ms.saturating_sub(at) < SILENCE_MS_MAX)
    }

    /// Whether anything of this message was told.
    pub(super) fn knows(&self, id: &str) -> bool {
        QueueId::new(id).is_some_and(|id| self.messages.contains_key(&id))
    }

    /// Whether `event`, told by `teller`, was not told by the other one before.
    pub(super) fn is_new(&mut self, event: &Event<'_>, teller: Teller, now_ms: i64) -> bool {
        let (Some(id), Some(key)) = (event.id.and_then(QueueId::new), key(&event.kind)) else { return true };
        if !self.is_needed(now_ms) {
            return true;
        }
        let told = self.row(id, key);
        let (own, other) = match teller {
            Teller::Log => (&mut told.log, told.exim),
            Teller::Exim => (&mut told.exim, told.log),
        };
        *own = own.saturating_add(1);
        *own > other
    }

    fn row(&mut self, id: QueueId, key: u64) -> &mut Told {
        while self.events >= EVENTS_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.events -= self.messages.remove(&oldest).map_or(0, |events| events.len()).min(self.events);
        }
        if !self.messages.contains_key(&id) {
            self.order.push_back(id);
        }
        let events = self.messages.entry(id).or_default();
        self.events += usize::from(!events.contains_key(&key));
        events.entry(key).or_default()
    }
}

/// What an event is about, apart from the message; `None` for events that only the log tells.
///
/// The log names a local recipient without its domain and its parent in brackets, Exim itself says address and domain: what
/// they have in common is the local part.
fn key(kind: &Kind<'_>) -> Option<u64> {
    let mut hasher = SipHasher13::new();
    match kind {
        Kind::Arrival(_) => hasher.write_u8(1),
        Kind::Completed => hasher.write_u8(2),
        Kind::Delivery(delivery) => {
            hasher.write_u8(match delivery.outcome {
                Outcome::Delivered | Outcome::Discarded => 3,
                Outcome::Deferred => 4,
                Outcome::Failed => 5,
            });
            let address = delivery.address;
            let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
            hasher.write(local.to_ascii_lowercase().as_bytes());
        }
        _ => return None,
    }
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use tidegate_watch::Reader;

    use super::*;

    const ID: &str = "1vx2Ab-0005xY-Qr";

    fn is_new(once: &mut Once, text: &str, teller: Teller) -> bool {
        let line = format!("2026-03-02 10:11:12 {ID} {text}");
        once.is_new(&Reader::new().read(&line), teller, 0)
    }

    #[test]
    fn each_event_counts_as_often_as_the_one_who_told_more_has_told_it() {
        use Teller::{Exim, Log};
        let mut once = Once::default();
        once.exim_tells(0);
        for (text, teller, expected, why) in [
            ("=> a <a@example.org> R=local T=maildir", Log, true, "the first"),
            ("=> a@example.org R=local T=maildir", Exim, false, "the same, with its domain"),
            ("=> A@example.org R=local T=maildir", Exim, true, "a second delivery that the log has not told yet"),
            ("=> a <a@example.org> R=local T=maildir", Log, false, "now it has"),
            ("== a@example.org R=local T=maildir defer (1): x", Exim, true, "another outcome"),
            ("== a@example.org R=local T=maildir defer (1): x", Exim, true, "and again"),
            ("== a@example.org R=local T=maildir defer (1): x", Log, false, "once"),
            ("== a@example.org R=local T=maildir defer (1): x", Log, false, "twice"),
            ("== a@example.org R=local T=maildir defer (1): x", Log, true, "a third one"),
            ("=> b@example.org R=local T=maildir", Log, true, "another recipient"),
            ("Completed", Exim, true, "the end"),
            ("Completed", Log, false, "the end again"),
        ] {
            assert_eq!(is_new(&mut once, text, teller), expected, "{why}: {text}");
        }
    }

    #[test]
    fn without_exims_tellings_nothing_is_remembered() {
        let mut once = Once::default();
        assert!(is_new(&mut once, "Completed", Teller::Log));
        assert!(is_new(&mut once, "Completed", Teller::Log));
        assert!(once.messages.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut once = Once::default();
        once.exim_tells(0);
        for number in 0..EVENTS_MAX + 1000 {
            once.row(QueueId::new(&number.to_string()).unwrap(), 1);
        }
        assert!(once.messages.len() <= EVENTS_MAX && once.order.len() <= EVENTS_MAX);
    }
}
