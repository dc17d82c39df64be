//! What large providers mean by their refusals, in plain words. The table is data: a part of the answer, and what it says.
//! The codes are from the providers' own pages for postmasters.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::event::{Delivery, Failing, Outcome};
use crate::reply::Reply;

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Provider {
    Gmail,
    Microsoft,
    Yahoo,
    Apple,
    Gmx,
    Other,
}

impl Provider {
    /// The name that people know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Provider::Gmail => "Gmail",
            Provider::Microsoft => "Microsoft",
            Provider::Yahoo => "Yahoo",
            Provider::Apple => "Apple",
            Provider::Gmx => "GMX and web.de",
            Provider::Other => "others",
        }
    }
}

/// What a refusal or deferral means for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Saying {
    /// The mail looks like spam.
    Spam,
    /// Our address has a bad reputation or is blocked.
    Reputation,
    /// Too much at once from us, or from this sender.
    Rate,
    /// SPF, DKIM or DMARC is missing or wrong.
    Authentication,
    /// Our address has no reverse DNS, or a wrong one.
    ReverseDns,
    /// The recipient does not exist.
    UnknownRecipient,
    /// The recipient's mailbox is full or gets too much.
    RecipientLimit,
    /// A malicious link or attachment was found.
    Malware,
    /// Come later; usual for unknown senders.
    Greylist,
    /// The content breaks a rule that is not named.
    Policy,
}

impl Saying {
    /// The meaning as a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Saying::Spam => "the mail was taken for spam",
            Saying::Reputation => "this server's address has a bad reputation or is blocked",
            Saying::Rate => "too much mail came at once",
            Saying::Authentication => "SPF, DKIM or DMARC is missing or does not fit",
            Saying::ReverseDns => "this server's address has no reverse DNS that fits",
            Saying::UnknownRecipient => "the recipient does not exist",
            Saying::RecipientLimit => "the recipient's mailbox is full or gets too much mail",
            Saying::Malware => "a dangerous link or attachment was found",
            Saying::Greylist => "come back later (greylisting)",
            Saying::Policy => "the mail breaks a rule of the provider",
        }
    }

    /// A stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Saying::Spam => "spam",
            Saying::Reputation => "reputation",
            Saying::Rate => "rate",
            Saying::Authentication => "authentication",
            Saying::ReverseDns => "reverse_dns",
            Saying::UnknownRecipient => "unknown_recipient",
            Saying::RecipientLimit => "recipient_limit",
            Saying::Malware => "malware",
            Saying::Greylist => "greylist",
            Saying::Policy => "policy",
        }
    }

    /// What to do about it, where those who cause it are not compromised themselves and do not only forward.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Saying::Spam => "look at what the named senders send, and ask their owners whether it is theirs",
            Saying::Reputation => "end what causes it first, then ask the provider to lift it",
            Saying::Rate => "nothing while it passes by itself; else spread large runs over more time",
            Saying::Authentication => "publish SPF, sign with DKIM, and send under the sender's own domain",
            Saying::ReverseDns => "set a PTR record that leads back to this address",
            Saying::UnknownRecipient => "have those with many dead addresses clean their lists",
            Saying::RecipientLimit => "nothing: it is the recipient who has to make room",
            Saying::Greylist => "nothing: the mail is taken at a later attempt",
            Saying::Malware => "look for a hacked site or mailbox of the named senders",
            Saying::Policy => "read the answer that is quoted here: it names the provider's rule or its code",
        }
    }

    /// Whether it speaks of spam, so that it is held against the sender.
    #[must_use]
    pub fn is_spam(self) -> bool {
        matches!(self, Saying::Spam | Saying::Reputation | Saying::Malware | Saying::Policy)
    }
}

