//! How often numbers of about the same size occurred, in a few octets, and what most of them do not exceed.

/// Sizes that are told apart; the last one is for all from 6,144 on.
const SIZES: usize = 26;

/// How often each size occurred in several such tables.
pub(super) type Counts = [u32; SIZES];

/// How often each number occurred, up to 255 times: numbers between a power of two and the next are told apart by half.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread([u8; SIZES]);

impl Spread {
    /// Counts a number; none does not count.
    pub(super) fn add(&mut self, number: u32) {
        if number > 0
            && let Some(count) = self.0.get_mut(size_of(number))
        {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn counts(self) -> Counts {
        self.0.map(u32::from)
    }
}

fn size_of(number: u32) -> usize {
    let Some(octave) = number.checked_ilog2() else { return 0 };
    let half = if octave == 0 { 0 } else { number >> (octave - 1) & 1 };
    usize::try_from(octave * 2 + half).unwrap_or(SIZES).min(SIZES - 1)
}

/// The largest number of a size.
fn largest_of(size: usize) -> u32 {
    let octave = u32::try_from(size / 2).unwrap_or(0);
    let half = 1_u32.checked_shl(octave).unwrap_or(u32::MAX) / 2;
    let steps = if size.is_multiple_of(2) { 3 } else { 4 };
    half.saturating_mul(steps).saturating_sub(1).max(1)
}

/// The number that so many percent do not exceed, if there are `days_min` at least.
pub(super) fn quantile(counts: &Counts, percent: u64, days_min: u64) -> Option<u32> {
    let days: u64 = counts.iter().map(|count| u64::from(*count)).sum();
    if days < days_min {
        return None;
    }
    let mut sum = 0;
    let size = counts.iter().position(|count| {
        sum += u64::from(*count);
        sum * 100 >= days * percent
    });
    size.map(largest_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_follow_on_each_other() {
        for number in 1..5000 {
            let size = size_of(number);
            assert!(number <= largest_of(size), "{number} {size}");
            let is_same = size_of(number + 1) == size;
            assert_eq!(number + 1 > largest_of(size), !is_same, "{number} {size}");
        }
        assert_eq!(size_of(u32::MAX), SIZES - 1);
        assert_eq!(largest_of(SIZES - 1), 8191);
    }

    #[test]
    fn the_few_loud_do_not_move_the_usual() {
        let mut spread = Spread::default();
        (0..95).for_each(|_| spread.add(10));
        (0..5).for_each(|_| spread.add(4000));
        spread.add(0);
        assert_eq!(quantile(&spread.counts(), 90, 100), Some(11));
        assert_eq!(quantile(&spread.counts(), 90, 101), None);
    }
}
