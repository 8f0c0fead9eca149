//! Page faults where functions cannot be traced. The kernel says that a fault asked the page cache of a file, and that a
//! write met a page which it could not write to, or none. How many pages became visible, and whether one was copied, it
//! does not say. So these rows count faults, and no bytes.
//!
//! [`Task::fault`] holds what is known of a thread's faults: nothing in its first word, whose bits `site/fault.rs` gives a
//! meaning, the last one that asked, the last one with a tracepoint ([`Noted`]), and how many had one.
//! [`Task::fault_filled`] holds how many had none at the entry of the thread's call.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_find_vma, bpf_get_current_task_btf};
use zctrace_common::{ABSENT, COUNTS_FAULTS, Op, Task};

use crate::{
    base::{
        global::global,
        kernel::{self, Access as _, Probed, Typed},
        maps::{offset, reports},
        syscalls,
    },
    book::{
        object::{self, Ends},
        probe::program,
        row, target,
    },
    tracepoint::{memory::user, plan::PINS},
};

program! {
    /// Pages around the address of a fault became visible.
    tp_btf marked mm_filemap_map_pages(ctx) in task {
        asked(task, ctx.arg(0));
    }
}

program! {
    /// A fault asks for one page, after the pages around it or alone.
    tp_btf marked mm_filemap_fault(ctx) in task {
        asked(task, ctx.arg(0));
    }
}

/// The current fault asked the page cache of a file for pages. One fault can ask several times; the kernel counts it
/// when it ends (`mm_account_fault`), and a fault that it tries again only once.
#[inline(always)]
fn asked(task: &mut Task, mapping: *const u8) {
    if task.flags & Task::KTHREAD != 0 {
        return;
    }
    let number = next_number();
    if task.fault[1] == number {
        return;
    }
    task.fault[1] = number;
    let inode = kernel::pointer::<Typed>(mapping, offset!(mapping_host));
    let ends = Ends::inode(task, inode);
    row::record_occurrences(task, Op::FaultMap as u16, &ends, 1);
    // A call that has the kernel make pages present counts them itself, or only reads.
    let is_counted = task.flags & Task::ENTERED != 0 && task.entry[2] & PINS != 0
        || matches!(kernel::current_nr(), syscalls::MMAP | syscalls::MADVISE);
    if reports(COUNTS_FAULTS as u16) && !is_counted && !Noted::is(task, number) {
        // What the kernel wants them for is not known.
        let ends = Ends::inode(task, inode);
        row::record_occurrences(task, Op::FaultWrite as u16, &ends, 1);
    }
}

/// The page faults of the current thread so far, in calls of it too (`mm_account_fault`).
#[inline(always)]
fn counted() -> u64 {
    let current = kernel::current_task();
    let small: u64 = Typed::load(current, offset!(task_min_flt));
    small.wrapping_add(Typed::load(current, offset!(task_maj_flt)))
}

/// The number of the fault that is under way.
#[inline(always)]
fn next_number() -> u64 {
    counted().wrapping_add(1)
}

/// How many faults the thread has had that no access of its own raised: the kernel wanted its pages, or those of another
/// process (`faultin_page`).
#[inline(always)]
pub(super) fn without_access(task: &Task) -> u64 {
    counted().wrapping_sub(task.fault[3])
}

/// How many of them came after there were `before`. Fewer than none: an access failed, and the kernel counted nothing.
#[inline(always)]
pub(super) fn without_access_since(task: &Task, before: u64) -> u64 {
    let faults = without_access(task).wrapping_sub(before);
    if faults >> 63 == 0 { faults } else { 0 }
}

/// Each of so many faults may have copied its page.
#[inline(always)]
pub(super) fn may_have_copied(task: &mut Task, faults: u64) {
    let ends = Ends::of(object::UNKNOWN);
    row::record_occurrences(task, Op::FaultWrite as u16, &ends, faults);
}

/// The last fault that an access raised, by its number.
struct Noted;

impl Noted {
    #[inline(always)]
    fn note(task: &mut Task) {
        task.fault[2] = next_number();
        task.fault[3] += 1;
    }

    /// Takes it back: nothing is known of it.
    #[inline(always)]
    fn forget(task: &mut Task) {
        task.fault[2] = 0;
    }

    #[inline(always)]
    fn is(task: &Task, number: u64) -> bool {
        task.fault[2] == number
    }
}

