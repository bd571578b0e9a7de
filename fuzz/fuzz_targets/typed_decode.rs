//! Fuzzes `targets::typed_decode`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::typed_decode(data));
