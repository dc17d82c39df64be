//! One part of a message: its header, where its body stands, and its body decoded. RFC 2045, RFC 2046.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::charset::{Charset, decode_guessed};
use crate::header::HeaderField;
use crate::parameter::{ContentType, Parametrized};
use crate::{Defect, Defects, TransferEncoding};

/// A part. The parts of a message stand in one list in the order of the message; part 0 is the message itself, a
/// multipart is followed by its children, an embedded message by the part that is its root.
#[derive(Clone, Debug)]
pub struct Part {
    pub(crate) index: usize,
    pub(crate) parent: Option<usize>,
    pub(crate) depth: usize,
    pub(crate) buffer: Arc<[u8]>,
    pub(crate) is_raw: bool,
    pub(crate) headers: Vec<HeaderField>,
    pub(crate) header: Range<usize>,
    pub(crate) body: Range<usize>,
    pub(crate) preamble: Option<Range<usize>>,
    pub(crate) epilogue: Option<Range<usize>>,
    pub(crate) content_type: ContentType,
    pub(crate) has_content_type: bool,
    /// A multipart in which no delimiter was found.
    pub(crate) is_childless: bool,
    pub(crate) disposition: Option<Parametrized>,
    pub(crate) encoding: TransferEncoding,
    pub(crate) decoded: OnceLock<Decoded>,
    pub(crate) text: OnceLock<Text>,
}

/// A body without its transfer encoding; `None` when it stands in the buffer as it is.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    octets: Option<Arc<[u8]>>,
    defects: Defects,
}

/// A body as text.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    text: Box<str>,
    defects: Defects,
}

impl Part {
    /// Position in [`crate::Message::parts`].
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Index of the multipart or message that holds this part; `None` for the message itself.
    #[must_use]
    pub fn parent(&self) -> Option<usize> {
        self.parent
    }

    /// Number of parents.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The header fields of the part, in order.
    #[must_use]
    pub fn headers(&self) -> &[HeaderField] {
        &self.headers
    }

    /// The first header field called `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&HeaderField> {
        self.headers.iter().find(|field| field.is(name))
    }

    /// All header fields with their line ends, without the empty line.
    #[must_use]
    pub fn header_bytes(&self) -> &[u8] {
        self.slice(&self.header)
    }

    /// The octets that [`Part::body_range`] and [`HeaderField::range`] count in: the message as it came, or an embedded
    /// message that had to be decoded first.
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether [`Part::buffer`] is the message as it came.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.is_raw
    }

    /// Where the body stands in [`Part::buffer`], without the line end that belongs to the next delimiter.
    #[must_use]
    pub fn body_range(&self) -> Range<usize> {
        self.body.clone()
    }

    /// The body as it was sent: line ends as they came, transfer encoding in place. Of a multipart, all of it.
    #[must_use]
    pub fn raw_body(&self) -> &[u8] {
        self.slice(&self.body)
    }

    /// What stands before the first delimiter of a multipart.
    #[must_use]
    pub fn preamble(&self) -> &[u8] {
        self.preamble.as_ref().map_or(&[], |range| self.slice(range))
    }

    /// What stands after the last delimiter of a multipart.
    #[must_use]
    pub fn epilogue(&self) -> &[u8] {
        self.epilogue.as_ref().map_or(&[], |range| self.slice(range))
    }

    /// The declared type; `text/plain` where none is declared, `message/rfc822` within `multipart/digest`.
    #[must_use]
    pub fn content_type(&self) -> &ContentType {
        &self.content_type
    }

    /// Whether a `Content-Type` that could be read is there.
    #[must_use]
    pub fn has_content_type(&self) -> bool {
        self.has_content_type
    }

    /// `Content-Disposition` with its parameters.
    #[must_use]
    pub fn disposition(&self) -> Option<&Parametrized> {
        self.disposition.as_ref()
    }

    /// Whether the sender asks to show the part as an attachment.
    #[must_use]
    pub fn is_attachment(&self) -> bool {
        self.disposition.as_ref().is_some_and(|disposition| disposition.value == "attachment")
    }

    /// The declared transfer encoding.
    #[must_use]
    pub fn encoding(&self) -> TransferEncoding {
        self.encoding
    }

    /// Whether the type says multipart.
    #[must_use]
    pub fn is_multipart(&self) -> bool {
        self.content_type.kind() == "multipart"
    }

    /// Whether the type says that a whole message is in here.
    #[must_use]
    pub fn is_message(&self) -> bool {
        matches!(self.content_type.essence(), "message/rfc822" | "message/global")
    }

    /// The declared charset, as written.
    #[must_use]
    pub fn charset(&self) -> Option<&str> {
        self.content_type.parameter("charset")
    }

    /// The file name as a mail program shows it: that of the disposition, else that of the type.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        let of_disposition = self.disposition.as_ref().and_then(|disposition| disposition.parameter("filename"));
        of_disposition.filter(|name| !name.is_empty()).or_else(|| self.content_type.parameter("name"))
    }

    /// The body without its transfer encoding. Decoded once and kept.
    #[must_use]
    pub fn decoded(&self) -> &[u8] {
        match &self.decode().octets {
            Some(octets) => octets,
            None => self.raw_body(),
        }
    }

    pub(crate) fn decoded_shared(&self) -> Option<Arc<[u8]>> {
        self.decode().octets.clone()
    }

    fn decode(&self) -> &Decoded {
        self.decoded.get_or_init(|| {
            let mut defects = Defects::default();
            match self.encoding.decode(self.slice(&self.body), self.index, &mut defects) {
                Cow::Borrowed(body) => {
                    if self.encoding == TransferEncoding::SevenBit && !body.is_ascii() {
                        defects.add(Defect::EightBitIn7Bit, self.index);
                    }
                    Decoded { octets: None, defects }
                }
                Cow::Owned(octets) => Decoded { octets: Some(octets.into()), defects },
            }
        })
    }

    /// The body as text, in the declared charset; without one as UTF-8 or as what it looks most
    /// like. Meaningful for text parts, but
    /// any part may be asked. Decoded once and kept.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.decode_text().text
    }

    fn decode_text(&self) -> &Text {
        self.text.get_or_init(|| {
            let mut defects = Defects::default();
            let octets = self.decoded();
            let charset = self.charset().map(|label| (Charset::of(label), is_unhelpful(label)));
            let text = match charset {
                Some((_, true)) | None => decode_guessed(octets),
                Some((None, false)) => {
                    defects.add(Defect::UnknownCharset, self.index);
                    decode_guessed(octets)
                }
                Some((Some(charset), false)) => {
                    let (text, is_bad) = charset.decode(octets);
                    defects.add_many(Defect::BadCharsetText, self.index, usize::from(is_bad));
                    text
                }
            };
            Text { text: text.into(), defects }
        })
    }

    /// What was wrong when the body was decoded. Decodes it, as text as well if it is a text part.
    #[must_use]
    pub fn body_defects(&self) -> Defects {
        let mut defects = self.decode().defects.clone();
        if self.content_type.kind() == "text" {
            defects.merge(&self.decode_text().defects);
        }
        defects
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.buffer.get(range.clone()).unwrap_or_default()
    }
}

/// Labels that say nothing. `us-ascii` is one of them once octets above 127 occur: mail programs then guess.
fn is_unhelpful(label: &str) -> bool {
    ["", "us-ascii", "ascii", "unknown", "unknown-8bit", "x-unknown", "default", "8bit", "binary", "x-user-defined"]
        .iter()
        .any(|name| label.trim().eq_ignore_ascii_case(name))
}
