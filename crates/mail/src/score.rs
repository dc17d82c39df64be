//! Points of a verdict, in thousandths, so that sums are exact and do not depend on the order of findings.

use std::borrow::Cow;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Points, counted in thousandths. Sums saturate instead of wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(i32);

/// Why a text is no score.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a score; write points with at most three decimals, such as 2.5 or -0.001")]
pub struct ScoreError(String);

impl Score {
    /// No points.
    pub const ZERO: Score = Score(0);
    /// The highest score there is.
    pub const MAX: Score = Score(i32::MAX);

    /// A score of `milli` thousandths of a point: `Score::milli(2500)` is 2.5 points.
    #[must_use]
    pub const fn milli(milli: i32) -> Score {
        Score(milli)
    }

    /// A score of whole `points`.
    #[must_use]
    pub const fn points(points: i16) -> Score {
        Score(points as i32 * 1000)
    }

    /// Thousandths of a point.
    #[must_use]
    pub const fn as_milli(self) -> i32 {
        self.0
    }

    /// Whether the score is above zero, that is, speaks for spam.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// The nearest score to `points`; NaN is zero, and what is out of range saturates.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "a float to integer cast saturates, and NaN becomes zero")]
    pub fn from_points(points: f64) -> Score {
        Score((points * 1000.0).round() as i32)
    }
}

impl Add for Score {
    type Output = Score;
    fn add(self, other: Score) -> Score {
        Score(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Score {
    fn add_assign(&mut self, other: Score) {
        *self = *self + other;
    }
}

impl Sub for Score {
    type Output = Score;
    fn sub(self, other: Score) -> Score {
        Score(self.0.saturating_sub(other.0))
    }
}

impl Neg for Score {
    type Output = Score;
    fn neg(self) -> Score {
        Score(self.0.saturating_neg())
    }
}

impl Sum for Score {
    fn sum<I: Iterator<Item = Score>>(scores: I) -> Score {
        scores.fold(Score::ZERO, Add::add)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let milli = self.0.unsigned_abs();
        let text = format!("{sign}{}.{:03}", milli / 1000, milli % 1000);
        // 2.500 reads as 2.5 and 2.000 as 2.0: one decimal always stands.
        let shown = text.strip_suffix("00").or_else(|| text.strip_suffix('0')).unwrap_or(&text);
        f.pad(shown)
    }
}

impl FromStr for Score {
    type Err = ScoreError;

    /// Reads `-2`, `2.5` or `0.001`.
    fn from_str(text: &str) -> Result<Score, ScoreError> {
        let wrong = || ScoreError(text.to_owned());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 3 || !is_digits(whole) || !is_digits(fraction)
        {
            return Err(wrong());
        }
        let whole: i32 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| wrong())? };
        let fraction: i32 = format!("{fraction:0<3}").parse().map_err(|_| wrong())?;
        let milli = whole.checked_mul(1000).and_then(|m| m.checked_add(fraction)).ok_or_else(wrong)?;
        Ok(Score(if negative { -milli } else { milli }))
    }
}

/// Points that a score can hold, with either sign.
const POINTS_MAX: f64 = 2_147_483.648;

// A score is written as a number of points, in configuration as in records.
impl Serialize for Score {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Score, D::Error> {
        struct Points;
        impl serde::de::Visitor<'_> for Points {
            type Value = Score;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of points, such as 2.5")
            }
            fn visit_f64<E: serde::de::Error>(self, points: f64) -> Result<Score, E> {
                if points.is_nan() {
                    return Err(E::invalid_value(serde::de::Unexpected::Other("`nan`"), &self));
                }
                if points.abs() > POINTS_MAX {
                    return Err(E::custom("a score of more than two million points"));
                }
                Ok(Score::from_points(points))
            }
            fn visit_i64<E: serde::de::Error>(self, points: i64) -> Result<Score, E> {
                let milli = points.checked_mul(1000).and_then(|m| i32::try_from(m).ok());
                milli.map(Score).ok_or_else(|| E::custom("a score of more than two million points"))
            }
            fn visit_u64<E: serde::de::Error>(self, points: u64) -> Result<Score, E> {
                i64::try_from(points).map_err(E::custom).and_then(|p| self.visit_i64(p))
            }
        }
        deserializer.deserialize_any(Points)
    }
}

impl JsonSchema for Score {
    fn schema_name() -> Cow<'static, str> {
        "Score".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_reads_as_it_was_written() {
        for (text, shown) in [("2.5", "2.5"), ("-0.001", "-0.001"), ("15", "15.0"), ("0.25", "0.25"), (".5", "0.5")] {
            assert_eq!(text.parse::<Score>().map(|s| s.to_string()), Ok(shown.to_owned()), "{text}");
        }
        for text in ["", ".", "1.2345", "1e3", "--1", "9999999999"] {
            assert!(text.parse::<Score>().is_err(), "{text}");
        }
    }

    #[test]
    fn sums_saturate() {
        assert_eq!(Score::MAX + Score::points(1), Score::MAX);
    }
}
