//! Greylisting (RFC 6647): has this sender waited before? Reports what the tables `greylist_waiting` and `greylist_known`
//! hold of the proven party, with weight 0. Does not defer and does not write: the policy greylists in the suspicious score
//! band, and the rows are written when the reply has really been sent.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Address, ReversePath};

use crate::check::{Ask, Class, Finding, Group, OnData, OnRcpt, Outcome, Remember, Symbol, SymbolRef, When};
use crate::checks::Parts;
use crate::known::{Answer, Known};
use crate::party::Party;
use crate::session::{Mail, Rcpt, Sender};
use crate::settings::ConfigError;
use crate::store::Write;
use crate::tables::{GREYLIST_KNOWN, GREYLIST_WAITING};

static GREYLIST_NEW: Symbol =
    Symbol::evidence("GREYLIST_NEW", 0, Group::Alone, "the sender has not been seen before").with_class(Class::Waiting);
static GREYLIST_WAIT: Symbol =
    Symbol::evidence("GREYLIST_WAIT", 0, Group::Alone, "the sender has come again too early")
        .with_class(Class::Waiting);
static GREYLIST_PASSED: Symbol =
    Symbol::evidence("GREYLIST_PASSED", 0, Group::Alone, "the sender has waited and come again");

/// `[checks.greylist]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Seconds that an unknown sender has to wait.
    pub delay_s: u32,
    /// Hours within which it has to come again.
    pub window_h: u32,
    /// Days that a sender who waited once is remembered, from its last accepted message on.
    pub memory_days: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config { delay_s: 300, window_h: 48, memory_days: 35 }
    }
}

/// The check.
pub struct Check {
    delay: Duration,
    window: Duration,
    memory: Duration,
}

impl Check {
    /// Builds the check.
    ///
    /// # Errors
    /// Times that contradict each other, or are longer than the tables keep their rows.
    pub fn build(config: &Config, _parts: &Parts<'_>) -> Result<Check, ConfigError> {
        let delay = Duration::from_secs(u64::from(config.delay_s));
        let window = Duration::from_secs(u64::from(config.window_h) * 3600);
        let memory = Duration::from_secs(u64::from(config.memory_days) * 86_400);
        let problem = if delay >= window {
            "window_h is shorter than delay_s: nobody could ever pass; raise window_h".to_owned()
        } else if window > GREYLIST_WAITING.ttl {
            format!("window_h may be {} at most", GREYLIST_WAITING.ttl.as_secs() / 3600)
        } else if memory > GREYLIST_KNOWN.ttl {
            format!("memory_days may be {} at most", GREYLIST_KNOWN.ttl.as_secs() / 86_400)
        } else {
            return Ok(Check { delay, window, memory });
        };
        Err(ConfigError::Check { check: "greylist", problem })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        [&GREYLIST_NEW, &GREYLIST_WAIT, &GREYLIST_PASSED].into_iter().map(SymbolRef::Declared).collect()
    }

    async fn look<F>(&self, party: &Party, recipient: &Address, ask: &Ask<'_, F>) -> Known<Outcome> {
        let (store, now) = (&ask.world.store, ask.now);
        let known = store.get(&GREYLIST_KNOWN, &party.key(), now).await?;
        let waiting_key = waiting_key(party, recipient);
        let waiting = store.get(&GREYLIST_WAITING, &waiting_key, now).await?;
        let state = self.state(known.as_deref().and_then(decode), waiting.as_deref().and_then(decode), now);
        Ok(self.outcome(state, party, waiting_key, now))
    }

    /// What the rows say: `known` is when a message of the party was last accepted, `waiting` when this one was first
    /// refused.
    fn state(&self, known: Option<Timestamp>, waiting: Option<Timestamp>, now: Timestamp) -> State {
        if let Some(last) = known.filter(|last| age(*last, now) < self.memory) {
            return State::Known { is_fresh: age(last, now) < REFRESH };
        }
        match waiting.map(|first| (first, age(first, now))) {
            Some((first, waited)) if waited < self.delay => State::Waiting { first },
            Some((_, waited)) if waited < self.window => State::Passed { waited },
            _ => State::New,
        }
    }

    fn outcome(&self, state: State, party: &Party, waiting_key: Vec<u8>, now: Timestamp) -> Outcome {
        let until = |first: Timestamp| first.saturating_add(signed(self.delay)).unwrap_or(Timestamp::MAX);
        let put = |when| Remember {
            when,
            write: Write::Put { table: &GREYLIST_KNOWN, key: party.key(), value: encode(now) },
        };
        // Mail that is accepted as it is makes its sender known, so that a later suspicious one does not wait; but not
        // a mere network, whose next message may be anybody's.
        let if_ham = || (!matches!(party, Party::Network(_))).then(|| put(When::Ham));
        match state {
            State::Known { is_fresh: true } => Outcome::nothing(),
            State::Known { is_fresh: false } => Outcome { remember: vec![put(When::Accepted)], ..Outcome::default() },
            State::Passed { waited } => {
                let evidence = match waited.as_secs() {
                    seconds @ ..60 => format!("{party}, waited {seconds} s"),
                    seconds => format!("{party}, waited {} min", seconds / 60),
                };
                let finding = Finding::of(&GREYLIST_PASSED, evidence);
                Outcome { remember: vec![put(When::Accepted)], ..Outcome::found(finding) }
            }
            State::Waiting { first } => {
                let finding = Finding::of(&GREYLIST_WAIT, format!("{party}, since {first}")).until(until(first));
                Outcome { remember: if_ham().into_iter().collect(), ..Outcome::found(finding) }
            }
            State::New => {
                let value = encode(now);
                let write = Write::Put { table: &GREYLIST_WAITING, key: waiting_key, value };
                let wait = Remember { when: When::Greylisted, write };
                let finding = Finding::of(&GREYLIST_NEW, party.to_string()).until(until(now));
                Outcome { remember: if_ham().into_iter().chain([wait]).collect(), ..Outcome::found(finding) }
            }
        }
    }
}

