//! Samples of processors in the kernel's copy routines.

/// The maximum number of routines that a sample is compared with.
pub const COPY_ROUTINES: usize = 24;

/// Nanoseconds between the samples of a processor: about two hundred a second, but never in step with a timer of
/// exactly that rate.
pub const SAMPLE_PERIOD: u64 = 4_999_999;

/// The code of one routine: addresses from `start` up to `end`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeRange {
    /// The first address.
    pub start: u64,
    /// The first address after it.
    pub end: u64,
}

/// The kernel's copy routines; unused entries are empty.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyRoutines(pub [CodeRange; COPY_ROUTINES]);

impl CopyRoutines {
    /// None is known.
    pub const NONE: Self = Self([CodeRange { start: 0, end: 0 }; COPY_ROUTINES]);
}

const _: () = assert!(size_of::<CopyRoutines>() == 16 * COPY_ROUTINES);
