//! What one event holds against a client: the kind of misdeed, the address, the login name that was tried.
//!
//! One line is never a reason to act. Detectors count offences; the policy decides.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::event::{AuthFailure, Connection, Event, Failing, Kind, Rejection, Session, Stage};

/// A misdeed of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Offence<'a> {
    /// What it did.
    pub kind: OffenceKind,
    /// Who did it. Never taken from a line that can be read in two ways.
    pub ip: IpAddr,
    /// The login name that was tried; hostile.
    pub user: Option<&'a str>,
    /// How often, where one line stands for more than one.
    pub times: u32,
}

/// Kinds of misdeeds, from grave to slight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffenceKind {
    /// Tried a login that failed.
    AuthFailure,
    /// Tried to log in where that is not offered, or with a mechanism that is not.
    AuthNotOffered,
    /// Tried to log in without ever finishing.
    AuthAborted,
    /// Sent malware.
    Malware,
    /// Sent spam.
    Spam,
    /// Is on a blocklist.
    Blocklisted,
    /// Asked for a mailbox that does not exist.
    UnknownRecipient,
    /// Asked to relay.
    Relay,
    /// Gave a sender that does not exist.
    SenderUnverified,
    /// Gave a HELO that is malformed or forged.
    Helo,
    /// Broke the protocol.
    Protocol,
    /// Made too many errors or too many connections.
    TooMany,
    /// Was refused or dropped by policy.
    Refused,
    /// Came and went without sending.
    NoMail,
    /// Broke off in the midst of a session.
    Lost,
    /// Has no name, or one that does not fit.
    ReverseDns,
}

impl<'a> Event<'a> {
    /// What this event holds against its client; `None` if nothing, if the client is not known for certain, or if the fault
    /// was the server's.
    #[must_use]
    pub fn offence(&self) -> Option<Offence<'a>> {
        match &self.kind {
            Kind::AuthFailure(failure) => of_auth_failure(failure),
            Kind::Rejection(rejection) => of_rejection(rejection),
            Kind::Session(session) => of_session(session),
            Kind::Reputation(reputation) if reputation.is_spam => offence(OffenceKind::Spam, reputation.peer.ip),
            _ => None,
        }
    }
}

fn offence<'a>(kind: OffenceKind, ip: Option<IpAddr>) -> Option<Offence<'a>> {
    Some(Offence { kind, ip: ip?, user: None, times: 1 })
}

fn of_auth_failure<'a>(failure: &AuthFailure<'a>) -> Option<Offence<'a>> {
    if failure.is_server_fault || failure.is_doubtful {
        return None;
    }
    let ip = failure.peer.ip?;
    Some(Offence { kind: OffenceKind::AuthFailure, ip, user: failure.user, times: failure.attempts })
}

fn of_rejection<'a>(rejection: &Rejection<'a>) -> Option<Offence<'a>> {
    // A client that has logged in is our own user: what it does wrong is for the outbound side.
    if rejection.is_doubtful || rejection.auth.is_some() {
        return None;
    }
    let kind = match rejection.cause {
        Failing::Malware => OffenceKind::Malware,
        Failing::Spam => OffenceKind::Spam,
        Failing::Blocklisted => OffenceKind::Blocklisted,
        Failing::UnknownRecipient => OffenceKind::UnknownRecipient,
        Failing::Relay => OffenceKind::Relay,
        Failing::SenderUnverified => OffenceKind::SenderUnverified,
        Failing::Helo => OffenceKind::Helo,
        Failing::ReverseDns => OffenceKind::ReverseDns,
        Failing::Protocol => OffenceKind::Protocol,
        Failing::Limit => OffenceKind::TooMany,
        Failing::TryLater => return None,
        Failing::Other => match rejection.stage {
            Stage::LocalScan => OffenceKind::Spam,
            _ if rejection.is_temporary => return None,
            _ => OffenceKind::Refused,
        },
    };
    offence(kind, rejection.peer.ip)
}

fn of_session<'a>(session: &Session<'a>) -> Option<Offence<'a>> {
    if session.is_doubtful {
        return None;
    }
    let kind = match session.what {
        Connection::Opened | Connection::Closed | Connection::TimedOut | Connection::TlsError => return None,
        // Breaking off within the content happens to good clients on bad lines.
        Connection::Lost if ["DATA", "while reading", "BDAT"].iter().any(|w| session.text.starts_with(w)) => {
            return None;
        }
        // The end of the session has a line that counts the same login.
        Connection::Lost if session.text.starts_with("AUTH") => return None,
        Connection::Lost => OffenceKind::Lost,
        Connection::AuthNotOffered => OffenceKind::AuthNotOffered,
        Connection::ClosedAfterAuthFailure => OffenceKind::AuthAborted,
        Connection::SyncError | Connection::ProtocolError | Connection::Pregreet => OffenceKind::Protocol,
        Connection::TooManyErrors | Connection::RateLimit => OffenceKind::TooMany,
        Connection::Refused | Connection::Dropped => OffenceKind::Refused,
        Connection::NoMail | Connection::NoAuth => OffenceKind::NoMail,
        Connection::NoHostName | Connection::HostNameMismatch => OffenceKind::ReverseDns,
    };
    offence(kind, session.peer.ip)
}
