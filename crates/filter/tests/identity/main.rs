//! The identity facts against the published suites of SPF, DKIM, ARC and the examples of DMARC's specification, with a world
//! made from each suite's own DNS data. Suites that are not at hand are skipped, and say so.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod arc;
mod dkim;
mod dmarc;
mod hostile;
mod sign;
mod spf;
mod suite;
mod zone;
