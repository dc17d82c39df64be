//! Hostile input: whatever stands in a header or in DNS, the facts come out without a panic and within their limits.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tidegate_filter::dns::{Question, Record, RecordKind, Reply, Resolver};
use tidegate_filter::identity::{
    DkimResult, DkimSignature, MessageInput, Spf, SpfInput, identify, spf_helo, spf_mail_from,
};
use tidegate_filter::known::{Answer, Known};
use tidegate_filter::session::Helo;
use tidegate_filter::world::World;
use tidegate_mail::{Limits, Message, ReversePath};

use crate::zone::{PATIENCE, Zone, block_on, world};

/// Questions that one SPF check may ask: its own record, ten terms of which each may ask for ten hosts, and the client's names.
const SPF_QUESTIONS_MAX: usize = 1 + 10 * 11 + 11;
/// Questions for one message: ten keys, fifty-one of a chain, and five authors' walks, each against eleven vouchers' walks.
const MESSAGE_QUESTIONS_MAX: usize = 10 + 51 + 5 * (9 + 11 * 8);

fn term() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+~?]?(all|a|mx|ptr|include|exists|ip4|ip6|redirect|exp)([:=/][a-z0-9.%{}/:-]{0,20})?",
        Just("include:example.org".to_owned()),
        Just("mx:example.org".to_owned()),
        Just("exists:%{ir}.%{p}.example.org".to_owned()),
        "%\\{[sldiphv][0-9]{0,3}r?[-.+,/_=]{0,3}\\}",
        ".{0,12}",
    ]
}

fn zone_of(texts: &[Vec<u8>]) -> Arc<Zone> {
    let mut zone = Zone::default();
    for text in texts {
        zone.add("example.org", RecordKind::Txt, Record::Txt(text.clone()));
        zone.add("_dmarc.example.org", RecordKind::Txt, Record::Txt(text.clone()));
        zone.add("s._domainkey.example.org", RecordKind::Txt, Record::Txt(text.clone()));
    }
    for host in 0..12 {
        zone.add("example.org", RecordKind::Mx, Record::Mx(10, format!("mx{host}.example.org")));
        zone.add("7.2.0.192.in-addr.arpa", RecordKind::Ptr, Record::Ptr(format!("mx{host}.example.org")));
    }
    Arc::new(zone)
}

fn tag() -> impl Strategy<Value = String> {
    prop_oneof![
        "(v|a|b|bh|c|d|h|i|l|q|s|t|x|p|k|cv|sp|np|psd|adkim|rua) ?= ?[a-z0-9=/:.@+-]{0,12}",
        Just("v=1; a=rsa-sha256; d=example.org; s=s; h=from; bh=YWI=; b=YWI=".to_owned()),
        Just("a=rsa-sha256; d=example.org; s=s; cv=none; b=YWI=; i=1".to_owned()),
        Just("i=1; mx.test; dmarc=pass".to_owned()),
        Just("v=DMARC1; p=reject".to_owned()),
        ".{0,12}",
    ]
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof![
        Just("DKIM-Signature"),
        Just("ARC-Seal"),
        Just("ARC-Message-Signature"),
        Just("ARC-Authentication-Results"),
        Just("From"),
        Just("List-Id"),
    ];
    let field =
        (name, prop::collection::vec(tag(), 0..6)).prop_map(|(name, tags)| format!("{name}: {}\r\n", tags.join(";")));
    let header = prop::collection::vec(field, 0..12);
    (header, prop::collection::vec(any::<u8>(), 0..64)).prop_map(|(header, body)| {
        let mut message = format!("From: a@example.org\r\n{}\r\n", header.concat()).into_bytes();
        message.extend(body);
        message
    })
}

