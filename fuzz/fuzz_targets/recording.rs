//! A file that somebody calls a recording.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| zctrace_ledger::recording::fuzz::file(data));
