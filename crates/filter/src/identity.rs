//! Which domains vouch for a message: SPF, DKIM, DMARC, ARC and reverse DNS, as facts. Computed once by the engine, used by
//! many checks. Nothing here concludes anything; that is what `checks/spf.rs` and its neighbours do.

use serde::{Deserialize, Serialize};
use tidegate_mail::Domain;

use crate::known::{Known, Unavailable};

mod arc;
mod canonical;
mod dkim;
mod dmarc;
mod fcrdns;
mod given;
mod message;
mod signable;
mod spf;
mod tags;

pub use fcrdns::fcrdns;
pub use given::Given;
pub use message::{MessageInput, identify};
pub use spf::{SpfInput, spf_helo, spf_mail_from};

/// Forward-confirmed reverse DNS of a client ("iprev", RFC 8601 section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fcrdns {
    /// The address has no reverse name.
    None,
    /// At least one reverse name has the address among its own; those names.
    Confirmed(Vec<Domain>),
    /// There are reverse names, but none leads back to the address; the names as DNS has them.
    Unconfirmed(Vec<String>),
}

/// SPF for one identity (RFC 7208). "temperror" is not here: it is an [`Unavailable`] in the [`Known`] around this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spf {
    /// The result.
    pub result: SpfResult,
    /// The domain that was asked; `None` when the identity has no usable domain (an address literal, say).
    pub domain: Option<Domain>,
    /// Whether the record passes any address at all (`+all`, or networks that cover most of the internet). Such a pass
    /// says nothing, and the `spf` check counts it as none.
    pub allows_everyone: bool,
    /// The term that decided (`example.org: -all`), or what is wrong with the record; empty without one. Hostile text.
    pub because: String,
}

/// Result of an SPF check (RFC 7208 section 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpfResult {
    /// No record, or no domain to ask.
    None,
    /// The domain makes no statement about the address.
    Neutral,
    /// The domain says that the address may use it.
    Pass,
    /// The domain says that the address may not use it.
    Fail,
    /// A weak statement against the address.
    SoftFail,
    /// The record cannot be evaluated.
    PermError,
}

impl Spf {
    /// No record, or no domain to ask.
    pub fn none() -> Spf {
        Spf { result: SpfResult::None, domain: None, allows_everyone: false, because: String::new() }
    }

    /// The domain that vouches for the client: a pass that is not given to everyone.
    pub fn vouching_domain(&self) -> Option<&Domain> {
        self.domain.as_ref().filter(|_| self.result == SpfResult::Pass && !self.allows_everyone)
    }
}

/// The identities of a complete message.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Every DKIM signature that was looked at, in the order of the header.
    pub dkim: Vec<DkimSignature>,
    /// DMARC of the author's domain (RFC 9989).
    pub dmarc: Known<Dmarc>,
    /// The ARC chain (RFC 8617).
    pub arc: Known<ArcChain>,
}

/// One DKIM signature (RFC 6376).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimSignature {
    /// `d=`; `None` when the tag is missing or no domain.
    pub domain: Option<Domain>,
    /// `s=`
    pub selector: String,
    /// `a=`, as written.
    pub algorithm: String,
    /// Whether the key record carries `t=y`.
    pub testing: bool,
    /// Octets of the body that the signature does not cover (`l=`). Anyone may have added them.
    pub left_out: u64,
    /// What came of it.
    pub result: DkimResult,
}

/// Result of one DKIM signature (RFC 8601 section 2.7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DkimResult {
    /// Valid.
    Pass,
    /// Does not verify; why.
    Fail(String),
    /// Cannot be evaluated, and never will be (no key, key revoked or too short, syntax); why.
    PermError(String),
    /// Proves nothing although it may verify: expired, made with rsa-sha1, signs not all of From or of the body; why.
    Policy(String),
    /// The key could not be fetched.
    Unavailable(Unavailable),
}

/// DMARC of a message (RFC 9989).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dmarc {
    /// The author's domain (RFC 5322 From).
    pub author: Option<Domain>,
    /// The domain whose record applies; `None` when there is none.
    pub record_domain: Option<Domain>,
    /// Whether SPF or DKIM vouches for the author's domain; `None` without a record.
    pub pass: Option<bool>,
    /// Identifiers that vouch in alignment.
    pub aligned: Vec<Aligned>,
    /// What the domain asks for when it fails, after `sp`, `np` and `t` have been applied.
    pub policy: DmarcPolicy,
    /// Whether the record is only a test (`t=y`): `policy` is one step milder than the record says.
    pub testing: bool,
}

/// What vouched for the author's domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aligned {
    /// SPF of the reverse-path, with its domain.
    Spf(Domain),
    /// A DKIM signature, with its `d=`.
    Dkim(Domain),
}

/// What a domain asks receivers to do with mail that fails DMARC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DmarcPolicy {
    /// Nothing.
    None,
    /// Treat it as suspicious.
    Quarantine,
    /// Refuse it.
    Reject,
}

/// The ARC chain of a message (RFC 8617).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArcChain {
    /// The chain's state.
    pub result: ArcResult,
    /// `d=` of each seal, oldest first.
    pub sealers: Vec<Domain>,
    /// Whether the oldest ARC-Authentication-Results of a valid chain says that DMARC (or an aligned SPF or DKIM)
    /// passed when the message entered the chain.
    pub passed_at_origin: bool,
}

/// State of an ARC chain (RFC 8617 section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArcResult {
    /// No chain.
    None,
    /// Every seal and the newest message signature are valid.
    Pass,
    /// Broken; why.
    Fail(String),
}

impl Identity {
    /// Domains with a valid DKIM signature.
    pub fn signers(&self) -> impl Iterator<Item = &Domain> {
        self.dkim.iter().filter(|s| s.result == DkimResult::Pass).filter_map(|s| s.domain.as_ref())
    }
}
