//! DMARC of the author's domain (RFC 9989): the record that applies, found by the tree walk, and whether SPF or DKIM vouches in
//! alignment. Own evaluator: see decision 0002. Reports are not sent from here.

use futures_util::future::join_all;
use tidegate_mail::Domain;

use super::{Aligned, DkimResult, DkimSignature, Dmarc, DmarcPolicy, Spf};
use crate::dns::{Question, RecordKind, Resolver, Status};
use crate::known::{Known, Unavailable};

mod authors;
mod record;
mod walk;

pub(super) use authors::author_domains;
use record::{Alignment, Record};
use walk::{Walk, record_at};

/// Who vouches for the message.
#[derive(Clone, Copy)]
pub(super) struct Vouchers<'a> {
    /// SPF of the reverse-path.
    pub(super) spf: &'a Known<Spf>,
    /// The domain that SPF was asked about, also where it gave no answer.
    pub(super) spf_domain: Option<&'a Domain>,
    /// Every DKIM signature.
    pub(super) dkim: &'a [DkimSignature],
}

/// What applies to one author's domain, before anyone is asked who vouches for it.
pub(super) struct Author {
    domain: Domain,
    /// The domain's own record.
    own: Option<Record>,
    /// Its organizational domain, where the walk had to be made already.
    organization: Option<Domain>,
    /// The record that applies, where it stands, and what it asks for.
    applicable: Option<(Domain, Record, DmarcPolicy)>,
}

/// Looks up what applies to each of the authors' domains. Can run while signatures are verified.
pub(super) async fn look_up(authors: &[Domain], dns: &dyn Resolver) -> Vec<Known<Author>> {
    join_all(authors.iter().map(|author| Author::look_up(author, dns))).await
}

/// DMARC of a message. RFC 9989 leaves a message with authors of several domains alone; here each of them must be vouched for, and
/// the worst is reported, since else a second author would be a way around the policy of the first.
///
/// `Err` when DNS gave no answer that would have mattered.
pub(super) async fn evaluate(authors: Vec<Known<Author>>, vouchers: Vouchers<'_>, dns: &dyn Resolver) -> Known<Dmarc> {
    let mut worst: Option<Dmarc> = None;
    for author in authors {
        let dmarc = author?.evaluate(vouchers, dns).await?;
        if worst.as_ref().is_none_or(|worst| severity(&dmarc) > severity(worst)) {
            worst = Some(dmarc);
        }
    }
    Ok(worst.unwrap_or_else(|| Dmarc::none(None)))
}

fn severity(dmarc: &Dmarc) -> (u8, DmarcPolicy) {
    match dmarc.pass {
        Some(true) => (0, DmarcPolicy::None),
        None => (1, DmarcPolicy::None),
        Some(false) => (2, dmarc.policy),
    }
}

impl Dmarc {
    fn none(author: Option<Domain>) -> Dmarc {
        Dmarc {
            author,
            record_domain: None,
            pass: None,
            aligned: Vec::new(),
            policy: DmarcPolicy::None,
            testing: false,
        }
    }
}

impl Author {
    async fn look_up(domain: &Domain, dns: &dyn Resolver) -> Known<Author> {
        let own = record_at(domain, dns).await?;
        // The author's own record applies whatever stands above it; then the walk is only needed to compare names.
        let (found, organization) = match &own {
            Some(record) => (Some((domain.clone(), record.clone())), None),
            None => {
                let walk = Walk::from(domain, None, dns).await?;
                (walk.applicable(), Some(walk.organization()))
            }
        };
        let applicable = match found {
            Some((at, record)) => policy(&record, &at, domain, dns).await?.map(|policy| (at, record, policy)),
            None => None,
        };
        Ok(Author { domain: domain.clone(), own, organization, applicable })
    }

    async fn evaluate(self, vouchers: Vouchers<'_>, dns: &dyn Resolver) -> Known<Dmarc> {
        let Some((record_domain, record, policy)) = self.applicable else { return Ok(Dmarc::none(Some(self.domain))) };
        let mut comparison = Comparison { author: &self.domain, own: self.own, organization: self.organization, dns };
        let aligned = comparison.aligned(&record, vouchers).await?;
        if aligned.is_empty()
            && let Some(unavailable) = comparison.unavailable(&record, vouchers).await?
        {
            // Neither a pass nor a fail (RFC 9989 section 5.3.6).
            return Err(unavailable);
        }
        Ok(Dmarc {
            author: Some(self.domain),
            record_domain: Some(record_domain),
            pass: Some(!aligned.is_empty()),
            aligned,
            policy: if record.testing { milder(policy) } else { policy },
            testing: record.testing,
        })
    }
}

