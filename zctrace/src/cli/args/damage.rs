//! The warning about incomplete recordings.

use crate::{recording::Recording, text::message::say};

/// Warns that a recording is incomplete.
pub(crate) fn warn_of(recording: &Recording) {
    if let Some(damage) = recording.damage() {
        say(&format!(
            "warning: {}: {damage}; this is what was recorded before it",
            recording.path().display()
        ));
    }
}
