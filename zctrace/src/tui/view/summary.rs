//! The totals in words.

use crate::{
    text::bytes::{bytes, duration},
    tui::moment::Moment,
};

/// The totals in words: how many copies each byte took, and of how many bytes.
pub(super) fn summary(moment: &Moment) -> [(&'static str, String); 5] {
    let (now, session) = (&moment.last.totals, &moment.total);
    [
        ("copies/byte now", now.per_carried_byte().to_string()),
        ("copies/byte", session.per_carried_byte().to_string()),
        ("moved", bytes(session.moved)),
        ("copied", bytes(session.copies())),
        ("since", duration(moment.at.saturating_sub(moment.base_at))),
    ]
}
