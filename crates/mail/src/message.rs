//! A message as it was sent (RFC 5322, RFC 2045): the one value that everything else is read from.
//! The structure is read when the message is parsed; bodies are decoded and text is rendered when first asked for.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use crate::date::parse_date;
use crate::header::{HeaderField, mbox_line};
use crate::mailbox::{self, Mailbox};
use crate::octets::Survey;
use crate::part::Part;
use crate::received::{Received, first_foreign};
use crate::text::{View, Views};
use crate::url::FoundUrl;
use crate::{Attachment, Defect, Defects, Limits, attachment, structure, text, url};

/// A parsed message. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Message(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    raw: Arc<[u8]>,
    limits: Limits,
    survey: Survey,
    parts: Vec<Part>,
    defects: Defects,
    correspondents: OnceLock<Correspondents>,
    received: OnceLock<Vec<Received>>,
    views: OnceLock<Views>,
    urls: OnceLock<(Vec<FoundUrl>, Defects)>,
    attachments: OnceLock<(Vec<Attachment>, Defects)>,
}

/// The mailboxes of the address fields.
#[derive(Debug)]
struct Correspondents {
    from: Vec<Mailbox>,
    sender: Vec<Mailbox>,
    reply_to: Vec<Mailbox>,
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    defects: Defects,
}

/// Fields that may stand once (RFC 5322 section 3.6), and the defect when they do not.
const SINGLETONS: &[(&str, Defect)] = &[
    ("From", Defect::DuplicateFrom),
    ("Sender", Defect::DuplicateSender),
    ("Reply-To", Defect::DuplicateReplyTo),
    ("To", Defect::DuplicateTo),
    ("Cc", Defect::DuplicateCc),
    ("Subject", Defect::DuplicateSubject),
    ("Date", Defect::DuplicateDate),
    ("Message-ID", Defect::DuplicateMessageId),
    ("In-Reply-To", Defect::DuplicateInReplyTo),
    ("References", Defect::DuplicateReferences),
];

impl Message {
    /// Reads a message with line ends LF, CRLF or both. Never fails: what is wrong is in [`Message::defects`].
    #[must_use]
    pub fn parse(raw: impl Into<Arc<[u8]>>, limits: &Limits) -> Message {
        let raw: Arc<[u8]> = raw.into();
        let mut defects = Defects::default();
        let survey = Survey::of(&raw);
        survey.report(&mut defects);
        let start = mbox_line(&raw).map_or(0, |line| line.next);
        if start > 0 {
            defects.add(Defect::MboxLine, 0);
        }
        let parts = structure::read(&raw, start, limits, &mut defects);
        if let Some(root) = parts.first() {
            check_fields(root.headers(), limits, &mut defects);
        }
        let limits = limits.clone();
        Message(Arc::new(Parsed {
            raw,
            limits,
            survey,
            parts,
            defects,
            correspondents: OnceLock::new(),
            received: OnceLock::new(),
            views: OnceLock::new(),
            urls: OnceLock::new(),
            attachments: OnceLock::new(),
        }))
    }

    /// The octets as they came.
    #[must_use]
    pub fn raw(&self) -> &Arc<[u8]> {
        &self.0.raw
    }

    /// The limits that the message was parsed with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Counts over all octets: NULs, line ends, long lines.
    #[must_use]
    pub fn survey(&self) -> &Survey {
        &self.0.survey
    }

