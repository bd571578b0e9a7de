//! Fuzzes `targets::manifest_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::manifest_reader(data));
