//! Fuzzes `targets::snapshot_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::snapshot_reader(data));
