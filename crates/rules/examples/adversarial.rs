//! Messages built to take long: 200 of them, by twenty recipes of ten sizes and seeds each. Prints the worst of each recipe: time to read and
//! to match, and how far memory rose.
//!
//! `adversarial RULES…`: folders with `.pre` and `.cf` files.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a tool for developers that reads files and the clock"
)]

use std::path::PathBuf;

use tidegate_rules::language::source::SourceFile;
use tidegate_rules::language::{ParseOptions, no_includes, parse};
use tidegate_rules::{Answers, CompileOptions, Context, Input, RuleSet, compile};

const SIZES: usize = 10;
const HEAD: &str = "From: a@example.com\nTo: b@example.com\nSubject: x\nDate: Mon, 2 Mar 2026 10:00:00 +0000\nMessage-ID: <1@example.com>\n";
const HTML: &str = "MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n";

type Recipe = (&'static str, fn(usize) -> Vec<u8>);

/// Name, and the message of a size from 1 to [`SIZES`].
const RECIPES: [Recipe; 20] = [
    ("one octet, up to 50 MB on one line", |n| body("", &"a".repeat(n * 5_000_000))),
    ("lines of one octet, up to 20 MB", |n| body("", &"a\n".repeat(n * 1_000_000))),
    ("empty lines, up to 20 MB", |n| body("", &"\n".repeat(n * 2_000_000))),
    ("words of one letter, in parts", |n| parts(n * 40, &"a b ".repeat(12_000))),
    ("nearly a form: names of fields without end", |n| {
        body("", &"name: address: phone: city: country: age: ".repeat(n * 2000))
    }),
    ("nearly a form, in paragraphs and parts", |n| {
        parts(n * 20, &"Full name: ..... home address: ____ tel: () sex: ".repeat(40))
    }),
    ("look-alikes of words that are looked for, in parts", |n| {
        parts(n * 40, &"v1agr_ c-i-a-l-1-s b i t c o 1 n am4zo_ ".repeat(1200))
    }),
    ("amounts and digits, in parts", |n| parts(n * 40, &"$1,000,000.00 USD 9.999.999,99 million 0.1% ".repeat(1100))),
    ("literals of many rules, in parts", |n| {
        let words =
            "click here to unsubscribe dear friend bank account million dollars password verify lottery winner ";
        parts(n * 40, &words.repeat(500))
    }),
    ("100,000 links, in parts", |n| parts(n * 20, &links(500))),
    ("one link of up to 10 MB", |n| body("", &format!("http://example.com/{}", "%41?a=b&".repeat(n * 125_000)))),
    ("links in links", |n| body("", &"http://www.google.com/url?q=".repeat(n * 5000))),
    ("HTML elements in each other", |n| body(HTML, &"<div><b><table><tr><td>".repeat(n * 20_000))),
    ("HTML that does not end", |n| body(HTML, &"<a href=\"x<!-- <![CDATA[ <style> &#x".repeat(n * 20_000))),
    ("attributes and styles", |n| {
        body(HTML, &format!("<p {}>", "style=\"color:#fff;font-size:1px\" x=y ".repeat(n * 20_000)))
    }),
    ("parts in parts", nested),
    ("2000 empty parts", |n| parts(n * 200, "")),
    ("a header field of up to 10 MB", |n| {
        format!("Subject: {}\n{HEAD}\nx\n", "=?utf-8?q?a?= ".repeat(n * 70_000)).into_bytes()
    }),
    ("100,000 header fields", |n| {
        format!("{}{HEAD}\nx\n", "Received: from a (b [192.0.2.1]) by c; x\nX-Y: z\n".repeat(n * 5000)).into_bytes()
    }),
    ("addresses without end", |n| {
        format!("To: {}\nCc: {}\n{HEAD}\nx\n", "a@b.example,".repeat(n * 10_000), "<<<\"(((".repeat(n * 10_000))
            .into_bytes()
    }),
];

fn body(fields: &str, text: &str) -> Vec<u8> {
    format!("{HEAD}{fields}\n{text}\n").into_bytes()
}

fn parts(count: usize, text: &str) -> Vec<u8> {
    let part = format!("--b\nContent-Type: text/plain\n\n{text}\n");
    body("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n", &part.repeat(count))
}

fn links(count: usize) -> String {
    (0..count).map(|i| format!("http://h{i}.example.com/?u=http%3a//x{i}.example.org/ ")).collect()
}

fn nested(n: usize) -> Vec<u8> {
    let depth = n * 1000;
    let open: String =
        (0..depth).map(|i| format!("Content-Type: multipart/mixed; boundary=b{i}\n\n--b{i}\n")).collect();
    body(&format!("MIME-Version: 1.0\n{open}"), "text")
}

fn main() {
    let folders: Vec<String> = std::env::args().skip(1).collect();
    let set = rule_set(&folders);
    // A first message, so that what is made on first need is there.
    let first = body("", "hello");
    let _ = set.hits(&Input::from_octets(&first, &Context::default(), set.settings()), &Answers::default());
    println!("| message | MB | CPU s reading | CPU s matching | memory rose by MB | rules that met a limit |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (name, make) in RECIPES {
        let judged = (1..=SIZES).map(|size| judge(&set, &make(size)));
        if let Some(worst) = judged.max_by(|a, b| (a.reading_s + a.matching_s).total_cmp(&(b.reading_s + b.matching_s)))
        {
            println!(
                "| {name} | {:.1} | {:.2} | {:.2} | {:.0} | {} |",
                worst.message_mb, worst.reading_s, worst.matching_s, worst.memory_mb, worst.limits
            );
        }
    }
}

fn rule_set(folders: &[String]) -> RuleSet {
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| [folder.clone(), format!("{folder}/pre")])
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(|entries| entries.filter_map(|entry| entry.ok().map(|entry| entry.path())))
        .filter(|path| path.extension().is_some_and(|extension| extension == "pre" || extension == "cf"))
        .collect();
    paths.sort_by_key(|path| (path.extension().is_some_and(|extension| extension == "cf"), path.clone()));
    let read =
        |path: &PathBuf| SourceFile { name: path.display().to_string(), text: std::fs::read(path).unwrap_or_default() };
    let files: Vec<SourceFile> = paths.iter().map(read).collect();
    let options = ParseOptions { local_tests_only: true, ..ParseOptions::default() };
    compile(parse(&files, &options, &no_includes), CompileOptions::default()).0
}

struct Judged {
    message_mb: f64,
    reading_s: f64,
    matching_s: f64,
    memory_mb: f64,
    limits: usize,
}

fn judge(set: &RuleSet, message: &[u8]) -> Judged {
    // The highest use of memory counts from here.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let (before, begun) = (memory_mb("VmRSS:"), cpu_s());
    let input = Input::from_octets(message, &Context::default(), set.settings());
    let reading_s = cpu_s() - begun;
    let matches = set.hits(&input, &Answers::default());
    Judged {
        message_mb: f64::from(u32::try_from(message.len()).unwrap_or(u32::MAX)) / 1e6,
        reading_s,
        matching_s: cpu_s() - begun - reading_s,
        memory_mb: memory_mb("VmHWM:") - before,
        limits: matches.limits.len(),
    }
}

/// CPU seconds of this thread, from the scheduler's own count.
fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

fn memory_mb(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}
