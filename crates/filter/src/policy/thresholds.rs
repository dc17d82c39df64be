//! Scores from which on something happens, and how server, domain and mailbox say so one over the other.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use tidegate_mail::Score;

use crate::session::Direction;

/// The thresholds that apply to one recipient. `None` means that the step is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Unknown senders have to come again from this score on.
    pub greylist: Option<Score>,
    /// The message is marked as spam.
    pub tag: Option<Score>,
    /// The message is kept back.
    pub quarantine: Option<Score>,
    /// The message is refused.
    pub reject: Option<Score>,
}

impl Thresholds {
    /// What applies when the configuration says nothing.
    pub const fn built_in(direction: Direction) -> Thresholds {
        let inbound = Thresholds {
            greylist: Some(Score::milli(2500)),
            tag: Some(Score::points(5)),
            quarantine: None,
            reject: Some(Score::points(12)),
        };
        match direction {
            Direction::Inbound | Direction::Forwarded => inbound,
            // Users are not greylisted, and their mail is not marked for strangers: it is refused, or it goes.
            Direction::Submission => Thresholds { greylist: None, tag: None, ..inbound },
        }
    }

    /// These thresholds with `steps` over them.
    #[must_use]
    pub fn with(self, steps: Steps) -> Thresholds {
        let over = |below: Option<Score>, step: Option<Step>| match step {
            None => below,
            Some(Step::Off) => None,
            Some(Step::At(score)) => Some(score),
        };
        Thresholds {
            greylist: over(self.greylist, steps.greylist),
            tag: over(self.tag, steps.tag),
            quarantine: over(self.quarantine, steps.quarantine),
            reject: over(self.reject, steps.reject),
        }
    }
}

/// What one layer of the configuration says about the steps; what it does not say comes from the layer below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Steps {
    /// Unknown senders have to come again from this score on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub greylist: Option<Step>,
    /// The message is marked as spam.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Step>,
    /// The message is kept back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<Step>,
    /// The message is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject: Option<Step>,
}

/// Steps by direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Directions {
    /// To a mailbox here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbound: Option<Steps>,
    /// From a login, a local user, or a trusted relay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submission: Option<Steps>,
    /// Inbound, but leaving again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Steps>,
}

impl Directions {
    /// What is said about `direction`.
    pub fn of(&self, direction: Direction) -> Option<Steps> {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Submission => self.submission,
            Direction::Forwarded => self.forwarded,
        }
    }
}

/// One step: a score, or `"off"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// From this score on.
    At(Score),
    /// Never.
    Off,
}

impl Serialize for Step {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Step::At(score) => score.serialize(serializer),
            Step::Off => serializer.serialize_str("off"),
        }
    }
}

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<Score>(), { "const": "off" }] })
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
        struct ScoreOrOff;
        impl serde::de::Visitor<'_> for ScoreOrOff {
            type Value = Step;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of points, or \"off\"")
            }
            fn visit_f64<E: serde::de::Error>(self, points: f64) -> Result<Step, E> {
                Score::deserialize(points.into_deserializer()).map(Step::At)
            }
            #[allow(clippy::cast_precision_loss, reason = "a threshold beyond 2^52 points saturates anyway")]
            fn visit_i64<E: serde::de::Error>(self, points: i64) -> Result<Step, E> {
                self.visit_f64(points as f64)
            }
            #[allow(clippy::cast_precision_loss, reason = "a threshold beyond 2^52 points saturates anyway")]
            fn visit_u64<E: serde::de::Error>(self, points: u64) -> Result<Step, E> {
                self.visit_f64(points as f64)
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Step, E> {
                match text {
                    "off" => Ok(Step::Off),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(ScoreOrOff)
    }
}
