//! The facts of an SMTP session, stage by stage. Each stage's value owns the one before it, so no fact is a placeholder:
//! a check that runs at RCPT cannot be handed a session without a sender.
//!
//! A value is named after what is known with it, and not after the SMTP command that made it known:
//!
//! | stage | facts | what is new |
//! | --- | --- | --- |
//! | [`Stage::Connect`] | [`Connect`] | the client |
//! | [`Stage::Helo`] | [`Greeting`] | what it calls itself |
//! | [`Stage::Mail`] | [`Sender`] | who sends; not [`Mail`], of which nothing is known yet |
//! | [`Stage::Rcpt`] | [`Rcpt`] | one recipient |
//! | [`Stage::Data`] | [`Mail`], which owns its [`Envelope`] | all recipients, and the message |

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Address, Domain, Message, ReversePath};

use crate::identity::{Fcrdns, Identity, Spf};
use crate::known::Known;
use crate::panel::{Account, Hosting, Mailbox};

/// A stage of an SMTP session, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The client has connected.
    Connect,
    /// EHLO or HELO.
    Helo,
    /// MAIL FROM.
    Mail,
    /// One RCPT TO.
    Rcpt,
    /// The message is complete.
    Data,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Connect => "connect",
            Stage::Helo => "helo",
            Stage::Mail => "mail",
            Stage::Rcpt => "rcpt",
            Stage::Data => "data",
        })
    }
}

/// Who gives us mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// An SMTP peer.
    Remote(Remote),
    /// A program on this server that called `sendmail`.
    Local(Local),
}

/// An SMTP peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its address; an IPv4 address mapped into IPv6 is given as IPv4.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// Our end of the connection, if the MTA tells.
    pub interface: Option<SocketAddr>,
    /// How many sessions this client's network has open now, this one included; those without an end have expired.
    pub open_sessions: u32,
}

/// A program on this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// Its user, if the MTA tells.
    pub uid: Option<u32>,
    /// The user's name, as the MTA gives it.
    pub user: String,
    /// Its working directory.
    pub cwd: PathBuf,
}

impl Client {
    /// The address of an SMTP peer.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Client::Remote(remote) => Some(remote.ip),
            Client::Local(_) => None,
        }
    }
}

/// Facts from the connection on.
#[derive(Clone, Debug)]
pub struct Connect {
    /// Who has connected.
    pub client: Client,
    /// Whether the client is one of the relays named in the configuration: its mail is treated as a submission.
    pub trusted: bool,
    /// Forward-confirmed reverse DNS of the client; [`Fcrdns::None`] for a local one.
    pub fcrdns: Known<Fcrdns>,
}

/// Facts from EHLO or HELO on. EHLO may come again within a session (RFC 5321 section 4.1.4): it resets the
/// transaction, never the client.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// What was known before.
    pub connect: Arc<Connect>,
    /// What the client calls itself; `None` for a message born here, and for a client that gave none.
    pub helo: Option<Helo>,
    /// TLS cipher, if the session is encrypted.
    pub tls: Option<String>,
    /// SPF of the HELO name (RFC 7208 section 2.3).
    pub spf_helo: Known<Spf>,
}

/// Facts from MAIL FROM on: those of [`Stage::Mail`].
#[derive(Clone, Debug)]
pub struct Sender {
    /// What was known before.
    pub greeting: Arc<Greeting>,
    /// The reverse-path.
    pub path: ReversePath,
    /// The SMTP login, if the client authenticated.
    pub login: Option<Login>,
    /// SPF of the reverse-path, or of `postmaster@HELO` for the null path (RFC 7208 section 2.4).
    pub spf: Known<Spf>,
}

/// One RCPT TO and all that was known before it.
#[derive(Clone, Debug)]
pub struct Rcpt {
    /// What was known before.
    pub sender: Arc<Sender>,
    /// The recipient asked for.
    pub recipient: Recipient,
    /// Recipients of this transaction so far, this one included, accepted or not.
    pub count: u32,
    /// Recipients of this transaction that were refused before this one.
    pub refused: u32,
}

