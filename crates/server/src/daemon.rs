//! What all front-ends share: the engine as it stands, the outside, open sessions, and what concludes a judgement.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_filter::blocklists::{Health, stored};
use tidegate_filter::engine::Engine;
use tidegate_filter::reputation;
use tidegate_filter::world::{Clock, World};
use tokio::sync::Mutex;

use crate::conclude::Conclude;
use crate::config::Config;
use crate::control::{Request, Response};
use crate::counters::Counters;
use crate::frontends::exim::slot::Slot;
use crate::frontends::exim::waits::Waits;
use crate::frontends::spamd::places::Places;
use crate::log_watch::LogWatch;
use crate::panels::Live;
use crate::quarantine::QuarantineError;
use crate::room::Rooms;
use crate::sessions::Sessions;
use crate::stores::embedded::Embedded;
use crate::{dns, rules};

/// Senders of spam whose records are read for proposals.
const SPAMMERS_READ_MAX: usize = 20_000;

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
    /// The resolver behind the world, to be swapped when the configuration changes.
    pub dns: Arc<dns::Live>,
    /// Sessions of Exim.
    pub sessions: Arc<Sessions<Slot>>,
    /// Record, reply, effects.
    pub conclude: Conclude,
    /// The configuration in use.
    pub config: ArcSwap<Config>,
    /// The configuration that the daemon was started with: some sections stay until it is started again.
    pub started_with: Config,
    /// The rule files in use.
    pub rules: rules::Live,
    /// Where spamd's clients are listened to.
    pub spamd: Places,
    /// How much of messages is in memory at once.
    pub rooms: Rooms,
    /// Held while configuration or rules are read again, so that one does not undo the other.
    pub reloading: Mutex<()>,
    /// The watch over the mail logs.
    pub log_watch: LogWatch,
    /// The configuration file, for reloads.
    pub config_path: PathBuf,
    /// Exim's spool folder.
    pub spool: PathBuf,
    /// Users that may ask, besides root.
    pub askers: Vec<u32>,
    /// What went wrong or came too often.
    pub counters: Arc<Counters>,
    /// How long Exim waited for answers.
    pub waits: Waits,
    /// When the daemon was started.
    pub started: Timestamp,
}

impl Daemon {
    /// Reads the configuration, the own lists and the rule files again. Broken rule files leave the former rules in place.
    ///
    /// # Errors
    /// They cannot work; the present ones stay in place.
    pub async fn reload(&self) -> anyhow::Result<()> {
        let _alone = self.reloading.lock().await;
        let config = Arc::new(Config::read(&self.config_path)?);
        let dns = self.dns.prepare(&config.dns)?;
        self.log_watch.configure(config.logs.clone(), config.limits()?);
        let former = self.config.load_full();
        let is_same = former.rules == config.rules && former.server.trusted_relays == config.server.trusted_relays;
        if is_same && !self.rules.is_stale(&config.rules) {
            let rules = self.rules.loaded();
            self.engine.store(Arc::new(config.engine(&self.config_path, rules.as_deref())?));
            self.config.store(Arc::clone(&config));
        } else {
            self.take(&config, !is_same).await?;
        }
        if let Some(dns) = dns {
            tracing::info!("[dns] is in use as it is now");
            self.dns.swap(dns);
        }
        for section in config.sections_apart(&self.started_with) {
            tracing::warn!("[{section}] was changed and is not in use yet: restart the daemon");
        }
        Ok(())
    }

    /// Reads the rule files, which changed, again. What is broken stays out of use, and `tidegate status` says so.
    pub async fn refresh_rules(&self) {
        let _alone = self.reloading.lock().await;
        let config = self.config.load_full();
        if let Err(error) = self.take(&config, false).await {
            tracing::error!("the rule files changed, but the former rules stay in use: {error:#}");
        }
    }

