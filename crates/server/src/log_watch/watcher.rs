//! The work of the thread that reads the logs: look at each, feed the picture, store, tell the status.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tidegate_filter::known::{Known, Service, Unavailable};
use tidegate_filter::store::{Store, Write};
use tidegate_filter::tables;
use tidegate_watch::Place;
use tidegate_watch::detectors::Limits;

use super::Config;
use super::Outside;
use super::followed::{Followed, is_exim_own, wanted};
use super::picture::Picture;
use super::rows::{self, FileRow};
use super::status::{ALERTS_SHOWN_MAX, Status, ToldStatus};
use super::told::Told;
use crate::logs::places;
use crate::stores::embedded::{COMMIT_EVERY, Embedded};

/// From one storing to the next, if there is something to store.
const STORE_EVERY: Duration = Duration::from_secs(2);
/// The same, as a multiple of what storing took: a large picture is stored less often.
const STORE_SHARE: u32 = 50;
/// How often it is looked for logs at the usual places that were not there before.
const PLACES_EVERY: Duration = Duration::from_secs(60);
/// How long a telling of Exim waits for the log, which knows more of the message: its subject, and the folder of a script.
const LOG_FIRST: Duration = Duration::from_secs(5);
/// Tellings that wait; of more, the oldest do not.
const WAITING_MAX: usize = 20_000;
/// Logs that are followed at once.
const FILES_MAX: usize = 32;

pub(super) struct Watcher {
    config: Config,
    outside: Outside,
    store: Arc<Embedded>,
    status: Arc<Mutex<Status>>,
    zone: TimeZone,
    followed: Vec<Followed>,
    /// Whether it is known from where to go on.
    has_begun: bool,
    picture: Picture,
    /// Tellings of Exim, and since when they wait.
    waiting: VecDeque<(Instant, Told)>,
    told: ToldStatus,
    /// Tellings were counted that are not stored.
    is_told: bool,
    stored_at: Instant,
    store_at: Instant,
    /// When what is endangered may be stored again: half of the time at most goes to it.
    rescue_at: Instant,
    places_at: Instant,
    /// The last storing failed, which has been told.
    is_failing: bool,
}

impl Watcher {
    pub(super) fn new(config: Config, outside: Outside, store: Arc<Embedded>, status: Arc<Mutex<Status>>) -> Watcher {
        let now = Instant::now();
        Watcher {
            picture: Picture::new(config.thresholds.clone()),
            config,
            outside,
            store,
            status,
            zone: TimeZone::system(),
            followed: Vec::new(),
            has_begun: false,
            waiting: VecDeque::new(),
            told: ToldStatus::default(),
            is_told: false,
            stored_at: now,
            store_at: now,
            rescue_at: now,
            places_at: now,
            is_failing: false,
        }
    }

    /// Goes on from what is stored. As long as the store does not answer, nothing is read: lines would count twice.
    fn begin(&mut self) -> bool {
        if !self.has_begun
            && let Ok(stored) = get(&self.store, rows::picture_key())
        {
            self.has_begun = true;
            match stored.as_deref().map(rows::decode_picture) {
                Some(Some(picture)) => self.picture = picture,
                Some(None) => tracing::warn!("what was known of messages and senders cannot be read; it begins anew"),
                None => {}
            }
            self.picture.set_thresholds(self.config.thresholds.clone());
        }
        self.has_begun
    }

    pub(super) fn configure(&mut self, config: Config, limits: Limits) {
        self.picture.set_thresholds(config.thresholds.clone());
        self.outside.limits = limits;
        self.config = config;
        self.store(Timestamp::now());
        self.find_logs();
    }

    /// Follows what shall be followed now, and nothing else.
    fn find_logs(&mut self) {
        self.places_at = Instant::now() + PLACES_EVERY;
        let mut wanted = if self.config.follow { wanted(&self.config.files) } else { Vec::new() };
        wanted.truncate(FILES_MAX);
        // A log at a usual place that is gone for a moment is missed, not forgotten.
        let is_named = !self.config.files.is_empty() || !self.config.follow;
        self.followed.retain(|followed| !is_named || wanted.iter().any(|path| path == followed.path()));
        for path in wanted {
            if self.followed.len() < FILES_MAX && !self.followed.iter().any(|followed| followed.path() == path) {
                let Ok(row) = get(&self.store, &FileRow::key(&path)) else { continue };
                self.followed.push(Followed::new(&path, row.and_then(|value| FileRow::decode(&value))));
            }
        }
        let own = self.followed.iter().position(|followed| is_exim_own(followed.path()));
        for (at, followed) in self.followed.iter_mut().enumerate() {
            followed.repeats_exim = own.is_some_and(|own| own != at);
        }
    }

    /// Reads some lines of the log that is furthest behind, and says whether more can be read at once.
    pub(super) fn look(&mut self, now: Timestamp) -> bool {
        if !self.begin() {
            self.show(now);
            return false;
        }
        if Instant::now() >= self.places_at {
            self.find_logs();
        }
        let mut order: Vec<usize> = (0..self.followed.len()).collect();
        order.sort_by_key(|at| self.followed.get(*at).map(|followed| followed.last_ms));
        let now_ms = now.as_millisecond();
        let mut has_more = false;
        for at in order {
            let Some(followed) = self.followed.get_mut(at) else { continue };
            let file = u32::try_from(at).unwrap_or(u32::MAX);
            let (picture, outside) = (&mut self.picture, &self.outside);
            let polled = followed.look(now, &self.zone, |event, line, is_fresh| {
                picture.feed(event, Place { file, line }, is_fresh, now_ms, outside);
            });
            has_more |= polled.has_more;
            if has_more {
                // The others wait, so that events come about in the order of time.
                break;
            }
        }
        if !has_more {
            self.release(now_ms);
        }
        if self.is_endangered() && Instant::now() >= self.rescue_at {
            self.rescue(now);
        } else if self.is_changed() && Instant::now() >= self.store_at {
            self.store(now);
        }
        self.show(now);
        has_more
    }

