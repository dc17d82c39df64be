//! SPF, DKIM, ARC and DMARC from the results of the receiving system, and the lists that depend on them. The classifier's probability
//! (`Bayes`) is here as well: it too comes from outside.

use super::lists::{fits, is_listed};
use super::{Arg, EvalContext, EvalResult, number};
use crate::input::octets;
use crate::input::{DmarcResult, Signature, SpfResult};

const NO_RESULT: &str = "identity result";

fn spf(result: SpfResult, wanted: SpfResult) -> EvalResult {
    if result == SpfResult::Unknown { EvalResult::Unavailable(NO_RESULT) } else { EvalResult::of(result == wanted) }
}

macro_rules! spf_tests {
    ($($name:ident $helo:ident => $wanted:ident;)*) => {$(
        pub(super) fn $name(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
            spf(context.input.identity.spf, SpfResult::$wanted)
        }
        pub(super) fn $helo(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
            spf(context.input.identity.spf_helo, SpfResult::$wanted)
        }
    )*};
}

spf_tests! {
    check_for_spf_pass check_for_spf_helo_pass => Pass;
    check_for_spf_neutral check_for_spf_helo_neutral => Neutral;
    check_for_spf_none check_for_spf_helo_none => None;
    check_for_spf_fail check_for_spf_helo_fail => Fail;
    check_for_spf_softfail check_for_spf_helo_softfail => SoftFail;
    check_for_spf_permerror check_for_spf_helo_permerror => PermError;
    check_for_spf_temperror check_for_spf_helo_temperror => TempError;
}

pub(super) fn check_spf_skipped_noenvfrom(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(context.text("EnvelopeFrom:addr").is_empty())
}

fn spf_list(context: &EvalContext<'_>, lists: [&str; 2]) -> EvalResult {
    let sender = context.text("EnvelopeFrom:addr");
    let is_listed =
        lists.iter().any(|name| context.settings.addresses.get(*name).is_some_and(|list| is_listed(list, &sender)));
    if sender.is_empty() || !is_listed {
        return EvalResult::Miss;
    }
    spf(context.input.identity.spf, SpfResult::Pass)
}

pub(super) fn check_for_spf_welcomelist_from(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    spf_list(context, ["welcomelist_from_spf", "welcomelist_auth"])
}

pub(super) fn check_for_def_spf_welcomelist_from(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    spf_list(context, ["def_welcomelist_from_spf", "def_welcomelist_auth"])
}

/// Whether a signing domain is one of the arguments: the domain itself, or with `.` or `*.` in front anything below it as well.
fn is_acceptable(domain: &str, args: &[Arg]) -> bool {
    let domain = domain.to_ascii_lowercase();
    args.is_empty()
        || args.iter().any(|arg| {
            let wanted = arg.text.to_ascii_lowercase();
            match wanted.strip_prefix("*.").or_else(|| wanted.strip_prefix('.')) {
                Some(parent) => {
                    domain == parent || domain.strip_suffix(parent).is_some_and(|front| front.ends_with('.'))
                }
                None => domain == wanted,
            }
        })
}

fn with_signatures(context: &EvalContext<'_>, is_hit: impl Fn(&Signature) -> bool) -> EvalResult {
    match &context.input.identity.dkim {
        Some(signatures) => EvalResult::of(signatures.iter().any(is_hit)),
        None => EvalResult::Unavailable(NO_RESULT),
    }
}

pub(super) fn check_dkim_signed(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    match &context.input.identity.dkim {
        Some(signatures) => EvalResult::of(signatures.iter().any(|signature| is_acceptable(&signature.domain, args))),
        None if args.is_empty() => EvalResult::of(context.input.has("DKIM-Signature")),
        None => EvalResult::Unavailable(NO_RESULT),
    }
}

pub(super) fn check_dkim_valid(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    with_signatures(context, |signature| signature.is_valid && is_acceptable(&signature.domain, args))
}

fn author_domains(context: &EvalContext<'_>) -> Vec<String> {
    let host =
        |address: &Vec<u8>| memchr::memrchr(b'@', address).and_then(|at| address.get(at + 1..)).map(octets::lossy);
    context.values("From:addr").iter().filter_map(host).map(|host| host.to_ascii_lowercase()).collect()
}

pub(super) fn check_dkim_valid_author_sig(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let authors = author_domains(context);
    with_signatures(context, |signature| {
        signature.is_valid
            && authors.contains(&signature.domain.to_ascii_lowercase())
            && is_acceptable(&signature.domain, args)
    })
}

pub(super) fn check_dkim_valid_envelopefrom(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let sender = context.text("EnvelopeFrom:addr");
    let Some(host) = memchr::memchr(b'@', &sender).and_then(|at| sender.get(at + 1..)).map(octets::lossy) else {
        return EvalResult::Miss;
    };
    with_signatures(context, |signature| signature.is_valid && signature.domain.eq_ignore_ascii_case(&host))
}

pub(super) fn check_dkim_dependable(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    with_signatures(context, |_| true)
}

