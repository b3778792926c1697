//! Any bytes as a file: no panic, and agreement with the crate `safetensors`.
#![no_main]

#[path = "../agree.rs"]
mod agree;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    agree::agree(file);
});