/// A part of an answer, and its meaning. Compared without regard to case; the first that fits counts.
const SAYINGS: [(&str, Saying); 66] = [
    // A limit that is set for our reputation will not pass by itself.
    ("due to ip reputation", Saying::Reputation),
    ("originating from your ip", Saying::Reputation),
    ("your ip address has been temporarily", Saying::Reputation),
    ("user complaints", Saying::Reputation),
    ("will be permanently deferred", Saying::Reputation),
    // Lists of names: they speak of what a message holds, not of who hands it over.
    ("dbl.spamhaus", Saying::Spam),
    ("surbl.org", Saying::Spam),
    ("uribl.com", Saying::Spam),
    ("4.7.28", Saying::Rate),
    ("unusual rate of unsolicited", Saying::Rate),
    ("5.7.26", Saying::Authentication),
    ("5.7.27", Saying::Authentication),
    ("5.7.30", Saying::Authentication),
    ("4.7.27", Saying::Authentication),
    ("4.7.30", Saying::Authentication),
    ("4.7.32", Saying::Authentication),
    ("5.7.515", Saying::Authentication),
    ("5.7.509", Saying::Authentication),
    ("unauthenticated email", Saying::Authentication),
    ("dmarc", Saying::Authentication),
    ("5.7.9", Saying::Authentication),
    ("4.7.23", Saying::ReverseDns),
    ("5.7.25", Saying::ReverseDns),
    ("4.7.25", Saying::ReverseDns),
    ("ptr record", Saying::ReverseDns),
    ("reverse dns", Saying::ReverseDns),
    ("(s3140)", Saying::Reputation),
    ("(s3150)", Saying::Reputation),
    ("part of their network is on our block list", Saying::Reputation),
    ("5.7.606", Saying::Reputation),
    ("5.7.511", Saying::Reputation),
    ("4.7.650", Saying::Rate),
    ("4.7.651", Saying::Rate),
    ("4.7.652", Saying::Rate),
    ("[tss0", Saying::Rate),
    ("[ts0", Saying::Rate),
    ("(rp-001)", Saying::Rate),
    ("(rp-002)", Saying::Rate),
    ("(rp-003)", Saying::Rate),
    ("[ph01]", Saying::Policy),
    ("not accepted for policy reasons", Saying::Policy),
    ("likely unsolicited mail", Saying::Spam),
    ("unsolicitedmessageerror", Saying::Spam),
    ("low reputation", Saying::Reputation),
    ("very low reputation", Saying::Reputation),
    ("spamhaus", Saying::Reputation),
    ("blocked using", Saying::Reputation),
    ("block list", Saying::Reputation),
    ("blacklist", Saying::Reputation),
    ("blocklist", Saying::Reputation),
    ("bad reputation", Saying::Reputation),
    ("poor reputation", Saying::Reputation),
    ("dnsbl", Saying::Reputation),
    ("virus", Saying::Malware),
    ("malicious", Saying::Malware),
    ("phish", Saying::Malware),
    ("greylist", Saying::Greylist),
    ("graylist", Saying::Greylist),
    ("mailbox full", Saying::RecipientLimit),
    ("over quota", Saying::RecipientLimit),
    ("overquotatemp", Saying::RecipientLimit),
    ("out of storage", Saying::RecipientLimit),
    ("receiving mail at a rate", Saying::RecipientLimit),
    ("spam", Saying::Spam),
    ("too many messages", Saying::Rate),
    ("rate limited", Saying::Rate),
];

/// Parts of answers that say that a mailbox does not exist, beside the code 5.1.1.
const NO_MAILBOX: [&str; 12] = [
    "does not exist",
    "no such user",
    "nosuchuser",
    "user unknown",
    "unknown user",
    "mailbox unavailable",
    "mailbox not found",
    "no mailbox here",
    "recipient rejected",
    "is disabled",
    "invalid recipient",
    "address rejected",
];

