//! What a message itself tells of the session it came in, for those who bring only the message: its Received chain, Return-Path and
//! the fields that a delivery leaves. A sender can forge all of it but what our own servers wrote on top.

use std::net::IpAddr;

use tidegate_mail::{Address, Domain, Message, Received, ReversePath};

/// Fields in which deliveries leave the envelope recipient, most exact first.
const DELIVERED: [&str; 3] = ["Delivered-To", "X-Original-To", "Envelope-To"];

/// The hop at which the message came to us: the first of the Received chain that names no address of an inner network.
pub(crate) fn first_hop(message: &Message) -> Option<&Received> {
    message.first_foreign_hop(is_internal)
}

fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The greeting of a client without a name (RFC 5321 section 4.1.3).
pub(crate) fn address_literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// The envelope sender as the last delivery wrote it down, `None` without Return-Path.
pub(crate) fn return_path(message: &Message) -> Option<ReversePath> {
    message.header("Return-Path").and_then(|field| path(field.decoded()))
}

/// A path with or without its angle brackets.
pub(crate) fn path(text: &str) -> Option<ReversePath> {
    let text = text.trim();
    let bare = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
    ReversePath::parse(bare).ok()
}

/// The one recipient that the message is most likely for: where it was delivered, else its first To, else the postmaster of `here`.
pub(crate) fn recipient(message: &Message, here: &Domain) -> Option<Address> {
    let delivered = DELIVERED.iter().filter_map(|name| message.header(name));
    let delivered = delivered.filter_map(|field| Address::parse(field.decoded().trim()).ok());
    let to = message.to().iter().filter_map(|mailbox| mailbox.address.clone());
    delivered.chain(to).next().or_else(|| Address::from_parts("postmaster", here.clone()).ok())
}

/// The message with one kind of line end. Files come with either, and some with both: what stood on the wire cannot be told from them.
pub(crate) fn with_one_line_end(raw: Vec<u8>) -> Vec<u8> {
    let crlf = raw.windows(2).filter(|pair| pair == b"\r\n").count();
    let lf = raw.iter().filter(|octet| **octet == b'\n').count();
    if crlf == 0 || crlf == lf {
        return raw;
    }
    let mut text = Vec::with_capacity(raw.len());
    for line in raw.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            None => text.extend_from_slice(line),
        }
    }
    text
}
