//! What breakpoints on the kernel's copy routines count.

/// Execution breakpoints that a CPU has on every supported architecture.
pub const AUDIT_SLOTS: usize = 4;

/// Where a copy routine has its arguments.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditRoutine {
    /// Which argument, from 0, is the number of requested bytes.
    pub bytes: u32,
    /// Which argument is the iterator; [`AuditRoutine::NO_ITERATOR`] without one.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuditKey {
    /// Index of the breakpoint.
    pub slot: u16,
    /// The iterator stands for kernel memory, so nothing crossed the user boundary.
    pub kernel_memory: bool,
    /// The number of the system call; -1 for a page fault, or [`AuditKey::KERNEL_THREAD`].
    pub nr: i32,
}

impl AuditKey {
    /// [`AuditKey::nr`] of work that no system call waits for.
    pub const KERNEL_THREAD: i32 = -2;
    /// System call numbers that are distinguished. All numbers from here on count as one.
    pub const CALLS: u32 = 510;
    /// How many keys there are.
    pub const COUNT: u32 = (AUDIT_SLOTS as u32) << 10;

    /// The key's place in an array. It is not a hash map, because inserting takes locks, which can fail in a debug
    /// exception.
    #[must_use]
    pub const fn index(self) -> u32 {
        let nr = (self.nr.wrapping_add(2)) as u32;
        let nr = if nr > Self::CALLS + 1 {
            Self::CALLS + 1
        } else {
            nr
        };
        (self.slot as u32) << 10 | (self.kernel_memory as u32) << 9 | nr
    }

    /// The key of a place.
    #[must_use]
    pub const fn from_index(index: u32) -> Self {
        Self {
            slot: (index >> 10) as u16,
            kernel_memory: index & 1 << 9 != 0,
            nr: (index & 0x1ff) as i32 - 2,
        }
    }
}

/// What a routine was called for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditCount {
    /// Calls.
    pub hits: u64,
    /// The requested bytes, or what the iterator had left if that is less.
    pub bytes: u64,
}

/// What a breakpoint counted on one processor, and what was missed of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditMissed {
    /// Runs of its program.
    pub runs: u64,
    /// Hits without one, up to the last run.
    pub hits: u64,
}

impl AuditMissed {
    /// [`Self::hits`] where the kernel does not tell its count.
    pub const UNKNOWN: u64 = u64::MAX;
}

const _: () = {
    assert!(size_of::<AuditRoutines>() == 8 * AUDIT_SLOTS);
    assert!(AuditKey::CALLS + 2 == 1 << 9);
    let key = AuditKey {
        slot: 3,
        kernel_memory: true,
        nr: 435,
    };
    let back = AuditKey::from_index(key.index());
    assert!(back.slot == 3 && back.kernel_memory && back.nr == 435);
    assert!(key.index() < AuditKey::COUNT);
    assert!(size_of::<AuditCount>() == 16);
    assert!(size_of::<AuditMissed>() == 16);
};
