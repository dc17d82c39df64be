//! A request written, as our ACLs write it: for tests, the bench and anything else that plays Exim.

use std::net::SocketAddr;

use data_encoding::BASE64;

use super::address::ExactAddress;
use super::ask::{Ask, Content, DeliveryEvent, Origin, Part, Transaction};
use super::words::{push_bare, push_quoted};

impl Ask {
    /// Writes the request as our ACL does, LF included: for tests, the bench and anything else that plays Exim.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut line = b"v=1".to_vec();
        push_quoted(&mut line, "st", self.stage.word().as_bytes());
        if self.part != Part::WHOLE {
            push_bare(&mut line, "part", self.part.number.to_string().as_bytes());
            push_bare(&mut line, "parts", self.part.of.to_string().as_bytes());
        }
        push_text(&mut line, "s", self.session.as_deref());
        self.push_origin(&mut line);
        push_text(&mut line, "proto", self.protocol.as_deref());
        push_text(&mut line, "tls", self.tls.as_ref().map(|t| t.cipher.as_str()));
        push_text(&mut line, "sni", self.tls.as_ref().and_then(|t| t.sni.as_deref()));
        push_text(&mut line, "helo", self.helo.as_deref());
        push_text(&mut line, "auth", self.login.account.as_deref());
        push_text(&mut line, "am", self.login.mechanism.as_deref());
        push_text(&mut line, "authfail", self.login.failed_account.as_deref());
        push_transaction(&mut line, &self.transaction);
        push_content(&mut line, &self.content);
        push_text(&mut line, "why", self.why.as_deref());
        if let Some(event) = &self.event {
            push_event(&mut line, event);
        }
        line.push(b'\n');
        line
    }

    fn push_origin(&self, line: &mut Vec<u8>) {
        // Exim joins address and port by a colon and puts no brackets around IPv6.
        let joined = |address: &SocketAddr| format!("{}:{}", address.ip(), address.port());
        match &self.origin {
            Origin::Remote { client, interface, host, ident } => {
                push_bare(line, "ip", joined(client).as_bytes());
                if let Some(interface) = interface {
                    push_bare(line, "if", joined(interface).as_bytes());
                }
                push_text(line, "host", host.as_deref());
                push_text(line, "ident", ident.as_deref());
            }
            Origin::Local { uid, gid, user, cwd } => {
                push_bare(line, "ip", b":0");
                push_number(line, "uid", uid.map(u64::from));
                push_number(line, "gid", gid.map(u64::from));
                push_text(line, "ident", user.as_deref());
                push_text(line, "cwd", cwd.as_deref());
            }
            Origin::Unknown => {}
        }
    }
}

fn push_transaction(line: &mut Vec<u8>, transaction: &Transaction) {
    push_text(line, "id", transaction.id.as_deref());
    push_text(line, "from", transaction.sender.as_ref().map(ExactAddress::as_str));
    push_number(line, "size", transaction.size);
    push_text(line, "rcpt", transaction.recipient.as_ref().map(ExactAddress::as_str));
    let counts = transaction.counts;
    for (key, count) in [("rc", counts.asked), ("rn", counts.accepted), ("rf", counts.refused), ("rd", counts.deferred)]
    {
        push_bare(line, key, count.to_string().as_bytes());
    }
}

fn push_content(line: &mut Vec<u8>, content: &Content) {
    push_text(line, "spool", content.spool.as_deref());
    push_text(line, "queue", content.queue.as_deref());
    push_number(line, "blen", content.body_octets);
    push_number(line, "hlen", content.headers_octets);
    if content.is_in_scan_file {
        push_bare(line, "eml", b"1");
    }
    if content.is_cut {
        push_bare(line, "cut", b"1");
    }
    if content.takes_quoted {
        push_bare(line, "hq", b"1");
    }
    for (key, bytes) in [("hdr", &content.headers), ("rcpts", &content.recipients)] {
        if !bytes.is_empty() {
            push_bare(line, key, BASE64.encode(bytes).as_bytes());
        }
    }
}

fn push_event(line: &mut Vec<u8>, event: &DeliveryEvent) {
    push_text(line, "ev", Some(&event.name));
    push_text(line, "ed", event.text.as_deref());
    push_text(line, "er", event.router.as_deref());
    push_text(line, "et", event.transport.as_deref());
    push_text(line, "eh", event.host.as_deref());
    push_text(line, "ea", event.host_ip.as_deref());
}

fn push_text(line: &mut Vec<u8>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        push_quoted(line, key, text.as_bytes());
    }
}

fn push_number(line: &mut Vec<u8>, key: &str, number: Option<u64>) {
    if let Some(number) = number {
        push_bare(line, key, number.to_string().as_bytes());
    }
}