/// Where to ask a provider to lift a block: whose, a part of its answer in lower case, the address. The first that fits counts.
const ASK: [(Provider, &str, &str); 10] = [
    (Provider::Microsoft, "5.7.511", "delist@microsoft.com"),
    (Provider::Microsoft, "5.7.606", "sender.office.com"),
    (Provider::Microsoft, "", "olcsupport.office.com"),
    (Provider::Gmail, "", "support.google.com/mail/contact/gmail_bulk_sender_escalation"),
    (Provider::Yahoo, "", "senders.yahooinc.com/contact"),
    (Provider::Apple, "", "icloudadmin@apple.com"),
    (Provider::Gmx, "", "postmaster.gmx.net"),
    (Provider::Other, "spamhaus", "check.spamhaus.org"),
    (Provider::Other, "spamcop", "www.spamcop.net/bl.shtml"),
    (Provider::Other, "barracuda", "www.barracudacentral.org/rbl/removal-request"),
];

/// Ends of host names of providers.
const HOSTS: [(&str, Provider); 14] = [
    (".google.com", Provider::Gmail),
    (".googlemail.com", Provider::Gmail),
    (".outlook.com", Provider::Microsoft),
    (".hotmail.com", Provider::Microsoft),
    (".office365.us", Provider::Microsoft),
    (".yahoodns.net", Provider::Yahoo),
    (".yahoo.com", Provider::Yahoo),
    (".aol.com", Provider::Yahoo),
    (".icloud.com", Provider::Apple),
    (".apple.com", Provider::Apple),
    (".gmx.net", Provider::Gmx),
    (".web.de", Provider::Gmx),
    (".kundenserver.de", Provider::Gmx),
    (".me.com", Provider::Apple),
];

/// Who said what in this delivery; `None` if it was delivered, or failed for a reason of our own.
pub(crate) fn of(delivery: &Delivery<'_>) -> Option<(Provider, Saying)> {
    if !matches!(delivery.outcome, Outcome::Failed | Outcome::Deferred) {
        return None;
    }
    delivery.reply?;
    Some((
        whose(delivery.host.name.unwrap_or("")),
        meaning(delivery.text.unwrap_or(""), delivery.outcome == Outcome::Failed)?,
    ))
}

/// Whose a mail host is.
pub(super) fn whose(host: &str) -> Provider {
    HOSTS.iter().find(|(end, _)| host.ends_with(end)).map_or(Provider::Other, |(_, provider)| *provider)
}

/// Where to ask that a block be lifted: the provider's own page or address, else the one that the answer names.
pub(super) fn ask(provider: Provider, answer: &str) -> Option<String> {
    let lower = answer.to_ascii_lowercase();
    let known = ASK.iter().find(|(whose, part, _)| *whose == provider && lower.contains(part));
    if let Some((_, _, page)) = known {
        return Some((*page).to_owned());
    }
    let link = answer.split([' ', '<', '>', '"', '(', ')']).find_map(|word| word.split_once("://"))?.1;
    let link = link.trim_end_matches(['.', ',', ';']);
    (!link.is_empty()).then(|| link.to_owned())
}

/// The words of an answer that are addresses of the internet: those of this server, where a provider complains of it.
pub(super) fn addresses_in(answer: &str) -> impl Iterator<Item = IpAddr> {
    answer.split([' ', '[', ']', '(', ')', '<', '>', ',', ';', '=']).filter_map(|word| {
        // An address at the end of a sentence.
        let word = word.strip_suffix('.').unwrap_or(word);
        word.parse().ok()
    })
}

/// What the words of an answer mean; `None` if they are not known. `is_final` tells a refusal from a deferral.
#[must_use]
pub fn meaning(text: &str, is_final: bool) -> Option<Saying> {
    let text = on_one_line(text).to_ascii_lowercase();
    if is_final && says_unknown(&text) {
        return Some(Saying::UnknownRecipient);
    }
    SAYINGS.iter().find(|(part, _)| text.contains(part)).map(|(_, saying)| *saying)
}

