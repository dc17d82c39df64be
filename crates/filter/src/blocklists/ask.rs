//! Asking one list about an address or a domain (RFC 5782 sections 2.1, 2.4 and 3).

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::{Health, List, health};
use crate::check::{Ask, Remember, Symbol, When};
use crate::dns::{Question, Record, RecordKind, is_internal, reversed};
use crate::store::Write;
use crate::tables::LIST_HEALTH;
use crate::world::{Known, Service, Unavailable, World};

/// Codes of one answer that are looked at.
const CODES_MAX: usize = 16;

/// One meaning of an answer.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What it is found as.
    pub symbol: Arc<Symbol>,
    /// The code the list gave.
    pub code: Ipv4Addr,
}

/// What a list said.
#[derive(Debug, Default)]
pub struct ListAnswer {
    /// Meanings of the codes it gave; empty when not listed.
    pub listings: Vec<Listing>,
    /// Why the list could not be relied on.
    pub gap: Option<Unavailable>,
    /// What its probe has to remember.
    pub remember: Vec<Remember>,
}

/// Asks `list` about the client `ip`. Private, loopback and link-local addresses are on no list and are not asked.
pub async fn ask_address<F>(list: &List, ip: IpAddr, ask: &Ask<'_, F>) -> ListAnswer {
    if !list.asks(ip) || is_internal(ip) {
        return ListAnswer::default();
    }
    ask_name(list, &reversed(ip, list.zone.as_str()), ask).await
}

/// Asks `list` about `domain`.
pub async fn ask_domain<F>(list: &List, domain: &str, ask: &Ask<'_, F>) -> ListAnswer {
    ask_name(list, &format!("{domain}.{}", list.zone), ask).await
}

async fn ask_name<F>(list: &List, name: &str, ask: &Ask<'_, F>) -> ListAnswer {
    let (health, codes) = futures_util::future::join(health(list, ask.world, ask.now), codes(name, ask.world)).await;
    let (health, fresh) = match health {
        Ok(known) => known,
        Err(unavailable) => return ListAnswer { gap: Some(unavailable), ..ListAnswer::default() },
    };
    let mut remember: Vec<Remember> = Vec::new();
    if fresh {
        remember.push(health_row(list, &health));
    }
    if let Health::Failing { cause, .. } = &health {
        return ListAnswer { gap: Some(switched_off(list, cause)), remember, ..ListAnswer::default() };
    }
    let codes = match codes {
        Ok(codes) => codes,
        Err(gap) => return ListAnswer { gap: Some(gap), remember, ..ListAnswer::default() },
    };
    if let Some(error) = codes.iter().find(|code| list.is_error(**code)) {
        let cause = format!("answered {error}, which is an error and no listing");
        remember.push(health_row(list, &Health::Failing { cause: cause.clone(), since: ask.now }));
        return ListAnswer { gap: Some(switched_off(list, &cause)), remember, ..ListAnswer::default() };
    }
    let meaning = |code: Ipv4Addr| list.meaning(code).map(|symbol| Listing { symbol: Arc::clone(symbol), code });
    ListAnswer { listings: codes.into_iter().filter_map(meaning).collect(), gap: None, remember }
}

/// The A records at `name`; none when it does not exist.
pub(super) async fn codes(name: &str, world: &World) -> Known<Vec<Ipv4Addr>> {
    let reply = world.dns.lookup(&Question::new(name, RecordKind::A)).await?;
    let codes = reply.records.into_iter().filter_map(|record| match record {
        Record::A(code) => Some(code),
        _ => None,
    });
    Ok(codes.take(CODES_MAX).collect())
}

fn switched_off(list: &List, cause: &str) -> Unavailable {
    Unavailable::new(Service::Dns, format!("list {} is switched off: {cause}", list.zone))
}

fn health_row(list: &List, health: &Health) -> Remember {
    let key = list.zone.as_str().as_bytes().to_vec();
    Remember { when: When::Always, write: Write::Put { table: &LIST_HEALTH, key, value: health.encode() } }
}
