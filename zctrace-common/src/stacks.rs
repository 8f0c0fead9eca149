//! Sampled stacks.

/// What a sampled stack is of.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackKey {
    /// Start of the process, nanoseconds since boot.
    pub start_ns: u64,
    /// Its id in the initial PID namespace.
    pub tgid: u32,
    /// A [`StackKind`].
    pub kind: u32,
    /// Id of the kernel's stack; [`StackKey::NONE`]; or another negative error number.
    pub kernel: i32,
    /// Id of the user's stack, likewise.
    pub user: i32,
}

/// One frame of a user's stack, as the kernel keeps it with `BPF_F_STACK_BUILD_ID` (`struct bpf_stack_build_id`): a place in
/// a file, which means the same in every process and after the process has ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserFrame {
    /// [`UserFrame::IN_FILE`] and its like.
    pub status: i32,
    /// The build id of the file.
    pub build_id: [u8; 20],
    /// Offset in the file, or the address where the file could not be looked at.
    pub at: u64,
}

impl UserFrame {
    /// After the last frame.
    pub const EMPTY: i32 = 0;
    /// A place in a file.
    pub const IN_FILE: i32 = 1;
    /// An address.
    pub const ADDRESS: i32 = 2;
}

/// What is kept of a user's stack to unwind it: the registers with which the thread entered the kernel, and the memory
/// from the stack pointer on.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StackSample {
    /// What the sample is of, and the stacks that the kernel could take.
    pub key: StackKey,
    /// The copied bytes that it stands for.
    pub bytes: u64,
    /// The instruction.
    pub pc: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The frame pointer, if the code keeps one.
    pub fp: u64,
    /// The return address of arm64 (`x30`); 0 on x86-64.
    pub lr: u64,
    /// How much of [`StackSample::memory`] could be read.
    pub length: u64,
    /// What was at the stack pointer and above it.
    pub memory: [u8; StackSample::MEMORY],
}

impl StackSample {
    /// The most that is kept of a stack, in bytes.
    pub const MEMORY: usize = Self::CHUNKS * Self::CHUNK;
    /// The memory is read in pieces that end where a page may end: what follows may not be there.
    pub const CHUNK: usize = 4096;
    /// How many pieces.
    pub const CHUNKS: usize = 4;
}

/// How many frames of a user's stack are kept.
pub const USER_FRAMES: usize = 64;

impl StackKey {
    /// No stack was asked for: not an error number of the kernel.
    pub const NONE: i32 = i32::MIN;
}

/// What kind of copy a stack was sampled at.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StackKind {
    /// From kernel to user memory.
    ToUser = 0,
    /// From user to kernel memory.
    FromUser = 1,
    /// Within the kernel.
    InKernel = 2,
    /// Copy-on-write.
    Cow = 3,
    /// The same four, concluded at the exit of a system call: without a kernel stack.
    ToUserAtExit = Self::AT_EXIT,
    /// See [`StackKind::ToUserAtExit`].
    FromUserAtExit = Self::AT_EXIT | 1,
    /// See [`StackKind::ToUserAtExit`].
    InKernelAtExit = Self::AT_EXIT | 2,
}

impl StackKind {
    /// The bit that marks the exit of a system call.
    pub const AT_EXIT: u32 = 4;

    /// The kind with this number in [`StackKey::kind`].
    #[must_use]
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            0 => Some(Self::ToUser),
            1 => Some(Self::FromUser),
            2 => Some(Self::InKernel),
            3 => Some(Self::Cow),
            _ => None,
        }
    }

    /// The ledger's name for such bytes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ToUser | Self::ToUserAtExit => "copied_to_user",
            Self::FromUser | Self::FromUserAtExit => "copied_from_user",
            Self::InKernel | Self::InKernelAtExit => "copied_in_kernel",
            Self::Cow => "cow",
        }
    }
}

const _: () = {
    assert!(size_of::<StackKey>() == 24);
    assert!(size_of::<UserFrame>() == 32);
    assert!(size_of::<StackSample>() == 72 + StackSample::MEMORY);
};

/// Samples among the first `sum` bytes: one for every `every` bytes, somewhere among them. At their
/// end it would always meet the same call of a server that reads and writes in turn, as much as
/// divides `every`.
#[inline(always)]
#[must_use]
pub fn samples_among(sum: u64, every: u64) -> u64 {
    // Multiples of the golden ratio: their lower digits are spread evenly, whatever the period.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    // Checked, because a division that could panic is no program that the verifier takes.
    let (Some(stretch), Some(place)) = (sum.checked_div(every), sum.checked_rem(every)) else {
        return 0;
    };
    let spread = stretch.wrapping_mul(GOLDEN) >> 16;
    let sampled = spread.checked_rem(every).unwrap_or(0);
    stretch + u64::from(place > sampled)
}
