//! SPF of the HELO name and of the reverse-path (RFC 7208), as two facts.

use std::net::IpAddr;

use tidegate_mail::{Domain, ReversePath};

use super::Spf;
use crate::session::Helo;
use crate::world::{Known, Service, Unavailable, World};

/// What SPF is asked about.
pub struct SpfInput<'a> {
    /// The client.
    pub ip: IpAddr,
    /// What it calls itself.
    pub helo: Option<&'a Helo>,
    /// Our own name, for the `%{r}` macro.
    pub receiver: &'a Domain,
}

/// SPF of the HELO name.
///
/// `Err` is SPF's "temperror": DNS gave no answer.
pub async fn spf_helo(input: &SpfInput<'_>, world: &World) -> Known<Spf> {
    let _ = (input, world);
    Err(Unavailable::new(Service::Dns, "SPF is not evaluated yet"))
}

/// SPF of the reverse-path, or of `postmaster@HELO` for the null path (RFC 7208 section 2.4).
///
/// `Err` is SPF's "temperror": DNS gave no answer.
pub async fn spf_mail_from(input: &SpfInput<'_>, path: &ReversePath, world: &World) -> Known<Spf> {
    let _ = (input, path, world);
    Err(Unavailable::new(Service::Dns, "SPF is not evaluated yet"))
}
