//! `Received` headers (RFC 5321 section 4.4): who handed the message to whom, as far as the many shapes tell.

mod forms;
mod outline;
mod template;
mod tokens;

use std::sync::LazyLock;

use forms::{FROM, Family, Form, PARENTHESIS_FROM, Then, UPPER_FROM};
use template::{Template, Words, ip_pattern};

use super::octets::{self, contains, fold_spaces, is_space, trim};
use super::{Relay, ip};
use crate::pattern::{Modifiers, Pattern};

/// The pattern of an address in running text.
pub(crate) fn received_address_pattern() -> String {
    ip_pattern()
}

/// What one header tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A hand-over.
    Relay(Box<Relay>),
    /// No hand-over between hosts.
    Ignored,
    /// A program fetched the mail from a mailbox.
    Fetched,
    /// Only a detail of the header below: its sender.
    Sender(Option<String>),
    /// It cannot be read.
    Unreadable,
}

/// Patterns that are looked for anywhere in a header.
struct Patterns {
    sender: Pattern,
    exchange: Pattern,
    bracketed: Pattern,
    auth: Vec<Proof>,
    via_http: Pattern,
    exim_helo: Pattern,
    exim_ip: Pattern,
    exim_by: Pattern,
}

/// How a client may have proved itself.
struct Proof {
    /// What every line has that `pattern` matches.
    mark: &'static [u8],
    pattern: Pattern,
    /// What it is called; `$1` and `$2` stand for groups.
    text: &'static str,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(Patterns::compile);
static SHAPES: LazyLock<[Vec<(&'static Form, Template)>; 3]> = LazyLock::new(|| {
    [FROM, UPPER_FROM, PARENTHESIS_FROM].map(|forms| forms.iter().map(|form| (form, form.template())).collect())
});

impl Patterns {
    fn compile() -> Patterns {
        let pattern = |source: &str, modifiers| {
            Pattern::compile(source.as_bytes(), modifiers).expect("the patterns of Received headers are ours")
        };
        let plain = |source: &str| pattern(source, Modifiers::default());
        let caseless = |source: &str| pattern(source, Modifiers { caseless: true, ..Modifiers::default() });
        let address = ip_pattern();
        let proof = |mark: &'static str, pattern, text| Proof { mark: mark.as_bytes(), pattern, text };
        let google = "^(?=.* by mx\\.google\\.com with ESMTPS id [a-z0-9]{1,4}sm\\d{2,9}[a-z]{3}\\.\\d{1,3}\\.\\d{4}\\.(?:[0-6]\\d\\.){4}[0-6]\\d).*?\\(version=([^ ]+) cipher=([^)]+)\\)";
        Patterns {
            sender: caseless("(?:return-path:? |envelope-(?:sender|from)[ =])(\\S+)\\b"),
            exchange: plain(
                " with (?:Microsoft SMTP Server|mapi id) (?:\\([^)]+\\) )?\\d+\\.\\d+\\.\\d+\\.\\d+(?:$| )",
            ),
            bracketed: plain(&format!("\\[({address})\\]")),
            // How the client proved itself, in the order of trial after `tokens::submission`.
            auth: vec![
                proof(" by mx.google.com with ESMTPS id ", plain(google), "GMail - transport=$1 cipher=$2"),
                proof(
                    " (AUTH: ",
                    plain(
                        "^from .*?(?:\\]\\)|\\)\\]) \\(AUTH: (LOGIN|PLAIN|DIGEST-MD5|CRAM-MD5) \\S+(?:, .*?)?\\) by ",
                    ),
                    "$1",
                ),
                proof(
                    "authenticated",
                    plain("^from .*?(?:\\](?: \\([^)]*\\))?\\)|\\)\\]) .*?\\(.*?authenticated.*?\\).*? by"),
                    "Sendmail",
                ),
                proof(
                    " by mail.gmx.",
                    plain(&format!(
                        "from \\S* \\((?:HELO|EHLO) \\S*\\) \\[{address}\\] by (mail\\.gmx\\.(?:net|com)) \\([^)]+\\) with (ESMTP|SMTP)"
                    )),
                    "GMX ($2 / $1)",
                ),
                proof(
                    " (authenticated as ",
                    plain(
                        "^(?=.* \\(authenticated as ).*?\\) by .+ \\(\\d{1,2}\\.\\d\\.\\d{3}(?:\\.\\d{1,3})?\\) \\(authenticated as .+\\) id ",
                    ),
                    "CriticalPath",
                ),
                proof(
                    ") (Authenticated sender: ",
                    plain("\\) \\(Authenticated sender: \\S+\\) by \\S+ \\(Postfix\\) with "),
                    "Postfix",
                ),
                proof(
                    ") (Authenticated sender: ",
                    plain("\\) \\(Authenticated sender: \\S+\\) by \\S+ \\(([^)]+)\\) with "),
                    "Postfix ($1)",
                ),
                proof(
                    " (account ",
                    plain("^(?=.* \\(account ).*?CommuniGate Pro (?:HTTP|SMTP|XIMSS|IMAP)"),
                    "Communigate",
                ),
                proof(
                    " with Microsoft Exchange Server HTTP-DAV",
                    plain(" with Microsoft Exchange Server HTTP-DAV\\b"),
                    "HTTP-DAV",
                ),
            ],
            // The last of all: any other program that says so.
            via_http: caseless("^(?=.* by ).*? \\(via (HTTP.?)\\)(?: |;|$)"),
            exim_helo: plain(" \\((\\S+)\\) "),
            exim_ip: plain(&format!(" \\[({address})(?:\\.\\d+)?\\] ")),
            exim_by: plain("by (\\S+) "),
        }
    }
}

/// The first group of the leftmost match.
fn group<'t>(pattern: &Pattern, text: &'t [u8]) -> Option<&'t [u8]> {
    pattern.captures(text).ok()??.get(1).copied().flatten()
}

