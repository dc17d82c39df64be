//! The `Received` chain (RFC 5321 section 4.4): who handed the message to whom, newest first. Read are the shapes of
//! Exim, Postfix, sendmail, qmail, Microsoft, Google and those that follow them. Every field below the first foreign hop
//! may be a lie; which hop that is, only the caller's list of own addresses can say.

use std::net::{IpAddr, Ipv4Addr};

use crate::HeaderField;
use crate::charset::decode_undeclared;
use crate::date::parse_date;

/// One `Received` field. What it does not tell is `None`; nothing is invented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Index in [`crate::Message::headers`].
    pub field: usize,
    /// How the client called itself.
    pub helo: Option<String>,
    /// The client's reverse name as the server looked it up, without final dot.
    pub rdns: Option<String>,
    /// The server says that the reverse name does not lead back to the address (sendmail's "may be forged").
    pub is_rdns_unconfirmed: bool,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The user that the client named (RFC 1413, qmail's `user@ip`).
    pub ident: Option<String>,
    /// The server that wrote the field.
    pub by: Option<String>,
    /// The protocol as written, `ESMTPSA` or `Microsoft SMTPSVC(6.0.3790.0)`.
    pub with: Option<String>,
    /// The server's queue id, without angles.
    pub id: Option<String>,
    /// The recipient, without angles.
    pub recipient: Option<String>,
    /// The envelope sender, where the field tells it.
    pub envelope_from: Option<String>,
    /// Whether the field says that the client had logged in.
    pub is_authenticated: bool,
    /// Whether the field says that the connection was encrypted.
    pub is_encrypted: bool,
    /// Seconds since 1970.
    pub date: Option<i64>,
}

/// The first hop, from the newest on, whose address `is_ours` denies. Hops without an address (local hand-over) are
/// passed over.
pub fn first_foreign(chain: &[Received], is_ours: impl Fn(IpAddr) -> bool) -> Option<&Received> {
    chain.iter().find(|hop| hop.ip.is_some_and(|ip| !is_ours(ip)))
}

impl Received {
    /// Reads the unfolded value of field number `index`.
    pub(crate) fn read(index: usize, field: &HeaderField) -> Received {
        Received { field: index, ..Received::parse(&decode_undeclared(&field.unfolded())) }
    }

    /// Reads an unfolded value.
    #[must_use]
    pub fn parse(value: &str) -> Received {
        let clauses = Clauses::read(value);
        let mut received = Received { date: clauses.date.as_deref().and_then(parse_date), ..Received::default() };
        received.take_clauses(&clauses);
        received.take_client(&clauses, value);
        received
    }

    fn take_clauses(&mut self, clauses: &Clauses) {
        self.by = clauses.by.first_word();
        self.with = (!clauses.with.words.is_empty()).then(|| clauses.with.words.join(" "));
        self.id = clauses.id.first_word().map(|id| without_angles(&id));
        self.recipient = clauses.recipient.first_word().map(|recipient| without_angles(&recipient));
        let comments = clauses.comments().map(|comment| comment.to_ascii_lowercase());
        for comment in comments {
            if let Some((_, sender)) = split_at_word(&comment, &["envelope-from ", "envelope-sender "]) {
                let original = clauses.comments().find(|original| original.eq_ignore_ascii_case(&comment));
                let sender = original.and_then(|c| c.get(c.len() - sender.len()..)).unwrap_or(sender);
                let sender = sender.trim().split([' ', ',', ')', ';']).next().unwrap_or_default();
                self.envelope_from = Some(without_angles(sender));
            }
            self.is_authenticated |= comment.contains("authenticated") && !comment.contains("not authenticated")
                || comment.starts_with("auth:")
                || comment.starts_with("account ");
            self.is_encrypted |= ["tls", "ssl", "cipher"].iter().any(|word| comment.contains(word));
        }
        let with = self.with.as_deref().unwrap_or_default().split_whitespace().next().unwrap_or_default();
        let protocol = with.to_ascii_uppercase();
        // RFC 3848: the suffix A is for a log-in, S for TLS, in either order with SA.
        let suffix = ["ESMTP", "LMTP", "UTF8SMTP", "UTF8LMTP"].iter().find_map(|name| protocol.strip_prefix(name));
        self.is_authenticated |= suffix.is_some_and(|suffix| suffix.ends_with('A')) || protocol == "ASMTP";
        self.is_encrypted |= suffix.is_some_and(|suffix| suffix.starts_with('S')) || with.ends_with("TLS");
    }