    /// Takes `config` into use, with its rule files as they are now. Broken files leave the former rules in place, unless those were of
    /// another configuration.
    async fn take(&self, config: &Arc<Config>, of_other_files: bool) -> anyhow::Result<()> {
        let reading = Arc::clone(config);
        let loaded = Arc::new(tokio::task::spawn_blocking(move || reading.load_rules()).await?);
        let now = self.world.clock.now();
        let mut errors = loaded.errors();
        if !of_other_files {
            errors.extend(self.rules.gone(&loaded));
        }
        let former = self.rules.loaded().filter(|_| !errors.is_empty() && !of_other_files);
        let used = former.as_ref().unwrap_or(&loaded);
        match config.engine(&self.config_path, Some(used)) {
            Ok(engine) => {
                self.engine.store(Arc::new(engine));
                self.config.store(Arc::clone(config));
            }
            Err(error) => {
                errors.push(error.to_string());
                self.rules.keep_old(&loaded, errors, now);
                return Err(error.into());
            }
        }
        errors.iter().for_each(|error| tracing::error!("rule files: {error}"));
        if former.is_some() {
            self.rules.keep_old(&loaded, errors, now);
        } else {
            tracing::info!(rules = loaded.live(), load_ms = loaded.load_ms, "rule files read");
            self.rules.put(loaded, now);
        }
        Ok(())
    }

    /// Answers the command line.
    pub async fn answer(&self, request: Request) -> Response {
        match request {
            Request::Status => Response::Done(self.status().await),
            Request::Reload => match self.reload().await {
                Ok(()) => Response::Done(Value::Null),
                Err(error) => Response::Failed(format!("{error:#}")),
            },
            Request::Proposals => self.proposals().await,
        }
    }

    async fn proposals(&self) -> Response {
        let now = self.world.clock.now();
        match reputation::records_of_spammers(&*self.world.store, now, SPAMMERS_READ_MAX).await {
            Ok(records) => {
                let entries = reputation::proposals(&records, now);
                Response::Done(entries.iter().map(ToString::to_string).collect())
            }
            Err(unavailable) => Response::Failed(format!("the reputation of senders is not known: {unavailable}")),
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
            "waits": self.waits,
            "store": {
                "trouble": health.trouble,
                "set_aside": set_aside.collect::<Vec<_>>(),
                "pending": health.pending,
                "octets": stats.as_ref().map(|stats| stats.file_octets),
                "rows": stats.map(|stats| stats.rows.into_iter().collect::<BTreeMap<_, _>>()),
            },
            "rules": self.rules.status(),
            "journal": self.conclude.journal().health(),
            "quarantine": self.quarantine_status().await,
            "lists": self.list_health().await,
            "dns": {"dead_since": self.dns.dead_since().map(|since| since.to_string())},
            "restart_for": self.config.load().sections_apart(&self.started_with),
            "logs": self.log_watch.status(),
            "spamd": self.spamd.status(),
        })
    }

    /// How much is kept back, and how much of it expires soon and nobody has been told.
    async fn quarantine_status(&self) -> Value {
        let quarantine = self.conclude.quarantine().clone();
        let now = self.world.clock.now();
        let asked = tokio::task::spawn_blocking(move || Ok((quarantine.stats()?, quarantine.expiring(now)?)));
        let answer: Result<_, QuarantineError> = asked.await.unwrap_or(Err(QuarantineError::Stopped));
        match answer {
            Ok((stats, expiring)) => json!({
                "kept": stats.kept, "offered": stats.offered, "octets": stats.octets, "expiring": expiring.len(),
                "first_expires": expiring.first().map(|item| item.expires), "trouble": null,
            }),
            Err(error) => json!({ "trouble": error.to_string() }),
        }
    }

    /// Each DNS list that is asked, and whether it can be relied on, as far as that is known.
    async fn list_health(&self) -> Value {
        let (engine, now) = (self.engine.load_full(), self.world.clock.now());
        let mut lists = serde_json::Map::new();
        for list in engine.lists() {
            let health = match stored(list, &self.world, now).await {
                Ok(Some(Health::Good { at, .. })) => json!({"good": true, "at": at.to_string()}),
                Ok(Some(Health::Failing { cause, since })) => {
                    json!({"good": false, "at": since.to_string(), "cause": cause, "silent": false})
                }
                Ok(Some(Health::Silent { cause, since })) => {
                    json!({"good": false, "at": since.to_string(), "cause": cause, "silent": true})
                }
                Ok(None) | Err(_) => Value::Null,
            };
            lists.insert(list.zone.to_string(), health);
        }
        Value::Object(lists)
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

/// The real time.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
