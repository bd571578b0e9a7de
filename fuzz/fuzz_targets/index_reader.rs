//! Fuzzes `targets::index_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::index_reader(data));
