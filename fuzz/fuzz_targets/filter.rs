//! A filter that somebody types into the dashboard.
#![no_main]

use std::sync::LazyLock;

use zctrace_ledger::ledger::{Snapshot, samples};

static DOCUMENT: LazyLock<Snapshot> = LazyLock::new(samples::normal);

libfuzzer_sys::fuzz_target!(|data: &[u8]| zctrace::tui::fuzz::filter(data, &DOCUMENT));
