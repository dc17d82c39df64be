//! The administrator's own allow and block lists: clients, domains, addresses, HELO names and reverse names, for the server,
//! an account, a domain or one mailbox. The entries come with the configuration; `tidegate list` changes them.
//!
//! An allow entry for a sender holds only if SPF or DKIM vouches for the name, since anybody can write it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_mail::{Address, Domain};

use crate::check::{
    Ask, Class, Finding, Group, OnConnect, OnData, OnHelo, OnMail, OnRcpt, Outcome, RefusalKind, Symbol, SymbolRef,
};
use crate::checks::Parts;
use crate::identity::Fcrdns;
use crate::known::Answer;
use crate::panel::Hosting;
use crate::session::{Connect, Greeting, Mail, Rcpt, Recipient, Sender};
use crate::settings::ConfigError;

mod entry;
mod index;

pub use entry::{Entry, EntryError, Scope, Side, Subject};
use index::Index;

static BLOCKED_CLIENT: Symbol =
    Symbol::refusal("BLOCKED_CLIENT", RefusalKind::BlockList, "the client is on this server's block list");
static BLOCKED_HELO: Symbol =
    Symbol::refusal("BLOCKED_HELO", RefusalKind::BlockList, "the client's HELO name is on this server's block list");
static BLOCKED_SENDER: Symbol =
    Symbol::refusal("BLOCKED_SENDER", RefusalKind::BlockList, "the sender is on this server's block list");
static ALLOWED_CLIENT: Symbol =
    Symbol::evidence("ALLOWED_CLIENT", 0, Group::Alone, "the client is on this server's allow list")
        .with_class(Class::Allow);
static ALLOWED_SENDER: Symbol = Symbol::evidence(
    "ALLOWED_SENDER",
    0,
    Group::Alone,
    "the sender is on this server's allow list, and SPF or DKIM vouches for it",
)
.with_class(Class::Allow);
static ALLOWED_SENDER_UNPROVEN: Symbol = Symbol::evidence(
    "ALLOWED_SENDER_UNPROVEN",
    0,
    Group::Alone,
    "the sender is on this server's allow list, but nothing vouches for it, so the entry does not apply",
);

/// `[checks.lists]`: nothing to set; the entries are kept by `tidegate list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}

/// The check.
pub struct Check {
    index: Index,
}

impl Check {
    /// Builds the check from the entries.
    ///
    /// # Errors
    /// None; entries were checked when they were read.
    pub fn build(_config: &Config, parts: &Parts<'_>) -> Result<Check, ConfigError> {
        Ok(Check { index: Index::new(parts.lists) })
    }

    /// Every symbol it can find.
    pub fn symbols(&self) -> Vec<SymbolRef> {
        let all = [
            &BLOCKED_CLIENT,
            &BLOCKED_HELO,
            &BLOCKED_SENDER,
            &ALLOWED_CLIENT,
            &ALLOWED_SENDER,
            &ALLOWED_SENDER_UNPROVEN,
        ];
        all.into_iter().map(SymbolRef::Declared).collect()
    }

    /// Entries about the client that hold within `reach`.
    fn client_entries(&self, connect: &Connect, reach: &Reach<'_>) -> Vec<&Entry> {
        let by_ip = connect.client.ip().into_iter().flat_map(|ip| self.index.of_ip(ip));
        let names = match &connect.fcrdns {
            Ok(Fcrdns::Confirmed(names)) => names.as_slice(),
            _ => &[],
        };
        let by_name = names.iter().flat_map(|name| self.index.of_reverse_name(name));
        by_ip.chain(by_name).filter(|entry| reach.covers(entry)).collect()
    }

    fn sender_entries(&self, sender: &Address, reach: &Reach<'_>) -> Vec<&Entry> {
        self.index.of_sender(sender).filter(|entry| reach.covers(entry)).collect()
    }
}

/// Whose entries are looked at: the server's, or those of one recipient.
struct Reach<'a> {
    recipient: Option<&'a Recipient>,
    now: jiff::Timestamp,
}

impl Reach<'_> {
    fn covers(&self, entry: &Entry) -> bool {
        if entry.until.is_some_and(|until| until <= self.now) {
            return false;
        }
        match (&entry.scope, self.recipient) {
            (Scope::Server, None) => true,
            (Scope::Server, Some(_)) | (_, None) => false,
            (Scope::Account(account), Some(recipient)) => match &recipient.hosting {
                Hosting::Local(owner) | Hosting::Relayed(owner) => owner.as_ref() == Some(account),
                Hosting::Foreign => false,
            },
            (Scope::Domain(domain), Some(recipient)) => recipient.address.domain() == domain,
            (Scope::Mailbox(mailbox), Some(recipient)) => recipient.address.to_lowercase() == *mailbox,
        }
    }
}

/// The entries of the narrowest scope: what a mailbox says stands before what its domain says.
fn narrowest<'a>(entries: &[&'a Entry]) -> Vec<&'a Entry> {
    let narrow = entries.iter().map(|entry| entry.scope.width()).min();
    entries.iter().copied().filter(|entry| Some(entry.scope.width()) == narrow).collect()
}

impl OnConnect for Check {
    fn connect<'a>(&'a self, ask: &'a Ask<'a, Connect>) -> Answer<'a, Outcome> {
        let reach = Reach { recipient: None, now: ask.now };
        let entries = self.client_entries(ask.facts, &reach);
        let outcome = entries.into_iter().map(about_client).collect();
        Box::pin(std::future::ready(outcome))
    }
}

