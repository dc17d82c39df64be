//! `HeaderEval`: claims to come from a large web mail service that the headers do not bear out.

use std::sync::LazyLock;

use super::header::{group, is_gated, matches};
use super::{Arg, EvalContext, EvalResult, ours, with_addresses};
use crate::input::octets;
use crate::pattern::Pattern;

/// What the headers say about a claim to come from Hotmail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hotmail {
    Fine,
    /// HELO claims it.
    Forged,
    /// The author claims it.
    Claimed,
}

fn hotmail(context: &EvalContext<'_>) -> Hotmail {
    static PICKUP: LazyLock<Pattern> =
        LazyLock::new(|| ours(r"/from mail pickup service by hotmail\.com with Microsoft SMTPSVC;/"));
    // Hops that Hotmail writes, when the message tells the address of its author …
    static WITH_ADDRESS: LazyLock<Pattern> = LazyLock::new(|| {
        with_addresses(
            r"from (?:\S*\.)?hotmail.com \(\S+\.hotmail(?:\.msn)?\.com[ )]|from \S*\.hotmail.com \(\[IP\][ ):]|from \S+ by \S+\.hotmail(?:\.msn)?\.com with HTTP;|from \[66\.218.\S+\] by \S+\.yahoo\.com",
        )
    });
    // … or the organisation it came from.
    static WITH_ORGANISATION: LazyLock<Pattern> = LazyLock::new(|| {
        with_addresses(
            r"from \S*\.outbound\.protection\.outlook\.com \(\S+\.outbound\.protection\.outlook\.com[ )]|from \S*\.(?:eur|nam)prd\d+\.prod\.outlook\.com \(IP\)",
        )
    });
    static ORGANISATION: LazyLock<Pattern> = LazyLock::new(|| ours(r"/hotmail\.com|msonline-outlook/"));
    static HELO: LazyLock<Pattern> = LazyLock::new(|| ours(r"/(?:from |HELO |helo=)\S*hotmail\.com\b/"));
    static AUTHOR: LazyLock<Pattern> = LazyLock::new(|| ours(r"/\bhotmail\.com$/i"));
    let received = context.received();
    if matches(&PICKUP, &received) || is_msn_group(context) || is_gated(context) {
        return Hotmail::Fine;
    }
    let has_address = crate::input::ip::first(&context.text("X-Originating-Ip")).is_some();
    let has_organisation = matches(&ORGANISATION, &context.text("X-OriginatorOrg"));
    if (has_address && matches(&WITH_ADDRESS, &received))
        || (has_organisation && matches(&WITH_ORGANISATION, &received))
    {
        return Hotmail::Fine;
    }
    if matches(&HELO, &received) {
        Hotmail::Forged
    } else if matches(&AUTHOR, &context.text("From:addr")) {
        Hotmail::Claimed
    } else {
        Hotmail::Fine
    }
}

pub(super) fn check_for_forged_hotmail_received_headers(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(hotmail(context) == Hotmail::Forged)
}

pub(super) fn check_for_no_hotmail_received_headers(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(hotmail(context) == Hotmail::Claimed)
}

fn is_msn_group(context: &EvalContext<'_>) -> bool {
    static LIST: LazyLock<Pattern> = LazyLock::new(|| ours(r"/<(\S+)@groups\.msn\.com>/i"));
    static PICKUP: LazyLock<Pattern> =
        LazyLock::new(|| ours(r"/from mail pickup service by (p\d\d\.groups\.msn\.com)\b/"));
    let to = context.text("To");
    let Some(list) = group(&LIST, &to) else { return false };
    let received = context.text("Received");
    let Some(server) = group(&PICKUP, &received) else { return false };
    let id = context.text("Message-Id");
    if list == b"notifications" {
        let host = id.strip_prefix(b"<").and_then(|id| memchr::memchr(b'@', id).and_then(|at| id.get(at + 1..)));
        return host.is_some_and(|host| host.strip_prefix(server).is_some_and(|rest| rest.starts_with(b">")));
    }
    let is_numbered =
        id.strip_prefix(b"<").and_then(|id| id.strip_prefix(list)).is_some_and(|rest| rest.starts_with(b"-"));
    let bounce = [list, b"-bounce@groups.msn.com"].concat();
    is_numbered
        && octets::contains(&id, b"@groups.msn.com>")
        && octets::contains(&context.text("EnvelopeFrom:addr"), &bounce)
}

pub(super) fn check_for_msn_groups_headers(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(is_msn_group(context))
}

