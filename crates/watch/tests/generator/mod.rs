//! Logs of a made-up hosting server: accounts with mailboxes, scripts and forwarders, months with newsletters and invoices,
//! the usual noise of attackers, and if wanted one compromise hidden among it all. The same plan gives the same lines.

#![allow(dead_code, reason = "each user takes what it needs")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made-up numbers are small")]

mod compromise;
mod innocent;
mod people;

pub(crate) use compromise::Compromise;
pub(crate) use innocent::Innocent;
use std::fmt::Write as _;

/// What to make.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) accounts: usize,
    pub(crate) days: u32,
    /// How much mail there is; 1.0 is some 25 messages a mailbox and working day.
    pub(crate) volume: f64,
    pub(crate) compromise: Option<Compromise>,
    /// How many passwords are guessed at, as many as fit the mail if nothing is said; at 10.0 each of the usual names of each
    /// account gets six failed logins a day.
    pub(crate) guessing: Option<f64>,
    /// Somebody who looks guilty and is not.
    pub(crate) innocent: Option<Innocent>,
}

/// Milliseconds since 1970 of the first day: 2026-01-28, so that a month ends within the first week.
const START_MS: i64 = 1_769_558_400_000;
const HOUR_MS: i64 = 3_600_000;

/// Random numbers (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(of.len() as u64)).expect("an index fits");
        of.get(at).expect("a non-empty slice")
    }

    /// How often something with this mean happens: the whole part, and once more by chance.
    pub(crate) fn count(&mut self, mean: f64) -> u64 {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        (mean + share) as u64
    }
}

/// Lines of the present hour, and those that fall into later ones.
pub(crate) struct Scribe {
    lines: Vec<(i64, String)>,
    messages: u64,
    now_ms: i64,
}

/// One message to write: who sent it, how it came, where it goes.
pub(crate) struct Mail {
    pub(crate) at_ms: i64,
    pub(crate) sender: String,
    pub(crate) way: Way,
    pub(crate) recipients: Vec<Target>,
    pub(crate) subject: String,
    pub(crate) size: u64,
}

pub(crate) enum Way {
    Login { user: String, ip: String },
    Script { user: String, cwd: String },
    Remote { host: String, ip: String },
}

pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) original: Option<String>,
    pub(crate) fate: Fate,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    Local,
    Sent,
    Unknown,
    Spam,
    Slowed,
}

impl Scribe {
    pub(crate) fn line(&mut self, at_ms: i64, text: &str) {
        self.lines.push((at_ms, format!("{} {text}", stamp(at_ms))));
    }

    pub(crate) fn mail(&mut self, mail: &Mail) {
        self.messages += 1;
        let n = self.messages;
        let id = message_id(mail.at_ms, n);
        let pid = 1000 + n % 30000;
        let mut text = String::with_capacity(300);
        let (address, size) = (&mail.sender, mail.size);
        match &mail.way {
            Way::Login { user, ip } => {
                let _ = write!(
                    text,
                    "[{pid}] {id} <= {address} H=([10.0.0.{}]) [{ip}]:{} P=esmtpsa X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no A=dovecot_login:{user} S={size} id={n:x}.{:x}@client.example",
                    n % 250,
                    20000 + n % 40000,
                    n * 7
                );
            }
            Way::Script { user, cwd } => {
                self.line(mail.at_ms, &format!("[{pid}] cwd={cwd} 4 args: /usr/sbin/sendmail -t -i -f{address}"));
                let _ = write!(text, "[{pid}] {id} <= {address} U={user} P=local S={size} id={n:x}@web.example");
            }
            Way::Remote { host, ip } => {
                let _ = write!(
                    text,
                    "[{pid}] {id} <= {address} H={host} [{ip}]:{} P=esmtps X=TLS1.2:ECDHE-RSA-AES128-GCM-SHA256:128 CV=no S={size} id=<{n}@{host}>",
                    20000 + n % 40000
                );
            }
        }
        let _ = write!(text, " T=\"{}\" from <{address}> for", mail.subject);
        for target in &mail.recipients {
            text.push(' ');
            text.push_str(target.original.as_ref().unwrap_or(&target.address));
        }
        self.line(mail.at_ms, &text);
        self.outcomes(mail, &id, pid);
    }