pub(super) fn check_dkim_testing(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    with_signatures(context, |signature| signature.is_testing)
}

/// Author domain signing practices (RFC 5617, historic): only what `adsp_override` says; DNS is no longer asked for them.
pub(super) fn check_dkim_adsp(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let authors = author_domains(context);
    let Some(signatures) = &context.input.identity.dkim else { return EvalResult::Unavailable(NO_RESULT) };
    let is_signed = |author: &String| {
        signatures.iter().any(|signature| signature.is_valid && signature.domain.eq_ignore_ascii_case(author))
    };
    let wanted = args.first().map_or("", |arg| arg.text.as_str());
    let wanted = if wanted == "*" { "NAD123" } else { wanted };
    let is_hit = authors.iter().filter(|author| !is_signed(author)).any(|author| {
        let practice = practice_of(context, author);
        wanted.contains(practice) && is_acceptable(author, args.get(1..).unwrap_or_default())
    });
    EvalResult::of(is_hit)
}

/// The practice that the longest fitting `adsp_override` gives a domain: D(iscardable), A(ll), U(nknown), N(xdomain), 1, 2 or 3.
fn practice_of(context: &EvalContext<'_>, domain: &str) -> char {
    let entries = context.settings.lines("adsp_override").iter().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, practice) = (words.next()?.to_ascii_lowercase(), words.next().unwrap_or("discardable"));
        let pattern = name.strip_prefix('.').map_or_else(|| name.clone(), |parent| format!("*.{parent}"));
        fits(pattern.as_bytes(), domain.as_bytes()).then_some((name.len(), practice.to_owned()))
    });
    let practice = entries.max().map_or_else(|| "unknown".to_owned(), |(_, practice)| practice);
    let first = practice.strip_prefix("custom_").and_then(|level| {
        level.chars().next().map(|level| match level {
            'l' => '1',
            'm' => '2',
            _ => '3',
        })
    });
    first.or_else(|| practice.chars().next()).map_or('U', |char| char.to_ascii_uppercase())
}

pub(super) fn check_dkim_signall(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    check_dkim_adsp(context, &[Arg { text: "A".to_owned(), pattern: None }])
}

fn dkim_list(context: &EvalContext<'_>, lists: [&str; 2]) -> EvalResult {
    let authors = context.values("From:addr");
    let mut entries =
        lists.iter().filter_map(|name| context.settings.addresses.get(*name)).flatten().filter_map(|entry| {
            let author = authors.iter().find(|author| fits(entry.glob.as_bytes(), &author.to_ascii_lowercase()))?;
            let own = memchr::memrchr(b'@', author)
                .and_then(|at| author.get(at + 1..))
                .map(octets::lossy)
                .unwrap_or_default();
            Some(entry.companion.clone().unwrap_or(own))
        });
    let first = entries.next();
    let signers: Vec<String> = first.into_iter().chain(entries).collect();
    if signers.is_empty() {
        return EvalResult::Miss;
    }
    with_signatures(context, |signature| {
        signature.is_valid
            && signers.iter().any(|signer| {
                let domain = signature.domain.to_ascii_lowercase();
                let parent = signer.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
                domain == parent || (signer.starts_with(['*', '.']) && domain.ends_with(&format!(".{parent}")))
            })
    })
}

pub(super) fn check_for_dkim_welcomelist_from(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    dkim_list(context, ["welcomelist_from_dkim", "welcomelist_auth"])
}

pub(super) fn check_for_def_dkim_welcomelist_from(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    dkim_list(context, ["def_welcomelist_from_dkim", "def_welcomelist_auth"])
}

pub(super) fn check_arc_signed(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    EvalResult::of(context.input.has("ARC-Seal"))
}

pub(super) fn check_arc_valid(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    match context.input.identity.arc_valid {
        Some(is_valid) => EvalResult::of(is_valid),
        None if context.input.has("ARC-Seal") => EvalResult::Unavailable(NO_RESULT),
        None => EvalResult::Miss,
    }
}

macro_rules! dmarc_tests {
    ($($name:ident => $wanted:ident;)*) => {$(
        pub(super) fn $name(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
            match context.input.identity.dmarc {
                DmarcResult::Unknown => EvalResult::Unavailable(NO_RESULT),
                result => EvalResult::of(result == DmarcResult::$wanted),
            }
        }
    )*};
}

dmarc_tests! {
    check_dmarc_pass => Pass;
    check_dmarc_none => None;
    check_dmarc_quarantine => Quarantine;
    check_dmarc_reject => Reject;
    check_dmarc_missing => Missing;
}

pub(super) fn check_bayes(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let Some(probability) = context.input.spam_probability else { return EvalResult::Unavailable("spam probability") };
    let min = number(args, 0);
    let max = args.get(1).filter(|arg| arg.text != "undef").map(Arg::number);
    let is_hit = (min == 0.0 || probability > min) && max.is_none_or(|max| probability <= max);
    if is_hit { EvalResult::Hit { count: 1, evidence: format!("{probability:.4}") } } else { EvalResult::Miss }
}