/// An answer without the codes at the beginnings of its further lines, which cut sentences in two. Exim writes the ends of lines as `\n`.
fn on_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains("\\n") {
        return Cow::Borrowed(text);
    }
    let mut lines = text.split("\\n");
    let mut joined = lines.next().unwrap_or("").to_owned();
    for line in lines {
        joined.push(' ');
        joined.push_str(Reply::at_start(line).map_or(line, |reply| reply.text));
    }
    Cow::Owned(joined)
}

fn says_unknown(text: &str) -> bool {
    text.contains("5.1.1") || text.contains("5.1.10") || NO_MAILBOX.iter().any(|part| text.contains(part))
}

/// Whether a failure says that there is no such mailbox or domain.
pub(crate) fn is_unknown_recipient(delivery: &Delivery<'_>) -> bool {
    let text = delivery.text.unwrap_or("");
    match delivery.reply {
        Some(reply) => matches!(reply.enhanced, Some((5, 1, 1 | 10 | 2))) || says_unknown(&text.to_ascii_lowercase()),
        None => Failing::of_words(text) == Failing::UnknownRecipient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_providers_in_plain_words() {
        for (text, is_final, meant) in [
            ("421-4.7.28 Gmail has detected an unusual rate of unsolicited mail", false, Some(Saying::Rate)),
            ("550-5.7.26 Unauthenticated email from x is not accepted", true, Some(Saying::Authentication)),
            (
                "550 5.7.515 Access denied, sending domain x doesn't meet the required level",
                true,
                Some(Saying::Authentication),
            ),
            (
                "550-5.1.1 The email account that you tried to reach does not exist.",
                true,
                Some(Saying::UnknownRecipient),
            ),
            (
                "550 5.7.1 messages from [192.0.2.1] weren't sent ... block list (S3150).",
                true,
                Some(Saying::Reputation),
            ),
            ("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", false, Some(Saying::Rate)),
            // What is held against the address is no matter of speed.
            (
                "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address.",
                false,
                Some(Saying::Reputation),
            ),
            (
                r"421-4.7.28 [192.0.2.1] Our system has detected an unusual rate of\n421-4.7.28 unsolicited mail originating from your\n421 4.7.28 IP address.",
                false,
                Some(Saying::Reputation),
            ),
            (
                "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your DKIM domain",
                false,
                Some(Saying::Rate),
            ),
            (
                "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints",
                false,
                Some(Saying::Reputation),
            ),
            ("554 5.7.1 message contains a link listed in dbl.spamhaus.org", true, Some(Saying::Spam)),
            ("452-4.2.2 The email account is over quota", false, Some(Saying::RecipientLimit)),
            ("451 4.7.1 Greylisting in action", false, Some(Saying::Greylist)),
            (
                "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
                false,
                Some(Saying::Reputation),
            ),
            ("550 No", true, None),
        ] {
            assert_eq!(meaning(text, is_final), meant, "{text}");
        }
    }

    /// The provider's own page counts more than what a stranger's server says.
    #[test]
    fn where_to_ask_and_for_which_address() {
        let blocked = "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent: our block list (S3150).";
        assert_eq!(ask(Provider::Microsoft, blocked).as_deref(), Some("olcsupport.office.com"));
        let access = "550 5.7.606 Access denied, banned sending IP [192.0.2.1], see https://x.test/";
        assert_eq!(ask(Provider::Microsoft, access).as_deref(), Some("sender.office.com"));
        let named = "554 5.7.1 blocked, see (https://lists.test/remove?ip=192.0.2.1).";
        assert_eq!(ask(Provider::Other, named).as_deref(), Some("lists.test/remove?ip=192.0.2.1"));
        assert_eq!(ask(Provider::Other, "554 blocklist"), None);
        let found = |text| addresses_in(text).map(|ip| ip.to_string()).collect::<Vec<_>>();
        assert_eq!(found(blocked), ["192.0.2.1"]);
        assert_eq!(found("421 4.7.0 Messages from 192.0.2.1. See 2001:db8::1, (10.5)"), ["192.0.2.1", "2001:db8::1"]);
    }
}
