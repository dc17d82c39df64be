//! The parts of the page about others: what other servers say, grouped by cause, and who attacks.

use super::{Page, about, shown};

impl Page<'_> {
    pub(super) fn refusals(&mut self) {
        let report = self.report;
        let groups = about::groups(report);
        let reputation = about::of_reputation(report);
        if groups.is_empty() && reputation.is_none() {
            return;
        }
        let gist = groups
            .iter()
            .take(3)
            .map(|group| format!("{}: {}", group.meaning, about::times(group.refused, group.deferred)));
        let gist: Vec<String> = gist.chain(reputation.clone()).collect();
        self.fold("<details id=\"refusals\">", "What other servers say", &gist.join("; "));
        self.html.raw("<div class=\"card\">");
        for group in groups.iter().take(self.top) {
            self.html.raw("<div class=\"say\"><span class=\"m\">").raw(group.meaning).raw("</span>");
            let times = format!(" · {}", about::times(group.refused, group.deferred));
            self.html.element("<span class=\"soft\">", &times, "</span>");
            let rows: Vec<String> = group.rows.iter().map(|row| about::by_provider(row, self.local)).collect();
            self.html.element("<div>", &rows.join(", "), "</div>");
            if !group.causes.is_empty() {
                let causes: Vec<String> = group.causes.iter().map(about::cause).collect();
                self.html.element("<div>who got a tenth or more of these answers: ", &causes.join(", "), "</div>");
            }
            if let Some(row) = group.rows.first() {
                self.html.element("<div class=\"quote\">“", &row.example, "”</div>");
            }
            self.html.element("<div>What to do: ", &group.advice.join("; "), ".</div></div>");
        }
        if let Some(reputation) = reputation {
            self.html.element("<div class=\"say\">", &shown::sentence_case(&reputation), ".</div>");
        }
        self.html.raw("</div></details>\n");
    }

    pub(super) fn attackers(&mut self) {
        let report = self.report;
        if report.attackers.is_empty() {
            return;
        }
        self.fold("<details id=\"attackers\">", "Attackers", &about::attacks_in_short(&report.attackers));
        let heads = [
            "who",
            "what it does",
            "#attempts",
            "#logins tried",
            "#from addresses",
            "first",
            "last",
            "result",
            "what to do",
        ];
        self.table("<h3>The worst", report.attackers.len(), &heads);
        for row in report.attackers.iter().take(self.top) {
            self.html.raw(if row.is_suspect { "<tr class=\"mine\">" } else { "<tr>" });
            self.html.element("<td>", &row.who, "</td><td>").raw(about::attack_in_words(row.kind)).raw("</td>");
            self.count(row.times);
            self.count(row.names);
            self.html.element("<td class=\"r\">", &about::at_least(row.addresses), "</td>");
            let (first, last) =
                (self.local.minute_or_dash(row.first.as_ref()), self.local.minute_or_dash(row.last.as_ref()));
            self.html.element("<td class=\"time\">", &first, "</td>").element("<td class=\"time\">", &last, "</td>");
            self.html.element("<td>", &about::result(row, self.local), "</td>");
            self.html.raw("<td class=\"soft\">").raw(about::against_attacker(row)).raw("</td></tr>");
        }
        self.html.raw("</table></div></details>\n");
    }
}