pub(super) fn check_for_forged_eudoramail_received_headers(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static AUTHOR: LazyLock<Pattern> = LazyLock::new(|| ours(r"/\beudoramail\.com$/i"));
    static HOP: LazyLock<Pattern> = LazyLock::new(|| ours(r"/by \S*whowhere.com;/"));
    if !matches(&AUTHOR, &context.text("From:addr")) || is_gated(context) {
        return EvalResult::Miss;
    }
    let has_address = crate::input::ip::first(&context.text("X-Sender-Ip")).is_some();
    EvalResult::of(!(has_address && matches(&HOP, &context.received())))
}

pub(super) fn check_for_forged_yahoo_received_headers(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static AUTHOR: LazyLock<Pattern> = LazyLock::new(|| ours(r"/\byahoo\.com$/i"));
    static TRUSTED: LazyLock<Pattern> = LazyLock::new(|| ours(r"/ rdns=\S+\.yahoo\.com /"));
    static NEAREST: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^[^\]]+ rdns=\S+\.yahoo\.com /"));
    static HOP: LazyLock<Pattern> = LazyLock::new(|| {
        with_addresses(
            r"by web\S+\.mail\S*\.yahoo\.com via HTTP|by sonic\S+\.consmr\.mail\S*\.yahoo\.com with HTTP|by smtp\S+\.yahoo\.com with SMTP|from \[IP\] by \S+\.(?:groups|scd|dcn)\.yahoo\.com with NNFMP|by \w+\.\w+\.yahoo\.com \(\d+\.\d+\.\d+/\d+\.\d+\.\d+\)(?: with ESMTP)? id \w+",
        )
    });
    static BULK: LazyLock<Pattern> = LazyLock::new(|| ours(r"/\bmailer\d+\.bulk\.scd\.yahoo\.com\b/"));
    static REPLY: LazyLock<Pattern> = LazyLock::new(|| ours(r"/@reply\.yahoo\.com$/i"));
    let from = context.text("From:addr");
    if !matches(&AUTHOR, &from) {
        return EvalResult::Miss;
    }
    let mut received = context.received();
    if context.input.has("Resent-From") && context.input.has("Resent-To") && context.input.has("X-Received") {
        received = octets::fold_spaces(&context.text("X-Received"));
    }
    let relays = &context.input.relays;
    let is_fine = is_gated(context)
        || matches(&TRUSTED, &relays.trusted_text)
        || matches(&NEAREST, &relays.untrusted_text)
        || matches(&HOP, &received)
        || (matches(&BULK, &received) && matches(&REPLY, &from));
    EvalResult::of(!is_fine)
}

pub(super) fn check_for_forged_juno_received_headers(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static AUTHOR: LazyLock<Pattern> = LazyLock::new(|| ours(r"/\bjuno\.com$/i"));
    static HOP: LazyLock<Pattern> =
        LazyLock::new(|| with_addresses(r"from.*\b(?:juno|untd)\.com.*[\[(]IP[\])].*by| cookie\.(?:juno|untd)\.com "));
    if !matches(&AUTHOR, &context.text("From:addr")) || is_gated(context) {
        return EvalResult::Miss;
    }
    let (mailer, received) = (context.text("X-Mailer"), context.text("Received"));
    if !context.text("X-Originating-IP").is_empty() {
        return EvalResult::of(!matches(&HOP, &received) || !octets::contains(&mailer, b"Juno "));
    }
    // The older shapes need the address of the author as well, so without it the message is always forged.
    EvalResult::of(true)
}

pub(super) fn check_for_forged_gmail_received_headers(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    const STATE_OCTETS_MIN: usize = 60;
    static AUTHOR: LazyLock<Pattern> = LazyLock::new(|| ours(r"/\bgmail\.com$/i"));
    static INNER: LazyLock<Pattern> = LazyLock::new(|| ours(r"/by (?:10\.\S+|2002:a\d\d:\w+:\S+) with SMTP id \S+/"));
    static OUTER: LazyLock<Pattern> = LazyLock::new(|| ours(r"/by smtp\.googlemail\.com with ESMTPSA id \S+/"));
    if !matches(&AUTHOR, &context.text("From:addr")) {
        return EvalResult::Miss;
    }
    let has_state =
        ["X-Gm-Message-State", "X-Google-Smtp-Source"].iter().all(|name| context.text(name).len() >= STATE_OCTETS_MIN);
    let is_fine =
        matches(&INNER, &context.text("X-Received")) || matches(&OUTER, &context.text("Received")) || has_state;
    EvalResult::of(!is_fine)
}

pub(super) fn check_for_forged_gw05_received_headers(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    static HOP: LazyLock<Pattern> = LazyLock::new(|| {
        ours(
            r"/\nfrom\s\S+\sby\s([^.\s]+)\swith\sESMTP;\s+\S\S\S,\s+\d+\s+\S\S\S\s+\d{4}\s+\d\d:\d\d:\d\d\s+[-+]*\d{4}\n$/s",
        )
    });
    EvalResult::of(matches(&HOP, &context.text("Received")))
}
