//! Any octets as a rule file.
#![no_main]

#[path = "../entries/rules_parse.rs"]
mod rules_parse;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| rules_parse::check(octets));
