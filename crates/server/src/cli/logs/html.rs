//! The report as one page that needs nothing else: style and charts within it, no script, nothing fetched. Attackers write into
//! logs, so text comes in through `Html::text` alone, and the page forbids a browser to load or run anything.
//!
//! What needs action stands open, first; what explains and lists is folded and says in its title what is in it.

use jiff::Timestamp;
use tidegate_watch::api::report::{ActorRow, HourRow, Report, Suspect};

use super::shown::{self, LocalTime, counted, grouped, percent, short_path};
use super::{ROWS_MIN, about, advice, case, forgotten, from_where, read, standing};
use crate::logs::FileRow;
use chart::{Bar, Colours};
use markup::Html;
use span::Span;

mod chart;
mod lists;
mod markup;
mod others;
mod span;
mod suspects;

/// Unknown recipients and refusals in percent from which on a figure stands out.
const STANDS_OUT_PERCENT: u64 = 8;

/// A log that ended more days before the page was made says nothing of today.
const OLD_DAYS: i64 = 2;

/// Suspects whose state stands at the top; of further ones it stands in their card.
const STATES_ON_TOP: usize = 3;

/// The whole page, made at this time.
pub(super) fn page(
    report: &Report,
    files: &[FileRow],
    local: LocalTime,
    made: Timestamp,
    (account, top): (Option<&str>, usize),
) -> String {
    let mut html = Html::default();
    html.raw(concat!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
        "<meta name=\"referrer\" content=\"no-referrer\"><title>Tidegate: what the mail logs say</title><style>\n",
        include_str!("html/style.css"),
        "</style></head>\n<body><main>\n"
    ));
    let mut page = Page { html, local, top, report, account };
    page.head(files, made);
    page.banner();
    page.blocks();
    page.contents();
    page.suspects();
    page.cleared();
    page.flow();
    page.refusals();
    page.attackers();
    page.senders();
    page.habits();
    page.queue();
    page.read(files);
    page.words();
    page.html.raw("<footer>Made by Tidegate ");
    page.html.raw(env!("CARGO_PKG_VERSION"));
    page.html.raw(" from the logs named above.</footer>\n</main></body></html>\n");
    page.html.finish()
}

struct Page<'r> {
    html: Html,
    local: LocalTime,
    /// Rows of each list.
    top: usize,
    report: &'r Report,
    /// The account that alone is looked at.
    account: Option<&'r str>,
}

