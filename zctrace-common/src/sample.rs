//! Samples of where processors are: in the kernel's copy routines, elsewhere in the kernel, in user space.

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

/// Samples of a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuSamples {
    /// In the kernel, those in its copy routines among them.
    pub kernel: u64,
    /// In user space.
    pub user: u64,
}

/// An address of user space at which a process was sampled.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserAddress {
    /// The address.
    pub address: u64,
    /// Index into the table of processes.
    pub proc_slot: u32,
    /// Not used.
    pub padding: u32,
}

const _: () = assert!(size_of::<CpuSamples>() == 16);
const _: () = assert!(size_of::<UserAddress>() == 16);
const _: () = assert!(size_of::<CopyRoutines>() == 16 * COPY_ROUTINES);
