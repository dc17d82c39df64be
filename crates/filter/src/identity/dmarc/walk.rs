//! The DNS tree walk of RFC 9989 section 4.10: from a domain up to its top-level domain, eight questions at most.

use futures_util::future::join_all;
use tidegate_mail::Domain;

use super::record::{PublicSuffix, Record};
use crate::dns::{self, Question, RecordKind, Resolver};
use crate::known::Known;

/// Labels that are left after the first step of a longer name (RFC 9989 section 4.10, step 4).
const LABELS_AFTER_START: usize = 7;

/// What stands on the way from a domain up.
pub(super) struct Walk {
    start: Domain,
    /// Records, longest name first.
    found: Vec<(Domain, Record)>,
}

impl Walk {
    /// Walks up from `start`, whose own record was asked for already.
    pub(super) async fn from(start: &Domain, own: Option<Record>, dns: &dyn Resolver) -> Known<Walk> {
        let mut found = Vec::new();
        let stops = |record: &Record| record.public_suffix != PublicSuffix::Unknown;
        if let Some(record) = own {
            let ends_here = stops(&record);
            found.push((start.clone(), record));
            if ends_here {
                return Ok(Walk { start: start.clone(), found });
            }
        }
        let names = names_above(start);
        let records = join_all(names.iter().map(|name| record_at(name, dns))).await;
        for (name, record) in names.into_iter().zip(records) {
            if let Some(record) = record? {
                let ends_here = stops(&record);
                found.push((name, record));
                if ends_here {
                    break;
                }
            }
        }
        Ok(Walk { start: start.clone(), found })
    }

    /// The organizational domain (RFC 9989 section 4.10.2).
    pub(super) fn organization(&self) -> Domain {
        for (name, record) in &self.found {
            match record.public_suffix {
                PublicSuffix::No => return name.clone(),
                PublicSuffix::Yes if *name != self.start => return one_below(name, &self.start),
                PublicSuffix::Yes | PublicSuffix::Unknown => {}
            }
        }
        self.found.last().map_or_else(|| self.start.clone(), |(name, _)| name.clone())
    }

    /// The record that applies where the start has none of its own: that of the organizational domain, else that of the public
    /// suffix.
    pub(super) fn applicable(&self) -> Option<(Domain, Record)> {
        let organization = self.organization();
        let own = self.found.iter().find(|(name, _)| *name == self.start);
        let of_organization = || self.found.iter().find(|(name, _)| *name == organization);
        let of_suffix = || self.found.iter().find(|(_, record)| record.public_suffix == PublicSuffix::Yes);
        own.or_else(of_organization).or_else(of_suffix).cloned()
    }
}

/// The name one label longer than `suffix` on the way to `start`.
fn one_below(suffix: &Domain, start: &Domain) -> Domain {
    let mut name = start.clone();
    while let Some(parent) = name.parent() {
        if parent == *suffix {
            return name;
        }
        name = parent;
    }
    start.clone()
}

/// The names that are asked for after the start.
fn names_above(start: &Domain) -> Vec<Domain> {
    let mut names = Vec::new();
    let mut name = start.parent();
    while let Some(above) = name {
        if above.labels().count() <= LABELS_AFTER_START {
            names.push(above.clone());
        }
        name = above.parent();
    }
    names
}

/// The one DMARC record at `_dmarc.domain`; several are none (RFC 9989 section 4.10, step 2).
pub(super) async fn record_at(domain: &Domain, dns: &dyn Resolver) -> Known<Option<Record>> {
    let Ok(name) = domain.below("_dmarc") else { return Ok(None) };
    let reply = dns.lookup(&Question::new(name.as_str(), RecordKind::Txt)).await?;
    let mut records = reply.records.iter().filter_map(|record| match record {
        dns::Record::Txt(text) => Record::parse(text),
        _ => None,
    });
    let first = records.next();
    Ok(first.filter(|_| records.next().is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 9989 section 4.10.
    #[test]
    fn a_long_name_costs_eight_questions() {
        let start = Domain::parse("a.b.c.d.e.f.g.h.i.j.mail.example.com").unwrap();
        let names: Vec<String> = names_above(&start).iter().map(ToString::to_string).collect();
        assert_eq!(
            names,
            [
                "g.h.i.j.mail.example.com",
                "h.i.j.mail.example.com",
                "i.j.mail.example.com",
                "j.mail.example.com",
                "mail.example.com",
                "example.com",
                "com"
            ]
        );
    }
}
