//! Protocols as codecs: bytes to typed requests, typed answers to bytes. No socket, no file, no clock, no panic.
//!
//! One module a protocol; a front-end of the server reads and writes the bytes.

pub mod exim;
pub mod spamd;
