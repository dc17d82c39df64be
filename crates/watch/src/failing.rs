//! Why a refusal was given, from the words of MTAs and of the usual configurations.

use crate::event::Failing;

/// Words, lower case, and what they mean. The first that occurs decides, so the narrower ones stand first.
const WORDS: [(&str, Failing); 62] = [
    ("relay not permitted", Failing::Relay),
    ("relaying denied", Failing::Relay),
    ("relay access denied", Failing::Relay),
    ("relaying not allowed", Failing::Relay),
    ("authentication required", Failing::Relay),
    ("sender verify fail", Failing::SenderUnverified),
    ("sender verify defer", Failing::SenderUnverified),
    ("sender verification", Failing::SenderUnverified),
    ("sender address rejected", Failing::SenderUnverified),
    ("could not complete sender verify", Failing::SenderUnverified),
    ("callout verification", Failing::SenderUnverified),
    ("greylist", Failing::TryLater),
    ("try again later", Failing::TryLater),
    ("no such user", Failing::UnknownRecipient),
    ("user unknown", Failing::UnknownRecipient),
    ("unknown user", Failing::UnknownRecipient),
    ("no such recipient", Failing::UnknownRecipient),
    ("no such person", Failing::UnknownRecipient),
    ("no such mailbox", Failing::UnknownRecipient),
    ("mailbox not found", Failing::UnknownRecipient),
    ("mailbox unavailable", Failing::UnknownRecipient),
    ("recipient not found", Failing::UnknownRecipient),
    ("unrouteable address", Failing::UnknownRecipient),
    ("unrouteable mail domain", Failing::UnknownRecipient),
    ("unrouteable", Failing::UnknownRecipient),
    ("does not exist", Failing::UnknownRecipient),
    ("undeliverable address", Failing::UnknownRecipient),
    ("recipient address rejected", Failing::UnknownRecipient),
    ("helo command rejected", Failing::Helo),
    ("helo/ehlo", Failing::Helo),
    ("bad helo", Failing::Helo),
    ("invalid helo", Failing::Helo),
    ("syntactically invalid argument", Failing::Helo),
    ("reverse hostname", Failing::ReverseDns),
    ("cannot find your hostname", Failing::ReverseDns),
    ("reverse dns", Failing::ReverseDns),
    ("ptr record", Failing::ReverseDns),
    ("ratelimit", Failing::Limit),
    ("rate limit", Failing::Limit),
    ("rate overlimit", Failing::Limit),
    ("too many", Failing::Limit),
    ("message too big", Failing::Limit),
    ("exceeded the max", Failing::Limit),
    ("size value too big", Failing::Limit),
    ("contains a virus", Failing::Malware),
    ("virus", Failing::Malware),
    ("malware", Failing::Malware),
    ("black list", Failing::Blocklisted),
    ("blacklist", Failing::Blocklisted),
    ("blocklist", Failing::Blocklisted),
    ("block list", Failing::Blocklisted),
    ("blocked using", Failing::Blocklisted),
    ("found in dnsbl", Failing::Blocklisted),
    ("dnsbl", Failing::Blocklisted),
    ("listed at", Failing::Blocklisted),
    ("listed in", Failing::Blocklisted),
    ("spamhaus", Failing::Blocklisted),
    ("rejected: hits=", Failing::Spam),
    ("spam", Failing::Spam),
    ("no helo", Failing::Protocol),
    ("pipelining", Failing::Protocol),
    ("header syntax", Failing::Protocol),
];

/// Refusal texts are looked at only this far: what follows is explanation.
const OCTETS_MAX: usize = 400;

impl Failing {
    /// What the words of a refusal mean; [`Failing::Other`] if they are not known.
    #[must_use]
    pub fn of_words(text: &str) -> Failing {
        if text.is_empty() {
            return Failing::Other;
        }
        // Phrases begin where a word begins, so only those places are compared with the ones of the same first letter.
        let bytes = text.as_bytes().get(..OCTETS_MAX).unwrap_or(text.as_bytes());
        let mut best = WORDS.len();
        let mut is_start = true;
        for (at, b) in bytes.iter().enumerate() {
            if is_start && b.is_ascii_alphanumeric() {
                best = best.min(phrase_at(bytes.get(at..).unwrap_or(&[])));
            }
            is_start = !b.is_ascii_alphanumeric();
        }
        WORDS.get(best).map_or(Failing::Other, |(_, failing)| *failing)
    }
}

/// Index of the first phrase that stands at the start of `text`, or one past the table.
fn phrase_at(text: &[u8]) -> usize {
    let Some(first) = text.first().map(u8::to_ascii_lowercase) else { return WORDS.len() };
    let fits = |words: &str| {
        let words = words.as_bytes();
        words.first() == Some(&first) && text.get(..words.len()).is_some_and(|text| text.eq_ignore_ascii_case(words))
    };
    WORDS.iter().position(|(words, _)| fits(words)).unwrap_or(WORDS.len())
}