    /// Takes which script the header of a message names.
    pub(super) fn script_is(&mut self, id: &str, script: &str) {
        self.picture.script_is(id, script);
    }

    /// Takes what Exim tells. It waits for the log, if there is one.
    pub(super) fn tell(&mut self, told: Told, now: Timestamp) {
        self.told.events += 1;
        self.picture.exim_tells(now.as_millisecond());
        self.waiting.push_back((Instant::now(), told));
        if self.waiting.len() > WAITING_MAX
            && let Some((_, oldest)) = self.waiting.pop_front()
        {
            self.count(&oldest, now.as_millisecond());
        }
    }

    fn count(&mut self, told: &Told, now_ms: i64) {
        self.told.counted += u64::from(self.picture.told(told, now_ms, &self.outside));
        self.is_told = true;
    }

    /// Counts the tellings that have waited long enough, or for which there is no log to wait for.
    fn release(&mut self, now_ms: i64) {
        let has_log = self.followed.iter().any(|followed| is_exim_own(followed.path()) && followed.is_well());
        while let Some((since, told)) = self.waiting.pop_front() {
            if has_log && since.elapsed() < LOG_FIRST {
                self.waiting.push_front((since, told));
                break;
            }
            self.count(&told, now_ms);
        }
    }

    /// Stores positions, counts and picture as one unit.
    pub(super) fn store(&mut self, now: Timestamp) {
        if !self.has_begun {
            return;
        }
        let began = Instant::now();
        let files = self.followed.iter().filter_map(|followed| followed.row().write(followed.path()));
        let alerts = self.picture.unrecorded().iter().filter_map(rows::write_alert);
        let unit: Vec<Write> = files.chain(rows::write_picture(&self.picture)).chain(alerts).collect();
        // The embedded store answers at once; a failure leaves everything to the next time.
        match self.store.write(&unit, now).now_or_never() {
            Some(Ok(())) => {
                self.picture.are_recorded();
                self.is_told = false;
                self.followed.iter_mut().for_each(|followed| followed.is_changed = false);
                self.is_failing = false;
            }
            Some(Err(error)) if !self.is_failing => {
                self.is_failing = true;
                tracing::error!(%error, "where the logs were read to cannot be stored; lines may count again after a restart");
            }
            _ => {}
        }
        let took = began.elapsed();
        self.stored_at = Instant::now();
        self.store_at = self.stored_at + STORE_EVERY.max(took * STORE_SHARE);
        self.rescue_at = self.stored_at + if self.is_failing { STORE_EVERY } else { took };
    }

    fn is_changed(&self) -> bool {
        self.is_told || self.followed.iter().any(|followed| followed.is_changed)
    }

    /// Whether something was read that may not be on disk.
    pub(super) fn has_something_to_lose(&self) -> bool {
        self.is_changed() || self.stored_at.elapsed() < COMMIT_EVERY * 2
    }

    /// Whether something was read that may not be on disk, and is in no file any more.
    pub(super) fn is_endangered(&self) -> bool {
        self.followed.iter().any(Followed::is_endangered)
    }

    /// Puts on disk what a kill would take away for ever.
    fn rescue(&mut self, now: Timestamp) {
        self.store(now);
        if !self.is_failing {
            // A disk that does not take it is told of by the store, which tries again.
            let _told = self.store.flush_blocking();
            self.followed.iter_mut().for_each(Followed::is_on_disk);
        }
    }

    fn show(&self, now: Timestamp) {
        let now_ms = now.as_millisecond();
        let alarms = self.followed.iter().flat_map(|followed| followed.alarms(now_ms, self.config.missing_minutes));
        let status = Status {
            note: self.note(),
            files: self.followed.iter().map(Followed::status).collect(),
            alarms: alarms.chain(self.picture.alarm(now_ms)).collect(),
            limits: self.outside.limits.count(),
            open_messages: self.picture.joiner().open().count(),
            outcomes: self.picture.outcomes(),
            told: self.told,
            losses: self.picture.joiner().losses().into(),
            alerts: self.picture.alerts().take(ALERTS_SHOWN_MAX).cloned().collect(),
        };
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn note(&self) -> Option<String> {
        if !self.config.follow {
            return Some("no log is followed: [logs] follow is off".into());
        }
        if !self.has_begun {
            return Some("no log is read as long as the store does not tell where it was left".into());
        }
        let is_none = self.followed.is_empty();
        is_none.then(|| format!("no log is followed: none lies at {}; name it in [logs] files", places::names()))
    }
}

/// The embedded store answers at once.
fn get(store: &Embedded, key: &[u8]) -> Known<Option<Vec<u8>>> {
    let answer = store.get(&tables::LOG_WATCH, key, Timestamp::now()).now_or_never();
    answer.unwrap_or_else(|| Err(Unavailable::new(Service::Store, "no answer")))
}
