//! What all front-ends share: the engine as it stands, the outside, open sessions, and what concludes a judgement.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tidegate_filter::blocklists::Health;
use tidegate_filter::engine::Engine;
use tidegate_filter::tables;
use tidegate_filter::world::{Clock, World};

use crate::conclude::Conclude;
use crate::config::{self, Config};
use crate::control::{Request, Response};
use crate::frontends::exim::Slot;
use crate::panels::Live;
use crate::sessions::Sessions;
use crate::stores::embedded::Embedded;

/// DNS lists that `tidegate status` shows.
const LISTS_SHOWN_MAX: usize = 200;

/// What all front-ends share.
pub struct Daemon {
    /// The engine; a reload swaps it whole, open sessions keep theirs.
    pub engine: ArcSwap<Engine>,
    /// The outside.
    pub world: World,
    /// The store behind the world, for its own upkeep.
    pub store: Arc<Embedded>,
    /// The panel behind the world, to be swapped when its files change.
    pub panel: Arc<Live>,
    /// Sessions of Exim.
    pub sessions: Sessions<Slot>,
    /// Record, reply, effects.
    pub conclude: Conclude,
    /// The configuration file, for reloads.
    pub config_path: PathBuf,
    /// Exim's spool folder.
    pub spool: PathBuf,
    /// Users that may ask, besides root.
    pub askers: Vec<u32>,
    /// What went wrong or came too often.
    pub counters: Arc<Counters>,
    /// When the daemon was started.
    pub started: Timestamp,
}

impl Daemon {
    /// Reads the configuration and the own lists again.
    ///
    /// # Errors
    /// They cannot work; the present ones stay in place.
    pub fn reload(&self) -> Result<(), config::Error> {
        let engine = Config::read(&self.config_path)?.engine(&self.config_path)?;
        self.engine.store(Arc::new(engine));
        Ok(())
    }

    /// Answers the command line.
    pub async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Status => Response::Done(self.status().await),
            Request::Reload => match self.reload() {
                Ok(()) => Response::Done(Value::Null),
                Err(error) => Response::Failed(error.to_string()),
            },
        }
    }

    async fn status(&self) -> Value {
        let health = self.store.health();
        let stats = self.store.stats().ok();
        let set_aside = health.set_aside.iter().map(|(path, why)| json!({"path": path, "why": why}));
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "started": self.started.to_string(),
            "sessions": self.sessions.len(),
            "counters": *self.counters,
            "store": {
                "trouble": health.trouble,
                "set_aside": set_aside.collect::<Vec<_>>(),
                "pending": health.pending,
                "octets": stats.as_ref().map(|stats| stats.file_octets),
                "rows": stats.map(|stats| stats.rows.into_iter().collect::<BTreeMap<_, _>>()),
            },
            "journal": self.conclude.journal().health(),
            "lists": self.list_health().await,
        })
    }

    /// Each DNS list that was asked, and whether it can be relied on.
    async fn list_health(&self) -> Value {
        let now = self.world.clock.now();
        let rows = self.world.store.scan(&tables::LIST_HEALTH, &[], None, LISTS_SHOWN_MAX, now).await;
        let rows = rows.unwrap_or_default().into_iter().map(|row| {
            let health = match Health::decode(&row.value) {
                Some(Health::Good { at }) => json!({"good": true, "at": at.to_string()}),
                Some(Health::Failing { cause, since }) => {
                    json!({"good": false, "at": since.to_string(), "cause": cause})
                }
                None => Value::Null,
            };
            (String::from_utf8_lossy(&row.key).into_owned(), health)
        });
        Value::Object(rows.collect())
    }

    /// Waits until what was written is on disk.
    pub async fn flush(&self) {
        if let Err(error) = self.store.flush().await {
            tracing::error!(%error, "the store could not be written to disk");
        }
        if let Err(error) = self.conclude.journal().flush().await {
            tracing::error!(%error, "the journal could not be written to disk");
        }
    }

    /// Whether a peer with this uid may ask.
    pub fn may_ask(&self, uid: u32) -> bool {
        uid == 0 || self.askers.contains(&uid)
    }
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Serialize for Counter {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

/// What the daemon counts since it was started; shown by `tidegate status`.
#[derive(Debug, Default, Serialize)]
#[allow(missing_docs, reason = "the names are what an administrator reads")]
pub struct Counters {
    pub asks: Counter,
    pub accepted: Counter,
    pub tagged: Counter,
    pub greylisted: Counter,
    pub deferred: Counter,
    pub quarantined: Counter,
    pub rejected: Counter,
    pub gaps: Counter,
    pub unreadable_asks: Counter,
    pub failed_asks: Counter,
    pub refused_peers: Counter,
    pub over_limit: Counter,
    pub not_kept: Counter,
    pub unrecorded: Counter,
    pub unwritten: Counter,
}

/// The real time.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