impl Page<'_> {
    fn head(&mut self, files: &[FileRow], made: Timestamp) {
        let report = self.report;
        let from = self.local.minute_or_dash(report.from.as_ref());
        let until = self.local.minute_or_dash(report.until.as_ref());
        let days = counted(u64::try_from(report.days).unwrap_or(0), "day");
        let read = files.iter().filter(|file| file.lines > 0).count();
        let read = counted(u64::try_from(read).unwrap_or(0), "log file");
        let zone = self.local.zone(report.from.as_ref(), report.until.as_ref());
        self.html.raw("<header><div class=\"mark\">Tidegate</div><h1>What the mail logs say</h1><div class=\"soft\">");
        let lines = counted(report.totals.lines, "line");
        self.html.text(&format!("{from} to {until} · {days} · {read} · {lines} · all times are the server's, {zone}"));
        let (made_at, made) = (made, self.local.minute(&made.to_string()));
        self.html.raw("<br>").text(&format!("This page was made {made}; what happened since is not on it."));
        self.html.raw("</div></header>\n");
        self.old(made_at);
    }

    /// Says aloud that the log ended long before the page was made: whoever reads “now” thinks of today.
    fn old(&mut self, made: Timestamp) {
        let until = self.report.until.as_ref().and_then(|until| until.parse::<Timestamp>().ok());
        let Some(days) = until.map(|until| made.duration_since(until).as_hours() / 24).filter(|days| *days > OLD_DAYS)
        else {
            return;
        };
        let ends = self.local.day_or_dash(self.report.until.as_ref());
        let days = counted(u64::try_from(days).unwrap_or(0), "day");
        self.html.raw("<div class=\"banner warned\"><b>");
        self.html.text(&format!("This log ends {ends}, {days} before this page was made."));
        self.html.raw("</b> “Now”, “the last two days” and “goes on” below mean then, not today.</div>\n");
    }

    /// What needs an administrator now, with the state of each case.
    fn banner(&mut self) {
        let report = self.report;
        if report.totals.lines == 0 {
            self.html.raw("<div class=\"banner bad\"><b>Nothing was read.</b></div>\n");
            return;
        }
        if report.suspects.is_empty() {
            self.html.raw("<div class=\"banner good\"><b>Nobody ");
            if let Some(account) = self.account {
                self.html.raw("of account ").text(account).raw(" ");
            }
            self.html.raw("looks compromised.</b></div>\n");
        }
        for (at, suspect) in report.suspects.iter().enumerate() {
            self.html.raw("<div class=\"banner bad\">").raw(case::verdict(suspect)).raw(": <b>");
            self.html.text(&suspect.name).raw("</b><div>");
            self.html.text(&case::headline(suspect, self.local));
            self.html.raw("</div>");
            if at < STATES_ON_TOP {
                self.state(suspect);
            }
            self.html.raw("</div>\n");
        }
    }

    /// How a case stands.
    fn state(&mut self, suspect: &Suspect) {
        self.html.raw("<table class=\"case\">");
        self.html.element("<tr><th>how sure</th><td>", &case::certainty(suspect), "</td></tr>");
        for line in case::state(suspect, self.report, self.local) {
            self.html.raw("<tr><th>").raw(line.label).raw("</th>");
            self.html.raw(if line.is_urgent { "<td class=\"urgent\">" } else { "<td>" }).prose(&line.text);
            self.html.raw("</td></tr>");
        }
        self.html.raw("</table>");
    }

    /// Who holds this server's address for bad: it hurts everybody on it.
    fn blocks(&mut self) {
        let report = self.report;
        if !standing::is_shown(report, self.account) {
            return;
        }
        let is_bad = report.blocks.iter().any(|row| row.refused > 0) || !report.blocklists.is_empty();
        self.html.raw(if is_bad { "<div class=\"banner warned\">" } else { "<div class=\"banner\">" });
        self.html.raw("<b>This server's own reputation</b><ul>");
        if self.account.is_none() {
            for list in standing::blocklists(report, self.local) {
                self.html.raw("<li><b>").sentence(&list).raw(".</b></li>");
            }
        }
        if report.blocks.is_empty() {
            self.html.raw("<li>Nobody refuses mail for a bad reputation of this server's address.</li>");
        }
        for row in &report.blocks {
            self.html.element("<li><b>", &standing::heading(row), "</b><table class=\"case\">");
            for (label, text) in standing::lines(row, report, self.local) {
                self.html.raw("<tr><th>").raw(label).raw("</th><td>").sentence(&text).raw("</td></tr>");
            }
            self.html.element("</table><div class=\"quote\">“", &row.example, "”</div></li>");
        }
        self.html.raw("</ul></div>\n");
    }

    fn contents(&mut self) {
        let report = self.report;
        self.html.raw("<nav>On this page:");
        for (there, link) in [
            (!report.suspects.is_empty(), " <a href=\"#suspects\">what happened and what to do</a>"),
            (!report.cleared.is_empty(), " · <a href=\"#cleared\">looked at, not suspected</a>"),
            (!report.by_hour.is_empty(), " · <a href=\"#flow\">the whole server by day</a>"),
            (!report.refusals.is_empty(), " · <a href=\"#refusals\">what other servers say</a>"),
            (!report.attackers.is_empty(), " · <a href=\"#attackers\">attackers</a>"),
            (true, " · <a href=\"#senders\">who sends</a>"),
            (self.has_habits(), " · <a href=\"#habits\">what is unusual</a>"),
            (true, " · <a href=\"#queue\">queue</a>"),
            (true, " · <a href=\"#read\">what was read and what not</a>"),
            (true, " · <a href=\"#words\">words</a>"),
        ] {
            if there {
                self.html.raw(link);
            }
        }
        self.html.raw("</nav>\n");
    }

    /// Begins a folded part; its title says what is in it. Parts end with `</details>`.
    fn fold(&mut self, open: &'static str, title: &'static str, gist: &str) {
        self.html.raw(open).raw("<summary>").raw(title);
        if !gist.is_empty() {
            self.html.element(" <span class=\"gist\">", gist, "</span>");
        }
        self.html.raw("</summary>");
    }

    fn flow(&mut self) {
        let report = self.report;
        let (Some(first), Some(last)) = (report.by_hour.first(), report.by_hour.last()) else { return };
        let Some(span) = Span::of(&first.hour, &last.hour) else { return };
        let sums = span.sums(&report.by_hour);
        let totals = &report.totals;
        let gist = format!(
            "{}, {} delivered, {} given up, {}",
            counted(totals.messages, "message"),
            counted(totals.delivered, "recipient"),
            grouped(totals.failed),
            counted(totals.auth_failures, "failed login")
        );
        self.fold("<details id=\"flow\" open>", "The whole server", &gist);
        self.html.raw("<div class=\"tiles\">");
        let unit = span.unit();
        self.tile("messages", unit, totals.messages, &sums, |row| row.messages, "<rect class=\"sea\"");
        self.tile("recipients delivered", unit, totals.delivered, &sums, |row| row.delivered, "<rect class=\"sea\"");
        self.tile("attempts deferred", unit, totals.deferred, &sums, |row| row.deferred, "<rect class=\"warn\"");
        self.tile("recipients given up", unit, totals.failed, &sums, |row| row.failed, "<rect class=\"warn\"");
        self.tile("refused by this server", unit, totals.refused, &sums, |row| row.refused, "<rect class=\"violet\"");
        self.tile(
            "failed logins",
            unit,
            totals.auth_failures,
            &sums,
            |row| row.auth_failures,
            "<rect class=\"violet\"",
        );
        self.html.raw("</div>\n<div class=\"card\"><div class=\"key\"><span>Recipients by ").raw(unit);
        self.html
            .raw(":</span><span><i class=\"k-sea\"></i>delivered</span><span><i class=\"k-warn\"></i>given up</span>");
        if !report.suspects.is_empty() {
            self.html.raw("<span><i class=\"k-band\"></i>days of the case</span>");
        }
        self.html.raw("</div>");
        let bars: Vec<Bar> = (0..)
            .zip(&sums)
            .map(|(place, row)| Bar {
                tick: span.tick(place),
                title: format!(
                    "{}: {} delivered, {} given up, {} deferred",
                    span.title(place),
                    row.delivered,
                    row.failed,
                    row.deferred
                ),
                lower: row.delivered,
                upper: row.failed,
                is_in_band: report.suspects.iter().any(|suspect| case::is_on(suspect, &span.date(place))),
                ..Bar::default()
            })
            .collect();
        chart::draw(&mut self.html, &bars, MAIL, 190.0);
        self.html.raw("</div></details>\n");
    }

    fn tile(
        &mut self,
        label: &'static str,
        unit: &'static str,
        sum: u64,
        rows: &[HourRow],
        of: fn(&HourRow) -> u64,
        class: &'static str,
    ) {
        let values: Vec<u64> = rows.iter().map(of).collect();
        let most = values.iter().max().copied().unwrap_or(0);
        self.html.raw("<div class=\"tile\"><div class=\"n\">").text(&grouped(sum));
        self.html.raw("</div><div class=\"l\">").raw(label).raw("</div>");
        chart::spark(&mut self.html, &values, class);
        self.html.raw("<div class=\"l\">by ").raw(unit).raw(", at most ").text(&grouped(most)).raw("</div></div>");
    }

    fn senders(&mut self) {
        let report = self.report;
        let gist = report.top_mailboxes.first().map_or_else(String::new, |row| {
            format!("most: {} with {}", row.name, counted(row.recipients, "recipient"))
        });
        self.fold("<details id=\"senders\">", "Who sends most", &gist);
        for (title, rows) in [
            ("<h3>Mailboxes", &report.top_mailboxes),
            ("<h3>Scripts and local users", &report.top_scripts),
            ("<h3>Addresses that forward to elsewhere", &report.top_forwarders),
            ("<h3>Hosts that send to elsewhere without a login", &report.top_relays),
        ] {
            self.actors(title, rows);
        }
        self.html.raw("</details>\n");
    }

    fn actors(&mut self, title: &'static str, rows: &[ActorRow]) {
        let Some(most) = rows.iter().map(|row| row.recipients).max() else { return };
        self.html.raw(title);
        self.part_of(rows.len());
        self.html.raw("</h3><div class=\"card scroll\"><table><tr><th>name</th><th>account</th><th></th>");
        self.html.raw("<th class=\"r\">recipients</th><th class=\"r\">messages</th><th class=\"r\">busiest hour</th>");
        self.html.raw("<th class=\"r\">do not exist</th><th class=\"r\">refused as spam</th></tr>");
        for row in rows.iter().take(self.top) {
            self.row(row.kind, &row.name);
            self.path(&row.name);
            self.html.element("<td class=\"soft\">", &row.account, "</td>");
            self.bar(row.recipients, most);
            self.count(row.recipients);
            self.count(row.messages);
            let peak = match about::peak(self.report, row.kind, &row.name) {
                Some(hour) => format!("{} ({})", grouped(row.peak_hour), shown::local_minute(hour)),
                None => grouped(row.peak_hour),
            };
            self.html.element("<td class=\"r\">", &peak, "</td>");
            self.share(row.unknown, row.recipients);
            self.share(row.spam_refusals, row.recipients);
            self.html.raw("</tr>");
        }
        self.html.raw(
            "</table><p class=\"hint\">Percent are of the recipients in the same row, over the whole log. Refused as spam counts also what was refused by a rule or for this server's bad reputation.</p></div>\n",
        );
    }

    /// Says in a title how many rows of how many follow.
    fn part_of(&mut self, rows: usize) {
        let part = shown::part_of(rows, self.top, ROWS_MIN.max(self.top));
        if !part.is_empty() {
            self.html.element(" <span class=\"gist\">", &part, "</span>");
        }
    }

    /// Begins a row; one about a suspect is marked.
    fn row(&mut self, kind: &str, name: &str) {
        let is_suspect = about::is_suspect(self.report, kind, name);
        self.html.raw(if is_suspect { "<tr class=\"mine\">" } else { "<tr>" });
    }

    /// A name, short if it is a long path; a pointer over it shows the whole.
    fn path(&mut self, name: &str) {
        let short = short_path(name);
        if short == name {
            self.html.element("<td>", name, "</td>");
        } else {
            self.html.raw("<td title=\"").text(name).raw("\">").text(&short).raw("</td>");
        }
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

/// Colours of mail: blue is delivered, amber given up. Red is for what is compromised, violet for attacks.
const MAIL: Colours = Colours { lower: "<rect class=\"sea\"", upper: "<rect class=\"warn\"" };
