//! Prints what rules see of messages, one fact a line, to be compared with what SpamAssassin sees of them.
//! Usage: `show_input RULE_FILE… -- < list of message files`. Octets outside printable ASCII are written as `\xHH`.
#![allow(clippy::disallowed_methods, reason = "an example reads files")]

use std::fmt::Write as _;
use std::io::{BufRead, Write};

use tidegate_rules::input::{Context, Input};
use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{CompileOptions, FieldRequest, Settings, compile};

const FIELDS: [&str; 16] = [
    "EnvelopeFrom",
    "From:addr",
    "From:name",
    "To:addr",
    "Reply-To:addr",
    "ToCc:addr",
    "From:addr:host",
    "From:addr:domain",
    "Message-Id:host",
    "Subject",
    "Subject:raw",
    "ALL-UNTRUSTED:raw",
    "ALL-TRUSTED",
    "MESSAGEID",
    "Received:raw",
    "Received:ip",
];

fn main() {
    let files = std::env::args().skip(1).filter_map(|name| {
        let text = std::fs::read(&name).ok()?;
        Some(SourceFile { name, text })
    });
    let parsed = parse(&files.collect::<Vec<_>>(), &ParseOptions::default(), &no_includes);
    let (rules, _) = compile(parsed, CompileOptions { network: false, classifier: false });
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for path in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(octets) = std::fs::read(&path) else { continue };
        let input = Input::from_octets(&octets, &Context::default(), rules.settings());
        let _ = out.write_all(show(&path, &input, rules.settings()).as_bytes());
    }
}

fn show(path: &str, input: &Input<'_>, settings: &Settings) -> String {
    let mut text = format!("FILE {path}\n");
    for (name, pieces) in [("BODY", &input.body), ("RAW", &input.rawbody)] {
        for piece in pieces {
            let _ = writeln!(text, "{name} {}", escaped(piece));
        }
    }
    show_links(input, &mut text);
    let relays = &input.relays;
    let _ = writeln!(text, "RELAYS trusted {}", escaped(&relays.trusted_text));
    let _ = writeln!(text, "RELAYS untrusted {}", escaped(&relays.untrusted_text));
    let index = |index: Option<usize>| index.map_or("-1".to_owned(), |index| index.to_string());
    let (trusted, internal) = (index(relays.last_trusted), index(relays.last_internal));
    let _ = writeln!(text, "INDEX {trusted} {internal} {}", relays.unparseable);
    for field in FIELDS {
        let values = input.get(&FieldRequest::parse(field), settings);
        let _ = writeln!(text, "GET {field} {}", escaped(&values.join(&b'|')));
    }
    let mut senders = input.sender_addresses(settings).to_vec();
    senders.sort();
    let _ = writeln!(text, "FROMADDRS {}", escaped(&senders.join(&b',')));
    let _ = writeln!(text, "TOADDRS {}", escaped(&input.recipient_addresses(settings).join(&b',')));
    show_html(input, &mut text);
    show_parts(input, &mut text);
    text
}

fn show_links(input: &Input<'_>, text: &mut String) {
    let mut cleaned: Vec<&Vec<u8>> = input.uris.iter().flat_map(|uri| &uri.cleaned).collect();
    cleaned.sort();
    cleaned.dedup();
    for uri in cleaned {
        let _ = writeln!(text, "URI {}", escaped(uri));
    }
    let mut uris: Vec<_> = input.uris.iter().collect();
    uris.sort_by(|one, other| one.raw.cmp(&other.raw));
    for uri in uris {
        let sorted = |names: Vec<&str>| {
            let mut names = names;
            names.sort_unstable();
            names.join(",")
        };
        let sources = sorted(uri.sources.iter().map(|source| source.name()).collect());
        let hosts = sorted(uri.hosts.iter().map(String::as_str).collect());
        let domains = sorted(uri.domains.iter().map(String::as_str).collect());
        let anchors: Vec<String> = uri.anchor_texts.iter().map(|anchor| escaped(anchor)).collect();
        let _ =
            writeln!(text, "DETAIL {} | {sources} | {hosts} | {domains} | {}", escaped(&uri.raw), anchors.join("~"));
    }
}

