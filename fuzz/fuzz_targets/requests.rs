//! Fuzzes `targets::requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::requests(data));
