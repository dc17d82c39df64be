//! Any rules over any message.
#![no_main]

#[path = "../entries/rules_match.rs"]
mod rules_match;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| rules_match::check(octets));
