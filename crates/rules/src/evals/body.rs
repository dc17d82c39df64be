//! `BodyEval`: sizes, blank lines, and how text and HTML of one message differ.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::{Arg, EvalContext, EvalResult, number, ours};
use crate::input::{Part, RenderedText, octets, short_chunks};
use crate::pattern::Pattern;

/// How far the HTML of an alternative goes beyond its text.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Alternative {
    /// Per cent of HTML words that the text lacks, the greatest of all alternatives.
    difference: f64,
    html_words: usize,
    text_words: usize,
}

/// The parts of the node at `index`, itself first.
pub(crate) fn subtree<'p>(parts: &'p [Part<'p>], index: usize) -> impl Iterator<Item = &'p Part<'p>> {
    let depth = parts.get(index).map_or(0, |part| part.depth);
    let rest = parts.iter().skip(index + 1).take_while(move |part| part.depth > depth);
    parts.get(index).into_iter().chain(rest)
}

fn alternative(context: &EvalContext<'_>) -> Alternative {
    *context.input.memo.alternative.get_or_init(|| {
        let parts = &context.input.parts;
        let mut found = Alternative::default();
        if is_meeting_request(parts) {
            return found;
        }
        for (index, _) in parts.iter().enumerate().filter(|(_, part)| part.content_type == "multipart/alternative") {
            compare(context, index, &mut found);
        }
        found
    })
}

