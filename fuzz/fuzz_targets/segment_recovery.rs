//! Fuzzes `targets::segment_recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::segment_recovery(data));
