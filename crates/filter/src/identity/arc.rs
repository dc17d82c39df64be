//! The ARC chain of a message (RFC 8617 section 5.2): sets collected, counted and verified, newest message signature first, then
//! every seal. Whether a sealer is trusted is not decided here.

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use tidegate_mail::{Domain, HeaderField};

use super::dkim::{self, Key, Kind, Signature, without_signature};
use super::signable::Signable;
use super::tags::{Tags, base64};
use super::{ArcChain, ArcResult, canonical::Form};
use crate::dns::Resolver;
use crate::known::Known;

mod origin;

/// Sets of one chain (RFC 8617 section 4.2.1).
const SETS_MAX: usize = 50;

/// Verifies the chain. `Err` when a key could not be fetched.
pub(super) async fn verify(
    message: &Signable<'_>,
    author: Option<&Domain>,
    now: Timestamp,
    dns: &dyn Resolver,
) -> Known<ArcChain> {
    let sets = match collect(message) {
        Ok(sets) if sets.is_empty() => return Ok(ArcChain::new(ArcResult::None)),
        Ok(sets) => sets,
        Err(why) => return Ok(ArcChain::new(ArcResult::Fail(why))),
    };
    let sealers: Vec<Domain> = sets.iter().map(|set| set.seal.domain.clone()).collect();
    let result = match verify_sets(&sets, message, now, dns).await? {
        Ok(()) => ArcResult::Pass,
        Err(why) => ArcResult::Fail(why),
    };
    let origin = sets.first().map(|set| set.results.unfolded()).unwrap_or_default();
    let passed_at_origin = result == ArcResult::Pass && origin::passed(&String::from_utf8_lossy(&origin), author);
    Ok(ArcChain { result, sealers, passed_at_origin })
}

impl ArcChain {
    fn new(result: ArcResult) -> ArcChain {
        ArcChain { result, sealers: Vec::new(), passed_at_origin: false }
    }
}

/// One hop's three fields.
struct Set<'a> {
    results: &'a HeaderField,
    signature_field: &'a HeaderField,
    signature: Signature,
    seal_field: &'a HeaderField,
    seal: Seal,
}

/// An ARC-Seal field (RFC 8617 section 4.1.3).
struct Seal {
    chain: String,
    domain: Domain,
    selector: String,
    signature: Vec<u8>,
}

/// The sets from 1 to the newest, each whole and read; `Err` says what breaks the chain.
fn collect<'a>(message: &Signable<'a>) -> Result<Vec<Set<'a>>, String> {
    let results = by_instance(message.named("arc-authentication-results"))?;
    let signatures = by_instance(message.named("arc-message-signature"))?;
    let seals = by_instance(message.named("arc-seal"))?;
    if results.len() != seals.len() || signatures.len() != seals.len() {
        return Err("a set is not complete".into());
    }
    let mut sets = Vec::with_capacity(seals.len());
    for (at, ((results, signature_field), seal_field)) in results.into_iter().zip(signatures).zip(seals).enumerate() {
        let number = at + 1;
        let signature = read(signature_field, |tags| Signature::parse(tags, Kind::Arc))
            .map_err(|wrong| format!("message signature {number}: {wrong}"))?;
        if signature.signs("arc-seal") {
            return Err(format!("message signature {number} signs a seal"));
        }
        let seal = read(seal_field, Seal::parse).map_err(|wrong| format!("seal {number}: {wrong}"))?;
        let expected = if number == 1 { "none" } else { "pass" };
        if !seal.chain.eq_ignore_ascii_case(expected) {
            return Err(format!("seal {number} says cv={}", seal.chain));
        }
        sets.push(Set { results, signature_field, signature, seal_field, seal });
    }
    Ok(sets)
}

/// The fields in the order of their instances, which must be 1, 2, 3 and so on, each once.
fn by_instance<'a>(fields: &[&'a HeaderField]) -> Result<Vec<&'a HeaderField>, String> {
    if fields.len() > SETS_MAX {
        return Err(format!("more than {SETS_MAX} sets"));
    }
    let mut numbered = Vec::with_capacity(fields.len());
    for field in fields {
        let value = String::from_utf8_lossy(&field.unfolded()).into_owned();
        numbered.push((instance(&value).ok_or("an instance cannot be read")?, *field));
    }
    numbered.sort_by_key(|(number, _)| *number);
    let is_gapless = numbered.iter().enumerate().all(|(at, (number, _))| *number == at + 1);
    if !is_gapless {
        return Err("instances are missing or repeated".into());
    }
    Ok(numbered.into_iter().map(|(_, field)| field).collect())
}