/// What is known while a header is read.
#[derive(Clone, Debug, Default)]
struct Draft<'l> {
    ip: &'l [u8],
    helo: &'l [u8],
    rdns: &'l [u8],
    by: &'l [u8],
    id: &'l [u8],
    ident: &'l [u8],
    sender: Option<&'l [u8]>,
    auth: String,
    was_looked_up: bool,
}

/// Reads the decoded value of a `Received` header.
pub(crate) fn read(value: &[u8]) -> Reading {
    let folded = fold_spaces(value);
    let line = without_semicolons(trim(&folded));
    if !octets::starts_caseless(line, b"from ") && !octets::starts_caseless(line, b"(from ") {
        return Reading::Ignored;
    }
    if is_local(line) || is_addressless(line) {
        return Reading::Ignored;
    }
    let line = tokens::without_date(line);
    match octets::find(line, b")by ") {
        Some(_) => read_line(&replaced_once(line, b")by ", b") by ")),
        None => read_line(line),
    }
}

fn without_semicolons(mut line: &[u8]) -> &[u8] {
    while let Some(rest) = line.strip_suffix(b";") {
        line = rest.strip_suffix(b" ").unwrap_or(rest);
    }
    line
}

fn is_local(line: &[u8]) -> bool {
    memchr::memmem::find_iter(line, b"with local for").any(|at| {
        let before = at.checked_sub(1).and_then(|before| line.get(before));
        let after = line.get(at + 14);
        !before.is_some_and(|&octet| octets::is_word(octet)) && !after.is_some_and(|&octet| octets::is_word(octet))
    })
}

/// `from NAME by NAME;`: no address at all.
fn is_addressless(line: &[u8]) -> bool {
    if !octets::starts_caseless(line, b"from ") {
        return false;
    }
    let mut words = line.split(|&octet| octet == b' ').skip(1);
    let (Some(from), Some(by), Some(host)) = (words.next(), words.next(), words.next()) else { return false };
    let is_bracketed = from.len() > 2
        && from.starts_with(b"[")
        && from.ends_with(b"]")
        && from
            .get(1..from.len() - 1)
            .is_some_and(|inner| inner.iter().all(|&octet| octet.is_ascii_digit() || octet == b'.'));
    let is_ended = memchr::memchr(b';', host).is_some_and(|at| at > 0)
        || (!host.contains(&b';') && !host.is_empty() && words.next().is_some_and(|word| word.starts_with(b";")));
    by.eq_ignore_ascii_case(b"by") && !from.is_empty() && !is_bracketed && is_ended
}

fn replaced_once(line: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    match octets::find(line, from) {
        Some(at) => [line.get(..at).unwrap_or_default(), to, line.get(at + from.len()..).unwrap_or_default()].concat(),
        None => line.to_vec(),
    }
}

