//! Programs that know SpamAssassin's spamd ask Tidegate instead: Debian's spamc with each of its options, and a real Exim with a plain
//! `spam` condition.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a lab that breaks is to fail loudly"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use tidegate_e2e::{Daemon, Lab, Layout, Plan, why_not};

const CONFIG: &str = "
[rules]
files = [\"@LAB@/rules/*.cf\"]
[spamd]
listen = [\"127.0.0.1:17830\", \"@LAB@/run/spamd.sock\"]
[policy.mailboxes.\"sales@exim.test\".inbound]
tag = 3.5
";
const RULE: &str =
    "body LOCAL_PRIZE /million dollars/i\ndescribe LOCAL_PRIZE Promises a million\nscore LOCAL_PRIZE 7\n";
const DNS: &str = "
good.test MX 10 mail.good.test
good.test TXT v=spf1 ip4:203.0.113.10 -all
mail.good.test A 203.0.113.10
10.113.0.203.in-addr.arpa PTR mail.good.test
bad.test MX 10 mail.bad.test
bad.test TXT v=spf1 ip4:203.0.113.9 -all
mail.bad.test A 203.0.113.9
9.113.0.203.in-addr.arpa PTR mail.bad.test
";
const EXIM: &str = "spamd_address = 127.0.0.1 17830\nacl_smtp_data = @LAB@/spam.acl\n";
/// Exim asks as its manual tells, and writes what it heard into the message.
const ACL: &str = "warn spam = nobody:true
  add_header = X-Heard: $spam_score $spam_score_int $spam_action
  add_header = X-Report: $spam_report
deny spam = nobody
  condition = ${if >={$spam_score_int}{120}}
accept
";
const SPAM: &str = "Received: from mail.bad.test (mail.bad.test [203.0.113.9]) by mx.exim.test with ESMTP;\n\tWed, 25 Nov 2026 10:00:00 +0000\nFrom: a@bad.test\nTo: b@exim.test\nSubject: prize\nDate: Wed, 25 Nov 2026 10:00:00 +0000\nMessage-ID: <s@bad.test>\nX-Spam-Status: No, forged\n\nYou have won a million dollars.\n";
const HAM: &str = "Received: from mail.good.test (mail.good.test [203.0.113.10]) by mx.exim.test with ESMTP;\n\tWed, 25 Nov 2026 10:00:00 +0000\nFrom: a@good.test\nTo: b@exim.test\nSubject: lunch\nDate: Wed, 25 Nov 2026 10:00:00 +0000\nMessage-ID: <h@good.test>\n\nSee you at noon.\n";

fn lab(test: &str) -> Option<(Lab, Daemon)> {
    lab_with(test, CONFIG)
}

fn lab_with(test: &str, config: &str) -> Option<(Lab, Daemon)> {
    let reason = why_not().or((!Path::new("/usr/bin/spamc").exists()).then_some("spamc is not installed"));
    if let Some(reason) = reason {
        println!("skipped: {test}: {reason}");
        return None;
    }
    let lab = Lab::start(&Plan { dns: DNS.to_owned(), exim: EXIM.to_owned(), layout: Layout::Bare }).unwrap();
    fs::write(lab.folder().join("spam.acl"), ACL).unwrap();
    fs::create_dir_all(lab.folder().join("rules")).unwrap();
    fs::write(lab.folder().join("rules/local.cf"), RULE).unwrap();
    let daemon = Daemon::start(&lab, config).unwrap();
    Some((lab, daemon))
}

/// What spamc says and its exit code.
fn spamc(lab: &Lab, options: &[&str], input: &str) -> (String, i32) {
    let mut child = lab
        .namespace()
        .command("spamc")
        .args(["-d", "127.0.0.1", "-p", "17830"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    (String::from_utf8(stdout).unwrap(), status.code().unwrap())
}

#[test]
fn spamc_gets_what_each_option_asks_for() {
    let Some((lab, _daemon)) = lab("spamc_gets_what_each_option_asks_for") else { return };
    let socket = lab.folder().join("run/spamd.sock");
    let socket = socket.to_str().unwrap();

    assert_eq!(spamc(&lab, &["-K"], "").1, 0);
    let (score, code) = spamc(&lab, &["-c"], SPAM);
    assert!(score.ends_with("/5.0\n") && score.starts_with('6') && code == 1, "{score}");
    let (score, code) = spamc(&lab, &["-u", "someone", "-c"], HAM);
    assert!(score.ends_with("/5.0\n") && code == 0, "{score}");
    let (score, _) = spamc(&lab, &["-u", "sales@exim.test", "-c"], HAM);
    assert!(score.ends_with("/3.5\n"), "the client's word stands before To: {score}");
    let (symbols, _) = spamc(&lab, &["-U", socket, "-y"], SPAM);
    assert!(symbols.split(',').any(|symbol| symbol == "LOCAL_PRIZE"), "{symbols}");

    let (report, _) = spamc(&lab, &["-R"], SPAM);
    assert!(report.contains(" 7.0 LOCAL_PRIZE            Promises a million\n"), "{report}");
    assert!(report.contains("[million dollars]") && report.contains("points, 5.0 required)"), "{report}");
    assert!(spamc(&lab, &["-r"], SPAM).0.contains("LOCAL_PRIZE"));
    assert_eq!(spamc(&lab, &["-r"], HAM).0, "");

    let (message, code) = spamc(&lab, &["-E"], SPAM);
    assert_eq!(code, 1);
    assert!(message.contains("\nX-Spam-Flag: YES\n") && message.contains("multipart/mixed"), "{message}");
    assert!(message.contains(SPAM), "the message is whole within its report");
    let (message, code) = spamc(&lab, &["-E"], HAM);
    assert_eq!(code, 0);
    assert!(message.starts_with("X-Spam-Checker-Version: Tidegate ") && message.ends_with(HAM), "{message}");
    let (header, _) = spamc(&lab, &["--headers"], HAM);
    assert!(header.contains("\nX-Spam-Status: No, score=") && header.ends_with(HAM), "{header}");
}

/// What was said to a client can be explained later, and only advice is recorded: nothing was refused.
#[test]
fn what_a_client_heard_is_explained() {
    let Some((lab, daemon)) = lab("what_a_client_heard_is_explained") else { return };
    let (report, _) = spamc(&lab, &["-R"], SPAM);
    let id = report.split("tidegate why ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let said = (0..50).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let output = daemon.command(&lab, &["why", "--verify", &id]).unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    });
    let said = said.unwrap();
    assert!(said.contains("because score ") && said.contains(" reaches 5.0 (tag, policy"), "{said}");
    assert!(said.contains("group `rules` add up to 7.0, of which 6.0 counts ([policy.caps])"), "{said}");
    assert!(report.contains("(rules together count 6.0 points of these 7.0.)\n"), "{report}");
    assert!(said.contains("tag at data") && said.contains("LOCAL_PRIZE") && said.contains("verified:"), "{said}");
}

/// spamd's own port is below 1024: the daemon has it with what the packaged unit gives, and asks for no more.
#[test]
fn the_unit_lets_the_daemon_have_the_port_of_spamd() {
    let Some((_lab, daemon)) = lab_with("the_unit_lets_the_daemon_have_the_port_of_spamd", ON_783) else { return };
    assert_eq!(ping(783), PONG, "{}", daemon.log());
}

/// What a reader of the mail sees stands as from spamd: its columns, the original that a text is, and our fields behind Return-Path.
#[test]
fn marked_mail_looks_as_from_spamd() {
    let config = format!("{CONFIG}[policy.caps]\nrules = 11\n");
    let Some((lab, daemon)) = lab_with("marked_mail_looks_as_from_spamd", &config) else { return };
    let rules = "body LOCAL_PRIZE /million dollars/\nscore LOCAL_PRIZE 1000\nbody LOCAL_BARE /You have won/\nscore LOCAL_BARE 1\n";
    fs::write(lab.folder().join("rules/local.cf"), rules).unwrap();
    until(|| spamc(&lab, &["-y"], SPAM).0.contains("LOCAL_BARE"));
    let (message, _) = spamc(&lab, &[], SPAM);
    assert!(message.contains("\n1000 LOCAL_PRIZE            a rule without a description\n"), "{message}");
    assert!(
        !message.contains("local.cf") && message.contains("\nContent-Disposition: inline\nContent-Transfer"),
        "{message}"
    );
    let html = SPAM.replacen("Subject:", "Content-Type: text/html\nSubject:", 1);
    assert!(spamc(&lab, &[], &html).0.contains("\nContent-Disposition: attachment\n"));

    daemon.reconfigure(|text| text.replace("[spamd]", "[spamd]\nreport_safe = 0")).unwrap();
    let returned = format!("Return-Path: <a@bad.test>\n{SPAM}");
    until(|| spamc(&lab, &["--headers"], &returned).0.contains("\nX-Spam-Report: \n\t* "));
    let (message, _) = spamc(&lab, &[], &returned);
    assert!(message.starts_with("Return-Path: <a@bad.test>\nX-Spam-Checker-Version: "), "{message}");
    assert!(message.contains("\n\t* 1000 LOCAL_PRIZE a rule without a description\n"), "{message}");
    assert!(message.contains("\n\t*  1.0 LOCAL_BARE "), "{message}");
}

/// Whoever has the port keeps it; Exim's mail is judged meanwhile, and spamd's clients are heard once the port is free.
#[test]
fn a_place_that_cannot_be_had_is_tried_on_and_takes_no_mail_along() {
    let test = "a_place_that_cannot_be_had_is_tried_on_and_takes_no_mail_along";
    let Some((lab, mut daemon)) = lab_with(test, ON_783) else { return };
    daemon.kill();
    let other = TcpListener::bind("127.0.0.1:783").unwrap();
    daemon.spawn(&lab).unwrap();
    let status = || {
        let output = daemon.command(&lab, &["status"]).unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(status().contains("! spamd's clients are not heard on 127.0.0.1:783"), "{}", status());
    assert!(status().contains("does spamd still run?") && daemon.log().contains("does spamd still run?"));
    drop(other);
    until(|| TcpStream::connect("127.0.0.1:783").is_ok());
    assert_eq!(ping(783), PONG);
    // The port is had a moment before that is noted.
    until(|| !status().contains("spamd's clients"));
    assert_eq!(daemon.log().matches("cannot listen").count(), 1, "said once: {}", daemon.log());

    daemon.reconfigure(|text| text.replace(":783", ":17831")).unwrap();
    until(|| TcpStream::connect("127.0.0.1:17831").is_ok());
    assert_eq!(ping(17831), PONG);
    assert!(TcpStream::connect("127.0.0.1:783").is_err(), "what the configuration names no more is closed");
}

const ON_783: &str = "[spamd]\nlisten = [\"127.0.0.1:783\"]\n";
const PONG: &str = "SPAMD/1.5 0 PONG\r\n";

fn ping(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"PING SPAMC/1.5\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn until(holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not come to this");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Any user may ask by the socket. Whoever announces much and keeps it open takes no more than the room for all, and is in nobody's way
/// who asks about small messages.
#[test]
fn whoever_holds_much_takes_no_more_than_the_room_for_all() {
    const OCTETS: usize = 60 << 20;
    const HOLDERS: usize = 24;
    const KB_MAX: u64 = 500_000;
    let test = "whoever_holds_much_takes_no_more_than_the_room_for_all";
    let Some((lab, daemon)) = lab(test) else { return };
    let socket = lab.folder().join("run/spamd.sock");
    let announced = format!("CHECK SPAMC/1.5\r\nContent-length: {}\r\n\r\n", OCTETS + 1);
    let holder = |_| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        stream.write_all(announced.as_bytes()).unwrap();
        // Those for whom there is no room yet are not read.
        let _as_far_as_it_goes = stream.write_all(&vec![b'a'; OCTETS]);
        stream
    };
    let holders: Vec<UnixStream> = (0..HOLDERS).map(holder).collect();
    let resident = daemon.resident_kb().unwrap();
    assert!(resident < KB_MAX, "{resident} KB");
    assert_eq!(spamc(&lab, &["-c"], SPAM).1, 1, "a small message waits for nobody");
    drop(holders);
    let large = format!("{HAM}{}", "Words and words.\n".repeat(60_000));
    let (score, code) = spamc(&lab, &["-s", "9000000", "-c"], &large);
    assert!(score.ends_with("/5.0\n") && code == 0, "room came back: {score}");
}

/// All connections of a place are taken by clients that say nothing: once others wait, ten seconds are enough for them.
#[test]
fn silent_clients_make_room_when_others_wait() {
    let Some((_lab, daemon)) = lab_with("silent_clients_make_room_when_others_wait", ON_783) else { return };
    let silent: Vec<TcpStream> = (0..210).map(|_| TcpStream::connect("127.0.0.1:783").unwrap()).collect();
    let begun = Instant::now();
    assert_eq!(ping(783), PONG, "{}", daemon.log());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    drop(silent);
}

/// A request as octets: what hostile or broken clients send, and how it is answered.
#[test]
fn requests_that_break_the_protocol_are_told_so() {
    let Some((lab, _daemon)) = lab("requests_that_break_the_protocol_are_told_so") else { return };
    let ask = |request: &[u8]| {
        let mut stream = TcpStream::connect("127.0.0.1:17830").unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert_eq!(ask(b"PING SPAMC/1.5\r\n\r\n"), "SPAMD/1.5 0 PONG\r\n");
    assert_eq!(ask(b"SKIP SPAMC/1.5\r\n\r\n"), "");
    assert_eq!(ask(b"hello\r\n\r\n"), "SPAMD/1.0 76 Bad header line: hello\r\n");
    let short = ask(b"CHECK SPAMC/1.5\r\nContent-length: 9999\r\n\r\nabc");
    assert!(short.starts_with("SPAMD/1.0 76 ") && short.contains("Expected 9999 bytes, got 3 bytes"), "{short}");
    let long = ask(b"CHECK SPAMC/1.5\r\nContent-length: 3\r\n\r\nabcdefgh");
    assert!(long.contains("Expected 3 bytes, got 8 bytes"), "{long}");
    let tell = ask(b"TELL SPAMC/1.5\r\nMessage-class: spam\r\nSet: local\r\nContent-length: 3\r\n\r\nabc");
    assert!(tell.starts_with("SPAMD/1.0 69 Service Unavailable: "), "{tell}");
    let packed = ask(b"CHECK SPAMC/1.5\r\nCompress: zlib\r\nContent-length: 3\r\n\r\nabc");
    assert!(packed.starts_with("SPAMD/1.0 69 Service Unavailable: zlib"), "{packed}");
    // A message of nothing is one too.
    assert!(ask(b"CHECK SPAMC/1.5\r\nContent-length: 0\r\n\r\n").starts_with("SPAMD/1.1 0 EX_OK\r\nSpam: "));
    drop(lab);
}

/// Packed with zlib, as `spamc -z` does where it is built with it (Debian's is not).
#[test]
fn a_packed_message_is_unpacked() {
    let Some((lab, _daemon)) = lab("a_packed_message_is_unpacked") else { return };
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(SPAM.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let mut stream = TcpStream::connect("127.0.0.1:17830").unwrap();
    let head = format!("SYMBOLS SPAMC/1.5\r\nCompress: zlib\r\nUser: a\r\nContent-length: {}\r\n\r\n", packed.len());
    stream.write_all(&[head.as_bytes(), &packed].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("SPAMD/1.1 0 EX_OK\r\nContent-length: ") && answer.contains("LOCAL_PRIZE"), "{answer}");
    drop(lab);
}

#[test]
fn exim_with_a_plain_spam_condition_works() {
    let Some((lab, _daemon)) = lab("exim_with_a_plain_spam_condition_works") else { return };
    let send = |sender: &str, text: &str| {
        let (mut client, _) = lab.client("203.0.113.9").unwrap();
        client.envelope("mail.bad.test", sender, &["b@exim.test"]).unwrap();
        client.data(text.as_bytes()).unwrap()
    };
    assert_eq!(send("a@bad.test", SPAM).code, 250);
    let delivered = lab.exim.wait_delivered(1).unwrap();
    let heard = delivered[0].header("X-Heard").join("");
    assert!(heard.starts_with('6') && heard.ends_with(" reject"), "{heard}");
    let report = delivered[0].header("X-Report").join("");
    assert!(report.contains("LOCAL_PRIZE") && report.contains("tidegate why "), "{report}");
    lab.exim.empty_mailbox().unwrap();
    assert_eq!(send("a@good.test", HAM).code, 250);
    let delivered = lab.exim.wait_delivered(1).unwrap();
    let heard = delivered[0].header("X-Heard").join("");
    assert!(heard.ends_with(" no action"), "{heard}");
    assert_eq!(lab.exim.panic_log(), "");
}
