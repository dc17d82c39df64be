//! How much an actor sent hour by hour, packed: a server has thousands of actors and a log hundreds of days.
//!
//! The newest hours stand open, since outcomes come late; what is closed takes some ten octets. Hours of ordinary days that are long
//! past are put together, and what is older still is summed up: [`Window`] says from when on.

/// Hours of an actor that are open at once.
const OPEN_HOURS: usize = 4;
/// Packed octets of an actor from which on doubled hours are looked for, each time they are twice as many.
const TIDY_FROM_OCTETS: usize = 256;
/// Days by which hours may outlive their window, so that few passes put them together.
const SLACK_DAYS: u32 = 7;
/// A day with as many recipients, and twice as many as usual, keeps its hours: somebody may want to know what happened then.
const LOUD_MIN: u32 = 100;
/// The hours from midnight to this one are the night.
const NIGHT_ENDS: u32 = 5;

/// How much of the past is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Days of which every hour is kept.
    pub(super) hourly: u32,
    /// Days that are kept as days.
    pub(super) daily: u32,
}

impl Default for Window {
    fn default() -> Window {
        Window { hourly: 31, daily: 400 }
    }
}

impl Window {
    /// The least that is kept, however many actors there are.
    const LEAST: Window = Window { hourly: 2, daily: 40 };

    /// Half as much as before; `None` if less makes no sense.
    pub(super) fn halved(self) -> Option<Window> {
        let Window { hourly, daily } = self;
        if hourly > Window::LEAST.hourly {
            return Some(Window { hourly: (hourly / 2).max(Window::LEAST.hourly), daily });
        }
        (daily > Window::LEAST.daily).then(|| Window { hourly, daily: (daily / 2).max(Window::LEAST.daily) })
    }
}

/// One hour of an actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hour {
    /// Hours since 1970 in local time.
    pub(super) hour: u32,
    pub(super) messages: u32,
    /// Recipients named at arrival.
    pub(super) recipients: u32,
    /// Recipients elsewhere that were served or given up.
    pub(super) remote: u32,
    pub(super) failed: u16,
    pub(super) unknown: u16,
    /// Refused for spam or reputation.
    pub(super) spam: u16,
    pub(super) deferred: u16,
    /// Messages under a sender that is not of the login's domain.
    pub(super) foreign: u16,
    /// Recipients of messages from networks that are new to the domain.
    pub(super) fresh: u16,
    /// Most recipients of one message.
    pub(super) widest: u16,
    /// Bits of networks.
    pub(super) networks: u32,
    /// The minutes of the first and the last message, each plus one; 0 if there was none, or if this stands for several hours.
    first: u8,
    last: u8,
    /// Where this stands for several hours, the recipients of the busiest; else 0.
    busiest: u32,
}

impl Hour {
    /// An hour in which nothing happened yet.
    pub(super) fn new(hour: u32) -> Hour {
        Hour { hour, ..Hour::default() }
    }

    /// Adds another hour's figures; the hour itself stays.
    pub(super) fn add(&mut self, other: &Hour) {
        self.messages = self.messages.saturating_add(other.messages);
        self.recipients = self.recipients.saturating_add(other.recipients);
        self.remote = self.remote.saturating_add(other.remote);
        self.failed = self.failed.saturating_add(other.failed);
        self.unknown = self.unknown.saturating_add(other.unknown);
        self.spam = self.spam.saturating_add(other.spam);
        self.deferred = self.deferred.saturating_add(other.deferred);
        self.foreign = self.foreign.saturating_add(other.foreign);
        self.fresh = self.fresh.saturating_add(other.fresh);
        self.widest = self.widest.max(other.widest);
        self.networks |= other.networks;
        // Of two halves of one hour; of several hours together these mean nothing.
        self.first =
            if self.first == 0 || other.first == 0 { self.first.max(other.first) } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
        self.busiest = self.busiest.max(other.busiest);
    }

    /// Notes that a message came in this minute of the hour.
    pub(super) fn at(&mut self, minute: u8) {
        let minute = minute.saturating_add(1);
        self.first = if self.first == 0 { minute } else { self.first.min(minute) };
        self.last = self.last.max(minute);
    }

    /// The minutes of the first and the last message in it, where they are known.
    pub(super) fn minutes(&self) -> Option<(u8, u8)> {
        if self.is_several() {
            return None;
        }
        Some((self.first.checked_sub(1)?, self.last.checked_sub(1)?))
    }

