//! What is said beside a report.

use std::io::{self, Write as _};

use super::escape::printable;

/// Writes lines to standard error, made safe for a terminal. Where that cannot be written
/// (`2>/dev/full`) nothing is said, and nothing else changes: `eprintln!` would panic.
pub fn say(text: &str) {
    let lines: String = text
        .lines()
        .map(|line| format!("{}\n", printable(line)))
        .collect();
    // There is nowhere left to complain.
    let _ = io::stderr().lock().write_all(lines.as_bytes());
}
