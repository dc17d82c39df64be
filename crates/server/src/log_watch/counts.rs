//! What is counted of a log, stored with where reading stands and shown by `tidegate status`.

use serde::{Deserialize, Serialize};

/// What was counted in one log since it is followed, over all restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Lines.
    pub lines: u64,
    /// Lines in no known form.
    pub unknown_lines: u64,
    /// Lines that were longer than is read.
    pub cut_lines: u64,
    /// Lines that were there before somebody looked.
    pub old_lines: u64,
    /// Lines of Exim that another log has as well.
    pub repeated_lines: u64,
}
