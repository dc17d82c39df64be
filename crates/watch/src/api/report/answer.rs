//! Who sent something: the answer to `who`.

use serde::Serialize;

use super::{Count, Sample};

/// The answer to `who`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Answer {
    /// Messages.
    pub messages: u64,
    /// Recipients.
    pub recipients: u64,
    /// Recipients served.
    pub delivered: u64,
    /// Attempts deferred.
    pub deferred: u64,
    /// Recipients given up.
    pub failed: u64,
    /// Refusals for spam or reputation.
    pub spam_refusals: u64,
    /// Logins to read mail.
    pub logins: u64,
    /// Failed logins and other misdeeds.
    pub offences: u64,
    /// First message.
    pub first: Option<String>,
    /// Last message.
    pub last: Option<String>,
    /// Recipients by day.
    pub by_day: Vec<Count>,
    /// How they were sent.
    pub ways: Vec<Count>,
    /// Addresses they were sent from.
    pub clients: Vec<Count>,
    /// The first messages.
    pub examples: Vec<Sample>,
}
