//! Page faults where functions cannot be traced. The kernel says that a fault asked the page cache of a file, and that a
//! write met a page which it could not write to. How many pages became visible, and whether one was copied, it does not
//! say. So these rows count faults, and no bytes.

use zctrace_common::{Op, Task};

use crate::{
    base::{
        kernel::{self, Access as _, Typed},
        maps::offset,
    },
    book::{
        object::{self, Ends},
        probe::program,
        row, target,
    },
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
    let current = kernel::current_task();
    let ended = Typed::load::<u64>(current, offset!(task_min_flt))
        .wrapping_add(Typed::load(current, offset!(task_maj_flt)))
        .wrapping_add(1);
    if task.fault[1] == ended {
        return;
    }
    task.fault[1] = ended;
    let inode = kernel::pointer::<Typed>(mapping, offset!(mapping_host));
    let ends = Ends::inode(task, inode);
    row::record_occurrence(task, Op::FaultMap as u16, &ends);
}

macro_rules! write_faults {
    ($($name:ident)+) => {
        $(program! {
            /// A fault, of which most are for memory that has no page yet.
            tp_btf marked $name(ctx) {
                if !is_write_to_present(ctx.arg(2)) {
                    return 0;
                }
                // SAFETY: nothing else in this program refers to the thread's record.
                let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
                row::record_occurrence(task, Op::FaultWrite as u16, &Ends::of(object::UNKNOWN));
            }
        })+
    };
}

write_faults! { page_fault_user page_fault_kernel }

/// Whether a fault is a write to a page that is present, by the code that the processor gave
/// (`X86_PF_PROT | X86_PF_WRITE`).
#[cfg(not(bpf_target_arch = "aarch64"))]
#[inline(always)]
const fn is_write_to_present(code: u64) -> bool {
    const PRESENT_AND_WRITE: u64 = 3;
    code & PRESENT_AND_WRITE == PRESENT_AND_WRITE
}

/// The same of a syndrome register: a permission fault (`ESR_ELx_FSC_PERM`) of a write (`ESR_ELx_WNR`).
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
const fn is_write_to_present(code: u64) -> bool {
    code & 0x3c == 0x0c && code & 1 << 6 != 0
}
