//! A process that is killed in the middle of its work loses nothing that it had been told is on disk, and no unit of
//! writes is ever half there.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use tidegate::stores::embedded::Embedded;
use tidegate_filter::store::{Store, Table, Write};

static LEFT: Table = Table { name: "left", ttl: Duration::from_secs(86_400) };
static RIGHT: Table = Table { name: "right", ttl: Duration::from_secs(86_400) };
static TABLES: [&Table; 2] = [&LEFT, &RIGHT];
const PATH: &str = "TIDEGATE_TEST_STORE";
const ROUNDS: u64 = 12;

fn now() -> Timestamp {
    Timestamp::from_second(1_760_000_000).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// The process to be killed: writes a row to each of two tables as one unit, for ever, and says which number is on disk.
#[test]
#[ignore = "runs as a child of `acknowledged_rows_survive_a_kill`"]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let store = Embedded::open(Path::new(&path), &TABLES).unwrap();
    runtime().block_on(async {
        let (mut number, _) = last_numbers(&store).await;
        for batch in 0_u64.. {
            for _ in 0..(batch % 50 + 1) {
                number += 1;
                let put = |table| Write::Put { table, key: number.to_be_bytes().to_vec(), value: vec![b'x'; 50] };
                store.write(&[put(&LEFT), put(&RIGHT)], now()).await.unwrap();
            }
            if batch % 2 == 0 {
                store.flush().await.unwrap();
                println!("\nflushed {number}");
                std::io::stdout().flush().unwrap();
            }
        }
    });
}

async fn last_numbers(store: &Embedded) -> (u64, u64) {
    let mut last = [0, 0];
    for (table, last) in TABLES.iter().zip(&mut last) {
        let rows = store.scan(table, b"", None, usize::MAX, now()).await.unwrap();
        for (at, row) in rows.iter().enumerate() {
            let number = u64::from_be_bytes(row.key.as_slice().try_into().unwrap());
            assert_eq!(number, at as u64 + 1, "no row before it is missing");
        }
        *last = rows.len() as u64;
    }
    (last[0], last[1])
}

#[test]
fn acknowledged_rows_survive_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let mut before = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["killed::child", "--exact", "--ignored", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut flushed = before;
        // Killed after a different number of commits each time, at whatever it is doing then.
        let mut remaining = round * 3 + 1;
        for line in lines {
            if let Some(number) = line.strip_prefix("flushed ") {
                flushed = number.parse().unwrap();
                remaining = remaining.saturating_sub(1);
                if remaining == 0 {
                    child.kill().unwrap();
                }
            }
        }
        child.wait().unwrap();
        let store = Embedded::open(&path, &TABLES).unwrap();
        assert_eq!(store.health().set_aside, vec![], "nothing is damaged");
        let (left, right) = runtime().block_on(last_numbers(&store));
        assert_eq!(left, right, "a unit is there as a whole or not at all");
        assert!(
            left >= flushed && flushed > before,
            "round {round}: {left} rows, {flushed} acknowledged, {before} before"
        );
        before = left;
    }
}
