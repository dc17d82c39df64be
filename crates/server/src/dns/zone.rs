//! DNS without a network: a master file that answers everything (what it lacks does not exist), or nothing at all.

use std::collections::BTreeMap;
use std::future::ready;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use hickory_resolver::proto::rr::{Name, RData, RecordSet, RecordType, RrKey};
use hickory_resolver::proto::serialize::txt::Parser;
use tidegate_filter::dns::{Question, Reply, Resolver, Status};
use tidegate_filter::known::{Answer, Known, Service, Unavailable};

use super::{read, record_type};

/// CNAMEs that are followed.
const ALIASES_MAX: usize = 8;
/// Time to live of what does not exist.
const NEGATIVE_TTL: Duration = Duration::from_secs(300);

/// A master file (RFC 1035 section 5) as the whole of DNS.
pub struct Zone {
    records: BTreeMap<RrKey, RecordSet>,
}

impl Zone {
    /// Reads the master file at `path`; names without a final dot are below the root unless it says `$ORIGIN`.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it does not read.
    pub fn read(path: &Path) -> anyhow::Result<Zone> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let parser = Parser::new(text, Some(path.to_owned()), Some(Name::root()));
        let (_, records) = parser.parse().map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        Ok(Zone { records })
    }

    fn answer(&self, question: &Question) -> Reply {
        let Ok(mut name) = Name::from_ascii(format!("{}.", question.name())) else {
            return Reply::nxdomain(NEGATIVE_TTL);
        };
        for _ in 0..ALIASES_MAX {
            if let Some(set) = self.set(&name, record_type(question.kind())) {
                let records = set.records_without_rrsigs().filter_map(|record| read(&record.data, question.kind()));
                return Reply::found(records.collect(), Duration::from_secs(u64::from(set.ttl())));
            }
            let alias = self.set(&name, RecordType::CNAME).and_then(|set| set.records_without_rrsigs().next());
            match alias.map(|record| &record.data) {
                Some(RData::CNAME(target)) => name = target.0.clone(),
                _ => break,
            }
        }
        let status = if self.exists(&name) { Status::NoData } else { Status::NxDomain };
        Reply { status, records: Vec::new(), ttl: NEGATIVE_TTL }
    }

    fn set(&self, name: &Name, kind: RecordType) -> Option<&RecordSet> {
        self.records.get(&RrKey::new(name.into(), kind))
    }

    /// A name exists if it or one below it has records (RFC 8020).
    fn exists(&self, name: &Name) -> bool {
        self.records.keys().any(|key| name.zone_of(&Name::from(key.name())))
    }
}

impl Resolver for Zone {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        Box::pin(ready(Ok(self.answer(question))))
    }
}

/// No DNS: every question is one that could not be asked.
pub struct Offline;

impl Resolver for Offline {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        Box::pin(ready(Err(Unavailable::new(Service::Dns, format!("{question}: not asked (offline)")))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_filter::dns::{Record, RecordKind};

    #[test]
    fn a_master_file_is_all_of_dns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zone");
        let text = "$TTL 60\ngood.test. IN MX 10 mx.good.test.\nmx.good.test. IN A 192.0.2.1\n\
                    www.good.test. IN CNAME mx.good.test.\ngood.test. IN TXT \"v=spf1 mx\" \" -all\"\n\
                    1.2.0.192.in-addr.arpa. IN PTR mx.good.test.\n";
        std::fs::write(&path, text).unwrap();
        let zone = Zone::read(&path).unwrap();
        let ask = |name: &str, kind| zone.answer(&Question::new(name, kind));
        assert_eq!(ask("www.good.test", RecordKind::A).records, [Record::A("192.0.2.1".parse().unwrap())]);
        assert_eq!(ask("Good.test", RecordKind::Mx).records, [Record::Mx(10, "mx.good.test".into())]);
        assert_eq!(ask("good.test", RecordKind::Txt).records, [Record::Txt(b"v=spf1 mx -all".to_vec())]);
        assert_eq!(ask("good.test", RecordKind::Aaaa).status, Status::NoData);
        assert_eq!(ask("2.0.192.in-addr.arpa", RecordKind::Ptr).status, Status::NoData);
        assert_eq!(ask("bad.test", RecordKind::A).status, Status::NxDomain);
    }
}
