//! What rules are told besides the message: envelope, client and identity, from the facts that the session has already.

use jiff::Timestamp;
use tidegate_rules::input::{DmarcResult, Identity, Signature, SpfResult};
use tidegate_rules::{Context, Relay};

use crate::identity::{self, ArcResult, DkimResult, Dmarc, DmarcPolicy, Fcrdns, Spf};
use crate::known::Known;
use crate::session::{Client, Mail, Sender};

/// The context of `mail`, which came in at `now`.
pub(super) fn context(mail: &Mail, now: Timestamp) -> Context {
    let sender = &mail.envelope.sender;
    Context {
        envelope_from: Some(sender.path.address().map(ToString::to_string).unwrap_or_default()),
        recipients: mail.envelope.recipients.iter().map(|recipient| recipient.address.to_string()).collect(),
        client: client(sender),
        identity: identity(mail),
        spam_probability: None,
        received_at: Some(now.as_second()),
    }
}

/// The client as the nearest relay; none for a message that was born here.
fn client(sender: &Sender) -> Option<Relay> {
    let greeting = &sender.greeting;
    // The unspecified address stands for a client that nobody knows.
    let address = greeting.connect.client.ip().filter(|address| !address.is_unspecified())?;
    let rdns = match &greeting.connect.fcrdns {
        Ok(Fcrdns::Confirmed(names)) => names.first().map(|name| name.as_str()).unwrap_or_default(),
        _ => "",
    };
    let helo = greeting.helo.as_ref().map(|helo| helo.as_str()).unwrap_or_default();
    let auth = if sender.login.is_some() { "esmtpa" } else { "" };
    Some(Relay::client(address, rdns, helo, "", auth))
}

fn identity(mail: &Mail) -> Identity {
    let sender = &mail.envelope.sender;
    // A message that was born here has no client that SPF could be about.
    let is_remote = matches!(sender.greeting.connect.client, Client::Remote(_));
    let spf_of = |known: &Known<Spf>| if is_remote { spf(known) } else { SpfResult::Unknown };
    let is_signed = mail.message.header("DKIM-Signature").is_some();
    let is_verified = !mail.identity.dkim.is_empty() || !is_signed;
    Identity {
        spf: spf_of(&sender.spf),
        spf_helo: spf_of(&sender.greeting.spf_helo),
        dkim: is_verified.then(|| mail.identity.dkim.iter().map(signature).collect()),
        dmarc: mail.identity.dmarc.as_ref().map_or(DmarcResult::Unknown, dmarc),
        arc_valid: mail.identity.arc.as_ref().ok().map(|chain| chain.result == ArcResult::Pass),
    }
}

fn spf(known: &Known<Spf>) -> SpfResult {
    match known {
        Err(_unavailable) => SpfResult::TempError,
        Ok(spf) => match spf.result {
            identity::SpfResult::None => SpfResult::None,
            identity::SpfResult::Neutral => SpfResult::Neutral,
            // What is given to everyone proves nothing, and lists of trusted senders ask for a pass.
            identity::SpfResult::Pass if spf.allows_everyone => SpfResult::Neutral,
            identity::SpfResult::Pass => SpfResult::Pass,
            identity::SpfResult::Fail => SpfResult::Fail,
            identity::SpfResult::SoftFail => SpfResult::SoftFail,
            identity::SpfResult::PermError => SpfResult::PermError,
        },
    }
}

fn signature(signature: &identity::DkimSignature) -> Signature {
    Signature {
        domain: signature.domain.as_ref().map(ToString::to_string).unwrap_or_default(),
        selector: signature.selector.clone(),
        identity: String::new(),
        is_valid: signature.result == DkimResult::Pass,
        is_testing: signature.testing,
    }
}

fn dmarc(dmarc: &Dmarc) -> DmarcResult {
    match (dmarc.pass, dmarc.policy) {
        (None, _) => DmarcResult::Missing,
        (Some(true), _) => DmarcResult::Pass,
        (Some(false), DmarcPolicy::None) => DmarcResult::None,
        (Some(false), DmarcPolicy::Quarantine) => DmarcResult::Quarantine,
        (Some(false), DmarcPolicy::Reject) => DmarcResult::Reject,
    }
}
