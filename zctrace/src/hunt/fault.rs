//! Pages that come to be where a userfaultfd looks for them.

use anyhow::Result;

use super::operation::Fill;
use crate::workload::{
    stage::mapping::{Mapping, page_size},
    traffic::uffd::{COPY, FEATURE_MOVE, MISSING, MOVE, Uffd, ZEROPAGE},
};

/// Fills some pages, then as many and one more from the page before: that request goes as far as the
/// first page that is there.
pub(super) fn fill(kind: Fill, pages: usize) -> Result<()> {
    let source = Mapping::present((pages + 1) * page_size())?;
    let target = Mapping::absent(pages + 1)?;
    let features = match kind {
        Fill::Move => FEATURE_MOVE,
        Fill::Copy | Fill::Zero => 0,
    };
    let uffd = Uffd::over(&target, MISSING, features)?;
    for (first, pages) in [(1, pages), (0, pages + 1)] {
        let to = target.address().wrapping_add(first * page_size());
        let from = source.address().wrapping_add(first * page_size());
        let length = pages * page_size();
        // Whatever the kernel answers is fine.
        let _ = match kind {
            Fill::Copy => uffd.transfer(COPY, to, from, length),
            Fill::Move => uffd.transfer(MOVE, to, from, length),
            Fill::Zero => uffd.place(ZEROPAGE, to, length),
        };
    }
    Ok(())
}
