//! Every map, and the settings that the user side fills in before loading.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, Queue},
};
use zctrace_common::{
    Counters, DEVICE_LEN, Early, Label, Lender, Lent, Loss, Notified, Offsets, OnRoute, Place,
    Proc, REQUEST_SLOTS, Request, RequestCounts, RowKey, Sender, Settings, Sizes, TASK_SLOTS, Task,
};

use crate::base::abi::BPF_F_NO_PREALLOC;

/// Threads of the target, by the low bits of their ids: see `book/target.rs`.
#[map]
pub(crate) static TASK_TABLE: Array<Task> = Array::with_max_entries(TASK_SLOTS, 0);

/// Not 0 for a slot of [`TASK_TABLE`] if some of its threads are in [`TASKS`].
#[map]
pub(crate) static TASK_OVERFLOW: Array<u32> = Array::with_max_entries(TASK_SLOTS, 0);

/// Threads of the target whose slot is taken, by thread id. The user side overrides the sizes of
/// this map and the following ones.
///
/// Records are allocated when threads need them, because there may be as many as `threads-max` allows, about 600 bytes
/// each. Where the kernel has no memory at that moment, the thread is counted as lost.
#[map]
pub(crate) static TASKS: HashMap<u32, Task> = HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Slot in [`PROCS`] of a process that has rows, by thread group id.
#[map]
pub(crate) static PROC_SLOTS: HashMap<u32, u32> = HashMap::with_max_entries(4096, 0);

/// The processes that have rows.
#[map]
pub(crate) static PROCS: Array<Proc> = Array::with_max_entries(4096, 0);

/// Slot in [`ROWS`] of a row.
#[map]
pub(crate) static ROW_SLOTS: HashMap<RowKey, u32> = HashMap::with_max_entries(4096, 0);

/// The counters of the rows, a copy for each CPU.
#[map]
pub(crate) static ROWS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(4096, 0);

/// How many operations of a row have failed with an errno, by [`zctrace_common::errno_key`].
#[map]
pub(crate) static ERRNOS: HashMap<u64, u64> = HashMap::with_max_entries(8192, BPF_F_NO_PREALLOC);

/// The sizes of the operations of a row, by slot in [`ROWS`]; only one entry if nobody asks for sizes.
#[map]
pub(crate) static SIZES: Array<Sizes> = Array::with_max_entries(1, 0);

/// A network device that the sends of a row met, by slot in [`ROWS`].
#[map]
pub(crate) static DEVICES: Array<[u8; DEVICE_LEN]> = Array::with_max_entries(4096, 0);

/// What on the route of a row's sends may copy, by slot in [`ROWS`].
#[map]
pub(crate) static OBSTACLES: Array<OnRoute> = Array::with_max_entries(4096, 0);

/// Bytes that a process has sent by reference and that are not released yet, by slot in [`PROCS`].
#[map]
pub(crate) static PENDING: Array<u64> = Array::with_max_entries(4096, 0);

/// Pages that are still referenced, by the address of their `struct ubuf_info`.
#[map]
pub(crate) static LENT: HashMap<u64, Lent> = HashMap::with_max_entries(65536, BPF_F_NO_PREALLOC);

/// How long the zero-copy sends of a row waited for their notification, by slot in [`ROWS`]. Few rows have such sends,
/// and a record takes 1.7 KB.
#[map]
pub(crate) static NOTIFIED: HashMap<u32, Notified> =
    HashMap::with_max_entries(4096, BPF_F_NO_PREALLOC);

/// Sockets with zero-copy sends, by the address of their `struct sock`.
#[map]
pub(crate) static SENDERS: HashMap<u64, Sender> =
    HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Sockets that send pages of files and pipes, by the address of their `struct sock`. The map evicts idle ones.
#[map]
pub(crate) static LENDERS: LruHashMap<u64, Lender> = LruHashMap::with_max_entries(16384, 0);

/// Bytes that were copied from the packets of other sockets: the first such send of a socket has not ended yet, or the
/// socket is not the target's.
#[map]
pub(crate) static EARLY: LruHashMap<u64, Early> = LruHashMap::with_max_entries(4096, 0);