    /// All header fields with their line ends, without an mbox line before and the empty line after them.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        self.parts().first().map_or(&[], Part::header_bytes)
    }

    /// What follows the empty line.
    #[must_use]
    pub fn body_bytes(&self) -> &[u8] {
        self.parts().first().map_or(&[], Part::raw_body)
    }

    /// The header fields in order.
    #[must_use]
    pub fn headers(&self) -> &[HeaderField] {
        self.parts().first().map_or(&[], Part::headers)
    }

    /// The first header field called `name`, which is the one that counts where there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&HeaderField> {
        self.headers().iter().find(|field| field.is(name))
    }

    /// All header fields called `name`, in order.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a HeaderField> {
        self.headers().iter().filter(move |field| field.is(name))
    }

    /// All parts in the order of the message; the first is the message itself.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0.parts
    }

    /// The parts directly within part `index`.
    pub fn children(&self, index: usize) -> impl Iterator<Item = &Part> {
        self.parts().iter().skip(index + 1).filter(move |part| part.parent() == Some(index))
    }

    /// What was found wrong while parsing: octets, header, structure. What shows only on a closer look comes with
    /// [`Message::header_defects`] and [`Message::all_defects`].
    #[must_use]
    pub fn defects(&self) -> &Defects {
        &self.0.defects
    }

    /// As [`Message::defects`], and what is wrong within the header fields: addresses, encoded words.
    #[must_use]
    pub fn header_defects(&self) -> Defects {
        let mut defects = self.0.defects.clone();
        defects.merge(&self.correspondents().defects);
        for part in self.parts() {
            let bad_words = part.headers().iter().map(HeaderField::bad_words).sum();
            defects.add_many(Defect::BadEncodedWord, part.index(), bad_words);
        }
        defects
    }

    /// All that is wrong. Decodes every header field and body, and renders the text.
    #[must_use]
    pub fn all_defects(&self) -> Defects {
        let mut defects = self.header_defects();
        for part in self.parts().iter().filter(|part| !part.is_multipart() && !part.is_message()) {
            defects.merge(&part.body_defects());
        }
        for more in [&self.read_views().defects, &self.read_urls().1, &self.read_attachments().1] {
            defects.merge(more);
        }
        defects
    }

    /// What is wrong with the text as a reader sees it and with the URLs in it: above all limits that were reached. Renders
    /// the text, but decodes no attachment.
    #[must_use]
    pub fn text_defects(&self) -> Defects {
        let mut defects = self.read_views().defects.clone();
        defects.merge(&self.read_urls().1);
        defects
    }

    /// The mailboxes of the first `From` field. Several fields are [`Defect::DuplicateFrom`].
    #[must_use]
    pub fn from(&self) -> &[Mailbox] {
        &self.correspondents().from
    }

    /// The author: the first mailbox of `From` that has an address.
    #[must_use]
    pub fn author(&self) -> Option<&Mailbox> {
        self.from().iter().find(|mailbox| mailbox.address.is_some())
    }

    /// The mailboxes of the first `Sender` field; there should be one.
    #[must_use]
    pub fn sender(&self) -> &[Mailbox] {
        &self.correspondents().sender
    }

    /// The mailboxes of the first `Reply-To` field.
    #[must_use]
    pub fn reply_to(&self) -> &[Mailbox] {
        &self.correspondents().reply_to
    }

    /// The mailboxes of all `To` fields.
    #[must_use]
    pub fn to(&self) -> &[Mailbox] {
        &self.correspondents().to
    }

    /// The mailboxes of all `Cc` fields.
    #[must_use]
    pub fn cc(&self) -> &[Mailbox] {
        &self.correspondents().cc
    }

    /// The decoded `Subject`.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.header("Subject").map(HeaderField::decoded)
    }

    /// The first `Message-ID` without angles, as written otherwise.
    #[must_use]
    pub fn message_id(&self) -> Option<String> {
        self.header("Message-ID").map(|field| in_angles(&field.unfolded()))
    }

    /// The first `Date` in seconds since 1970.
    #[must_use]
    pub fn date(&self) -> Option<i64> {
        self.header("Date").and_then(date_of)
    }

    /// The identifier of the mailing list (RFC 2919), without angles and description.
    #[must_use]
    pub fn list_id(&self) -> Option<String> {
        self.header("List-Id").map(|field| in_angles(&field.unfolded()))
    }

    /// The URIs of `List-Unsubscribe` (RFC 2369), in order.
    #[must_use]
    pub fn list_unsubscribe(&self) -> Vec<String> {
        let value = self.header("List-Unsubscribe").map(HeaderField::unfolded).unwrap_or_default();
        value
            .split(|&b| b == b'<')
            .skip(1)
            .filter_map(|piece| piece.split(|&b| b == b'>').next())
            .map(|uri| crate::charset::decode_undeclared(crate::header::trim(uri)))
            .collect()
    }

    /// Whether one click unsubscribes (RFC 8058).
    #[must_use]
    pub fn has_one_click_unsubscribe(&self) -> bool {
        self.header("List-Unsubscribe-Post")
            .is_some_and(|field| field.unfolded().eq_ignore_ascii_case(b"List-Unsubscribe=One-Click"))
    }

    /// The `Received` chain, newest first.
    #[must_use]
    pub fn received(&self) -> &[Received] {
        self.0.received.get_or_init(|| {
            let fields = self.headers().iter().enumerate().filter(|(_, field)| field.is("Received"));
            fields.take(self.limits().received_max).map(|(index, field)| Received::read(index, field)).collect()
        })
    }

    /// The newest hop whose address `is_ours` denies: who handed the message to us.
    pub fn first_foreign_hop(&self, is_ours: impl Fn(IpAddr) -> bool) -> Option<&Received> {
        first_foreign(self.received(), is_ours)
    }

    /// The text parts as they read, in the order of the message; those that a mail program shows are marked.
    #[must_use]
    pub fn views(&self) -> &[View] {
        &self.read_views().views
    }

    /// The text that a reader sees, all shown parts one after another.
    #[must_use]
    pub fn visible_text(&self) -> String {
        let shown = self.views().iter().filter(|view| view.is_shown && !view.visible.is_empty());
        shown.map(|view| view.visible.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// URLs and mail addresses with where they were seen: header, shown text, text that is not shown, file names.
    #[must_use]
    pub fn urls(&self) -> &[FoundUrl] {
        &self.read_urls().0
    }

    /// The parts that are files, in order. Decodes them.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        &self.read_attachments().0
    }

    fn read_attachments(&self) -> &(Vec<Attachment>, Defects) {
        self.0.attachments.get_or_init(|| attachment::read(self))
    }

    fn read_views(&self) -> &Views {
        self.0.views.get_or_init(|| text::read(self))
    }

    fn read_urls(&self) -> &(Vec<FoundUrl>, Defects) {
        self.0.urls.get_or_init(|| url::read(self))
    }

    fn correspondents(&self) -> &Correspondents {
        self.0.correspondents.get_or_init(|| {
            let mut defects = Defects::default();
            Correspondents {
                from: self.mailboxes("From", 1, &mut defects),
                sender: self.mailboxes("Sender", 1, &mut defects),
                reply_to: self.mailboxes("Reply-To", 1, &mut defects),
                to: self.mailboxes("To", usize::MAX, &mut defects),
                cc: self.mailboxes("Cc", usize::MAX, &mut defects),
                defects,
            }
            .checked()
        })
    }

    fn mailboxes(&self, name: &str, fields: usize, defects: &mut Defects) -> Vec<Mailbox> {
        let mut mailboxes = Vec::new();
        for field in self.headers_named(name).take(fields) {
            let left = self.0.limits.mailboxes_max.saturating_sub(mailboxes.len());
            let (found, is_more) = mailbox::read(&field.unfolded(), left, field.fallback);
            defects.add_many(Defect::TooManyMailboxes, 0, usize::from(is_more));
            mailboxes.extend(found);
        }
        mailboxes
    }
}

