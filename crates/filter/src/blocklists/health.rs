//! Whether a list answers rightly: its test points (RFC 5782 section 5), asked before use and hourly, and whether it answers at all. A list
//! that is off is asked by [`Prober`] alone, for which no client waits; it is used again once it answers in the time that clients have.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_mail::Domain;

use super::code::codes;
use super::{
    Kind, List, PROBE_AHEAD, PROBE_INTERVAL, RETRY_INTERVAL, SILENCE_RETRY_INTERVAL, SILENT_FOR, SILENT_TIMES,
};
use crate::dns::reversed;
use crate::known::Known;
use crate::patience::Patience;
use crate::store::Write;
use crate::tables::LIST_HEALTH;
use crate::world::World;

/// Version of the stored form.
const VERSION: u8 = 1;

/// The outcome of a probe; also the stored form in table `list_health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// Both test points answered rightly.
    Good {
        /// When.
        at: Timestamp,
        /// Questions that it did not answer since, if it answered none after them.
        silence: Option<Silence>,
    },
    /// The list must not be used.
    Failing {
        /// What it answered instead.
        cause: String,
        /// When.
        since: Timestamp,
    },
    /// The list does not answer, and must not be waited for.
    Silent {
        /// What it did not answer.
        cause: String,
        /// When it was asked last.
        since: Timestamp,
    },
}

/// Questions without an answer, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When the first was asked.
    pub since: Timestamp,
    /// How many.
    pub times: u32,
}

impl Silence {
    /// One more question without an answer.
    fn longer(before: Option<Silence>, now: Timestamp) -> Silence {
        let since = before.map_or(now, |silence| silence.since);
        Silence { since, times: before.map_or(0, |silence| silence.times).saturating_add(1) }
    }

    fn is_an_end(&self, now: Timestamp) -> bool {
        self.times >= SILENT_TIMES && now.duration_since(self.since).unsigned_abs() >= SILENT_FOR
    }
}

impl Health {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let (word, at, rest) = match self {
            Health::Good { at, silence: None } => ("good", at, String::new()),
            Health::Good { at, silence: Some(Silence { since, times }) } => {
                ("good", at, format!("{} {times}", since.as_second()))
            }
            Health::Failing { cause, since } => ("failing", since, cause.clone()),
            Health::Silent { cause, since } => ("silent", since, cause.clone()),
        };
        let mut row = vec![VERSION];
        row.extend_from_slice(format!("{word} {} {rest}", at.as_second()).as_bytes());
        row
    }

    /// Reads the stored form; `None` for a version or text that is not ours.
    pub fn decode(row: &[u8]) -> Option<Health> {
        let text = std::str::from_utf8(row.strip_prefix(&[VERSION])?).ok()?;
        let mut words = text.splitn(3, ' ');
        let (word, at) = (words.next()?, words.next()?);
        let at = Timestamp::from_second(at.parse().ok()?).ok()?;
        match word {
            "good" => Some(Health::Good { at, silence: words.next().and_then(silence) }),
            "failing" => Some(Health::Failing { cause: words.next()?.to_owned(), since: at }),
            "silent" => Some(Health::Silent { cause: words.next()?.to_owned(), since: at }),
            _ => None,
        }
    }

    /// Why the list is switched off, if it is.
    pub fn off_because(&self) -> Option<&str> {
        match self {
            Health::Good { .. } => None,
            Health::Failing { cause, .. } | Health::Silent { cause, .. } => Some(cause),
        }
    }

    /// Whether a client's stage can go by it. That a list is off stands until the prober has found otherwise.
    pub(super) fn stands(&self, now: Timestamp) -> bool {
        match self {
            Health::Good { at, .. } => !is_over(*at, PROBE_INTERVAL, now),
            Health::Failing { .. } | Health::Silent { .. } => true,
        }
    }

    /// What is known now that a question was not answered.
    pub(super) fn unanswered(before: Option<Silence>, at: Timestamp, now: Timestamp) -> Health {
        let silence = Silence::longer(before, now);
        if silence.is_an_end(now) { Health::silent(silence, now) } else { Health::Good { at, silence: Some(silence) } }
    }

    fn silent(silence: Silence, now: Timestamp) -> Health {
        Health::Silent { cause: format!("gave no answer {} times in a row", silence.times), since: now }
    }

    /// Whether the prober has to ask again; `pause` is that of a silent list.
    fn is_due(&self, pause: Duration, now: Timestamp) -> bool {
        match self {
            Health::Good { at, .. } => is_over(*at, PROBE_INTERVAL - PROBE_AHEAD, now),
            Health::Failing { since, .. } => is_over(*since, RETRY_INTERVAL, now),
            Health::Silent { since, .. } => is_over(*since, pause, now),
        }
    }
}

