//! `HeaderEval`: forged or odd header fields.

use std::sync::LazyLock;

use super::{Arg, EvalContext, EvalResult, date, mime, number, ours};
use crate::field::FieldRequest;
use crate::input::{domain, octets};
use crate::pattern::Pattern;

/// Times told by headers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    date: Option<i64>,
    received: Vec<i64>,
    fetched: Option<i64>,
    /// Seconds from the nearest `Received` header to `Date`.
    difference: i64,
}

static RECEIVED_DATE: LazyLock<Pattern> = LazyLock::new(|| ours(r"/\s.?\d+ \S\S\S \d+ \d+:\d+:\d+ \S+/"));
static LOCAL_HOP: LazyLock<Pattern> =
    LazyLock::new(|| ours(r"/\bfrom (?:localhost\s|(?:\S+ ){1,2}\S*\b127\.0\.0\.1\b)|qmail \d+ invoked by uid \d+/"));
static FETCHMAIL_HOP: LazyLock<Pattern> = LazyLock::new(|| ours(r"/\bby localhost with \w+ \(fetchmail-[\d.]+/"));

impl EvalContext<'_> {
    fn times(&self) -> &Times {
        self.input.memo.times.get_or_init(|| Times::read(self))
    }

    /// One text of a header; see [`crate::Input::get_text`].
    pub(crate) fn text(&self, request: &str) -> Vec<u8> {
        self.input.get_text(request, self.settings)
    }

    /// All values of a header.
    pub(crate) fn values(&self, request: &str) -> Vec<Vec<u8>> {
        self.input.get(&FieldRequest::parse(request), self.settings)
    }

    /// The `Received` headers as one text, white space folded.
    pub(super) fn received(&self) -> Vec<u8> {
        octets::fold_spaces(&self.text("Received"))
    }
}

/// Whether one of our patterns matches; a match that costs too much is none.
pub(crate) fn matches(pattern: &Pattern, text: &[u8]) -> bool {
    pattern.is_match(text) == Ok(true)
}

/// The first group of one of our patterns.
pub(crate) fn group<'t>(pattern: &Pattern, text: &'t [u8]) -> Option<&'t [u8]> {
    pattern.captures(text).ok()??.get(1).copied().flatten()
}

impl Times {
    fn read(context: &EvalContext<'_>) -> Times {
        let date = ["Resent-Date", "Date"].into_iter().find_map(|name| {
            context.values(name).iter().find_map(|value| date::parse(value.strip_suffix(b"\n").unwrap_or(value)))
        });
        let mut received = context.values("Received");
        let mut local = Vec::new();
        if received.first().is_some_and(|first| matches(&LOCAL_HOP, first)) {
            local.push(received.remove(0));
        }
        if received.first().is_some_and(|first| matches(&FETCHMAIL_HOP, first)) {
            local.push(received.remove(0));
        } else if let Some(first) = local.pop() {
            received.insert(0, first);
        }
        let time = |value: &Vec<u8>| {
            let (start, end) = RECEIVED_DATE.find_at(value, 0).ok()??;
            date::parse(value.get(start..end)?)
        };
        let now = context.input.received_at.unwrap_or(i64::MAX);
        let fetched = local.iter().filter_map(time).filter(|time| *time <= now).max();
        let received: Vec<i64> = received.iter().filter_map(time).collect();
        let difference = date.map_or(0, |date| difference(date, &received));
        Times { date, received, fetched, difference }
    }

    /// When the message was received, by the median of what headers say; 0 if they say nothing.
    fn when_received(&self) -> i64 {
        let mut times: Vec<i64> =
            self.date.into_iter().chain(self.received.first().copied()).chain(self.fetched).collect();
        if let (Some(date), false) = (self.date, self.received.is_empty()) {
            times.push(date - self.difference);
        }
        times.sort_unstable_by(|one, other| other.cmp(one));
        times.get(times.len().saturating_sub(1) / 2).copied().unwrap_or(0)
    }
}

/// The smallest difference to a `Received` header. The farthest one does not count if it has none.
fn difference(date: i64, received: &[i64]) -> i64 {
    let mut differences: Vec<i64> = received.iter().map(|time| date.saturating_sub(*time)).collect();
    if differences.len() > 1 && differences.last() == Some(&0) {
        differences.pop();
    }
    differences.into_iter().min_by_key(|difference| difference.abs()).unwrap_or(0)
}