/// The value of `i=`, wherever it stands among the tags.
fn instance(value: &str) -> Option<usize> {
    let tag = value.split(';').filter_map(|tag| tag.split_once('=')).find(|(name, _)| name.trim() == "i")?;
    let digits = tag.1.trim();
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|number| is_number && (1..=SETS_MAX).contains(number))
}

fn read<T>(field: &HeaderField, read: impl Fn(&Tags<'_>) -> Result<T, String>) -> Result<T, String> {
    let value = String::from_utf8_lossy(&field.unfolded()).into_owned();
    let tags = Tags::parse(&value).map_err(|error| error.to_string())?;
    read(&tags)
}

impl Seal {
    fn parse(tags: &Tags<'_>) -> Result<Seal, String> {
        let required = |name: &str| tags.get(name).ok_or_else(|| format!("no {name}="));
        if tags.get("h").is_some() {
            return Err("a seal has no h=".into());
        }
        if !required("a")?.eq_ignore_ascii_case("rsa-sha256") {
            return Err("an unknown algorithm".into());
        }
        Ok(Seal {
            chain: required("cv")?.to_owned(),
            domain: Domain::parse(required("d")?).ok().filter(|d| !d.is_literal()).ok_or("d= is no domain")?,
            selector: required("s")?.to_owned(),
            signature: base64(required("b")?).ok_or("b= is no base64")?,
        })
    }
}

async fn verify_sets(
    sets: &[Set<'_>],
    message: &Signable<'_>,
    now: Timestamp,
    dns: &dyn Resolver,
) -> Known<Result<(), String>> {
    let Some(newest) = sets.last() else { return Ok(Ok(())) };
    if dkim::is_expired(&newest.signature, now) {
        return Ok(Err("the newest message signature has expired".into()));
    }
    let seal_keys = join_all(sets.iter().map(|set| dkim::key_of(&set.seal.selector, &set.seal.domain, dns)));
    let (keys, signature_key) = join(seal_keys, dkim::fetch_key(&newest.signature, dns)).await;
    if let Err(wrong) = signature_key?.and_then(|key| verify_newest(newest, &key, message)) {
        return Ok(Err(format!("message signature {}: {wrong}", sets.len())));
    }
    for (at, key) in keys.into_iter().enumerate().rev() {
        let upto = sets.get(..=at).unwrap_or_default();
        if let Err(wrong) = key?.and_then(|key| verify_seal(upto, &key)) {
            return Ok(Err(format!("seal {}: {wrong}", at + 1)));
        }
    }
    Ok(Ok(()))
}

fn verify_newest(newest: &Set<'_>, key: &Key, message: &Signable<'_>) -> Result<(), String> {
    let signature = &newest.signature;
    let hash = message
        .body(signature.body_form, signature.body_limit, signature.algorithm.hash())
        .ok_or("one kind of body hash too many")?;
    if hash.digest != signature.body_hash {
        return Err("the body was changed".into());
    }
    if hash.left_out > 0 {
        return Err("a part of the body is not signed".into());
    }
    dkim::verify_header(signature, key, newest.signature_field.raw(), message)
}

/// A seal covers every set up to its own, each as results, message signature, seal (RFC 8617 section 5.1.1).
fn verify_seal(sets: &[Set<'_>], key: &Key) -> Result<(), String> {
    let Some((own, before)) = sets.split_last() else { return Ok(()) };
    let mut signed = Vec::new();
    for set in before {
        for field in [set.results, set.signature_field, set.seal_field] {
            Form::Relaxed.field(field.raw(), &mut signed);
        }
    }
    Form::Relaxed.field(own.results.raw(), &mut signed);
    Form::Relaxed.field(own.signature_field.raw(), &mut signed);
    Form::Relaxed.field(&without_signature(own.seal_field.raw()), &mut signed);
    signed.truncate(signed.len().saturating_sub(2));
    key.verify(dkim::SEAL_ALGORITHM, &signed, &own.seal.signature)
}
