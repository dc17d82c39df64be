//! SPF of the HELO name and of the reverse-path (RFC 7208), as two facts. Own evaluator: see decision 0002. The explanation of
//! a failed domain (`exp`) is never fetched, since it is text that a stranger writes into our replies.

use std::net::IpAddr;

use tidegate_mail::{Domain, ReversePath};

use super::{Spf, SpfResult};
use crate::known::Known;
use crate::session::Helo;
use crate::world::World;

mod evaluate;
mod macros;
mod record;

use evaluate::{Evaluation, Identity, Stop};

/// What SPF is asked about.
pub struct SpfInput<'a> {
    /// The client.
    pub ip: IpAddr,
    /// What it calls itself.
    pub helo: Option<&'a Helo>,
}

/// The local part that stands for a missing one (RFC 7208 section 4.3).
const LOCAL_PART_DEFAULT: &str = "postmaster";

/// SPF of the HELO name.
///
/// `Err` is SPF's "temperror": DNS gave no answer.
pub async fn spf_helo(input: &SpfInput<'_>, world: &World) -> Known<Spf> {
    match input.helo.and_then(Helo::domain) {
        Some(domain) => check_host(input, LOCAL_PART_DEFAULT, domain, world).await,
        None => Ok(Spf::none()),
    }
}

/// SPF of the reverse-path, or of `postmaster@HELO` for the null path (RFC 7208 section 2.4).
///
/// `Err` is SPF's "temperror": DNS gave no answer.
pub async fn spf_mail_from(input: &SpfInput<'_>, path: &ReversePath, world: &World) -> Known<Spf> {
    match path.address() {
        Some(address) => check_host(input, address.local(), address.domain().clone(), world).await,
        None => spf_helo(input, world).await,
    }
}

/// The function of that name in RFC 7208 section 4.
async fn check_host(input: &SpfInput<'_>, local: &str, domain: Domain, world: &World) -> Known<Spf> {
    let is_checkable = !domain.is_literal() && domain.labels().nth(1).is_some();
    if !is_checkable {
        return Ok(Spf::none());
    }
    let helo = input.helo.map_or("unknown", Helo::as_str);
    // A mapped address is the IPv4 address it stands for (RFC 7208 section 5).
    let ip = input.ip.to_canonical();
    let identity = Identity { ip, local, domain: domain.as_str(), helo };
    let mut evaluation = Evaluation::new(identity, &*world.dns);
    let (result, allows_everyone, because) = match evaluation.check_host(domain.as_str()).await {
        Ok(verdict) => (verdict.result, verdict.allows_everyone, verdict.because),
        Err(Stop::PermError(because)) => (SpfResult::PermError, false, because),
        Err(Stop::TempError(unavailable)) => return Err(unavailable),
    };
    Ok(Spf { result, domain: Some(domain), allows_everyone, because })
}
