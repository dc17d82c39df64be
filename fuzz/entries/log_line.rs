//! Any octets as a log: each line is read, shown, joined, reported and watched.

use tidegate_watch::api::EventRow;
use tidegate_watch::detectors::{Detectors, Thresholds};
use tidegate_watch::report::{Collector, Settings};
use tidegate_watch::{Joiner, Place, Reader, Timestamp};

/// Fails only by a panic, or if an event cannot be shown.
pub(crate) fn check(octets: &[u8]) {
    let mut reader = Reader::new().with_latest(Timestamp::from_civil(2026, 3, 3, 0, 0, 0));
    let mut strict = reader.clone().with_strict_helo();
    let mut collector = Collector::new(Settings { open_messages_max: 8, ..Settings::default() });
    let mut detectors = Detectors::new(Thresholds::default());
    let mut joiner = Joiner::new(8);
    for (line, octets) in (1..).zip(octets.split(|b| *b == b'\n')) {
        let text = Reader::text(octets);
        let event = reader.read(&text);
        serde_json::to_string(&EventRow::new("f", line, &event)).expect("an event is JSON");
        let place = Place { file: 0, line };
        let _ = detectors.feed(&event);
        joiner.feed(&event, place, |step| drop(detectors.step(&step)));
        collector.feed(&event, place);
        let _ = strict.read(&text);
    }
    serde_json::to_string(&collector.report()).expect("a report is JSON");
    serde_json::to_string(&collector.limits()).expect("limits are JSON");
    serde_json::to_string(&detectors).expect("a state is JSON");
}
