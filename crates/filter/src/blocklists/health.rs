//! Whether a list answers rightly: its test points (RFC 5782 section 5), asked before use and hourly.

use std::net::IpAddr;

use futures_util::future::join;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::code::codes;
use super::{Kind, List, PROBE_INTERVAL, RETRY_INTERVAL};
use crate::dns::reversed;
use crate::known::Known;
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
    },
    /// The list must not be used.
    Failing {
        /// What it answered instead.
        cause: String,
        /// When.
        since: Timestamp,
    },
}

impl Health {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let (word, at, cause) = match self {
            Health::Good { at } => ("good", at, ""),
            Health::Failing { cause, since } => ("failing", since, cause.as_str()),
        };
        let mut row = vec![VERSION];
        row.extend_from_slice(format!("{word} {} {cause}", at.as_second()).as_bytes());
        row
    }

    /// Reads the stored form; `None` for a version or text that is not ours.
    pub fn decode(row: &[u8]) -> Option<Health> {
        let text = std::str::from_utf8(row.strip_prefix(&[VERSION])?).ok()?;
        let mut words = text.splitn(3, ' ');
        let (word, at) = (words.next()?, words.next()?);
        let at = Timestamp::from_second(at.parse().ok()?).ok()?;
        match word {
            "good" => Some(Health::Good { at }),
            "failing" => Some(Health::Failing { cause: words.next()?.to_owned(), since: at }),
            _ => None,
        }
    }

    fn is_current(&self, now: Timestamp) -> bool {
        let (at, interval) = match self {
            Health::Good { at } => (at, PROBE_INTERVAL),
            Health::Failing { since, .. } => (since, RETRY_INTERVAL),
        };
        now.duration_since(*at).unsigned_abs() < interval
    }
}

/// The health of `list` by its last probe or, when that is too old, by a new one; `true` if it is new and has to be
/// remembered.
///
/// `Err` when neither is to be had: DNS or the store did not answer.
pub async fn health(list: &List, world: &World, now: Timestamp) -> Known<(Health, bool)> {
    let row = world.store.get(&LIST_HEALTH, list.zone.as_str().as_bytes(), now).await?;
    match row.as_deref().and_then(Health::decode).filter(|health| health.is_current(now)) {
        Some(health) => Ok((health, false)),
        None => Ok((probe(list, world, now).await?, true)),
    }
}

async fn probe(list: &List, world: &World, now: Timestamp) -> Known<Health> {
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
    Ok(Health::Good { at: now })
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
    }
}
