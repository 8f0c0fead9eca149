//! The table as the page docs/errors.md shows it.

use std::fmt::Write as _;

use nix::errno::Errno as Known;

use super::ALL;
use crate::{ledger::Errno, text::generated::replaced};

/// What stands before the generated part of the page.
pub const BEGIN: &str = "<!-- The errors: written by `cargo xtask docs`. -->\n";
/// What stands after it.
pub const END: &str = "<!-- End of the errors. -->\n";

/// Other names of the same numbers.
const ALIASES: [(&str, &str); 2] = [("EAGAIN", "EWOULDBLOCK"), ("EOPNOTSUPP", "ENOTSUP")];

/// The generated part: a section for each errno, with every call that can fail with it.
#[must_use]
pub fn generated() -> String {
    let mut errnos: Vec<Errno> = Vec::new();
    for refusal in ALL {
        if !errnos.contains(&refusal.errno()) {
            errnos.push(refusal.errno());
        }
    }
    let mut text = String::from("\n## Errors of calls\n");
    for errno in errnos {
        let _ = write!(text, "\n### `{errno}`");
        let name = errno.to_string();
        for (_, other) in ALIASES.iter().filter(|(known, _)| *known == name) {
            let _ = write!(text, ", `{other}`");
        }
        let number = i32::try_from(errno.number()).unwrap_or(0);
        let says = Known::from_raw(number).desc();
        let _ = write!(text, "\n\n{says}. What that means depends on the call.\n");
        for refusal in ALL.iter().filter(|refusal| refusal.errno() == errno) {
            let _ = write!(
                text,
                "\n*{}*: {}. Remedy: {}.\n",
                refusal.call, refusal.means, refusal.helps
            );
        }
    }
    text.push('\n');
    text
}

/// The page with its generated part replaced by the current one; `None` if the markers are missing.
#[must_use]
pub fn refreshed(page: &str) -> Option<String> {
    replaced(page, BEGIN, END, &generated())
}
