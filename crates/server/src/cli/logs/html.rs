//! The report as one page that needs nothing else: style and charts within it, no script, nothing fetched. Attackers write into
//! logs, so text comes in through `Html::text` alone, and the page forbids a browser to load or run anything.

use tidegate_watch::api::report::{ActorRow, HourRow, Report, Suspect};

use super::advice;
use super::shown::{self, LocalTime, counted, grouped, percent};
use crate::logs::FileRow;
use chart::{Bar, Colours};
use markup::Html;
use span::{Piece, Span};

mod chart;
mod lists;
mod markup;
mod span;

/// Unknown recipients and refusals in percent from which on a figure stands out.
const STANDS_OUT_PERCENT: u64 = 8;

/// Hours from which on a timeline may go on beyond its end.
const TIMELINE_IS_CUT: usize = 48;

/// The whole page.
pub(super) fn page(report: &Report, files: &[FileRow], local: LocalTime, account: Option<&str>, top: usize) -> String {
    let mut html = Html::default();
    html.raw(concat!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
        "<meta name=\"referrer\" content=\"no-referrer\"><title>Tidegate: what the mail logs say</title><style>\n",
        include_str!("html/style.css"),
        "</style></head>\n<body><main>\n"
    ));
    let mut page = Page { html, local, top };
    page.head(report, files, account);
    page.flow(report);
    page.suspects(report);
    page.senders(report);
    page.habits(report);
    page.refusals(report);
    page.attackers(report);
    page.queue(report);
    page.read(report, files);
    page.html.raw("<footer>Made by Tidegate ");
    page.html.raw(env!("CARGO_PKG_VERSION"));
    page.html.raw(" from the logs named above. Times are local to the server.</footer>\n</main></body></html>\n");
    page.html.finish()
}

struct Page {
    html: Html,
    local: LocalTime,
    /// Rows of each list.
    top: usize,
}

impl Page {
    fn head(&mut self, report: &Report, files: &[FileRow], account: Option<&str>) {
        let from = self.local.minute_or_dash(report.from.as_ref());
        let until = self.local.minute_or_dash(report.until.as_ref());
        let days = counted(u64::try_from(report.days).unwrap_or(0), "day");
        let read = files.iter().filter(|file| file.lines > 0).count();
        let read = counted(u64::try_from(read).unwrap_or(0), "log file");
        self.html.raw("<header><div class=\"mark\">Tidegate</div><h1>What the mail logs say</h1><div class=\"soft\">");
        self.html.text(&format!("{from} to {until} · {days} · {read} · {}", counted(report.totals.lines, "line")));
        self.html.raw("</div></header>\n");
        match report.suspects.as_slice() {
            [] if report.totals.lines == 0 => {
                self.html.raw("<div class=\"banner alarm\"><b>Nothing was read.</b></div>\n");
            }
            [] => {
                self.html.raw("<div class=\"banner good\"><b>Nobody ");
                if let Some(account) = account {
                    self.html.raw("of account ").text(account).raw(" ");
                }
                self.html.raw("looks compromised.</b></div>\n");
            }
            [first, others @ ..] => {
                self.html.raw("<div class=\"banner alarm\">Probably compromised: <b>").text(&first.name).raw("</b>");
                if !others.is_empty() {
                    let others = format!(" and {} more", others.len());
                    self.html.text(&others);
                }
                let entered = format!("{}: {}", suspect_kind(first), self.local.sentence(&first.entered_by));
                self.html.raw("<div>").text(&entered).raw("</div></div>\n");
            }
        }
    }

    fn flow(&mut self, report: &Report) {
        let (Some(first), Some(last)) = (report.by_hour.first(), report.by_hour.last()) else { return };
        let Some(span) = Span::of(&first.hour, &last.hour) else { return };
        let sums = span.sums(&report.by_hour);
        let totals = &report.totals;
        self.html.raw("<div class=\"tiles\">");
        self.tile("messages", totals.messages, &sums, |row| row.messages, "<rect class=\"sea\"");
        self.tile("recipients served", totals.delivered, &sums, |row| row.delivered, "<rect class=\"sea\"");
        self.tile("deferred", totals.deferred, &sums, |row| row.deferred, "<rect class=\"warn\"");
        self.tile("given up", totals.failed, &sums, |row| row.failed, "<rect class=\"alarm\"");
        self.tile("refused at the door", totals.refused, &sums, |row| row.refused, "<rect class=\"violet\"");
        self.tile("failed logins", totals.auth_failures, &sums, |row| row.auth_failures, "<rect class=\"violet\"");
        self.html.raw("</div>\n<div class=\"card\"><div class=\"key\"><span>Recipients by ").raw(span.unit());
        self.html.raw(
            ":</span><span><i class=\"k-sea\"></i>served</span><span><i class=\"k-alarm\"></i>given up</span></div>",
        );
        let bars: Vec<Bar> = (0..)
            .zip(&sums)
            .map(|(place, row)| Bar {
                tick: span.tick(place),
                title: format!(
                    "{}: {} served, {} given up, {} deferred",
                    span.title(place),
                    row.delivered,
                    row.failed,
                    row.deferred
                ),
                lower: row.delivered,
                upper: row.failed,
                is_marked: false,
            })
            .collect();
        chart::draw(&mut self.html, &bars, MAIL, 190.0);
        self.html.raw("</div>\n");
    }

