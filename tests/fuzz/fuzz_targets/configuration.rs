//! Hands libFuzzer's inputs to `shardcast_fuzz::configuration`, which says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| shardcast_fuzz::configuration::check(input));