    fn take_client(&mut self, clauses: &Clauses, value: &str) {
        let from = &clauses.from;
        let name = from.first_word().filter(|word| !is_unknown(word));
        let mut reader = Client::default();
        for comment in &from.comments {
            reader.take(comment);
        }
        if let Some(claim) = value.split_once("claiming to be \"").and_then(|(_, claim)| claim.split('"').next()) {
            reader.helo = Some(claim.to_owned());
        }
        let literal = name.as_deref().and_then(address_in);
        let bracketed = from.words.iter().skip(1).find_map(|word| word.strip_prefix('[').and(address_in(word)));
        self.ip = reader.ip.or(bracketed).or(literal);
        self.ident = reader.ident;
        self.is_rdns_unconfirmed = reader.is_unconfirmed;
        let is_literal = literal.is_some();
        let name_is_looked_up = value.contains("Exim") || reader.is_verified || clauses.is_qmail();
        match (reader.helo, reader.rdns) {
            (helo, Some(rdns)) => {
                self.rdns = Some(rdns);
                self.helo = helo.or(name);
            }
            (Some(helo), None) => {
                // `(HELO )`: the client greeted with nothing.
                self.helo = Some(helo).filter(|helo| !helo.is_empty());
                self.rdns = name.filter(|_| !is_literal && self.ip.is_some());
            }
            (None, None) => {
                let has_address = reader.ip.is_some();
                self.rdns = name.clone().filter(|_| !is_literal && has_address && name_is_looked_up);
                self.helo = name.filter(|_| !is_literal || has_address);
            }
        }
        let without_dot = |name: String| name.strip_suffix('.').map(str::to_owned).unwrap_or(name);
        self.rdns = self.rdns.take().map(without_dot);
    }
}

/// What the comments of the `from` clause say of the client.
#[derive(Default)]
struct Client {
    helo: Option<String>,
    rdns: Option<String>,
    ip: Option<IpAddr>,
    ident: Option<String>,
    is_unconfirmed: bool,
    is_verified: bool,
}

impl Client {
    /// The last address counts: what a client may write stands before what the server adds.
    fn take(&mut self, comment: &str) {
        let comment = comment.trim_start();
        let (rest, helo) = match split_at_word(comment, &["helo=", "HELO ", "EHLO ", "LHLO ", "helo ", "ehlo "]) {
            Some((rest, helo)) => (rest, Some(helo)),
            None => (comment, None),
        };
        if let Some(helo) = helo {
            let helo = helo.split([' ', '"']).find(|word| !word.is_empty()).unwrap_or_default();
            self.helo = Some(helo.to_owned());
        }
        self.is_verified |= rest.split_whitespace().any(|word| word == "verified");
        self.is_unconfirmed |= comment.contains("may be forged");
        let rest = rest.strip_prefix("port=").map_or(rest, |_| "");
        match rest.rsplit_once('[') {
            Some((before, literal)) => {
                let Some(ip) = literal.split(']').next().and_then(address_in) else { return };
                self.ip = Some(ip);
                self.take_name(before.trim());
            }
            None => self.take_bare(rest),
        }
    }

    /// What stands before `[ip]`: `name`, `user@name`, `user@`.
    fn take_name(&mut self, name: &str) {
        let name = name.split_whitespace().last().unwrap_or_default();
        let name = match name.rsplit_once('@') {
            Some((ident, name)) => {
                let ident = ident.strip_prefix("IDENT:").unwrap_or(ident);
                self.ident = Some(ident.to_owned());
                name
            }
            None => name,
        };
        if !name.is_empty() && !is_unknown(name) {
            self.rdns = Some(name.to_owned());
        }
    }

    /// `ip`, `user@ip` (qmail), `name` (old Exim: the HELO name).
    fn take_bare(&mut self, text: &str) {
        let text = text.trim();
        let (ident, text) = match text.rsplit_once('@') {
            Some((ident, rest)) => (Some(ident), rest),
            None => (None, text),
        };
        if let Some(ip) = address_in(text) {
            self.ip = Some(ip);
            self.ident = ident.map(str::to_owned);
        }
    }
}

fn is_unknown(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().as_str(), "unknown" | "unverified" | "softdnserr" | "<unavailable>")
}

