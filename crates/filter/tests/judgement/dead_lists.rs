//! A list that is off, or does not answer, costs no client a wait: it is asked again where nobody waits for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_filter::blocklists::{Catalogue, Health, Prober, RETRY_INTERVAL, SILENCE_RETRY_INTERVAL, stored};
use tidegate_filter::dns::{Question, Record, Reply, Resolver};
use tidegate_filter::engine::{Config, Engine};
use tidegate_filter::known::{Answer, Known, Service, Unavailable};
use tidegate_filter::session::{Client, Remote};
use tidegate_filter::settings::{Deadlines, ServerIdentity};
use tidegate_filter::world::World;

use crate::world::{Panel, TestWorld};

/// Longer than an envelope stage, and shorter than a resolver may wait.
const LATE: Duration = Duration::from_millis(400);
const ENVELOPE_MS: u64 = 300;
const PATIENCE: Duration = Duration::from_millis(ENVELOPE_MS / 2);

/// A blocklist that lists nobody but its test point, or says nothing.
#[derive(Default)]
struct List {
    is_silent: AtomicBool,
    is_late: AtomicBool,
    asked: Mutex<Vec<String>>,
}

impl Resolver for List {
    fn lookup<'a>(&'a self, question: &'a Question) -> Answer<'a, Known<Reply>> {
        let name = question.name();
        let is_list = name.ends_with("bl.test");
        if is_list {
            self.asked.lock().unwrap().push(name.to_owned());
        }
        let is_late = is_list && self.is_late.load(Ordering::Relaxed);
        let answer = match name {
            _ if is_list && self.is_silent.load(Ordering::Relaxed) => Err(Unavailable::new(Service::Dns, "timeout")),
            "2.0.0.127.bl.test" => {
                Ok(Reply::found(vec![Record::A("127.0.0.2".parse().unwrap())], Duration::from_secs(60)))
            }
            _ => Ok(Reply::nxdomain(Duration::from_secs(60))),
        };
        Box::pin(async move {
            if is_late {
                tokio::time::sleep(LATE).await;
            }
            answer
        })
    }
}

struct Lab {
    engine: Arc<Engine>,
    world: TestWorld,
    list: Arc<List>,
    now: Timestamp,
    prober: Prober,
}

impl Lab {
    fn new() -> Lab {
        let lists: Catalogue = toml::from_str("[\"bl.test\"]\n").unwrap();
        let engine = Engine::new(Config {
            fingerprint: "test".into(),
            identity: ServerIdentity { hostname: "mx.test".parse().unwrap(), trusted_relays: Vec::new() },
            deadlines: Deadlines { envelope_ms: ENVELOPE_MS, ..Deadlines::default() },
            policy: Default::default(),
            checks: Default::default(),
            weights: BTreeMap::new(),
            lists: Vec::new(),
            blocklists: lists,
            rules: None,
        });
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let mut world = TestWorld::new(now, &BTreeMap::new(), Panel::default()).unwrap();
        let list = Arc::new(List::default());
        world.world = World { dns: Arc::clone(&list) as Arc<dyn Resolver>, ..world.world };
        Lab { engine: Arc::new(engine.unwrap()), world, list, now, prober: Prober::default() }
    }

