//! Eleven ways in which a hosting server comes to send spam.

use super::people::{self, Account, PROVIDERS};
use super::{Dice, Fate, Mail, Scribe, Target, Way};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compromise {
    /// A mailbox's password, used from many networks in a few hours.
    StolenBurst,
    /// The same, a few messages a minute over days.
    StolenSlow,
    /// A mailer uploaded to a folder for pictures.
    UploadedMailer,
    /// A contact form that mails anybody.
    ContactForm,
    /// A script that cron starts at night.
    NightCron,
    /// A script that runs as nobody.
    Nobody,
    /// A mailbox that sends to eighty at a time.
    BlindCopies,
    /// A mailbox that sends under strange names.
    ForgedSender,
    /// A forwarder that passes spam on to Gmail.
    ForwarderLeak,
    /// A mailbox whose password was guessed.
    GuessedPassword,
    /// The same, guessed by a botnet: few tries from each of many networks, for a day.
    DistributedGuess,
}

/// Where a stranger's address begins: at none that leads nowhere on the internet (127/8, 172.16/12).
fn first_octet(n: u64) -> u64 {
    match 100 + n {
        octet @ (127 | 172) => octet + 40,
        octet => octet,
    }
}

/// Addresses of the botnet that guesses one password.
const BOTNET: u64 = 140;

impl Compromise {
    pub(crate) const ALL: [Compromise; 11] = [
        Compromise::StolenBurst,
        Compromise::StolenSlow,
        Compromise::UploadedMailer,
        Compromise::ContactForm,
        Compromise::NightCron,
        Compromise::Nobody,
        Compromise::BlindCopies,
        Compromise::ForgedSender,
        Compromise::ForwarderLeak,
        Compromise::GuessedPassword,
        Compromise::DistributedGuess,
    ];
}

/// A compromise at work.
pub(super) struct Hidden {
    kind: Compromise,
    user: String,
    domain: String,
    mailbox: String,
    first_day: u32,
}

impl Hidden {
    pub(super) fn new(kind: Compromise, accounts: &[Account], days: u32, seed: u64) -> Hidden {
        let mut dice = Dice::new(seed ^ 0x00c0_ffee);
        let account = if kind == Compromise::ForwarderLeak {
            let forwarding: Vec<&Account> = accounts.iter().filter(|account| account.forwards_to.is_some()).collect();
            *dice.pick(&forwarding)
        } else {
            dice.pick(accounts)
        };
        let mailbox = match kind {
            Compromise::ForwarderLeak => account.mailboxes.first().expect("a mailbox"),
            _ => dice.pick(&account.mailboxes),
        };
        Hidden {
            kind,
            user: account.user.clone(),
            domain: account.domain.clone(),
            mailbox: mailbox.address.clone(),
            first_day: days * 2 / 3,
        }
    }

    /// The name under which a report has to list it.
    pub(super) fn culprit(&self) -> String {
        match self.kind {
            Compromise::UploadedMailer | Compromise::ContactForm | Compromise::NightCron | Compromise::Nobody => {
                self.cwd()
            }
            _ => self.mailbox.clone(),
        }
    }

    fn cwd(&self) -> String {
        let home = format!("/home/{}", self.user);
        match self.kind {
            Compromise::UploadedMailer => format!("{home}/public_html/wp-content/uploads/2026/02"),
            Compromise::NightCron => format!("{home}/.cache/.x"),
            Compromise::Nobody => format!("{home}/public_html/images"),
            _ => format!("{home}/public_html"),
        }
    }

    pub(super) fn hour(&mut self, scribe: &mut Scribe, dice: &mut Dice, day: u32, hour: u32) {
        if day < self.first_day {
            return;
        }
        let since = day - self.first_day;
        let (messages, unknown, spam) = match self.kind {
            Compromise::StolenBurst if since == 0 && (9..12).contains(&hour) => (400, 20, 15),
            Compromise::StolenSlow if since < 3 => (40, 14, 8),
            Compromise::UploadedMailer if since == 0 && (2..4).contains(&hour) => (900, 15, 20),
            Compromise::ContactForm if since < 2 && (8..20).contains(&hour) => (150, 15, 12),
            Compromise::NightCron if hour == 3 => (200, 15, 15),
            Compromise::Nobody if since == 0 && (12..16).contains(&hour) => (500, 15, 20),
            Compromise::BlindCopies if since == 0 && (10..14).contains(&hour) => (15, 20, 12),
            Compromise::ForgedSender if since == 0 && (13..18).contains(&hour) => (150, 10, 15),
            Compromise::ForwarderLeak if since < 3 => (40, 0, 60),
            Compromise::GuessedPassword if since == 0 => return self.guess_then_send(scribe, dice, hour),
            Compromise::DistributedGuess if since == 0 => return self.botnet_guesses(scribe, dice, hour),
            Compromise::DistributedGuess if since == 1 && (6..19).contains(&hour) => (45, 12, 9),
            _ => return,
        };
        for _ in 0..messages {
            let at_ms = people::moment(scribe, dice);
            self.send(scribe, dice, at_ms, unknown, spam);
        }
    }

