//! `DNSEval` and `URIDNSBL`: what blocklists say of relays, senders and links, as questions that the engine asks.

use super::{Arg, EvalContext, EvalResult};
use crate::dns::{Answer, DnsQuestion, RecordType};
use crate::input::{Relay, domain, ip, octets};
use crate::pattern::{Limit, Pattern};
use crate::settings::RblZone;

const RELAYS_MAX: usize = 9; // num_check_received
const DOMAINS_MAX: usize = 20; // uridnsbl_max_domains

/// What an answer must be.
enum Subtest<'a> {
    Any,
    Exact(&'a str),
    /// Bits of a 127.x.x.x address.
    Bits(u32),
    Range(u32, u32),
    Pattern(&'a Pattern),
}

fn subtest<'a>(text: Option<&'a str>, pattern: Option<&'a Pattern>) -> Subtest<'a> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Subtest::Any };
    if ip::is_v4(text.as_bytes()) {
        return Subtest::Exact(text);
    }
    if let Some((low, high)) = text.split_once('-')
        && let (Some(low), Some(high)) = (value(low), value(high))
    {
        return Subtest::Range(low, high);
    }
    match (value(text), pattern) {
        (Some(bits), _) => Subtest::Bits(bits),
        (None, Some(pattern)) => Subtest::Pattern(pattern),
        (None, None) => Subtest::Exact(text),
    }
}

/// A number, or a dotted one.
fn value(text: &str) -> Option<u32> {
    text.parse::<std::net::Ipv4Addr>().map(u32::from).or_else(|_| text.parse()).ok()
}

fn fits(record: &str, record_type: RecordType, subtest: &Subtest<'_>) -> Result<bool, Limit> {
    // A list answers with loopback addresses; anything else is a domain that somebody parked.
    if record_type == RecordType::A && !record.starts_with("127.") {
        return Ok(false);
    }
    let address = || record.parse::<std::net::Ipv4Addr>().map(u32::from).ok();
    Ok(match subtest {
        Subtest::Any => true,
        Subtest::Exact(wanted) => record == *wanted,
        Subtest::Bits(bits) => address().is_some_and(|address| address & bits & 0x00ff_ffff != 0),
        Subtest::Range(low, high) => address().is_some_and(|address| {
            (*low..=*high).contains(&(if *high < 1 << 24 { address & 0x00ff_ffff } else { address }))
        }),
        Subtest::Pattern(pattern) => pattern.is_match(record.as_bytes())?,
    })
}

/// The verdict over all questions: those without an answer are asked; a hit tells what was listed.
fn judge(context: &EvalContext<'_>, questions: Vec<DnsQuestion>, subtest: &Subtest<'_>) -> EvalResult {
    let mut missing = Vec::new();
    let (mut is_unavailable, mut is_limited) = (false, false);
    for question in &questions {
        match context.answers.get(question) {
            None => missing.push(question.clone()),
            Some(Answer::Unavailable) => is_unavailable = true,
            Some(Answer::Records(records)) => {
                for record in records {
                    match fits(record, question.record, subtest) {
                        Ok(true) => {
                            return EvalResult::Hit { count: 1, evidence: format!("{} {record}", question.name) };
                        }
                        Ok(false) => {}
                        Err(Limit) => is_limited = true,
                    }
                }
            }
        }
    }
    if !missing.is_empty() {
        EvalResult::Ask(missing)
    } else if is_unavailable {
        EvalResult::Unavailable("DNS")
    } else if is_limited {
        EvalResult::Limit
    } else {
        EvalResult::Miss
    }
}

fn question(name: &str, zone: &str, record: RecordType) -> DnsQuestion {
    let name = format!("{name}.{}", zone.trim_matches('.')).to_ascii_lowercase();
    DnsQuestion { name, record }
}

