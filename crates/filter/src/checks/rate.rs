//! How much one client network may do at a time: connections, open sessions, guesses at recipients. Over a limit the reply is
//! "later" (451), never "no". A network with a good record may do more, one with a bad record less.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::check::{Ask, Finding, OnConnect, OnRcpt, Outcome, RefusalKind, Remember, Symbol, SymbolRef, When};
use crate::checks::Parts;
use crate::known::{Answer, Known};
use crate::panel::Mailbox;
use crate::reputation::{Standing, Subject, record};
use crate::session::{Client, Connect, Rcpt, Remote};
use crate::settings::ConfigError;
use crate::store::{Rate, Write};
use crate::tables::{CONNECTIONS, UNKNOWN_RECIPIENTS};
use crate::world::World;

static TOO_MANY_CONNECTIONS: Symbol = Symbol::refusal(
    "TOO_MANY_CONNECTIONS",
    RefusalKind::Limit,
    "too many connections from this network, please slow down",
);
static TOO_MANY_SESSIONS: Symbol =
    Symbol::refusal("TOO_MANY_SESSIONS", RefusalKind::Limit, "too many sessions of this network are open at once");
static TOO_MANY_GUESSES: Symbol = Symbol::refusal(
    "TOO_MANY_GUESSES",
    RefusalKind::Limit,
    "this network has asked for too many recipients that do not exist, please try again later",
);

/// `[checks.rate]`: for a network without a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Connections a minute, on the average.
    pub connections_per_minute: u32,
    /// Connections at once, before the average counts.
    pub connections_burst: u32,
    /// Sessions open at once.
    pub sessions_max: u32,
    /// Recipients that do not exist, within an hour.
    pub unknown_recipients_per_hour: u32,
    /// How many times as much a network with a good record may do.
    pub good_factor: u32,
    /// The fraction that a network with a bad record may do.
    pub bad_divisor: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            connections_per_minute: 120,
            connections_burst: 240,
            sessions_max: 50,
            unknown_recipients_per_hour: 30,
            good_factor: 4,
            bad_divisor: 5,
        }
    }
}

impl Config {
    /// The same for a network of `standing`.
    fn tier(&self, standing: Standing) -> Config {
        let scale = |limit: u32| match standing {
            Standing::Unknown => limit,
            Standing::Good => limit.saturating_mul(self.good_factor.max(1)),
            Standing::Bad => (limit / self.bad_divisor.max(1)).max(1),
        };
        Config {
            connections_per_minute: scale(self.connections_per_minute),
            connections_burst: scale(self.connections_burst),
            sessions_max: scale(self.sessions_max),
            unknown_recipients_per_hour: scale(self.unknown_recipients_per_hour),
            ..*self
        }
    }

