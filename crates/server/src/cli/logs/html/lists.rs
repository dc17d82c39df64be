//! The lists of the page: who was cleared, habits, the queue, what was read, words.

use super::Page;
use super::{about, case, counted, forgotten, grouped, read, shown};
use crate::logs::FileRow;

impl Page<'_> {
    pub(super) fn cleared(&mut self) {
        let report = self.report;
        if report.cleared.is_empty() {
            return;
        }
        self.html.raw("<h2 id=\"cleared\">Looked at, and not suspected");
        self.part_of(report.cleared.len());
        self.html.raw("</h2><div class=\"card scroll\"><table><tr><th>who</th><th>what</th><th class=\"r\">recipients</th><th>why not</th></tr>");
        for row in report.cleared.iter().take(self.top) {
            self.html.raw("<tr>");
            self.path(&row.name);
            self.html.raw("<td class=\"time\">").raw(about::class(row)).raw("</td>");
            self.count(row.recipients);
            self.html.raw("<td class=\"wide\">").sentence(&self.local.sentence(&row.reason));
            if let Some(near) = about::near(row, report) {
                self.html.raw(".<br><b>").sentence(&near).raw(".</b>");
            }
            self.html.raw("</td></tr>");
        }
        self.html.raw("</table></div>\n");
    }

    pub(super) fn has_habits(&self) -> bool {
        let report = self.report;
        !(report.unusual.is_empty() && report.many_networks.is_empty() && report.bounces.is_empty())
    }

    pub(super) fn habits(&mut self) {
        let report = self.report;
        let (unusual, many, bounces) = (&report.unusual, &report.many_networks, &report.bounces);
        if !self.has_habits() {
            return;
        }
        self.fold("<details id=\"habits\">", "What is unusual", "far more than before, many networks, dead addresses");
        if !unusual.is_empty() {
            self.table(
                "<h3>Far more than ever before",
                unusual.len(),
                &["day", "name", "account", "#recipients", "#most on a day before"],
            );
            for row in unusual.iter().take(self.top) {
                self.row(row.kind, &row.name);
                self.html.element("<td class=\"time\">", &row.day, "</td>");
                self.path(&row.name);
                self.html.element("<td class=\"soft\">", &row.account, "</td>");
                self.count(row.recipients);
                self.count(row.most_before);
                self.html.raw("</tr>");
            }
            self.hint("A newsletter or an invoice run looks like this as well; alone it is no suspicion");
        }
        if !many.is_empty() {
            self.many_networks();
        }
        if !bounces.is_empty() {
            self.table(
                "<h3>Recipients that do not exist",
                bounces.len(),
                &["name", "account", "#do not exist", "#of its recipients", "#given up for any reason", ""],
            );
            for row in bounces.iter().take(self.top) {
                self.row(row.kind, &row.name);
                self.path(&row.name);
                self.html.element("<td class=\"soft\">", &row.account, "</td>");
                self.count(row.unknown);
                self.share(row.unknown, row.recipients);
                self.count(row.failed);
                let is_suspect = about::is_suspect(report, row.kind, &row.name);
                self.html.raw("<td>").raw(if is_suspect { case::mark(row.kind) } else { "" }).raw("</td></tr>");
            }
            self.hint(about::UNKNOWN_RECIPIENTS);
        }
        self.html.raw("</details>\n");
    }

    /// Those of whom it is a sign in a table; the others in a line, since it says nothing of them.
    fn many_networks(&mut self) {
        let report = self.report;
        let signs: Vec<_> = report.many_networks.iter().filter(|row| row.is_sign).collect();
        let heads = ["login", "account", "#networks a day", "#recipients"];
        self.table("<h3>Logins from many networks", signs.len(), if signs.is_empty() { &[] } else { &heads });
        for row in signs.into_iter().take(self.top) {
            self.row("mailbox", &row.login);
            self.html.element("<td>", &row.login, "</td>");
            self.html.element("<td class=\"soft\">", &row.account, "</td>");
            self.count(u64::from(row.networks_a_day));
            self.count(row.recipients);
            self.html.raw("</tr>");
        }
        if let Some(others) = about::without_sign(report, self.top) {
            self.html.element("</table><p>", &shown::sentence_case(&others), "</p><table>");
        }
        self.hint(about::MANY_NETWORKS);
    }

    pub(super) fn queue(&mut self) {
        let report = self.report;
        let totals = &report.totals;
        let gist = format!(
            "{} not finished, {} of them on hold; {} put on hold at any time in this log",
            counted(totals.unfinished, "message"),
            grouped(totals.frozen_now),
            grouped(totals.frozen)
        );
        self.fold("<details id=\"queue\">", "Queue at the end of the log", &gist);
        if report.frozen.is_empty() {
            self.html.raw("<p class=\"hint\">Nothing is on hold.</p></details>\n");
            return;
        }
        self.html.raw("<div class=\"card scroll\"><table><tr><th>on hold since</th><th>id</th><th>sender</th><th>subject</th></tr>");
        for row in report.frozen.iter().take(self.top) {
            let since = self.local.minute_or_dash(row.since.as_ref());
            self.html.element("<tr><td class=\"time\">", &since, "</td>").element("<td>", &row.id, "</td>");
            let sender = if row.sender.is_empty() { "<>" } else { &row.sender };
            self.html.element("<td>", sender, "</td>").element("<td>", &row.subject, "</td></tr>");
        }
        self.html.raw("</table></div></details>\n");
    }

    pub(super) fn read(&mut self, files: &[FileRow]) {
        let report = self.report;
        let totals = &report.totals;
        let gist = format!("{}, {} in no known form", counted(totals.lines, "line"), grouped(totals.unknown_lines));
        self.fold("<details id=\"read\" open>", "What was read and what not", &gist);
        self.html.raw("<div class=\"card scroll\"><table><tr><th>file</th><th>kind</th><th class=\"r\">lines</th>");
        self.html.raw("<th class=\"r\">of these also in another file, counted once</th><th></th></tr>");
        for file in files {
            self.html.element("<tr><td>", &file.file, "</td>");
            self.html.element("<td class=\"soft\">", &file.kind.to_string(), "</td>");
            self.count(file.lines);
            self.count(file.repeated);
            self.html.element("<td class=\"hot\">", file.trouble.as_deref().unwrap_or(""), "</td></tr>");
        }
        self.html.raw("</table><p class=\"hint\">Not read:</p><ul class=\"why\">");
        for missing in read::missing(report, files) {
            self.html.raw("<li>").raw(missing).raw("</li>");
        }
        self.html.raw("</ul><p class=\"hint\">");
        self.html.text(&format!(
            "{} in no known form; {} that can be read in two ways; {} that a local user invented; {} about messages from before the log \
             begins.",
            counted(totals.unknown_lines, "line"),
            counted(totals.doubtful_lines, "line"),
            counted(totals.invented_lines, "line"),
            counted(totals.orphans, "line"),
        ));
        for forgotten in forgotten::sentences(&report.forgotten) {
            self.html.text(&format!(" {forgotten}."));
        }
        self.html.raw("</p>");
        let unknown = read::not_understood(files);
        if !unknown.is_empty() {
            self.html.raw("<p class=\"hint\">The first lines in no known form:</p><ul class=\"why\">");
            for line in unknown.iter().take(self.top) {
                self.html.element("<li>", line, "</li>");
            }
            self.html.raw("</ul>");
        }
        self.html.raw("</div></details>\n");
    }

    pub(super) fn words(&mut self) {
        self.html.raw(concat!(
            "<details id=\"words\"><summary>Words</summary><div class=\"card\"><ul class=\"why\">",
            "<li><b>Message, recipient:</b> one message goes to one or more recipients; most figures count recipients.</li>",
            "<li><b>Delivered:</b> the recipient's server, or a mailbox here, took it.</li>",
            "<li><b>Deferred:</b> an attempt was put off and is made again; one recipient may be deferred often.</li>",
            "<li><b>Given up:</b> refused for good, or too old; the sender gets a bounce.</li>",
            "<li><b>Refused by this server:</b> what strangers tried to send to it.</li>",
            "<li><b>On hold:</b> frozen in Exim's queue; nobody tries to deliver it.</li>",
            "<li><b>Refused as spam,</b> in the lists of senders: also by a rule, or for this server's bad reputation.</li>",
            "<li><b>Do not exist, refused as spam:</b> in percent of the recipients in the same row; in the card of a suspect, of the ",
            "recipients of that day. Halves are rounded up.</li>",
            "<li><b>Network:</b> about one provider's pool of addresses (an IPv4 /16, an IPv6 /32); their number is an estimate. ",
            "<b>Range:</b> a small part of it (an IPv4 /24, an IPv6 /64), as one blocks it.</li>",
            "<li><b>Sign:</b> what speaks for a compromise; each weighs 1 to 3. Two that do not depend on each other and weigh 4 ",
            "together make a suspicion.</li>",
            "<li><b>How sure:</b> <i>probable</i> is a suspicion: look before you act. <i>Sure</i> is said from three signs on that weigh ",
            "6 together, <i>very sure</i> from four that weigh 9.</li>",
            "<li><b>Colours:</b> blue is delivered, amber refused or deferred by others, violet attacks, red compromised.</li>",
            "</ul></div></details>\n"
        ));
    }

    /// Begins a table under a heading that says how many rows follow. A head that begins with `#` stands over numbers.
    pub(super) fn table(&mut self, title: &'static str, rows: usize, heads: &[&'static str]) {
        self.html.raw(title);
        self.part_of(rows);
        self.html.raw("</h3><div class=\"card scroll\"><table><tr>");
        for head in heads {
            match head.strip_prefix('#') {
                Some(head) => self.html.raw("<th class=\"r\">").raw(head).raw("</th>"),
                None => self.html.raw("<th>").raw(head).raw("</th>"),
            };
        }
        self.html.raw("</tr>");
    }

    /// Ends a table with a sentence.
    pub(super) fn hint(&mut self, hint: &'static str) {
        self.html.raw("</table><p class=\"hint\">").raw(hint).raw(".</p></div>\n");
    }
}