    fn tile(&mut self, label: &'static str, sum: u64, rows: &[HourRow], of: fn(&HourRow) -> u64, class: &'static str) {
        let values: Vec<u64> = rows.iter().map(of).collect();
        self.html.raw("<div class=\"tile\"><div class=\"n\">").text(&grouped(sum));
        self.html.raw("</div><div class=\"l\">").raw(label).raw("</div>");
        chart::spark(&mut self.html, &values, class);
        self.html.raw("</div>");
    }

    fn suspects(&mut self, report: &Report) {
        if report.suspects.is_empty() {
            return;
        }
        self.html.raw("<h2>Probably compromised</h2>\n");
        for suspect in &report.suspects {
            self.suspect(suspect, report);
        }
    }

    fn suspect(&mut self, suspect: &Suspect, report: &Report) {
        let since = suspect.since.as_deref().unwrap_or("?");
        let until = suspect.until.as_deref().unwrap_or("?");
        let when = if since == until { format!("on {since}") } else { format!("{since} to {until}") };
        let html = &mut self.html;
        html.raw("<section class=\"card suspect\"><div class=\"who\">")
            .text(&suspect.name)
            .raw("</div><div class=\"soft\">");
        let recipients = counted(suspect.recipients, "recipient");
        html.text(&format!("{} of account {} · {when} · {recipients} since", suspect_kind(suspect), suspect.account));
        html.raw("</div><div class=\"two\"><div><h3>How the intruder came in</h3>");
        html.raw("<div class=\"how\">")
            .text(&self.local.sentence(&suspect.entered_by))
            .raw("</div><h3>Why</h3><ul class=\"why\">");
        for signal in &suspect.signals {
            html.element("<li>", &signal.evidence, "</li>");
        }
        html.raw("</ul></div><div><h3>What to do</h3><ol class=\"steps\">");
        for step in advice::against(suspect) {
            html.raw("<li>").text(&step.text);
            if let Some(command) = &step.command {
                html.raw("<br><code>").text(command).raw("</code>");
            }
            html.raw("</li>");
        }
        html.raw("</ol></div></div>");
        self.suspect_days(suspect, report);
        self.suspect_hours(suspect);
        self.samples(suspect);
        self.html.raw("</section>\n");
    }

    /// Every day of the log: the own past beside what is suspect.
    fn suspect_days(&mut self, suspect: &Suspect, report: &Report) {
        let (Some(first), Some(last)) = (report.by_hour.first(), report.by_hour.last()) else { return };
        let Some(span) = Span::in_pieces(&first.hour, &last.hour, Piece::Day) else { return };
        let mut bars: Vec<Bar> = (0..span.len())
            .map(|place| {
                let date = span.date(place);
                let is_marked = suspect.since.as_ref().is_some_and(|since| *since <= date)
                    && suspect.until.as_ref().is_some_and(|until| date <= *until);
                Bar { tick: span.tick(place), title: span.title(place), is_marked, ..Bar::default() }
            })
            .collect();
        for day in &suspect.by_day {
            if let Some(bar) = span.place(&day.name).and_then(|place| bars.get_mut(place)) {
                bar.lower += day.times;
            }
        }
        for bar in &mut bars {
            bar.title = format!("{}: {}", bar.title, counted(bar.lower, "recipient"));
        }
        self.html.raw(
            "<h3>Recipients by day: its own past</h3><div class=\"key\"><span><i class=\"k-sea\"></i>usual days</span>",
        );
        self.html.raw("<span><i class=\"k-alarm\"></i>suspect days</span></div>");
        chart::draw(&mut self.html, &bars, MAIL, 150.0);
    }

