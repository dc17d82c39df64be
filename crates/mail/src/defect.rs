//! What is wrong with a message. A parser reports and goes on; what a defect weighs is for others to say.

use std::fmt;

macro_rules! defects {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)+) => {
        /// One way in which a message departs from what RFC 5322, RFC 2045 to 2049 and RFC 2231 ask for, or exceeds
        /// a limit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Defect { $($(#[$doc])* $variant,)+ }

        impl Defect {
            /// Every defect, in the order of declaration.
            pub const ALL: &'static [Defect] = &[$(Defect::$variant,)+];

            /// The stable name: lower case, words joined by `_`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Defect::$variant => $name,)+ }
            }
        }
    };
}

defects! {
    // The octets of the whole message.
    /// A NUL octet.
    Nul => "nul",
    /// CR that no LF follows.
    BareCr => "bare_cr",
    /// LF without CR in a message whose first line ends in CRLF. A message with LF alone is as a spool keeps it.
    BareLf => "bare_lf",
    /// A line that is a lone dot between line ends of which one is no CRLF: how SMTP smuggling looks (CVE-2023-51764).
    LoneDotLine => "lone_dot_line",
    /// A line of more than 998 octets (RFC 5322 section 2.1.1).
    LongLine => "long_line",

    // The header.
    /// The message begins with the `From ` line of an mbox file.
    MboxLine => "mbox_line",
    /// The header was ended by a line that is neither a field nor empty.
    HeaderWithoutColon => "header_without_colon",
    /// A field with nothing before its colon.
    EmptyHeaderName => "empty_header_name",
    /// White space between field name and colon (RFC 5322 section 4.5.3, obsolete).
    SpaceBeforeColon => "space_before_colon",
    /// The header begins with a continuation line.
    FoldWithoutField => "fold_without_field",
    /// An octet above 127 in a header field.
    EightBitHeader => "eight_bit_header",
    /// ... and it is not UTF-8, which SMTPUTF8 (RFC 6532) would allow.
    EightBitHeaderNotUtf8 => "eight_bit_header_not_utf8",
    /// An encoded word that cannot be decoded, or names an unknown charset (RFC 2047).
    BadEncodedWord => "bad_encoded_word",
    /// More header fields than the limit.
    TooManyHeaders => "too_many_headers",
    /// More octets of header than the limit.
    HeaderTooLarge => "header_too_large",
    /// No empty line ends the header, nor does anything follow it.
    NoBody => "no_body",

    // Fields that must stand once (RFC 5322 section 3.6).
    /// No `From`.
    MissingFrom => "missing_from",
    /// No `Date`.
    MissingDate => "missing_date",
    /// No `Message-ID`.
    MissingMessageId => "missing_message_id",
    /// Several `From`.
    DuplicateFrom => "duplicate_from",
    /// Several `Sender`.
    DuplicateSender => "duplicate_sender",
    /// Several `Reply-To`.
    DuplicateReplyTo => "duplicate_reply_to",
    /// Several `To`.
    DuplicateTo => "duplicate_to",
    /// Several `Cc`.
    DuplicateCc => "duplicate_cc",
    /// Several `Subject`.
    DuplicateSubject => "duplicate_subject",
    /// Several `Date`.
    DuplicateDate => "duplicate_date",
    /// Several `Message-ID`.
    DuplicateMessageId => "duplicate_message_id",
    /// Several `In-Reply-To`.
    DuplicateInReplyTo => "duplicate_in_reply_to",
    /// Several `References`.
    DuplicateReferences => "duplicate_references",
    /// Several `MIME-Version`, `Content-Type`, `Content-Transfer-Encoding` or `Content-Disposition` in one entity.
    DuplicateMimeField => "duplicate_mime_field",
    /// `From` holds no address that could be read.
    FromWithoutAddress => "from_without_address",
    /// `From` names several mailboxes and there is no `Sender` (RFC 5322 section 3.6.2).
    SeveralAuthorsWithoutSender => "several_authors_without_sender",
    /// `Date` does not read as one.
    BadDate => "bad_date",
    /// More mailboxes than the limit.
    TooManyMailboxes => "too_many_mailboxes",
    /// More `Received` than the limit.
    TooManyReceived => "too_many_received",

    // The structure.
    /// MIME fields without `MIME-Version`.
    MissingMimeVersion => "missing_mime_version",
    /// `Content-Type` does not read as one.
    BadContentType => "bad_content_type",
    /// One parameter given twice.
    DuplicateParameter => "duplicate_parameter",
    /// A multipart without boundary.
    MissingBoundary => "missing_boundary",
    /// A boundary above 70 octets or with characters that RFC 2046 section 5.1.1 does not allow.
    BadBoundary => "bad_boundary",
    /// A line begins like a delimiter, but something follows the boundary.
    BoundaryWithTail => "boundary_with_tail",
    /// The boundary of an inner multipart is that of an outer one.
    BoundaryReused => "boundary_reused",
    /// A multipart in which no delimiter was found.
    MultipartWithoutParts => "multipart_without_parts",
    /// A multipart whose closing delimiter is missing.
    MissingCloseBoundary => "missing_close_boundary",
    /// A part after the closing delimiter of its multipart.
    PartAfterClose => "part_after_close",
    /// A multipart or message in base64 or quoted-printable (RFC 2045 section 6.4 forbids it).
    EncodedComposite => "encoded_composite",
    /// More parts than the limit.
    TooManyParts => "too_many_parts",
    /// Deeper than the limit.
    TooDeep => "too_deep",
    /// Embedded messages that had to be decoded exceed the limit.
    EmbeddedTooLarge => "embedded_too_large",
    /// Something other than white space before the first part of a multipart, beyond the usual notice.
    LongPreamble => "long_preamble",
    /// Something other than white space after a multipart.
    Epilogue => "epilogue",

    // The bodies.
    /// A transfer encoding that is not known.
    UnknownTransferEncoding => "unknown_transfer_encoding",
    /// Characters in base64 that do not belong there.
    BadBase64 => "bad_base64",
    /// Base64 goes on after its padding.
    Base64AfterPadding => "base64_after_padding",
    /// Base64 ends within a group of four.
    Base64Unpadded => "base64_unpadded",
    /// `=` in quoted-printable that neither two hexadecimal digits nor a line end follow.
    BadQuotedPrintable => "bad_quoted_printable",
    /// Octets above 127 in a part that is declared 7bit.
    EightBitIn7Bit => "eight_bit_in_7bit",
    /// A charset that is not known.
    UnknownCharset => "unknown_charset",
    /// Text that its charset does not allow.
    BadCharsetText => "bad_charset_text",
    /// Text beyond the limit was not read.
    TextTooLong => "text_too_long",
    /// Elements nested deeper than the limit.
    HtmlTooDeep => "html_too_deep",
    /// More links, images or forms than the limit.
    TooManyHtmlItems => "too_many_html_items",
    /// More URLs than the limit.
    TooManyUrls => "too_many_urls",

    // Attachments.
    /// The content is of another kind than type and name say.
    TypeMismatch => "type_mismatch",
    /// `Content-Type` and `Content-Disposition` give different file names.
    FileNameMismatch => "file_name_mismatch",
    /// Two extensions of which the last one is executable (`invoice.pdf.exe`).
    DoubleExtension => "double_extension",
    /// Control characters, direction overrides or runs of blanks in a file name: what is shown is not what is there.
    DeceptiveFileName => "deceptive_file_name",
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How often a defect was seen, and where first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What was seen.
    pub defect: Defect,
    /// How often; saturates.
    pub count: u32,
    /// Index of the part in which it was seen first; 0 is the message itself.
    pub part: usize,
}