    /// Names of the list that were asked for since the last call.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.list.asked.lock().unwrap())
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.world.set_clock(self.now);
    }

    fn is_silent(&self, silent: bool) {
        self.list.is_silent.store(silent, Ordering::Relaxed);
    }

    /// A client connects; what could not be known about it.
    async fn connect(&self) -> Vec<String> {
        let ip = "192.0.2.7".parse().unwrap();
        let client = Client::Remote(Remote { ip, port: 40_000, interface: None, open_sessions: 1 });
        let (_, judgement) = self.engine.open(client, self.world.world.clone()).await;
        self.world.world.store.write(&judgement.writes, self.now).await.unwrap();
        judgement.brief.gaps.into_iter().map(|gap| gap.cause).collect()
    }

    async fn probe(&mut self) {
        let writes = self.prober.run(self.engine.lists(), &self.world.world, PATIENCE, self.now).await.unwrap();
        self.world.world.store.write(&writes, self.now).await.unwrap();
    }

    async fn health(&self) -> Health {
        stored(&self.engine.lists()[0], &self.world.world, self.now).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_list_that_is_silent_again_and_again_is_not_waited_for() {
    let mut lab = Lab::new();
    lab.probe().await;
    assert_eq!(lab.connect().await, [""; 0]);
    lab.is_silent(true);
    lab.asked();
    for time in 1..=5 {
        lab.wait(Duration::from_secs(3));
        assert_eq!(lab.connect().await, ["timeout"], "time {time}");
        assert_eq!(lab.asked(), ["7.2.0.192.bl.test"]);
    }
    let off = ["list bl.test is switched off: gave no answer 5 times in a row"];
    assert_eq!(lab.connect().await, off);
    lab.probe().await;
    assert_eq!(lab.asked(), [""; 0], "it is not asked at once");
    lab.wait(SILENCE_RETRY_INTERVAL);
    lab.probe().await;
    assert_eq!(lab.asked().len(), 1, "a name that no cache knows");
    assert_eq!(lab.connect().await.len(), 1, "still off");
    lab.is_silent(false);
    lab.wait(SILENCE_RETRY_INTERVAL);
    lab.probe().await;
    assert_eq!(lab.asked(), [""; 0], "the pause grows");
    lab.wait(SILENCE_RETRY_INTERVAL);
    lab.probe().await;
    assert_eq!(lab.health().await.off_because(), None);
    assert_eq!(lab.connect().await, [""; 0]);
}

/// Its probes were answered, and the list was used again, for as long as it took five clients to wait in vain: once a minute.
#[tokio::test(start_paused = true)]
async fn a_list_that_always_answers_too_late_stays_off() {
    let mut lab = Lab::new();
    lab.probe().await;
    lab.list.is_late.store(true, Ordering::Relaxed);
    let too_late =
        |causes: &[String]| !causes.is_empty() && causes.iter().all(|cause| cause.contains("no answer within"));
    for _ in 1..=5 {
        lab.wait(Duration::from_secs(3));
        assert!(too_late(&lab.connect().await));
    }
    lab.asked();
    for _ in 0..60 {
        lab.wait(SILENCE_RETRY_INTERVAL);
        lab.probe().await;
        assert!(lab.health().await.off_because().is_some());
    }
    assert!((5..=9).contains(&lab.asked().len()), "it is asked more and more seldom");
    lab.list.is_late.store(false, Ordering::Relaxed);
    lab.wait(RETRY_INTERVAL);
    lab.probe().await;
    assert_eq!(lab.connect().await, [""; 0]);
    // What is let back and falls silent again soon is left alone for longer.
    lab.is_silent(true);
    for _ in 1..=5 {
        lab.wait(Duration::from_secs(3));
        lab.connect().await;
    }
    lab.asked();
    lab.probe().await;
    lab.wait(RETRY_INTERVAL / 2);
    lab.probe().await;
    assert_eq!(lab.asked(), [""; 0]);
    // Unless DNS itself was dead.
    lab.is_silent(false);
    lab.prober.begin_anew();
    lab.probe().await;
    assert_eq!(lab.connect().await, [""; 0]);
}

/// Five answers that are lost at once, on a busy server, are no dead list.
#[tokio::test]
async fn a_moment_of_silence_switches_nothing_off() {
    let mut lab = Lab::new();
    lab.probe().await;
    lab.is_silent(true);
    for _ in 0..50 {
        assert_eq!(lab.connect().await, ["timeout"]);
    }
    lab.is_silent(false);
    lab.wait(Duration::from_secs(60));
    assert_eq!(lab.connect().await, [""; 0]);
    assert_eq!(lab.health().await, Health::Good { at: "2026-01-02T03:04:05Z".parse().unwrap(), silence: None });
}

#[tokio::test]
async fn a_list_that_never_answered_is_switched_off_as_well() {
    let mut lab = Lab::new();
    lab.is_silent(true);
    for _ in 0..5 {
        lab.probe().await;
        lab.wait(Duration::from_secs(6));
    }
    lab.asked();
    assert_eq!(lab.connect().await, ["list bl.test is switched off: gave no answer 5 times in a row"]);
    assert_eq!(lab.asked(), [""; 0]);
}

#[tokio::test]
async fn a_list_that_answered_an_error_is_asked_again_in_time() {
    let mut lab = Lab::new();
    let zone = lab.engine.lists()[0].zone.as_str().as_bytes().to_vec();
    let failing = Health::Failing { cause: "answered 127.255.255.254".into(), since: lab.now };
    let table = &tidegate_filter::tables::LIST_HEALTH;
    let row = tidegate_filter::store::Write::Put { table, key: zone, value: failing.encode() };
    lab.world.world.store.write(&[row], lab.now).await.unwrap();
    lab.wait(Duration::from_secs(60));
    lab.probe().await;
    assert_eq!(lab.connect().await, ["list bl.test is switched off: answered 127.255.255.254"]);
    assert_eq!(lab.asked(), [""; 0]);
    lab.wait(RETRY_INTERVAL);
    lab.probe().await;
    assert_eq!(lab.asked().len(), 2);
    assert_eq!(lab.connect().await, [""; 0]);
}
