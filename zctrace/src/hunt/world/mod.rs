//! Does drawn operations. Whatever the kernel answers is fine: both backends watch the same call.

mod act;
mod arrival;
mod calls;
mod connections;
mod ends;
mod files;
mod ring;
mod things;
mod transfer;

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use nix::libc;

use super::operation::{Act, Make, Operation, Place, Split, Thing};
use crate::workload::stage::{buffer::fill, mapping::Mapping};
use ends::Ends;

/// Where files are made: a directory for each place that is there.
pub type Places = Vec<(Place, PathBuf)>;

/// More than any operation asks for.
const ROOM: usize = 128 * 1024;

/// The most vectors that a buffer is cut into.
const MOST_PIECES: usize = 8;

/// The answer of a request that would have had to wait, or that the ring did not take.
const NOT_MADE: i64 = i64::MIN;

/// What one process has at hand.
pub struct World<'a> {
    places: &'a Places,
    private: Mapping,
    shared: Mapping,
}

impl<'a> World<'a> {
    /// A world of these places.
    pub fn new(places: &'a Places) -> Result<Self> {
        let shared = nix::sys::mman::MapFlags::MAP_SHARED | nix::sys::mman::MapFlags::MAP_POPULATE;
        let mut world = Self {
            places,
            private: Mapping::present(2 * ROOM)?,
            shared: Mapping::anonymous(2 * ROOM, shared)?,
        };
        for mapping in [&mut world.private, &mut world.shared] {
            // SAFETY: our own mapping, of this length, to which nothing refers.
            fill(unsafe { std::slice::from_raw_parts_mut(mapping.address(), 2 * ROOM) });
        }
        Ok(world)
    }

    fn buffer(&self, operation: &Operation) -> *mut u8 {
        let mapping = if operation.shared {
            &self.shared
        } else {
            &self.private
        };
        mapping.address().wrapping_add(operation.shift)
    }

    fn directory(&self, place: Place) -> Result<&PathBuf> {
        let found = self.places.iter().find(|(known, _)| *known == place);
        Ok(&found.context("a place that is not there")?.1)
    }

    fn file(&self, place: Place, make: Make) -> Result<Ends> {
        let pattern = self.private.address().cast_const().cast();
        files::file(self.directory(place)?, place, make, pattern)
    }

    /// The buffer as vectors, and how many.
    fn pieces(&self, operation: &Operation) -> ([libc::iovec; MOST_PIECES], usize) {
        let (base, length) = (self.buffer(operation), operation.length);
        let half = length / 2;
        let seventh = length / 7;
        let lengths: &[usize] = match operation.split {
            Split::None => &[],
            Split::One => &[length],
            Split::Halves => &[half, length - half],
            Split::Empties => &[0, half, 0, length - half, 0],
            Split::Many => &[
                1.min(length),
                0,
                seventh,
                seventh,
                seventh,
                0,
                seventh,
                (length - 4 * seventh).saturating_sub(1),
            ],
        };
        let mut pieces = [libc::iovec {
            iov_base: base.cast(),
            iov_len: 0,
        }; MOST_PIECES];
        let mut at = base;
        for (piece, &length) in pieces.iter_mut().zip(lengths) {
            *piece = libc::iovec {
                iov_base: at.cast(),
                iov_len: length,
            };
            at = at.wrapping_add(length);
        }
        (pieces, lengths.len())
    }
}

/// The things of a list that this machine has.
pub fn available(places: &Places, things: &[Thing]) -> Result<Vec<Thing>> {
    let world = World::new(places)?;
    let operation = Operation {
        act: Act::Receive,
        make: Make {
            bytes: 1,
            holes: false,
            flags: 0,
        },
        length: 1,
        split: Split::One,
        shift: 0,
        shared: false,
        zerocopy: false,
    };
    let there: Vec<_> = things
        .iter()
        .copied()
        .filter(|thing| world.make(*thing, &operation).is_ok())
        .collect();
    ensure!(
        there.iter().any(|thing| thing.is_socket()),
        "there are no sockets"
    );
    Ok(there)
}
