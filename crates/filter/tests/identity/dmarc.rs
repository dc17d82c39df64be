//! DMARC: the worked examples of RFC 9989, and its rules one by one.

use std::sync::Arc;

use tidegate_filter::identity::{Aligned, Dmarc, DmarcPolicy, MessageInput, Spf, SpfResult, identify};
use tidegate_filter::known::{Known, Service, Unavailable};
use tidegate_mail::{Domain, Limits, Message};

use crate::sign::signed;
use crate::zone::{PATIENCE, Zone, block_on, world};

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// DMARC of `message`, when SPF has passed for `spf`.
fn judge(zone: Zone, message: &str, spf: Option<&str>) -> Known<Dmarc> {
    let passed = spf.map(|name| Spf { result: SpfResult::Pass, domain: Some(domain(name)), ..Spf::none() });
    judge_with(&Arc::new(zone), message, &Ok(passed.unwrap_or_else(Spf::none)), spf)
}

fn judge_with(zone: &Arc<Zone>, message: &str, spf: &Known<Spf>, spf_domain: Option<&str>) -> Known<Dmarc> {
    let message = Message::parse(message.as_bytes().to_vec(), &Limits::default());
    let spf_domain = spf_domain.map(domain);
    let input = MessageInput { message: &message, spf, spf_domain: spf_domain.as_ref(), patience: PATIENCE };
    block_on(identify(&input, &world(zone, jiff::Timestamp::UNIX_EPOCH))).dmarc
}

fn from(author: &str) -> String {
    format!("From: {author}\r\nSubject: x\r\n\r\nhello\r\n")
}

fn record(domain: &str, record: &str) -> Zone {
    Zone::default().txt(&format!("_dmarc.{domain}"), record)
}

/// RFC 9989 appendix B.1: identifiers in and out of alignment, all with relaxed alignment.
#[test]
fn alignment_of_the_appendix() {
    for (author, spf, record_at, aligned) in [
        ("sender@example.com", "example.com", "example.com", true),
        ("sender@child.example.com", "example.com", "example.com", true),
        ("sender@example.net", "example.com", "example.net", false),
    ] {
        let dmarc = judge(record(record_at, "v=DMARC1; p=reject"), &from(author), Some(spf)).unwrap();
        assert_eq!(dmarc.pass, Some(aligned), "{author} {spf}");
    }
    for (author, signer, record_at, aligned) in [
        ("sender@example.com", "example.com", "example.com", true),
        ("sender@child.example.com", "example.com", "example.com", true),
        ("sender@example.net", "sample.net", "example.net", false),
    ] {
        let zone = record(record_at, "v=DMARC1; p=reject").key(signer);
        let dmarc = judge(zone, &signed(author, signer), None).unwrap();
        assert_eq!(dmarc.pass, Some(aligned), "{author} {signer}");
        let vouchers = if aligned { vec![Aligned::Dkim(domain(signer))] } else { Vec::new() };
        assert_eq!(dmarc.aligned, vouchers, "{author} {signer}");
    }
}

/// RFC 9989 section 4.10.2, first example: records at mail.example.com and example.com.
#[test]
fn the_shortest_name_with_a_record_is_the_organization() {
    let zone = || {
        record("mail.example.com", "v=DMARC1; p=none").txt("_dmarc.example.com", "v=DMARC1; p=reject; sp=quarantine")
    };
    let dmarc = judge(zone(), &from("a@a.mail.example.com"), Some("other.example.com")).unwrap();
    assert_eq!((dmarc.pass, dmarc.record_domain), (Some(true), Some(domain("example.com"))));
    let dmarc = judge(zone(), &from("a@a.mail.example.com"), Some("example.net")).unwrap();
    assert_eq!((dmarc.pass, dmarc.policy), (Some(false), DmarcPolicy::Quarantine));
}

/// RFC 9989 section 4.10.2, second example: only com has a record, with psd=y. The organization is example.com.
#[test]
fn a_public_suffix_is_nobodys_organization() {
    let zone = || record("com", "v=DMARC1; p=reject; psd=y");
    let own = judge(zone(), &from("a@a.mail.example.com"), Some("b.example.com")).unwrap();
    assert_eq!((own.pass, own.record_domain), (Some(true), Some(domain("com"))));
    let other = judge(zone(), &from("a@a.mail.example.com"), Some("b.sample.com")).unwrap();
    assert_eq!((other.pass, other.policy), (Some(false), DmarcPolicy::Reject));
}

/// RFC 9989 section 4.10: eight questions for a name of any length.
#[test]
fn a_walk_asks_eight_times() {
    let zone = Arc::new(Zone::default());
    let dmarc = judge_with(&zone, &from("x@a.b.c.d.e.f.g.h.i.j.mail.example.com"), &Ok(Spf::none()), None).unwrap();
    assert_eq!((dmarc.pass, dmarc.record_domain), (None, None));
    let asked = zone.asked();
    assert_eq!(asked.len(), 8, "{asked:?}");
    assert_eq!(asked.first().unwrap(), "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com TXT");
    assert_eq!(asked.last().unwrap(), "_dmarc.com TXT");
}

/// psd=n makes a name an organization of its own below one that is larger.
#[test]
fn psd_n_parts_a_division_from_its_organization() {
    let zone = || record("dept.example.com", "v=DMARC1; p=reject; psd=n").txt("_dmarc.example.com", "v=DMARC1; p=none");
    let within = judge(zone(), &from("a@x.dept.example.com"), Some("y.dept.example.com")).unwrap();
    assert_eq!((within.pass, within.policy), (Some(true), DmarcPolicy::Reject));
    let outside = judge(zone(), &from("a@x.dept.example.com"), Some("example.com")).unwrap();
    assert_eq!((outside.pass, outside.record_domain), (Some(false), Some(domain("dept.example.com"))));
    let downwards = judge(zone(), &from("a@example.com"), Some("dept.example.com")).unwrap();
    assert_eq!(downwards.pass, Some(false));
}