/// Bounds as arguments; `undef` is none.
fn bounds(args: &[Arg]) -> (Option<f64>, Option<f64>) {
    let bound =
        |index: usize| args.get(index).filter(|arg| arg.text != "undef" && !arg.text.is_empty()).map(Arg::number);
    (bound(0), bound(1))
}

#[allow(clippy::cast_precision_loss, reason = "seconds of a calendar are exact in a double")]
pub(super) fn check_for_shifted_date(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let difference = context.times().difference as f64;
    let (min, max) = bounds(args);
    let is_hit = min.is_none_or(|min| difference >= 3600.0 * min) && max.is_none_or(|max| difference < 3600.0 * max);
    EvalResult::of(is_hit)
}

#[allow(clippy::cast_precision_loss, reason = "seconds of a calendar are exact in a double")]
pub(super) fn received_within_months(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    const SECONDS_A_MONTH: f64 = 31_556_952.0 / 12.0;
    let Some(now) = context.input.received_at else { return EvalResult::Unavailable("time of receipt") };
    let age = (now - context.times().when_received()) as f64;
    let (min, max) = bounds(args);
    EvalResult::of(
        min.is_none_or(|min| age >= SECONDS_A_MONTH * min) && max.is_none_or(|max| age < SECONDS_A_MONTH * max),
    )
}

pub(super) fn check_for_fake_aol_relay_in_rcvd(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static RELAY: LazyLock<Pattern> = LazyLock::new(|| ours(r"/ rly-[a-z][a-z]\d\d\./i"));
    static GENUINE: LazyLock<Pattern> =
        LazyLock::new(|| ours(r"m{/AOL-\d+\.\d+\.\d+\)|ESMTP id (?:RELAY|MAILRELAY|MAILIN)}"));
    let received = context.received();
    EvalResult::of(matches(&RELAY, &received) && !matches(&GENUINE, &received))
}

pub(super) fn check_for_faraway_charset_in_headers(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static WORD: LazyLock<Pattern> = LazyLock::new(|| ours(r"/=\?(.+?)\?.\?.*?\?=/"));
    let Some(locales) = mime::locales(context.settings) else { return EvalResult::Miss };
    let values = ["From:raw", "Subject:raw"].into_iter().flat_map(|name| context.values(name));
    let is_faraway = |value: Vec<u8>| {
        let mut from = 0;
        while let Ok(Some((start, end))) = WORD.find_at(&value, from) {
            let charset = value.get(start..end).and_then(|word| group(&WORD, word)).unwrap_or_default();
            if !mime::is_charset_ok(charset, &locales) {
                return true;
            }
            from = end;
        }
        false
    };
    EvalResult::of(values.into_iter().any(is_faraway))
}

/// A function that SpamAssassin keeps only so that old rules load.
pub(super) fn never(_: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::Miss
}

#[allow(clippy::cast_precision_loss, reason = "counts of octets are exact in a double")]
pub(super) fn check_illegal_chars(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let Some(header) = args.first() else { return EvalResult::Miss };
    let request = if header.text.ends_with(":raw") { header.text.clone() } else { format!("{}:raw", header.text) };
    let text = context.text(&request);
    if text.iter().all(|&octet| octets::is_space(octet)) {
        return EvalResult::Miss;
    }
    let is_control = |octet: u8| matches!(octet, 0..=8 | 0x0b | 0x0c | 0x0e..=0x1f);
    if !text.is_ascii() && std::str::from_utf8(&text).is_ok() && !text.iter().any(|&octet| is_control(octet)) {
        return EvalResult::Miss;
    }
    let mut illegal = text.iter().filter(|&&octet| is_control(octet) || octet >= 0x7f).count();
    // One cent, pound or registered sign is let pass in a subject.
    let signs = text.iter().filter(|&&octet| matches!(octet, 0xa2 | 0xa3 | 0xae)).count();
    if illegal > 0 && request.eq_ignore_ascii_case("subject:raw") && signs == 1 {
        illegal -= 1;
    }
    EvalResult::of(illegal as f64 / text.len() as f64 >= number(args, 1) && illegal as f64 >= number(args, 2))
}

