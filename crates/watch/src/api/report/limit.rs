//! What is used of what, and limits that fit: the answer to `limits suggest`.

use serde::Serialize;

/// Percentiles of recipients over the hours or days in which anything was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Half of them had no more.
    pub half: u64,
    /// 95 of 100 had no more.
    pub p95: u64,
    /// 99 of 100 had no more.
    pub p99: u64,
    /// The most.
    pub most: u64,
}

/// Use of one actor, and limits that fit.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LimitRow {
    /// `account`, or `mailbox`, `script`, `user`, `forwarder` or `relay`.
    pub kind: &'static str,
    /// Account, login, script, user or address.
    pub name: String,
    /// Account.
    pub account: String,
    /// Days on which it sent.
    pub active_days: u64,
    /// Days left out because it was suspect on them.
    pub days_left_out: u64,
    /// Recipients an hour.
    pub hour: Spread,
    /// Recipients a day.
    pub day: Spread,
    /// Most recipients of one message.
    pub recipients_a_message: u64,
    /// Recipients an hour that fit.
    pub hourly_limit: u64,
    /// Recipients a day that fit.
    pub daily_limit: u64,
}
