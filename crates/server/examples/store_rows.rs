//! Measures the embedded store with many rows like those of greylisting: `fill PATH ROWS`, which ends as if killed, then
//! `read PATH ROWS`. Run with `--release`; give a path on the disk that is meant.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a measurement that breaks is to fail loudly")]
#![allow(clippy::indexing_slicing, reason = "positions come from the length")]

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tidegate::stores::embedded::Embedded;
use tidegate_filter::store::{Store, Table, Write};

static ROWS: Table = Table { name: "rows", ttl: Duration::from_secs(36 * 86_400) };

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, verb, path, rows] = args.as_slice() else { panic!("usage: fill|read PATH ROWS") };
    let rows: u64 = rows.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    match verb.as_str() {
        "fill" => runtime.block_on(fill(Path::new(path), rows)),
        "read" => runtime.block_on(read(Path::new(path), rows)),
        other => panic!("{other} is neither fill nor read"),
    }
}

/// 32 octets that depend on `number` alone and look random, as keys of hashed identities do.
fn key(number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(32);
    for part in 0..4_u64 {
        let mixed = (number * 4 + part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        key.extend((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes());
    }
    key
}

async fn fill(path: &Path, rows: u64) {
    let now = Timestamp::now();
    let store = Embedded::open(path, &[&ROWS]).unwrap();
    let begin = Instant::now();
    for number in 0..rows {
        let put = Write::Put { table: &ROWS, key: key(number), value: vec![1; 24] };
        while store.write(std::slice::from_ref(&put), now).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    store.flush().await.unwrap();
    let took = begin.elapsed();
    println!("{rows} rows written and synced in {took:.1?}; file {} MB", store.stats().unwrap().file_octets >> 20);
    println!("resident {} MB", resident_mb());
    std::process::abort();
}

async fn read(path: &Path, rows: u64) {
    let begin = Instant::now();
    let store = Embedded::open(path, &[&ROWS]).unwrap();
    println!("opened after the kill in {:.1?}", begin.elapsed());
    let now = Timestamp::now();
    let mut random = RandomState::new().build_hasher();
    for what in ["cold", "warm"] {
        let mut took = Vec::new();
        for _ in 0..200_000 {
            random.write_u64(1);
            let key = key(random.finish() % rows);
            let begin = Instant::now();
            assert!(store.get(&ROWS, &key, now).await.unwrap().is_some());
            took.push(begin.elapsed());
        }
        report(&format!("get, {what}"), took);
    }
    let mut took = Vec::new();
    let begin = Instant::now();
    for number in 0..20_000 {
        let add = Write::Put { table: &ROWS, key: key(rows + number), value: vec![1; 24] };
        let begin = Instant::now();
        store.write(&[add], now).await.unwrap();
        took.push(begin.elapsed());
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    println!("20000 writes in {:.1?}", begin.elapsed());
    report("write", took);
    let begin = Instant::now();
    store.flush().await.unwrap();
    println!("flush {:.1?}, resident {} MB", begin.elapsed(), resident_mb());
    let begin = Instant::now();
    println!("sweep met {} expired rows in {:.1?}", store.sweep().await.unwrap(), begin.elapsed());
    let begin = Instant::now();
    drop(store);
    println!("closed in {:.1?}", begin.elapsed());
    let begin = Instant::now();
    drop(Embedded::open(path, &[&ROWS]).unwrap());
    println!("opened and closed after a clean end in {:.1?}", begin.elapsed());
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let at = |part: usize| took[(took.len() - 1) * part / 1000];
    println!("{what}: p50 {:.1?}, p99 {:.1?}, p99.9 {:.1?}, longest {:.1?}", at(500), at(990), at(999), at(1000));
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}
