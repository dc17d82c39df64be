//! The stores: one conformance suite, and what a killed process leaves behind.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that breaks is to fail loudly; it has its own files"
)]

mod conformance;
mod killed;
