//! The report for people, in the form that SpamAssassin's have: programs read its table, so its columns are the same.

use std::fmt::Write;

use tidegate_filter::check::Class;
use tidegate_filter::policy::Weighed;
use tidegate_wire::spamd::Points;

use super::judge::Judged;

/// Octets of text that the preview shows.
const PREVIEW_OCTETS_MAX: usize = 220;
/// Width of the preview and of the column of descriptions.
const PREVIEW_WIDTH: usize = 72;
const DESCRIPTION_WIDTH: usize = 50;
/// Width of the column of points; from a thousand on, tenths have no room, and do not matter.
const POINTS_WIDTH: usize = 4;
/// Width of a line of the field.
const FIELD_WIDTH: usize = 70;
/// Where the column of descriptions begins.
const DESCRIPTION_INDENT: usize = 28;

impl Judged {
    /// The report.
    pub(super) fn report(&self) -> String {
        let is_spam = if self.summary.is_spam { "spam" } else { "no spam" };
        let mut text = format!("Tidegate on {} takes this message for {is_spam}.\n", self.hostname);
        let _infallible = writeln!(text, "How it came to this: tidegate why {}\n", self.id);
        let preview = preview(&self.message.visible_text());
        if !preview.is_empty() {
            text.push_str("Content preview:  ");
            text.push_str(&wrapped(&preview, PREVIEW_WIDTH).join("\n   "));
            text.push_str("\n\n");
        }
        let (score, required) = (Points(self.summary.score), Points(self.summary.required));
        let _infallible = writeln!(text, "Content analysis details:   ({score} points, {required} required)\n");
        text.push_str(" pts rule name              description\n");
        text.push_str("---- ---------------------- --------------------------------------------------\n");
        for finding in self.findings() {
            push_row(&mut text, finding);
        }
        text.push('\n');
        for held in self.held_back() {
            let (sum, counts) = (Points(held.sum.as_milli()), Points(held.counts.as_milli()));
            let _infallible = writeln!(text, "({} together count {counts} points of these {sum}.)\n", held.group);
        }
        text
    }

    /// The same table as the value of a header field, each line folded.
    pub(super) fn report_field(&self) -> String {
        let mut text = String::new();
        for finding in self.findings() {
            let row = format!("{:>4} {} {}", points(finding), finding.symbol, finding.doc);
            for (index, line) in wrapped(row.trim_start(), FIELD_WIDTH).iter().enumerate() {
                let points = row.len() - row.trim_start().len();
                let indent = if index == 0 { points } else { 5 };
                let _infallible = write!(text, "\n\t* {:indent$}{line}", "");
            }
        }
        text
    }
}

/// Points, or the word for a finding that has none, in four columns.
fn points(finding: &Weighed) -> String {
    let points = match finding.class {
        Class::Allow => return "allw".to_owned(),
        Class::Refusal(_) => return "deny".to_owned(),
        Class::Evidence | Class::Waiting => finding.weight.as_milli(),
    };
    let exact = Points(points).to_string();
    if exact.len() > POINTS_WIDTH { (points / 1000).to_string() } else { exact }
}

fn push_row(text: &mut String, finding: &Weighed) {
    let points = points(finding);
    let mut description = wrapped(&finding.doc, DESCRIPTION_WIDTH);
    let evidence = finding.evidence.as_str();
    if !evidence.is_empty() {
        description.extend(wrapped(&format!("[{evidence}]"), DESCRIPTION_WIDTH));
    }
    let indent = format!("\n{:DESCRIPTION_INDENT$}", "");
    let _infallible = writeln!(text, "{points:>4} {:<22} {}", finding.symbol, description.join(&indent));
}

/// The beginning of what a reader sees, printable and on one line.
fn preview(text: &str) -> String {
    let mut preview = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !preview.is_empty() {
            preview.push(' ');
        }
        preview.push_str(word);
        if preview.len() > PREVIEW_OCTETS_MAX {
            preview.truncate(preview.floor_char_boundary(PREVIEW_OCTETS_MAX));
            preview.push_str(" [...]");
            break;
        }
    }
    preview
}

/// `text` in lines of at most `width` characters, broken between words where there are any.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("overlongword a", 5), ["overlongword", "a"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn a_preview_is_short_and_printable() {
        assert_eq!(preview("a\u{1b}[31m\r\n b\u{0}c"), "a [31m b c");
        assert!(preview(&"ä".repeat(1000)).len() < 240);
        assert!(preview("").is_empty());
    }
}