fn public_addresses<'r>(relays: impl Iterator<Item = &'r Relay>) -> Vec<std::net::IpAddr> {
    let mut addresses = Vec::new();
    for address in relays.filter(|relay| !relay.is_private).filter_map(|relay| relay.ip) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// The relays that a set looks at, by the end of its name.
fn addresses(context: &EvalContext<'_>, set: &str) -> Vec<std::net::IpAddr> {
    let relays = &context.input.relays;
    let untrusted = public_addresses(relays.untrusted.iter());
    let has_originating = context.settings.originating_ip_headers.iter().any(|name| context.input.has(name));
    if untrusted.is_empty() && !has_originating {
        return Vec::new();
    }
    let external =
        || public_addresses(relays.trusted.iter().filter(|relay| !relay.is_internal).chain(&relays.untrusted));
    let mut found = if set.ends_with("-notfirsthop") {
        let mut found = external();
        if found.len() > 1 {
            found.pop();
        }
        found
    } else if set.ends_with("-lastexternal") {
        external().into_iter().take(1).collect()
    } else if set.ends_with("-firsttrusted") {
        untrusted.into_iter().take(1).collect()
    } else if set.ends_with("-untrusted") {
        untrusted.into_iter().skip(1).collect()
    } else {
        untrusted.into_iter().rev().collect::<Vec<_>>()
    };
    let max =
        context.settings.last("num_check_received").and_then(|value| value.trim().parse().ok()).unwrap_or(RELAYS_MAX);
    found.truncate(max);
    found
}

fn relay_questions(context: &EvalContext<'_>, set: &str, zone: &str, record: RecordType) -> Vec<DnsQuestion> {
    addresses(context, set).into_iter().map(|address| question(&ip::reversed(address), zone, record)).collect()
}

fn argument(args: &[Arg], index: usize) -> Option<&str> {
    args.get(index).map(|arg| arg.text.as_str())
}

fn argument_subtest(args: &[Arg], index: usize) -> Subtest<'_> {
    subtest(argument(args, index), args.get(index).and_then(|arg| arg.pattern.as_ref()))
}

fn rbl(context: &EvalContext<'_>, args: &[Arg], record: RecordType) -> EvalResult {
    let (Some(set), Some(zone)) = (argument(args, 0), argument(args, 1)) else { return EvalResult::Miss };
    judge(context, relay_questions(context, set, zone, record), &argument_subtest(args, 2))
}

pub(super) fn check_rbl(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    rbl(context, args, RecordType::A)
}

pub(super) fn check_rbl_txt(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    rbl(context, args, RecordType::Txt)
}

/// Another look at the answers to a set that some other rule asks.
pub(super) fn check_rbl_sub(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let Some(RblZone { function, zone, headers }) =
        argument(args, 0).and_then(|set| context.settings.rbl_sets.get(set))
    else {
        return EvalResult::Miss;
    };
    let set = argument(args, 0).unwrap_or_default();
    let questions = match function.as_str() {
        "check_rbl" => relay_questions(context, set, zone, RecordType::A),
        "check_rbl_txt" => relay_questions(context, set, zone, RecordType::Txt),
        "check_rbl_from_host" => address_questions(context, context.input.sender_addresses(context.settings), zone),
        "check_rbl_envfrom" => address_questions(context, &[context.text("EnvelopeFrom:addr")], zone),
        "check_rbl_from_domain" => domain_questions(context, zone),
        "check_rbl_headers" => header_questions(context, headers.as_deref(), zone),
        "check_rbl_rcvd" => received_questions(context, zone),
        _ => Vec::new(),
    };
    judge(context, questions, &argument_subtest(args, 1))
}

fn flag(context: &EvalContext<'_>, name: &str) -> bool {
    context.flags.split_whitespace().any(|flag| flag == name)
}

/// A host or address as it is asked for; `None` if it is no name that can be registered, or the rule does not want its kind.
fn host_name(context: &EvalContext<'_>, host: &[u8]) -> Option<String> {
    let trimmed: Vec<u8> = host
        .split(|&octet| octet == b'.')
        .filter(|label| !label.is_empty())
        .collect::<Vec<_>>()
        .join(&b'.')
        .to_ascii_lowercase();
    if let Some(address) = ip::parse(host).filter(|_| ip::is_address(host)) {
        return (!flag(context, "domains_only")).then(|| ip::reversed(address));
    }
    let is_name = domain::is_well_formed(&trimmed) && domain::has_known_tld(&trimmed, &context.settings.suffixes);
    (is_name && !flag(context, "ips_only")).then(|| octets::lossy(&trimmed))
}

fn address_questions(context: &EvalContext<'_>, addresses: &[Vec<u8>], zone: &str) -> Vec<DnsQuestion> {
    let mut questions = Vec::new();
    for address in addresses {
        let host = memchr::memchr(b'@', address).and_then(|at| address.get(at + 1..)).unwrap_or_default();
        let host = host.split(|octet| *octet == b'@' || octets::is_space(*octet)).next().unwrap_or_default();
        if let Some(name) = host_name(context, host) {
            push_new(&mut questions, question(&name, zone, RecordType::A));
        }
    }
    questions
}

fn push_new(questions: &mut Vec<DnsQuestion>, question: DnsQuestion) {
    if !questions.contains(&question) {
        questions.push(question);
    }
}

