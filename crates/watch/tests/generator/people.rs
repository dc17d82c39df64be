//! Who lives on the server and what they do on ordinary days.

use super::{Dice, Fate, HOUR_MS, Mail, START_MS, Scribe, Target, Way};

pub(super) struct Account {
    pub(super) user: String,
    pub(super) domain: String,
    pub(super) mailboxes: Vec<Mailbox>,
    /// A form on the web site that mails the owner and the visitor.
    has_form: bool,
    /// A shop that mails its customers.
    is_shop: bool,
    /// Sends a newsletter on this day of the week.
    newsletter_on: Option<u32>,
    subscribers: u64,
    /// Sends invoices at the end of the month.
    has_invoices: bool,
    /// Forwards one address to a freemailer.
    pub(super) forwards_to: Option<String>,
}

pub(super) struct Mailbox {
    pub(super) address: String,
    /// Messages on a working day.
    rate: f64,
    /// The office has one address; the telephone gets one of a provider's network.
    pub(super) office_ip: String,
    pub(super) mobile_net: String,
    contacts: Vec<String>,
}

pub(super) const PROVIDERS: [&str; 4] = ["gmail.com", "outlook.com", "yahoo.com", "hotmail.com"];

pub(super) fn accounts(dice: &mut Dice, count: usize) -> Vec<Account> {
    (0..count).map(|n| account(dice, n)).collect()
}

fn account(dice: &mut Dice, n: usize) -> Account {
    let domain = format!("site{n:03}.example");
    const NAMES: [&str; 8] = ["info", "office", "anna", "buchhaltung", "sales", "max", "support", "lena"];
    let count = 1 + usize::try_from(dice.below(7)).expect("small");
    let mailboxes = NAMES.iter().take(count).map(|name| mailbox(dice, format!("{name}@{domain}"))).collect();
    let forwards_to = dice.chance(12).then(|| format!("owner{n}@gmail.com"));
    Account {
        user: format!("user{n:03}"),
        domain,
        mailboxes,
        has_form: dice.chance(40),
        is_shop: dice.chance(6),
        newsletter_on: dice.chance(5).then(|| u32::try_from(dice.below(5)).expect("small")),
        subscribers: 150 + dice.below(900),
        has_invoices: dice.chance(10),
        forwards_to,
    }
}

fn mailbox(dice: &mut Dice, address: String) -> Mailbox {
    let office_ip = format!("{}.{}.{}.{}", 62 + dice.below(30), dice.below(250), dice.below(250), 1 + dice.below(250));
    let mobile_net = format!("{}.{}", 93 + dice.below(20), dice.below(250));
    let contacts = (0..12 + dice.below(25)).map(|_| contact(dice)).collect();
    // Most people write little, few write much.
    let rate = match dice.below(10) {
        0..=4 => 2.0,
        5..=7 => 8.0,
        8 => 20.0,
        _ => 45.0,
    };
    Mailbox { address, rate, office_ip, mobile_net, contacts }
}

pub(super) fn contact(dice: &mut Dice) -> String {
    let n = dice.below(1_000_000);
    if dice.chance(45) {
        format!("person{n}@{}", dice.pick(&PROVIDERS))
    } else {
        format!("mail{n}@firm{}.test", n % 4000)
    }
}

/// Share of a working day's mail that falls into each hour, in percent.
const HOURS: [u64; 24] = [0, 0, 0, 0, 0, 1, 2, 5, 9, 11, 10, 9, 6, 8, 10, 9, 8, 5, 3, 2, 1, 1, 0, 0];

/// 2026-01-28 is a Wednesday; 0 is Monday.
pub(super) fn weekday(day: u32) -> u32 {
    (day + 2) % 7
}

fn is_last_of_month(day: u32) -> bool {
    // The log begins on 28 January: days 3 and 31 and 62 are 31 January, 28 February and 31 March.
    matches!(day, 3 | 31 | 62 | 92)
}

