//! People who look guilty and are not, on a server where everybody's password is guessed at.

use super::people::{self, Account};
use super::{Dice, Fate, Mail, Scribe, Target, Way};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Innocent {
    /// Travels, and the telephone still has an old password.
    OldTelephone,
    /// Travels, and mistypes the password in a hotel.
    MistypedAbroad,
    /// The computer in the office tries an old password all night; in the morning invoices are sent.
    OldPasswordOverNight,
    /// Travels while the newsletter goes out.
    JourneyAndNewsletter,
}

impl Innocent {
    pub(crate) const ALL: [Innocent; 4] = [
        Innocent::OldTelephone,
        Innocent::MistypedAbroad,
        Innocent::OldPasswordOverNight,
        Innocent::JourneyAndNewsletter,
    ];
}

/// The mailbox of one of them: it writes a lot, every day.
pub(super) struct Unlucky {
    kind: Innocent,
    mailbox: String,
    office_ip: String,
    mobile_net: String,
    day: u32,
}

/// Messages of an hour of work.
const AN_HOUR: u64 = 15;

impl Unlucky {
    pub(super) fn new(kind: Innocent, accounts: &[Account], days: u32, seed: u64) -> Unlucky {
        let mut dice = Dice::new(seed ^ 0x1_4e0c);
        let account = dice.pick(accounts);
        // The first is info@, at which everybody guesses.
        let mailbox = account.mailboxes.first().expect("a mailbox");
        Unlucky {
            kind,
            mailbox: mailbox.address.clone(),
            office_ip: mailbox.office_ip.clone(),
            mobile_net: mailbox.mobile_net.clone(),
            day: days * 2 / 3,
        }
    }

    pub(super) fn hour(&self, scribe: &mut Scribe, dice: &mut Dice, day: u32, hour: u32) {
        let (is_the_day, is_the_eve) = (day == self.day, day + 1 == self.day);
        let travels = is_the_day && self.kind != Innocent::OldPasswordOverNight;
        match (self.kind, hour) {
            (Innocent::OldTelephone, 19) if is_the_eve => self.old_telephone(scribe, dice),
            (Innocent::MistypedAbroad, 7) if is_the_day => self.hotel(scribe, dice),
            (Innocent::OldPasswordOverNight, 0..=6) if is_the_day => self.fails(scribe, dice, 50),
            (Innocent::OldPasswordOverNight, 8) if is_the_day => self.run(scribe, dice, 300),
            (Innocent::JourneyAndNewsletter, 10) if is_the_day => self.run(scribe, dice, 900),
            _ => {}
        }
        if (8..18).contains(&hour) {
            for _ in 0..AN_HOUR {
                let ip = match dice.below(10) {
                    0 | 1 if travels => anywhere(dice),
                    0..=5 => self.office_ip.clone(),
                    _ => format!("{}.{}.{}", self.mobile_net, dice.below(250), 1 + dice.below(250)),
                };
                self.send(scribe, people::moment(scribe, dice), ip, dice);
            }
        }
    }

    fn old_telephone(&self, scribe: &mut Scribe, dice: &mut Dice) {
        for i in 0..8 {
            let ip = format!("{}.{}.9", self.mobile_net, dice.below(200));
            people::auth_failure(scribe, scribe.now_ms + i * 60_000, &ip, &self.mailbox);
        }
    }

    fn hotel(&self, scribe: &mut Scribe, dice: &mut Dice) {
        let ip = anywhere(dice);
        for i in 0..3 {
            people::auth_failure(scribe, scribe.now_ms + i * 20_000, &ip, &self.mailbox);
        }
        for i in 3..9 {
            self.send(scribe, scribe.now_ms + i * 60_000, ip.clone(), dice);
        }
    }

    fn fails(&self, scribe: &mut Scribe, dice: &mut Dice, times: u32) {
        for _ in 0..times {
            people::auth_failure(scribe, people::moment(scribe, dice), &self.office_ip, &self.mailbox);
        }
    }

    fn run(&self, scribe: &mut Scribe, dice: &mut Dice, count: u32) {
        for _ in 0..count {
            self.send(scribe, people::moment(scribe, dice), self.office_ip.clone(), dice);
        }
    }

    fn send(&self, scribe: &mut Scribe, at_ms: i64, ip: String, dice: &mut Dice) {
        let fate = if dice.below(100) == 0 { Fate::Unknown } else { Fate::Sent };
        let recipients = vec![Target { address: people::contact(dice), original: None, fate }];
        let way = Way::Login { user: self.mailbox.clone(), ip };
        let sender = self.mailbox.clone();
        scribe.mail(&Mail { at_ms, sender, way, recipients, subject: "Re: our meeting".into(), size: 9000 });
    }
}

fn anywhere(dice: &mut Dice) -> String {
    format!("{}.{}.7.9", 185 + dice.below(8), dice.below(200))
}
