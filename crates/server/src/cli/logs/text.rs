//! The report as text for a terminal: what needs action first, then who sends, what others say, who attacks, what was read.

use std::fmt::Write;

use tidegate_filter::check::Evidence;
use tidegate_watch::api::report::{ActorRow, Report, Sample, Suspect};

use super::ROWS_MIN;
use super::shown::{self, LocalTime, counted, grouped, percent, short_path};
use super::{about, advice, case, forgotten, from_where, read, standing};
use crate::cli::table::Table;
use crate::logs::FileRow;

/// Hours of a timeline that are shown.
const HOURS_SHOWN: usize = 14;
/// Days of log from which on senders are compared with their own past.
const DAYS_MIN: i64 = 4;
/// Addresses of a suspect that are shown.
const ADDRESSES_SHOWN: usize = 12;
/// Lines that were not understood and are shown; `--json` has more.
const UNKNOWN_SHOWN: usize = 5;
/// Length of a bar in characters.
const BAR: u64 = 30;

/// How a report is to look.
pub(super) struct Look {
    pub(super) local: LocalTime,
    /// The account that alone is looked at.
    pub(super) account: Option<String>,
    /// Rows of each list.
    pub(super) top: usize,
    /// Whether the terminal shows bold and colour.
    pub(super) has_colour: bool,
}

/// The whole report.
pub(super) fn report(report: &Report, files: &[FileRow], look: &Look) -> String {
    let mut page = Page { text: String::new(), look };
    if report.totals.lines == 0 {
        page.line("Nothing was read.");
        page.read(report, files);
        return page.text;
    }
    page.head(report, files);
    page.suspects(report);
    page.blocks(report);
    page.cleared(report);
    page.senders(report);
    page.habits(report);
    page.refusals(report);
    page.attackers(report);
    page.queue(report);
    page.read(report, files);
    page.text
}

/// What was written so far. Writing to a `String` cannot fail.
struct Page<'a> {
    text: String,
    look: &'a Look,
}