    /// The suspect days hour by hour.
    fn suspect_hours(&mut self, suspect: &Suspect) {
        let since = suspect.since.as_deref().unwrap_or("");
        let hours: Vec<_> = suspect.timeline.iter().filter(|hour| hour.hour.as_str() >= since).collect();
        let until = suspect.until.clone().unwrap_or_default() + "T23:00:00";
        // The timeline has the first hours only; an end beyond it would show a silence that was none.
        let end = match suspect.timeline.last() {
            Some(last) if suspect.timeline.len() >= TIMELINE_IS_CUT => until.min(last.hour.clone()),
            _ => until,
        };
        let Some(span) = Span::in_pieces(since, &end, Piece::Hour) else { return };
        let mut bars: Vec<Bar> = (0..span.len())
            .map(|place| Bar { tick: span.tick(place), title: span.title(place), ..Bar::default() })
            .collect();
        for hour in hours {
            let Some(bar) = span.place(&hour.hour).and_then(|place| bars.get_mut(place)) else { continue };
            bar.upper = hour.failed.min(hour.recipients);
            bar.lower = hour.recipients - bar.upper;
            bar.title = format!(
                "{}: {}, {} given up, from about {}",
                bar.title,
                counted(hour.recipients, "recipient"),
                hour.failed,
                counted(hour.networks, "network")
            );
        }
        self.html
            .element("<h3>Hour by hour, from ", since, "</h3>")
            .raw("<div class=\"key\"><span><i class=\"k-sea\"></i>served or waiting</span>");
        self.html.raw("<span><i class=\"k-warn\"></i>given up</span></div>");
        chart::draw(&mut self.html, &bars, HOURS, 150.0);
    }

    fn samples(&mut self, suspect: &Suspect) {
        if suspect.samples.is_empty() {
            return;
        }
        self.html
            .raw("<h3>Examples from its busiest hour</h3><div class=\"scroll\"><table><tr><th>time</th><th>id</th>");
        self.html.raw("<th>from</th><th>sender</th><th>subject</th></tr>");
        for sample in &suspect.samples {
            let time = self.local.minute_or_dash(sample.time.as_ref());
            self.html.element("<tr><td class=\"time\">", &time, "</td>").element("<td>", &sample.id, "</td>");
            self.html.element("<td>", sample.client_ip.as_deref().unwrap_or("this server"), "</td>");
            self.html.element("<td>", &sample.sender, "</td>").element("<td>", &sample.subject, "</td></tr>");
        }
        self.html.raw("</table></div>");
    }

    fn senders(&mut self, report: &Report) {
        for (title, rows) in [
            ("<h2>Mailboxes that send most</h2>", &report.top_mailboxes),
            ("<h2>Scripts and local users that send most</h2>", &report.top_scripts),
            ("<h2>Addresses that forward most to elsewhere</h2>", &report.top_forwarders),
            ("<h2>Hosts that send most to elsewhere without a login</h2>", &report.top_relays),
        ] {
            self.actors(title, rows);
        }
    }

    fn actors(&mut self, title: &'static str, rows: &[ActorRow]) {
        let Some(most) = rows.iter().map(|row| row.recipients).max() else { return };
        self.html.raw(title).raw("<div class=\"card scroll\"><table><tr><th>name</th><th>account</th><th></th>");
        self.html.raw("<th class=\"r\">recipients</th><th class=\"r\">messages</th><th class=\"r\">peak hour</th>");
        self.html.raw("<th class=\"r\">no mailbox</th><th class=\"r\">as spam</th></tr>");
        for row in rows.iter().take(self.top) {
            self.html.element("<tr><td>", &row.name, "</td>").element("<td class=\"soft\">", &row.account, "</td>");
            self.bar(row.recipients, most);
            self.count(row.recipients);
            self.count(row.messages);
            self.count(row.peak_hour);
            self.share(row.unknown, row.recipients);
            self.share(row.spam_refusals, row.recipients);
            self.html.raw("</tr>");
        }
        self.html.raw("</table></div>\n");
    }

    fn bar(&mut self, value: u64, most: u64) {
        let share = value as f64 / (most.max(1) as f64) * 100.0;
        self.html.raw("<td class=\"bar\"><span style=\"width:").number(share).raw("%\"></span></td>");
    }

    fn count(&mut self, count: u64) {
        self.html.element("<td class=\"r\">", &grouped(count), "</td>");
    }

    fn share(&mut self, part: u64, whole: u64) {
        let is_hot = part >= 10 && part.saturating_mul(100) >= whole.saturating_mul(STANDS_OUT_PERCENT);
        let open = if is_hot { "<td class=\"r hot\">" } else { "<td class=\"r\">" };
        self.html.element(open, &percent(part, whole), "</td>");
    }
}

/// Colours of mail on the whole, and of a suspect's hours.
const MAIL: Colours = Colours { lower: "<rect class=\"sea\"", upper: "<rect class=\"alarm\"" };
const HOURS: Colours = Colours { lower: "<rect class=\"sea\"", upper: "<rect class=\"warn\"" };

/// What a suspect is, at the beginning of a sentence.
fn suspect_kind(suspect: &Suspect) -> &'static str {
    match suspect.kind {
        "mailbox" => "Mailbox",
        "script" => "Script",
        "forwarder" => "Forwarding address",
        "relay" => "Host",
        _ => "Local user",
    }
}
