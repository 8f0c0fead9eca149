//! What is said of recordings that are not whole.

use crate::{recording::Recording, text::message::say};

/// Says that a recording is not whole.
pub(crate) fn warn_of(recording: &Recording) {
    if let Some(damage) = recording.damage() {
        say(&format!(
            "warning: {}: {damage}; this is what was recorded before it",
            recording.path().display()
        ));
    }
}