impl Correspondents {
    fn checked(mut self) -> Correspondents {
        let authors = self.from.iter().filter(|mailbox| mailbox.address.is_some()).count();
        if authors == 0 {
            self.defects.add(Defect::FromWithoutAddress, 0);
        }
        if authors > 1 && self.sender.is_empty() {
            self.defects.add(Defect::SeveralAuthorsWithoutSender, 0);
        }
        self
    }
}

fn check_fields(fields: &[HeaderField], limits: &Limits, defects: &mut Defects) {
    let count = |name: &str| fields.iter().filter(|field| field.is(name)).count();
    for (name, defect) in SINGLETONS {
        defects.add_many(*defect, 0, count(name).saturating_sub(1));
    }
    for (name, defect) in
        [("From", Defect::MissingFrom), ("Date", Defect::MissingDate), ("Message-ID", Defect::MissingMessageId)]
    {
        defects.add_many(defect, 0, usize::from(count(name) == 0));
    }
    defects.add_many(Defect::TooManyReceived, 0, count("Received").saturating_sub(limits.received_max));
    if fields.iter().any(|field| field.is("Date") && date_of(field).is_none()) {
        defects.add(Defect::BadDate, 0);
    }
    let is_mime = ["Content-Type", "Content-Transfer-Encoding"].iter().any(|name| count(name) > 0);
    if is_mime && count("MIME-Version") == 0 {
        defects.add(Defect::MissingMimeVersion, 0);
    }
}