fn read_line(line: &[u8]) -> Reading {
    let patterns = &*PATTERNS;
    let mut draft = Draft {
        id: tokens::id(line).unwrap_or_default(),
        helo: tokens::helo(line).unwrap_or_default(),
        by: tokens::by(line).unwrap_or_default(),
        auth: authentication(line),
        ..Draft::default()
    };
    let [from, upper, parenthesis] = &*SHAPES;
    let reading = if let Some(rest) = line.strip_prefix(b"from ") {
        draft.sender = tokens::may_tell_sender(rest).then(|| group(&patterns.sender, rest)).flatten();
        read_from(rest, &mut draft, from)
    } else if let Some(rest) = line.strip_prefix(b"FROM ") {
        read_shapes(rest, None, &mut draft, upper)
    } else if let Some(rest) = line.strip_prefix(b"(from ") {
        read_shapes(rest, None, &mut draft, parenthesis)
    } else {
        None
    };
    if let Some(reading) = reading {
        return reading;
    }
    if draft.ip.is_empty() {
        draft.ip = group(&patterns.bracketed, line).unwrap_or_default();
    }
    if draft.ip.is_empty() || draft.by.is_empty() { Reading::Unreadable } else { finish(&draft) }
}

fn authentication(line: &[u8]) -> String {
    if let Some(protocol) = tokens::submission(line) {
        return octets::lossy(protocol);
    }
    let proofs = PATTERNS.auth.iter().filter(|proof| contains(line, proof.mark));
    let last = tokens::has_caseless(line, b"(via http").then_some((&PATTERNS.via_http, "$1"));
    for (pattern, text) in proofs.map(|proof| (&proof.pattern, proof.text)).chain(last) {
        let Ok(Some(groups)) = pattern.captures(line) else { continue };
        let group = |index: usize| groups.get(index).copied().flatten().map(octets::lossy).unwrap_or_default();
        return text.replace("$1", &group(1)).replace("$2", &group(2));
    }
    String::new()
}

fn read_from<'l>(line: &'l [u8], draft: &mut Draft<'l>, shapes: &[(&'static Form, Template)]) -> Option<Reading> {
    let family = family(line);
    let is_mail_exim = family == Some(Family::Exim);
    // Exim's loose shapes come after its own and before the general ones.
    let split = shapes.iter().rposition(|(form, _)| form.family == Some(Family::Exim)).map_or(0, |last| last + 1);
    let (first, rest) = shapes.split_at_checked(split).unwrap_or((shapes, &[]));
    if let Some(reading) = read_shapes(line, family, draft, first) {
        return Some(reading);
    }
    if is_mail_exim && read_loose_exim(line, draft) {
        return Some(finish(draft));
    }
    if let Some(reading) = read_shapes(line, family, draft, rest) {
        return Some(reading);
    }
    if draft.helo.is_empty() {
        draft.helo = tokens::first_word(line).unwrap_or_default();
    }
    None
}

/// The host program that wrote the header.
fn family(line: &[u8]) -> Option<Family> {
    let is_ecelerity = || {
        memchr::memmem::find_iter(line, b"(ecelerity")
            .any(|at| !line.get(at + 10).is_some_and(|&octet| octets::is_word(octet)))
    };
    let is_exchange = || {
        (contains(line, b" with Microsoft SMTP Server ") || contains(line, b" with mapi id "))
            && PATTERNS.exchange.is_match(line) == Ok(true)
    };
    if contains(line, b" SMTPSVC") {
        Some(Family::Smtpsvc)
    } else if is_exchange() {
        Some(Family::Exchange)
    } else if contains(line, b"[XMail ") {
        Some(Family::Xmail)
    } else if is_ecelerity() {
        Some(Family::Ecelerity)
    } else if contains(line, b"Exim") {
        Some(Family::Exim)
    } else if contains(line, b" (Postfix) with") {
        Some(Family::Postfix)
    } else if contains(line, b"(Scalix SMTP Relay") {
        Some(Family::Scalix)
    } else if contains(line, b" (Lotus Domino ") {
        Some(Family::Domino)
    } else {
        None
    }
}

