//! Messages that are signed on the spot, with a signer of its own: everything is written in the canonical form already, so what is
//! hashed is what is sent.

use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::zone::Zone;

/// The key of every signature here.
fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

/// The key record, to be put at `s._domainkey.` of the signing domain.
pub(crate) fn key_record() -> String {
    format!("v=DKIM1; k=ed25519; p={}", BASE64.encode(key().public_key().as_ref()))
}

impl Zone {
    /// Publishes the key for `domain`.
    pub(crate) fn key(self, domain: &str) -> Zone {
        self.txt(&format!("s._domainkey.{domain}"), &key_record())
    }
}

/// A signature to be made.
pub(crate) struct Signer<'a> {
    pub(crate) domain: &'a str,
    /// Names of the signed fields, each of which stands in the header once.
    pub(crate) fields: &'a str,
    /// Further tags, such as `l=5; `.
    pub(crate) tags: &'a str,
    /// How much of the body is hashed.
    pub(crate) body: &'a str,
}

/// `header` (in relaxed form) and `body` with a signature on top.
pub(crate) fn sign(signer: &Signer<'_>, header: &str, body: &str) -> String {
    let hash = BASE64.encode(digest(&SHA256, signer.body.as_bytes()).as_ref());
    let field = format!(
        "dkim-signature:v=1; a=ed25519-sha256; c=relaxed/relaxed; d={}; s=s; h={}; {}bh={hash}; b=",
        signer.domain, signer.fields, signer.tags
    );
    let signed: String = signer
        .fields
        .split(':')
        .flat_map(|name| header.split_inclusive("\r\n").filter(move |line| line.split(':').next() == Some(name)))
        .collect();
    let octets = digest(&SHA256, format!("{signed}{field}").as_bytes());
    let signature = BASE64.encode(key().sign(octets.as_ref()).as_ref());
    format!("{field}{signature}\r\n{header}\r\n{body}")
}

/// A small message of `author`, signed by `domain`.
pub(crate) fn signed(author: &str, domain: &str) -> String {
    let header = format!("from:{author}\r\nsubject:x\r\n");
    let signer = Signer { domain, fields: "from:subject", tags: "", body: "hello\r\n" };
    sign(&signer, &header, "hello\r\n")
}
