//! Patterns over many events: guessing of passwords, dictionaries of recipients, floods and leaks of our own users.
//!
//! A detector takes events in the order of the log and gives alerts. Its whole state is a value that can be stored and read
//! again, in bounded memory, with the log's own time as its only clock. One line is an [`Offence`](crate::Offence); an
//! [`Alert`] stands for a pattern of many, each kind one signal of its own. What follows from it is for the policy: acting on
//! a standing thing needs two signals that do not depend on each other.

mod inbound;
mod limit;
mod login;
mod outbound;
mod table;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Delivery, Event, Kind};
use crate::time::Timestamp;
use crate::transaction::{Message, Step};
use inbound::Inbound;
pub use limit::{Holder, Limit, Limits, Use};
use login::Logins;
use outbound::Outbound;

/// A pattern that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What pattern.
    pub kind: AlertKind,
    /// Who shows it: an address, a network, a login, a script.
    pub subject: Subject,
    /// When the last line of it was written.
    pub time: Timestamp,
    /// How often, within the time that `evidence` names.
    pub times: u32,
    /// A sentence for an administrator.
    pub evidence: String,
}

/// Patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// One address fails to log in again and again.
    Guessing,
    /// The same over hours.
    SlowGuessing,
    /// One address tries many names.
    Spraying,
    /// Many addresses of one network fail to log in.
    NetworkGuessing,
    /// Many addresses fail to log in under one name. Nothing to ban by itself: the login is the victim.
    DistributedGuessing,
    /// One address asks for many mailboxes that do not exist.
    Dictionary,
    /// A login succeeded from a network from which it had failed again and again.
    GuessedPassword,
    /// Many logins that used to work fail at once: the server is broken, and nobody is to be banned for it.
    LoginsBroken,
    /// Far more recipients than ever before.
    Volume,
    /// A login used from many networks at once.
    ManyNetworks,
    /// Much mail from networks from which this login never sent.
    NewNetwork,
    /// A script sends in bursts.
    ScriptBurst,
    /// Many recipients do not exist.
    UnknownRecipients,
    /// Other servers refuse much of it as spam.
    RefusedAsSpam,
    /// More than the limit that the administrator set.
    OverLimit,
}

/// Who shows a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An address.
    Ip(std::net::IpAddr),
    /// A network, as `192.0.2.0/24`.
    Network(String),
    /// A login.
    Login(String),
    /// A directory or script, and the local user it runs as.
    Script {
        /// Local user.
        user: String,
        /// Directory or script.
        script: String,
    },
    /// A local user by an unknown program.
    User(String),
    /// An address that forwards.
    Forwarder(String),
    /// A host that sends to elsewhere through us without a login.
    Relay(String),
    /// An account as a whole.
    Account(String),
    /// The server itself.
    Server,
}

/// Thresholds. All are counts within the time that their name says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Failed logins of one address in ten minutes.
    pub failures_10m: u32,
    /// Failed logins of one address in six hours, under at least three names.
    pub failures_6h: u32,
    /// Names that one address tries in an hour.
    pub names_1h: u32,
    /// Addresses of one network that fail in ten minutes.
    pub network_addresses_10m: u32,
    /// Addresses that fail under one name in an hour.
    pub login_addresses_1h: u32,
    /// Failures under one name in a day after which a success from the same network counts as guessed.
    pub failures_before_success_1d: u32,
    /// Unknown recipients that one address asks for in ten minutes.
    pub unknown_asked_10m: u32,
    /// Recipients of one sender in an hour from which on its own past is compared.
    pub recipients_1h: u32,
    /// How many times its own former peak counts as a flood.
    pub peak_factor: u32,
    /// Networks from which one login sends in an hour.
    pub networks_1h: u32,
    /// Recipients in an hour from networks that are new to a login.
    pub new_network_recipients_1h: u32,
    /// Recipients of one script in an hour, whatever its past.
    pub script_recipients_1h: u32,
    /// Recipients of one sender in an hour that do not exist.
    pub unknown_recipients_1h: u32,
    /// Their least share of all, in percent.
    pub unknown_percent: u32,
    /// Refusals for spam of one sender in an hour.
    pub spam_refusals_1h: u32,
    /// The same four in a day, for those who send slowly.
    pub recipients_1d: u32,
    /// Recipients in a day from networks that are new to a login.
    pub new_network_recipients_1d: u32,
    /// Recipients of one sender in a day that do not exist.
    pub unknown_recipients_1d: u32,
    /// Refusals for spam of one sender in a day.
    pub spam_refusals_1d: u32,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            failures_10m: 5,
            failures_6h: 20,
            names_1h: 8,
            network_addresses_10m: 8,
            login_addresses_1h: 12,
            failures_before_success_1d: 20,
            unknown_asked_10m: 10,
            recipients_1h: 60,
            peak_factor: 5,
            networks_1h: 5,
            new_network_recipients_1h: 50,
            script_recipients_1h: 100,
            unknown_recipients_1h: 25,
            unknown_percent: 10,
            spam_refusals_1h: 10,
            recipients_1d: 150,
            new_network_recipients_1d: 100,
            unknown_recipients_1d: 40,
            spam_refusals_1d: 25,
        }
    }
}