fn is_over(at: Timestamp, interval: Duration, now: Timestamp) -> bool {
    now.duration_since(at).unsigned_abs() >= interval
}

fn silence(text: &str) -> Option<Silence> {
    let (since, times) = text.split_once(' ')?;
    Some(Silence { since: Timestamp::from_second(since.parse().ok()?).ok()?, times: times.parse().ok()? })
}

/// What is stored about `list`.
pub async fn stored(list: &List, world: &World, now: Timestamp) -> Known<Option<Health>> {
    let row = world.store.get(&LIST_HEALTH, list.zone.as_str().as_bytes(), now).await?;
    Ok(row.as_deref().and_then(Health::decode))
}

/// The row that stores `health`.
pub(super) fn row(list: &List, health: &Health) -> Write {
    let key = list.zone.as_str().as_bytes().to_vec();
    Write::Put { table: &LIST_HEALTH, key, value: health.encode() }
}

/// Asks lists for their test points in time, so that no client has to wait for it, and lists that are off again and again.
#[derive(Debug, Default)]
pub struct Prober {
    silent: BTreeMap<Domain, Silence>,
    pauses: BTreeMap<Domain, Pause>,
    is_at_once: bool,
}

/// How long a list that is silent is left alone.
#[derive(Clone, Copy, Debug)]
struct Pause {
    length: Duration,
    /// When the list was used again.
    ended: Option<Timestamp>,
}

impl Pause {
    const FIRST: Pause = Pause { length: SILENCE_RETRY_INTERVAL, ended: None };

    fn longer(self) -> Pause {
        Pause { length: (self.length * 2).min(RETRY_INTERVAL), ended: None }
    }
}

impl Prober {
    /// Asks what is due now. A list that is silent has to answer within `patience`, which is what a client's stage has at least. What was
    /// found out is to be stored.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn run(
        &mut self,
        lists: &[List],
        world: &World,
        patience: Duration,
        now: Timestamp,
    ) -> Known<Vec<Write>> {
        let mut due = Vec::new();
        for list in lists {
            let known = stored(list, world, now).await?;
            let pause = self.pause(list, known.as_ref(), now);
            if known.as_ref().is_none_or(|health| health.is_due(pause, now)) {
                due.push((list, known));
            }
        }
        self.is_at_once = false;
        let patient = World { dns: Arc::new(Patience::new(Arc::clone(&world.dns), patience)), ..world.clone() };
        let patient = &patient;
        let found = due.iter().map(|(list, known)| async move {
            if let Some(Health::Silent { .. }) = known {
                // Something that no cache knows, before the test points, which caches know.
                codes(&fresh_point(list, now), patient).await?;
            }
            probe(list, world, now).await
        });
        let found = join_all(found).await;
        let news = due.iter().zip(found).filter_map(|((list, known), found)| {
            let health = match found {
                Ok(health) => {
                    self.silent.remove(&list.zone);
                    self.pauses.entry(list.zone.clone()).and_modify(|pause| pause.ended = Some(now));
                    health
                }
                Err(_unanswered) => self.unanswered(list, known.as_ref(), now)?,
            };
            Some(row(list, &health))
        });
        Ok(news.collect())
    }

    /// DNS itself was dead: what was silent is asked at the next run, as if for the first time.
    pub fn begin_anew(&mut self) {
        self.pauses.clear();
        self.is_at_once = true;
    }

    /// How long `list` is left alone. One that falls silent again within the time that a good outcome is trusted was let back too soon.
    fn pause(&mut self, list: &List, known: Option<&Health>, now: Timestamp) -> Duration {
        let before = self.pauses.get(&list.zone).copied();
        let is_recent = |ended: Timestamp| !is_over(ended, PROBE_INTERVAL, now);
        let pause = match (known, before) {
            (Some(Health::Silent { .. }), Some(pause)) => match pause.ended {
                Some(ended) if is_recent(ended) => pause.longer(),
                Some(_long_ago) => Pause::FIRST,
                None => pause,
            },
            (Some(Health::Silent { .. }), None) => Pause::FIRST,
            _ => return Duration::ZERO,
        };
        self.pauses.insert(list.zone.clone(), pause);
        if self.is_at_once { Duration::ZERO } else { pause.length }
    }

    fn unanswered(&mut self, list: &List, known: Option<&Health>, now: Timestamp) -> Option<Health> {
        if let Some(Health::Failing { cause, .. }) = known {
            return Some(Health::Failing { cause: cause.clone(), since: now });
        }
        if let Some(Health::Silent { cause, .. }) = known {
            self.pauses.entry(list.zone.clone()).and_modify(|pause| *pause = pause.longer());
            return Some(Health::Silent { cause: cause.clone(), since: now });
        }
        let silence = Silence::longer(self.silent.get(&list.zone).copied(), now);
        self.silent.insert(list.zone.clone(), silence);
        silence.is_an_end(now).then(|| Health::silent(silence, now))
    }
}