    /// Recipients, by arrival or, where the log does not name them, by what became of them.
    pub(super) fn volume(&self) -> u32 {
        self.recipients.max(self.remote)
    }

    /// Recipients of the busiest hour in it: its own, unless it stands for several.
    pub(super) fn peak(&self) -> u32 {
        if self.is_several() { self.busiest } else { self.volume() }
    }

    /// Whether it stands for several hours of a day that is long past.
    pub(super) fn is_several(&self) -> bool {
        self.busiest > 0
    }

    pub(super) fn day(&self) -> u32 {
        self.hour / 24
    }

    fn is_night(&self) -> bool {
        self.hour % 24 < NIGHT_ENDS
    }

    /// The figures behind the hour, in the order in which they are packed.
    fn figures(&self) -> [u32; FIGURES] {
        [
            self.messages,
            self.recipients,
            self.remote,
            u32::from(self.widest),
            self.networks,
            u32::from(self.failed),
            u32::from(self.deferred),
            u32::from(self.fresh),
            u32::from(self.unknown),
            u32::from(self.spam),
            u32::from(self.foreign),
            self.busiest,
            u32::from(self.first),
            u32::from(self.last),
        ]
    }

    fn of_figures(hour: u32, figures: &[u32; FIGURES]) -> Hour {
        let small = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let minute = |n: u32| u8::try_from(n).unwrap_or(0);
        let [
            messages,
            recipients,
            remote,
            widest,
            networks,
            failed,
            deferred,
            fresh,
            unknown,
            spam,
            foreign,
            busiest,
            first,
            last,
        ] = *figures;
        Hour {
            hour,
            messages,
            recipients,
            remote,
            failed: small(failed),
            unknown: small(unknown),
            spam: small(spam),
            deferred: small(deferred),
            foreign: small(foreign),
            fresh: small(fresh),
            widest: small(widest),
            networks,
            first: minute(first),
            last: minute(last),
            busiest,
        }
    }
}

/// The hours of one actor.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Hours that still change, in the order of time.
    open: Vec<Hour>,
    packed: Packed,
    newest_day: u32,
    /// The day and the octets at which it is tidied.
    tidy_on: u32,
    tidy_at: usize,
    /// Sum of what was let go.
    older: Hour,
}

impl History {
    /// The hour, made if need be. Times may go back, since outcomes come late.
    pub(super) fn slot(&mut self, hour: u32, window: Window) -> &mut Hour {
        if let Some(at) = self.open.iter().rposition(|open| open.hour == hour) {
            // Looked for twice, since the borrow checker does not follow a reference out of a condition.
            return self.open.get_mut(at).unwrap_or(&mut self.older);
        }
        if self.open.len() >= OPEN_HOURS {
            let closed = self.open.remove(0);
            self.packed.push(&closed);
        }
        self.newest_day = self.newest_day.max(hour / 24);
        if self.open.capacity() == 0 {
            self.open.reserve_exact(OPEN_HOURS);
            self.tidy_on = self.newest_day.saturating_add(window.hourly + SLACK_DAYS);
        }
        let is_large = self.packed.octets.len() > self.tidy_at.max(TIDY_FROM_OCTETS);
        if self.newest_day > self.tidy_on || is_large {
            self.tidy(window);
        }
        let at = self.open.partition_point(|open| open.hour < hour);
        self.open.insert(at, Hour::new(hour));
        self.open.get_mut(at).unwrap_or(&mut self.older)
    }

    /// All hours, in the order of time. Of days long past several may stand together at the busiest of them.
    pub(super) fn hours(&self) -> Vec<Hour> {
        let mut hours = self.packed.unpack();
        hours.extend_from_slice(&self.open);
        hours.sort_by_key(|hour| hour.hour);
        hours.dedup_by(|later, earlier| {
            let is_same = later.hour == earlier.hour;
            if is_same {
                earlier.add(later);
            }
            is_same
        });
        hours
    }

    /// The sum of all, also of what was let go.
    pub(super) fn total(&self) -> Hour {
        let mut total = self.older;
        self.packed.each(|hour| total.add(&hour));
        self.open.iter().for_each(|hour| total.add(hour));
        total
    }

    /// Octets on the heap.
    pub(super) fn octets(&self) -> usize {
        self.packed.octets.capacity() + self.open.capacity() * size_of::<Hour>()
    }

