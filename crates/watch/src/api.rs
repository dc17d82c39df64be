//! Events and reports as programs get them: one JSON object a line, with stable names.
//!
//! Text stays as it stood in the log and is hostile wherever it is shown.

pub mod report;

use serde::Serialize;

use crate::event::{Delivery, Event, Kind, Outcome, Peer, Source};

/// One event in the form of `logs --events --json`. Fields that an event does not have are left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EventRow<'a> {
    /// The file, as it was given.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub file: &'a str,
    /// Number of the line in its file, from 1.
    pub line: u64,
    /// RFC 3339, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// `exim`, `postfix`, `dovecot`, `webmail` or `other`.
    pub program: &'static str,
    /// What happened; see the reference page.
    pub kind: &'static str,
    /// A closer word: the stage of a rejection, the fate of a session, the trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Queue id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    /// Process id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Envelope sender; empty for `<>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<&'a str>,
    /// Envelope recipients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<&'a str>,
    /// The recipient from which the one of a delivery was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<&'a str>,
    /// Address of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_ip: Option<String>,
    /// Confirmed name of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<&'a str>,
    /// What the client said in HELO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub helo: Option<&'a str>,
    /// Who had logged in, or tried to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_user: Option<&'a str>,
    /// Authenticator or mechanism.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_method: Option<&'a str>,
    /// Login name of a local caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_user: Option<&'a str>,
    /// Uid of a local caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Directory in which a command was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<&'a str>,
    /// The command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<&'a str>,
    /// `esmtps`, `local` …, or for logins the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'a str>,
    /// TLS version and cipher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<&'a str>,
    /// Octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Message-ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<&'a str>,
    /// Subject as logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<&'a str>,
    /// Queue id of the message to which this is a bounce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bounce_of: Option<&'a str>,
    /// Router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<&'a str>,
    /// Transport.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<&'a str>,
    /// Host to which mail went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a str>,
    /// Address of that host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
    /// SMTP reply code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Why something was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The words of the line that say more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
    /// Whether the line can be read in two ways; what differs is left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
    /// What the event holds against its client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offence: Option<crate::OffenceKind>,
}

impl<'a> EventRow<'a> {
    /// The row of an event on line `line` of `file`.
    #[must_use]
    pub fn new(file: &'a str, line: u64, event: &Event<'a>) -> EventRow<'a> {
        let mut row = EventRow {
            file,
            line,
            time: event.time.map(|time| time.to_string()),
            program: match event.source {
                Source::Exim => "exim",
                Source::Postfix => "postfix",
                Source::Dovecot => "dovecot",
                Source::Webmail => "webmail",
                Source::Other => "other",
            },
            id: event.id,
            pid: event.pid,
            offence: event.offence().map(|offence| offence.kind),
            ..EventRow::default()
        };
        row.fill(&event.kind);
        row
    }

    fn fill(&mut self, kind: &Kind<'a>) {
        self.kind = name(kind);
        match kind {
            Kind::Arrival(arrival) => {
                self.sender = arrival.sender;
                self.recipients = arrival.recipients.iter().collect();
                self.client(&arrival.peer);
                self.auth_user = arrival.auth.and_then(|auth| auth.id);
                self.auth_method = arrival.auth.map(|auth| auth.mechanism);
                self.uid = arrival.uid;
                self.protocol = arrival.protocol;
                self.tls = arrival.tls;
                self.size = arrival.size;
                self.message_id = arrival.message_id;
                self.subject = arrival.subject;
                self.bounce_of = arrival.bounce_of;
                self.doubtful = arrival.is_doubtful;
            }
            Kind::Delivery(delivery) => self.delivery(delivery),
            Kind::Rejection(rejection) => {
                self.client(&rejection.peer);
                self.what = Some(snake(&format!("{:?}", rejection.stage)));
                self.cause = Some(snake(&format!("{:?}", rejection.cause)));
                self.sender = rejection.sender;
                self.recipients = rejection.recipient.into_iter().collect();
                self.auth_user = rejection.auth.and_then(|auth| auth.id);
                self.auth_method = rejection.auth.map(|auth| auth.mechanism);
                self.text = Some(rejection.text);
                self.doubtful = rejection.is_doubtful;
            }
            Kind::AuthFailure(failure) => {
                self.client(&failure.peer);
                self.auth_user = failure.user;
                self.auth_method = failure.mechanism;
                self.protocol = Some(failure.service);
                self.doubtful = failure.is_doubtful;
            }
            Kind::Login(login) => {
                self.client(&login.peer);
                self.auth_user = Some(login.user);
                self.auth_method = login.mechanism;
                self.protocol = Some(login.service);
            }
            Kind::Session(session) => {
                self.client(&session.peer);
                self.what = Some(snake(&format!("{:?}", session.what)));
                self.text = Some(session.text);
                self.doubtful = session.is_doubtful;
            }
            Kind::Command(command) => (self.cwd, self.args) = (Some(command.cwd), Some(command.args)),
            Kind::Queue(queue) => self.what = Some(snake(&format!("{queue:?}"))),
            Kind::Trouble(trouble) => self.what = Some(snake(&format!("{trouble:?}"))),
            Kind::Leftover(leftover) => self.what = Some(snake(&format!("{leftover:?}"))),
            Kind::Reputation(reputation) => {
                self.client(&reputation.peer);
                self.what = Some(reputation.check.to_owned());
                self.text = Some(reputation.text);
            }
            Kind::Note(text) => self.text = Some(text),
            Kind::Completed | Kind::Daemon | Kind::Trace | Kind::Foreign | Kind::Empty | Kind::Unknown => {}
        }
    }

    fn client(&mut self, peer: &Peer<'a>) {
        self.client_ip = peer.ip.map(|ip| ip.to_string());
        self.client_name = peer.name;
        self.helo = peer.helo;
        self.local_user = peer.ident;
    }

    fn delivery(&mut self, delivery: &Delivery<'a>) {
        self.recipients = vec![delivery.address];
        self.original = delivery.original;
        self.sender = delivery.sender;
        self.router = delivery.router;
        self.transport = delivery.transport;
        self.host = delivery.host.name;
        self.host_ip = delivery.host.ip.map(|ip| ip.to_string());
        self.tls = delivery.tls;
        self.size = delivery.size;
        self.code = delivery.reply.map(|reply| reply.code);
        self.text = delivery.text;
    }
}

/// The name of a kind of event, as programs see it.
fn name(kind: &Kind<'_>) -> &'static str {
    match kind {
        Kind::Arrival(_) => "arrival",
        Kind::Delivery(delivery) => match delivery.outcome {
            Outcome::Delivered => "delivery",
            Outcome::Deferred => "deferral",
            Outcome::Failed => "failure",
            Outcome::Discarded => "discard",
        },
        Kind::Completed => "completed",
        Kind::Rejection(_) => "rejection",
        Kind::AuthFailure(_) => "auth_failure",
        Kind::Login(_) => "login",
        Kind::Session(_) => "session",
        Kind::Command(_) => "command",
        Kind::Queue(_) => "queue",
        Kind::Trouble(_) => "trouble",
        Kind::Reputation(_) => "check",
        Kind::Leftover(_) => "leftover",
        Kind::Daemon => "daemon",
        Kind::Note(_) => "note",
        Kind::Trace => "trace",
        Kind::Foreign => "foreign",
        Kind::Empty => "empty",
        Kind::Unknown => "unknown",
    }
}

/// `UnknownRecipient` as `unknown_recipient`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}
