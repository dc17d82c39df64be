//! Any octets as a message.
#![no_main]

#[path = "../entries/message.rs"]
mod message;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| message::check(octets));
