//! DKIM-Signature fields (RFC 6376 section 3.5): text to values, read strictly, since what is ambiguous is forged.

use tidegate_mail::Domain;

use crate::identity::canonical::Form;
use crate::identity::tags::{Tags, base64};

/// A signature as it stands in the header.
#[derive(Clone, Debug)]
pub(in crate::identity) struct Signature {
    /// Made by a draft of the standard, before there was a version 1.
    pub(in crate::identity) is_draft: bool,
    pub(in crate::identity) algorithm: Algorithm,
    pub(in crate::identity) header_form: Form,
    pub(in crate::identity) body_form: Form,
    pub(in crate::identity) domain: Domain,
    pub(in crate::identity) selector: String,
    /// The domain of `i=`, which is `domain` or a name below it.
    pub(in crate::identity) agent: Domain,
    /// Names of the signed fields, in the order of `h=`.
    pub(in crate::identity) fields: Vec<String>,
    pub(in crate::identity) body_hash: Vec<u8>,
    /// `l=`
    pub(in crate::identity) body_limit: Option<u64>,
    pub(in crate::identity) signature: Vec<u8>,
    /// `x=`, in seconds since 1970.
    pub(in crate::identity) expires: Option<i64>,
}

/// What a signature is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::identity) enum Algorithm {
    RsaSha1,
    RsaSha256,
    Ed25519Sha256,
}

impl Algorithm {
    pub(in crate::identity) fn parse(text: &str) -> Option<Algorithm> {
        match text.to_ascii_lowercase().as_str() {
            "rsa-sha1" => Some(Algorithm::RsaSha1),
            "rsa-sha256" => Some(Algorithm::RsaSha256),
            "ed25519-sha256" => Some(Algorithm::Ed25519Sha256),
            _ => None,
        }
    }

    /// Its hash, as `h=` of a key record names it.
    pub(in crate::identity) fn hash_name(self) -> &'static str {
        match self {
            Algorithm::RsaSha1 => "sha1",
            Algorithm::RsaSha256 | Algorithm::Ed25519Sha256 => "sha256",
        }
    }

    /// Its hash.
    pub(in crate::identity) fn hash(self) -> &'static ring::digest::Algorithm {
        match self {
            Algorithm::RsaSha1 => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
            Algorithm::RsaSha256 | Algorithm::Ed25519Sha256 => &ring::digest::SHA256,
        }
    }
}

/// Names in one `h=`; each costs a walk over the header.
const FIELDS_MAX: usize = 500;

/// Which kind of field the signature stands in; ARC has no version and uses `i=` for the instance (RFC 8617 section 4.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::identity) enum Kind {
    Dkim,
    Arc,
}

impl Signature {
    /// Reads the tags of a field. `Err` says what is wrong.
    pub(in crate::identity) fn parse(tags: &Tags<'_>, kind: Kind) -> Result<Signature, String> {
        let required = |name: &str| tags.get(name).ok_or_else(|| format!("no {name}="));
        let is_draft = match (kind, tags.get("v")) {
            (Kind::Arc, _) | (Kind::Dkim, Some("1")) => false,
            (Kind::Dkim, Some(version)) if !version.starts_with("0.") => return Err("another version than 1".into()),
            (Kind::Dkim, _) => true,
        };
        let algorithm = Algorithm::parse(required("a")?).ok_or("an unknown algorithm")?;
        if kind == Kind::Arc && algorithm != Algorithm::RsaSha256 {
            return Err("an unknown algorithm".into());
        }
        let (header_form, body_form) = forms(tags.get("c"), kind).ok_or("an unknown canonicalization")?;
        let domain = name(required("d")?).ok_or("d= is no domain")?;
        let agent = match (kind, tags.get("i")) {
            (Kind::Dkim, Some(agent)) => {
                let agent = unquote(agent);
                let written = agent.rsplit_once('@').ok_or("i= is no address")?.1;
                name(written).filter(|agent| agent.is_within(&domain)).ok_or("i= is outside of d=")?
            }
            _ => domain.clone(),
        };
        let fields: Vec<String> =
            required("h")?.split(':').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        let is_empty = fields.is_empty() && kind == Kind::Dkim;
        if is_empty || fields.len() > FIELDS_MAX {
            return Err("h= names no field, or too many".into());
        }
        let methods = tags.get("q").unwrap_or("dns/txt");
        let is_dns = |method: &str| method == "dns/txt" || (is_draft && method == "dns");
        if !methods.split(':').any(|method| is_dns(method.trim())) {
            return Err("the key is not in DNS".into());
        }
        let number = |name: &str| match tags.get(name) {
            None => Ok(None),
            Some(digits) => number(digits).map(Some).ok_or_else(|| format!("{name}= is no number")),
        };
        let signed_at = number("t")?;
        let expires = number("x")?;
        if expires.zip(signed_at).is_some_and(|(expires, signed_at)| expires <= signed_at) {
            return Err("it expires before it was made".into());
        }
        Ok(Signature {
            is_draft,
            algorithm,
            header_form,
            body_form,
            selector: required("s")?.to_owned(),
            agent,
            fields,
            body_hash: base64(required("bh")?).ok_or("bh= is no base64")?,
            body_limit: number("l")?.map(i64::unsigned_abs),
            signature: base64(required("b")?).filter(|b| !b.is_empty()).ok_or("b= is no base64")?,
            expires,
            domain,
        })
    }