fn domain_questions(context: &EvalContext<'_>, zone: &str) -> Vec<DnsQuestion> {
    let suffixes = &context.settings.suffixes;
    let mut questions = Vec::new();
    for address in context.input.sender_addresses(context.settings) {
        if let Some((site, _)) = domain::of_uri(&[b"mailto:", address.as_slice()].concat(), suffixes)
            && let Some(name) = host_name(context, &site)
        {
            push_new(&mut questions, question(&name, zone, RecordType::A));
        }
    }
    questions
}

fn header_questions(context: &EvalContext<'_>, headers: Option<&str>, zone: &str) -> Vec<DnsQuestion> {
    const HEADERS: &str = "EnvelopeFrom,Reply-To,Disposition-Notification-To,X-WebmailclientIP,X-Source-IP";
    let configured = context.settings.last("rbl_headers").unwrap_or(HEADERS);
    let mut questions = Vec::new();
    for name in headers.unwrap_or(configured).split(',').map(str::trim) {
        let address = context.text(&format!("{name}:addr"));
        if address.contains(&b'@') {
            address_questions(context, &[address], zone)
                .into_iter()
                .for_each(|question| push_new(&mut questions, question));
            continue;
        }
        for host in context.text(name).split(|&octet| octet == b'\n').map(octets::trim).filter(|host| !host.is_empty())
        {
            if let Some(name) = host_name(context, host) {
                push_new(&mut questions, question(&name, zone, RecordType::A));
            }
        }
    }
    questions
}

fn received_questions(context: &EvalContext<'_>, zone: &str) -> Vec<DnsQuestion> {
    let mut questions = Vec::new();
    if let Some(relay) = context.input.relays.untrusted.last() {
        for host in [&relay.ip_text, &relay.by, &relay.helo, &relay.rdns] {
            if let Some(name) = host_name(context, host.as_bytes()) {
                push_new(&mut questions, question(&name, zone, RecordType::A));
            }
        }
    }
    questions
}

pub(super) fn check_rbl_from_host(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let addresses = context.input.sender_addresses(context.settings);
    judge(
        context,
        address_questions(context, addresses, argument(args, 1).unwrap_or_default()),
        &argument_subtest(args, 2),
    )
}

pub(super) fn check_rbl_envfrom(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let sender = [context.text("EnvelopeFrom:addr")];
    judge(
        context,
        address_questions(context, &sender, argument(args, 1).unwrap_or_default()),
        &argument_subtest(args, 2),
    )
}

pub(super) fn check_rbl_from_domain(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    judge(context, domain_questions(context, argument(args, 1).unwrap_or_default()), &argument_subtest(args, 2))
}

pub(super) fn check_rbl_headers(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let questions = header_questions(context, argument(args, 3), argument(args, 1).unwrap_or_default());
    judge(context, questions, &argument_subtest(args, 2))
}

pub(super) fn check_rbl_rcvd(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    judge(context, received_questions(context, argument(args, 1).unwrap_or_default()), &argument_subtest(args, 2))
}

/// The envelope sender's domain has neither mail exchanger nor address, for all that DNS knows.
pub(super) fn check_dns_sender(context: &EvalContext<'_>, _: &[Arg]) -> EvalResult {
    let sender = context.text("EnvelopeFrom:addr");
    let host = memchr::memchr(b'@', &sender).and_then(|at| sender.get(at + 1..)).unwrap_or_default();
    if !host.contains(&b'.') {
        return EvalResult::Miss;
    }
    let name = octets::lossy(host).to_ascii_lowercase();
    let questions = [RecordType::A, RecordType::Mx].map(|record| DnsQuestion { name: name.clone(), record });
    let missing: Vec<DnsQuestion> =
        questions.iter().filter(|question| context.answers.get(question).is_none()).cloned().collect();
    if !missing.is_empty() {
        return EvalResult::Ask(missing);
    }
    // Answers do not tell a name that does not exist from one without such records, so this never hits; SpamAssassin's does not either,
    // because it looks for the error in answers that hold records.
    EvalResult::Miss
}

/// How a `urirhsbl`-like directive asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lookup {
    /// The domain itself, under the zone.
    Domain,
    /// The addresses of its name servers, or with the flag `a` of its hosts.
    Address,
    /// The names of its name servers; registered domains of them, or whole.
    NameServer { is_whole: bool },
}

/// The directives that tell what a `check_uridnsbl` rule asks.
const DIRECTIVES: [(&str, Lookup, bool); 8] = [
    ("urirhsbl", Lookup::Domain, false),
    ("urirhssub", Lookup::Domain, true),
    ("uridnsbl", Lookup::Address, false),
    ("uridnssub", Lookup::Address, true),
    ("urinsrhsbl", Lookup::NameServer { is_whole: false }, false),
    ("urinsrhssub", Lookup::NameServer { is_whole: false }, true),
    ("urifullnsrhsbl", Lookup::NameServer { is_whole: true }, false),
    ("urifullnsrhssub", Lookup::NameServer { is_whole: true }, true),
];

