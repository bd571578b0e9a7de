//! Fuzzes `targets::record_batch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::record_batch(data));
