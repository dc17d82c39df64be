//! Forward-confirmed reverse DNS of a client ("iprev", RFC 8601 section 3).

use std::net::IpAddr;

use futures_util::future::join_all;
use tidegate_mail::Domain;

use super::Fcrdns;
use crate::dns::{Question, Record, RecordKind, Resolver, reverse_question};
use crate::known::Known;

/// Reverse names that are followed for one address (RFC 7208 section 5.5 uses the same number for `ptr`).
const NAMES_MAX: usize = 10;

/// Reverse names of `ip`, confirmed if one of their own addresses is `ip` again.
///
/// `Err` when DNS gave no answer in time and no name is confirmed; a client without PTR is `Ok(Fcrdns::None)`.
pub async fn fcrdns(ip: IpAddr, dns: &dyn Resolver) -> Known<Fcrdns> {
    let reply = dns.lookup(&reverse_question(ip)).await?;
    let names: Vec<String> = reply
        .records
        .into_iter()
        .filter_map(|record| match record {
            Record::Ptr(name) => Some(name),
            _ => None,
        })
        .take(NAMES_MAX)
        .collect();
    if names.is_empty() {
        return Ok(Fcrdns::None);
    }
    let answers = join_all(names.iter().map(|name| leads_back(name, ip, dns))).await;
    let confirmed: Vec<Domain> = answers.iter().filter_map(|answer| answer.as_ref().ok().cloned().flatten()).collect();
    if !confirmed.is_empty() {
        return Ok(Fcrdns::Confirmed(confirmed));
    }
    match answers.into_iter().find_map(Result::err) {
        Some(unavailable) => Err(unavailable),
        None => Ok(Fcrdns::Unconfirmed(names)),
    }
}

async fn leads_back(name: &str, ip: IpAddr, dns: &dyn Resolver) -> Known<Option<Domain>> {
    let Ok(domain) = Domain::parse(name) else { return Ok(None) };
    let kind = if ip.is_ipv4() { RecordKind::A } else { RecordKind::Aaaa };
    let reply = dns.lookup(&Question::new(domain.as_str(), kind)).await?;
    Ok(reply.addresses().any(|address| address == ip).then_some(domain))
}