/// What `record` asks for mail of `author`; `None` when DMARC does not apply (RFC 9989 section 4.10.1).
async fn policy(
    record: &Record,
    record_domain: &Domain,
    author: &Domain,
    dns: &dyn Resolver,
) -> Known<Option<DmarcPolicy>> {
    let Some(policy) = record.policy else {
        return Ok(record.wants_reports.then_some(DmarcPolicy::None));
    };
    if record_domain == author {
        return Ok(Some(policy));
    }
    let existing = record.subdomains.unwrap_or(policy);
    let missing = record.missing_subdomains.unwrap_or(existing);
    if existing == missing {
        return Ok(Some(existing));
    }
    // NXDOMAIN for any type means that the name and all below it do not exist (RFC 8020).
    let reply = dns.lookup(&Question::new(author.as_str(), RecordKind::A)).await?;
    Ok(Some(if reply.status == Status::NxDomain { missing } else { existing }))
}

/// One step less, for a record that is only tried (`t=y`, RFC 9989 section 4.7).
fn milder(policy: DmarcPolicy) -> DmarcPolicy {
    match policy {
        DmarcPolicy::Reject => DmarcPolicy::Quarantine,
        DmarcPolicy::Quarantine | DmarcPolicy::None => DmarcPolicy::None,
    }
}

/// Compares names with the author's domain (RFC 9989 section 4.10.2).
struct Comparison<'a> {
    author: &'a Domain,
    /// The author's own record.
    own: Option<Record>,
    /// The author's organizational domain, once it had to be found out.
    organization: Option<Domain>,
    dns: &'a dyn Resolver,
}

impl Comparison<'_> {
    async fn aligned(&mut self, record: &Record, vouchers: Vouchers<'_>) -> Known<Vec<Aligned>> {
        let mut aligned = Vec::new();
        if let Some(domain) = vouchers.spf.as_ref().ok().and_then(Spf::vouching_domain)
            && self.is_aligned(domain, record.spf_alignment).await?
        {
            aligned.push(Aligned::Spf(domain.clone()));
        }
        let signers = vouchers.dkim.iter().filter(|s| s.result == DkimResult::Pass).filter_map(|s| s.domain.as_ref());
        for domain in signers {
            let known = aligned.contains(&Aligned::Dkim(domain.clone()));
            if !known && self.is_aligned(domain, record.dkim_alignment).await? {
                aligned.push(Aligned::Dkim(domain.clone()));
            }
        }
        Ok(aligned)
    }

    /// Something that would have been aligned, had DNS answered.
    async fn unavailable(&mut self, record: &Record, vouchers: Vouchers<'_>) -> Known<Option<Unavailable>> {
        if let (Err(unavailable), Some(domain)) = (vouchers.spf, vouchers.spf_domain)
            && self.is_aligned(domain, record.spf_alignment).await?
        {
            return Ok(Some(unavailable.clone()));
        }
        for signature in vouchers.dkim {
            let DkimResult::Unavailable(unavailable) = &signature.result else { continue };
            let Some(domain) = &signature.domain else { continue };
            if self.is_aligned(domain, record.dkim_alignment).await? {
                return Ok(Some(unavailable.clone()));
            }
        }
        Ok(None)
    }

    async fn is_aligned(&mut self, domain: &Domain, alignment: Alignment) -> Known<bool> {
        if domain == self.author {
            return Ok(true);
        }
        // Names under different top-level domains have no organization in common, and no question can change that.
        let is_far = domain.labels().next_back() != self.author.labels().next_back();
        if alignment == Alignment::Strict || is_far {
            return Ok(false);
        }
        let organization = match &self.organization {
            Some(known) => known.clone(),
            None => {
                let found = Walk::from(self.author, self.own.clone(), self.dns).await?.organization();
                self.organization.insert(found).clone()
            }
        };
        // Only a name below the same organization can have it as its own; the others need no walk.
        if !domain.is_within(&organization) {
            return Ok(false);
        }
        let record = record_at(domain, self.dns).await?;
        Ok(Walk::from(domain, record, self.dns).await?.organization() == organization)
    }
}
