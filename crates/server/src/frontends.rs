//! How MTAs reach us. A closed set: each front-end translates its protocol into calls of the engine's session and back.

pub mod exim;
pub mod spamd;
