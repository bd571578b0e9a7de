//! Fuzzes `targets::native_entry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::native_entry(data));
