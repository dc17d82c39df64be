//! What is kept of one connection of Exim between its asks.

use tidegate_filter::engine::Session;
use tidegate_wire::exim::Assembly;

/// What is kept of one connection between its asks.
pub struct Slot {
    pub(super) session: Session,
    pub(super) helo: Option<String>,
    /// Sender and login that MAIL was judged with.
    pub(super) sender: Option<(String, Option<String>)>,
    pub(super) transactions: u32,
    pub(super) assembly: Assembly,
}
