//! The lists of the page: habits, what other servers say, attackers, the queue, what was read.

use tidegate_watch::api::report::Report;

use super::Page;
use super::advice;
use super::{counted, grouped, shown};
use crate::logs::FileRow;

impl Page {
    pub(super) fn habits(&mut self, report: &Report) {
        if !report.unusual.is_empty() {
            self.table(
                "<h2>Far more than ever before</h2>",
                &["day", "name", "account", "#recipients", "#most before"],
            );
            for row in report.unusual.iter().take(self.top) {
                self.html.element("<tr><td class=\"time\">", &row.day, "</td>").element("<td>", &row.name, "</td>");
                self.html.element("<td class=\"soft\">", &row.account, "</td>");
                self.count(row.recipients);
                self.count(row.most_before);
                self.html.raw("</tr>");
            }
            self.hint("A newsletter or an invoice run looks like this; ask the owner if it was none.");
        }
        if !report.many_networks.is_empty() {
            self.table("<h2>Logins from many networks</h2>", &["login", "account", "#networks a day", "#recipients"]);
            for row in report.many_networks.iter().take(self.top) {
                self.html.element("<tr><td>", &row.login, "</td>").element(
                    "<td class=\"soft\">",
                    &row.account,
                    "</td>",
                );
                self.count(u64::from(row.networks_a_day));
                self.count(row.recipients);
                self.html.raw("</tr>");
            }
            self.hint("Phones and journeys make three or four; many more in a day mean that others have the password.");
        }
        if !report.bounces.is_empty() {
            self.table(
                "<h2>Recipients that do not exist</h2>",
                &["name", "account", "#no mailbox", "#of all", "#given up"],
            );
            for row in report.bounces.iter().take(self.top) {
                self.html.element("<tr><td>", &row.name, "</td>").element("<td class=\"soft\">", &row.account, "</td>");
                self.count(row.unknown);
                self.share(row.unknown, row.recipients);
                self.count(row.failed);
                self.html.raw("</tr>");
            }
            self.hint("Above some percent the list was bought, is old, or is a spammer's; have it cleaned.");
        }
    }

    pub(super) fn refusals(&mut self, report: &Report) {
        if report.refusals.is_empty() {
            return;
        }
        self.html.raw("<h2>What other servers say</h2><div class=\"card\">");
        for row in report.refusals.iter().take(self.top) {
            self.html
                .raw("<div class=\"say\"><span class=\"m\">")
                .raw(shown::provider(row.provider))
                .raw(": ")
                .raw(row.meaning)
                .raw("</span>");
            let times = format!(" · {} refused, {} deferred", grouped(row.refused), grouped(row.deferred));
            self.html.element("<span class=\"soft\">", &times, "</span>");
            if !row.caused_by.is_empty() {
                self.html.raw("<div>caused by ");
                for (i, cause) in row.caused_by.iter().enumerate() {
                    self.html.raw(if i == 0 { "" } else { ", " }).raw(cause.kind).raw(" ").text(&cause.name);
                    self.html.text(&format!(" ({})", grouped(cause.times)));
                }
                self.html.raw("</div>");
            }
            self.html.element("<div class=\"quote\">“", &row.example, "”</div>");
            self.html.raw("<div>What to do: ").raw(row.advice).raw(".</div></div>");
        }
        self.html.raw("</div>\n");
    }

    pub(super) fn attackers(&mut self, report: &Report) {
        if report.attackers.is_empty() {
            return;
        }
        let heads = ["who", "what it does", "#times", "#logins", "#addresses", "first", "last", "what to do"];
        self.table("<h2>Attackers</h2>", &heads);
        for row in report.attackers.iter().take(self.top) {
            self.html.element("<tr><td>", &row.who, "</td><td>").raw(advice::attack_in_words(row.kind)).raw("</td>");
            self.count(row.times);
            self.count(row.names);
            self.count(row.addresses);
            let (first, last) =
                (self.local.minute_or_dash(row.first.as_ref()), self.local.minute_or_dash(row.last.as_ref()));
            self.html.element("<td class=\"time\">", &first, "</td>").element("<td class=\"time\">", &last, "</td>");
            self.html.raw("<td class=\"soft\">").raw(advice::about_attacker(row)).raw("</td></tr>");
        }
        self.html.raw("</table></div>\n");
    }

    pub(super) fn queue(&mut self, report: &Report) {
        let totals = &report.totals;
        self.html.raw("<h2>Queue at the end of the log</h2><div class=\"card scroll\">");
        let waiting = counted(totals.unfinished, "message");
        self.html.text(&format!(
            "{waiting} not finished, {} of them frozen; {} put on hold in all.",
            grouped(totals.frozen_now),
            grouped(totals.frozen)
        ));
        if !report.frozen.is_empty() {
            self.html.raw("<table><tr><th>frozen since</th><th>id</th><th>sender</th><th>subject</th></tr>");
            for row in report.frozen.iter().take(self.top) {
                let since = self.local.minute_or_dash(row.since.as_ref());
                self.html.element("<tr><td class=\"time\">", &since, "</td>").element("<td>", &row.id, "</td>");
                let sender = if row.sender.is_empty() { "<>" } else { &row.sender };
                self.html.element("<td>", sender, "</td>").element("<td>", &row.subject, "</td></tr>");
            }
            self.html.raw("</table>");
        }
        self.html.raw("</div>\n");
    }

    pub(super) fn read(&mut self, report: &Report, files: &[FileRow]) {
        self.table("<h2>What was read</h2>", &["file", "kind", "#lines", "#left out", ""]);
        for file in files {
            self.html.element("<tr><td>", &file.file, "</td>").element(
                "<td class=\"soft\">",
                &file.kind.to_string(),
                "</td>",
            );
            self.count(file.lines);
            self.count(file.repeated);
            self.html.element("<td class=\"hot\">", file.trouble.as_deref().unwrap_or(""), "</td></tr>");
        }
        let totals = &report.totals;
        self.html.raw("</table><p class=\"hint\">");
        self.html.text(&format!(
            "{} in no known form; {} whose sender imitates log fields; {} about messages from before the log begins.",
            counted(totals.unknown_lines, "line"),
            counted(totals.doubtful_lines, "message"),
            counted(totals.orphans, "line"),
        ));
        self.html.raw("</p></div>\n");
    }

    /// Begins a table under a heading. A head that begins with `#` stands over numbers.
    fn table(&mut self, title: &'static str, heads: &[&'static str]) {
        self.html.raw(title).raw("<div class=\"card scroll\"><table><tr>");
        for head in heads {
            match head.strip_prefix('#') {
                Some(head) => self.html.raw("<th class=\"r\">").raw(head).raw("</th>"),
                None => self.html.raw("<th>").raw(head).raw("</th>"),
            };
        }
        self.html.raw("</tr>");
    }

    /// Ends a table with a sentence.
    fn hint(&mut self, hint: &'static str) {
        self.html.raw("</table><p class=\"hint\">").raw(hint).raw("</p></div>\n");
    }
}
