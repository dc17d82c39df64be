//! `MIMEEval`: charsets, encodings and the make-up of MIME parts.

use std::sync::LazyLock;

use super::body::subtree;
use super::header::{group, matches};
use super::{Arg, EvalContext, EvalResult, number, ours};
use crate::input::{Field, Part, octets};
use crate::pattern::Pattern;
use crate::settings::Settings;

/// What all parts of a message show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attachments {
    base64_count: usize,
    is_text_in_base64: bool,
    html_count: usize,
    text_count: usize,
    is_faraway: bool,
    has_alternative: bool,
    /// Octets of text for each octet of HTML, of the last such parts.
    ratio: f64,
    qp_count: i64,
    qp_ratio: f64,
    has_long_qp_line: bool,
    has_attachment: bool,
    has_bad_iso_charset: bool,
    illegal_ascii_lines: usize,
    unicode_ratio: f64,
    charsets: Vec<String>,
}

const QP_LINE_OCTETS_MAX: usize = 79;

/// The last header of this name in a part, with its line end.
fn header<'p>(part: &'p Part<'_>, name: &str) -> Option<&'p [u8]> {
    let is_named = |field: &&Field<'_>| field.name.eq_ignore_ascii_case(name.as_bytes());
    part.headers.iter().rfind(is_named).map(|field| field.decoded.as_slice())
}

fn lower_header(part: &Part<'_>, name: &str) -> Vec<u8> {
    header(part, name).unwrap_or_default().to_ascii_lowercase()
}

/// The directive that, set to 0, leaves lines of quoted-printable unread and lets `mime_qp_count` count parts: so it is in the recorded
/// runs that the rules are held against, where the encoding's name kept its line end. SpamAssassin's own programs read the lines, and
/// so does the default. See docs/decisions/rule-matching.md.
const ENCODING_CHECKS: &str = "mime_encoding_checks";

/// Counters of quoted-printable text and of character references in plain text.
#[derive(Default)]
struct Counts {
    qp_octets: usize,
    qp_escapes: i64,
    plain: usize,
    references: usize,
}