fn about_client(entry: &Entry) -> Finding {
    let symbol = match entry.side {
        Side::Allow => &ALLOWED_CLIENT,
        Side::Block => &BLOCKED_CLIENT,
    };
    Finding::of(symbol, entry.to_string())
}

impl OnHelo for Check {
    fn helo<'a>(&'a self, ask: &'a Ask<'a, Greeting>) -> Answer<'a, Outcome> {
        let reach = Reach { recipient: None, now: ask.now };
        let entries = ask.facts.helo.as_ref().into_iter().flat_map(|helo| self.index.of_helo(helo));
        // A HELO name is the client's own claim, so it can only be blocked.
        let blocked = entries.filter(|entry| entry.side == Side::Block && reach.covers(entry));
        let outcome = blocked.map(|entry| Finding::of(&BLOCKED_HELO, entry.to_string())).collect();
        Box::pin(std::future::ready(outcome))
    }
}

impl OnMail for Check {
    fn mail<'a>(&'a self, ask: &'a Ask<'a, Sender>) -> Answer<'a, Outcome> {
        let reach = Reach { recipient: None, now: ask.now };
        let entries = ask.facts.path.address().map(|address| self.sender_entries(address, &reach)).unwrap_or_default();
        let outcome = entries.into_iter().filter_map(|entry| about_envelope_sender(entry, ask.facts)).collect();
        Box::pin(std::future::ready(outcome))
    }
}

/// At MAIL only SPF can vouch; DKIM may still do so when the message is known.
fn about_envelope_sender(entry: &Entry, sender: &Sender) -> Option<Finding> {
    match entry.side {
        Side::Block => Some(Finding::of(&BLOCKED_SENDER, entry.to_string())),
        Side::Allow => spf_vouches(entry, sender).then(|| Finding::of(&ALLOWED_SENDER, entry.to_string())),
    }
}

fn spf_vouches(entry: &Entry, sender: &Sender) -> bool {
    let domain = sender.spf.as_ref().ok().and_then(|spf| spf.vouching_domain());
    domain.is_some_and(|domain| entry.is_about(domain))
}

impl OnRcpt for Check {
    fn rcpt<'a>(&'a self, ask: &'a Ask<'a, Rcpt>) -> Answer<'a, Outcome> {
        let Rcpt { sender, recipient, .. } = ask.facts;
        let reach = Reach { recipient: Some(recipient), now: ask.now };
        let client = self.client_entries(&sender.greeting.connect, &reach);
        let envelope = sender.path.address().map(|address| self.sender_entries(address, &reach)).unwrap_or_default();
        let about_client = narrowest(&client).into_iter().map(about_client);
        let about_sender = narrowest(&envelope).into_iter().filter_map(|entry| about_envelope_sender(entry, sender));
        let outcome = about_client.chain(about_sender).collect();
        Box::pin(std::future::ready(outcome))
    }
}

impl OnData for Check {
    fn data<'a>(&'a self, ask: &'a Ask<'a, Mail>) -> Answer<'a, Outcome> {
        let mail = ask.facts;
        let server = Reach { recipient: None, now: ask.now };
        let mut outcome: Outcome = self.about_message(mail, &server).collect();
        for recipient in &mail.envelope.recipients {
            let reach = Reach { recipient: Some(recipient), now: ask.now };
            let own = self.about_message(mail, &reach).map(|finding| finding.only_for(recipient.address.clone()));
            outcome.findings.extend(own);
        }
        Box::pin(std::future::ready(outcome))
    }
}

impl Check {
    /// The author (`From`) as well as the envelope sender, now that signatures are known.
    fn about_message<'a>(&'a self, mail: &'a Mail, reach: &Reach<'_>) -> impl Iterator<Item = Finding> + 'a {
        let author = mail.message.author().and_then(|author| author.address.as_ref());
        let author = author.filter(|author| Some(*author) != mail.envelope.sender.path.address());
        let of_author = author.map(|author| self.sender_entries(author, reach)).unwrap_or_default();
        let of_path = mail.envelope.sender.path.address().map(|path| self.sender_entries(path, reach));
        let blocked = narrowest(&of_author).into_iter().filter(|entry| entry.side == Side::Block);
        let blocked: Vec<Finding> = blocked.map(|entry| Finding::of(&BLOCKED_SENDER, entry.to_string())).collect();
        let mut allowed: Vec<&Entry> = narrowest(&of_author);
        allowed.extend(narrowest(&of_path.unwrap_or_default()));
        allowed.retain(|entry| entry.side == Side::Allow);
        allowed.dedup();
        blocked.into_iter().chain(allowed.into_iter().filter_map(|entry| about_author(entry, mail)))
    }
}

fn about_author(entry: &Entry, mail: &Mail) -> Option<Finding> {
    // Where SPF vouched, the finding was made at MAIL or RCPT already.
    if spf_vouches(entry, &mail.envelope.sender)
        && mail.envelope.sender.path.domain().is_some_and(|d| entry.is_about(d))
    {
        return None;
    }
    let signed = mail.identity.signers().any(|signer| entry.is_about(signer));
    let symbol = if signed { &ALLOWED_SENDER } else { &ALLOWED_SENDER_UNPROVEN };
    Some(Finding::of(symbol, entry.to_string()))
}

impl Entry {
    /// Whether `domain` can vouch for the sender that the entry names.
    fn is_about(&self, domain: &Domain) -> bool {
        match &self.subject {
            Subject::Domain(own) => domain.is_within(own),
            Subject::Address(address) => domain == address.domain(),
            Subject::Client(_) | Subject::Helo(_) | Subject::ReverseName(_) => false,
        }
    }
}
