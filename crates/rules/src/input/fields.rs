//! Headers and pseudo-headers as rules name them: `Subject`, `From:addr`, `ALL-UNTRUSTED:raw`, `ToCc:first:domain`, …

use super::octets::{self, is_space};
use super::{Field, Input, domain, header, ip, mailbox};
use crate::field::FieldRequest;
use crate::settings::Settings;

impl Input<'_> {
    /// The values of a header or pseudo-header, in order. A conventional header's value is without its name; raw values and members of
    /// `ALL` end with a line end, decoded values too (SpamAssassin keeps one).
    #[must_use]
    pub fn get(&self, request: &FieldRequest, settings: &Settings) -> Vec<Vec<u8>> {
        let mut values = self.values(request, settings);
        if request.first {
            values.truncate(1);
        } else if request.last && values.len() > 1 {
            values.drain(..values.len() - 1);
        }
        if values.is_empty() {
            return values;
        }
        if request.addr {
            values = values.iter().flat_map(|value| mailbox::addresses(value)).collect();
        } else if request.display_name {
            let names = values.iter().flat_map(|value| mailbox::read(value)).filter_map(|mailbox| mailbox.name);
            values = names.map(|name| if request.raw { name } else { shown_name(&name) }).collect();
        }
        if request.host {
            values = hosts(&values, request, settings);
        } else if request.ip {
            values = values.iter().filter_map(|value| address(value, request.revip)).collect();
        }
        values
    }

    /// What Perl makes of the values where it wants one text: the first of addresses, names and hosts, else all of them joined. Empty
    /// when there is none.
    #[must_use]
    pub fn get_text(&self, request: &str, settings: &Settings) -> Vec<u8> {
        let parsed = FieldRequest::parse(request);
        let values = self.get(&parsed, settings);
        let is_single = parsed.addr || parsed.display_name || parsed.host || parsed.ip || request == "EnvelopeFrom";
        if !is_single {
            return values.concat();
        }
        let first = values.into_iter().next().unwrap_or_default();
        first.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(first)
    }

    /// Whether the message has a header of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.named(name).next().is_some()
    }

    fn named<'n>(&'n self, name: &'n str) -> impl DoubleEndedIterator<Item = &'n Field<'n>> {
        self.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// Values before modifiers that cut them.
    fn values(&self, request: &FieldRequest, settings: &Settings) -> Vec<Vec<u8>> {
        let relays = &self.relays;
        let trusted = relays.last_trusted.map_or(0, |last| last + 1);
        let internal = relays.last_internal.map_or(0, |last| last + 1);
        match request.name.as_str() {
            "ALL" => return if request.raw { self.pristine_fields() } else { self.shown_fields() },
            "ALL-TRUSTED" => return self.fields_between(None, Some(trusted), request.raw),
            "ALL-INTERNAL" => return self.fields_between(None, Some(internal), request.raw),
            "ALL-UNTRUSTED" => return self.fields_between(Some(trusted), None, request.raw),
            "ALL-EXTERNAL" => return self.fields_between(Some(internal), None, request.raw),
            "MESSAGEID" => {
                let names = ["X-Message-Id", "Resent-Message-Id", "X-Original-Message-ID", "Message-Id"];
                return names.iter().flat_map(|name| self.plain_values(name, request.raw)).collect();
            }
            _ => {}
        }
        match request.name.to_ascii_lowercase().as_str() {
            "envelopefrom" => self.envelope_from.clone().into_iter().collect(),
            "x-spam-relays-untrusted" => vec![relays.untrusted_text.clone()],
            "x-spam-relays-trusted" => vec![relays.trusted_text.clone()],
            "x-spam-relays-external" => vec![relays.external_text.clone()],
            "x-spam-relays-internal" => vec![relays.internal_text.clone()],
            "tocc" => ["To", "Cc"].iter().flat_map(|name| self.plain_values(name, request.raw)).collect(),
            name => {
                let needs_raw = request.raw || request.addr || request.display_name;
                let value = |field: &Field<'_>| if needs_raw { field.raw.to_vec() } else { line(&field.decoded) };
                let values: Vec<Vec<u8>> = self.named(&request.name).map(value).collect();
                if values.is_empty() { self.derived(name, settings) } else { values }
            }
        }
    }

    /// Headers that SpamAssassin makes up when the message has none of the name.
    fn derived(&self, name: &str, settings: &Settings) -> Vec<Vec<u8>> {
        let tag = match name {
            "x-senderdomain" => "SENDERDOMAIN",
            "x-authordomain" => "AUTHORDOMAIN",
            _ => return Vec::new(),
        };
        let domains = self.tag(tag, settings);
        if domains.is_empty() { Vec::new() } else { vec![domains.join(" ").into_bytes()] }
    }

    /// Decoded values with their line end, or raw ones unfolded.
    fn plain_values(&self, name: &str, is_raw: bool) -> Vec<Vec<u8>> {
        self.named(name)
            .map(|field| if is_raw { header::unfold_raw(&field.raw) } else { line(&field.decoded) })
            .collect()
    }

    fn shown_fields(&self) -> Vec<Vec<u8>> {
        self.headers.iter().map(|field| [&field.name, &b": "[..], &field.decoded, b"\n"].concat()).collect()
    }

    /// The fields as they stand in the message, each with its continuations.
    fn pristine_fields(&self) -> Vec<Vec<u8>> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        for line in octets::lines(&self.pristine_headers) {
            let is_continued = matches!(line.first(), Some(b' ' | b'\t'));
            match fields.last_mut() {
                Some(last) if is_continued => last.extend_from_slice(line),
                None if is_continued => {}
                // The empty line at the end is no field. An unfinished last line is none either.
                _ if line == b"\n" || !line.ends_with(b"\n") => {}
                _ => fields.push(line.to_vec()),
            }
        }
        fields
    }

    /// Fields from one `Received` header, counted from 0 at the top, to another; both included.
    fn fields_between(&self, start: Option<usize>, end: Option<usize>, is_raw: bool) -> Vec<Vec<u8>> {
        let fields = if is_raw { self.pristine_fields() } else { self.shown_fields() };
        let mut found = Vec::new();
        let mut seen = 0_usize;
        for field in fields {
            seen += usize::from(octets::starts_caseless(&field, b"received:"));
            // Before the first `Received` header the index is below all.
            let is_after = start.is_none_or(|start| seen > start);
            let index = seen.checked_sub(1);
            let ends_here = end.is_some() && index == end;
            if ends_here || (is_after && end.is_none_or(|end| seen <= end)) {
                found.push(field);
            }
            if ends_here {
                break;
            }
        }
        found
    }

    /// All addresses that claim to be the sender's, without repeats.
    #[must_use]
    pub fn sender_addresses(&self, settings: &Settings) -> &[Vec<u8>] {
        self.memo.senders.get_or_init(|| self.read_sender_addresses(settings))
    }

    fn read_sender_addresses(&self, settings: &Settings) -> Vec<Vec<u8>> {
        let addresses = |name: &str| self.get(&FieldRequest::parse(name), settings);
        let resent = addresses("Resent-From:first:addr");
        let mut found = Vec::new();
        if resent.is_empty() {
            let names = [
                "From:addr",
                "Envelope-Sender:addr",
                "Resent-Sender:addr",
                "X-Envelope-From:addr",
                "EnvelopeFrom:addr",
            ];
            for address in names.iter().flat_map(|name| addresses(name)).filter(|address| !address.is_empty()) {
                push_new(&mut found, without_repeated_dots(&address));
            }
        } else {
            resent.into_iter().for_each(|address| push_new(&mut found, address));
        }
        found
    }

    /// All addresses to which the message claims to go, without repeats.
    #[must_use]
    pub fn recipient_addresses(&self, settings: &Settings) -> &[Vec<u8>] {
        self.memo.addressees.get_or_init(|| self.read_recipient_addresses(settings))
    }

    fn read_recipient_addresses(&self, settings: &Settings) -> Vec<Vec<u8>> {
        let addresses = |name: &str| self.get(&FieldRequest::parse(name), settings);
        let mut found = Vec::new();
        let mut resent = addresses("Resent-To:first:addr");
        resent.extend(addresses("Resent-Cc:first:addr"));
        if !resent.is_empty() {
            resent.into_iter().for_each(|address| push_new(&mut found, address));
            return found;
        }
        for field in self.named("Received").take(3) {
            recipient_of_received(&field.decoded).into_iter().for_each(|address| push_new(&mut found, address));
        }
        let names = [
            "To:addr",
            "Apparently-To:addr",
            "Delivered-To:addr",
            "Envelope-Recipients:addr",
            "Apparently-Resent-To:addr",
            "X-Envelope-To:addr",
            "Envelope-To:addr",
            "X-Delivered-To:addr",
            "X-Original-To:addr",
            "X-Rcpt-To:addr",
            "X-Real-To:addr",
            "Cc:addr",
        ];
        names.iter().flat_map(|name| addresses(name)).for_each(|address| push_new(&mut found, address));
        found
    }

    /// The values of a template tag (`_SENDERDOMAIN_`, `_AUTHORDOMAIN_`, …) as `askdns` uses them; empty when it has none.
    #[must_use]
    pub fn tag(&self, name: &str, settings: &Settings) -> Vec<String> {
        let hosts = |request: &str| {
            let mut hosts: Vec<String> = Vec::new();
            for host in self.get(&FieldRequest::parse(request), settings) {
                push_new(&mut hosts, octets::lossy(&host).to_ascii_lowercase());
            }
            hosts
        };
        let reversed = |relays: &[super::Relay]| {
            let public = relays.iter().filter(|relay| !relay.is_private).filter_map(|relay| relay.ip);
            public.map(ip::reversed).collect()
        };
        match name {
            "SENDERDOMAIN" => hosts("EnvelopeFrom:first:addr:host").into_iter().take(1).collect(),
            "AUTHORDOMAIN" => hosts("From:addr:host"),
            "LASTEXTERNALIP" => self.relays.external.first().map(|relay| relay.ip_text.clone()).into_iter().collect(),
            "LASTEXTERNALREVIP" => {
                self.relays.external.first().and_then(|relay| relay.ip).map(ip::reversed).into_iter().collect()
            }
            "LASTEXTERNALRDNS" => self
                .relays
                .external
                .first()
                .map(|relay| relay.rdns.clone())
                .filter(|rdns| !rdns.is_empty())
                .into_iter()
                .collect(),
            "LASTEXTERNALHELO" => self
                .relays
                .external
                .first()
                .map(|relay| relay.helo.clone())
                .filter(|helo| !helo.is_empty())
                .into_iter()
                .collect(),
            "RELAYSTRUSTEDREVIP" => reversed(&self.relays.trusted),
            "RELAYSUNTRUSTEDREVIP" => reversed(&self.relays.untrusted),
            "RELAYSINTERNALREVIP" => reversed(&self.relays.internal),
            "RELAYSEXTERNALREVIP" => reversed(&self.relays.external),
            "DKIMDOMAIN" => {
                let valid = self.identity.dkim.iter().flatten().filter(|signature| signature.is_valid);
                let mut domains = Vec::new();
                valid.for_each(|signature| push_new(&mut domains, signature.domain.to_ascii_lowercase()));
                domains
            }
            _ => self.header_tag(name, settings),
        }
    }

    /// `HEADER(List-Id)`, `HEADER(From:addr)`: what `header` rules see of it, without white space around.
    fn header_tag(&self, name: &str, settings: &Settings) -> Vec<String> {
        let Some(field) = name.strip_prefix("HEADER(").and_then(|name| name.strip_suffix(')')) else {
            return Vec::new();
        };
        let values = self.get(&FieldRequest::parse(field), settings);
        values.iter().map(|value| octets::lossy(octets::trim(value))).filter(|value| !value.is_empty()).collect()
    }
}

