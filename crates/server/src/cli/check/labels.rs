//! A table of recorded sessions, one row a message: tab separated, the first line names the columns.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;

/// The table.
pub(in crate::cli) struct Labels {
    rows: HashMap<String, Row>,
}

/// What the table says of one message; empty columns are `None`.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Row {
    pub(in crate::cli) label: Option<String>,
    /// When the message was received.
    pub(in crate::cli) date: Option<Timestamp>,
    pub(in crate::cli) mail_from: Option<String>,
    pub(in crate::cli) client_ip: Option<String>,
    pub(in crate::cli) helo: Option<String>,
    pub(in crate::cli) rdns: Option<String>,
    pub(in crate::cli) spf: Option<String>,
    pub(in crate::cli) dkim: Option<String>,
    pub(in crate::cli) dmarc: Option<String>,
}

impl Labels {
    pub(in crate::cli) fn read(path: &Path) -> anyhow::Result<Labels> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        anyhow::ensure!(columns.contains(&"path"), "{}:1: there is no column `path`", path.display());
        let mut rows = HashMap::new();
        for line in lines {
            let cells: HashMap<&str, &str> = columns.iter().copied().zip(line.split('\t')).collect();
            let cell = |name: &str| cells.get(name).filter(|cell| !cell.is_empty()).map(|cell| (*cell).to_owned());
            let row = Row {
                label: cell("label"),
                date: cell("date").and_then(|date| timestamp(&date)),
                mail_from: cell("mail_from"),
                client_ip: cell("client_ip"),
                helo: cell("helo"),
                rdns: cell("rdns"),
                spf: cell("ref_spf"),
                dkim: cell("ref_dkim"),
                dmarc: cell("ref_dmarc"),
            };
            if let Some(path) = cell("path") {
                rows.insert(path, row);
            }
        }
        Ok(Labels { rows })
    }

    /// The row whose path is the end of `file`.
    pub(in crate::cli) fn of(&self, file: &Path) -> Option<&Row> {
        let parts: Vec<String> = file.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        (0..parts.len()).find_map(|from| self.rows.get(&parts.get(from..)?.join("/")))
    }
}

/// Dates stand as ISO 8601 with an offset, the colon in it left out or not.
fn timestamp(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| Timestamp::strptime("%Y-%m-%dT%H:%M:%S%z", text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_read_with_either_offset() {
        for text in ["2019-04-30T12:31:33+0200", "2019-04-30T12:31:33+02:00", "2019-04-30T10:31:33Z"] {
            assert_eq!(timestamp(text).map(|t| t.to_string()).as_deref(), Some("2019-04-30T10:31:33Z"), "{text}");
        }
        assert_eq!(timestamp("soon"), None);
    }
}