/// Asks for both test points.
pub(super) async fn probe(list: &List, world: &World, now: Timestamp) -> Known<Health> {
    let (listed, unlisted) = test_points(list);
    let (on_listed, on_unlisted) = join(codes(&listed, world), codes(&unlisted, world)).await;
    let (on_listed, on_unlisted) = (on_listed?, on_unlisted?);
    let failing = |cause: String| Health::Failing { cause, since: now };
    if let Some(error) = on_listed.iter().chain(&on_unlisted).find(|code| list.is_error(**code)) {
        return Ok(failing(format!("answered {error} to its test points, which is an error and no listing")));
    }
    if !on_unlisted.is_empty() {
        return Ok(failing(format!("lists {unlisted}, which no list may list: it lists everything")));
    }
    if on_listed.is_empty() {
        return Ok(failing(format!("does not list {listed}, which it must list: it is empty or gone")));
    }
    Ok(Health::Good { at: now, silence: None })
}

/// A name that was hardly asked before: an address of a network that is on no list, or a domain that does not exist.
fn fresh_point(list: &List, now: Timestamp) -> String {
    let seconds = now.as_second();
    let [.., second, third, last] = seconds.to_be_bytes();
    match list.config.kind {
        Kind::Block | Kind::Allow => reversed(IpAddr::from([127, second | 128, third, last]), list.zone.as_str()),
        Kind::Domain => format!("t{seconds}.invalid.{}", list.zone),
    }
}

fn test_points(list: &List) -> (String, String) {
    let (listed, unlisted) = match list.config.kind {
        Kind::Block | Kind::Allow => ("127.0.0.2", "127.0.0.1"),
        Kind::Domain => ("test", "invalid"),
    };
    let zone = list.zone.as_str();
    let name = |point: &Option<String>, standard: &str| {
        let point = point.as_deref().unwrap_or(standard);
        match point.parse::<IpAddr>() {
            Ok(ip) => reversed(ip, zone),
            Err(_) => format!("{point}.{zone}"),
        }
    };
    (name(&list.config.test_listed, listed), name(&list.config.test_unlisted, unlisted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_row_still_reads() {
        let row = b"\x01failing 1767322985 answered 127.255.255.254".as_slice();
        let since = Timestamp::from_second(1_767_322_985).unwrap();
        let health = Health::Failing { cause: "answered 127.255.255.254".into(), since };
        assert_eq!(Health::decode(row), Some(health.clone()));
        assert_eq!(health.encode(), row);
        assert_eq!(Health::decode(b"\x02good 1"), None);
        assert_eq!(Health::decode(b"\x01good 1767322985 "), Some(Health::Good { at: since, silence: None }));
    }

    #[test]
    fn what_is_stored_reads() {
        let (at, cause) = (Timestamp::from_second(1_767_322_985).unwrap(), "gave no answer".to_owned());
        let silence = Some(Silence { since: at, times: 3 });
        for health in [Health::Good { at, silence }, Health::Silent { cause, since: at }] {
            assert_eq!(Health::decode(&health.encode()), Some(health));
        }
    }
}
