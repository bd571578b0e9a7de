//! Fuzzes `targets::batch_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::batch_reader(data));
