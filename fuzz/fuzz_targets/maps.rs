//! What the BPF maps hold, whoever wrote it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| zctrace::tracer::fuzz::maps(data));
