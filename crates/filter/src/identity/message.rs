//! DKIM, ARC and DMARC of a complete message (RFC 6376, 8617, 9989).

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join3;
use tidegate_mail::{Domain, Message};

use super::signable::Signable;
use super::{Identity, Spf, arc, dkim, dmarc};
use crate::known::Known;
use crate::patience::Patience;
use crate::world::World;

/// What the identities of a message depend on.
pub struct MessageInput<'a> {
    /// The message as received.
    pub message: &'a Message,
    /// SPF of the reverse-path, for DMARC.
    pub spf: &'a Known<Spf>,
    /// The domain that SPF was asked about: that of the reverse-path, or the HELO name for the null path.
    pub spf_domain: Option<&'a Domain>,
    /// How long all questions to DNS together may take; what is not answered then is a gap.
    pub patience: Duration,
}

/// Evaluates every signature, the ARC chain and DMARC. Key expiry is judged by the World's clock.
pub async fn identify(input: &MessageInput<'_>, world: &World) -> Identity {
    let now = world.clock.now();
    let dns = Patience::new(Arc::clone(&world.dns), input.patience);
    let signable = Signable::new(input.message);
    let authors = dmarc::author_domains(input.message);
    let (dkim, arc, authors) = join3(
        dkim::verify(&signable, now, &dns),
        arc::verify(&signable, authors.first(), now, &dns),
        dmarc::look_up(&authors, &dns),
    )
    .await;
    let vouchers = dmarc::Vouchers { spf: input.spf, spf_domain: input.spf_domain, dkim: &dkim };
    let dmarc = dmarc::evaluate(authors, vouchers, &dns).await;
    Identity { dkim, dmarc, arc }
}
