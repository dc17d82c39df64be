//! The symbols of the check, and which defects of a message each one stands for.

use std::borrow::Cow;

use tidegate_mail::{Defect, Score};

use crate::check::{Class, Group, RefusalKind, Symbol};

/// A symbol and the defects it stands for.
pub(super) struct OfDefects {
    pub(super) symbol: &'static Symbol,
    pub(super) defects: &'static [Defect],
}

pub(super) static NULL_SENDER_SEVERAL: Symbol = Symbol::refusal(
    "NULL_SENDER_SEVERAL",
    RefusalKind::Protocol,
    "a message with the null sender goes to one recipient; this one asks for several",
);
pub(super) static TOO_MANY_HOPS: Symbol = Symbol::refusal(
    "TOO_MANY_HOPS",
    RefusalKind::Protocol,
    "the message has passed too many servers: it runs in a circle",
);
pub(super) static FORGED_FIELDS: Symbol = Symbol::refusal(
    "FORGED_FIELDS",
    RefusalKind::Protocol,
    "the message brings more fields in the name of this filter than any server writes, so that they could not all be removed",
);
pub(super) static TOO_MANY_RESULTS: Symbol = form(
    "TOO_MANY_RESULTS",
    1500,
    "beside Authentication-Results in our name the message brings more of other servers than can be kept",
);
pub(super) static SUBMISSION_OVER_LIMIT: Symbol = Symbol::refusal(
    "SUBMISSION_OVER_LIMIT",
    RefusalKind::Limit,
    "the message exceeds what is read of one, so nobody can vouch for it",
);

/// Line ends and octets that no mail server sends; refused unless the configuration says otherwise.
pub(super) static LINE_ENDS: &[OfDefects] = &[
    OfDefects { symbol: &SMUGGLED_END, defects: &[Defect::LoneDotLine] },
    OfDefects { symbol: &NUL_OCTET, defects: &[Defect::Nul] },
    OfDefects { symbol: &BARE_LINE_END, defects: &[Defect::BareCr, Defect::BareLf] },
];

static SMUGGLED_END: Symbol = form(
    "SMUGGLED_END",
    3000,
    "a line of one dot between line ends that are not CRLF: so a second message is smuggled in",
);
static NUL_OCTET: Symbol = form("NUL_OCTET", 1500, "the message holds NUL octets (RFC 5322 section 4)");
static BARE_LINE_END: Symbol =
    form("BARE_LINE_END", 1000, "the message holds CR or LF alone (RFC 5321 section 2.3.8 forbids it)");

/// Fields that a reader takes the message's meaning from: who sees which one depends on the program.
pub(super) static REPEATED: &[Defect] = &[
    Defect::DuplicateFrom,
    Defect::DuplicateTo,
    Defect::DuplicateSubject,
    Defect::DuplicateDate,
    Defect::DuplicateMessageId,
];

pub(super) static REPEATED_FIELD: Symbol =
    form("REPEATED_FIELD", 1500, "a header field that may stand once stands several times (RFC 5322 section 3.6)");

/// Evidence that needs nothing but a defect.
pub(super) static BY_DEFECT: &[OfDefects] = &[
    OfDefects {
        symbol: &REPEATED_MINOR_FIELD,
        defects: &[
            Defect::DuplicateSender,
            Defect::DuplicateReplyTo,
            Defect::DuplicateCc,
            Defect::DuplicateInReplyTo,
            Defect::DuplicateReferences,
        ],
    },
    OfDefects { symbol: &MISSING_FROM, defects: &[Defect::MissingFrom] },
    OfDefects { symbol: &MISSING_DATE, defects: &[Defect::MissingDate] },
    OfDefects { symbol: &MISSING_MESSAGE_ID, defects: &[Defect::MissingMessageId] },
    OfDefects { symbol: &BAD_DATE, defects: &[Defect::BadDate] },
    OfDefects {
        symbol: &BROKEN_HEADER,
        defects: &[
            Defect::HeaderWithoutColon,
            Defect::EmptyHeaderName,
            Defect::SpaceBeforeColon,
            Defect::FoldWithoutField,
        ],
    },
    OfDefects {
        symbol: &AMBIGUOUS_MIME,
        defects: &[
            Defect::DuplicateMimeField,
            Defect::DuplicateParameter,
            Defect::MissingBoundary,
            Defect::BoundaryWithTail,
            Defect::BoundaryReused,
            Defect::PartAfterClose,
            Defect::EncodedComposite,
        ],
    },
    OfDefects { symbol: &UNENDED_MIME, defects: &[Defect::MissingCloseBoundary, Defect::MultipartWithoutParts] },
];

static REPEATED_MINOR_FIELD: Symbol =
    form("REPEATED_MINOR_FIELD", 500, "a header field of lesser weight that may stand once stands several times");