    fn send(&self, scribe: &mut Scribe, dice: &mut Dice, at_ms: i64, unknown: u64, spam: u64) {
        let count = if self.kind == Compromise::BlindCopies { 80 } else { 1 };
        let recipients = (0..count).map(|_| self.victim(dice, unknown, spam)).collect();
        let (way, sender) = match self.kind {
            Compromise::ForwarderLeak => {
                let sender = format!("promo{}@spam{}.test", dice.below(900), dice.below(90));
                let ip = format!("185.{}.{}.{}", dice.below(250), dice.below(250), dice.below(250));
                (Way::Remote { host: "bulk.spam.test".into(), ip }, sender)
            }
            Compromise::UploadedMailer | Compromise::ContactForm | Compromise::NightCron => {
                (Way::Script { user: self.user.clone(), cwd: self.cwd() }, format!("{}@server.example", self.user))
            }
            Compromise::Nobody => {
                (Way::Script { user: "nobody".into(), cwd: self.cwd() }, "nobody@server.example".into())
            }
            _ => {
                let sender = match self.kind {
                    Compromise::ForgedSender => {
                        format!("service{}@{}", dice.below(900), dice.pick(&["paypal.test", "gmail.com", "bank.test"]))
                    }
                    _ => self.mailbox.clone(),
                };
                (Way::Login { user: self.mailbox.clone(), ip: self.attacker_ip(dice) }, sender)
            }
        };
        let subject = format!("You have won {}", dice.below(99));
        scribe.mail(&Mail { at_ms, sender, way, recipients, subject, size: 4000 });
    }

    fn victim(&self, dice: &mut Dice, unknown: u64, spam: u64) -> Target {
        let n = dice.below(10_000_000);
        let fate = match dice.below(100) {
            roll if roll < unknown => Fate::Unknown,
            roll if roll < unknown + spam => Fate::Spam,
            roll if roll < unknown + spam + 5 => Fate::Slowed,
            _ => Fate::Sent,
        };
        match self.kind {
            Compromise::ForwarderLeak => {
                let to = format!("owner{}@gmail.com", self.user.trim_start_matches("user").trim_start_matches('0'));
                Target { address: to, original: Some(self.mailbox.clone()), fate }
            }
            _ if dice.chance(70) => {
                Target { address: format!("victim{n}@{}", dice.pick(&PROVIDERS)), original: None, fate }
            }
            _ => Target { address: format!("info@victim{}.test", n % 50_000), original: None, fate },
        }
    }

    fn attacker_ip(&self, dice: &mut Dice) -> String {
        match self.kind {
            // Rented machines: few networks.
            Compromise::StolenSlow | Compromise::ForgedSender => {
                let net = *dice.pick(&["193.32.7", "141.98.11", "5.188.62"]);
                format!("{net}.{}", dice.below(250))
            }
            Compromise::GuessedPassword | Compromise::BlindCopies => format!("141.98.10.{}", dice.below(20)),
            Compromise::DistributedGuess => {
                let n = dice.below(BOTNET);
                format!("{}.{}.{}.{}", first_octet(n % 80), n * 7 % 250, n * 13 % 250, 1 + n * 29 % 250)
            }
            // Residential proxies: everywhere.
            _ => format!("{}.{}.{}.{}", first_octet(dice.below(80)), dice.below(250), dice.below(250), dice.below(250)),
        }
    }

    fn botnet_guesses(&self, scribe: &mut Scribe, dice: &mut Dice, hour: u32) {
        if (4..22).contains(&hour) {
            for _ in 0..15 {
                let (at, ip) = (people::moment(scribe, dice), self.attacker_ip(dice));
                people::auth_failure(scribe, at, &ip, &self.mailbox);
            }
        }
    }

    fn guess_then_send(&self, scribe: &mut Scribe, dice: &mut Dice, hour: u32) {
        if (1..5).contains(&hour) {
            for _ in 0..40 {
                let (at, ip) = (people::moment(scribe, dice), self.attacker_ip(dice));
                people::auth_failure(scribe, at, &ip, &self.mailbox);
            }
        }
        if (5..12).contains(&hour) {
            for _ in 0..60 {
                let at = people::moment(scribe, dice);
                self.send(scribe, dice, at, 4, 3);
            }
        }
        let _ = &self.domain;
    }
}