fn line(value: &[u8]) -> Vec<u8> {
    [value, b"\n"].concat()
}

fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn without_repeated_dots(address: &[u8]) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::with_capacity(address.len());
    for &octet in address {
        if octet != b'.' || kept.last() != Some(&b'.') {
            kept.push(octet);
        }
    }
    kept
}

/// `for <user@host>;` of a `Received` header.
fn recipient_of_received(value: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find_iter(value, b" for ").find_map(|at| {
        let rest = value.get(at + 5..)?;
        let rest = rest.strip_prefix(b"<").unwrap_or(rest);
        let word = rest.get(..rest.iter().position(|&octet| is_space(octet)).unwrap_or(rest.len()))?;
        let word = word.get(..memchr::memrchr(b';', word)?)?;
        let word = word.strip_suffix(b">").unwrap_or(word);
        let host = word.get(memchr::memrchr(b'@', word)? + 1..)?;
        domain::is_well_formed(&host.to_ascii_lowercase()).then(|| word.to_vec())
    })
}

/// A display name as people see it.
fn shown_name(name: &[u8]) -> Vec<u8> {
    let decoded = header::decode_value(name, b"");
    if decoded.iter().all(|&octet| is_space(octet)) {
        return decoded.into_owned();
    }
    let folded = octets::fold_spaces(octets::trim(&decoded));
    match folded.strip_prefix(b"'").and_then(|inner| inner.strip_suffix(b"'")) {
        Some(inner) => inner.to_vec(),
        None => folded,
    }
}

