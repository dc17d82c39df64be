//! Where spamd's clients are listened to. A place that cannot be had is an alarm of `tidegate status` and tried again: Exim's mail is
//! judged all the same. What `[spamd] listen` says after a reload is followed.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::config::Place;
use super::serve;
use crate::daemon::Daemon;

/// How often places that could not be had are tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Ports below this one need a capability (capabilities(7), `CAP_NET_BIND_SERVICE`).
const UNPRIVILEGED_PORT_MIN: u16 = 1024;

/// A place that is listened on.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Which places are listened on, and why others are not.
#[derive(Debug, Default)]
pub struct Places(Mutex<BTreeMap<String, Option<Trouble>>>);

/// Why a place cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Trouble {
    since: Timestamp,
    cause: String,
}

impl Places {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Option<Trouble>>> {
        // Each change below is one assignment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how a try went. The log hears of it when it went otherwise than the one before.
    fn note(&self, place: &Place, cause: Option<String>, now: Timestamp) {
        let name = String::from(place.clone());
        let mut known = self.known();
        let former = known.get(&name);
        let former_cause = former.and_then(Option::as_ref).map(|trouble| &trouble.cause);
        if former.is_some() && former_cause == cause.as_ref() {
            return;
        }
        match &cause {
            Some(cause) => tracing::error!(place = name, "cannot listen for spamd's clients, trying on: {cause}"),
            None => tracing::info!(place = name, "listening for spamd's clients"),
        }
        known.insert(name, cause.map(|cause| Trouble { since: now, cause }));
    }

    /// For `tidegate status`.
    pub fn status(&self) -> Value {
        let known = self.known();
        let open = known.iter().filter(|(_, trouble)| trouble.is_none()).map(|(name, _)| name);
        let closed: BTreeMap<_, _> =
            known.iter().filter_map(|(name, trouble)| Some((name, trouble.as_ref()?))).collect();
        json!({ "listening": open.collect::<Vec<_>>(), "trouble": closed })
    }
}

/// The tasks that listen. Dropped, they end.
#[derive(Default)]
pub(crate) struct Open(Vec<(Place, JoinHandle<()>)>);

impl Open {
    /// Listens where the configuration says and where it does not listen yet, and nowhere else.
    pub(crate) async fn follow(&mut self, daemon: &Arc<Daemon>, content: &Handle) {
        let config = daemon.config.load_full();
        let wanted = &config.spamd.listen;
        let (stays, ends) = std::mem::take(&mut self.0).into_iter().partition(|(place, _)| wanted.contains(place));
        self.0 = stays;
        for (_, task) in ends {
            task.abort();
            // A task that was told to end has its port until it has ended: the next place may be the same port of another address.
            let _cancelled = task.await;
        }
        daemon.spamd.known().retain(|name, _| wanted.iter().any(|place| String::from(place.clone()) == *name));
        for place in wanted {
            if self.0.iter().any(|(open, _)| open == place) {
                continue;
            }
            let listened = listen(place).await;
            daemon.spamd.note(place, listened.as_ref().err().cloned(), Timestamp::now());
            if let Ok(listener) = listened {
                let task = tokio::spawn(serve(listener, Arc::clone(daemon), content.clone()));
                self.0.push((place.clone(), task));
            }
        }
    }

    /// Follows the configuration until the task is dropped.
    pub(crate) async fn keep_following(mut self, daemon: Arc<Daemon>, content: Handle) {
        loop {
            tokio::time::sleep(RETRY_INTERVAL).await;
            self.follow(&daemon, &content).await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.iter().for_each(|(_, task)| task.abort());
    }
}

/// Begins to listen; the error says what to do.
async fn listen(place: &Place) -> Result<Listener, String> {
    match place {
        Place::Tcp(address) => match TcpListener::bind(address).await {
            Ok(listener) => Ok(Listener::Tcp(listener)),
            Err(error) => Err(format!("{error}{}", advice(&error, Some(address.port())))),
        },
        Place::Unix(path) => unix(path).map(Listener::Unix),
    }
}

/// What to do about an error, where that is known.
fn advice(error: &Error, port: Option<u16>) -> &'static str {
    match (error.kind(), port) {
        (ErrorKind::AddrInUse, _) => "; another program listens there: does spamd still run?",
        (ErrorKind::PermissionDenied, Some(port)) if port < UNPRIVILEGED_PORT_MIN => {
            "; a port below 1024 needs CAP_NET_BIND_SERVICE, which tidegate.service gives if it is the packaged one"
        }
        (ErrorKind::PermissionDenied | ErrorKind::NotFound, None) => {
            "; the folder must be there, and be one that the daemon's user may write to, as /run/tidegate is"
        }
        (ErrorKind::AddrNotAvailable, _) => "; this server does not have that address",
        _ => "",
    }
}

/// A socket that every user of this server may ask: it gets advice, no more.
fn unix(path: &Path) -> Result<UnixListener, String> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err("another program listens there already".to_owned());
    }
    let opened = || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
        Ok(listener)
    };
    opened().map_err(|error: Error| format!("{error}{}", advice(&error, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_wrong_with_a_place_is_said_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Place::Unix(folder.path().join("none/spamd.sock"));
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = Place::Tcp(other.local_addr().unwrap());
        let foreign = Place::Tcp("192.0.2.1:7830".parse().unwrap());
        for (place, told) in
            [(missing, "the folder must be there"), (taken, "does spamd still run"), (foreign, "have that address")]
        {
            let error = listen(&place).await.err().unwrap();
            assert!(error.contains(told), "{error}");
        }
        let denied = Error::from(ErrorKind::PermissionDenied);
        assert!(advice(&denied, Some(783)).contains("CAP_NET_BIND_SERVICE"));
        assert!(!advice(&denied, Some(1783)).contains("CAP_NET_BIND_SERVICE"));
    }

    /// A place that stays out of reach keeps the time since which it is.
    #[test]
    fn trouble_lasts_until_the_place_is_had() {
        let places = Places::default();
        let place = Place::Tcp("127.0.0.1:783".parse().unwrap());
        let at = |second| Timestamp::from_second(second).unwrap();
        places.note(&place, Some("in use".to_owned()), at(1));
        places.note(&place, Some("in use".to_owned()), at(2));
        let expected = json!({"since": "1970-01-01T00:00:01Z", "cause": "in use"});
        assert_eq!(places.status(), json!({"listening": [], "trouble": {"127.0.0.1:783": expected}}));
        places.note(&place, None, at(3));
        assert_eq!(places.status(), json!({"listening": ["127.0.0.1:783"], "trouble": {}}));
    }
}
