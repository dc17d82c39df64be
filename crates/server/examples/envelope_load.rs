//! Asks a running daemon as Exim would, from many connections at once, and prints how long each envelope ask took:
//! `envelope_load SOCKET CONNECTIONS SECONDS [cold]`. `envelope_load fill STORE ROWS` puts greylisted senders into the store of a
//! daemon that does not run. Every transaction is connect, helo, mail, rcpt, end; DNS answers are warm after the first second, which
//! is not counted. With `cold`, every transaction comes from an address and a sender's domain that were never asked about. Run with
//! `--release`, as a user that may ask.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::indexing_slicing, clippy::cast_precision_loss, reason = "a measurement, not a parser")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::stores::embedded::Embedded;
use tidegate_filter::store::Store;
use tidegate_filter::tables;

const STAGES: [&str; 4] = ["connect", "helo", "mail", "rcpt"];
const WARM_UP: Duration = Duration::from_secs(1);

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (arguments, is_cold) = match args.as_slice() {
        [_, rest @ .., last] if last == "cold" => (rest, true),
        [_, rest @ ..] => (rest, false),
        [] => (&[][..], false),
    };
    let [socket, connections, seconds] = arguments else {
        panic!("usage: envelope_load SOCKET CONNECTIONS SECONDS [cold], or envelope_load fill STORE ROWS")
    };
    if socket == "fill" {
        return fill(Path::new(connections), seconds.parse().unwrap());
    }
    let connections: usize = connections.parse().unwrap();
    let run = Duration::from_secs(seconds.parse().unwrap());
    let begin = Instant::now();
    let mut took: [Vec<Duration>; 4] = Default::default();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|client| scope.spawn(move || work(socket, client, is_cold, begin, begin + WARM_UP + run)))
            .collect();
        for client in clients {
            for (all, own) in took.iter_mut().zip(client.join().unwrap()) {
                all.extend(own);
            }
        }
    });
    let asks: usize = took.iter().map(Vec::len).sum();
    let dns = if is_cold { "cold" } else { "warm" };
    println!(
        "{connections} connections, DNS {dns}: {asks} asks in {run:.1?}, {:.0} asks/s",
        asks as f64 / run.as_secs_f64()
    );
    for (stage, took) in STAGES.iter().zip(&mut took) {
        took.sort_unstable();
        println!("  {stage:<8} p50 {:>9.1?}  p99 {:>9.1?}", at(took, 50), at(took, 99));
    }
    let mut all: Vec<Duration> = took.concat();
    all.sort_unstable();
    println!("  {:<8} p50 {:>9.1?}  p99 {:>9.1?}", "all", at(&all, 50), at(&all, 99));
}

fn fill(path: &Path, rows: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    runtime.block_on(async {
        let store = Embedded::open(path, tables::ALL).unwrap();
        let now = Timestamp::now();
        for number in 0..rows {
            let key = format!("domain sender{number}.example").into_bytes();
            let put = tidegate_filter::store::Write::Put { table: &tables::GREYLIST_WAITING, key, value: vec![1; 9] };
            while store.write(std::slice::from_ref(&put), now).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        store.flush().await.unwrap();
    });
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}

fn work(socket: &str, client: usize, is_cold: bool, begin: Instant, end: Instant) -> [Vec<Duration>; 4] {
    let mut took: [Vec<Duration>; 4] = Default::default();
    let mut number = 0;
    while Instant::now() < end {
        number += 1;
        // A few clients that come again and again, so that their DNS answers are warm; or ever new ones.
        let (ip, domain) = if is_cold {
            (format!("198.{client}.{}.{}", number / 256 % 256, number % 256), format!("c{client}n{number}.cold.test"))
        } else {
            (format!("203.0.113.{}", 10 + (client + number) % 20), "good.test".to_owned())
        };
        let facts = format!("ip={ip}:40000 if=192.0.2.25:25 proto=\"esmtp\" helo=\"mail.good.test\"");
        let sender = format!("from=\"user{number}@{domain}\"");
        let mut sid = String::new();
        for (stage, name) in STAGES.iter().enumerate() {
            let rest = match stage {
                0 => format!("ip={ip}:40000 if=192.0.2.25:25"),
                1 => facts.clone(),
                2 => format!("{facts} {sender}"),
                _ => format!("{facts} {sender} rcpt=\"b{client}@exim.test\" rc=1"),
            };
            let asked = Instant::now();
            let answer = ask(socket, &format!("v=1 st=\"{name}\" s=\"{sid}\" {rest}\n"));
            if begin.elapsed() > WARM_UP {
                took[stage].push(asked.elapsed());
            }
            assert!(answer.starts_with("a=accept"), "{name}: {answer}");
            if let Some((_, rest)) = answer.split_once("sid=\"") {
                sid = rest.split('"').next().unwrap_or_default().to_owned();
            }
        }
        ask(socket, &format!("v=1 st=\"end\" s=\"{sid}\" ip={ip}:40000\n"));
    }
    took
}

fn ask(socket: &str, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