    /// Whether field `name` is signed.
    pub(in crate::identity) fn signs(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.eq_ignore_ascii_case(name))
    }
}

fn name(text: &str) -> Option<Domain> {
    Domain::parse(text).ok().filter(|domain| !domain.is_literal())
}

/// Decodes `=40` (RFC 6376 section 2.11). What is no escape stays.
fn unquote(text: &str) -> String {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| first == b'=').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        octets.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// `c=`: header and body form; the body is simple unless it says otherwise (RFC 6376 section 3.5). What is missing is simple in
/// DKIM; RFC 8617 does not say, and its suite takes it for relaxed.
fn forms(text: Option<&str>, kind: Kind) -> Option<(Form, Form)> {
    let form = |name: &str| match name.trim().to_ascii_lowercase().as_str() {
        "simple" => Some(Form::Simple),
        "relaxed" => Some(Form::Relaxed),
        _ => None,
    };
    match text {
        None if kind == Kind::Arc => Some((Form::Relaxed, Form::Relaxed)),
        None => Some((Form::Simple, Form::Simple)),
        Some(text) => match text.split_once('/') {
            Some((header, body)) => Some((form(header)?, form(body)?)),
            None => Some((form(text)?, Form::Simple)),
        },
    }
}

/// Digits only; a number beyond any time or length stands for the largest one (RFC 6376 section 3.5, `l=` may have 76 digits).
fn number(digits: &str) -> Option<i64> {
    const DIGITS_MAX: usize = 76;
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(i64::MAX))
}

/// A signature field without the value of its `b=` tag and without its line end, as it is hashed itself (RFC 6376 section 3.7).
pub(in crate::identity) fn without_signature(raw: &[u8]) -> Vec<u8> {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    let colon = raw.iter().position(|b| *b == b':').map_or(raw.len(), |at| at + 1);
    let (name, value) = raw.split_at_checked(colon).unwrap_or((raw, &[]));
    let mut stripped = name.to_vec();
    for (at, tag) in value.split(|b| *b == b';').enumerate() {
        if at > 0 {
            stripped.push(b';');
        }
        let equals = tag.iter().position(|b| *b == b'=');
        let name_and_equals = equals.and_then(|equals| tag.get(..=equals));
        match name_and_equals {
            Some(kept) if is_tag_b(kept) => {
                stripped.extend_from_slice(kept);
            }
            _ => stripped.extend_from_slice(tag),
        }
    }
    stripped
}

fn is_tag_b(name_and_equals: &[u8]) -> bool {
    name_and_equals.strip_suffix(b"=").is_some_and(|name| name.trim_ascii() == b"b")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_value_of_b_goes() {
        for (raw, stripped) in [
            ("DKIM-Signature: bh=x=; b=ab\r\n cd; h=b\r\n", "DKIM-Signature: bh=x=; b=; h=b"),
            ("X:b = a\n", "X:b ="),
            ("X: a=b; b\r\n\t=q ", "X: a=b; b\r\n\t="),
            ("X", "X"),
        ] {
            assert_eq!(String::from_utf8(without_signature(raw.as_bytes())).unwrap(), stripped, "{raw:?}");
        }
    }
}
