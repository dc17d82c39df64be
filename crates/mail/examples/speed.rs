//! Times the reading of messages, step by step: `cargo run --release --example speed -p tidegate-mail -- CORPUS.tar.gz...`.
//! Prints microseconds of processor time a message, mean and 99th percentile, and the slowest messages. The argument
//! `shapes` makes hostile messages of 50 MB instead.
#![allow(clippy::disallowed_methods, reason = "a measurement needs files")]

use std::error::Error;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tidegate_mail::{Limits, Message};

const STEPS: [&str; 5] = ["parse", "received, addresses", "text", "urls", "attachments, defects"];
const SLOWEST: usize = 3;

type Messages = Vec<(String, Vec<u8>)>;

fn main() -> Result<(), Box<dyn Error>> {
    for archive in std::env::args().skip(1) {
        if archive == "shapes" {
            shapes();
            continue;
        }
        let messages = unpack(&archive)?;
        let octets: usize = messages.iter().map(|(_, raw)| raw.len()).sum();
        let mut times: Vec<Vec<u128>> = vec![Vec::new(); STEPS.len()];
        let mut totals = Vec::new();
        for (path, raw) in messages {
            let steps = time(raw.into());
            totals.push((steps.iter().sum::<u128>(), path));
            for (all, step) in times.iter_mut().zip(steps) {
                all.push(step);
            }
        }
        println!("{archive}: {} messages, {octets} octets", totals.len());
        for (name, all) in STEPS.iter().zip(&mut times) {
            report(name, all);
        }
        totals.sort_unstable();
        report("sum", &mut totals.iter().map(|(time, _)| *time).collect::<Vec<_>>());
        for (time, path) in totals.iter().rev().take(SLOWEST) {
            println!("    {time:>8} {path}");
        }
    }
    Ok(())
}

fn unpack(archive: &str) -> Result<Messages, Box<dyn Error>> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(archive)?));
    let mut messages = Vec::new();
    for entry in tar.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut raw = Vec::new();
            entry.read_to_end(&mut raw)?;
            messages.push((entry.path()?.to_string_lossy().into_owned(), raw));
        }
    }
    Ok(messages)
}

fn time(raw: Arc<[u8]>) -> [u128; STEPS.len()] {
    let start = now();
    let message = Message::parse(raw, &Limits::default());
    let parsed = now();
    let _ = (message.received().len(), message.from().len());
    let addressed = now();
    let _ = message.views().len();
    let viewed = now();
    let _ = message.urls().len();
    let found = now();
    let _ = message.all_defects();
    let done = now();
    [parsed - start, addressed - parsed, viewed - addressed, found - viewed, done - found].map(|time| time.as_micros())
}

/// Processor time of this thread: other work on the machine does not count.
fn now() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn report(name: &str, times: &mut [u128]) {
    times.sort_unstable();
    let count = u128::try_from(times.len()).unwrap_or(1).max(1);
    let mean = times.iter().sum::<u128>() / count;
    let high = times.get(times.len().saturating_sub(1 + times.len() / 100)).copied().unwrap_or_default();
    println!("  {name:<22} mean {mean:>6} us, 99th percentile {high:>6} us");
}

const SHAPE_OCTETS: usize = 50 << 20;

/// Messages of one size in which one thing is repeated.
fn shapes() {
    let html = "From: a@b.example\nContent-Type: text/html\n\n";
    let mixed = "From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n";
    let nested = "Content-Type: multipart/mixed; boundary=b\n\n--b\n";
    let base64 = "From: a@b.example\nContent-Transfer-Encoding: base64\n\n";
    for (name, head, repeated) in [
        (
            "plain text",
            "From: a@b.example\n\n",
            "An ordinary line of text, seventy-two octets long, as mail programs do\n",
        ),
        ("header fields", "", "X: y\n"),
        ("one folded field", "X: y\n", " z\n"),
        ("recipients", "To: a@b.example", ",\n a@b.example"),
        ("encoded words", "Subject: x", "\n =?utf-8?Q?x?="),
        ("openings of words", "Subject: x", "\n =?utf-8?Q?x"),
        ("parts", mixed, "--b\n\nx\n"),
        ("dashes", mixed, "--\n"),
        ("nested multiparts", "From: a@b.example\n", nested),
        ("nested messages", "From: a@b.example\n", "Content-Type: message/rfc822\n\n"),
        ("multiparts without boundary", mixed, "--b\nContent-Type: multipart/mixed\n\n"),
        ("base64", base64, "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5\n"),
        ("base64 of strays", base64, "!"),
        ("quoted-printable", "From: a@b.example\nContent-Transfer-Encoding: quoted-printable\n\n", "=41=\n"),
        ("HTML", html, "<p>An <b>ordinary</b> line of <a href=\"https://a.example/\">text</a></p>\n"),
        ("open elements", html, "<div>"),
        ("open formatting", html, "<b><i><font color=red>"),
        ("paragraphs in tables", html, "<table><tr><td><p>"),
        ("end tags", html, "</b></div></p>"),
        ("one tag", html, "x=y "),
        ("attributes", &format!("{html}<a "), "x=y "),
        ("comments", html, "<!--"),
        ("references", html, "&amp;&x;"),
        ("links", html, "<a href=//a.example>x"),
        ("styles", &format!("{html}<style>"), ".a{color:red}"),
        ("URLs", "From: a@b.example\n\n", "http://a.example/ "),
        ("URLs without blanks", "From: a@b.example\n\n", "http://a.example/"),
        ("addresses", "From: a@b.example\n\n", "a@b.example,"),
        ("Received", "", "Received: from a (b [192.0.2.1]) by c; Mon, 2 Mar 2026 10:11:12 +0100\n"),
    ] {
        let raw = [head, &repeated.repeat(SHAPE_OCTETS / repeated.len())].concat().into_bytes();
        let steps = time(raw.into()).map(|time| (time / 1_000).to_string());
        println!("{name:<28} ms: {}", steps.join(" + "));
    }
}