/// np for a name that does not exist, sp for one that does, p for the domain itself (RFC 9989 section 4.7).
#[test]
fn subdomains_have_policies_of_their_own() {
    let zone =
        || record("example.com", "v=DMARC1; p=none; sp=quarantine; np=reject").a("real.example.com", "192.0.2.1");
    for (author, policy) in [
        ("a@example.com", DmarcPolicy::None),
        ("a@real.example.com", DmarcPolicy::Quarantine),
        ("a@made-up.example.com", DmarcPolicy::Reject),
    ] {
        assert_eq!(judge(zone(), &from(author), None).unwrap().policy, policy, "{author}");
    }
    let only_p = judge(record("example.com", "v=DMARC1; p=reject"), &from("a@made-up.example.com"), None).unwrap();
    assert_eq!(only_p.policy, DmarcPolicy::Reject);
    let sp_for_np =
        judge(record("example.com", "v=DMARC1; p=reject; sp=none"), &from("a@x.example.com"), None).unwrap();
    assert_eq!(sp_for_np.policy, DmarcPolicy::None);
}

/// t=y asks for one step less (RFC 9989 section 4.7).
#[test]
fn a_tested_policy_is_one_step_milder() {
    for (text, policy) in [
        ("v=DMARC1; p=reject; t=y", DmarcPolicy::Quarantine),
        ("v=DMARC1; p=quarantine; t=y", DmarcPolicy::None),
        ("v=DMARC1; p=reject; t=n", DmarcPolicy::Reject),
        ("v=DMARC1; p=reject; pct=0", DmarcPolicy::Reject),
    ] {
        let dmarc = judge(record("example.com", text), &from("a@example.com"), None).unwrap();
        assert_eq!((dmarc.policy, dmarc.testing), (policy, text.contains("t=y")), "{text}");
    }
}

#[test]
fn strict_alignment_wants_the_same_name() {
    let zone =
        || record("example.com", "v=DMARC1; p=reject; adkim=s; aspf=s").key("mail.example.com").key("example.com");
    assert_eq!(
        judge(zone(), &signed("a@example.com", "mail.example.com"), Some("mail.example.com")).unwrap().pass,
        Some(false)
    );
    assert_eq!(judge(zone(), &signed("a@example.com", "example.com"), None).unwrap().pass, Some(true));
}

/// No record, several records, and one without a policy (RFC 9989 sections 4.10 and 4.10.1).
#[test]
fn what_is_no_policy_is_none() {
    let none = |zone: Zone| judge(zone, &from("a@example.com"), None).unwrap();
    assert_eq!(none(Zone::default()).pass, None);
    let twice = record("example.com", "v=DMARC1; p=reject").txt("_dmarc.example.com", "v=DMARC1; p=none");
    assert_eq!(none(twice).pass, None);
    assert_eq!(none(record("example.com", "v=DMARC1; p=refuse")).pass, None);
    let reported = none(record("example.com", "v=DMARC1; rua=mailto:a@example.com"));
    assert_eq!((reported.pass, reported.policy), (Some(false), DmarcPolicy::None));
    let wrong_sp = none(record("example.com", "v=DMARC1; p=reject; sp=x; rua=mailto:a@example.com"));
    assert_eq!(wrong_sp.policy, DmarcPolicy::None);
}

/// Each author must be vouched for: a second one is no way around the policy of the first.
#[test]
fn the_worst_author_counts() {
    let zone = || record("bank.example", "v=DMARC1; p=reject");
    for message in [
        "From: a@evil.example, ceo@bank.example\r\n\r\n",
        "From: a@evil.example\r\nFrom: ceo@bank.example\r\n\r\n",
        "From: ceo@bank.example\r\nFrom: a@evil.example\r\n\r\n",
    ] {
        let dmarc = judge(zone(), message, Some("evil.example")).unwrap();
        assert_eq!((dmarc.pass, dmarc.author), (Some(false), Some(domain("bank.example"))), "{message}");
    }
}

/// Silence that would have mattered is neither a pass nor a fail (RFC 9989 section 5.3.6).
#[test]
fn not_knowing_is_not_failing() {
    let silent: Known<Spf> = Err(Unavailable::new(Service::Dns, "timeout"));
    let zone = Arc::new(record("example.com", "v=DMARC1; p=reject"));
    assert!(judge_with(&zone, &from("a@example.com"), &silent, Some("mail.example.com")).is_err());
    let elsewhere = judge_with(&zone, &from("a@example.com"), &silent, Some("example.net")).unwrap();
    assert_eq!(elsewhere.pass, Some(false));
    let mut dead = record("example.com", "v=DMARC1; p=reject");
    dead.silence("s._domainkey.example.com");
    assert!(judge(dead, &signed("a@example.com", "example.com"), None).is_err());
    let mut no_record = Zone::default();
    no_record.silence("_dmarc.example.com");
    assert!(judge(no_record, &from("a@example.com"), None).is_err());
}

/// SPF that lets everybody through vouches for nobody.
#[test]
fn a_pass_for_everyone_is_no_pass() {
    let spf =
        Ok(Spf { result: SpfResult::Pass, domain: Some(domain("example.com")), allows_everyone: true, ..Spf::none() });
    let zone = Arc::new(record("example.com", "v=DMARC1; p=reject"));
    assert_eq!(judge_with(&zone, &from("a@example.com"), &spf, Some("example.com")).unwrap().pass, Some(false));
}