/// Whether the message went through a gateway that removes `Received` headers, so that nothing can be said by them.
pub(super) fn is_gated(context: &EvalContext<'_>) -> bool {
    static CONTACT: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^contact \S+@\S+; run by ezmlm$/m"));
    static LIST: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^mailing list \S+@\S+/m"));
    static QMAIL: LazyLock<Pattern> =
        LazyLock::new(|| ours(r"/qmail \d+ invoked (?:from network|by .{3,20})\); \d+ ... \d+/"));
    static GROUPS: LazyLock<Pattern> = LazyLock::new(|| ours(r"/from groups\.msn\.com \(\S+\.msn\.com /"));
    let received = context.text("Received");
    let is_ezmlm = matches(&CONTACT, &context.text("Mailing-List"))
        && matches(&LIST, &context.text("Delivered-To"))
        && matches(&QMAIL, &received);
    is_ezmlm || !context.input.has("Received") || matches(&GROUPS, &received)
}

pub(super) fn gated_through_received_hdr_remover(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(is_gated(context))
}

pub(super) fn check_for_matching_env_and_hdr_from(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(context.text("EnvelopeFrom:addr").eq_ignore_ascii_case(&context.text("From:addr")))
}

/// How the recipients relate to each other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Recipients {
    is_sorted: bool,
    similarity: f64,
}

const SORTED_MIN: usize = 7;
const SIMILAR_MIN: usize = 5;
const SIMILAR_OCTETS: usize = 2;
const RECIPIENTS_MAX: usize = 256;

fn recipients(context: &EvalContext<'_>) -> Recipients {
    *context.input.memo.recipients.get_or_init(|| {
        let mut inputs = context.values("ToCc:addr");
        if inputs.len() < SIMILAR_MIN {
            inputs.extend(context.values("Bcc:addr"));
        }
        let mut addresses: Vec<Vec<u8>> = Vec::new();
        for address in inputs.into_iter().take_while(|address| !matches!(address.as_slice(), b"" | b"0")) {
            if !addresses.last().is_some_and(|last| last.eq_ignore_ascii_case(&address)) {
                addresses.push(address);
            }
            if addresses.len() == RECIPIENTS_MAX {
                break;
            }
        }
        Recipients {
            is_sorted: addresses.len() >= SORTED_MIN && addresses.is_sorted(),
            similarity: similarity(&addresses),
        }
    })
}

/// How often two addresses begin alike, or their different hosts do, by pairs.
#[allow(clippy::cast_precision_loss, reason = "counts of pairs are exact in a double")]
fn similarity(addresses: &[Vec<u8>]) -> f64 {
    if addresses.len() < SIMILAR_MIN {
        return 0.0;
    }
    let head = |text: &[u8]| text.get(..SIMILAR_OCTETS.min(text.len())).unwrap_or_default().to_vec();
    let host = |address: &Vec<u8>| {
        memchr::memchr(b'@', address).and_then(|at| address.get(at + 1..)).unwrap_or_default().to_vec()
    };
    let hosts: Vec<Vec<u8>> = addresses.iter().map(host).collect();
    let (mut hits, mut pairs) = (0_u64, 0_u64);
    for (index, (one, one_host)) in addresses.iter().zip(&hosts).enumerate() {
        for (other, other_host) in addresses.iter().zip(&hosts).skip(index + 1) {
            hits += u64::from(head(one) == head(other));
            hits += u64::from(head(one_host) == head(other_host) && one_host != other_host);
            pairs += 1;
        }
    }
    hits as f64 / pairs.max(1) as f64
}

pub(super) fn sorted_recipients(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(recipients(context).is_sorted)
}

pub(super) fn similar_recipients(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let similarity = recipients(context).similarity;
    let (min, max) = bounds(args);
    EvalResult::of(min.is_none_or(|min| similarity >= min) && max.is_none_or(|max| similarity < max))
}

pub(super) fn check_for_missing_to_header(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(!context.input.has("To") && !context.input.has("Apparently-To"))
}

pub(super) fn subject_is_all_caps(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static REPLY: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^(?:(?:Re|Fwd|Fw|Aw|Antwort|WG|SV|VB|VS|VL):\s*)+/i"));
    let subject = context.text("Subject");
    let mut subject = octets::trim(&subject);
    if let Ok(Some((_, end))) = REPLY.find_at(subject, 0) {
        subject = subject.get(end..).unwrap_or_default();
    }
    if !subject.iter().any(|&octet| octets::is_space(octet)) || subject.len() < 10 {
        return EvalResult::Miss;
    }
    let raw = context.text("Subject:raw");
    if mime::names_caps_charset(&raw) {
        return EvalResult::Miss;
    }
    let mut letters = subject.iter().filter(|octet| octet.is_ascii_alphabetic()).peekable();
    EvalResult::of(letters.peek().is_some() && letters.all(u8::is_ascii_uppercase))
}