fn hosts(values: &[Vec<u8>], request: &FieldRequest, settings: &Settings) -> Vec<Vec<u8>> {
    let host = |value: &Vec<u8>| {
        if request.addr {
            let after = value.get(
                memchr::memrchr_iter(b'@', value)
                    .find(|at| value.get(at + 1).is_some_and(|octet| !is_space(*octet)))?
                    + 1..,
            )?;
            after.split(|&octet| is_space(octet)).next().map(<[u8]>::to_vec)
        } else {
            domain::first_host(value, &settings.suffixes)
        }
    };
    let found = values.iter().filter_map(host);
    found.map(|host| if request.domain { domain::registered(&host, &settings.suffixes) } else { host }).collect()
}

fn address(value: &[u8], is_reversed: bool) -> Option<Vec<u8>> {
    let found = ip::first_alone(value)?;
    if is_reversed { ip::parse(found).map(|address| ip::reversed(address).into_bytes()) } else { Some(found.to_vec()) }
}

/// The envelope sender as headers tell it; `None` when none can be trusted to.
pub(super) fn envelope_from(input: &Input<'_>, settings: &Settings) -> Option<Vec<u8>> {
    let is_sender = |address: &Vec<u8>| address.is_empty() || memchr::memchr(b'@', address).is_some_and(|at| at > 0);
    let first =
        |name: &str| input.get(&FieldRequest::parse(&format!("{name}:first:addr")), settings).into_iter().next();
    if let Some(name) = settings.last("envelope_sender_header") {
        return first(name.trim()).filter(is_sender);
    }
    let relays = &input.relays;
    let last_hop = relays.untrusted.first().or(relays.trusted.last());
    if let Some(sender) = last_hop.and_then(|relay| relay.envfrom.clone()).map(String::into_bytes).filter(is_sender) {
        return Some(sender);
    }
    // Fetchmail makes up an envelope sender of `X-Sender`.
    if first("X-Sender").is_some_and(|sender| sender.contains(&b'@'))
        && input.named("Received").any(|field| octets::contains(&field.decoded, b"(fetchmail"))
    {
        return None;
    }
    if let Some(sender) = first("X-Envelope-From") {
        return (!stands_after_received(input, "X-Envelope-From")).then_some(sender);
    }
    ["Envelope-Sender", "Return-Path"].into_iter().find_map(|name| {
        let sender = first(name)?;
        (!stands_after_received(input, name)).then_some(sender)
    })
}

/// Whether a header of this name stands below a `Received` header: then another system added it for another hand-over.
fn stands_after_received(input: &Input<'_>, name: &str) -> bool {
    let first = input.headers.iter().position(|field| field.name.eq_ignore_ascii_case(b"received"));
    let last = input.headers.iter().rposition(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
    first.is_some_and(|first| last.is_some_and(|last| last > first))
}
