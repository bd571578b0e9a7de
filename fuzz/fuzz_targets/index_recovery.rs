//! Fuzzes `targets::index_recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::index_recovery(data));
