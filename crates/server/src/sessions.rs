//! Open SMTP sessions by the name we gave them. A session that is never ended expires; when there are too many, the oldest
//! go: each ask carries all facts, so a session that is gone is made again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use tokio::sync::Mutex as AsyncMutex;

use ipnet::IpNet;

/// Sessions that are kept at most; a busy server has some hundreds at once.
const SESSIONS_MAX: usize = 20_000;
/// How long a session lives after its last ask. Exim waits five minutes for a command (`smtp_receive_timeout`) and tells its end, unless
/// it was killed or gave up asking; a message that takes longer to arrive has its session made again.
const IDLE_MAX: Duration = Duration::from_secs(6 * 60);
/// How often expired sessions are looked for, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// All open sessions, each with a `T` that its front-end keeps there.
pub struct Sessions<T> {
    inner: Mutex<Inner<T>>,
}

/// A session of which its client has not heard yet. It is forgotten when this is dropped, also by a panic, unless it is kept.
#[must_use]
pub struct Begun<T> {
    sessions: Arc<Sessions<T>>,
    name: Option<String>,
}

impl<T> Begun<T> {
    /// The client knows of the session: it stays until the client ends it.
    pub fn keep(mut self) {
        self.name = None;
    }
}

impl<T> Drop for Begun<T> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.sessions.remove(name);
        }
    }
}

struct Inner<T> {
    by_name: HashMap<String, Held<T>>,
    by_network: HashMap<IpNet, u32>,
    swept: Instant,
}

struct Held<T> {
    slot: Arc<AsyncMutex<T>>,
    network: Option<IpNet>,
    used: Instant,
}

impl<T> Default for Sessions<T> {
    fn default() -> Sessions<T> {
        let inner = Inner { by_name: HashMap::new(), by_network: HashMap::new(), swept: Instant::now() };
        Sessions { inner: Mutex::new(inner) }
    }
}

impl<T> Sessions<T> {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner<T>> {
        // No call below can panic between two changes that belong together.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session called `name`.
    pub fn get(&self, name: &str) -> Option<Arc<AsyncMutex<T>>> {
        let mut inner = self.inner();
        let held = inner.by_name.get_mut(name)?;
        held.used = Instant::now();
        Some(Arc::clone(&held.slot))
    }

    /// How many sessions the network of `ip` has open, with one that is about to be opened.
    pub fn open_from(&self, ip: IpAddr) -> u32 {
        self.open_at(ip, Instant::now())
    }

    fn open_at(&self, ip: IpAddr, now: Instant) -> u32 {
        let mut inner = self.inner();
        inner.sweep_in_time(now);
        inner.by_network.get(&network(ip)).copied().unwrap_or(0).saturating_add(1)
    }

    /// Begins a session; its name. It stays if what comes with it is kept.
    pub fn begin(self: &Arc<Self>, value: T, ip: Option<IpAddr>) -> (String, Arc<AsyncMutex<T>>, Begun<T>) {
        let (name, slot) = self.insert(value, ip);
        let begun = Begun { sessions: Arc::clone(self), name: Some(name.clone()) };
        (name, slot, begun)
    }

    fn insert(&self, value: T, ip: Option<IpAddr>) -> (String, Arc<AsyncMutex<T>>) {
        let name = fresh_name();
        let slot = Arc::new(AsyncMutex::new(value));
        let network = ip.map(network);
        let now = Instant::now();
        let mut inner = self.inner();
        inner.sweep_in_time(now);
        if let Some(network) = network {
            *inner.by_network.entry(network).or_default() += 1;
        }
        inner.by_name.insert(name.clone(), Held { slot: Arc::clone(&slot), network, used: now });
        (name, slot)
    }

    /// Forgets the session called `name`.
    pub fn remove(&self, name: &str) {
        self.inner().forget(name);
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        let mut inner = self.inner();
        inner.sweep_in_time(Instant::now());
        inner.by_name.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Inner<T> {
    fn forget(&mut self, name: &str) {
        let Some(held) = self.by_name.remove(name) else { return };
        let Some(network) = held.network else { return };
        if let Some(open) = self.by_network.get_mut(&network) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.by_network.remove(&network);
            }
        }
    }