pub(super) fn check_for_to_in_subject(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let to = context.text("To:addr");
    if to.is_empty() {
        return EvalResult::Miss;
    }
    let subject = context.text("Subject");
    match args.first().map(|arg| arg.text.as_str()) {
        Some("address") => EvalResult::of(holds_word(&subject, &to)),
        Some("user") => {
            let user = to.split(|&octet| octet == b'@').next().unwrap_or_default();
            EvalResult::of(greets(&subject, user))
        }
        _ => EvalResult::Miss,
    }
}

/// Whether `word` stands in `text` between word boundaries, in either case.
fn holds_word(text: &[u8], word: &[u8]) -> bool {
    let word = word.to_ascii_lowercase();
    let is_word = |octet: Option<&u8>| octet.is_some_and(|&octet| octets::is_word(octet));
    let mut from = 0;
    while let Some(at) = octets::find_caseless(text, &word, from) {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let after = text.get(at + word.len());
        if is_word(before) != is_word(word.first()) && is_word(after) != is_word(word.last()) {
            return true;
        }
        from = at + 1;
    }
    false
}

/// `Re: joe`, `joe, …`, `joe`: a subject that addresses the user by the name before the `@`.
fn greets(subject: &[u8], user: &[u8]) -> bool {
    let subject = subject.strip_suffix(b"\n").unwrap_or(subject);
    if subject.eq_ignore_ascii_case(user) {
        return true;
    }
    if let Some(rest) = subject.strip_prefix(user) {
        let rest = octets::trim_start(rest);
        if let Some((mark, tail)) = rest.split_first()
            && matches!(mark, b',' | b':' | b';' | b'!' | b'?' | b'-')
            && tail.first().is_none_or(|&octet| octets::is_space(octet))
        {
            return true;
        }
    }
    if let Some(rest) = subject.strip_prefix(b",").map(octets::trim_start)
        && octets::starts_caseless(rest, &user.to_ascii_lowercase())
        && matches!(rest.get(user.len()..), Some([b',' | b':' | b';' | b'!' | b'?' | b'-']))
    {
        return true;
    }
    let reply = [&b"re:"[..], b"fw:"].iter().any(|prefix| octets::starts_caseless(subject, prefix));
    let rest = octets::trim_start(subject.get(3..).unwrap_or_default());
    if !reply {
        return false;
    }
    let word = rest.iter().take_while(|octet| octets::is_word(**octet)).count();
    let after_word =
        rest.get(word..).filter(|tail| word > 0 && tail.first().is_some_and(|&octet| octets::is_space(octet)));
    rest.eq_ignore_ascii_case(user)
        || after_word.is_some_and(|tail| octets::trim_start(tail).eq_ignore_ascii_case(user))
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "seconds of a calendar are exact in a double"
)]
pub(super) fn check_outlook_message_id(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    // Outlook writes the time into its ids, in units of 100 ns since 1601, the upper half.
    const UNITS_A_SECOND: f64 = 0.002_328_306_436_538_7;
    const EPOCH_UNITS: f64 = 27_111_902.832_984_9;
    const SLACK: i64 = 250;
    static ID: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^<[0-9a-f]{4}([0-9a-f]{8})\$[0-9a-f]{8}\$[0-9a-f]{8}@/"));
    let id = context.text("MESSAGEID");
    let Some(token) = group(&ID, &id).and_then(|token| i64::from_str_radix(&octets::lossy(token), 16).ok()) else {
        return EvalResult::Miss;
    };
    let is_off = |time: i64| (token - (time as f64 * UNITS_A_SECOND + EPOCH_UNITS) as i64).abs() >= SLACK;
    if !is_off(date::parse(&context.text("Date")).unwrap_or(0)) {
        return EvalResult::Miss;
    }
    EvalResult::of(is_off(date::parse(&context.text("Received")).unwrap_or(0)))
}

pub(super) fn check_messageid_not_usable(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static LEAVE: LazyLock<Pattern> = LazyLock::new(|| ours(r"/<mailto:(?:leave-\S+|\S+-unsubscribe)@\S+>$/i"));
    static REWRITTEN: LazyLock<Pattern> = LazyLock::new(|| ours(r"m{/CWT/DCE\)|iPlanet Messaging Server}"));
    let is_hit = matches(&LEAVE, &context.text("List-Unsubscribe"))
        || is_gated(context)
        || matches(&REWRITTEN, &context.text("Received"));
    EvalResult::of(is_hit)
}

