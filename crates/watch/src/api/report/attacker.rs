//! Who attacks.

use serde::Serialize;

/// Somebody who attacks, or a login under attack.
#[derive(Clone, Debug, Serialize)]
pub struct AttackerRow {
    /// `guessing`, `slow_guessing`, `spraying`, `distributed`, `dictionary` or `relay`.
    pub kind: &'static str,
    /// Address of the attacker; of a distributed attack the login.
    pub who: String,
    /// Attempts.
    pub times: u64,
    /// Login names tried, up to 64.
    pub names: u64,
    /// Hours in which it was active.
    pub hours: u64,
    /// Addresses that took part in a day, up to 64.
    pub addresses: u64,
    /// First attempt.
    pub first: Option<String>,
    /// Last attempt.
    pub last: Option<String>,
    /// When a login succeeded from there, or with that name from where it had failed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<String>,
    /// The login that succeeded, or in whose guessing this address took part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<String>,
    /// Whether that login is among the suspects.
    pub is_suspect: bool,
    /// Whether this is an address of this server or of the network in which it stands: nobody is to block it.
    pub is_own: bool,
}
