//! The kernel's copy routines, and which rows of the ledger they stand behind.

use super::Direction;
use crate::ledger::{End, Object};

/// A routine of `lib/iov_iter.c` and similar ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routine {
    /// Its name in the kernel.
    pub name: &'static str,
    /// Which way it copies.
    pub direction: Direction,
    /// Which argument, from 0, is the number of bytes: where the kernel's BTF does not say.
    pub bytes: u32,
    /// Which one is the iterator. `None`: it copies to or from an address, and the ledger has no
    /// count to hold against it.
    pub iterator: Option<u32>,
}

const fn to_iter(name: &'static str, bytes: u32, iterator: u32) -> Routine {
    Routine {
        name,
        direction: Direction::ToUser,
        bytes,
        iterator: Some(iterator),
    }
}

const fn from_iter(name: &'static str, bytes: u32, iterator: u32) -> Routine {
    Routine {
        direction: Direction::FromUser,
        ..to_iter(name, bytes, iterator)
    }
}

/// The routines that can be watched. `copy_page_to_iter` is not among them: it calls
/// `_copy_to_iter`, and its bytes would count twice.
pub const ROUTINES: &[Routine] = &[
    to_iter("_copy_to_iter", 1, 2),
    from_iter("_copy_from_iter", 1, 2),
    from_iter("copy_folio_from_iter_atomic", 2, 3),
    from_iter("copy_page_from_iter_atomic", 2, 3),
    from_iter("csum_and_copy_from_iter_full", 1, 3),
    from_iter("csum_and_copy_from_iter", 1, 3),
    from_iter("_copy_from_iter_nocache", 1, 2),
    to_iter("csum_and_copy_to_iter", 1, 3),
    to_iter("_copy_mc_to_iter", 1, 2),
    Routine {
        name: "_copy_to_user",
        direction: Direction::ToUser,
        bytes: 2,
        iterator: None,
    },
    Routine {
        name: "_copy_from_user",
        direction: Direction::FromUser,
        bytes: 2,
        iterator: None,
    },
];

/// What is watched unless others are asked for: for each of a processor's four breakpoints the names
/// that the routine has had.
pub const CHOICE: &[&[&str]] = &[
    &["_copy_to_iter"],
    &["_copy_from_iter"],
    &["copy_folio_from_iter_atomic", "copy_page_from_iter_atomic"],
    &["csum_and_copy_from_iter_full", "csum_and_copy_from_iter"],
];

/// The routine of this name.
#[must_use]
pub fn routine(name: &str) -> Option<&'static Routine> {
    ROUTINES.iter().find(|routine| routine.name == name)
}

/// The routines that can have made a row's copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Carriers {
    /// None that can be watched: a plain `memcpy`.
    Nobody,
    /// Into the page cache of a file.
    PageCache,
    /// Into the page cache, and what was read for it.
    BetweenFiles,
    /// Into kernel memory, not the page cache.
    Fetching,
    /// Out of the kernel.
    Giving,
    /// Whatever a kernel thread did.
    Any,
}

impl Carriers {
    /// Those of copies in a direction on an object of the ledger, if it is known.
    pub(super) fn of(direction: Direction, object: Option<&Object>) -> Self {
        let Some([source, sink]) = object.map(Object::ends) else {
            return Self::Any;
        };
        match source {
            // Nobody knows what a call that is not an operation copies from or to.
            End::Syscall(_) => return Self::Any,
            End::Mqueue | End::Msgqueue | End::Userfaultfd => return Self::Nobody,
            _ => {}
        }
        let is_socket = |end: End<'_>| !end.is_stored() && !matches!(end, End::Pipe | End::Unknown);
        match direction {
            // The linear part of a packet goes to a page with memcpy.
            Direction::InKernel if sink == End::Pipe && is_socket(source) => Self::Nobody,
            Direction::InKernel if sink.is_stored() => Self::BetweenFiles,
            Direction::InKernel => Self::Any,
            Direction::ToUser => Self::Giving,
            Direction::FromUser if sink.is_stored() => Self::PageCache,
            Direction::FromUser => Self::Fetching,
        }
    }

    /// Whether the copies are this routine's unless something special was asked for.
    pub(super) fn usually(self, routine: &str) -> bool {
        let is_special = ["csum_", "_copy_mc_", "_copy_from_iter_nocache"]
            .iter()
            .any(|prefix| routine.starts_with(prefix));
        self.include(routine) && !is_special
    }

    /// Whether this routine can have made them.
    pub(super) fn include(self, routine: &str) -> bool {
        const PAGE_CACHE: &[&str] = &["copy_folio_from_iter_atomic", "copy_page_from_iter_atomic"];
        const FETCHING: &[&str] = &[
            "_copy_from_iter",
            "_copy_from_iter_nocache",
            "csum_and_copy_from_iter_full",
            "csum_and_copy_from_iter",
        ];
        const GIVING: &[&str] = &["_copy_to_iter", "_copy_mc_to_iter", "csum_and_copy_to_iter"];
        match self {
            Self::Nobody => false,
            Self::PageCache => PAGE_CACHE.contains(&routine),
            Self::BetweenFiles => PAGE_CACHE.contains(&routine) || GIVING.contains(&routine),
            Self::Fetching => FETCHING.contains(&routine),
            Self::Giving => GIVING.contains(&routine),
            Self::Any => [PAGE_CACHE, FETCHING, GIVING]
                .iter()
                .any(|names| names.contains(&routine)),
        }
    }
}
