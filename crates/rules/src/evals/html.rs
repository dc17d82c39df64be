//! `HTMLEval` and `HTTPSMismatch`: what the HTML parts show.

use super::{Arg, EvalContext, EvalResult, any, argument_matches, number};
use crate::input::{HtmlPart, domain, ip, octets};

pub(super) fn html_tag_balance(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let (Some(tag), Some(expression)) = (args.first(), args.get(1)) else { return EvalResult::Miss };
    let counts = context.input.html.parts.iter().filter_map(|part| part.inside.get(&tag.text));
    #[allow(clippy::cast_precision_loss, reason = "counts of tags are exact in a double")]
    EvalResult::of(counts.into_iter().any(|count| holds(*count as f64, &expression.text)))
}

/// Whether a comparison like `> 3` or `!= 0` holds for `value`.
fn holds(value: f64, expression: &str) -> bool {
    let expression = expression.trim();
    let operator = expression.trim_end_matches(|char: char| char.is_ascii_digit() || matches!(char, ' ' | '-' | '+'));
    let operand: f64 = expression.get(operator.len()..).and_then(|operand| operand.trim().parse().ok()).unwrap_or(0.0);
    match operator.trim() {
        ">" => value > operand,
        ">=" => value >= operand,
        "<" => value < operand,
        "<=" => value <= operand,
        "==" => value == operand,
        "!=" => value != operand,
        _ => false,
    }
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
pub(super) fn html_image_only(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let is_hit = |part: &HtmlPart| {
        let length = part.length as f64;
        part.inside.contains_key("img") && length > number(args, 0) && length <= number(args, 1)
    };
    EvalResult::of(context.input.html.parts.iter().any(is_hit))
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
pub(super) fn html_image_ratio(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let is_hit = |part: &HtmlPart| {
        let ratio = part.non_space_len as f64 / part.image_area;
        part.image_area > 0.0 && ratio > number(args, 0) && ratio <= number(args, 1)
    };
    EvalResult::of(context.input.html.parts.iter().any(is_hit))
}

pub(super) fn html_tag_exists(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let tag = args.first().map_or("", |arg| arg.text.as_str());
    EvalResult::of(context.input.html.parts.iter().any(|part| part.inside.contains_key(tag)))
}

/// A fact of an HTML part by the name that rules use; flags are 1, what is unknown is `None`.
#[allow(clippy::cast_precision_loss, reason = "sizes and counts are exact in a double")]
fn fact(part: &HtmlPart, name: &str) -> Option<f64> {
    let flag = |is_set: bool| is_set.then_some(1.0);
    match name {
        "html" => Some(1.0),
        "length" => Some(part.length as f64),
        "html_length" => Some(part.html_length as f64),
        "non_space_len" => Some(part.non_space_len as f64),
        "ratio" => part.ratio,
        "image_area" => Some(part.image_area),
        "min_size" => Some(part.min_size as f64),
        "max_size" => Some(part.max_size as f64),
        "closed_extra_ratio" => part.closed_extra_ratio,
        "bad_tag_ratio" => part.bad_tag_ratio,
        "non_element_ratio" => part.non_element_ratio,
        "obfuscation_ratio" => part.obfuscation_ratio,
        "backhair_count" => part.backhair_count.map(|count| count as f64),
        "font_low_contrast" => flag(part.font_low_contrast),
        "font_invalid_color" => flag(part.font_invalid_color),
        "font_face_bad" => flag(part.font_face_bad),
        "form_action_mailto" => flag(part.form_action_mailto),
        "embeds" => flag(part.embeds),
        _ => None,
    }
}

pub(super) fn html_test(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let name = args.first().map_or("", |arg| arg.text.as_str());
    EvalResult::of(context.input.html.parts.iter().any(|part| fact(part, name).is_some_and(|value| value != 0.0)))
}

pub(super) fn html_eval(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let (Some(name), Some(expression)) = (args.first(), args.get(1)) else { return EvalResult::Miss };
    let mut values = context.input.html.parts.iter().filter_map(|part| fact(part, &name.text));
    EvalResult::of(values.any(|value| holds(value, &expression.text)))
}

pub(super) fn html_range(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let name = args.first().map_or("", |arg| arg.text.as_str());
    let max = args.get(2).filter(|max| max.text != "inf").map(Arg::number);
    let mut values = context.input.html.parts.iter().filter_map(|part| fact(part, name));
    EvalResult::of(values.any(|value| value > number(args, 1) && max.is_none_or(|max| value <= max)))
}

fn texts<'p>(part: &'p HtmlPart, name: &str) -> &'p [String] {
    match name {
        "comment" => &part.comments,
        "script" => &part.scripts,
        "title" => &part.titles,
        "anchor" => &part.anchors,
        _ => &[],
    }
}