macro_rules! write_faults {
    ($($name:ident)+) => {
        $(program! {
            /// A fault, of which most are for memory that has no page yet.
            tp_btf marked $name(ctx) {
                let code: u64 = ctx.arg(2);
                let address: u64 = ctx.arg(0);
                // The kernel counts no fault that it does not handle: of its own memory, or where it must not wait.
                if address >> 63 != 0 || must_not_wait() {
                    return 0;
                }
                if !is_write_to_present(code) {
                    // SAFETY: nothing else in this program refers to the thread's record.
                    let Some(task) = (unsafe { target::current() }) else { return 0 };
                    Noted::note(task);
                    if is_write(code) {
                        let mapping = mapping(address);
                        if mapping.kind == PRIVATE_FILE {
                            // Who changes the mappings now can have closed the file: then its name is another one.
                            let ends = Ends::file::<Probed>(task, mapping.file as *const u8);
                            row::record_occurrences(task, Op::FaultWrite as u16, &ends, 1);
                        } else if mapping.kind == NOT_FOUND_OUT {
                            // If it asks for a page of a file, it counts after all.
                            Noted::forget(task);
                        }
                    }
                    return 0;
                }
                // SAFETY: as above: that reference has ended.
                let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
                Noted::note(task);
                may_have_copied(task, 1);
            }
        })+
    };
}

write_faults! { page_fault_user page_fault_kernel }

/// Whether the current thread may not wait for a page (`pagefault_disable`). Then it can be another program's helper that
/// reads memory of the process, while that program refers to the thread's record.
#[inline(always)]
fn must_not_wait() -> bool {
    offset!(task_faults_off) != ABSENT
        && Typed::load::<u32>(kernel::current_task(), offset!(task_faults_off)) != 0
}

global! {
    /// Whether the kernel makes pages present for the current call that a process can write to, and may have to copy
    /// them for that: those of a private mapping of a file, and anonymous ones, which a fork can have made common.
    pub(crate) fn call_populates(nr: i32) -> u32 {
        use syscalls::{
            IO_URING_REGISTER, MADVISE, MLOCK, MLOCK2, MLOCKALL, MMAP, MPROTECT, MREMAP, PKEY_MPROTECT, PROCESS_MADVISE,
            PTRACE,
        };
        const PROT_WRITE: u64 = 2;
        const MAP_PRIVATE: u64 = 2;
        const MAP_ANONYMOUS: u64 = 0x20;
        const MADV_POPULATE_WRITE: u64 = 23;
        const POKES: [u64; 2] = [4, 5];
        let is_one = matches!(
            nr,
            IO_URING_REGISTER | MADVISE | MLOCK | MLOCK2 | MLOCKALL | MMAP | MPROTECT | MREMAP | PKEY_MPROTECT
                | PROCESS_MADVISE | PTRACE
        );
        // Most calls of the machine end here.
        if !is_one {
            return 0;
        }
        let regs = kernel::current_regs();
        let argument = |index| kernel::call_argument(regs, index);
        let populates = match nr {
            // With `MAP_POPULATE`, `MAP_LOCKED`, or after `mlockall`.
            MMAP => argument(2) & PROT_WRITE != 0 && argument(3) & (MAP_PRIVATE | MAP_ANONYMOUS) == MAP_PRIVATE,
            MADVISE if argument(2) as u32 != MADV_POPULATE_WRITE as u32 => false,
            MADVISE | MLOCK | MLOCK2 => {
                target::is_current() && may_copy(argument(0), argument(0).wrapping_add(argument(1)))
            }
            // Of locked memory.
            MPROTECT | PKEY_MPROTECT => {
                argument(2) & PROT_WRITE != 0
                    && target::current_record().is_some()
                    && may_copy(argument(0), argument(0).wrapping_add(argument(1)))
            }
            MREMAP => target::current_record().is_some(),
            MLOCKALL => true,
            PROCESS_MADVISE => argument(3) as u32 == MADV_POPULATE_WRITE as u32,
            IO_URING_REGISTER => {
                target::is_current() && may_copy_buffers(argument(1) as u32, argument(2), argument(3))
            }
            // Of another process.
            PTRACE => POKES.contains(&argument(0)),
            _ => false,
        };
        u32::from(populates)
    }
}