fn read_shapes<'l>(
    line: &'l [u8],
    family: Option<Family>,
    draft: &mut Draft<'l>,
    shapes: &[(&'static Form, Template)],
) -> Option<Reading> {
    for (form, template) in shapes {
        if form.family.is_some() && form.family != family {
            continue;
        }
        let Some(words) = template.read(line) else { continue };
        match form.then {
            Then::Ignore => return Some(Reading::Ignored),
            Then::Fetched => return Some(Reading::Fetched),
            Then::QmailScanner => return Some(Reading::Sender(draft.sender.map(clean_sender))),
            then => {
                take(line, draft, &words, then, form.looks_up);
                return Some(finish(draft));
            }
        }
    }
    None
}

fn take<'l>(line: &'l [u8], draft: &mut Draft<'l>, words: &Words<'l>, then: Then, looks_up: bool) {
    let word = |name: &str| words.get(name);
    draft.ip = word("ip").unwrap_or(draft.ip);
    draft.helo = word("helo").unwrap_or(draft.helo);
    draft.rdns = word("rdns").unwrap_or(draft.rdns);
    draft.by = word("by").unwrap_or(draft.by);
    draft.ident = word("ident").unwrap_or(draft.ident);
    draft.id = word("id").unwrap_or(draft.id);
    draft.was_looked_up |= looks_up;
    let detail = |name: &[u8]| word("rest").and_then(|rest| detail(rest, name));
    match then {
        Then::DetailsRdns => {
            draft.helo = detail(b"helo=").filter(|helo| !helo.is_empty()).unwrap_or(draft.rdns);
            draft.ident = detail(b"ident=").unwrap_or(draft.ident);
        }
        Then::Details => {
            draft.helo = detail(b"helo=").filter(|helo| !helo.is_empty()).unwrap_or(draft.helo);
            draft.ident = detail(b"ident=").unwrap_or(draft.ident);
        }
        Then::HeloIsRdns => draft.helo = draft.rdns,
        Then::UnknownIsNone => {
            if draft.rdns == b"unknown" || draft.rdns == b"unverified" {
                draft.rdns = b"";
            }
        }
        Then::IdentBeforeRdns => {
            if let Some(at) = memchr::memchr(b'@', draft.rdns) {
                let (ident, host) = draft.rdns.split_at_checked(at).unwrap_or_default();
                draft.ident = ident.strip_prefix(b"IDENT:").unwrap_or(ident);
                draft.rdns = host.get(1..).unwrap_or_default();
            }
        }
        Then::SoftError => {
            if draft.rdns == b"softdnserr" {
                draft.rdns = b"";
                draft.was_looked_up = false;
            }
        }
        Then::Qmail => {
            draft.helo = word("helo").unwrap_or(draft.rdns);
            draft.was_looked_up |= draft.rdns != b"unknown";
            draft.rdns = if draft.rdns == b"unknown" { b"" } else { draft.rdns };
        }
        Then::Xmail => {
            draft.id = told_in(line, b" id <").unwrap_or(draft.id);
            draft.sender = told_in(line, b" from <").or(draft.sender);
        }
        Then::NoId => draft.id = b"",
        Then::Obtuse => {
            draft.helo = word("helo").unwrap_or_default();
            draft.was_looked_up |= draft.rdns != b"UNKNOWN";
        }
        Then::Take | Then::Ignore | Then::Fetched | Then::QmailScanner => {}
    }
}

/// The word after `name` in the parenthesis of an Exim header.
fn detail<'l>(rest: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let after = rest.get(octets::find(rest, name)? + name.len()..)?;
    after.split(|&octet| is_space(octet)).next()
}

/// The text between `mark` and the last `>` of that word.
fn told_in<'l>(line: &'l [u8], mark: &[u8]) -> Option<&'l [u8]> {
    let after = line.get(octets::find(line, mark)? + mark.len()..)?;
    let word = after.split(|&octet| is_space(octet)).next()?;
    word.get(..memchr::memrchr(b'>', word)?).filter(|word| !word.is_empty())
}

/// Little bits of odd Exim headers. True when an address and a host were found.
fn read_loose_exim<'l>(line: &'l [u8], draft: &mut Draft<'l>) -> bool {
    let first = line.split(|&octet| is_space(octet)).next().filter(|word| !word.is_empty() && word.len() < line.len());
    draft.rdns = first.unwrap_or(draft.rdns);
    draft.helo = group(&PATTERNS.exim_helo, line).unwrap_or(draft.helo);
    draft.ip = group(&PATTERNS.exim_ip, line).unwrap_or(draft.ip);
    match group(&PATTERNS.exim_by, line) {
        Some(by) => {
            draft.by = by;
            !draft.ip.is_empty()
        }
        None => false,
    }
}

