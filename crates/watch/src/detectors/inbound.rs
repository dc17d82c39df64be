//! Strangers who ask for mailboxes that do not exist.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::table::{Quiet, Row, Table, Window};
use super::{Alert, AlertKind, Subject, Thresholds};
use crate::event::Event;
use crate::offence::OffenceKind;
use crate::time::{HOUR_MS, Timestamp};

const TEN_MINUTES_MS: i64 = 10 * 60_000;

/// State of the detector of dictionaries.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Inbound {
    addresses: Table<IpAddr, Address>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Address {
    last: Timestamp,
    unknown: Window,
    quiet: Quiet,
}

impl Row for Address {
    fn last(&self) -> Timestamp {
        self.last
    }
}

impl Inbound {
    pub(super) fn feed(&mut self, event: &Event<'_>, time: Timestamp, thresholds: &Thresholds) -> Vec<Alert> {
        let Some(offence) = event.offence() else { return Vec::new() };
        if offence.kind != OffenceKind::UnknownRecipient || offence.ip.is_loopback() {
            return Vec::new();
        }
        let row = self.addresses.row(offence.ip);
        row.last = time;
        let unknown = row.unknown.add(time, TEN_MINUTES_MS, offence.times);
        if unknown < thresholds.unknown_asked_10m || !row.quiet.pass(time, HOUR_MS) {
            return Vec::new();
        }
        let evidence = format!("asked for {unknown} mailboxes that do not exist within ten minutes");
        vec![Alert { kind: AlertKind::Dictionary, subject: Subject::Ip(offence.ip), time, times: unknown, evidence }]
    }
}
