//! Fuzzes `targets::checkpoint_reader`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::checkpoint_reader(data));