/// Whether writing to all pages from `begin` to `end` may copy some.
#[inline(always)]
fn may_copy(begin: u64, end: u64) -> bool {
    let mapping = mapping(begin);
    !(matches!(mapping.kind, COPIES_NOTHING | FRESH_MEMORY) && end <= mapping.end)
}

/// The same of what a request of `io_uring_register` makes present. Buffers are often memory that nobody used before: of
/// several, the first and the last tell.
#[inline(always)]
fn may_copy_buffers(request: u32, vectors: u64, number: u64) -> bool {
    const REGISTER_BUFFERS: u32 = 0;
    /// Size of a `struct iovec`.
    const SIZE: u64 = 16;
    // The uppermost bit says that the ring is registered.
    if request & !(1 << 31) != REGISTER_BUFFERS {
        return true;
    }
    let last = vectors.wrapping_add((u64::from(number as u32).wrapping_sub(1)).wrapping_mul(SIZE));
    let end = user(last).wrapping_add(user(last + 8));
    may_copy(user(vectors), end)
}

/// A shared mapping, or none.
const COPIES_NOTHING: u64 = 0;
/// The first write to a page of it copies the page (`do_cow_fault`).
const PRIVATE_FILE: u64 = 1;
/// Anonymous memory in which nothing was written yet: its pages are filled with zeros.
const FRESH_MEMORY: u64 = 2;
const USED_MEMORY: u64 = 3;
/// Somebody changes the mappings, or the kernel cannot wait for its lock here (`PREEMPT_RT`).
const NOT_FOUND_OUT: u64 = 4;

struct Mapping {
    kind: u64,
    /// Any pointer.
    file: u64,
    /// Where it ends.
    end: u64,
}

/// What the mapping at an address of the current process is.
#[inline(always)]
fn mapping(address: u64) -> Mapping {
    const EBUSY: i64 = 16;
    let mut found = Mapping {
        kind: COPIES_NOTHING,
        file: 0,
        end: 0,
    };
    // SAFETY: the callback takes what the helper gives it, and a structure that outlives the call.
    let result = unsafe {
        bpf_find_vma(
            bpf_get_current_task_btf(),
            address,
            look_at_mapping as *mut c_void,
            (&raw mut found).cast(),
            0,
        )
    };
    if result == -EBUSY {
        found.kind = NOT_FOUND_OUT;
    }
    found
}

/// The callback of `bpf_find_vma`.
unsafe extern "C" fn look_at_mapping(
    _task: *const c_void,
    mapping: *const u8,
    found: *mut Mapping,
) -> i64 {
    const VM_SHARED: u64 = 8;
    let flags: u64 = Typed::load(mapping, offset!(vma_flags));
    let file: u64 = Typed::load(mapping, offset!(vma_file));
    let written: u64 = Typed::load(mapping, offset!(vma_anon));
    let is = if flags & VM_SHARED != 0 {
        COPIES_NOTHING
    } else if file != 0 {
        PRIVATE_FILE
    } else if written == 0 {
        FRESH_MEMORY
    } else {
        USED_MEMORY
    };
    let end: u64 = Typed::load(mapping, offset!(vma_end));
    // SAFETY: it is the caller's.
    unsafe {
        *found = Mapping {
            kind: is,
            file,
            end,
        }
    };
    0
}

/// Whether a fault is a write, by the code that the processor gave (`X86_PF_WRITE`).
#[cfg(not(bpf_target_arch = "aarch64"))]
#[inline(always)]
const fn is_write(code: u64) -> bool {
    code & 2 != 0
}

/// The same of a syndrome register (`ESR_ELx_WNR`).
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
const fn is_write(code: u64) -> bool {
    code & 1 << 6 != 0
}

/// Whether it is one to a page that is present (`X86_PF_PROT | X86_PF_WRITE`).
#[cfg(not(bpf_target_arch = "aarch64"))]
#[inline(always)]
const fn is_write_to_present(code: u64) -> bool {
    const PRESENT_AND_WRITE: u64 = 3;
    code & PRESENT_AND_WRITE == PRESENT_AND_WRITE
}

/// The same of a syndrome register: a permission fault (`ESR_ELx_FSC_PERM`) of a write.
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
const fn is_write_to_present(code: u64) -> bool {
    code & 0x3c == 0x0c && is_write(code)
}
