//! What has to be done from time to time while the daemon runs: panel files that changed are read again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::daemon::Daemon;
use crate::panels;

/// How often the panel's files are looked at; a new mailbox must take mail within moments.
const PANEL_INTERVAL: Duration = Duration::from_secs(1);

/// Runs until the task is dropped.
pub(crate) async fn run(daemon: Arc<Daemon>, panel: panels::Config) {
    let mut seen = stamps(&panel);
    loop {
        tokio::time::sleep(PANEL_INTERVAL).await;
        let present = stamps(&panel);
        if present != seen {
            seen = present;
            match panel.read() {
                Ok(snapshot) => daemon.panel.swap(snapshot),
                Err(error) => tracing::error!(%error, "the panel's files cannot be read; what was known before stays"),
            }
        }
    }
}

/// When each file was last changed, and how long it is.
fn stamps(panel: &panels::Config) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    panel.files().into_iter().map(|file| (file.clone(), stamp(&file))).collect()
}