pub(super) fn hour(account: &Account, scribe: &mut Scribe, dice: &mut Dice, day: u32, hour: u32, volume: f64) {
    let share = HOURS.get(hour as usize).copied().unwrap_or(0) as f64 / 100.0;
    let week = if weekday(day) >= 5 { 0.15 } else { 1.0 };
    for mailbox in &account.mailboxes {
        for _ in 0..dice.count(mailbox.rate * share * week * volume) {
            letter(mailbox, scribe, dice, day);
        }
        for _ in 0..dice.count(mailbox.rate * 1.5 * (share + 0.02) * volume) {
            incoming(account, mailbox, scribe, dice);
        }
        if dice.below(4000) == 0 {
            // An old password in a telephone.
            let at = moment(scribe, dice);
            for i in 0..6 {
                let ip = format!("{}.{}.9", mailbox.mobile_net, dice.below(200));
                auth_failure(scribe, at + i * 60_000, &ip, &mailbox.address);
            }
        }
    }
    if account.has_form && dice.count(0.2 * volume.min(1.0)) > 0 {
        form(account, scribe, dice);
    }
    if account.is_shop {
        for _ in 0..dice.count(60.0 * (share + 0.01) * volume) {
            shop(account, scribe, dice);
        }
    }
    if account.newsletter_on == Some(weekday(day)) && (10..12).contains(&hour) {
        campaign(account, scribe, dice, account.subscribers / 2, "newsletter", "Our offers of this week");
    }
    if account.has_invoices && is_last_of_month(day) && (14..17).contains(&hour) {
        campaign(account, scribe, dice, 40, "buchhaltung", "Your invoice");
    }
}

pub(super) fn moment(scribe: &Scribe, dice: &mut Dice) -> i64 {
    scribe.now_ms + i64::try_from(dice.below(3_590_000)).expect("small")
}

fn letter(mailbox: &Mailbox, scribe: &mut Scribe, dice: &mut Dice, day: u32) {
    let ip = match dice.below(10) {
        0..=5 => mailbox.office_ip.clone(),
        // Once a year everybody travels: two days with foreign networks and little mail.
        6 if day % 97 == mailbox.contacts.len() as u32 => {
            format!("{}.{}.7.9", 185 + dice.below(8), dice.below(200))
        }
        _ => format!("{}.{}.{}", mailbox.mobile_net, dice.below(250), 1 + dice.below(250)),
    };
    let count = if dice.chance(90) { 1 } else { 2 + dice.below(6) };
    let recipients = (0..count)
        .map(|_| {
            let address = if dice.chance(92) { dice.pick(&mailbox.contacts).clone() } else { contact(dice) };
            let fate = match dice.below(1000) {
                0..=9 => Fate::Unknown,
                10..=24 => Fate::Slowed,
                25 => Fate::Spam,
                _ => Fate::Sent,
            };
            Target { address, original: None, fate }
        })
        .collect();
    let at_ms = moment(scribe, dice);
    let way = Way::Login { user: mailbox.address.clone(), ip };
    let subject = format!("Re: order {}", dice.below(9000));
    scribe.mail(&Mail {
        at_ms,
        sender: mailbox.address.clone(),
        way,
        recipients,
        subject,
        size: 2000 + dice.below(90_000),
    });
}

fn incoming(account: &Account, mailbox: &Mailbox, scribe: &mut Scribe, dice: &mut Dice) {
    let sender = contact(dice);
    let domain = sender.rsplit('@').next().unwrap_or("x.test").to_owned();
    let way =
        Way::Remote { host: format!("out.{domain}"), ip: format!("198.19.{}.{}", dice.below(250), dice.below(250)) };
    let is_forwarded = mailbox.address.starts_with("info@") && account.forwards_to.is_some();
    let target = match &account.forwards_to {
        Some(to) if is_forwarded => {
            let fate = if dice.chance(2) { Fate::Spam } else { Fate::Sent };
            Target { address: to.clone(), original: Some(mailbox.address.clone()), fate }
        }
        _ => Target { address: mailbox.address.clone(), original: None, fate: Fate::Local },
    };
    let at_ms = moment(scribe, dice);
    let subject = format!("Question {}", dice.below(9000));
    scribe.mail(&Mail { at_ms, sender, way, recipients: vec![target], subject, size: 3000 + dice.below(50_000) });
}