/// Facts when all recipients are known.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// What was known before.
    pub sender: Arc<Sender>,
    /// Recipients that were accepted at RCPT, in order.
    pub recipients: Vec<Recipient>,
}

/// Facts when the message is complete: those of [`Stage::Data`]. A mail is envelope and message (RFC 5321 section 2.3.1).
#[derive(Clone, Debug)]
pub struct Mail {
    /// What was known before.
    pub envelope: Arc<Envelope>,
    /// The message as received.
    pub message: Arc<Message>,
    /// Which domains vouch for it.
    pub identity: Identity,
}

/// What a client calls itself in EHLO or HELO: hostile text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Helo(String);

impl Helo {
    /// The name as the client wrote it.
    pub fn new(text: impl Into<String>) -> Helo {
        Helo(text.into())
    }

    /// The text as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, if the text is a domain name and no address in any form.
    pub fn domain(&self) -> Option<Domain> {
        if self.0.parse::<IpAddr>().is_ok() {
            return None;
        }
        Domain::parse(&self.0).ok().filter(|domain| !domain.is_literal())
    }

    /// The address, if the text is an address literal (`[192.0.2.1]`, `[IPv6:2001:db8::1]`; RFC 5321 section 4.1.3).
    pub fn literal(&self) -> Option<IpAddr> {
        let inner = self.0.strip_prefix('[')?.strip_suffix(']')?;
        let address = match inner.get(..5) {
            Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inner.get(5..)?,
            _ => inner,
        };
        address.parse().ok()
    }
}

/// An SMTP login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The name the client logged in with.
    pub id: String,
    /// The MTA's authenticator, such as `dovecot_login`.
    pub authenticator: String,
    /// The hosting account the login belongs to, if the panel knows.
    pub account: Option<Account>,
}

/// A recipient and what the panel knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The forward-path.
    pub address: Address,
    /// Which way the message goes for this recipient.
    pub direction: Direction,
    /// How mail for its domain is handled here.
    pub hosting: Hosting,
    /// What stands behind the address; [`Mailbox::NotListed`] unless the domain is delivered here.
    pub mailbox: Mailbox,
}

/// Which way a message goes, for one recipient. Policies differ by direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Unauthenticated, to a domain delivered here.
    Inbound,
    /// From a login, from a user of this server, or from a trusted relay.
    Submission,
    /// Inbound, but leaving again: a forwarder, or a domain that another server delivers.
    Forwarded,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Inbound => "inbound",
            Direction::Submission => "submission",
            Direction::Forwarded => "forwarded",
        })
    }
}

impl Sender {
    /// Whether the mail is submitted here rather than brought here: by a login, a local user or a trusted relay.
    pub fn submits(&self) -> bool {
        let connect = &self.greeting.connect;
        self.login.is_some() || connect.trusted || matches!(connect.client, Client::Local(_))
    }

    /// The domain that SPF was asked about at MAIL: that of the reverse-path, or the HELO name for the null path (RFC 7208
    /// section 2.4).
    pub fn spf_domain(&self) -> Option<Domain> {
        match self.path.domain() {
            Some(domain) => Some(domain.clone()),
            None => self.greeting.helo.as_ref().and_then(Helo::domain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helo_is_a_name_a_literal_or_neither() {
        assert_eq!(Helo::new("mx.example.net").domain().map(|d| d.to_string()).as_deref(), Some("mx.example.net"));
        assert_eq!(Helo::new("[192.0.2.1]").literal(), Some("192.0.2.1".parse().unwrap()));
        assert_eq!(Helo::new("[IPv6:2001:db8::1]").literal(), Some("2001:db8::1".parse().unwrap()));
        for text in ["192.0.2.1", "[", "", "a b", "[x]"] {
            let helo = Helo::new(text);
            assert!(helo.domain().is_none() && helo.literal().is_none(), "{text}");
        }
    }
}
