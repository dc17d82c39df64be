//! How long Exim waits for answers, stage by stage: counts in buckets that grow with the wait, each an eighth of
//! its wait wide at most, so that a percentile is right within that. For `tidegate status`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tidegate_wire::exim::Stage;

/// Stages that are told apart; the others take no time that a client waits for.
const STAGES: [(Stage, &str); 7] = [
    (Stage::Connect, "connect"),
    (Stage::Helo, "helo"),
    (Stage::Mail, "mail"),
    (Stage::Rcpt, "rcpt"),
    (Stage::Data, "data"),
    (Stage::NotSmtp, "not_smtp"),
    (Stage::Keep, "keep"),
];
/// Buckets between a number of microseconds and twice that.
const STEPS: u64 = 8;
/// Buckets of a stage: up to 67 seconds, which no stage takes.
const BUCKETS: usize = 24 * 8;

/// How long Exim has waited since the start.
#[derive(Debug, Default)]
pub struct Waits([Histogram; STAGES.len()]);

impl Waits {
    /// One more answer at `stage`, given `wait` after the request was there.
    pub fn note(&self, stage: Stage, wait: Duration) {
        let histogram = STAGES.iter().position(|(known, _)| *known == stage).and_then(|place| self.0.get(place));
        if let Some(histogram) = histogram {
            histogram.note(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
        }
    }
}

impl Serialize for Waits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for ((_, name), histogram) in STAGES.iter().zip(&self.0) {
            if let Some(summary) = histogram.summary() {
                map.serialize_entry(name, &summary)?;
            }
        }
        map.end()
    }
}

/// The answers of one stage.
#[derive(Serialize)]
struct Summary {
    answers: u64,
    p50_us: u64,
    p99_us: u64,
    longest_us: u64,
}

#[derive(Debug)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    longest_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: std::array::from_fn(|_| AtomicU64::new(0)), longest_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    fn note(&self, us: u64) {
        if let Some(bucket) = self.buckets.get(place(us)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.longest_us.fetch_max(us, Ordering::Relaxed);
    }

    /// `None` before the first answer.
    fn summary(&self) -> Option<Summary> {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let answers: u64 = counts.iter().sum();
        let longest_us = self.longest_us.load(Ordering::Relaxed);
        // The upper end of the bucket in which the answer of that rank is.
        let percentile = |hundredth: u64| {
            let rank = answers.saturating_mul(hundredth).div_ceil(100);
            let mut seen = 0;
            let within = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            within.map_or(longest_us, |place| end(place).min(longest_us))
        };
        (answers > 0).then(|| Summary { answers, p50_us: percentile(50), p99_us: percentile(99), longest_us })
    }
}

/// The bucket of a wait: below [`STEPS`] one a microsecond, then [`STEPS`] for each power of two.
fn place(us: u64) -> usize {
    if us < STEPS {
        return usize::try_from(us).unwrap_or(0);
    }
    let power = us.ilog2() - STEPS.ilog2();
    let step = (us >> power) - STEPS;
    let place = u64::from(power + 1) * STEPS + step;
    usize::try_from(place).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The longest wait of a bucket, in microseconds.
fn end(place: usize) -> u64 {
    let place = u64::try_from(place).unwrap_or(0);
    match (place / STEPS).checked_sub(1) {
        None => place,
        Some(power) => ((STEPS + place % STEPS + 1) << power) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_is_in_the_bucket_that_ends_behind_it() {
        for us in (0..10_000).chain([1 << 20, 20_000_000, 60_000_000]) {
            let place = place(us);
            assert!(end(place) >= us, "{us}");
            assert!(place == 0 || end(place - 1) < us, "{us}");
            assert!(end(place) <= us + us / 7 + 1, "{us} is said to be {}", end(place));
        }
        assert_eq!(place(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_percentile_is_the_wait_that_so_many_did_not_exceed() {
        let waits = Waits::default();
        for ms in 1..=100 {
            waits.note(Stage::Rcpt, Duration::from_millis(ms));
        }
        let shown = serde_json::to_value(&waits).unwrap();
        let number = |key: &str| shown["rcpt"][key].as_u64().unwrap();
        assert_eq!(shown.as_object().unwrap().len(), 1, "stages without answers are left out");
        assert_eq!((number("answers"), number("longest_us")), (100, 100_000));
        assert!(
            (50_000..58_000).contains(&number("p50_us")) && (99_000..=100_000).contains(&number("p99_us")),
            "{shown}"
        );
    }
}