fn show_html(input: &Input<'_>, text: &mut String) {
    for html in &input.html.parts {
        let ratio = |value: Option<f64>| value.map_or("-".to_owned(), general);
        let flag = |value: bool| if value { "1" } else { "-" };
        let backhair = html.backhair_count.map_or("-".to_owned(), |count| count.to_string());
        let _ = writeln!(
            text,
            "HTML length={} html_length={} non_space_len={} ratio={} image_area={} min_size={} max_size={} closed_extra_ratio={} \
             bad_tag_ratio={} non_element_ratio={} obfuscation_ratio={} backhair_count={backhair} font_low_contrast={} \
             font_invalid_color={} font_face_bad={} form_action_mailto={} embeds={}",
            html.length,
            html.html_length,
            html.non_space_len,
            ratio(html.ratio),
            general(html.image_area),
            html.min_size,
            html.max_size,
            ratio(html.closed_extra_ratio),
            ratio(html.bad_tag_ratio),
            ratio(html.non_element_ratio),
            ratio(html.obfuscation_ratio),
            flag(html.font_low_contrast),
            flag(html.font_invalid_color),
            flag(html.font_face_bad),
            flag(html.form_action_mailto),
            flag(html.embeds),
        );
        let mut inside: Vec<_> = html.inside.iter().collect();
        inside.sort();
        let inside: Vec<String> =
            inside.iter().map(|(tag, count)| format!("{}={count}", escaped(tag.as_bytes()))).collect();
        let _ = writeln!(text, "INSIDE {}", inside.join(" "));
        let titles: Vec<String> = html.titles.iter().map(|title| escaped(title.as_bytes())).collect();
        let _ = writeln!(text, "TITLE {}", titles.join("~"));
    }
}

/// A number with six significant digits, as `%.6g` prints it.
fn general(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.abs().log10().floor();
    if !(-4.0..6.0).contains(&exponent) {
        let scientific = format!("{value:.5e}");
        let (digits, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
        let power: i32 = power.parse().unwrap_or(0);
        return format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 10")]
    let places = (5.0 - exponent) as usize;
    let fixed = format!("{value:.places$}");
    if fixed.contains('.') { fixed.trim_end_matches('0').trim_end_matches('.').to_owned() } else { fixed }
}

fn show_parts(input: &Input<'_>, text: &mut String) {
    let parts: Vec<String> = input
        .parts
        .iter()
        .map(|part| {
            let content = if part.is_leaf { format!("{:016x}", digest(&part.decoded)) } else { "-".to_owned() };
            let charset = part.charset.as_deref().unwrap_or_default();
            let name = escaped(part.name.as_deref().unwrap_or_default());
            format!("{}:{content}:{name}:{}", part.content_type, escaped(charset.as_bytes()))
        })
        .collect();
    let _ = writeln!(text, "PARTS {}", parts.join(" "));
    let flags = &input.flags;
    let flags = [
        (flags.missing_head_body_separator, "missing_head_body_separator"),
        (flags.truncated_header, "truncated_header"),
        (flags.missing_mime_headers, "missing_mime_headers"),
        (flags.missing_mime_head_body_separator, "missing_mime_head_body_separator"),
        (flags.mime_epilogue_exists, "mime_epilogue_exists"),
        (flags.mimepart_limit_exceeded, "mimepart_limit_exceeded"),
    ];
    let names: Vec<&str> = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, name)| *name).collect();
    let _ = writeln!(text, "FLAGS {}", names.join(" "));
}

/// FNV-1a, to compare contents by their digest.
fn digest(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x100_0000_01b3))
}

fn escaped(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    for &octet in octets {
        if octet == b'\\' || !(0x20..0x7f).contains(&octet) {
            let _ = write!(text, "\\x{octet:02x}");
        } else {
            text.push(char::from(octet));
        }
    }
    text
}
