//! DKIM, ARC and DMARC of a complete message (RFC 6376, 8617, 9989).

use tidegate_mail::{Domain, Message};

use super::signable::Signable;
use super::{Identity, Spf, arc, dkim, dmarc};
use crate::world::{Known, World};

/// What the identities of a message depend on.
pub struct MessageInput<'a> {
    /// The message as received.
    pub message: &'a Message,
    /// SPF of the reverse-path, for DMARC.
    pub spf: &'a Known<Spf>,
    /// The domain that SPF was asked about: that of the reverse-path, or the HELO name for the null path.
    pub spf_domain: Option<&'a Domain>,
}

/// Evaluates every signature, the ARC chain and DMARC. Key expiry is judged by the World's clock.
pub async fn identify(input: &MessageInput<'_>, world: &World) -> Identity {
    let now = world.clock.now();
    let mut signable = Signable::new(input.message);
    let authors = dmarc::author_domains(input.message);
    let dkim = dkim::verify(&mut signable, now, &*world.dns).await;
    let vouchers = dmarc::Vouchers { spf: input.spf, spf_domain: input.spf_domain, dkim: &dkim };
    let dmarc = dmarc::evaluate(&authors, vouchers, &*world.dns).await;
    let arc = arc::verify(&mut signable, authors.first(), now, &*world.dns).await;
    Identity { dkim, dmarc, arc }
}