/// Bytes that were copied at each [`Place`], from packets without an owner.
#[map]
pub(crate) static LATE: Array<u64> = Array::with_max_entries(Place::COUNT, 0);

/// Unused slots of [`PROCS`]: filled by the user side, which also returns those of ended processes.
#[map]
pub(crate) static FREE_PROCS: Queue<u32> = Queue::with_max_entries(4096, 0);

/// Unused slots of [`ROWS`].
#[map]
pub(crate) static FREE_ROWS: Queue<u32> = Queue::with_max_entries(4096, 0);

/// Open requests: see `book/request.rs`.
#[map]
pub(crate) static REQUESTS: Array<Request> = Array::with_max_entries(REQUEST_SLOTS, 0);

/// How many requests each process of [`PROCS`] that has some has submitted, and how they were issued: few processes
/// have any, and a record takes 864 bytes.
#[map]
pub(crate) static REQUEST_COUNTS: HashMap<u32, RequestCounts> =
    HashMap::with_max_entries(4096, BPF_F_NO_PREALLOC);

/// Address of a request that completes more than once, by its ring and what the application calls
/// it (tracepoints backend only).
#[map]
pub(crate) static REQUEST_INDEX: HashMap<[u64; 2], u64> = HashMap::with_max_entries(4096, 0);

/// The maximum number of completions that interrupt one another.
pub(crate) const SCRATCH_RECORDS: u32 = 8;

/// The records in which completions of requests are settled: see `book/request.rs`.
#[map]
pub(crate) static SCRATCH: PerCpuArray<Task> = PerCpuArray::with_max_entries(SCRATCH_RECORDS, 0);

/// Names of filesystem types, by packed object.
#[map]
pub(crate) static FS_NAMES: HashMap<u64, [u8; 16]> = HashMap::with_max_entries(256, 0);

/// What the values of the `--by` dimension stand for.
#[map]
pub(crate) static LABELS: HashMap<u64, Label> = HashMap::with_max_entries(4096, 0);

/// What was lost.
#[map]
pub(crate) static LOSS: Array<Loss> = Array::with_max_entries(1, 0);

/// Operations that the tracepoints backend reports, a bit for each `Op`: known only after the
/// functions have been tried.
#[map]
static BY_SYSCALL: Array<u64> = Array::with_max_entries(1, 0);

/// Whether the bit of an `Op`, or another one ([`zctrace_common::FOLLOWS_AIO`] and those beside it), is set there.
#[inline(always)]
pub(crate) fn reports(bit: u16) -> bool {
    // SAFETY: a map value that the user side has set before any program was attached.
    BY_SYSCALL
        .get_ptr(0)
        .is_some_and(|ops| unsafe { *ops } >> (bit & 63) & 1 != 0)
}

/// Not 0 while the site that tells how many pages a fault mapped is attached.
#[map]
pub(crate) static PAGES_ARE_COUNTED: Array<u32> = Array::with_max_entries(1, 0);

/// Offsets in kernel structures, from the running kernel's BTF.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets::NONE;

/// What to trace.
#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings::DEFAULT;

/// Reads a field of [`Offsets`]. Volatile: the compiler must not assume the initial value.
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: a valid static; the map behind it is frozen.
        unsafe { ::core::ptr::read_volatile(&raw const (*$crate::base::maps::offsets()).$field) }
    };
}
pub(crate) use offset;

/// How often sites have seen something, while breakpoints are set: what tells a breakpoint that is met again from one
/// of another call.
#[cfg(bpf_target_arch = "aarch64")]
#[map]
pub(crate) static SIGHTINGS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Reads a field of [`Settings`].
macro_rules! setting {
    ($field:ident) => {
        // SAFETY: a valid static; the map behind it is frozen.
        unsafe { ::core::ptr::read_volatile(&raw const (*$crate::base::maps::settings()).$field) }
    };
}
pub(crate) use setting;

#[inline(always)]
pub(crate) fn offsets() -> *const Offsets {
    &raw const OFFSETS
}

#[inline(always)]
pub(crate) fn settings() -> *const Settings {
    &raw const SETTINGS
}