fn date_of(field: &HeaderField) -> Option<i64> {
    parse_date(&String::from_utf8_lossy(&field.unfolded()))
}

/// What stands in the last pair of angles, else everything.
fn in_angles(value: &[u8]) -> String {
    let text = crate::charset::decode_undeclared(value);
    match text.rsplit_once('<') {
        Some((_, inner)) => inner.split('>').next().unwrap_or(inner).trim().to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &[u8]) -> Message {
        Message::parse(raw, &Limits::default())
    }

    #[test]
    fn only_from_is_from() {
        for (raw, author, why) in [
            (&b"From: a@b.example\nFrom: c@d.example\n\n"[..], Some("a@b.example"), "the first of two"),
            (
                b"fROM : a@b.example\n\n",
                Some("a@b.example"),
                "case and a blank before the colon, as mail programs read it",
            ),
            (b"Fr om: a@b.example\n\n", None, "a name with a blank in it is no field"),
            (b":From: a@b.example\n\n", None, "a field without a name"),
            (b"X: y\n\nFrom: a@b.example\n\n", None, "in the body"),
            (b"From x\nFrom: a@b.example\n\n", Some("a@b.example"), "after an mbox line"),
            (b"From:\n a@b.example\n\n", Some("a@b.example"), "folded at once"),
        ] {
            let author_of = |message: &Message| message.author()?.address.as_ref().map(ToString::to_string);
            assert_eq!(author_of(&parse(raw)).as_deref(), author, "{why}");
        }
    }

    #[test]
    fn what_hides_a_body_from_filters_hides_nothing_here() {
        for (fields, body, text, why) in [
            ("Content-Transfer-Encoding: base64", "SGVs!bG8=", "Hello", "a stray octet"),
            ("Content-Transfer-Encoding: base64", "SGVsbG8", "Hello", "no padding"),
            ("Content-Transfer-Encoding: \"BASE64\"", "SGVsbG8=", "Hello", "quotes around the encoding"),
            ("Content-Transfer-Encoding: quoted-printable", "H=65llo ==", "Hello =", "a bad escape"),
            ("Content-Type: multipart/mixed", "--x\n\nHello\n--x--", "Hello", "no boundary is declared"),
            ("Content-Type: multipart/mixed; boundary=x", "--x--\n--x\n\nHello", "Hello", "a part after the end"),
            ("Content-Type: text/plain; charset=utf-7", "H+AGU-llo", "Hello", "UTF-7"),
            (
                "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64",
                "U3ViamVjdDogeAoKSGVsbG8=",
                "Hello",
                "an embedded message in base64",
            ),
            (
                "Content-Type: multipart/mixed; boundary=x\nContent-Transfer-Encoding: base64",
                "LS14CgpIZWxsbwotLXgtLQo=",
                "Hello",
                "a multipart in base64",
            ),
        ] {
            let raw = format!("From: a@b.example\nMIME-Version: 1.0\n{fields}\n\n{body}");
            assert_eq!(parse(raw.as_bytes()).visible_text(), text, "{why}");
        }
    }

    #[test]
    fn fields_that_are_asked_for_by_name() {
        let message = parse(
            b"Subject: =?utf-8?Q?caf=C3=A9?=\nMessage-ID: <x@y.example>\nList-Id: News <news.y.example>\n\
              List-Unsubscribe: <mailto:u@y.example>,\n <https://y.example/u>\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n\
              Date: Thu, 01 Jan 1970 00:00:10 +0000\nTo: a@b.example\nTo: c@d.example\nSender: s@y.example\n\nbody\n",
        );
        assert_eq!(message.subject(), Some("caf\u{e9}"));
        assert_eq!(message.message_id().as_deref(), Some("x@y.example"));
        assert_eq!(message.list_id().as_deref(), Some("news.y.example"));
        assert_eq!(message.list_unsubscribe(), ["mailto:u@y.example", "https://y.example/u"]);
        assert!(message.has_one_click_unsubscribe());
        assert_eq!((message.date(), message.to().len(), message.sender().len()), (Some(10), 2, 1));
        assert_eq!(message.body_bytes(), b"body\n");
    }
}
