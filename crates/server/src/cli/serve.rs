//! `tidegate serve`: brings up the daemon, tells systemd, and reloads on SIGHUP without dropping a session.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, ensure};
use arc_swap::ArcSwap;
use tidegate_filter::dns::Resolver;
use tidegate_filter::panel::Panel;
use tidegate_filter::store::Store;
use tidegate_filter::tables;
use tidegate_filter::world::World;
use tidegate_rules::pattern::has_machine_code;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

use super::Ended;
use crate::conclude::Conclude;
use crate::config::Config;
use crate::counters::Counters;
use crate::daemon::{Daemon, SystemClock};
use crate::frontends::exim::hearing::Hearing;
use crate::frontends::exim::waits::Waits;
use crate::frontends::exim::{Holder, Listening};
use crate::journal::Journal;
use crate::log_watch::{LogWatch, Outside};
use crate::quarantine::Quarantine;
use crate::room::Rooms;
use crate::stores::embedded::Embedded;
use crate::{control, dns, frontends, panels, rules, upkeep};

/// Threads that judge messages; they run at low priority, so envelope asks come first. More than there are processors, since a small
/// message is judged without leaving its thread, and one that takes long must not hold up the others.
const CONTENT_THREADS: usize = 8;
/// Messages that are read or matched at once, those that wait for the disk included; more wait their turn.
const CONTENT_BLOCKING_MAX: usize = 16;
/// How much nicer the content threads are (nice(2)).
const CONTENT_NICENESS: i32 = 5;

pub(super) fn run(path: &Path) -> anyhow::Result<Ended> {
    let config = Config::read(path)?;
    start_log();
    look_for(&config.state.folder)?;
    let envelope = Builder::new_multi_thread().worker_threads(2).thread_name("envelope").enable_all().build()?;
    let content = content_runtime()?;
    envelope.block_on(async {
        let (listener, holder) = listener(&config)?;
        let listening = Listening::announce(&config.exim.socket, holder);
        if let Err(error) = &listening {
            tracing::warn!(%error, "the file beside the socket cannot be written; Exim will tell no events");
        }
        let control_listener = control::listen(&config.state.control_socket())
            .with_context(|| format!("cannot listen on {}", config.state.control_socket().display()))?;
        let daemon = Arc::new(build(&config, path)?);
        let answering = Arc::clone(&daemon);
        let answer = Arc::new(move |request| {
            let daemon = Arc::clone(&answering);
            async move { daemon.answer(request).await }
        });
        let mut serving = vec![
            tokio::spawn(control::serve(control_listener, answer)),
            tokio::spawn(upkeep::run(Arc::clone(&daemon), config.panel.clone())),
            tokio::spawn(upkeep::rules(Arc::clone(&daemon))),
            tokio::spawn(upkeep::dns(Arc::clone(&daemon))),
        ];
        let mut spamd = frontends::spamd::places::Open::default();
        spamd.follow(&daemon, content.handle()).await;
        serving.push(tokio::spawn(spamd.keep_following(Arc::clone(&daemon), content.handle().clone())));
        let (here, there) = (Handle::current(), content.handle().clone());
        let hearing = Hearing::start(listener, Arc::clone(&daemon), here, there).context("cannot hear Exim")?;
        tracing::info!(socket = %config.exim.socket.display(), "ready");
        let _without_systemd = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let ended = until_told(&daemon).await;
        drop(listening);
        drop(hearing);
        serving.iter().for_each(tokio::task::JoinHandle::abort);
        daemon.log_watch.stop();
        daemon.flush().await;
        ended
    })?;
    content.shutdown_background();
    Ok(Ended::Done)
}

/// All that the daemon keeps is below its state folder. It does not make the folder itself: whose it is to be, it cannot know.
fn look_for(folder: &Path) -> anyhow::Result<()> {
    let name = folder.display();
    let folder = std::fs::metadata(folder).with_context(|| {
        format!(
            "the state folder {name} cannot be used ([state] folder); the packaged service makes it, by hand it is: \
             install -d -o tidegate -g tidegate -m 0750 {name}"
        )
    })?;
    ensure!(folder.is_dir(), "the state folder {name} is no folder ([state] folder)");
    Ok(())
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TIDEGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
}

fn content_runtime() -> std::io::Result<Runtime> {
    let nicer = || {
        // Without it, messages only compete with envelope asks as equals.
        let _as_before = rustix::process::nice(CONTENT_NICENESS);
    };
    Builder::new_multi_thread()
        .worker_threads(CONTENT_THREADS)
        .max_blocking_threads(CONTENT_BLOCKING_MAX)
        .thread_name("content")
        .on_thread_start(nicer)
        .enable_all()
        .build()
}

