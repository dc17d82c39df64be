//! Every backend behaves as the model in memory does, for any sequence of writes, reads, waits, sweeps and restarts.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use tidegate::stores::embedded::Embedded;
use tidegate_filter::store::{Memory, Rate, Store, Table, Write};

static SHORT: Table = Table { name: "short", ttl: Duration::from_secs(60) };
static LONG: Table = Table { name: "long", ttl: Duration::from_secs(86_400) };
static TABLES: [&Table; 2] = [&SHORT, &LONG];
const WINDOW: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Write>),
    Wait(Duration),
    Flush,
    Sweep,
    Restart,
    Scan { table: &'static Table, prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize },
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few keys, so that they meet; some are prefixes of others, some hold octets that sort last.
    prop_oneof![
        Just(vec![]),
        Just(b"a".to_vec()),
        Just(b"ab".to_vec()),
        Just(b"b".to_vec()),
        Just(vec![0xff]),
        Just(vec![0xff, 0xff]),
        Just(vec![0, 1]),
    ]
}

fn table() -> impl Strategy<Value = &'static Table> {
    prop::sample::select(TABLES.to_vec())
}

fn rate() -> impl Strategy<Value = Rate> {
    (0_u32..5, 1_u64..100, 0_u32..4).prop_map(|(quantity, period, burst)| Rate {
        quantity,
        period: Duration::from_secs(period),
        burst,
    })
}

fn write() -> impl Strategy<Value = Write> {
    let octets = || prop::collection::vec(any::<u8>(), 0..6);
    prop_oneof![
        (table(), key(), octets()).prop_map(|(table, key, value)| Write::Put { table, key, value }),
        (table(), key(), octets()).prop_map(|(table, key, value)| Write::Insert { table, key, value }),
        (table(), key(), 0_u32..9).prop_map(|(table, key, amount)| Write::Add { table, key, amount, window: WINDOW }),
        (table(), key(), rate(), 0_u32..3).prop_map(|(table, key, rate, cost)| Write::Take { table, key, rate, cost }),
        (table(), key(), octets()).prop_map(|(table, key, member)| Write::Distinct { table, key, member }),
        (table(), key()).prop_map(|(table, key)| Write::Remove { table, key }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop::collection::vec(write(), 0..6).prop_map(Step::Write),
        3 => (0_u64..40_000).prop_map(|ms| Step::Wait(Duration::from_millis(ms))),
        1 => Just(Step::Wait(Duration::from_secs(90_000))),
        1 => Just(Step::Flush),
        1 => Just(Step::Sweep),
        1 => Just(Step::Restart),
        2 => (table(), key(), prop::option::of(key()), 0_usize..6)
            .prop_map(|(table, prefix, after, limit)| Step::Scan { table, prefix, after, limit }),
    ]
}

async fn same_rows(store: &dyn Store, model: &dyn Store, rate: Rate, now: Timestamp) -> Result<(), TestCaseError> {
    let keys: [&[u8]; 7] = [b"", b"a", b"ab", b"b", &[0xff], &[0xff, 0xff], &[0, 1]];
    for table in TABLES {
        for key in keys {
            let at = format!("{} {key:?}", table.name);
            prop_assert_eq!(store.get(table, key, now).await, model.get(table, key, now).await, "get {}", at);
            let (is, ought) = (store.count(table, key, WINDOW, now).await, model.count(table, key, WINDOW, now).await);
            prop_assert_eq!(is, ought, "count {}", at);
            let (is, ought) = (store.level(table, key, rate, now).await, model.level(table, key, rate, now).await);
            prop_assert_eq!(is, ought, "level {}", at);
            let (is, ought) = (store.distinct(table, key, now).await, model.distinct(table, key, now).await);
            prop_assert_eq!(is, ought, "distinct {}", at);
        }
        let (is, ought) = (store.scan(table, b"", None, 100, now).await, model.scan(table, b"", None, 100, now).await);
        prop_assert_eq!(is, ought, "scan {}", table.name);
    }
    Ok(())
}

fn open(path: &Path) -> Embedded {
    Embedded::open(path, &TABLES).unwrap()
}

async fn behaves(steps: Vec<Step>, rate: Rate) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let mut store = open(&path);
    let model = Memory::new();
    let mut now = Timestamp::from_second(1_760_000_000).unwrap();
    for step in steps {
        match step {
            Step::Write(writes) => {
                prop_assert_eq!(store.write(&writes, now).await, Ok(()));
                model.write(&writes, now).await.unwrap();
            }
            Step::Wait(time) => now += time,
            Step::Flush => prop_assert_eq!(store.flush().await, Ok(())),
            Step::Sweep => prop_assert!(store.sweep().await.is_ok()),
            Step::Restart => {
                drop(store);
                store = open(&path);
            }
            Step::Scan { table, prefix, after, limit } => {
                let is = store.scan(table, &prefix, after.as_deref(), limit, now).await;
                let ought = model.scan(table, &prefix, after.as_deref(), limit, now).await;
                prop_assert_eq!(is, ought, "{:?}", (table.name, prefix, after, limit));
            }
        }
        same_rows(&store, &model, rate, now).await?;
    }
    prop_assert_eq!(store.health().set_aside, vec![]);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn embedded_is_as_memory(steps in prop::collection::vec(step(), 1..24), rate in rate()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(behaves(steps, rate))?;
    }
}

/// Expired rows leave the disk, live ones stay, and the counts of `tidegate status` say so.
#[test]
fn a_sweep_removes_what_has_expired() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("s"));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let then = Timestamp::from_second(1_760_000_000).unwrap();
        let put = |table, number: u32| Write::Put { table, key: number.to_be_bytes().to_vec(), value: b"v".to_vec() };
        let writes: Vec<Write> = (0..30_000).map(|n| put(&SHORT, n)).chain((0..10).map(|n| put(&LONG, n))).collect();
        store.write(&writes, then).await.unwrap();
        let later = then + Duration::from_secs(61);
        store.write(&[put(&SHORT, 7)], later).await.unwrap();
        store.flush().await.unwrap();
        assert_eq!(store.stats().unwrap().rows, [("long", 10), ("short", 30_000)]);
        assert_eq!(store.sweep().await, Ok(29_999));
        assert_eq!(store.stats().unwrap().rows, [("long", 10), ("short", 1)]);
        assert_eq!(store.get(&SHORT, &7_u32.to_be_bytes(), later).await.unwrap().as_deref(), Some(&b"v"[..]));
    });
}

/// Many tasks write the same counter at once: no addition is lost, in memory or on disk.
#[test]
fn additions_of_many_tasks_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let store = std::sync::Arc::new(open(&path));
    let now = Timestamp::from_second(1_760_000_000).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let store = std::sync::Arc::clone(&store);
                tokio::spawn(async move {
                    for _ in 0..1000 {
                        let add = Write::Add { table: &LONG, key: b"k".to_vec(), amount: 1, window: WINDOW };
                        store.write(&[add], now).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(store.count(&LONG, b"k", WINDOW, now).await, Ok(8000));
    });
    drop(store);
    assert_eq!(runtime.block_on(open(&path).count(&LONG, b"k", WINDOW, now)), Ok(8000));
}