/// `text` before the first of `words`, and what follows it. A word counts at the beginning or after a blank or bracket.
fn split_at_word<'a>(text: &'a str, words: &[&str]) -> Option<(&'a str, &'a str)> {
    let found = words.iter().filter_map(|word| {
        let at = text.find(word)?;
        let is_start = text.get(..at)?.chars().last().is_none_or(|c| !c.is_ascii_alphanumeric());
        is_start.then_some((at, word.len()))
    });
    let (at, length) = found.min()?;
    Some((text.get(..at)?, text.get(at + length..)?))
}

fn without_angles(text: &str) -> String {
    text.trim_matches(|c| matches!(c, '<' | '>' | ';' | ',')).to_owned()
}

/// An address, maybe in brackets, with `IPv6:`, a port after it, or a zone.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_start_matches(['[', '!']);
    let text = text.split([']', '!', '%']).next().unwrap_or_default();
    let text = match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => text.get(5..)?,
        _ => text,
    };
    let ip = text.parse::<IpAddr>().ok().or_else(|| address_with_port(text))?;
    // `::ffff:192.0.2.1` is how a dual-stack socket shows an IPv4 client.
    Some(ip.to_canonical())
}

/// `192.0.2.1:1234` and old Exim's `192.0.2.1.1234`.
fn address_with_port(text: &str) -> Option<IpAddr> {
    let (address, port) = text.rsplit_once([':', '.'])?;
    port.parse::<u16>().ok()?;
    address.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
}

#[derive(Default)]
struct Clause {
    words: Vec<String>,
    comments: Vec<String>,
}

impl Clause {
    fn first_word(&self) -> Option<String> {
        self.words.first().map(|word| word.trim_end_matches(',').to_owned())
    }
}

/// A value taken apart: what stands after each keyword up to the next one.
#[derive(Default)]
struct Clauses {
    before: Clause,
    from: Clause,
    by: Clause,
    via: Clause,
    with: Clause,
    id: Clause,
    recipient: Clause,
    date: Option<String>,
}

/// Words and comments looked at in one field.
const TOKENS_MAX: usize = 200;

impl Clauses {
    fn read(value: &str) -> Clauses {
        let mut clauses = Clauses::default();
        // `(from user@localhost) by ...`: sendmail writes local submissions so; the comment holds the clause.
        let (text, date) = split_date(value);
        clauses.date = date.map(str::to_owned);
        // sendmail and Postfix may add a comment after the date, with the envelope sender.
        let after_date = Tokens(date.unwrap_or_default()).take(TOKENS_MAX).filter_map(|token| match token {
            Token::Comment(comment) => Some(comment.to_owned()),
            Token::Word(_) => None,
        });
        clauses.before.comments.extend(after_date);
        let mut keyword = "";
        let mut is_first = true;
        for token in Tokens(text).take(TOKENS_MAX) {
            match token {
                Token::Word(word) => {
                    let lower = word.to_ascii_lowercase();
                    // The first word of a clause is a name, whatever it looks like: a client that says `HELO by` must not
                    // hide its address. Only `from ([ip]) by` has no name.
                    let clause = clauses.clause(keyword);
                    let has_name = !clause.words.is_empty() || (keyword == "from" && !clause.comments.is_empty());
                    let is_keyword = (is_first || has_name) && !keyword_of(&lower).is_empty();
                    is_first = false;
                    if is_keyword && clauses.clause(keyword_of(&lower)).words.is_empty() {
                        keyword = keyword_of(&lower);
                    } else {
                        clauses.clause(keyword).words.push(word.to_owned());
                    }
                }
                Token::Comment(comment) => match comment.strip_prefix("from ") {
                    Some(client) if is_first => clauses.from = Clauses::read(&format!("from {client}")).from,
                    _ => clauses.clause(keyword).comments.push(comment.to_owned()),
                },
            }
        }
        clauses
    }

    fn clause(&mut self, keyword: &str) -> &mut Clause {
        match keyword {
            "from" => &mut self.from,
            "by" => &mut self.by,
            "via" => &mut self.via,
            "with" => &mut self.with,
            "id" => &mut self.id,
            "for" => &mut self.recipient,
            _ => &mut self.before,
        }
    }

    fn comments(&self) -> impl Iterator<Item = &String> {
        let Clauses { before, from, by, via, with, id, recipient, date: _ } = self;
        [before, from, by, via, with, id, recipient].into_iter().flat_map(|clause| &clause.comments)
    }

