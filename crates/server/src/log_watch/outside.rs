//! What the watch over the logs knows from elsewhere: limits, whose a domain is, and the header of a message as long as it lies in
//! Exim's spool.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_filter::panel::{Hosting, Panel};
use tidegate_mail::{Domain, Limits as MessageLimits, Message};
use tidegate_watch::detectors::Limits;
use tidegate_watch::{Event, Kind, Origin, Step};

use crate::frontends::exim::spool::header_in_spool;

/// Octets of a script's name that are kept.
const SCRIPT_OCTETS_MAX: usize = 200;

/// What is known from elsewhere.
#[derive(Clone)]
pub struct Outside {
    /// What the administrator allows.
    pub limits: Limits,
    /// What the panel knows.
    pub panel: Arc<dyn Panel>,
    /// Exim's spool folder.
    pub spool: PathBuf,
    /// The folder in which Exim is started to release mail from the quarantine.
    pub quarantine: PathBuf,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("limits", &self.limits).field("spool", &self.spool).finish_non_exhaustive()
    }
}

impl Outside {
    /// Whether a step is one of a message that was released from the quarantine: root sent it from there. Nobody here sends more for it.
    pub(super) fn is_of_released(&self, step: &Step<'_, '_>) -> bool {
        let (Step::Arrived(message) | Step::Outcome(message, _)) = step else { return false };
        matches!(&message.origin, Origin::Script { user, script } if **user == *"root" && Path::new(&**script) == self.quarantine)
    }

    /// The account that owns `domain`, if the panel has accounts.
    pub(super) fn owner(&self, domain: &str) -> Option<String> {
        let domain = domain.parse::<Domain>().ok()?;
        match self.panel.hosting(&domain) {
            Hosting::Local(owner) | Hosting::Relayed(owner) => owner.map(|account| account.0),
            Hosting::Foreign => None,
        }
    }

    /// The script that the header of a message born here names, if the message is still in the spool and may be read.
    pub(super) fn script_of(&self, event: &Event<'_>) -> Option<String> {
        let Kind::Arrival(arrival) = &event.kind else { return None };
        let is_local = arrival.protocol.is_some_and(|protocol| protocol.starts_with("local"));
        if !is_local || arrival.auth.is_some() || arrival.peer.ident.is_none() {
            return None;
        }
        in_spool(&self.spool, arrival.queue, event.id?)
    }
}

fn in_spool(spool: &Path, queue: Option<&str>, id: &str) -> Option<String> {
    let header = header_in_spool(spool, queue, id)?;
    script_named(&Message::parse(header, &MessageLimits::default()))
}

/// The script that a message names, as PHP (`mail.add_x_header`) and hosting panels have it written: with the site in front where
/// that is known. Whoever wrote the message may have written it.
pub fn script_named(message: &Message) -> Option<String> {
    let value = |name: &str| message.header(name).map(|field| field.decoded().trim().to_owned());
    // `shop.example/contact.php for 203.0.113.9`
    let site = value("X-PHP-Script").and_then(|value| value.split(" for ").next().map(str::to_owned));
    // `1001:contact.php`
    let file = || value("X-PHP-Originating-Script").and_then(|value| value.split_once(':').map(|(_, f)| f.to_owned()));
    let name = site.filter(|site| !site.is_empty()).or_else(file)?;
    let is_fit = !name.is_empty() && name.len() <= SCRIPT_OCTETS_MAX && !name.chars().any(char::is_control);
    is_fit.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as PHP, cPanel and attackers write them.
    #[test]
    fn a_header_names_its_script() {
        let long = format!("X-PHP-Script: {}", "x".repeat(300));
        for (header, script) in [
            ("X-PHP-Script: shop.example/contact.php for 203.0.113.9, 127.0.0.1", Some("shop.example/contact.php")),
            ("X-PHP-Originating-Script: 1001:contact.php", Some("contact.php")),
            ("X-PHP-Originating-Script: 1001:index.php(2) : eval()'d code", Some("index.php(2) : eval()'d code")),
            ("X-PHP-Originating-Script: 1001:a.php\nX-PHP-Script: s.example/a.php for ::1", Some("s.example/a.php")),
            ("X-PHP-Script: \nX-PHP-Originating-Script: 33:b.php", Some("b.php")),
            ("X-PHP-Originating-Script: 33", None),
            ("X-PHP-Script: =?utf-8?q?a=1b[2J?=", None),
            (long.as_str(), None),
            ("Subject: x", None),
        ] {
            let message = Message::parse(format!("{header}\n\n").into_bytes(), &MessageLimits::default());
            assert_eq!(script_named(&message).as_deref(), script, "{header}");
        }
    }
}