fn build(config: &Config, path: &Path) -> anyhow::Result<Daemon> {
    // Rules take longest, so they are read while the rest is opened.
    let reading = config.clone();
    let loading = std::thread::spawn(move || reading.load_rules());
    let counters = Arc::new(Counters::default());
    let panel = config.panel.read().context("cannot read what the panel knows; see [panel] in the configuration")?;
    let panel = Arc::new(panels::Live::new(panel));
    let store = Arc::new(Embedded::open(&config.state.folder.join("store.redb"), tables::ALL)?);
    let journal = Journal::open(&config.journal_folder(), config.journal).context("cannot begin the journal")?;
    // A disk that is full now is no reason not to judge: what cannot be kept back is delivered as spam until it can.
    let quarantine = Quarantine::open_in_time(&config.quarantine_folder(), config.quarantine);
    let dns = Arc::new(dns::Live::new(&config.dns)?);
    let world = World {
        clock: Arc::new(SystemClock),
        dns: Arc::clone(&dns) as Arc<dyn Resolver>,
        store: Arc::clone(&store) as Arc<dyn Store>,
        panel: Arc::clone(&panel) as Arc<dyn Panel>,
    };
    let loaded = loading.join().map_err(|_panic| anyhow::anyhow!("reading the rule files failed"))?;
    let engine = config.engine(path, Some(&loaded))?;
    loaded.errors().iter().for_each(|error| tracing::error!("rule files: {error}"));
    tracing::info!(rules = loaded.live(), load_ms = loaded.load_ms, "rule files read");
    if !has_machine_code() {
        tracing::warn!("{}", rules::NO_MACHINE_CODE);
    }
    let rules = rules::Live::default();
    rules.put(Arc::new(loaded), jiff::Timestamp::now());
    let outside = Outside {
        limits: config.limits()?,
        panel: Arc::clone(&panel) as Arc<dyn Panel>,
        spool: config.exim.spool.clone(),
        quarantine: config.quarantine_folder(),
    };
    let log_watch = LogWatch::start(&config.logs, outside, &store).context("cannot begin to watch the logs")?;
    Ok(Daemon {
        log_watch,
        engine: ArcSwap::from_pointee(engine),
        config: ArcSwap::from_pointee(config.clone()),
        rules,
        spamd: frontends::spamd::places::Places::default(),
        rooms: Rooms::default(),
        waits: Waits::default(),
        reloading: Mutex::new(()),
        world,
        store,
        panel,
        dns,
        started_with: config.clone(),
        sessions: Arc::default(),
        conclude: Conclude::new(journal, quarantine, Arc::clone(&counters)),
        config_path: path.to_owned(),
        spool: config.exim.spool.clone(),
        askers: uid_of(&config.exim.user)?.into_iter().collect(),
        counters,
        started: jiff::Timestamp::now(),
    })
}

/// The uid of `user`, by name or number; `None` when there is no such user here (then only root may ask).
fn uid_of(user: &str) -> anyhow::Result<Option<u32>> {
    if let Ok(uid) = user.parse() {
        return Ok(Some(uid));
    }
    let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(user));
    let uid = line.and_then(|line| line.split(':').nth(2)).and_then(|uid| uid.parse().ok());
    if uid.is_none() {
        tracing::warn!(user, "there is no such user; only root may ask (see [exim] user)");
    }
    Ok(uid)
}

/// The socket that systemd hands over, or our own, and the process that keeps it open. A socket file that is left over from
/// before is replaced.
fn listener(config: &Config) -> anyhow::Result<(UnixListener, Holder)> {
    if let Some(handed) = listenfd::ListenFd::from_env().take_unix_listener(0)? {
        return Ok((handed, Holder::Systemd));
    }
    let socket = &config.exim.socket;
    if std::os::unix::net::UnixStream::connect(socket).is_ok() {
        anyhow::bail!("another daemon already answers on {}", socket.display());
    }
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot replace {}", socket.display()));
        }
        _ => {}
    }
    let listener = UnixListener::bind(socket).with_context(|| {
        format!(
            "cannot listen on {} ([exim] socket); its folder has to be there, and the daemon's user has to own it",
            socket.display()
        )
    })?;
    // Who may ask is decided by the peer's uid; the file's mode only has to let Exim's group through.
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666))?;
    Ok((listener, Holder::Daemon))
}

/// Reloads on SIGHUP; returns on SIGTERM and SIGINT.
async fn until_told(daemon: &Daemon) -> anyhow::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    loop {
        tokio::select! {
            _ = hangup.recv() => match daemon.reload().await {
                Ok(()) => tracing::info!("reloaded"),
                Err(error) => tracing::error!("not reloaded, the former configuration stays: {error:#}"),
            },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_folder_that_is_not_there_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        look_for(folder.path()).unwrap();
        let missing = folder.path().join("nothere");
        let error = format!("{:#}", look_for(&missing).unwrap_err());
        for part in [&*missing.display().to_string(), "[state] folder", "install -d -o tidegate", "No such file"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        std::fs::write(&missing, "").unwrap();
        assert!(format!("{:#}", look_for(&missing).unwrap_err()).contains("is no folder"));
    }
}
