//! What is in the frames of a recording, behind checksum and compression, which a fuzzer does not guess.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| zctrace_ledger::recording::fuzz::payload(data));