/// A bounded list of defects: one entry a kind, in the order in which they were first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defects(Vec<Sighting>);

impl Defects {
    /// Adds one sighting.
    pub(crate) fn add(&mut self, defect: Defect, part: usize) {
        self.add_many(defect, part, 1);
    }

    /// Adds `count` sightings; none when `count` is zero.
    pub(crate) fn add_many(&mut self, defect: Defect, part: usize, count: usize) {
        if count == 0 {
            return;
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match self.0.iter_mut().find(|sighting| sighting.defect == defect) {
            Some(sighting) => sighting.count = sighting.count.saturating_add(count),
            None => self.0.push(Sighting { defect, count, part }),
        }
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Defects) {
        for sighting in &other.0 {
            self.add_many(sighting.defect, sighting.part, usize::try_from(sighting.count).unwrap_or(usize::MAX));
        }
    }

    /// Whether `defect` was seen.
    #[must_use]
    pub fn has(&self, defect: Defect) -> bool {
        self.0.iter().any(|sighting| sighting.defect == defect)
    }

    /// How often `defect` was seen.
    #[must_use]
    pub fn count(&self, defect: Defect) -> u32 {
        self.0.iter().find(|sighting| sighting.defect == defect).map_or(0, |sighting| sighting.count)
    }

    /// All sightings, in the order in which the kinds were first seen.
    pub fn iter(&self) -> impl Iterator<Item = Sighting> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
