//! DKIM key records (RFC 6376 section 3.6.1, RFC 8301, RFC 8463): text to a key, and the signature against it.

use ring::signature as ring_signature;

use super::signature::Algorithm;
use crate::identity::tags::{Tags, base64};

/// A public key as its domain publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::identity) struct Key {
    material: Material,
    /// `t=y`: the domain is testing DKIM.
    pub(in crate::identity) testing: bool,
    /// `t=s`: the agent's domain must be the signing domain itself.
    pub(in crate::identity) strict: bool,
    hashes: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    /// `RSAPublicKey` in DER.
    Rsa(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// Shortest RSA key that counts (RFC 8301 section 3.2).
const RSA_BITS_MIN: usize = 1024;
/// Longest RSA key; what is longer only costs time.
const RSA_BITS_MAX: usize = 8192;

impl Key {
    /// Reads a key record. `Err` says why no signature can be checked with it.
    pub(in crate::identity) fn parse(record: &[u8]) -> Result<Key, String> {
        let text = std::str::from_utf8(record).map_err(|_| "the key record is no text")?;
        let tags = Tags::parse_record(text).map_err(|error| format!("key record: {error}"))?;
        if tags.get("v").is_some() && tags.first() != Some(("v", "DKIM1")) {
            return Err("the key record is of another version".into());
        }
        let services = tags.get("s").unwrap_or("*");
        if !services.split(':').map(str::trim).any(|service| service == "*" || service == "email") {
            return Err("the key is not for mail".into());
        }
        let packed = tags.get("p").ok_or("the key record has no key")?;
        let octets = base64(packed).ok_or("the key is no base64")?;
        if octets.is_empty() {
            return Err("the key was revoked".into());
        }
        let material = match tags.get("k").unwrap_or("rsa") {
            "rsa" => Material::rsa(&octets)?,
            "ed25519" if octets.len() == 32 => Material::Ed25519(octets),
            "ed25519" => return Err("an Ed25519 key has 32 octets".into()),
            _ => return Err("the key is of an unknown type".into()),
        };
        let flags: Vec<&str> = tags.get("t").unwrap_or_default().split(':').map(str::trim).collect();
        Ok(Key {
            material,
            testing: flags.contains(&"y"),
            strict: flags.contains(&"s"),
            hashes: tags.get("h").map(|list| list.split(':').map(|hash| hash.trim().to_owned()).collect()),
        })
    }

    /// Whether `signature` over `signed` was made with this key. `Err` says why not.
    pub(in crate::identity) fn verify(
        &self,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), String> {
        if self.hashes.as_ref().is_some_and(|hashes| !hashes.iter().any(|hash| hash == algorithm.hash_name())) {
            return Err("the key is not for this hash".into());
        }
        let wrong = |_| "the signature does not fit the header".to_owned();
        match (&self.material, algorithm) {
            (Material::Rsa(key), Algorithm::RsaSha256) => {
                let rsa = &ring_signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
                ring_signature::UnparsedPublicKey::new(rsa, key).verify(signed, signature).map_err(wrong)
            }
            (Material::Rsa(key), Algorithm::RsaSha1) => {
                let rsa = &ring_signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY;
                ring_signature::UnparsedPublicKey::new(rsa, key).verify(signed, signature).map_err(wrong)
            }
            (Material::Ed25519(key), Algorithm::Ed25519Sha256) => {
                // RFC 8463 section 3: what is signed is the hash of the header.
                let digest = ring::digest::digest(&ring::digest::SHA256, signed);
                let ed25519 = ring_signature::UnparsedPublicKey::new(&ring_signature::ED25519, key);
                ed25519.verify(digest.as_ref(), signature).map_err(wrong)
            }
            _ => Err("the key is of another type than the signature".into()),
        }
    }
}

impl Material {
    fn rsa(der: &[u8]) -> Result<Material, String> {
        let broken = || "the RSA key cannot be read".to_owned();
        let key = unwrap_spki(der).unwrap_or(der);
        let bits = modulus_bits(key).ok_or_else(broken)?;
        if bits < RSA_BITS_MIN {
            return Err(format!("the RSA key has {bits} bits, which anyone can break (RFC 8301)"));
        }
        if bits > RSA_BITS_MAX {
            return Err(format!("the RSA key has {bits} bits, more than is taken"));
        }
        Ok(Material::Rsa(key.to_vec()))
    }
}

const DER_SEQUENCE: u8 = 0x30;
const DER_BIT_STRING: u8 = 0x03;
const DER_INTEGER: u8 = 0x02;

/// The `RSAPublicKey` within a `SubjectPublicKeyInfo`; a record may hold either (RFC 6376 erratum 3017).
fn unwrap_spki(der: &[u8]) -> Option<&[u8]> {
    let (info, _) = element(der, DER_SEQUENCE)?;
    let (_algorithm, rest) = element(info, DER_SEQUENCE)?;
    let (bits, _) = element(rest, DER_BIT_STRING)?;
    bits.get(1..)
}

/// Bits of the modulus, counted in whole octets as RSA libraries do.
fn modulus_bits(key: &[u8]) -> Option<usize> {
    let (sequence, _) = element(key, DER_SEQUENCE)?;
    let (modulus, _) = element(sequence, DER_INTEGER)?;
    let zeros = modulus.iter().take_while(|b| **b == 0).count();
    let significant = modulus.get(zeros..)?;
    (!significant.is_empty()).then_some(significant.len() * 8)
}

/// The content of the DER element of kind `tag` that `der` begins with, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let octets = usize::from(first & 0x7f);
        let (digits, rest) = rest.split_at_checked(octets)?;
        if octets > 3 {
            return None;
        }
        (digits.iter().fold(0, |length, b| length << 8 | usize::from(*b)), rest)
    };
    if found != tag {
        return None;
    }
    rest.split_at_checked(length)
}