    fn outcomes(&mut self, mail: &Mail, id: &str, pid: u64) {
        let mut done_ms = mail.at_ms + 400;
        for (i, target) in mail.recipients.iter().enumerate() {
            let at = mail.at_ms + 300 + i as i64 * 40;
            let address = &target.address;
            let whole = match &target.original {
                Some(original) => format!("{address} <{original}>"),
                None => address.clone(),
            };
            let (host, ip) = exchanger(address);
            let way = format!("R=dkim_lookuphost T=dkim_remote_smtp H={host} [{ip}]:25");
            match target.fate {
                Fate::Local => {
                    let local = address.split('@').next().unwrap_or("x");
                    self.line(at, &format!("[{pid}] {id} => {local} <{address}> R=virtual_user T=dovecot_virtual_delivery S={} C=\"250 2.0.0 <{address}> {id} Saved\"", mail.size));
                }
                Fate::Sent => self.line(at, &format!("[{pid}] {id} => {whole} {way} X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes C=\"250 2.0.0 OK 1772446272 d2-20020a05si{pid}\" QT=1s DT=0s")),
                Fate::Unknown => self.line(at, &format!("[{pid}] {id} ** {whole} {way}: SMTP error from remote mail server after RCPT TO:<{address}>: {}", no_such_user(&host))),
                Fate::Spam => self.line(at, &format!("[{pid}] {id} ** {whole} {way}: SMTP error from remote mail server after end of data: {}", refused(&host))),
                Fate::Slowed => {
                    self.line(at, &format!("[{pid}] {id} == {whole} {way} defer (-46): SMTP error from remote mail server after end of data: {}", deferred(&host)));
                    done_ms = mail.at_ms + 1_800_000;
                    self.line(done_ms, &format!("[{pid}] {id} => {whole} {way} C=\"250 2.0.0 OK\" QT=30m1s DT=1s"));
                }
            }
        }
        done_ms = done_ms.max(mail.at_ms + 400 + mail.recipients.len() as i64 * 40);
        self.line(done_ms + 5, &format!("[{pid}] {id} Completed"));
    }
}

/// Writes the whole log, line by line and in the order of time.
pub(crate) fn write(plan: &Plan, mut sink: impl FnMut(&str)) {
    let mut dice = Dice::new(plan.seed);
    let accounts = people::accounts(&mut dice, plan.accounts);
    let mut scribe = Scribe { lines: Vec::new(), messages: 0, now_ms: START_MS };
    let mut hidden = plan.compromise.map(|kind| compromise::Hidden::new(kind, &accounts, plan.days, plan.seed));
    let innocent = plan.innocent.map(|kind| innocent::Unlucky::new(kind, &accounts, plan.days, plan.seed));
    let guessing = plan.guessing.unwrap_or(plan.volume);
    for day in 0..plan.days {
        for hour in 0..24 {
            scribe.now_ms = START_MS + (i64::from(day) * 24 + i64::from(hour)) * HOUR_MS;
            for account in &accounts {
                people::hour(account, &mut scribe, &mut dice, day, hour, plan.volume);
            }
            people::noise(&accounts, &mut scribe, &mut dice, plan.volume, guessing);
            if let Some(hidden) = &mut hidden {
                hidden.hour(&mut scribe, &mut dice, day, hour);
            }
            if let Some(innocent) = &innocent {
                innocent.hour(&mut scribe, &mut dice, day, hour);
            }
            flush(&mut scribe, &mut sink);
        }
    }
    scribe.now_ms += 48 * HOUR_MS;
    flush(&mut scribe, &mut sink);
}