/// Version of the stored form.
const STATE_VERSION: u32 = 1;

/// All detectors with their state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Detectors {
    version: u32,
    thresholds: Thresholds,
    logins: Logins,
    inbound: Inbound,
    outbound: Outbound,
}

impl Detectors {
    /// Detectors that have seen nothing.
    #[must_use]
    pub fn new(thresholds: Thresholds) -> Detectors {
        Detectors {
            version: STATE_VERSION,
            thresholds,
            logins: Logins::default(),
            inbound: Inbound::default(),
            outbound: Outbound::default(),
        }
    }

    /// Other thresholds; what was counted stays.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Takes one event. Lines of our own, and those of a panel that already holds somebody, give nothing.
    pub fn feed(&mut self, event: &Event<'_>) -> Vec<Alert> {
        let Some(time) = event.time else { return Vec::new() };
        if is_echo_event(event) {
            return Vec::new();
        }
        let mut alerts = self.logins.feed(event, time, &self.thresholds);
        alerts.extend(self.inbound.feed(event, time, &self.thresholds));
        alerts
    }

    /// Takes one step of a message, as a [`Joiner`](crate::Joiner) tells it.
    pub fn step(&mut self, step: &Step<'_, '_>) -> Vec<Alert> {
        match step {
            Step::Arrived(message) => self.arrived(message),
            Step::Outcome(message, delivery) if !is_echo(delivery.text.unwrap_or("")) => {
                self.outcome(message, delivery)
            }
            _ => Vec::new(),
        }
    }

    fn arrived(&mut self, message: &Message) -> Vec<Alert> {
        // A line that can be read in two ways is held against nobody.
        if message.is_doubtful {
            return Vec::new();
        }
        let mut alerts = self.logins.sent(message, &self.thresholds);
        alerts.extend(self.outbound.arrived(message, &self.thresholds));
        alerts
    }

    fn outcome(&mut self, message: &Message, delivery: &Delivery<'_>) -> Vec<Alert> {
        if message.is_doubtful {
            return Vec::new();
        }
        self.outbound.outcome(message, delivery, &self.thresholds)
    }
}

/// How our own lines begin.
const OWN_MARK: &str = "tidegate:";
/// How a panel's words about somebody that it holds begin, and what they say. They come again at every try, so reacting to
/// them would hold somebody for ever.
const PANEL_SUBJECTS: [&str; 4] = ["Sender ", "Domain ", "User ", "Account "];
const PANEL_WORDS: [&str; 6] = [
    "has an outgoing mail hold",
    "has an outgoing mail suspension",
    "has exceeded the max defers and failures per hour",
    "has exceeded the max emails per hour",
    "exceeded the max emails per hour",
    "Message discarded.",
];
/// cPanel's router that carries out its holds and limits.
const PANEL_ROUTER: &str = "enforce_mail_permissions";

/// Whether words come from our own or a panel's holding of somebody. Where the words begin counts: a client that could put a
/// mark anywhere into a line would not be seen any more.
#[must_use]
pub fn is_echo(text: &str) -> bool {
    let is_panel = PANEL_SUBJECTS.iter().any(|subject| text.starts_with(subject));
    text.starts_with(OWN_MARK) || (is_panel && PANEL_WORDS.iter().any(|words| text.contains(words)))
}

/// The same for a delivery: what another server answered is never an echo.
fn is_echo_delivery(delivery: &Delivery<'_>) -> bool {
    let is_ours = delivery.host.ip.is_none() && delivery.host.name.is_none();
    is_ours && (delivery.router == Some(PANEL_ROUTER) || is_echo(delivery.text.unwrap_or("")))
}

fn is_echo_event(event: &Event<'_>) -> bool {
    match &event.kind {
        Kind::Rejection(rejection) => is_echo(rejection.text),
        Kind::Delivery(delivery) => is_echo_delivery(delivery),
        Kind::Note(text) => is_echo(text),
        Kind::Reputation(reputation) => is_echo(reputation.text),
        _ => false,
    }
}
