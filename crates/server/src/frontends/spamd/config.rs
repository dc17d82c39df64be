//! What the front-end for spamd's clients is told: where it listens, who may ask, and how spam is rewritten.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[spamd]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen: `"127.0.0.1:783"` for TCP, `"/run/tidegate/spamd.sock"` for a Unix socket. Empty: nowhere.
    pub listen: Vec<Place>,
    /// The networks whose clients may ask by TCP.
    #[schemars(with = "Vec<String>")]
    pub clients: Vec<IpNet>,
    /// What becomes of spam that a client has rewritten, as SpamAssassin's `report_safe`: 0 marks the header, 1 puts the message
    /// into a report as an attachment, 2 as plain text.
    pub report_safe: ReportSafe,
    /// The largest message, in octets, unpacked.
    pub octets_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Vec::new(),
            clients: vec![
                IpNet::from(std::net::IpAddr::from([127, 0, 0, 1])),
                IpNet::from(std::net::IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1_u16])),
            ],
            report_safe: ReportSafe::Attached,
            octets_max: 64 << 20,
        }
    }
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// An address and port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Place, String> {
        if text.starts_with('/') {
            return Ok(Place::Unix(PathBuf::from(text)));
        }
        let expected = || format!("`{text}` is neither ADDRESS:PORT (as 127.0.0.1:783) nor the path of a socket");
        text.parse().map(Place::Tcp).map_err(|_| expected())
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        match place {
            Place::Tcp(address) => address.to_string(),
            Place::Unix(path) => path.display().to_string(),
        }
    }
}

/// What becomes of spam that a client has rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u8", into = "u8")]
pub enum ReportSafe {
    /// 0: its header is marked.
    Marked,
    /// 1: it goes into a report as an attachment.
    Attached,
    /// 2: the same, as plain text that no program opens.
    AsText,
}

impl TryFrom<u8> for ReportSafe {
    type Error = String;

    fn try_from(number: u8) -> Result<ReportSafe, String> {
        match number {
            0 => Ok(ReportSafe::Marked),
            1 => Ok(ReportSafe::Attached),
            2 => Ok(ReportSafe::AsText),
            other => Err(format!("report_safe is 0, 1 or 2, not {other}")),
        }
    }
}

impl From<ReportSafe> for u8 {
    fn from(safe: ReportSafe) -> u8 {
        match safe {
            ReportSafe::Marked => 0,
            ReportSafe::Attached => 1,
            ReportSafe::AsText => 2,
        }
    }
}