impl Page<'_> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn heading(&mut self, title: &str) {
        let bold = if self.look.has_colour { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        let _infallible = write!(self.text, "\n{}{title}{}\n", bold.0, bold.1);
    }

    fn note(&mut self, text: &str) {
        self.line(&format!("  -> {text}"));
    }

    /// A table under a heading, the first rows of it; nothing if there are none.
    fn table<R, const COLUMNS: usize>(
        &mut self,
        title: &str,
        heads: [&'static str; COLUMNS],
        rows: &[R],
        mut put: impl FnMut(&mut Table, &R),
    ) -> bool {
        if rows.is_empty() {
            return false;
        }
        self.heading(title);
        let mut table = Table::new(heads);
        rows.iter().take(self.look.top).for_each(|row| put(&mut table, row));
        self.text.push_str(&table.to_string());
        if rows.len() > self.look.top {
            let more = if rows.len() >= ROWS_MIN { " or" } else { "" };
            self.line(&format!("  and {}{more} more (--top N)", rows.len() - self.look.top));
        }
        true
    }

    fn head(&mut self, report: &Report, files: &[FileRow]) {
        let totals = &report.totals;
        let from = self.look.local.minute_or_dash(report.from.as_ref());
        let until = self.look.local.minute_or_dash(report.until.as_ref());
        let days = counted(u64::try_from(report.days).unwrap_or(0), "day");
        let read = files.iter().filter(|file| file.lines > 0).count();
        let read = counted(u64::try_from(read).unwrap_or(0), "file");
        let zone = self.look.local.zone(report.from.as_ref(), report.until.as_ref());
        self.line(&format!(
            "Mail from {from} to {until} ({days}, {read}, {}); times are {zone}",
            counted(totals.lines, "line")
        ));
        self.line(&format!(
            "{}: {} delivered, {} deferred, {} given up; {} refused here, {}",
            counted(totals.messages, "message"),
            counted(totals.delivered, "recipient"),
            grouped(totals.deferred),
            grouped(totals.failed),
            grouped(totals.refused),
            counted(totals.auth_failures, "failed login"),
        ));
    }

    fn suspects(&mut self, report: &Report) {
        if report.days < DAYS_MIN {
            self.note("the log is too short to compare anybody with the own past; name the rotated logs as well");
        }
        if report.suspects.is_empty() {
            match &self.look.account {
                Some(account) => {
                    let account = Evidence::from(account.as_str());
                    self.heading(&format!("Nobody of account {account} looks compromised"));
                    if report.top_accounts.is_empty() {
                        self.note("no mail of this account is in these logs");
                    }
                }
                None => self.heading("Nobody looks compromised"),
            }
            return;
        }
        let red = if self.look.has_colour { ("\u{1b}[31m", "\u{1b}[39m") } else { ("", "") };
        // The gravest says for all what they are.
        let verdict = report.suspects.first().map_or("", case::verdict).to_uppercase();
        self.heading(&format!("{}{verdict}{}", red.0, red.1));
        for (number, suspect) in (1..).zip(&report.suspects) {
            self.suspect(number, suspect, report);
        }
    }

    fn suspect(&mut self, number: usize, suspect: &Suspect, report: &Report) {
        let name = Evidence::from(suspect.name.as_str());
        let account = Evidence::from(case::whose(suspect));
        self.line(&format!("\n{number}. {} {name} ({account})", suspect.kind));
        self.labelled("sure?", &case::certainty(suspect));
        let label = if suspect.kind == "script" || suspect.kind == "user" { "from" } else { "how" };
        self.labelled(label, &self.look.local.sentence(&suspect.entered_by));
        for line in case::state(suspect, report, self.look.local) {
            self.labelled(line.label, &line.text);
        }
        for (i, signal) in suspect.signals.iter().enumerate() {
            let evidence = self.look.local.sentence(&signal.evidence);
            self.labelled(if i == 0 { "why" } else { "" }, &evidence);
        }
        for (i, text) in suspect.case.inferred.iter().enumerate() {
            self.labelled(if i == 0 { "inferred" } else { "" }, text);
        }
        if let Some(note) = case::entry_note(suspect) {
            self.line(&format!("   {:<10} {note}", "path"));
        }
        for (i, line) in about::given_up(suspect).iter().enumerate() {
            self.labelled(if i == 0 { "given up" } else { "" }, line);
        }
        self.timeline(suspect);
        self.addresses(suspect);
        for (i, sample) in suspect.samples.iter().enumerate() {
            let label = if i == 0 { "examples" } else { "" };
            self.line(&format!("   {label:<10} {}", sample_line(sample, self.look.local)));
        }
        for (i, step) in (1..).zip(advice::against(suspect, report)) {
            let label = if i == 1 { "do" } else { "" };
            self.line(&format!("   {label:<10} {i}. {}", step.text));
            for (system, command) in step.commands {
                let system = if system.is_empty() { String::new() } else { format!("{system}: ") };
                self.line(&format!("                 {system}{command}"));
            }
        }
    }

    fn labelled(&mut self, label: &str, text: &str) {
        self.line(&format!("   {label:<10} {}", shown::whole(text)));
    }

    /// Addresses to block and to look for elsewhere.
    fn addresses(&mut self, suspect: &Suspect) {
        let case = &suspect.case;
        for (i, sentence) in from_where::sentences(suspect).iter().enumerate() {
            self.labelled(if i == 0 { "from where" } else { "" }, sentence);
        }
        if !case.usual_clients.is_empty() {
            let list: Vec<&str> = case.usual_clients.iter().map(|client| client.name.as_str()).collect();
            self.labelled("", &format!("and from where it was always used, probably by its owner: {}", list.join(" ")));
        }
        if let Some(guessing) = case.guessing.as_ref().filter(|guessing| !guessing.addresses.is_empty()) {
            let list: Vec<&str> = guessing.addresses.iter().take(ADDRESSES_SHOWN).map(String::as_str).collect();
            let all = about::addresses(guessing.addresses.len() as u64);
            let which = if list.len() < guessing.addresses.len() {
                format!("; the first {}", list.len())
            } else {
                String::new()
            };
            self.labelled("guessed by", &format!("{all}{which}: {}", list.join(" ")));
        }
    }

    fn blocks(&mut self, report: &Report) {
        let account = self.look.account.as_deref();
        if !standing::is_shown(report, account) {
            return;
        }
        self.heading("This server's own reputation");
        if account.is_none() {
            for list in standing::blocklists(report, self.look.local) {
                self.line(&format!("  {}", shown::whole(&list)));
            }
        }
        if report.blocks.is_empty() {
            self.line("  Nobody refuses mail for a bad reputation of this server's address");
        }
        for row in &report.blocks {
            self.line(&format!("  {}", Evidence::from(standing::heading(row))));
            for (label, text) in standing::lines(row, report, self.look.local) {
                self.line(&format!("     {label:<15} {}", shown::whole(&text)));
            }
            self.line(&format!("     {:<15} {}", "said", Evidence::from(row.example.as_str())));
        }
    }

    fn cleared(&mut self, report: &Report) {
        if report.cleared.is_empty() {
            return;
        }
        self.heading("Looked at, and not suspected");
        let rest = report.cleared.len().saturating_sub(self.look.top);
        for row in report.cleared.iter().take(self.look.top) {
            let name = short_path(&row.name);
            let reason = self.look.local.sentence(&row.reason);
            self.line(&format!("  {}", shown::whole(&format!("{name}, {}: {reason}", about::class(row)))));
            if let Some(near) = about::near(row, report) {
                self.line(&format!("    {}", shown::whole(&near)));
            }
        }
        if rest > 0 {
            self.line(&format!("  and {rest} or more, all smaller (--top N)"));
        }
    }

    fn timeline(&mut self, suspect: &Suspect) {
        let days = shown::picture(&suspect.by_day);
        if let (Some(first), Some(last)) = (suspect.by_day.first(), suspect.by_day.last())
            && suspect.by_day.len() > 2
        {
            self.line(&format!("   {:<10} {} {days} {}", "days", first.name, last.name));
        }
        let since = suspect.since.as_deref().unwrap_or("");
        let until = suspect.until.as_deref().unwrap_or("");
        let (began, ended) = (suspect.case.began.as_deref(), suspect.case.ended.as_deref());
        let is_within =
            |hour: &str| began.is_some_and(|began| began <= hour) && ended.is_some_and(|ended| hour < ended);
        let is_suspect =
            |hour: &str| is_within(hour) || (hour >= since && hour.get(..until.len()).unwrap_or(hour) <= until);
        let hours: Vec<_> = suspect.timeline.iter().filter(|hour| is_suspect(&hour.hour)).collect();
        let most = hours.iter().map(|hour| hour.recipients).max().unwrap_or(0);
        for (i, hour) in hours.iter().take(HOURS_SHOWN).enumerate() {
            let label = if i == 0 { "hours" } else { "" };
            let length = (hour.recipients * BAR).div_ceil(most.max(1));
            let bar = "█".repeat(usize::try_from(length).unwrap_or(0));
            let hour_name = hour.hour.get(5..16).unwrap_or("").replace('T', " ");
            let mut line = format!("   {label:<10} {hour_name} {:>6} {bar}", hour.recipients);
            if hour.failed > 0 {
                let _infallible = write!(line, " {} given up", hour.failed);
            }
            if hour.networks > 1 {
                let _infallible = write!(line, ", about {} networks", hour.networks);
            }
            self.line(&line);
        }
        if hours.len() > HOURS_SHOWN {
            self.line(&format!("              and {} more hours", hours.len() - HOURS_SHOWN));
        }
    }

    fn senders(&mut self, report: &Report) {
        for (title, rows) in [
            ("Mailboxes that send most", &report.top_mailboxes),
            ("Scripts and local users that send most", &report.top_scripts),
            ("Addresses that forward most to elsewhere", &report.top_forwarders),
            ("Hosts that send most to elsewhere through this server without a login", &report.top_relays),
        ] {
            self.actors(title, rows);
        }
        self.table(
            "Accounts that send most",
            ["#recipients", "#messages", "#senders", "account"],
            &report.top_accounts,
            |table, row| {
                let (recipients, messages) = (grouped(row.recipients), grouped(row.messages));
                table.row([&recipients, &messages, &row.actors, &row.account]);
            },
        );
        self.table(
            "Strangers that send most to this server",
            ["#recipients", "#messages", "address", "name"],
            &report.top_hosts,
            |table, row| {
                let (recipients, messages) = (grouped(row.recipients), grouped(row.messages));
                table.row([&recipients, &messages, &row.ip, &row.name]);
            },
        );
    }

    fn actors(&mut self, title: &str, rows: &[ActorRow]) {
        let heads =
            ["#recipients", "#messages", "#peak hour", "#given up", "#no mailbox", "#as spam", "name", "account"];
        self.table(title, heads, rows, |table, row| {
            table.row([
                &grouped(row.recipients),
                &grouped(row.messages),
                &grouped(row.peak_hour),
                &percent(row.failed, row.recipients),
                &percent(row.unknown, row.recipients),
                &percent(row.spam_refusals, row.recipients),
                &short_path(&row.name),
                &row.account,
            ]);
        });
    }

    fn habits(&mut self, report: &Report) {
        let heads = ["day", "#recipients", "#most before", "name", "account"];
        if self.table("Far more than ever before", heads, &report.unusual, |table, row| {
            table.row([&row.day, &grouped(row.recipients), &grouped(row.most_before), &row.name, &row.account]);
        }) {
            self.note("a newsletter or an invoice run looks like this; ask the owner if it was none");
        }
        let heads = ["#networks a day", "#recipients", "login", "account"];
        let signs: Vec<_> = report.many_networks.iter().filter(|row| row.is_sign).collect();
        let is_said = self.table("Logins from so many networks that it is a sign", heads, &signs, |table, row| {
            table.row([&row.networks_a_day, &grouped(row.recipients), &row.login, &row.account]);
        });
        let others = about::without_sign(report, self.look.top);
        if !is_said && others.is_some() {
            self.heading("Logins from many networks");
        }
        if let Some(others) = others {
            self.line(&format!("  {}", Evidence::from(others)));
        }
        if !report.many_networks.is_empty() {
            self.note(about::MANY_NETWORKS);
        }
        let heads = ["#no mailbox", "#of all", "#given up", "name", "account", ""];
        if self.table("Recipients that do not exist", heads, &report.bounces, |table, row| {
            let share = percent(row.unknown, row.recipients);
            let mark = if about::is_suspect(report, row.kind, &row.name) { case::mark(row.kind) } else { "" };
            let name = short_path(&row.name);
            table.row([&grouped(row.unknown), &share, &grouped(row.failed), &name, &row.account, &mark]);
        }) {
            self.note(about::UNKNOWN_RECIPIENTS);
        }
    }

    fn refusals(&mut self, report: &Report) {
        if report.refusals.is_empty() {
            return;
        }
        self.heading("What other servers say");
        let groups = about::groups(report);
        for group in groups.iter().take(self.look.top) {
            let times = format!("{} refused, {} put off", grouped(group.refused), grouped(group.deferred));
            self.line(&format!("  {} ({times})", shown::sentence_case(group.meaning)));
            let rows: Vec<String> = group.rows.iter().map(|row| about::by_provider(row, self.look.local)).collect();
            self.line(&format!("     where  {}", rows.join(", ")));
            if !group.causes.is_empty() {
                let causes: Vec<String> = group.causes.iter().map(about::cause).collect();
                self.line(&format!("     by     {}", Evidence::from(causes.join(", "))));
            }
            if let Some(row) = group.rows.first() {
                self.line(&format!("     said   {}", Evidence::from(row.example.as_str())));
            }
            self.line(&format!("     do     {}", group.advice.join("; ")));
        }
        if let Some(reputation) = about::of_reputation(report) {
            self.line(&format!("  {}", shown::sentence_case(&reputation)));
        }
    }

    fn attackers(&mut self, report: &Report) {
        let heads =
            ["#attempts", "who", "what it does", "#logins tried", "#from addresses", "first", "last", "result", "do"];
        let local = self.look.local;
        self.table("Attackers", heads, &report.attackers, |table, row| {
            table.row([
                &grouped(row.times),
                &row.who,
                &about::attack_in_words(row.kind),
                &row.names,
                &about::at_least(row.addresses),
                &local.minute_or_dash(row.first.as_ref()),
                &local.minute_or_dash(row.last.as_ref()),
                &about::result(row, local),
                &about::against_attacker(row),
            ]);
        });
        if report.totals.relay_attempts > 0 {
            self.note(&format!("refused attempts to relay in all: {}", grouped(report.totals.relay_attempts)));
        }
    }

    fn queue(&mut self, report: &Report) {
        let totals = &report.totals;
        self.heading("Queue at the end of the log");
        self.line(&format!(
            "  {} not finished, {} of them on hold (frozen); {} put on hold at any time in this log",
            counted(totals.unfinished, "message"),
            grouped(totals.frozen_now),
            grouped(totals.frozen)
        ));
        let mut table = Table::new(["since", "id", "sender", "subject"]);
        for row in report.frozen.iter().take(self.look.top) {
            let sender = if row.sender.is_empty() { "<>" } else { &row.sender };
            table.row([&self.look.local.minute_or_dash(row.since.as_ref()), &row.id, &sender, &row.subject]);
        }
        if !report.frozen.is_empty() {
            self.text.push_str(&table.to_string());
            self.note(
                "bounces that cannot be delivered freeze; many of them follow a flood of spam under a forged sender",
            );
        }
    }

    fn read(&mut self, report: &Report, files: &[FileRow]) {
        let totals = &report.totals;
        self.heading("What was read");
        let mut table = Table::new(["#lines", "#left out", "kind", "file"]);
        for file in files {
            table.row([&grouped(file.lines), &grouped(file.repeated), &file.kind, &file.file]);
        }
        self.text.push_str(&table.to_string());
        for missing in read::missing(report, files) {
            self.line(&format!("  not read: {missing}"));
        }
        let cut = files.iter().map(|file| file.cut).sum();
        for (count, what, meaning) in [
            (cut, "line", "longer than is read (16 KiB), taken up to there"),
            (
                totals.doubtful_lines,
                "line",
                "that can be read in two ways or may be invented; nothing is held against anybody for it",
            ),
            (
                totals.invented_lines,
                "line",
                "that a local user invented by the name of a folder in which Exim was started; not counted",
            ),
            (totals.orphans, "line", "about messages that came in before the log begins"),
            (totals.lost_messages, "message", "let go because too many were open"),
            (totals.unknown_lines, "line", "in no known form"),
        ] {
            if count > 0 {
                self.line(&format!("  {} {meaning}", counted(count, what)));
            }
        }
        for line in read::not_understood(files).iter().take(UNKNOWN_SHOWN) {
            self.line(&format!("     {}", Evidence::from(line.as_str())));
        }
        for forgotten in forgotten::sentences(&report.forgotten) {
            self.line(&format!("  {forgotten}"));
        }
    }
}

fn sample_line(sample: &Sample, local: LocalTime) -> String {
    let time = local.minute_or_dash(sample.time.as_ref());
    let ip = sample.client_ip.as_deref().unwrap_or("local");
    let subject = if sample.subject.is_empty() { String::new() } else { format!(" \"{}\"", sample.subject) };
    Evidence::from(format!("{time} {} from {ip}, sender {}{subject}", sample.id, sample.sender)).to_string()
}
