//! Any octets as lines of a log.
#![no_main]

#[path = "../entries/log_line.rs"]
mod log_line;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| log_line::check(octets));