fn attachments<'c>(context: &'c EvalContext<'_>) -> &'c Attachments {
    context.input.memo.attachments.get_or_init(|| read(context))
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
fn read(context: &EvalContext<'_>) -> Attachments {
    let mut found = Attachments { ratio: 1.0, ..Attachments::default() };
    let mut counts = Counts::default();
    let locales = locales(context.settings);
    let reads_encodings = context.settings.last(ENCODING_CHECKS).is_none_or(|value| value.trim() != "0");
    let (mut text_octets, mut html_octets) = (None, None);
    for part in &context.input.parts {
        let kind = crate::input::content_kind(header(part, "content-type"));
        found.has_alternative |= kind.kind == "multipart/alternative";
        let encoding = lower_header(part, "content-transfer-encoding");
        let disposition = lower_header(part, "content-disposition");
        let charset = kind.charset.map(|charset| charset.to_ascii_lowercase());
        note_headers(&mut found, &kind.kind, &encoding, &disposition, charset.as_deref(), locales.as_deref());
        if !part.is_leaf {
            continue;
        }
        let is_attached = octets::contains(&disposition, b"attachment");
        if !is_attached {
            // Octets are counted only after an alternative was met; the last part of each kind decides.
            let octets = if found.has_alternative { part.raw.len() } else { 0 };
            match kind.kind.as_str() {
                "text/plain" => text_octets = Some(octets),
                "text/html" => html_octets = Some(octets),
                _ => {}
            }
        }
        let is_ascii = charset.is_none() || charset.as_deref() == Some(b"us-ascii");
        let is_named_plain = matches!(encoding.as_slice(), b"7bit" | b"8bit");
        let is_unencoded = encoding.is_empty() || (reads_encodings && is_named_plain);
        let is_plain = kind.kind == "text/plain";
        if reads_encodings && encoding == b"quoted-printable" {
            octets::lines(&part.raw).for_each(|line| count_qp(line, &mut found, &mut counts));
        }
        if is_plain && is_ascii {
            let is_illegal = |line: &&[u8]| line.iter().any(|octet| matches!(octet, 0 | b'\r' | 0x80..=0xff));
            let is_clean = part.raw.is_ascii() && memchr::memchr2(0, b'\r', &part.raw).is_none();
            found.illegal_ascii_lines += if is_clean { 0 } else { octets::lines(&part.raw).filter(is_illegal).count() };
        }
        if is_plain && is_unencoded {
            count_references(&part.raw, &mut counts);
        }
    }
    if counts.qp_octets > 0 {
        found.qp_ratio = counts.qp_escapes as f64 / counts.qp_octets as f64;
        found.qp_count = counts.qp_escapes;
    }
    if counts.plain > 0 {
        found.unicode_ratio = counts.references as f64 / counts.plain as f64;
    }
    if let (true, Some(text), Some(html)) = (found.has_alternative, text_octets, html_octets)
        && html > 0
    {
        found.ratio = text as f64 / html as f64;
    }
    found
}

fn note_headers(
    found: &mut Attachments,
    kind: &str,
    encoding: &[u8],
    disposition: &[u8],
    charset: Option<&[u8]>,
    locales: Option<&[String]>,
) {
    static ASCII: LazyLock<Pattern> = LazyLock::new(|| {
        ours(r"/us-ascii|ansi_x3\.4-19(?:68|86)|iso-ir-6|iso_646\.irv:1991|ascii|iso646-us|us|ibm367|cp367|csascii/")
    });
    static ISO: LazyLock<Pattern> = LazyLock::new(|| ours(r"/iso-\S+-\S+\b/i"));
    static GOOD_ISO: LazyLock<Pattern> = LazyLock::new(|| ours(r"/iso-(?:8859-\d{1,2}|2022-(?:jp|kr))\b/"));
    let charset = charset.unwrap_or_default();
    let is_base64 = octets::contains(encoding, b"base64");
    if kind == "text/html" {
        found.html_count += 1;
    } else if kind.starts_with("text") {
        found.text_count += 1;
    }
    if is_base64 {
        found.base64_count += 1;
    } else if octets::contains(encoding, b"quoted-printable") {
        found.qp_count += 1;
    }
    found.has_attachment |= octets::contains(disposition, b"attachment");
    let is_named = disposition.starts_with(b"attachment") || disposition.starts_with(b"inline");
    let is_ascii = charset.is_empty() || charset == b"0" || matches(&ASCII, charset);
    found.is_text_in_base64 |= kind.starts_with("text") && is_base64 && is_ascii && !is_named;
    found.has_bad_iso_charset |= matches(&ISO, charset) && !matches(&GOOD_ISO, charset);
    if charset.iter().any(u8::is_ascii_alphabetic) {
        found.charsets.extend(octets::lossy(charset).split_whitespace().map(str::to_owned));
        found.is_faraway |= locales.is_some_and(|locales| !is_charset_ok(charset, locales));
    }
}

fn count_qp(line: &[u8], found: &mut Attachments, counts: &mut Counts) {
    if line.starts_with(b"SPAM: ") {
        return;
    }
    found.has_long_qp_line |= line.len() > QP_LINE_OCTETS_MAX;
    counts.qp_octets += line.len();
    // Escapes of characters that need none.
    let is_needless = |window: &[u8]| {
        matches!(
            window,
            [b'=', b'0', b'9']
                | [b'=', b'3', b'0'..=b'9' | b'A'..=b'C' | b'E' | b'F']
                | [b'=', b'2' | b'4' | b'5' | b'6', b'0'..=b'9' | b'A'..=b'F']
                | [b'=', b'7', b'0'..=b'9' | b'A'..=b'E']
        )
    };
    let windows = memchr::memchr_iter(b'=', line).filter_map(|at| line.get(at..at + 3));
    let needless = windows.filter(|window| is_needless(window)).count();
    if needless == 0 {
        return;
    }
    // White space at the end of a line must be escaped.
    let mut tail = octets::trim_end(line);
    let mut trailing = 0;
    while let Some(rest) = tail.strip_suffix(b"=09").or_else(|| tail.strip_suffix(b"=20")) {
        trailing += 1;
        tail = rest;
    }
    counts.qp_escapes += i64::try_from(needless).unwrap_or(0) - trailing;
}

/// `&#xABCD;` in plain text, and all other octets.
fn count_references(raw: &[u8], counts: &mut Counts) {
    let is_reference = |window: &&[u8]| {
        window.ends_with(b";")
            && window
                .get(3..7)
                .is_some_and(|digits| digits.iter().all(|octet| matches!(octet, b'0'..=b'9' | b'A'..=b'F')))
    };
    let windows = memchr::memmem::find_iter(raw, b"&#x").filter_map(|at| raw.get(at..at + 8));
    let references = windows.filter(is_reference).count();
    counts.references += references;
    counts.plain += raw.len() - 8 * references;
}

/// The locales that `ok_locales` names; `None` when all are fine.
pub(crate) fn locales(settings: &Settings) -> Option<Vec<String>> {
    let locales: Vec<String> =
        settings.last("ok_locales").unwrap_or("all").split_whitespace().map(str::to_owned).collect();
    (!locales.is_empty() && !locales.iter().any(|locale| locale == "all")).then_some(locales)
}

/// Whether a charset is used where one of the locales is spoken, or everywhere.
pub(crate) fn is_charset_ok(charset: &[u8], locales: &[String]) -> bool {
    const EVERYWHERE: [&str; 7] = ["ISO8859", "ISO10646", "UTF", "UCS", "CP125", "WINDOWS", "UNICODE11UTF"];
    const LOCAL: [(&str, &str); 10] = [
        (
            "ja",
            " EUCJP JISX020119760 JISX020819830 JISX020819900 JISX020819970 JISX021219900 JISX021320001 JISX021320002 SHIFTJIS ISO2022JP SJIS JIS7 JISX0201 JISX0208 JISX0212 ",
        ),
        ("ko", " EUCKR KSC56011987 "),
        ("ru", CYRILLIC),
        ("ka", CYRILLIC),
        ("tg", CYRILLIC),
        ("be", CYRILLIC),
        ("uk", CYRILLIC),
        ("bg", CYRILLIC),
        ("th", " TIS620 "),
        ("zh", " GB1988 GB2312 GB231219800 GB18030 GBK BIG5HKSCS BIG5 EUCTW ISO2022CN "),
    ];
    const CYRILLIC: &str = " KOI8R KOI8U KOI8T ISOIR111 CP1251 GEORGIANPS PT154 CP866 ";
    let name: String =
        octets::lossy(charset).to_ascii_uppercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.strip_prefix("3D").unwrap_or(&name);
    if matches!(name, "USASCII" | "ASCII" | "IBM852" | "XUNKNOWN" | "ISO")
        || EVERYWHERE.iter().any(|prefix| name.starts_with(prefix))
    {
        return true;
    }
    locales.iter().any(|locale| {
        let language = locale.get(..2).unwrap_or(locale);
        LOCAL.iter().any(|(known, names)| *known == language && names.contains(&format!(" {name} ")))
    })
}

static CAPS_CHARSET: LazyLock<Pattern> = LazyLock::new(|| {
    ours(r"/^[-_a-z0-9]*(?:koi|jp|jis|euc|gb|big5|isoir|cp1251|windows-1251|georgianps|pt154|tis)[-_a-z0-9]*$/i")
});

/// Whether an encoded word names a charset in which text looks like capitals.
pub(super) fn names_caps_charset(raw: &[u8]) -> bool {
    static WORD: LazyLock<Pattern> = LazyLock::new(|| {
        ours(r"/=\?[-_a-z0-9]*(?:koi|jp|jis|euc|gb|big5|isoir|cp1251|windows-1251|georgianps|pt154|tis)[-_a-z0-9]*\?/i")
    });
    matches(&WORD, raw)
}

/// `charset=` of the message's own content type.
fn declared_charset(context: &EvalContext<'_>) -> Option<Vec<u8>> {
    static CHARSET: [LazyLock<Pattern>; 3] = [
        LazyLock::new(|| ours(r#"/charset="([^"]+)"/i"#)),
        LazyLock::new(|| ours(r"/charset='([^']+)'/i")),
        LazyLock::new(|| ours(r"/charset=(\S+)/i")),
    ];
    let kind = context.text("Content-Type");
    CHARSET.iter().find_map(|pattern| group(pattern, &kind)).map(<[u8]>::to_vec)
}

pub(super) fn check_for_mime(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let found = attachments(context);
    let is_hit = match args.first().map_or("", |arg| arg.text.as_str()) {
        "mime_base64_count" => found.base64_count > 0,
        "mime_base64_encoded_text" => found.is_text_in_base64,
        "mime_body_html_count" => found.html_count > 0,
        "mime_body_text_count" => found.text_count > 0,
        "mime_faraway_charset" => found.is_faraway,
        "mime_missing_boundary" => context.input.flags.missing_mime_boundary,
        "mime_multipart_alternative" => found.has_alternative,
        "mime_multipart_ratio" => found.ratio != 0.0,
        "mime_qp_count" => found.qp_count != 0,
        "mime_qp_long_line" => found.has_long_qp_line,
        "mime_qp_ratio" => found.qp_ratio != 0.0,
        "mime_ascii_text_illegal" => found.illegal_ascii_lines > 0,
        "mime_text_unicode_ratio" => found.unicode_ratio != 0.0,
        "mime_attachment" => found.has_attachment,
        "mime_bad_iso_charset" => found.has_bad_iso_charset,
        _ => false,
    };
    EvalResult::of(is_hit)
}

fn is_html_message(context: &EvalContext<'_>) -> bool {
    octets::starts_caseless(&context.text("Content-Type"), b"text/html")
}

pub(super) fn check_for_mime_html(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(is_html_message(context) || attachments(context).html_count > 0)
}

pub(super) fn check_for_mime_html_only(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let found = attachments(context);
    EvalResult::of(is_html_message(context) || (found.html_count > 0 && found.text_count == 0))
}

pub(super) fn check_mime_multipart_ratio(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let ratio = attachments(context).ratio;
    EvalResult::of(ratio >= number(args, 0) && ratio < number(args, 1))
}

pub(super) fn check_qp_ratio(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(attachments(context).qp_ratio >= number(args, 0))
}

pub(super) fn check_for_ascii_text_illegal(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(attachments(context).illegal_ascii_lines > 0)
}

pub(super) fn check_abundant_unicode_ratio(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(attachments(context).unicode_ratio >= number(args, 0))
}

pub(super) fn check_msg_parse_flags(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let flags = &context.input.flags;
    let is_hit = match args.first().map_or("", |arg| arg.text.as_str()) {
        "missing_head_body_separator" => flags.missing_head_body_separator,
        "truncated_header" => flags.truncated_header,
        "missing_mime_headers" => flags.missing_mime_headers,
        "missing_mime_head_body_separator" => flags.missing_mime_head_body_separator,
        "mime_epilogue_exists" => flags.mime_epilogue_exists,
        "mimepart_limit_exceeded" => flags.mimepart_limit_exceeded,
        _ => false,
    };
    EvalResult::of(is_hit)
}

pub(super) fn check_for_faraway_charset(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let Some(locales) = locales(context.settings) else { return EvalResult::Miss };
    let Some(charset) = declared_charset(context).filter(|charset| !is_charset_ok(charset, &locales)) else {
        return EvalResult::Miss;
    };
    let _ = charset;
    // Some charsets hold ASCII: there must be many other octets.
    let (mut high, mut low) = (0_usize, 0_usize);
    for line in &context.input.body {
        let count = line.iter().filter(|octet| !octet.is_ascii()).count();
        high += count;
        low += line.len() - count;
    }
    EvalResult::of(low <= high && high > 3)
}

fn uppercase(context: &EvalContext<'_>) -> f64 {
    *context.input.memo.uppercase.get_or_init(|| {
        let mut charsets: Vec<Vec<u8>> = declared_charset(context).into_iter().collect();
        charsets.extend(attachments(context).charsets.iter().map(|charset| charset.clone().into_bytes()));
        if charsets.iter().any(|charset| matches(&CAPS_CHARSET, charset)) {
            0.0
        } else {
            uppercase_percent(&context.input.body)
        }
    })
}

#[allow(clippy::cast_precision_loss, reason = "counts of letters are exact in a double")]
fn uppercase_percent(body: &[Vec<u8>]) -> f64 {
    const OCTETS_MIN: usize = 200;
    const BASE64_OCTETS_MIN: usize = 60;
    let is_base64_octet = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=');
    static BASE64: LazyLock<Pattern> = LazyLock::new(|| ours(r"m{^(?:[A-Za-z0-9+/=]{60,76} ){2}}"));
    static SHIFTED: LazyLock<Pattern> = LazyLock::new(|| ours(r"/\x1b\$B.*\x1b\(B/s"));
    let (mut octets, mut lower, mut upper) = (0, 0_usize, 0_usize);
    for line in body {
        let trimmed = octets::trim(line);
        let has_words = trimmed.iter().any(|&octet| octets::is_space(octet));
        let may_be_base64 = line.iter().take(BASE64_OCTETS_MIN).all(|octet| is_base64_octet(*octet));
        if !has_words || (may_be_base64 && matches(&BASE64, line)) {
            continue;
        }
        let shifted = if line.contains(&0x1b) { SHIFTED.find_at(line, 0).ok().flatten() } else { None };
        let (start, end) = shifted.unwrap_or((line.len(), line.len()));
        for piece in [line.get(..start), line.get(end..)].into_iter().flatten() {
            octets += piece.len();
            lower += piece.iter().filter(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit()).count();
            upper += piece.iter().filter(|octet| octet.is_ascii_uppercase()).count();
        }
    }
    if octets < OCTETS_MIN || upper + lower == 0 { 0.0 } else { upper as f64 / (upper + lower) as f64 * 100.0 }
}

pub(super) fn check_for_uppercase(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let percent = uppercase(context);
    EvalResult::of(percent > number(args, 0) && percent <= number(args, 1))
}

/// Parts of an alternative that are no text, other than those that honest mail has.
pub(super) fn check_ma_non_text(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let parts = &context.input.parts;
    let is_odd = |part: &Part<'_>| {
        part.is_leaf
            && !matches!(part.content_type.as_str(), "multipart/related" | "application/rtf")
            && !part.content_type.starts_with("text/")
    };
    let is_hit = parts.iter().enumerate().any(|(index, part)| {
        // Only the alternative's own parts are looked at, not theirs.
        part.content_type == "multipart/alternative"
            && subtree(parts, index).skip(1).any(|child| child.depth == part.depth + 1 && is_odd(child))
    });
    EvalResult::of(is_hit)
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
pub(super) fn check_base64_length(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let longest = *context.input.memo.base64_line.get_or_init(|| {
        let is_base64 = |part: &&Part<'_>| {
            part.is_leaf
                && lower_header(part, "content-transfer-encoding") == b"base64"
                && crate::input::content_kind(header(part, "content-type")).kind != "application/ics"
        };
        let lines = context.input.parts.iter().filter(is_base64).flat_map(|part| octets::lines(&part.raw));
        lines.map(<[u8]>::len).max().unwrap_or(0)
    });
    let longest = longest as f64;
    EvalResult::of(longest >= number(args, 0) && args.get(1).is_none_or(|max| longest <= max.number()))
}