/// Whom a report has to name for this plan.
pub(crate) fn culprit(plan: &Plan) -> String {
    let mut dice = Dice::new(plan.seed);
    let accounts = people::accounts(&mut dice, plan.accounts);
    let kind = plan.compromise.expect("a plan with a compromise");
    compromise::Hidden::new(kind, &accounts, plan.days, plan.seed).culprit()
}

fn flush(scribe: &mut Scribe, sink: &mut impl FnMut(&str)) {
    let end = scribe.now_ms + HOUR_MS;
    let mut due: Vec<(i64, String)> = Vec::new();
    let mut later = Vec::new();
    for line in scribe.lines.drain(..) {
        if line.0 < end { due.push(line) } else { later.push(line) }
    }
    scribe.lines = later;
    due.sort_by_key(|(at, _)| *at);
    for (_, line) in &due {
        sink(line);
    }
}

/// `2026-03-02 10:11:12`.
fn stamp(ms: i64) -> String {
    let time = tidegate_watch::Timestamp::from_millis(ms).to_string();
    time.get(..19).expect("a full time").replace('T', " ")
}

fn base62(mut n: u64, width: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = vec![b'0'; width];
    for place in text.iter_mut().rev() {
        let at = usize::try_from(n % 62).expect("below 62");
        *place = *DIGITS.get(at).expect("below 62");
        n /= 62;
    }
    String::from_utf8(text).expect("digits")
}

fn message_id(at_ms: i64, n: u64) -> String {
    let seconds = u64::try_from(at_ms / 1000).expect("after 1970");
    format!("{}-{}-{}", base62(seconds, 6), base62(n, 11), base62(n * 31, 4))
}

fn exchanger(address: &str) -> (String, String) {
    let domain = address.rsplit('@').next().unwrap_or("x.example");
    match domain {
        "gmail.com" => ("gmail-smtp-in.l.google.com".into(), "142.250.27.27".into()),
        "outlook.com" | "hotmail.com" => ("outlook-com.olc.protection.outlook.com".into(), "52.101.73.3".into()),
        "yahoo.com" => ("mta7.am0.yahoodns.net".into(), "67.195.204.77".into()),
        domain => {
            let n = domain.bytes().fold(7_u32, |n, b| n.wrapping_mul(31).wrapping_add(u32::from(b)));
            (format!("mx.{domain}"), format!("198.18.{}.{}", n >> 8 & 255, n & 255))
        }
    }
}

fn no_such_user(host: &str) -> &'static str {
    match host {
        host if host.ends_with("google.com") => {
            "550-5.1.1 The email account that you tried to reach does not exist. NoSuchUser"
        }
        host if host.ends_with("outlook.com") => {
            "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302)"
        }
        host if host.ends_with("yahoodns.net") => {
            "554 30 Sorry, your message to x@yahoo.com cannot be delivered. This mailbox is disabled (554.30)."
        }
        _ => "550 5.1.1 User unknown",
    }
}

fn refused(host: &str) -> &'static str {
    match host {
        host if host.ends_with("google.com") => {
            "550-5.7.1 [192.0.2.1 12] Gmail has detected that this message is likely unsolicited mail. UnsolicitedMessageError"
        }
        host if host.ends_with("outlook.com") => {
            "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150)."
        }
        host if host.ends_with("yahoodns.net") => {
            "554 Message not allowed - [PH01] Email not accepted for policy reasons."
        }
        _ => "554 5.7.1 Message rejected as spam by Content Filtering",
    }
}

fn deferred(host: &str) -> &'static str {
    match host {
        host if host.ends_with("google.com") => {
            "421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address."
        }
        host if host.ends_with("outlook.com") => {
            "451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation."
        }
        host if host.ends_with("yahoodns.net") => {
            "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints"
        }
        _ => "451 4.7.1 Greylisted, please try again later",
    }
}
