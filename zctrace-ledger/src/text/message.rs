//! What is said beside a report.

use std::io::{self, Write as _};

use super::escape::printable;

/// Writes lines to standard error, made safe for a terminal and without Rust's `(os error 13)`. Where that cannot be
/// written (`2>/dev/full`) nothing is said, and nothing else changes: `eprintln!` would panic.
pub fn say(text: &str) {
    let lines: String = text
        .lines()
        .map(|line| format!("{}\n", printable(&without_numbers(line))))
        .collect();
    // There is nowhere left to complain.
    let _ = io::stderr().lock().write_all(lines.as_bytes());
}

/// A message without Rust's `(os error 13)`: the words before it say the same.
#[must_use]
pub fn without_numbers(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" (os error ") {
        let after = after.trim_start_matches(|char: char| char.is_ascii_digit());
        kept.push_str(before);
        rest = after.strip_prefix(')').unwrap_or(after);
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_error_is_left_out_wherever_it_stands() {
        assert_eq!(
            without_numbers("refused (os error 1): locked (os error 13), and (so) on"),
            "refused: locked, and (so) on"
        );
        assert_eq!(without_numbers("disk full (os error 28"), "disk full");
    }
}
