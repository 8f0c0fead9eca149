//! Where a process has the code of a file.

use std::ops::Range;

use crate::kernel::page_size;

/// A part of a file that is loaded and has code.
#[derive(Debug)]
pub(super) struct Segment {
    /// In the file.
    pub(super) file: Range<u64>,
    /// Where it begins, as the file's own addresses have it.
    pub(super) address: u64,
}

/// The parts of a file that are loaded and have code. Only these are asked for: the last page of one part can be the
/// first page of the next one in the file, at another address.
#[derive(Debug, Default)]
pub(super) struct Segments(Vec<Segment>);

impl Segments {
    /// What must be added to the file's own addresses to get those of a process that has it mapped at `start` from
    /// `offset` on.
    pub(super) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        let page = page_size();
        // A mapping begins at the page in which its segment begins.
        let segment = self.0.iter().find(|segment| {
            let first = segment.file.start & !(page - 1);
            (first..segment.file.end).contains(&offset)
        })?;
        let address = segment
            .address
            .wrapping_add(offset)
            .wrapping_sub(segment.file.start);
        Some(start.wrapping_sub(address))
    }
}

impl FromIterator<Segment> for Segments {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self(segments.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(all: &[(u64, u64, u64)]) -> Segments {
        let segment = |&(start, size, address): &(u64, u64, u64)| Segment {
            file: start..start + size,
            address,
        };
        all.iter().map(segment).collect()
    }

    #[test]
    fn a_mapping_begins_before_its_segment() {
        let page = page_size();
        let segments = segments(&[(9 * page + 0x840, 5 * page, 10 * page + 0x840)]);
        // As linkers lay it out that leave no room in the file between segments.
        let bias = segments.bias(100 * page, 9 * page);
        assert_eq!(bias, Some(90 * page));
        // The second half of a mapping that was split.
        assert_eq!(segments.bias(103 * page, 12 * page), bias);
    }

    #[test]
    fn what_is_not_code_has_no_place() {
        let page = page_size();
        let segments = segments(&[(page, page, page), (4 * page, page, 8 * page)]);
        assert_eq!(segments.bias(0, 0), None);
        assert_eq!(segments.bias(0, 2 * page), None);
        assert_eq!(
            segments.bias(0, 4 * page),
            Some(0_u64.wrapping_sub(8 * page))
        );
    }
}