/// A known sender's row is written again when it is older than this; not with every message.
const REFRESH: Duration = Duration::from_secs(86_400);

#[derive(Debug, PartialEq, Eq)]
enum State {
    Known { is_fresh: bool },
    Passed { waited: Duration },
    Waiting { first: Timestamp },
    New,
}

impl OnRcpt for Check {
    fn rcpt<'a>(&'a self, ask: &'a Ask<'a, Rcpt>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let Rcpt { sender, recipient, .. } = ask.facts;
            // A signature could still make it another party unless SPF vouches already.
            match Party::by_spf(sender).filter(|_| may_wait(sender)) {
                Some(party) => {
                    let outcome = self.look(&party, &recipient.address, ask).await;
                    outcome.unwrap_or_else(Outcome::unavailable)
                }
                None => Outcome::nothing(),
            }
        })
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let envelope = &ask.facts.envelope;
            let sender = &envelope.sender;
            let is_new_here = may_wait(sender) && Party::by_spf(sender).is_none();
            // There is one reply for all recipients, so one of them stands for the message; the same one when it comes
            // again in another order.
            let recipient = envelope.recipients.iter().map(|recipient| &recipient.address).min();
            match (Party::of(ask.facts).filter(|_| is_new_here), recipient) {
                (Some(party), Some(recipient)) => {
                    self.look(&party, recipient, ask).await.unwrap_or_else(Outcome::unavailable)
                }
                _ => Outcome::nothing(),
            }
        })
    }
}

/// Bounces are not made to wait: their sender cannot be known, and callbacks of other servers come as bounces.
fn may_wait(sender: &Sender) -> bool {
    !sender.submits() && sender.path != ReversePath::Null
}

/// Version of the stored form of both tables.
const VERSION: u8 = 1;

fn waiting_key(party: &Party, recipient: &Address) -> Vec<u8> {
    let mut key = party.key();
    key.push(0);
    key.extend_from_slice(recipient.to_lowercase().to_string().as_bytes());
    key
}

/// A moment as both tables keep it: version, then seconds since 1970 in eight octets, big end first.
fn encode(at: Timestamp) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend_from_slice(&at.as_second().to_be_bytes());
    row
}

fn decode(row: &[u8]) -> Option<Timestamp> {
    let seconds = row.strip_prefix(&[VERSION])?.try_into().ok()?;
    Timestamp::from_second(i64::from_be_bytes(seconds)).ok()
}

/// How long ago `at` was; nothing when the clock was set back since.
fn age(at: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(at).try_into().unwrap_or(Duration::ZERO)
}

fn signed(duration: Duration) -> SignedDuration {
    duration.try_into().unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocklists::Catalogue;
    use crate::settings::{Deadlines, ServerIdentity};

    #[test]
    fn times_that_contradict_each_other_are_refused() {
        let identity = ServerIdentity { hostname: "mx.test".parse().unwrap(), trusted_relays: Vec::new() };
        let blocklists = Catalogue::new();
        let parts = Parts {
            identity: &identity,
            lists: &[],
            blocklists: &blocklists,
            rules: None,
            deadlines: Deadlines::default(),
            declared: &[],
        };
        let problem = |config| Check::build(&config, &parts).err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(problem(Config::default()), "");
        assert!(problem(Config { delay_s: 7200, window_h: 1, ..Config::default() }).contains("raise window_h"));
        assert!(problem(Config { window_h: 1000, ..Config::default() }).contains("72 at most"));
        assert!(problem(Config { memory_days: 400, ..Config::default() }).contains("40 at most"));
    }

    #[test]
    fn an_old_row_still_reads() {
        let row = b"\x01\0\0\0\0\x69\x57\x34\x29";
        let at = Timestamp::from_second(0x6957_3429).unwrap();
        assert_eq!(decode(row), Some(at));
        assert_eq!(encode(at), row);
        assert_eq!(decode(b"\x02\0\0\0\0\x69\x57\x34\x29"), None);
        assert_eq!(decode(b"\x01"), None);
    }

    #[test]
    fn one_waits_then_passes_within_the_window() {
        let hours = |h: u64| Duration::from_secs(h * 3600);
        let check = Check { delay: Duration::from_secs(300), window: hours(48), memory: hours(35 * 24) };
        let at = |second: i64| Timestamp::from_second(1_767_000_000 + second).unwrap();
        let first = at(0);
        assert_eq!(check.state(None, None, at(0)), State::New);
        assert_eq!(check.state(None, Some(first), at(299)), State::Waiting { first });
        assert_eq!(check.state(None, Some(first), at(300)), State::Passed { waited: Duration::from_secs(300) });
        assert_eq!(check.state(None, Some(first), at(48 * 3600)), State::New);
        assert_eq!(check.state(None, Some(first), at(-60)), State::Waiting { first });
        assert_eq!(check.state(Some(at(0)), Some(first), at(10)), State::Known { is_fresh: true });
        assert_eq!(check.state(Some(at(0)), None, at(86_400)), State::Known { is_fresh: false });
        assert_eq!(check.state(Some(at(0)), None, at(35 * 86_400)), State::New);
    }
}