pub(super) fn check_uridnsbl(context: &EvalContext<'_>, args: &[Arg]) -> EvalResult {
    let rule = argument(args, 0).unwrap_or(context.rule);
    for (directive, lookup, has_subtest) in DIRECTIVES {
        for line in context.settings.lines(directive) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, zone, record, rest @ ..] = words.as_slice() else { continue };
            if *name != rule {
                continue;
            }
            let record = if record.eq_ignore_ascii_case("txt") { RecordType::Txt } else { RecordType::A };
            let subtest = subtest(rest.first().copied().filter(|_| has_subtest), None);
            return match link_questions(context, lookup, zone, record) {
                Ok(questions) => judge(context, questions, &subtest),
                Err(missing) => EvalResult::Ask(missing),
            };
        }
    }
    EvalResult::Miss
}

/// Domains and hosts of the links that are asked for.
fn link_domains(context: &EvalContext<'_>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let links = context.input.uris.iter().filter(|uri| !octets::starts_caseless(&uri.raw, b"mailto:"));
    for host in links.flat_map(|uri| &uri.hosts) {
        let site = if ip::is_address(host.as_bytes()) {
            host.clone()
        } else {
            octets::lossy(&domain::registered(host.as_bytes(), &context.settings.suffixes))
        };
        let is_skipped = context.settings.uridnsbl_skip_domains.contains(&site)
            || context.settings.uridnsbl_skip_domains.contains(host);
        if !is_skipped && !found.iter().any(|(known, _)| *known == site) && found.len() < DOMAINS_MAX {
            found.push((site, host.clone()));
        }
    }
    found
}

/// The questions to the zone, or those that must be answered first.
fn link_questions(
    context: &EvalContext<'_>,
    lookup: Lookup,
    zone: &str,
    record: RecordType,
) -> Result<Vec<DnsQuestion>, Vec<DnsQuestion>> {
    let (mut questions, mut missing) = (Vec::new(), Vec::new());
    for (site, host) in link_domains(context) {
        if let Some(address) = ip::parse(site.as_bytes()) {
            let asks_addresses =
                lookup == Lookup::Address || (lookup == Lookup::Domain && !flag(context, "domains_only"));
            if asks_addresses && address.is_ipv4() {
                push_new(&mut questions, question(&ip::reversed(address), zone, record));
            }
            continue;
        }
        if flag(context, "ips_only") {
            continue;
        }
        match lookup {
            Lookup::Domain => {
                push_new(&mut questions, question(if flag(context, "notrim") { &host } else { &site }, zone, record))
            }
            Lookup::Address => {
                for name in address_holders(context, &site, &host, &mut missing) {
                    for address in records(context, &name, RecordType::A, &mut missing) {
                        if let Some(address) = ip::parse(address.as_bytes()) {
                            push_new(&mut questions, question(&ip::reversed(address), zone, record));
                        }
                    }
                }
            }
            Lookup::NameServer { is_whole } => {
                for server in records(context, &site, RecordType::Ns, &mut missing) {
                    let registered = octets::lossy(&domain::registered(server.as_bytes(), &context.settings.suffixes));
                    push_new(&mut questions, question(if is_whole { &server } else { &registered }, zone, record));
                }
            }
        }
    }
    if missing.is_empty() { Ok(questions) } else { Err(missing) }
}

/// The names whose addresses count: name servers of the domain, or with the flag `a` its host.
fn address_holders(context: &EvalContext<'_>, site: &str, host: &str, missing: &mut Vec<DnsQuestion>) -> Vec<String> {
    let (asks_host, asks_servers) = (flag(context, "a"), flag(context, "ns"));
    let mut names = Vec::new();
    if asks_host {
        names.push(host.to_owned());
    }
    if asks_servers || !asks_host {
        names.extend(records(context, site, RecordType::Ns, missing));
    }
    names
}

fn records(context: &EvalContext<'_>, name: &str, record: RecordType, missing: &mut Vec<DnsQuestion>) -> Vec<String> {
    let question = DnsQuestion { name: name.to_ascii_lowercase(), record };
    match context.answers.get(&question) {
        Some(Answer::Records(records)) => records.clone(),
        Some(Answer::Unavailable) => Vec::new(),
        None => {
            push_new(missing, question);
            Vec::new()
        }
    }
}
