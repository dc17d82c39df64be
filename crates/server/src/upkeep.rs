//! What has to be done from time to time while the daemon runs: panel and rule files that changed are read again, what has expired in
//! the quarantine goes, DNS and its lists are looked at.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tidegate_filter::blocklists::{Prober, stored};
use tidegate_filter::session::Stage;

use crate::daemon::Daemon;
use crate::dns::Seen;
use crate::panels;

/// How often the panel's files are looked at; a new mailbox must take mail within moments.
const PANEL_INTERVAL: Duration = Duration::from_secs(1);

/// How often the quarantine is looked through for what has expired.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(600);

/// How often the rule files are looked at. With the time to compile them, a new rule is in use within a second.
const RULES_INTERVAL: Duration = Duration::from_millis(200);

/// How often DNS and its lists are looked at. Longer than silence is remembered, so that each look asks anew.
const DNS_INTERVAL: Duration = Duration::from_secs(6);

/// Facts about a client may take half of a stage; so much is left for its lists at least.
const LISTS_SHARE: u32 = 2;

/// Looks after DNS and the lists in it until the task is dropped: asks what no client is to wait for, and tells what changed.
pub(crate) async fn dns(daemon: Arc<Daemon>) {
    let mut prober = Prober::default();
    let mut off = BTreeSet::new();
    loop {
        let (engine, now) = (daemon.engine.load_full(), daemon.world.clock.now());
        match daemon.dns.look(engine.hostname(), now).await {
            Seen::Alive => {}
            Seen::Back => prober.begin_anew(),
            // What lists do not answer then says nothing about them.
            Seen::Dead => {
                tokio::time::sleep(DNS_INTERVAL).await;
                continue;
            }
        }
        let patience = engine.deadlines().of(Stage::Connect) / LISTS_SHARE;
        match prober.run(engine.lists(), &daemon.world, patience, now).await {
            Ok(writes) if writes.is_empty() => {}
            Ok(writes) => daemon.conclude.remember(&writes, &daemon.world).await,
            Err(error) => tracing::warn!(%error, "the health of DNS lists is not known"),
        }
        for list in engine.lists() {
            // What is not known changes nothing.
            let Ok(Some(health)) = stored(list, &daemon.world, now).await else { continue };
            match health.off_because() {
                Some(cause) if off.insert(list.zone.clone()) => {
                    tracing::warn!("DNS list {} is switched off: {cause}", list.zone);
                }
                None if off.remove(&list.zone) => tracing::info!("DNS list {} is used again", list.zone),
                _ => {}
            }
        }
        tokio::time::sleep(DNS_INTERVAL).await;
    }
}

/// Looks after the rule files until the task is dropped.
pub(crate) async fn rules(daemon: Arc<Daemon>) {
    loop {
        tokio::time::sleep(RULES_INTERVAL).await;
        let looking = Arc::clone(&daemon);
        let stale = tokio::task::spawn_blocking(move || looking.rules.is_stale(&looking.config.load().rules));
        if stale.await.unwrap_or(false) {
            daemon.refresh_rules().await;
        }
    }
}

/// Runs until the task is dropped.
pub(crate) async fn run(daemon: Arc<Daemon>, panel: panels::Config) {
    let mut seen = looked_at(&panel).await;
    let mut expired = Instant::now();
    loop {
        tokio::time::sleep(PANEL_INTERVAL).await;
        if expired.elapsed() > EXPIRY_INTERVAL {
            expired = Instant::now();
            expire(&daemon).await;
        }
        let present = looked_at(&panel).await;
        if present.is_some() && present != seen {
            seen = present;
            let panel = panel.clone();
            match tokio::task::spawn_blocking(move || panel.read()).await {
                Ok(Ok(snapshot)) => daemon.panel.swap(snapshot),
                Ok(Err(error)) => {
                    tracing::error!(%error, "the panel's files cannot be read; what was known before stays");
                }
                Err(error) => tracing::error!(%error, "reading the panel's files failed; what was known before stays"),
            }
        }
    }
}

type Stamps = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// A panel may have thousands of files: they are looked at on a thread where that holds up nobody.
async fn looked_at(panel: &panels::Config) -> Option<Stamps> {
    let panel = panel.clone();
    tokio::task::spawn_blocking(move || stamps(&panel)).await.ok()
}

/// When each file was last changed, and how long it is.
fn stamps(panel: &panels::Config) -> Stamps {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    panel.files().into_iter().map(|file| (file.clone(), stamp(&file))).collect()
}

async fn expire(daemon: &Daemon) {
    let quarantine = daemon.conclude.quarantine().clone();
    let now = daemon.world.clock.now();
    match tokio::task::spawn_blocking(move || quarantine.expire(now)).await {
        Ok(Ok(_expired)) => {}
        Ok(Err(error)) => tracing::error!(%error, "what has expired in the quarantine could not be removed"),
        Err(error) => tracing::error!(%error, "looking through the quarantine failed"),
    }
}
