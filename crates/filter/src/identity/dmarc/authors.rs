//! The domains that a message claims to be from, over all `From` fields: a reader may show any of them.

use tidegate_mail::{Domain, Message, parse_mailboxes};

/// Domains that are looked at; each costs a tree walk.
const DOMAINS_MAX: usize = 5;
/// Mailboxes that are read of one field.
const MAILBOXES_MAX: usize = 100;

/// The authors' domains, in order, each once.
pub(in crate::identity) fn author_domains(message: &Message) -> Vec<Domain> {
    let mut domains: Vec<Domain> = Vec::new();
    for field in message.headers_named("From") {
        let (mailboxes, _more) = parse_mailboxes(&field.unfolded(), MAILBOXES_MAX);
        for address in mailboxes.iter().filter_map(|mailbox| mailbox.address.as_ref()) {
            let domain = address.domain();
            if domains.len() < DOMAINS_MAX && !domain.is_literal() && !domains.contains(domain) {
                domains.push(domain.clone());
            }
        }
    }
    domains
}