    /// Merges doubled hours, and lets go of what is outside the window.
    pub(super) fn tidy(&mut self, window: Window) {
        let mut hours = History { packed: std::mem::take(&mut self.packed), ..History::default() }.hours();
        let first_daily = self.newest_day.saturating_sub(window.daily);
        let kept = hours.partition_point(|hour| hour.day() < first_daily);
        hours.drain(..kept).for_each(|hour| self.older.add(&hour));
        let usual = usual_volume(&hours);
        let first_hourly = self.newest_day.saturating_sub(window.hourly);
        for day in hours.chunk_by(|a, b| a.day() == b.day()) {
            let volume: u32 = day.iter().map(Hour::volume).fold(0, u32::saturating_add);
            let is_loud = volume >= LOUD_MIN && volume / 2 >= usual;
            if is_loud || day.first().is_some_and(|hour| hour.day() >= first_hourly) {
                day.iter().for_each(|hour| self.packed.push(hour));
            } else {
                together(day.iter().filter(|hour| hour.is_night())).iter().for_each(|hour| self.packed.push(hour));
                together(day.iter().filter(|hour| !hour.is_night())).iter().for_each(|hour| self.packed.push(hour));
            }
        }
        self.packed.octets.shrink_to_fit();
        self.tidy_on = self.newest_day.saturating_add(SLACK_DAYS);
        self.tidy_at = self.packed.octets.len().saturating_mul(2);
    }
}

/// Recipients of a day on which anything was sent, on average.
fn usual_volume(hours: &[Hour]) -> u32 {
    let days = hours.chunk_by(|a, b| a.day() == b.day()).count();
    let sum: u64 = hours.iter().map(|hour| u64::from(hour.volume())).sum();
    let usual = sum.checked_div(u64::try_from(days).unwrap_or(u64::MAX)).unwrap_or(0);
    u32::try_from(usual).unwrap_or(u32::MAX)
}

/// Several hours as one, at the time of the busiest; none of none.
fn together<'h>(hours: impl Iterator<Item = &'h Hour>) -> Option<Hour> {
    let mut sum: Option<Hour> = None;
    let mut peak = 0;
    for hour in hours {
        let Some(sum) = &mut sum else {
            peak = hour.peak();
            sum = Some(*hour);
            continue;
        };
        sum.add(hour);
        if hour.peak() > peak {
            (peak, sum.hour) = (hour.peak(), hour.hour);
        }
        sum.busiest = peak;
        (sum.first, sum.last) = (0, 0);
    }
    sum
}

/// Hours one behind the other: the distance to the one before, which figures there are, and these, each in as few octets as it
/// needs.
#[derive(Clone, Debug, Default)]
struct Packed {
    octets: Vec<u8>,
    last: u32,
}

/// Figures of an hour, each with a bit that says whether it is there.
const FIGURES: usize = 14;
/// Octets of one hour at most: five for the distance, two for the bits, five for each figure.
const PACKED_MAX: usize = 5 + 2 + FIGURES * 5;

impl Packed {
    fn push(&mut self, hour: &Hour) {
        // Room grows by an eighth: doubling would leave a quarter of all of it empty.
        if self.octets.capacity() - self.octets.len() < PACKED_MAX {
            self.octets.reserve_exact(PACKED_MAX.max(self.octets.len() / 8));
        }
        // Wraps for an hour that comes late, and back when it is read.
        put(&mut self.octets, hour.hour.wrapping_sub(self.last));
        self.last = hour.hour;
        let figures = hour.figures();
        let bits = figures.iter().rev().fold(0_u16, |bits, figure| bits << 1 | u16::from(*figure > 0));
        self.octets.extend_from_slice(&bits.to_le_bytes());
        figures.iter().filter(|figure| **figure > 0).for_each(|figure| put(&mut self.octets, *figure));
    }

    fn unpack(&self) -> Vec<Hour> {
        let mut hours = Vec::new();
        self.each(|hour| hours.push(hour));
        hours
    }

    fn each(&self, mut each: impl FnMut(Hour)) {
        let mut octets = self.octets.as_slice();
        let mut last = 0_u32;
        while let Some(distance) = take(&mut octets) {
            let Some((bits, rest)) = octets.split_first_chunk() else { return };
            (octets, last) = (rest, last.wrapping_add(distance));
            let mut bits = u16::from_le_bytes(*bits);
            let mut figures = [0; FIGURES];
            for figure in &mut figures {
                if bits & 1 == 1 {
                    *figure = take(&mut octets).unwrap_or(0);
                }
                bits >>= 1;
            }
            each(Hour::of_figures(last, &figures));
        }
    }
}

/// Seven bits an octet, the lowest first; the eighth says that more follow.
fn put(octets: &mut Vec<u8>, mut number: u32) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            octets.push(low & 0x7f);
            return;
        }
        octets.push(low | 0x80);
    }
}

