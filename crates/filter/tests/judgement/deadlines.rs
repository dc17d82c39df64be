//! A stage ends in time, whatever it waits for: facts and checks share one deadline, and an ask for which several stages are judged has no
//! more time than any other.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tidegate_filter::blocklists::Catalogue;
use tidegate_filter::dns::{Question, Reply, Resolver};
use tidegate_filter::engine::{Config, Engine};
use tidegate_filter::judgement::Judgement;
use tidegate_filter::known::{Answer, Known};
use tidegate_filter::session::{Client, Helo, Remote};
use tidegate_filter::settings::{Deadlines, ServerIdentity};
use tidegate_filter::world::World;
use tidegate_mail::{Limits, Message, ReversePath};
use tokio::time::Instant;

use crate::world::{Panel, TestWorld};

const ENVELOPE_MS: u64 = 1500;

/// DNS that never answers, and of which nobody knows how long it would be waited for.
struct Dead;

impl Resolver for Dead {
    fn lookup<'a>(&'a self, _: &'a Question) -> Answer<'a, Known<Reply>> {
        Box::pin(pending())
    }
}

fn engine() -> Arc<Engine> {
    let lists: Catalogue = toml::from_str("[\"bl.test\"]\n").unwrap();
    let config = Config {
        fingerprint: "test".into(),
        identity: ServerIdentity { hostname: "mx.test".parse().unwrap(), trusted_relays: Vec::new() },
        deadlines: Deadlines { envelope_ms: ENVELOPE_MS, data_ms: 15_000 },
        policy: Default::default(),
        checks: Default::default(),
        weights: BTreeMap::new(),
        lists: Vec::new(),
        blocklists: lists,
        rules: None,
    };
    Arc::new(Engine::new(config).unwrap())
}

fn world() -> World {
    let world = TestWorld::new("2026-01-02T03:04:05Z".parse().unwrap(), &BTreeMap::new(), Panel::default()).unwrap();
    World { dns: Arc::new(Dead), ..world.world }
}

fn client() -> Client {
    Client::Remote(Remote { ip: "192.0.2.7".parse().unwrap(), port: 40_000, interface: None, open_sessions: 1 })
}

fn unknown(judgement: &Judgement) -> Vec<&str> {
    judgement.brief.gaps.iter().map(|gap| gap.check.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn dead_dns_costs_a_stage_its_time_and_no_more() {
    let began = Instant::now();
    let (mut session, judgement) = engine().open(client(), world()).await;
    assert_eq!(unknown(&judgement), ["fcrdns", "dnsbl"], "told, one by one");
    let stages = Duration::from_millis(ENVELOPE_MS);
    assert!(began.elapsed() <= stages, "connect: {:?}", began.elapsed());
    session.helo(Some(Helo::new("mail.slow.test".to_owned())), None).await;
    assert!(began.elapsed() <= stages * 2, "helo: {:?}", began.elapsed());
    let judgement = session.mail(ReversePath::parse("a@slow.test").unwrap(), None).await;
    assert!(began.elapsed() <= stages * 3, "mail: {:?}", began.elapsed());
    assert!(unknown(&judgement).contains(&"spf") && unknown(&judgement).contains(&"sender_domain"), "{judgement:?}");
    session.readmit("b@mx.test".parse().unwrap()).await.unwrap();
    let began = Instant::now();
    let raw = b"From: a@slow.test\nDKIM-Signature: v=1; a=rsa-sha256; d=slow.test; s=s; h=from; bh=AAAA; b=AAAA\n\nx\n";
    let judgement = session.data(Arc::new(Message::parse(raw.to_vec(), &Limits::default()))).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(15), "data: {:?}", began.elapsed());
    assert!(unknown(&judgement).contains(&"dmarc"), "{judgement:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_less_long_is_answered_by_then() {
    let until = Instant::now() + Duration::from_millis(ENVELOPE_MS);
    let (mut session, _) = engine().open_by(client(), world(), until).await;
    session.answer_by(until);
    session.helo(Some(Helo::new("mail.slow.test".to_owned())), None).await;
    let judgement = session.mail(ReversePath::parse("a@slow.test").unwrap(), None).await;
    assert!(Instant::now() <= until, "{:?} late", until.elapsed());
    assert!(unknown(&judgement).contains(&"spf"), "{judgement:?}");
}