proptest! {
    #[test]
    fn any_record_is_evaluated(terms in prop::collection::vec(term(), 0..20), helo in ".{0,40}", local in "[a-z.+%{}-]{1,20}") {
        let record = format!("v=spf1 {}", terms.join(" "));
        let zone = zone_of(&[record.into_bytes()]);
        let helo = Helo::new(helo);
        let input = SpfInput { ip: "192.0.2.7".parse().unwrap(), helo: Some(&helo) };
        let path = ReversePath::parse(&format!("{local}@example.org")).unwrap();
        let world = world(&zone, jiff::Timestamp::UNIX_EPOCH);
        let _any = block_on(spf_mail_from(&input, &path, &world));
        prop_assert!(zone.asked().len() <= SPF_QUESTIONS_MAX, "{} questions", zone.asked().len());
        let _any = block_on(spf_helo(&input, &world));
    }

    #[test]
    fn any_octets_are_a_record(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let zone = zone_of(&[[b"v=spf1 ".as_slice(), &text].concat()]);
        let helo = Helo::new("example.org");
        let input = SpfInput { ip: "2001:db8::7".parse().unwrap(), helo: Some(&helo) };
        let _any = block_on(spf_helo(&input, &world(&zone, jiff::Timestamp::UNIX_EPOCH)));
    }

    #[test]
    fn any_message_has_identities(message in message(), records in prop::collection::vec(tag(), 0..4)) {
        let zone = zone_of(&[records.join(";").into_bytes()]);
        let message = Message::parse(message, &Limits::default());
        let spf = Ok(Spf::none());
        let input = MessageInput { message: &message, spf: &spf, spf_domain: None, patience: PATIENCE };
        let identity = block_on(identify(&input, &world(&zone, jiff::Timestamp::UNIX_EPOCH)));
        prop_assert!(identity.dkim.len() <= 10);
        prop_assert!(zone.asked().len() <= MESSAGE_QUESTIONS_MAX, "{} questions", zone.asked().len());
    }
}

/// A signature that names thousands of fields, in a header of thousands, costs no more than reading both.
#[test]
fn a_long_header_is_hashed_in_time() {
    let names = vec!["x"; 499].join(":");
    let hash = data_encoding::BASE64.encode(ring::digest::digest(&ring::digest::SHA256, b"body\r\n").as_ref());
    let signature =
        format!("DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s; h=from:{names}; bh={hash}; b=YWI=\r\n");
    let raw = format!("{}From: a@example.org\r\n{}\r\nbody", signature.repeat(10), "x: y\r\n".repeat(20_000));
    let message = Message::parse(raw.into_bytes(), &Limits::default());
    let zone = Arc::new(Zone::default().key("example.org"));
    let spf = Ok(Spf::none());
    let input = MessageInput { message: &message, spf: &spf, spf_domain: None, patience: PATIENCE };
    let identity = block_on(identify(&input, &world(&zone, jiff::Timestamp::UNIX_EPOCH)));
    assert_eq!(identity.dkim.len(), 10);
    let wrong_key = DkimResult::Fail("the key is of another type than the signature".into());
    assert!(identity.dkim.iter().all(|signature| signature.result == wrong_key), "{:?}", identity.dkim);
}

struct Mute;

impl Resolver for Mute {
    fn lookup<'a>(&'a self, _question: &'a Question) -> Answer<'a, Known<Reply>> {
        Box::pin(std::future::pending())
    }
}

/// A resolver that never answers leaves gaps, and costs no more than the time that was given.
#[test]
fn silence_ends() {
    let raw = crate::sign::signed("a@example.org", "example.org");
    let message = Message::parse(raw.into_bytes(), &Limits::default());
    let spf = Ok(Spf::none());
    let input = MessageInput { message: &message, spf: &spf, spf_domain: None, patience: PATIENCE };
    let mute = World { dns: Arc::new(Mute), ..world(&Arc::new(Zone::default()), jiff::Timestamp::UNIX_EPOCH) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (identity, took) = runtime.block_on(async {
        let begin = tokio::time::Instant::now();
        (identify(&input, &mute).await, begin.elapsed())
    });
    assert!(matches!(identity.dkim.first().unwrap().result, DkimResult::Unavailable(_)), "{:?}", identity.dkim);
    assert!(identity.dmarc.is_err() && took < PATIENCE + Duration::from_secs(1), "{took:?}");
}

/// Signatures that all want another part of the body hashed cost a few passes over it, not one each.
#[test]
fn kinds_of_body_hash_are_limited() {
    let hash = data_encoding::BASE64.encode(ring::digest::digest(&ring::digest::SHA256, b"").as_ref());
    let signatures: String = (0..10)
        .map(|l| format!("DKIM-Signature: v=1; a=rsa-sha256; d=example.org; s=s; h=from; l={l}; bh={hash}; b=YWI=\r\n"))
        .collect();
    let raw = format!("{signatures}From: a@example.org\r\n\r\n{}", "body\r\n".repeat(100));
    let message = Message::parse(raw.into_bytes(), &Limits::default());
    let zone = Arc::new(Zone::default().key("example.org"));
    let spf = Ok(Spf::none());
    let input = MessageInput { message: &message, spf: &spf, spf_domain: None, patience: PATIENCE };
    let identity = block_on(identify(&input, &world(&zone, jiff::Timestamp::UNIX_EPOCH)));
    let refused = |s: &&DkimSignature| matches!(&s.result, DkimResult::PermError(why) if why.contains("too many"));
    assert_eq!(identity.dkim.iter().filter(refused).count(), 6, "{:?}", identity.dkim);
}