/// Exchange sends meeting requests as HTML and a calendar: the text is missing on purpose.
fn is_meeting_request(parts: &[Part<'_>]) -> bool {
    let kinds: Vec<&str> = parts.iter().map(|part| part.content_type.as_str()).collect();
    kinds == ["multipart/alternative", "text/html", "text/calendar"]
}

#[allow(clippy::cast_precision_loss, reason = "counts of words are exact in a double")]
fn compare(context: &EvalContext<'_>, index: usize, found: &mut Alternative) {
    let (mut html, mut text): (HashMap<&str, usize>, HashMap<&str, usize>) = (HashMap::new(), HashMap::new());
    for part in subtree(&context.input.parts, index).filter(|part| is_text(&part.content_type)) {
        let Some(rendered) = &part.rendered else { continue };
        let words = if rendered.is_html { &mut html } else { &mut text };
        let is_word = |word: &&str| word.chars().any(|char| char.is_alphanumeric() || char == '_');
        for word in rendered.text.split_whitespace().filter(is_word) {
            *words.entry(word).or_insert(0) += 1;
        }
        // An image alone counts as one word that no text has.
        if rendered.is_html && html.is_empty() && rendered.has_image {
            html.insert("\n", 1);
        }
    }
    if html.is_empty() {
        return;
    }
    (found.html_words, found.text_words) = (html.len(), text.len());
    let left = html.iter().filter(|(word, count)| text.get(*word).is_none_or(|in_text| *count > in_text)).count();
    found.difference = found.difference.max(left as f64 / html.len() as f64 * 100.0);
}

fn is_text(kind: &str) -> bool {
    kind.strip_prefix("text").is_some_and(|rest| !rest.as_bytes().first().is_some_and(|octet| octets::is_word(*octet)))
}

pub(super) fn multipart_alternative_difference(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let difference = alternative(context).difference;
    let min = number(args, 0);
    let max = args.get(1).filter(|arg| arg.text != "undef").map(Arg::number);
    EvalResult::of((min == 0.0 || difference > min) && max.is_none_or(|max| difference <= max))
}

#[allow(clippy::cast_precision_loss, reason = "counts of words are exact in a double")]
pub(super) fn multipart_alternative_difference_count(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let found = alternative(context);
    let (html, text) = (found.html_words as f64, found.text_words as f64);
    EvalResult::of(html > number(args, 1) && text / html > number(args, 0))
}

#[allow(clippy::cast_precision_loss, reason = "counts of lines are exact in a double")]
pub(super) fn check_blank_line_ratio(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let (blank, lines) = *context.input.memo.blank_lines.get_or_init(|| blank_lines(&context.input.rawbody));
    let lines_min = number(args, 2).max(1.0);
    let ratio = if (lines as f64) < lines_min { -1.0 } else { 100.0 * blank as f64 / lines as f64 };
    let (min, max) = (number(args, 0), number(args, 1));
    EvalResult::of(ratio <= max && (min == 0.0 || ratio > min))
}

/// Blank lines and all lines.
fn blank_lines(chunks: &[Vec<u8>]) -> (usize, usize) {
    let (mut blank, mut lines) = (0, 0);
    for chunk in chunks {
        for line in octets::lines(chunk) {
            lines += 1;
            blank += usize::from(line.iter().all(|&octet| octets::is_space(octet)));
        }
    }
    (blank, lines)
}

#[allow(clippy::cast_precision_loss, reason = "a percentage is exact in a double")]
pub(super) fn tvd_vertical_words(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let percent = |line: &Vec<u8>| {
        let spaces = memchr::memchr_iter(b' ', line).count();
        let others = line.len() - spaces;
        if spaces > others || others == 0 { 100 } else { 100 * spaces / others }
    };
    let value = context
        .input
        .body
        .iter()
        .filter(|line| line.len() > 5)
        .map(percent)
        .max()
        .map_or(-1.0, |percent| percent as f64);
    let max = number(args, 1);
    EvalResult::of(value >= number(args, 0) && value < if max >= 100.0 { 101.0 } else { max })
}

static STOCK_WORD: LazyLock<Pattern> = LazyLock::new(|| {
    ours(
        r"/(^trad(?:e|ing)date|company(?:name)?|s\w?(?:t\w?o\w?c\w?k|y\w?m(?:\w?b\w?o\w?l)?)|t(?:arget|icker)|(?:opening|current)p(?:rice)?|p(?:rojected|osition)|expectations|weeks?high|marketperformance|(?:year|week|month|day|price)(?:target|estimates?)|sector|r(?:ecommendation|ating))$/",
    )
});

fn stock_info(context: &EvalContext<'_>) -> usize {
    static LINE: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^\s*[^:\s][^:\n]{2,29}\s*:\s*\S/m"));
    *context.input.memo.stock_info.get_or_init(|| {
        let first = context.input.parts.iter().find(|part| part.content_type == "text/plain");
        let Some(RenderedText { text, .. }) = first.and_then(|part| part.rendered.as_ref()) else { return 0 };
        let mut found: HashSet<Vec<u8>> = HashSet::new();
        for chunk in short_chunks(text.as_bytes()) {
            let mut from = 0;
            while let Ok(Some((start, end))) = LINE.find_at(chunk, from) {
                let line = chunk.get(start..end).unwrap_or_default();
                let label = octets::trim(line).split(|&octet| octet == b':').next().unwrap_or_default();
                let letters: Vec<u8> = label.to_ascii_lowercase().into_iter().filter(u8::is_ascii_lowercase).collect();
                found.extend(super::header::group(&STOCK_WORD, &letters).map(<[u8]>::to_vec));
                from = end.max(from + 1);
            }
        }
        found.len()
    })
}

#[allow(clippy::cast_precision_loss, reason = "a small count is exact in a double")]
pub(super) fn check_stock_info(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let min = number(args, 0);
    EvalResult::of(min == 0.0 || stock_info(context) as f64 >= min)
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
pub(super) fn check_body_length(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    EvalResult::of(context.input.pristine_body.len() as f64 <= number(args, 0))
}

/// Octets of the first plain text before its signature, and of the signature.
fn signature(context: &EvalContext<'_>) -> Option<(usize, usize)> {
    static MARK: LazyLock<Pattern> = LazyLock::new(|| ours(r"/^-- ?\r?$/m"));
    let part = context.input.parts.iter().find(|part| part.content_type.starts_with("text/plain"))?;
    // A part with parts of its own has no content.
    if !part.is_leaf {
        return Some((0, 0));
    }
    let text = &part.decoded;
    let (mut body, mut signature) = (text.len(), 0);
    if !octets::contains(text, b"--") {
        return Some((body, signature));
    }
    let mut from = 0;
    while let Ok(Some((start, end))) = MARK.find_at(text, from) {
        // A mark at the very end is none.
        if text.len() - end > 4 {
            (body, signature) = (start, text.len() - end);
        }
        from = end.max(from + 1);
    }
    Some((body, signature))
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
fn is_within(value: Option<usize>, args: &[Arg]) -> EvalResult {
    let is_hit = value.is_some_and(|value| {
        let value = value as f64;
        value >= number(args, 0) && args.get(1).is_none_or(|max| value <= max.number())
    });
    EvalResult::of(is_hit)
}

pub(super) fn plaintext_body_length(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    is_within(signature(context).map(|(body, _)| body), args)
}

pub(super) fn plaintext_sig_length(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    is_within(signature(context).map(|(_, signature)| signature), args)
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
pub(super) fn plaintext_body_sig_ratio(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    const WITHOUT_SIGNATURE: f64 = 1e6;
    let ratio = signature(context)
        .map(|(body, signature)| if signature > 0 { body as f64 / signature as f64 } else { WITHOUT_SIGNATURE });
    let max = args.get(1).map(Arg::number);
    EvalResult::of(ratio.is_some_and(|ratio| ratio >= number(args, 0) && max.is_none_or(|max| ratio <= max)))
}