    /// What has expired is forgotten before it is counted.
    fn sweep_in_time(&mut self, now: Instant) {
        if now.duration_since(self.swept) >= SWEEP_INTERVAL || self.by_name.len() >= SESSIONS_MAX {
            self.sweep(now);
        }
    }

    /// Forgets what has expired and, if there are still too many, the tenth that was idle longest.
    fn sweep(&mut self, now: Instant) {
        self.swept = now;
        let expired: Vec<String> = self
            .by_name
            .iter()
            .filter(|(_, held)| now.duration_since(held.used) > IDLE_MAX)
            .map(|(n, _)| n.clone())
            .collect();
        for name in expired {
            self.forget(&name);
        }
        if self.by_name.len() < SESSIONS_MAX {
            return;
        }
        let mut by_age: Vec<(Instant, String)> = self.by_name.iter().map(|(n, held)| (held.used, n.clone())).collect();
        by_age.sort();
        for (_, name) in by_age.into_iter().take(SESSIONS_MAX / 10) {
            self.forget(&name);
        }
    }
}

/// Clients of one network are counted together: /24 and /64.
fn network(ip: IpAddr) -> IpNet {
    let length = if ip.is_ipv4() { 24 } else { 64 };
    IpNet::new(ip, length).map_or_else(|_| IpNet::from(ip), |net| net.trunc())
}

/// A name nobody can guess, of letters and digits: it stands in SMTP replies, where people may see it.
pub(crate) fn fresh_name() -> String {
    let mut octets = [0; 8];
    // Without random octets two sessions could get one name; the counter of the clock still keeps them apart.
    if rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty()).is_err() {
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        octets.copy_from_slice(&nanos.to_be_bytes()[8..]);
    }
    BASE32_NOPAD.encode(&octets).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_of_a_network_are_counted_until_they_end() {
        let sessions = Sessions::default();
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        let (name, _) = sessions.insert((), Some(ip));
        assert_eq!(sessions.open_from("192.0.2.9".parse().unwrap()), 2);
        sessions.remove(&name);
        sessions.remove(&name);
        assert_eq!(sessions.open_from(ip), 1);
    }

    /// An ask that panics, or whose answer nobody hears, must not leave a session that nobody ends.
    #[test]
    fn a_session_that_no_client_knows_of_does_not_stay() {
        let sessions = Arc::new(Sessions::default());
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        let judging = std::panic::AssertUnwindSafe(async {
            let (_name, slot, _begun) = sessions.begin((), Some(ip));
            let _guard = slot.lock().await;
            assert_eq!(sessions.open_from(ip), 2);
            panic!("a check has a fault");
        });
        let judged = futures_util::FutureExt::catch_unwind(judging);
        assert!(tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(judged).is_err());
        assert_eq!(sessions.open_from(ip), 1);
        let (name, _, begun) = sessions.begin((), Some(ip));
        begun.keep();
        assert!(sessions.get(&name).is_some() && sessions.open_from(ip) == 2);
    }

    /// The first client that comes when the sessions of its network have expired is not told that there are too many.
    #[test]
    fn expired_sessions_are_not_counted() {
        let sessions = Sessions::default();
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        for _ in 0..55 {
            sessions.insert((), Some(ip));
        }
        let now = Instant::now();
        assert_eq!(sessions.open_at(ip, now + IDLE_MAX - SWEEP_INTERVAL), 56);
        assert_eq!(sessions.open_at(ip, now + IDLE_MAX + SWEEP_INTERVAL), 1);
    }

    #[test]
    fn there_are_never_too_many() {
        let sessions = Sessions::default();
        for _ in 0..SESSIONS_MAX + 10 {
            sessions.insert((), Some("192.0.2.7".parse().unwrap()));
        }
        assert!(sessions.len() <= SESSIONS_MAX);
    }
}
