//! Identity results that stand for look-ups which cannot be made any more: a message is judged long after it came, or without
//! DNS. What is not given is looked up.

use super::{ArcChain, ArcResult, DkimSignature, Dmarc, DmarcPolicy, Fcrdns, Spf};

/// Results that are known beforehand.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Reverse DNS of the client.
    pub fcrdns: Option<Fcrdns>,
    /// SPF of the HELO name.
    pub spf_helo: Option<Spf>,
    /// SPF of the reverse-path.
    pub spf: Option<Spf>,
    /// All DKIM signatures.
    pub dkim: Option<Vec<DkimSignature>>,
    /// DMARC.
    pub dmarc: Option<Dmarc>,
    /// The ARC chain.
    pub arc: Option<ArcChain>,
}

impl Given {
    /// Every result is "none": for judging without DNS.
    pub fn none() -> Given {
        Given {
            fcrdns: Some(Fcrdns::None),
            spf_helo: Some(Spf::none()),
            spf: Some(Spf::none()),
            dkim: Some(Vec::new()),
            dmarc: Some(Dmarc {
                author: None,
                record_domain: None,
                pass: None,
                aligned: Vec::new(),
                policy: DmarcPolicy::None,
                testing: false,
            }),
            arc: Some(ArcChain { result: ArcResult::None, sealers: Vec::new(), passed_at_origin: false }),
        }
    }
}
