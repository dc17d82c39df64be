//! The cards of the page, one a suspect: where it is sent from, why it is suspected, what to do, days, hours, addresses, examples.

use tidegate_watch::api::report::Suspect;

use super::chart::{self, Bar};
use super::span::{Piece, Span};
use super::{MAIL, Page, STATES_ON_TOP, about, advice, case, counted, from_where, grouped, shown};

/// Hours from which on a timeline may go on beyond its end.
const TIMELINE_IS_CUT: usize = 48;

impl Page<'_> {
    pub(super) fn suspects(&mut self) {
        let report = self.report;
        if report.suspects.is_empty() {
            return;
        }
        self.html.raw("<h2 id=\"suspects\">What happened and what to do</h2>\n");
        for (at, suspect) in report.suspects.iter().enumerate() {
            self.suspect(suspect, at >= STATES_ON_TOP);
        }
    }

    fn suspect(&mut self, suspect: &Suspect, has_state: bool) {
        self.html.raw("<section class=\"card suspect\"><div class=\"who\">").text(&suspect.name);
        self.html.raw("</div><div class=\"soft\">");
        self.html.text(&format!("{} of {}", case::kind(suspect), case::whose(suspect)));
        self.html.raw("</div>");
        if has_state {
            self.state(suspect);
        }
        self.html.raw("<h3>What to do, in this order</h3><ol class=\"steps\">");
        for step in advice::against(suspect, self.report) {
            self.html.raw("<li>").prose(&step.text);
            for (system, command) in &step.commands {
                self.html.raw("<div class=\"run\">");
                if !system.is_empty() {
                    self.html.raw("<span class=\"soft\">").raw(system).raw(":</span> ");
                }
                self.html.raw("<code>").command(command).raw("</code></div>");
            }
            self.html.raw("</li>");
        }
        self.html.raw("</ol><div class=\"two\"><div><h3>").raw(case::entry_heading(suspect)).raw("</h3>");
        self.html.element("<div class=\"how\">", &self.local.sentence(&suspect.entered_by), "</div>");
        if let Some(note) = case::entry_note(suspect) {
            self.html.raw("<p class=\"hint\">").prose(note).raw("</p>");
        }
        self.html.raw("<h3>Concluded, not seen in the log</h3><ul class=\"why\">");
        for text in &suspect.case.inferred {
            self.html.element("<li>", text, "</li>");
        }
        self.html.raw("</ul></div><div><h3>Why it is suspected: seen in the log on ");
        self.html.text(&suspect.worst_day).raw("</h3><ul class=\"why\">");
        for signal in &suspect.signals {
            self.html.element("<li>", &self.local.sentence(&signal.evidence), "</li>");
        }
        self.html.raw("</ul></div></div>");
        self.answers(suspect);
        self.addresses(suspect);
        self.suspect_days(suspect);
        match suspect.case.pattern {
            Some(_) => self.hours_of_the_day(suspect),
            None => self.suspect_hours(suspect),
        }
        self.samples(suspect);
        self.html.raw("</section>\n");
    }

    /// Why its recipients were given up, and by whom.
    fn answers(&mut self, suspect: &Suspect) {
        let Some(table) = about::answers(suspect) else { return };
        self.html.raw("<h3>Why recipients were given up</h3><div class=\"scroll\"><table><tr><th>reason</th>");
        for provider in &table.providers {
            self.html.raw("<th class=\"r\">").raw(shown::provider(provider)).raw("</th>");
        }
        self.html.raw("<th class=\"r\">given up</th><th class=\"r\">attempts put off</th></tr>");
        for (meaning, each, all, deferred) in &table.rows {
            self.html.raw("<tr><td>").raw(meaning).raw("</td>");
            each.iter().chain([all, deferred]).for_each(|times| self.count(*times));
            self.html.raw("</tr>");
        }
        self.html.element("</table></div><p class=\"hint\">", &about::answers_when(suspect), ".</p>");
    }

    /// Every day of the log: the own past beside what is suspect.
    fn suspect_days(&mut self, suspect: &Suspect) {
        let report = self.report;
        let (Some(first), Some(last)) = (report.by_hour.first(), report.by_hour.last()) else { return };
        let Some(span) = Span::in_pieces(&first.hour, &last.hour, Piece::Day) else { return };
        let mut bars: Vec<Bar> = (0..span.len())
            .map(|place| {
                let date = span.date(place);
                let is_marked = case::is_on(suspect, &date);
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
        chart::draw(&mut self.html, &bars, MAIL, 140.0);
    }

    /// What comes each day at the same time: its days laid on each other. One behind the other they show thin lines at no hour that
    /// could be read.
    fn hours_of_the_day(&mut self, suspect: &Suspect) {
        let since = suspect.since.as_deref().unwrap_or("");
        let mut bars: Vec<Bar> = (0..24)
            .map(|hour| Bar { tick: format!("{hour:02}:00"), title: format!("{hour:02}:00"), ..Bar::default() })
            .collect();
        for hour in suspect.timeline.iter().filter(|hour| hour.hour.as_str() >= since) {
            let of_day = hour.hour.get(11..13).and_then(|of_day| of_day.parse::<usize>().ok());
            let Some(bar) = of_day.and_then(|of_day| bars.get_mut(of_day)) else { continue };
            let failed = hour.failed.min(hour.recipients);
            bar.upper += failed;
            bar.lower += hour.recipients - failed;
        }
        for bar in bars.iter_mut().filter(|bar| bar.lower + bar.upper > 0) {
            let all = counted(bar.lower + bar.upper, "recipient");
            bar.title = format!("{}: {all}, {} given up", bar.title, grouped(bar.upper));
        }
        self.html
            .element("<h3>Hours of the day, all days from ", since, " together</h3>")
            .raw("<div class=\"key\"><span><i class=\"k-sea\"></i>delivered or waiting</span>");
        self.html.raw("<span><i class=\"k-warn\"></i>given up</span></div>");
        chart::draw(&mut self.html, &bars, MAIL, 140.0);
    }

    /// The suspect days hour by hour.
    fn suspect_hours(&mut self, suspect: &Suspect) {
        let (began, ended) = (suspect.case.began.as_deref(), suspect.case.ended.as_deref());
        let since = suspect.since.as_deref().unwrap_or("");
        // It may have begun on the evening before, or gone on beyond the suspect days.
        let since = began.and_then(|began| began.get(..10)).map_or(since, |day| day.min(since));
        let hours: Vec<_> = suspect.timeline.iter().filter(|hour| hour.hour.as_str() >= since).collect();
        let until = suspect.until.clone().unwrap_or_default() + "T23:00:00";
        let until = ended.map_or(until.clone(), |ended| until.max(ended.to_owned()));
        // The timeline has the first hours only; an end beyond it would show a silence that was none.
        let (end, how_far) = match suspect.timeline.last() {
            Some(last) if suspect.timeline.len() >= TIMELINE_IS_CUT && last.hour < until => {
                (last.hour.clone(), "; it went on longer than is shown hour by hour")
            }
            _ => (until, ""),
        };
        let Some(span) = Span::in_pieces(since, &end, Piece::Hour) else { return };
        let mut bars: Vec<Bar> = (0..span.len())
            .map(|place| Bar { tick: span.tick(place), title: span.title(place), ..Bar::default() })
            .collect();
        for hour in hours {
            let Some(bar) = span.place(&hour.hour).and_then(|place| bars.get_mut(place)) else { continue };
            bar.is_in_band = began.is_some_and(|began| began <= hour.hour.as_str())
                && ended.is_some_and(|ended| hour.hour.as_str() < ended);
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
            .element("<h3>Hour by hour, from ", since, "")
            .raw(how_far)
            .raw("</h3><div class=\"key\"><span><i class=\"k-sea\"></i>delivered or waiting</span>");
        self.html.raw("<span><i class=\"k-warn\"></i>given up</span>");
        self.html.raw("<span><i class=\"k-band\"></i>hours of the case</span></div>");
        chart::draw(&mut self.html, &bars, MAIL, 140.0);
    }

    fn samples(&mut self, suspect: &Suspect) {
        if suspect.samples.is_empty() {
            return;
        }
        let count = counted(suspect.samples.len() as u64, "message");
        let gist = suspect
            .samples
            .first()
            .map_or_else(String::new, |sample| format!("{count}, the first by {}: {}", sample.sender, sample.subject));
        self.fold("<details class=\"within\">", "Examples from one of its busiest hours", &gist);
        self.html.raw("<div class=\"scroll\"><table><tr><th>time</th><th>id</th>");
        self.html.raw("<th>from</th><th>sender</th><th>subject</th></tr>");
        for sample in &suspect.samples {
            let time = self.local.minute_or_dash(sample.time.as_ref());
            self.html.element("<tr><td class=\"time\">", &time, "</td>").element("<td>", &sample.id, "</td>");
            self.html.element("<td>", sample.client_ip.as_deref().unwrap_or("this server"), "</td>");
            self.html.element("<td>", &sample.sender, "</td>").element("<td>", &sample.subject, "</td></tr>");
        }
        self.html.raw("</table></div></details>");
    }

    /// Addresses to block and to look for elsewhere, one a line so that they can be copied.
    fn addresses(&mut self, suspect: &Suspect) {
        let case = &suspect.case;
        if !case.clients.is_empty() || !case.own_clients.is_empty() {
            self.html.raw("<h3>").raw(from_where::HEADING).raw("</h3><ul class=\"why\">");
            for sentence in from_where::sentences(suspect) {
                self.html.raw("<li>").sentence(&sentence).raw("</li>");
            }
            self.html.raw("</ul>");
        }
        if !case.clients.is_empty() {
            let busiest: Vec<String> = case
                .clients
                .iter()
                .take(3)
                .map(|client| format!("{} ({})", client.name, grouped(client.times)))
                .collect();
            let more = if case.has_more_clients { "; there were more, which a report does not keep" } else { "" };
            let count = case.clients.len();
            let gist = format!("{}{more}; most recipients by {}", counted(count as u64, "address"), busiest.join(", "));
            self.fold("<details class=\"within\">", "These addresses, to copy:", &gist);
            let list: Vec<&str> = case.clients.iter().map(|client| client.name.as_str()).collect();
            self.copyable(&list);
        }
        if !case.usual_clients.is_empty() {
            let list: Vec<&str> = case.usual_clients.iter().map(|client| client.name.as_str()).collect();
            self.html.raw(
                "<p class=\"hint\">On that day it was also used from where it always was, probably by its owner: ",
            );
            self.html.text(&list.join(", ")).raw(". Do not block these.</p>");
        }
        if let Some(guessing) = case.guessing.as_ref().filter(|guessing| !guessing.addresses.is_empty()) {
            let count = guessing.addresses.len();
            let gist = about::addresses(count as u64);
            self.fold(
                "<details class=\"within\">",
                "Who guessed the password in the two days before it succeeded:",
                &gist,
            );
            let list: Vec<&str> = guessing.addresses.iter().map(String::as_str).collect();
            self.copyable(&list);
        }
    }

    fn copyable(&mut self, list: &[&str]) {
        self.html.raw("<pre>");
        for line in list {
            self.html.text(line).raw("\n");
        }
        self.html.raw("</pre></details>");
    }
}