static MISSING_FROM: Symbol = form("MISSING_FROM", 1500, "the message names no author (RFC 5322 section 3.6)");
static MISSING_DATE: Symbol = form("MISSING_DATE", 1000, "the message has no date (RFC 5322 section 3.6)");
static MISSING_MESSAGE_ID: Symbol =
    form("MISSING_MESSAGE_ID", 500, "the message has no identifier (RFC 5322 section 3.6.4)");
static BAD_DATE: Symbol = form("BAD_DATE", 1000, "the date of the message does not read as one");
static BROKEN_HEADER: Symbol = form("BROKEN_HEADER", 1000, "the header holds lines that are no fields");
static AMBIGUOUS_MIME: Symbol = form(
    "AMBIGUOUS_MIME",
    1500,
    "programs will disagree about the parts of the message, so an attachment can hide from one of them",
);
static UNENDED_MIME: Symbol = form("UNENDED_MIME", 500, "a multipart has no parts or no end (RFC 2046 section 5.1.1)");

/// Limits of the parser that the message exceeded: the rest was not read.
pub(super) static LIMITS: &[Defect] = &[
    Defect::HeaderTooLarge,
    Defect::TooManyHeaders,
    Defect::TooManyMailboxes,
    Defect::TooManyReceived,
    Defect::TooManyParts,
    Defect::TooDeep,
    Defect::EmbeddedTooLarge,
];

/// Limits of the reader's view: what comes behind them was not looked at.
pub(super) static TEXT_LIMITS: &[Defect] =
    &[Defect::TextTooLong, Defect::HtmlTooDeep, Defect::TooManyHtmlItems, Defect::TooManyUrls];

pub(super) static TEXT_OVER_LIMIT: Symbol =
    form("TEXT_OVER_LIMIT", 500, "the text exceeds what is read of one; something may stand behind the end");
pub(super) static OVER_LIMIT: Symbol =
    form("OVER_LIMIT", 2000, "the message exceeds what is read of one; it was judged by what was read");
pub(super) static FROM_WITHOUT_ADDRESS: Symbol =
    form("FROM_WITHOUT_ADDRESS", 1500, "the author's field holds no address that can be read");
pub(super) static SEVERAL_AUTHORS: Symbol = form(
    "SEVERAL_AUTHORS",
    1000,
    "the message has several authors and does not say who sent it (RFC 5322 section 3.6.2)",
);
// In labelled mail good messages lack these two as often as spam does, so they are hardly more than notes.
pub(super) static MISSING_TO: Symbol =
    form("MISSING_TO", 0, "the message is addressed to nobody: no To, no Cc, no Bcc");
pub(super) static MISSING_SUBJECT: Symbol = form("MISSING_SUBJECT", 100, "the message has no subject");
pub(super) static DATE_IN_FUTURE: Symbol = form("DATE_IN_FUTURE", 1500, "the date of the message lies far ahead");
pub(super) static DATE_IN_PAST: Symbol = form("DATE_IN_PAST", 500, "the date of the message lies far back");
pub(super) static EIGHT_BIT_HEADER: Symbol =
    form("EIGHT_BIT_HEADER", 300, "the header holds raw octets above 127, as UTF-8");
pub(super) static EIGHT_BIT_HEADER_NOT_UTF8: Symbol =
    form("EIGHT_BIT_HEADER_NOT_UTF8", 1000, "the header holds raw octets above 127 that are not UTF-8");
pub(super) static LARGE_HEADER: Symbol = form("LARGE_HEADER", 1000, "the header is far larger than a header is");
pub(super) static LONG_LINE: Symbol = form("LONG_LINE", 200, "a line is far longer than the 998 octets of RFC 5322");
pub(super) static DEEP_NESTING: Symbol = form("DEEP_NESTING", 1000, "the parts of the message are nested too deeply");

/// Symbols that are declared here and found by code of their own.
pub(super) static OTHERS: &[&Symbol] = &[
    &NULL_SENDER_SEVERAL,
    &TOO_MANY_HOPS,
    &FORGED_FIELDS,
    &TOO_MANY_RESULTS,
    &SUBMISSION_OVER_LIMIT,
    &OVER_LIMIT,
    &TEXT_OVER_LIMIT,
    &FROM_WITHOUT_ADDRESS,
    &SEVERAL_AUTHORS,
    &MISSING_TO,
    &MISSING_SUBJECT,
    &DATE_IN_FUTURE,
    &DATE_IN_PAST,
    &EIGHT_BIT_HEADER,
    &EIGHT_BIT_HEADER_NOT_UTF8,
    &LARGE_HEADER,
    &LONG_LINE,
    &DEEP_NESTING,
];

const fn form(name: &'static str, milli: i32, doc: &'static str) -> Symbol {
    Symbol {
        name: Cow::Borrowed(name),
        weight: Score::milli(milli),
        class: Class::Evidence,
        group: Group::Form,
        doc: Cow::Borrowed(doc),
    }
}