    /// qmail writes the name that it looked up first, and no version anywhere.
    fn is_qmail(&self) -> bool {
        let is_bare = self.from.comments.iter().any(|comment| !comment.contains(['[', ' ']));
        is_bare && self.id.words.is_empty() && self.with.words.len() == 1
    }
}

fn keyword_of(word: &str) -> &'static str {
    ["from", "by", "via", "with", "id", "for"].into_iter().find(|keyword| *keyword == word).unwrap_or("")
}

/// The text before the last semicolon, and the date behind it.
fn split_date(value: &str) -> (&str, Option<&str>) {
    match value.rsplit_once(';') {
        Some((text, date)) => (text, Some(date)),
        None => (value, None),
    }
}

enum Token<'a> {
    Word(&'a str),
    Comment(&'a str),
}

struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.0 = self.0.trim_start();
        if let Some(inner) = self.0.strip_prefix('(') {
            let end = comment_end(inner);
            let (comment, rest) = inner.split_at_checked(end).unwrap_or((inner, ""));
            self.0 = rest.strip_prefix(')').unwrap_or(rest);
            return Some(Token::Comment(comment));
        }
        let end = self.0.find(|c: char| c.is_whitespace() || c == '(').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at_checked(end).unwrap_or((self.0, ""));
        self.0 = rest;
        (!word.is_empty()).then_some(Token::Word(word))
    }
}

