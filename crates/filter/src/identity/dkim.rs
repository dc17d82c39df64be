//! DKIM signatures of a message (RFC 6376, with the rules for algorithms and keys of RFC 8301 and 8463). Own verifier over `ring`:
//! see decision 0002. A signature that verifies and still proves nothing (rsa-sha1, part of the body, expired) is "policy".

use futures_util::future::join_all;
use jiff::Timestamp;

use super::canonical::BodyHash;
use super::signable::Signable;
use super::tags::Tags;
use super::{DkimResult, DkimSignature};
use crate::dns::{Question, Record, RecordKind, Resolver};
use crate::known::Known;

mod key;
mod signature;

pub(super) use key::Key;
pub(super) use signature::{Kind, Signature, without_signature};

/// What ARC seals are made with (RFC 8617 section 4.1.3).
pub(super) const SEAL_ALGORITHM: signature::Algorithm = signature::Algorithm::RsaSha256;

/// Signatures of one message that are looked at, from the top: the newest ones stand there. Each may cost a question and an RSA
/// operation.
const SIGNATURES_MAX: usize = 10;

/// Every signature, in the order of the header.
pub(super) async fn verify(message: &Signable<'_>, now: Timestamp, dns: &dyn Resolver) -> Vec<DkimSignature> {
    let fields: Vec<_> = message.named("dkim-signature").iter().take(SIGNATURES_MAX).copied().collect();
    let parsed: Vec<Parsed> = fields.iter().map(|field| Parsed::new(&field.unfolded())).collect();
    let keys = join_all(parsed.iter().map(|parsed| parsed.key(now, dns))).await;
    let mut verified = Vec::with_capacity(parsed.len());
    for ((parsed, key), field) in parsed.into_iter().zip(keys).zip(fields) {
        verified.push(parsed.verified(key, field.raw(), message, now));
    }
    verified
}

/// A signature field, as far as it could be read.
struct Parsed {
    signature: Result<Signature, String>,
    /// What is shown of it, readable or not.
    shown: DkimSignature,
}

impl Parsed {
    fn new(value: &[u8]) -> Parsed {
        let text = String::from_utf8_lossy(value);
        let tags = Tags::parse(&text);
        let tag = |name: &str| tags.as_ref().ok().and_then(|tags| tags.get(name)).unwrap_or_default().to_owned();
        let (domain, selector, algorithm) = (tag("d"), tag("s"), tag("a"));
        let signature = match &tags {
            Ok(tags) => Signature::parse(tags, Kind::Dkim),
            Err(error) => Err(error.to_string()),
        };
        let result = DkimResult::PermError(String::new());
        let domain = tidegate_mail::Domain::parse(&domain).ok();
        Parsed { signature, shown: DkimSignature { domain, selector, algorithm, testing: false, left_out: 0, result } }
    }

    /// Asks for the key, unless the signature is worth nothing in any case.
    async fn key(&self, now: Timestamp, dns: &dyn Resolver) -> Option<Known<Result<Key, String>>> {
        match &self.signature {
            Ok(signature) if !is_expired(signature, now) => Some(fetch_key(signature, dns).await),
            _ => None,
        }
    }

    fn verified(
        self,
        key: Option<Known<Result<Key, String>>>,
        raw: &[u8],
        message: &Signable<'_>,
        now: Timestamp,
    ) -> DkimSignature {
        let mut shown = self.shown;
        shown.result = match (self.signature, key) {
            (Err(wrong), _) => DkimResult::PermError(wrong),
            (Ok(signature), _) if is_expired(&signature, now) => DkimResult::Policy("expired".into()),
            (Ok(_), None) => DkimResult::PermError("no key was asked for".into()),
            (Ok(_), Some(Err(unavailable))) => DkimResult::Unavailable(unavailable),
            (Ok(_), Some(Ok(Err(wrong)))) => DkimResult::PermError(wrong),
            (Ok(signature), Some(Ok(Ok(key)))) => {
                shown.testing = key.testing;
                match message.body(signature.body_form, signature.body_limit, signature.algorithm.hash()) {
                    Some(hash) => {
                        shown.left_out = hash.left_out;
                        judge(&signature, &key, &hash, raw, message)
                    }
                    None => DkimResult::PermError("one kind of body hash too many".into()),
                }
            }
        };
        shown
    }
}

fn judge(signature: &Signature, key: &Key, hash: &BodyHash, raw: &[u8], message: &Signable<'_>) -> DkimResult {
    if key.strict && signature.agent != signature.domain {
        return DkimResult::PermError("the key allows no name below its domain".into());
    }
    if hash.digest != signature.body_hash {
        return DkimResult::Fail("the body was changed".into());
    }
    if let Err(wrong) = verify_header(signature, key, raw, message) {
        return DkimResult::Fail(wrong);
    }
    let signed_authors = signature.fields.iter().filter(|name| name.eq_ignore_ascii_case("from")).count();
    if !signature.signs("from") {
        DkimResult::Policy("From is not signed".into())
    } else if message.named("from").len() > signed_authors {
        // Who adds a second From above the signed one would show readers an author of his own.
        DkimResult::Policy("a From field is not signed".into())
    } else if hash.left_out > 0 {
        DkimResult::Policy(format!("{} octets of the body are not signed", hash.left_out))
    } else if signature.is_draft {
        DkimResult::Policy("made by a draft of the standard".into())
    } else if signature.algorithm == signature::Algorithm::RsaSha1 {
        DkimResult::Policy("rsa-sha1 proves nothing (RFC 8301)".into())
    } else {
        DkimResult::Pass
    }
}

/// Whether `signature`, which stands in the field `raw`, was made over the header of `message` with `key`.
pub(super) fn verify_header(
    signature: &Signature,
    key: &Key,
    raw: &[u8],
    message: &Signable<'_>,
) -> Result<(), String> {
    let mut signed = message.header(&signature.fields, signature.header_form);
    signature.header_form.field(&without_signature(raw), &mut signed);
    // The signature's own field is hashed without its line end (RFC 6376 section 3.7).
    signed.truncate(signed.len().saturating_sub(2));
    key.verify(signature.algorithm, &signed, &signature.signature)
}

/// The key that `signature` names; `Err` inside when there is none that can be used.
pub(super) async fn fetch_key(signature: &Signature, dns: &dyn Resolver) -> Known<Result<Key, String>> {
    key_of(&signature.selector, &signature.domain, dns).await
}

/// The key at `selector._domainkey.domain` (RFC 6376 section 3.6.2).
pub(super) async fn key_of(
    selector: &str,
    domain: &tidegate_mail::Domain,
    dns: &dyn Resolver,
) -> Known<Result<Key, String>> {
    let Ok(name) = domain.below(&format!("{selector}._domainkey")) else {
        return Ok(Err("s= is no part of a name".into()));
    };
    let reply = dns.lookup(&Question::new(name.as_str(), RecordKind::Txt)).await?;
    let mut keys = reply.records.iter().filter_map(|record| match record {
        Record::Txt(text) => Some(Key::parse(text)),
        _ => None,
    });
    // Several records are undefined; a domain that publishes one that can be read means that one.
    let first = keys.next().unwrap_or_else(|| Err(format!("no key at {name}")));
    Ok(first.or_else(|wrong| keys.find_map(Result::ok).ok_or(wrong)))
}

/// Whether the signature's time is over (`x=`, RFC 6376 section 3.5).
pub(super) fn is_expired(signature: &Signature, now: Timestamp) -> bool {
    signature.expires.is_some_and(|expires| expires < now.as_second())
}
