//! Regions of a test, which a command marks by lines on a descriptor: see `zctrace-ebpf/src/book/region.rs`.

/// Longest name of a region.
pub const REGION_NAME: usize = 188;

/// How many regions there can be. One name within two other regions is two of them.
pub const REGIONS: u32 = 4096;

/// How many regions can be within one another.
pub const REGION_DEPTH: usize = 8;

/// How many threads and processes can be in a region at a time, and how many times regions can have been begun and not
/// ended.
pub const REGIONS_OPEN: u32 = 16_384;

/// The value of the `--by` dimension for the write of a marker itself, which is in no row.
pub const IN_MARKER: u64 = u32::MAX as u64;

/// The value of the `--by` dimension for the work of io_uring's own threads, of which nobody knows for which region they
/// do it.
pub const OF_WORKERS: u64 = IN_MARKER - 1;

/// What a region is found by.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionKey {
    /// [`Region::number`] of the region that it is within, 0 without one.
    pub parent: u32,
    /// Its name, ended by zeros.
    pub name: [u8; REGION_NAME],
}

/// A region.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// From 1 on.
    pub number: u64,
    /// How many times it was begun.
    pub begun: u64,
    /// How many times it was ended by a marker. The others ended with their thread or process.
    pub ended: u64,
}

/// The regions that a thread or process is in, the outermost first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionStack {
    /// How many there are.
    pub depth: u32,
    /// How many of them another one has begun: it was a parent, or started this thread.
    pub inherited: u32,
    /// Not 0 while the thread writes a marker.
    pub marking: u32,
    /// [`RegionStack::time`] of the process's region that the outermost one is within, 0 without one.
    pub within: u32,
    /// [`Region::number`].
    pub number: [u32; REGION_DEPTH],
    /// The region that it is within, as in [`RegionKey`].
    pub parent: [u32; REGION_DEPTH],
    /// Which time that it was begun, over all regions and from 1 on. A region that others are in too ends for all of
    /// them.
    pub time: [u32; REGION_DEPTH],
}

/// What was seen of markers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionCounts {
    /// The last [`Region::number`] that was given away.
    pub numbers: u64,
    /// How many times regions were begun.
    pub times: u64,
    /// Writes that are no marker.
    pub malformed: u64,
    /// Ends of a region that is not the innermost one of the thread or process.
    pub mismatched: u64,
    /// Beginnings of a region for which there was no room: see [`REGIONS`] and [`REGION_DEPTH`].
    pub refused: u64,
    /// Ends of a region after the region that it is within: what came between is in both.
    pub outlived: u64,
}

const _: () = {
    assert!(size_of::<RegionKey>() == 192);
    assert!(size_of::<Region>() == 24);
    assert!(size_of::<RegionStack>() == 16 + 3 * 4 * REGION_DEPTH);
    assert!(size_of::<RegionCounts>() == 48);
};