/// Where the comment ends whose opening was just read; an unclosed one ends with the text.
fn comment_end(text: &str) -> usize {
    let mut depth = 1usize;
    for (index, b) in text.bytes().enumerate() {
        match b {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Client as `helo rdns ip`, server, protocol, id, recipient; `-` for nothing.
    fn shown(value: &str) -> String {
        let r = Received::parse(value);
        let ip = r.ip.map(|ip| ip.to_string());
        [r.helo, r.rdns, ip, r.by, r.with, r.id, r.recipient]
            .map(|text| text.unwrap_or_else(|| "-".to_owned()))
            .join(" ")
    }

    #[test]
    fn fields_of_many_servers() {
        for (value, expected, why) in [
            (
                "from client.example (mail.example.net [192.0.2.1]) by mx.example.org (Postfix) with ESMTPS id 4LJ for <a@b.example>; Mon, 2 Mar 2026 10:11:12 +0100",
                "client.example mail.example.net 192.0.2.1 mx.example.org ESMTPS 4LJ a@b.example",
                "Postfix: HELO first, reverse name in the comment",
            ),
            (
                "from h.example (unknown [IPv6:2001:db8::1]) by mx.example.org (Postfix) with ESMTP id 7; Mon, 2 Mar 2026 10:11:12 +0100",
                "h.example - 2001:db8::1 mx.example.org ESMTP 7 -",
                "Postfix: no reverse name",
            ),
            (
                "from mail.example.net ([192.0.2.1] helo=client.example) by mx.example.org with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.96) (envelope-from <x@y.example>) id 1vx-00-1 for a@b.example; Mon, 2 Mar 2026 10:11:12 +0100",
                "client.example mail.example.net 192.0.2.1 mx.example.org esmtps tls TLS_AES_256_GCM_SHA384 1vx-00-1 a@b.example",
                "Exim: reverse name first, HELO in the comment",
            ),
            (
                "from [192.0.2.1] (port=5 helo=[10.0.0.9]) by mx.example.org with esmtp (Exim 4.96) id 1; Mon, 2 Mar 2026 10:11:12 +0100",
                "[10.0.0.9] - 192.0.2.1 mx.example.org esmtp 1 -",
                "Exim: no reverse name, a literal as HELO",
            ),
            (
                "from mail.example.net ([192.0.2.1]:5234) by mx.example.org with esmtp (Exim 4.96) id 1; Mon, 2 Mar 2026 10:11:12 +0100",
                "mail.example.net mail.example.net 192.0.2.1 mx.example.org esmtp 1 -",
                "Exim: HELO and reverse name agree",
            ),
            (
                "from unknown (HELO x.example) (user@192.0.2.1) by mx.example.org with SMTP; 5 Nov 2003 23:18:42 -0000",
                "x.example - 192.0.2.1 mx.example.org SMTP - -",
                "qmail: no reverse name",
            ),
            (
                "from mail.example.net (192.0.2.1) by mx.example.org with SMTP; 5 Nov 2003 23:18:42 -0000",
                "mail.example.net mail.example.net 192.0.2.1 mx.example.org SMTP - -",
                "qmail: HELO and reverse name agree",
            ),
            (
                "from A.outlook.com (2001:db8::a) by B.outlook.com (2001:db8::b) with Microsoft SMTP Server (version=TLS1_2) id 15.20.1.1; Mon, 2 Mar 2026 10:11:12 +0000",
                "A.outlook.com - 2001:db8::a B.outlook.com Microsoft SMTP Server 15.20.1.1 -",
                "Exchange: the name is the HELO",
            ),
            (
                "from mail.example.net (mail.example.net. [192.0.2.1]) by mx.google.com with ESMTPS id a1-b2si3 for <a@b.example> (version=TLS1_3 cipher=X bits=128/128); Mon, 02 Mar 2026 01:11:12 -0800 (PST)",
                "mail.example.net mail.example.net 192.0.2.1 mx.google.com ESMTPS a1-b2si3 a@b.example",
                "Google: reverse name with final dot",
            ),
            (
                "by 2002:a05:6000:1:b0:2 with SMTP id x.5.1; Mon, 2 Mar 2026 01:11:12 -0800 (PST)",
                "- - - 2002:a05:6000:1:b0:2 SMTP x.5.1 -",
                "Google, inside: no client",
            ),
            (
                "from mx56.example (1.rev.example [192.0.2.1] (may be forged)) by m.example (8.13.1/8.13.1) with ESMTP id i8F for <o@p.example>; Wed, 15 Sep 2004 21:38:31 +0200",
                "mx56.example 1.rev.example 192.0.2.1 m.example ESMTP i8F o@p.example",
                "sendmail",
            ),
            (
                "(from user@localhost) by h.example (8.14.4/8.14.4/Submit) id 06A for l@v.example; Fri, 10 Jul 2020 01:39:09 GMT",
                "user@localhost - - h.example - 06A l@v.example",
                "sendmail: born here",
            ),
            (
                "from by (by.example [192.0.2.1]) by m.example (Postfix) with SMTP id 1; Wed, 15 Sep 2004 21:38:31 +0200",
                "by by.example 192.0.2.1 m.example SMTP 1 -",
                "a client that called itself by a keyword",
            ),
            ("(qmail 10681 invoked by uid 404); 14 Nov 2003 08:05:52 -0000", "- - - - - - -", "qmail: born here"),
        ] {
            assert_eq!(shown(value), expected, "{why}");
            assert!(Received::parse(value).date.is_some(), "{why}");
        }
    }

    #[test]
    fn what_else_a_field_tells() {
        let exim =
            Received::parse("from a ([192.0.2.1] helo=b) by c with esmtpsa (Exim 4.96) (envelope-from <X@y.example>)");
        assert_eq!(exim.envelope_from.as_deref(), Some("X@y.example"));
        assert!(exim.is_authenticated && exim.is_encrypted);
        let postfix =
            Received::parse("from a (b [192.0.2.1]) (using TLSv1) (Authenticated sender: x) by c with ESMTP id 1");
        assert!(postfix.is_authenticated && postfix.is_encrypted);
        let forged = Received::parse("from a (b [192.0.2.1] (may be forged)) by c with ESMTP id 1");
        assert!(forged.is_rdns_unconfirmed && !forged.is_authenticated);
    }

    #[test]
    fn the_first_foreign_hop_is_behind_our_own() {
        let chain: Vec<Received> = [
            "(qmail 1 invoked by uid 4); 14 Nov 2003 08:05:52 -0000",
            "from a (a [10.0.0.1]) by b with ESMTP id 1; 14 Nov 2003 08:05:52 -0000",
            "from c (c [192.0.2.7]) by a with ESMTP id 2; 14 Nov 2003 08:05:52 -0000",
            "from d (d [198.51.100.1]) by c with ESMTP id 3; 14 Nov 2003 08:05:52 -0000",
        ]
        .iter()
        .map(|value| Received::parse(value))
        .collect();
        let ours: IpAddr = "10.0.0.1".parse().unwrap();
        let found = first_foreign(&chain, |ip| ip == ours).and_then(|hop| hop.ip);
        assert_eq!(found, "192.0.2.7".parse().ok());
        assert_eq!(first_foreign(&chain, |_| true), None);
    }
}
