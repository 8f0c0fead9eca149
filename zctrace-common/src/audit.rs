//! What breakpoints on the kernel's copy routines count.

/// Execution breakpoints that a CPU has on every supported architecture.
pub const AUDIT_SLOTS: usize = 4;

/// Where a copy routine has its arguments.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRoutine {
    /// Which argument, from 0, is the number of bytes asked for.
    pub bytes: u32,
    /// Which one is the iterator; [`AuditRoutine::NO_ITERATOR`] without one.
    pub iterator: u32,
}

impl AuditRoutine {
    /// [`AuditRoutine::iterator`] of a routine that has a user address instead.
    pub const NO_ITERATOR: u32 = u32::MAX;
}

/// The routines behind the breakpoints.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRoutines(pub [AuditRoutine; AUDIT_SLOTS]);

impl AuditRoutines {
    /// No breakpoint.
    pub const NONE: Self = Self(
        [AuditRoutine {
            bytes: 0,
            iterator: AuditRoutine::NO_ITERATOR,
        }; AUDIT_SLOTS],
    );
}

/// Who called which routine, and what memory was at the other end.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuditKey {
    /// Index of the breakpoint.
    pub slot: u16,
    /// Not 0: the iterator stands for kernel memory, so nothing crossed the user boundary.
    pub kernel_memory: u16,
    /// The system call's number; -1 of a page fault, or [`AuditKey::KERNEL_THREAD`].
    pub nr: i32,
}

impl AuditKey {
    /// [`AuditKey::nr`] of work that no system call waits for.
    pub const KERNEL_THREAD: i32 = -2;
}

/// What a routine was called for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditCount {
    /// Calls.
    pub hits: u64,
    /// Bytes: what was asked for, at most what the iterator had left.
    pub bytes: u64,
}

const _: () = {
    assert!(size_of::<AuditRoutines>() == 8 * AUDIT_SLOTS);
    assert!(size_of::<AuditKey>() == 8);
    assert!(size_of::<AuditCount>() == 16);
};