fn form(account: &Account, scribe: &mut Scribe, dice: &mut Dice) {
    let at_ms = moment(scribe, dice);
    let way = Way::Script { user: account.user.clone(), cwd: format!("/home/{}/public_html", account.user) };
    let owner = Target { address: format!("info@{}", account.domain), original: None, fate: Fate::Local };
    let visitor = Target { address: contact(dice), original: None, fate: Fate::Sent };
    let sender = format!("wordpress@{}", account.domain);
    scribe.mail(&Mail {
        at_ms,
        sender,
        way,
        recipients: vec![owner, visitor],
        subject: "Contact form".into(),
        size: 1500,
    });
}

fn shop(account: &Account, scribe: &mut Scribe, dice: &mut Dice) {
    let at_ms = moment(scribe, dice);
    let way = Way::Script { user: account.user.clone(), cwd: format!("/home/{}/public_html/shop", account.user) };
    let fate = if dice.below(100) == 0 { Fate::Unknown } else { Fate::Sent };
    let customer = Target { address: contact(dice), original: None, fate };
    let sender = format!("shop@{}", account.domain);
    let subject = format!("Order {} confirmed", dice.below(90_000));
    scribe.mail(&Mail { at_ms, sender, way, recipients: vec![customer], subject, size: 8000 });
}

fn campaign(account: &Account, scribe: &mut Scribe, dice: &mut Dice, count: u64, name: &str, subject: &str) {
    let Some(first) = account.mailboxes.first() else { return };
    let user = format!("{name}@{}", account.domain);
    for i in 0..count {
        let at_ms = scribe.now_ms + i64::try_from(i * 3_500_000 / count.max(1)).expect("small");
        let fate = match dice.below(1000) {
            0..=14 => Fate::Unknown,
            15..=34 => Fate::Slowed,
            35..=37 => Fate::Spam,
            _ => Fate::Sent,
        };
        let recipients = vec![Target { address: contact(dice), original: None, fate }];
        let way = Way::Login { user: user.clone(), ip: first.office_ip.clone() };
        scribe.mail(&Mail { at_ms, sender: user.clone(), way, recipients, subject: subject.into(), size: 30_000 });
    }
}

pub(super) fn auth_failure(scribe: &mut Scribe, at_ms: i64, ip: &str, user: &str) {
    scribe.line(at_ms, &format!("[4711] dovecot_login authenticator failed for (User) [{ip}]:50123: 535 Incorrect authentication data (set_id={user})"));
}

/// What every server sees every hour: guessers, dictionaries, strangers who ask to relay.
pub(super) fn noise(accounts: &[Account], scribe: &mut Scribe, dice: &mut Dice, volume: f64, guessing: f64) {
    let scale = accounts.len() as f64 * volume / 100.0;
    for _ in 0..dice.count(12.0 * accounts.len() as f64 * guessing / 100.0) {
        let account = dice.pick(accounts);
        let ip = format!("45.{}.{}.{}", dice.below(60), dice.below(250), dice.below(250));
        let at = moment(scribe, dice);
        let name = *dice.pick(&["admin", "info", "test", "office", "webmaster"]);
        auth_failure(scribe, at, &ip, &format!("{name}@{}", account.domain));
    }
    for _ in 0..dice.count(30.0 * scale) {
        let account = dice.pick(accounts);
        let ip = format!("103.{}.{}.{}", dice.below(20), dice.below(250), dice.below(250));
        let at = moment(scribe, dice);
        scribe.line(at, &format!("[4712] no host name found for IP address {ip}"));
        for name in ["heel", "salary", "varied"] {
            scribe.line(at + 10, &format!("[4712] H=(mail.{name}.test) [{ip}]:4411 F=<x{name}@spam.test> rejected RCPT <{name}@{}>: No Such User Here", account.domain));
        }
        scribe.line(
            at + 20,
            &format!("[4712] unexpected disconnection while reading SMTP command from (mail.test) [{ip}]:4411 D=1s"),
        );
    }
    if dice.chance(5) {
        let at = moment(scribe, dice);
        scribe.line(
            at,
            "[4713] H=(ylmf-pc) [203.0.113.200]:4411 F=<a@b.test> rejected RCPT <relay@c.test>: relay not permitted",
        );
    }
    let at = scribe.now_ms;
    scribe.line(at, "[900] Start queue run: pid=900");
    scribe.line(at + 2000, "[900] End queue run: pid=900");
}

/// The day's first millisecond.
pub(super) fn day_ms(day: u32) -> i64 {
    START_MS + i64::from(day) * 24 * HOUR_MS
}
