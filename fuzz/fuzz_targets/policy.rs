//! A policy, and what it says of a document.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| zctrace_ledger::claims::fuzz::policy(data));