pub(super) fn html_text_match(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let name = args.first().map_or("", |arg| arg.text.as_str());
    let all = context.input.html.parts.iter().flat_map(|part| texts(part, name));
    any(all, |text| argument_matches(args, 1, text.as_bytes())).into()
}

pub(super) fn html_text_not_match(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let name = args.first().map_or("", |arg| arg.text.as_str());
    let all = context.input.html.parts.iter().flat_map(|part| texts(part, name));
    any(all, |text| argument_matches(args, 1, text.as_bytes()).map(|is_match| !is_match)).into()
}

#[allow(clippy::cast_precision_loss, reason = "sizes are exact in a double")]
pub(super) fn html_title_subject_ratio(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let subject = context.text("Subject");
    if subject.is_empty() {
        return EvalResult::Miss;
    }
    let is_long = |title: &String| title.chars().count() as f64 / subject.len() as f64 > number(args, 0);
    EvalResult::of(context.input.html.parts.iter().flat_map(|part| &part.titles).any(is_long))
}

pub(super) fn check_iframe_src(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let mut links = context.input.html.parts.iter().flat_map(|part| &part.links);
    EvalResult::of(links.any(|link| link.tags.contains(&"iframe")))
}

/// A text that shows one `https` site, on a link that leads to another.
pub(super) fn check_https_http_mismatch(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let min = args.first().map_or(1, |arg| if arg.number() == 0.0 { 1 } else { count(arg) });
    let max = args.get(1).map(count);
    for part in &context.input.html.parts {
        let (mut anchors, mut is_hit) = (0, false);
        for link in part.links.iter().filter(|link| !link.anchor_texts.is_empty()) {
            let Some(site) = link_site(context, link.uri.as_bytes()) else { continue };
            anchors += 1;
            is_hit |= link
                .anchor_texts
                .iter()
                .any(|text| shown_site(context, text.as_bytes()).is_some_and(|shown| shown != site));
        }
        if is_hit && anchors >= min && max.is_none_or(|max| anchors < max) {
            return EvalResult::of(true);
        }
    }
    EvalResult::Miss
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bound of a rule, cut at zero")]
fn count(arg: &Arg) -> usize {
    arg.number().max(0.0) as usize
}

/// The registered domain that a link leads to; addresses have rules of their own.
fn link_site(context: &EvalContext<'_>, uri: &[u8]) -> Option<Vec<u8>> {
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| octets::starts_caseless(uri, scheme))?;
    let host = uri.get(scheme.len()..)?.split(|octet| matches!(octet, b'/' | b':' | b'?' | b'#')).next()?;
    if host.is_empty() || ip::is_address(host) {
        return None;
    }
    let suffixes = &context.settings.suffixes;
    let site = domain::registered(host, suffixes);
    let (registered, _) = domain::of_uri(&site, suffixes)?;
    domain::has_known_tld(&registered, suffixes).then_some(site)
}

/// The site that a text shows as `https://…`.
fn shown_site(context: &EvalContext<'_>, text: &[u8]) -> Option<Vec<u8>> {
    let at = octets::find_caseless(text, b"https://", 0)?;
    let rest = text.get(at + 8..)?;
    let end = rest
        .iter()
        .position(|octet| octets::is_space(*octet) || matches!(octet, b'/' | b':' | b'?' | b'#'))
        .unwrap_or(rest.len());
    let host = rest.get(..end).filter(|host| !host.is_empty())?;
    if ip::is_address(host) {
        return Some(host.to_vec());
    }
    let site = domain::registered(host, &context.settings.suffixes);
    domain::has_known_tld(&site, &context.settings.suffixes).then_some(site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons() {
        for (value, expression, expected) in [
            (2.0, "> 1", true),
            (0.0, "!= 0", false),
            (-1.0, "<0", true),
            (3.0, ">= 3", true),
            (3.0, "nonsense", false),
        ] {
            assert_eq!(holds(value, expression), expected, "{value} {expression}");
        }
    }
}