/// Octets that would break the one-line form of relays are shown as `!`.
fn clean(text: &[u8]) -> String {
    let is_bad =
        |octet: u8| is_space(octet) || matches!(octet, 0 | b'#' | b'[' | b']' | b'(' | b')' | b'<' | b'>' | b'|');
    let octets: Vec<u8> = text.iter().map(|&octet| if is_bad(octet) { b'!' } else { octet }).collect();
    octets::lossy(&octets)
}

fn clean_sender(text: &[u8]) -> String {
    let start = text.iter().position(|&octet| octet != b'<').unwrap_or(text.len());
    let text = trim(text.get(start..).unwrap_or_default());
    let end = text.iter().rposition(|&octet| octet != b'>').map_or(0, |last| last + 1);
    clean(text.get(..end).unwrap_or_default())
}

fn finish(draft: &Draft<'_>) -> Reading {
    let dots = draft.rdns.iter().rposition(|&octet| octet != b'.').map_or(0, |last| last + 1);
    let mut rdns = draft.rdns.get(..dots).unwrap_or_default();
    if rdns.eq_ignore_ascii_case(b"unknown") || rdns.starts_with(b"[") {
        rdns = b"";
    }
    let address = plain_address(draft.ip);
    let by = draft.by.strip_suffix(b";").unwrap_or(draft.by);
    let ip_text = clean(&address);
    Reading::Relay(Box::new(Relay {
        ip: ip::parse(ip_text.as_bytes()),
        is_private: ip::is_private(ip_text.as_bytes()),
        ip_text,
        rdns: clean(rdns),
        helo: clean(draft.helo),
        by: clean(by),
        ident: clean(draft.ident),
        envfrom: draft.sender.map(clean_sender),
        id: octets::lossy(draft.id),
        auth: draft.auth.clone(),
        is_msa: false,
        is_internal: false,
        has_no_reverse_name: rdns.is_empty() && draft.was_looked_up,
    }))
}

/// Without brackets, `IPv6:`, zone and the prefix of mapped IPv4.
fn plain_address(text: &[u8]) -> Vec<u8> {
    let text = if octets::starts_caseless(text, b"ipv6:") { text.get(5..).unwrap_or_default() } else { text };
    let text = text.strip_prefix(b"[").unwrap_or(text);
    let text = text.strip_suffix(b"]").unwrap_or(text);
    let text = text.split(|&octet| octet == b'%').next().unwrap_or_default();
    if let Some(colon) = memchr::memrchr(b':', text) {
        let (head, tail) = text.split_at_checked(colon + 1).unwrap_or_default();
        let is_mapped = octets::ends_caseless(head, b"ffff:")
            && head
                .get(..head.len() - 5)
                .is_some_and(|zeros| zeros.len() >= 2 && zeros.iter().all(|octet| matches!(octet, b'0' | b':')));
        if is_mapped && ip::is_v4(tail) {
            return tail.to_vec();
        }
    }
    text.to_vec()
}

/// A relay on one line, as rules see it.
pub(crate) fn relay_text(relay: &Relay) -> String {
    let Relay { ip_text, rdns, helo, by, ident, id, auth, .. } = relay;
    let envfrom = relay.envfrom.as_deref().filter(|sender| *sender != "0").unwrap_or_default();
    let flag = |is_set: bool| if is_set { "1" } else { "0" };
    let pieces = [
        ("[ ip=", ip_text.as_str()),
        (" rdns=", rdns),
        (" helo=", helo),
        (" by=", by),
        (" ident=", ident),
        (" envfrom=", envfrom),
        (" intl=", flag(relay.is_internal)),
        (" id=", id),
        (" auth=", auth),
        (" msa=", flag(relay.is_msa)),
        (" ]", ""),
    ];
    let mut text = String::with_capacity(pieces.iter().map(|(name, value)| name.len() + value.len()).sum());
    for (name, value) in pieces {
        text.push_str(name);
        text.push_str(value);
    }
    text
}
