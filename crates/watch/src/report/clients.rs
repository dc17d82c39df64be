//! From which addresses each mailbox was used, on the present day and on its busiest one: what an administrator blocks and
//! looks for elsewhere. Counts nothing else; how many networks there were, the ledgers know.

use std::collections::HashSet;
use std::net::IpAddr;

use super::room;
use crate::api::report as api;
use crate::map::Map;
use crate::time::{DAY_MS, MINUTE_MS, Timestamp};

/// Mailboxes that are kept; beyond, those that sent least make room.
const LOGINS_MAX: usize = 5_000;
/// Addresses that are kept of one day.
const CLIENTS_MAX: usize = 64;

/// One day of a mailbox.
#[derive(Debug, Default)]
struct Day {
    day: u32,
    recipients: u32,
    clients: Vec<Client>,
    has_more: bool,
}

/// One address on one day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) ip: IpAddr,
    pub(super) recipients: u32,
    /// The first and the last minute of the day in which it sent.
    first: u16,
    last: u16,
}

impl Client {
    /// The first and the last minute of the day in which it sent.
    pub(super) fn minutes(&self) -> (u32, u32) {
        (u32::from(self.first), u32::from(self.last))
    }

    /// With names of the times, on `day`.
    pub(super) fn row(&self, day: u32) -> api::Client {
        let name = |minute: u16| {
            let at = i64::from(day) * DAY_MS + i64::from(minute) * MINUTE_MS;
            Timestamp::from_millis(at).to_string().trim_end_matches('Z').to_owned()
        };
        api::Client {
            name: self.ip.to_string(),
            times: u64::from(self.recipients),
            first: name(self.first),
            last: name(self.last),
        }
    }
}

/// The addresses of a mailbox on one day.
#[derive(Clone, Debug, Default)]
pub(super) struct Used {
    pub(super) day: u32,
    /// The busiest first.
    pub(super) clients: Vec<Client>,
    pub(super) has_more: bool,
}

#[derive(Debug, Default)]
struct Login {
    today: Day,
    busiest: Day,
}

/// All mailboxes.
#[derive(Debug, Default)]
pub(super) struct Clients {
    by_login: Map<Box<str>, Login>,
}

impl Clients {
    /// Counts a message to so many recipients at a local time.
    pub(super) fn sent(&mut self, login: &str, ip: IpAddr, recipients: u32, local: Timestamp) {
        let day = u32::try_from(local.day()).unwrap_or(0);
        let minute = u16::try_from(local.as_millis().rem_euclid(DAY_MS) / MINUTE_MS).unwrap_or(0);
        if !self.by_login.contains_key(login) {
            room::make(&mut self.by_login, LOGINS_MAX, |login| {
                u64::from(login.busiest.recipients.max(login.today.recipients))
            });
            self.by_login.insert(login.into(), Login::default());
        }
        let Some(login) = self.by_login.get_mut(login) else { return };
        if login.today.day != day {
            let past = std::mem::replace(&mut login.today, Day { day, ..Day::default() });
            if past.recipients > login.busiest.recipients {
                login.busiest = past;
            }
        }
        let today = &mut login.today;
        let recipients = recipients.max(1);
        let has_room = today.clients.len() < CLIENTS_MAX;
        today.recipients = today.recipients.saturating_add(recipients);
        match today.clients.iter_mut().find(|known| known.ip == ip) {
            Some(known) => {
                known.recipients = known.recipients.saturating_add(recipients);
                (known.first, known.last) = (known.first.min(minute), known.last.max(minute));
            }
            None if has_room => today.clients.push(Client { ip, recipients, first: minute, last: minute }),
            None => today.has_more = true,
        }
    }

    /// The addresses of the busiest day that `is_wanted`.
    pub(super) fn of(&self, login: &str, is_wanted: impl Fn(u32) -> bool) -> Used {
        let Some(login) = self.by_login.get(login) else { return Used::default() };
        let days = [&login.today, &login.busiest].into_iter().filter(|day| is_wanted(day.day));
        let Some(day) = days.max_by_key(|day| day.recipients) else { return Used::default() };
        let mut clients = day.clients.clone();
        clients.sort_by(|a, b| b.recipients.cmp(&a.recipients).then(a.ip.cmp(&b.ip)));
        Used { day: day.day, clients, has_more: day.has_more }
    }

    /// Other logins that were used from these addresses on their busiest day or their last one, with the recipients from there.
    pub(super) fn others(&self, than: &str, addresses: &[IpAddr]) -> Vec<(&str, u32)> {
        let addresses: HashSet<IpAddr> = addresses.iter().copied().collect();
        let from_there = |day: &Day| -> u32 {
            let there = day.clients.iter().filter(|client| addresses.contains(&client.ip));
            there.map(|client| client.recipients).fold(0, u32::saturating_add)
        };
        let logins = self.by_login.iter().filter(|(name, _)| &***name != than);
        let counts = logins.map(|(name, login)| (&**name, from_there(&login.today).max(from_there(&login.busiest))));
        let mut list: Vec<(&str, u32)> = counts.filter(|(_, recipients)| *recipients > 0).collect();
        list.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        list
    }
}