    fn connections(&self) -> Rate {
        Rate { quantity: self.connections_per_minute, period: MINUTE, burst: self.connections_burst }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Window in which guesses at recipients are counted.
const GUESSES_WINDOW: Duration = Duration::from_secs(3600);

/// The check.
pub struct Check {
    config: Config,
}

impl Check {
    /// Builds the check.
    ///
    /// # Errors
    /// A limit of zero, which would shut everybody out.
    pub fn build(config: &Config, _parts: &Parts<'_>) -> Result<Check, ConfigError> {
        let limits = [
            ("connections_per_minute", config.connections_per_minute),
            ("connections_burst", config.connections_burst),
            ("sessions_max", config.sessions_max),
            ("unknown_recipients_per_hour", config.unknown_recipients_per_hour),
            ("good_factor", config.good_factor),
            ("bad_divisor", config.bad_divisor),
        ];
        match limits.iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => {
                let problem = format!("{name} = 0 would shut everybody out; to switch the check off, name it in `off`");
                Err(ConfigError::Check { check: "rate", problem })
            }
            None => Ok(Check { config: config.clone() }),
        }
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        [&TOO_MANY_CONNECTIONS, &TOO_MANY_SESSIONS, &TOO_MANY_GUESSES].into_iter().map(SymbolRef::Declared).collect()
    }

    async fn tier(&self, net: &Subject, world: &World, now: Timestamp) -> Known<Config> {
        Ok(self.config.tier(record(net, &*world.store, now).await?.standing()))
    }

    async fn about_connection(&self, remote: &Remote, ask: &Ask<'_, Connect>) -> Known<Outcome> {
        let net = Subject::network_of(remote.ip);
        let tier = self.tier(&net, ask.world, ask.now).await?;
        let level = ask.world.store.level(&CONNECTIONS, &net.key(), tier.connections(), ask.now).await?;
        let mut outcome = Outcome::nothing();
        if level.conforms {
            // What is turned away takes nothing: whoever keeps trying must still get in when the time has come.
            let write = Write::Take { table: &CONNECTIONS, key: net.key(), rate: tier.connections(), cost: 1 };
            outcome.remember.push(Remember { when: When::Always, write });
        } else {
            let evidence = format!("{net}: more than {} a minute", tier.connections_per_minute);
            outcome.findings.push(Finding::of(&TOO_MANY_CONNECTIONS, evidence).until(level.next));
        }
        if remote.open_sessions > tier.sessions_max {
            let evidence = format!("{net}: {} of {}", remote.open_sessions, tier.sessions_max);
            outcome.findings.push(Finding::of(&TOO_MANY_SESSIONS, evidence));
        }
        Ok(outcome)
    }

    async fn about_guesses(&self, remote: &Remote, ask: &Ask<'_, Rcpt>) -> Known<Outcome> {
        let net = Subject::network_of(remote.ip);
        let guesses = ask.world.store.count(&UNKNOWN_RECIPIENTS, &net.key(), GUESSES_WINDOW, ask.now).await?;
        let mut outcome = Outcome::nothing();
        if guesses > 0 {
            let limit = self.tier(&net, ask.world, ask.now).await?.unknown_recipients_per_hour;
            if guesses >= u64::from(limit) {
                let evidence = format!("{net}: {guesses} within an hour");
                outcome.findings.push(Finding::of(&TOO_MANY_GUESSES, evidence));
            }
        }
        if ask.facts.recipient.mailbox == Mailbox::Unknown {
            let (table, key) = (&UNKNOWN_RECIPIENTS, net.key());
            let write = Write::Add { table, key, amount: 1, window: GUESSES_WINDOW };
            outcome.remember.push(Remember { when: When::Spam, write });
        }
        Ok(outcome)
    }
}

impl OnConnect for Check {
    fn connect<'a>(&'a self, ask: &'a Ask<'a, Connect>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            match &ask.facts.client {
                Client::Remote(remote) if !ask.facts.trusted => {
                    self.about_connection(remote, ask).await.unwrap_or_else(Outcome::unavailable)
                }
                _ => Outcome::nothing(),
            }
        })
    }
}

impl OnRcpt for Check {
    fn rcpt<'a>(&'a self, ask: &'a Ask<'a, Rcpt>) -> Answer<'a, Outcome> {
        Box::pin(async move {
            let sender = &ask.facts.sender;
            match &sender.greeting.connect.client {
                Client::Remote(remote) if !sender.submits() => {
                    self.about_guesses(remote, ask).await.unwrap_or_else(Outcome::unavailable)
                }
                _ => Outcome::nothing(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_widens_or_narrows_every_limit() {
        let config = Config::default();
        assert_eq!(config.tier(Standing::Unknown), config);
        assert_eq!(config.tier(Standing::Good).sessions_max, 200);
        assert_eq!(config.tier(Standing::Bad).unknown_recipients_per_hour, 6);
        let narrow = Config { sessions_max: 2, ..config };
        assert_eq!(narrow.tier(Standing::Bad).sessions_max, 1, "nobody is shut out for good");
    }
}