fn take(octets: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (octet, rest) = octets.split_first()?;
        *octets = rest;
        number |= u32::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An hour in which so many recipients were written to.
    fn add(history: &mut History, hour: u32, recipients: u32) {
        let slot = history.slot(hour, Window::default());
        slot.messages += 1;
        slot.recipients += recipients;
    }

    fn volumes(history: &History) -> Vec<(u32, u32)> {
        history.hours().iter().map(|hour| (hour.hour, hour.volume())).collect()
    }

    #[test]
    fn late_outcomes_find_their_hour() {
        let mut history = History::default();
        for hour in [100, 101, 102, 103, 104, 105, 101, 106, 100, 101] {
            add(&mut history, hour, 1);
        }
        assert_eq!(volumes(&history), [(100, 2), (101, 3), (102, 1), (103, 1), (104, 1), (105, 1), (106, 1)]);
        assert_eq!(history.total().messages, 10);
    }

    /// A mailbox that sends ten a day, one at night, and two hundred on day 20: after half a year that day still has its hours, and
    /// the others their sum, their busiest hour and their night.
    #[test]
    fn old_days_keep_what_they_are_judged_by() {
        let mut history = History::default();
        for day in 0..180 {
            for (hour, recipients) in [(3, 1), (9, 2), (10, 4), (17, 3)] {
                add(&mut history, day * 24 + hour, recipients);
            }
            if day == 20 {
                add(&mut history, day * 24 + 12, 200);
            }
        }
        let hours = history.hours();
        let on = |day: u32| hours.iter().filter(move |hour| hour.day() == day);
        let of_day = |day: u32| on(day).map(|hour| (hour.hour % 24, hour.volume(), hour.peak())).collect::<Vec<_>>();
        assert_eq!(of_day(0), [(3, 1, 1), (10, 9, 4)]);
        assert_eq!(of_day(20), [(3, 1, 1), (9, 2, 2), (10, 4, 4), (12, 200, 200), (17, 3, 3)]);
        assert_eq!(of_day(179).len(), 4);
        assert_eq!(history.total().recipients, 180 * 10 + 200);
        assert!(history.octets() < 5000, "{}", history.octets());
    }

    #[test]
    fn what_is_outside_the_window_is_summed_up() {
        let mut history = History::default();
        for day in 0..1000 {
            add(&mut history, day * 24, 1);
        }
        let first = history.hours().first().map(Hour::day);
        assert!(first.is_some_and(|first| (500..=600).contains(&first)), "{first:?}");
        assert_eq!(history.total().recipients, 1000);
        history.tidy(Window::LEAST);
        assert!(history.hours().len() <= 41 + OPEN_HOURS);
        assert_eq!(history.total().recipients, 1000);
    }

    #[test]
    fn a_window_shrinks_to_its_least() {
        let windows = std::iter::successors(Some(Window::default()), |window| window.halved());
        let last = windows.last().map(|window| (window.hourly, window.daily));
        assert_eq!(last, Some((Window::LEAST.hourly, Window::LEAST.daily)));
    }

    proptest! {
        #[test]
        fn packing_loses_nothing(figures in prop::collection::vec((any::<u32>(), any::<[u16; 7]>(), any::<[u32; 5]>(), any::<[u8; 2]>()), 0..40)) {
            let hours: Vec<Hour> = figures
                .into_iter()
                .map(|(hour, [failed, unknown, spam, deferred, foreign, fresh, widest], [messages, recipients, remote, networks, busiest], [first, last])| {
                    Hour {
                        hour, messages, recipients, remote, failed, unknown, spam, deferred, foreign, fresh, widest, networks, busiest, first, last,
                    }
                })
                .collect();
            let mut packed = Packed::default();
            hours.iter().for_each(|hour| packed.push(hour));
            prop_assert_eq!(packed.unpack(), hours);
        }

        /// In whatever order hours come, their sum stays.
        #[test]
        fn the_sum_stays(hours in prop::collection::vec((0_u32..20_000, 1_u32..300), 0..400)) {
            let mut history = History::default();
            hours.iter().for_each(|(hour, recipients)| add(&mut history, *hour, *recipients));
            let sum: u32 = hours.iter().map(|(_, recipients)| recipients).sum();
            prop_assert_eq!(history.total().recipients, sum);
            let listed = history.hours();
            prop_assert!(listed.is_sorted_by(|a, b| a.hour < b.hour));
        }
    }
}
