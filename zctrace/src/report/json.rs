//! Documents as JSON.

use std::io::{self, Write};

use serde::Serialize;

/// Writes a document for people and programs: indented, ended by a newline.
///
/// # Errors
///
/// When `out` does not take it.
pub fn document(value: &impl Serialize, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, value)?;
    out.write_all(b"\n")
}

/// Writes a document on one line.
///
/// # Errors
///
/// When `out` does not take it.
pub fn line(value: &impl Serialize, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")
}
