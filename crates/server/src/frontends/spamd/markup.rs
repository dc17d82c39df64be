//! The message as PROCESS and HEADERS give it back: with X-Spam fields, and spam put into a report if that is wanted.

use jiff::Timestamp;
use tidegate_mail::HeaderField;
use tidegate_wire::spamd::Points;

use super::config::ReportSafe;
use super::judge::Judged;
use crate::sessions;

/// Stars of X-Spam-Level at most.
const STARS_MAX: i32 = 50;
/// Columns after which the list of tests goes on in the next line (RFC 5322 section 2.1.1).
const FOLD_AT: usize = 76;
/// Fields of a message that the report around it has too.
const KEPT: [&str; 6] = ["From", "To", "Cc", "Subject", "Date", "Message-ID"];

/// A message as it goes back.
pub(super) struct Rewritten {
    header: Vec<u8>,
    body: Vec<u8>,
}

impl Rewritten {
    /// The header, with the empty line that ends it.
    pub(super) fn header(self) -> Vec<u8> {
        self.header
    }

    /// All of it.
    pub(super) fn whole(mut self) -> Vec<u8> {
        self.header.append(&mut self.body);
        self.header
    }
}

impl Judged {
    /// The message with the verdict in it; the lines end as those of the message do.
    pub(super) fn rewritten(&self, safe: ReportSafe) -> Rewritten {
        let mut rewritten = match safe {
            ReportSafe::Attached if self.summary.is_spam => self.within_report("message/rfc822; x-spam-type=original"),
            ReportSafe::AsText if self.summary.is_spam => self.within_report("text/plain; charset=us-ascii"),
            _ => self.marked(),
        };
        rewritten.header.splice(0..0, self.preamble.iter().copied());
        rewritten
    }

    /// The message as it was, with our fields before its own, but behind Return-Path, which stands first (RFC 5321 section 4.4). Such
    /// fields that it brought are gone: they would be believed.
    fn marked(&self) -> Rewritten {
        let fields = self.message.headers();
        let is_path = |field: &&HeaderField| field.name().eq_ignore_ascii_case("Return-Path");
        let paths = fields.iter().take_while(is_path).count();
        let (paths, others) = fields.split_at_checked(paths).unwrap_or((&[], fields));
        let mut header: Vec<u8> = paths.iter().flat_map(|field| field.raw().iter().copied()).collect();
        header.extend(self.octets(&self.fields()));
        if self.summary.is_spam {
            header.extend(self.octets(&format!("X-Spam-Report: {}\n", self.report_field())));
        }
        let own = others.iter().filter(|field| !is_ours(field));
        header.extend(own.flat_map(|field| field.raw().iter().copied()));
        if !header.ends_with(b"\n") {
            header.extend(self.octets("\n"));
        }
        header.extend(self.octets("\n"));
        Rewritten { header, body: self.message.body_bytes().to_vec() }
    }

    /// A report with the message as its second part.
    fn within_report(&self, kind: &str) -> Rewritten {
        let boundary = format!("----------=_{}", sessions::fresh_name());
        let now = Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000");
        let received = format!("Received: from localhost by {}\n\twith Tidegate;\n\t{now}\n", self.hostname);
        let mut header = self.octets(&received);
        for name in KEPT {
            if let Some(field) = self.message.header(name) {
                header.extend_from_slice(field.raw());
            }
        }
        let mime = format!("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\n\n");
        header.extend(self.octets(&(self.fields() + &mime)));
        // A text may be shown at once; anything else is opened by who wants to.
        let kind_of_original = self.message.header("Content-Type").map(|field| field.decoded().to_ascii_lowercase());
        let is_text = kind_of_original.is_none_or(|kind| kind.contains("text/plain"));
        let disposition = if is_text { "inline" } else { "attachment" };
        let head = format!(
            "This is a multi-part message in MIME format.\n\n--{boundary}\nContent-Type: text/plain; charset=UTF-8\n\
             Content-Disposition: inline\nContent-Transfer-Encoding: 8bit\n\n{}\n--{boundary}\nContent-Type: {kind}\n\
             Content-Description: the message as it came\nContent-Disposition: {disposition}\n\
             Content-Transfer-Encoding: 8bit\n\n",
            self.report()
        );
        let mut body = self.octets(&head);
        body.extend_from_slice(self.message.raw());
        body.extend(self.octets(&format!("\n--{boundary}--\n")));
        Rewritten { header, body }
    }

    fn fields(&self) -> String {
        let summary = self.summary;
        let stars = usize::try_from((summary.score / 1000).clamp(0, STARS_MAX)).unwrap_or_default();
        let version = env!("CARGO_PKG_VERSION");
        let mut fields = format!("X-Spam-Checker-Version: Tidegate {version} on {}\n", self.hostname);
        if summary.is_spam {
            fields.push_str("X-Spam-Flag: YES\n");
        }
        if stars > 0 {
            fields.push_str(&format!("X-Spam-Level: {}\n", "*".repeat(stars)));
        }
        fields.push_str(&self.status());
        fields.push_str(&format!("X-Tidegate-Id: {}\n", self.id));
        fields
    }

    /// `X-Spam-Status: Yes, score=7.0 required=5.0 tests=A,B autolearn=no version=…`, folded.
    fn status(&self) -> String {
        let summary = self.summary;
        let word = if summary.is_spam { "Yes" } else { "No" };
        let (score, required) = (Points(summary.score), Points(summary.required));
        let mut text = format!("X-Spam-Status: {word}, score={score} required={required} tests=");
        let mut column = text.len();
        let symbols = self.symbols();
        for (index, symbol) in symbols.iter().enumerate() {
            let comma = if index + 1 < symbols.len() { "," } else { "" };
            if index > 0 && column + symbol.len() + comma.len() > FOLD_AT {
                text.push_str("\n\t");
                column = 8;
            }
            text.push_str(symbol);
            text.push_str(comma);
            column += symbol.len() + comma.len();
        }
        if symbols.is_empty() {
            text.push_str("none");
        }
        text.push_str("\n\tautolearn=no autolearn_force=no version=");
        text.push_str(env!("CARGO_PKG_VERSION"));
        text.push('\n');
        text
    }

    /// `text` with the line ends of the message.
    fn octets(&self, text: &str) -> Vec<u8> {
        let raw = self.message.raw();
        let has_crlf = memchr::memchr(b'\n', raw).is_some_and(|at| at > 0 && raw.get(at - 1) == Some(&b'\r'));
        if has_crlf { text.replace('\n', "\r\n").into_bytes() } else { text.as_bytes().to_vec() }
    }
}

/// Whether a field is one that a filter adds.
fn is_ours(field: &HeaderField) -> bool {
    let name = field.name().to_ascii_lowercase();
    name.starts_with("x-spam-") || name.starts_with("x-tidegate-")
}