#[allow(clippy::cast_precision_loss, reason = "counts of headers are exact in a double")]
pub(super) fn check_header_count_range(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let Some(name) = args.first() else { return EvalResult::Miss };
    let values: std::collections::HashSet<&[u8]> = context
        .input
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case(name.text.as_bytes()))
        .map(|field| field.decoded.as_slice())
        .collect();
    let count = values.len() as f64;
    EvalResult::of(count >= number(args, 1) && count <= number(args, 2))
}

pub(super) fn check_unresolved_template(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static MARK: LazyLock<Pattern> = LazyLock::new(|| ours(r"/%[A-Z][A-Z_-]/"));
    static EXEMPT: LazyLock<Pattern> = LazyLock::new(|| {
        ours(
            r"/^(?:X-VMS-To|X-UIDL|X-Face|To|Cc|From|Subject|References|In-Reply-To|(?:X-|Resent-|X-Original-)?Message-Id):/i",
        )
    });
    let is_hit = |field: &Vec<u8>| octets::lines(field).any(|line| matches(&MARK, line) && !matches(&EXEMPT, line));
    EvalResult::of(context.values("ALL").iter().any(is_hit))
}

pub(super) fn check_ratware_name_id(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static ID: LazyLock<Pattern> = LazyLock::new(|| ours(r"/<[A-Z]{28}\.([^>]+?)>/"));
    let id = context.text("MESSAGEID");
    let Some(address) = group(&ID, &id) else { return EvalResult::Miss };
    let from = context.text("From");
    // The address of the id behind a quoted name.
    let bracketed = [b"<", address, b">"].concat();
    let is_hit = memchr::memmem::find_iter(&from, &bracketed).any(|at| {
        let before = octets::trim_end(from.get(..at).unwrap_or_default());
        before
            .strip_suffix(b"\"")
            .is_some_and(|name| memchr::memrchr(b'"', name).is_some_and(|open| open + 1 < name.len()))
    });
    EvalResult::of(is_hit)
}

pub(super) fn check_ratware_envelope_from(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static SRS: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^SRS\d[=+-]/i"));
    let (to, from) = (context.text("To:addr"), context.text("EnvelopeFrom:addr"));
    if from.is_empty() || matches(&SRS, &from) {
        return EvalResult::Miss;
    }
    let Some(at) = memchr::memchr(b'@', &to).filter(|at| *at > 0 && *at + 1 < to.len()) else {
        return EvalResult::Miss;
    };
    let (user, host) = (to.get(..at).unwrap_or_default(), to.get(at + 1..).unwrap_or_default());
    let suffixes = &context.settings.suffixes;
    let registered = domain::registered(host, suffixes);
    if !domain::has_known_tld(&registered, suffixes) {
        return EvalResult::Miss;
    }
    // `domain.user@`, any one character between.
    let (from, user) = (from.to_ascii_lowercase(), user.to_ascii_lowercase());
    let is_hit = memchr::memmem::find_iter(&from, &registered).any(|at| {
        let before = at.checked_sub(1).and_then(|before| from.get(before));
        let starts_word = !before.is_some_and(|&octet| octets::is_word(octet));
        let rest = from.get(at + registered.len() + 1..).unwrap_or_default();
        starts_word && rest.strip_prefix(user.as_slice()).is_some_and(|rest| rest.starts_with(b"@"))
    });
    EvalResult::of(is_hit)
}

pub(super) fn check_equal_from_domains(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let second_level = |address: Vec<u8>| {
        let host = memchr::memrchr(b'@', &address)
            .and_then(|at| address.get(at + 1..))
            .unwrap_or_default()
            .to_ascii_lowercase();
        let dots: Vec<usize> = memchr::memchr_iter(b'.', &host).collect();
        match dots.len().checked_sub(2).and_then(|index| dots.get(index)) {
            Some(&dot) if dot > 0 && !host.ends_with(b".") => host.get(dot + 1..).unwrap_or_default().to_vec(),
            _ => host,
        }
    };
    let from = second_level(context.text("From:addr"));
    let sender = second_level(context.text("EnvelopeFrom:addr"));
    EvalResult::of(!from.is_empty() && !sender.is_empty() && from != sender)
}
