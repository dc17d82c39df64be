//! From which addresses each mailbox was used, on the present day and on its busiest one: what an administrator blocks and
//! looks for elsewhere. Counts nothing else; how many networks there were, the ledgers know.

use std::net::IpAddr;

use super::room;
use crate::map::Map;

/// Mailboxes that are kept; beyond, those that sent least make room.
const LOGINS_MAX: usize = 5_000;
/// Addresses that are kept of one day.
const CLIENTS_MAX: usize = 64;

/// One day of a mailbox.
#[derive(Debug, Default)]
struct Day {
    day: u32,
    recipients: u32,
    clients: Vec<(IpAddr, u32)>,
    has_more: bool,
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
    /// Counts a message to so many recipients; `day` is counted from 1970, in local time.
    pub(super) fn sent(&mut self, login: &str, ip: IpAddr, recipients: u32, day: u32) {
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
        match today.clients.iter_mut().find(|(known, _)| *known == ip) {
            Some((_, times)) => *times = times.saturating_add(recipients),
            None if has_room => today.clients.push((ip, recipients)),
            None => today.has_more = true,
        }
    }

    /// Addresses and their recipients, the busiest first, of the busiest day that `is_wanted`; and whether there were more.
    pub(super) fn of(&self, login: &str, is_wanted: impl Fn(u32) -> bool) -> (Vec<(IpAddr, u32)>, bool) {
        let Some(login) = self.by_login.get(login) else { return (Vec::new(), false) };
        let days = [&login.today, &login.busiest].into_iter().filter(|day| is_wanted(day.day));
        let Some(day) = days.max_by_key(|day| day.recipients) else { return (Vec::new(), false) };
        let mut clients = day.clients.clone();
        clients.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        (clients, day.has_more)
    }
}
