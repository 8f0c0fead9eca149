//! Page faults: file pages made visible, and copy-on-write.
//!
//! `Task::fault[0]` holds the function that the thread is in and what happened there. `Task::fault[1]` holds the number
//! of page table entries set so far.

use zctrace_common::{ABSENT, Class, Counters, Op, Task};

use crate::{
    base::{
        kernel::{self, Access as _, Probed, Typed},
        maps::{PAGES_ARE_COUNTED, offset, setting},
        words,
    },
    book::{
        object::{ANON, Ends},
        probe::program,
        row, target,
    },
};

/// Within `do_wp_page`.
const IN_WRITE_PROTECT: u64 = 1;
/// Within `do_fault`.
const IN_FILE_FAULT: u64 = 2;
/// Within `copy_page_range`, that is, `fork`.
const IN_FORK: u64 = 4;
/// A page was allocated since.
const ALLOCATED: u64 = 8;

/// `VM_FAULT_ERROR | VM_FAULT_RETRY` of include/linux/mm_types.h.
const FAILED: u32 = 0x0001 | 0x0002 | 0x0010 | 0x0020 | 0x0040 | 0x0400 | 0x0800;

#[inline(always)]
pub(crate) fn page_size() -> u64 {
    setting!(page_size)
}

program! {
    fentry marked wp_page_enter(_ctx) in task {
        task.fault[0] = (task.fault[0] & IN_FORK) | IN_WRITE_PROTECT;
    }
}

program! {
    /// `vma_alloc_folio`, from 6.10 `vma_alloc_folio_noprof`: the only sign that `do_wp_page`
    /// copied the page and did not reuse it, and that `fork` copied a pinned one.
    fexit marked vma_alloc_folio(ctx) {
        if crate::book::probe::returned(ctx) == 0 {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
        let state = task.fault[0];
        if state & IN_FORK != 0 {
            let order: u32 = ctx.arg(1);
            copied(task, Op::ForkCow, &Ends::of(ANON), page_size() << (order & 31), 0);
        } else if state & IN_WRITE_PROTECT != 0 {
            task.fault[0] = state | ALLOCATED;
        }
    }
}

program! {
    /// The zero page is not copied: a new page is zeroed. `vmf->page` is null then.
    fexit marked wp_page_exit(ctx) in task {
        let state = task.fault[0];
        task.fault[0] = state & IN_FORK;
        if state & ALLOCATED == 0 || crate::book::probe::returned(ctx) as u32 & FAILED != 0 {
            return 0;
        }
        let vmf: *const u8 = ctx.arg(0);
        let page = kernel::pointer::<Typed>(vmf, offset!(vmf_page));
        if page.is_null() {
            return 0;
        }
        let vma = kernel::pointer::<Typed>(vmf, offset!(vmf_vma));
        let file = kernel::pointer::<Typed>(vma, offset!(vma_file));
        let page = words::opaque(task, page as u64);
        if !file.is_null() && !is_anonymous(page) {
            let ends = Ends::file::<Typed>(task, file);
            copied(task, Op::FaultCow, &ends, page_size(), page_size());
        } else {
            copied(task, Op::FaultCow, &Ends::of(ANON), page_size(), 0);
        }
    }
}

/// `PageAnon`: whether a page belongs to anonymous memory.
#[inline(always)]
pub(crate) fn is_anonymous(page: u64) -> bool {
    const PAGE_MAPPING_ANON: u64 = 1;
    /// From here on it is a mask: a `struct page` is never that high.
    const MASKS: u64 = 0xffff_ffff_0000_0000;
    let info: u64 = Probed::load(page as *const u8, offset!(page_compound_head));
    // If a page is not the first of its folio, `compound_head` (`compound_info` since 7.0) has bit 0 set. It is the
    // address of the first page, or a mask that turns this page's address into that of the first.
    let page = match info {
        info if info & 1 == 0 => page,
        info if info >= MASKS => page & info,
        info => info - 1,
    };
    Probed::load::<u64>(page as *const u8, offset!(page_mapping)) & PAGE_MAPPING_ANON != 0
}

program! {
    fentry marked file_fault_enter(_ctx) in task {
        task.fault[0] = IN_FILE_FAULT;
        task.fault[1] = 0;
    }
}

program! {
    /// `set_pte_range`: this many page table entries become present.
    fentry marked set_pte_range(ctx) {
        let pages: u32 = ctx.arg(3);
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() } {
            task.fault[1] += u64::from(pages);
        }
    }
}

program! {
    /// `do_set_pte`, the same before 6.6: one entry.
    fentry marked do_set_pte(_ctx) in task {
        task.fault[1] += 1;
    }
}

/// Whether the thread is in the fault of a file's page.
#[inline(always)]
pub(crate) const fn is_of_file(task: &Task) -> bool {
    task.fault[0] & IN_FILE_FAULT != 0
}

/// What entered the page cache in the faults of the thread.
#[inline(always)]
fn take_filled(task: &mut Task) -> u64 {
    let filled = task.fault_filled;
    if filled != 0 {
        task.fault_filled = 0;
    }
    filled
}

program! {
    fexit marked file_fault_exit(ctx) in task {
        if task.fault[0] & IN_FILE_FAULT == 0 {
            return 0;
        }
        task.fault[0] = 0;
        let vmf: *const u8 = ctx.arg(0);
        let vma = kernel::pointer::<Typed>(vmf, offset!(vmf_vma));
        let file = kernel::pointer::<Typed>(vma, offset!(vma_file));
        if file.is_null() {
            return 0;
        }
        let ended_well = crate::book::probe::returned(ctx) as u32 & FAILED == 0;
        let copy = kernel::pointer::<Typed>(vmf, offset!(vmf_cow_page));
        if ended_well && !copy.is_null() {
            let ends = Ends::file::<Typed>(task, file);
            copied(task, Op::FaultCow, &ends, page_size(), page_size());
            return 0;
        }
        let (moved, class) = if pages_are_counted() {
            (task.fault[1] * page_size(), Class::Mapped)
        } else if ended_well {
            (page_size(), Class::Unexplained)
        } else {
            return 0;
        };
        if moved != 0 {
            let ends = Ends::file::<Typed>(task, file);
            let filled = take_filled(task);
            task.delta = Counters { ops: 1, moved, filled, ..words::no_counts() };
            task.delta.class[class as usize] = moved;
            record(task, Op::FaultMap, &ends);
        }
    }
}

/// Whether `Task::fault[1]` was counted. Without the site, a fault maps at least the page that was asked for.
#[inline(always)]
fn pages_are_counted() -> bool {
    // SAFETY: a map value that the user side sets when it attaches the site and when it detaches it.
    PAGES_ARE_COUNTED
        .get_ptr(0)
        .is_some_and(|counted| unsafe { *counted } != 0)
}

program! {
    fentry marked fork_enter(_ctx) in task {
        task.fault[0] = IN_FORK;
    }
}

program! {
    fexit marked fork_exit(_ctx) in task {
        task.fault[0] = 0;
    }
}

program! {
    /// `copy_user_large_folio`: hugetlb pages are copied whole.
    fexit marked copy_user_large_folio(ctx) {
        if crate::book::probe::returned_int(ctx) == 0 {
            let folio: *const u8 = ctx.arg(1);
            let pages = if offset!(folio_nr_pages) == ABSENT {
                // What a page table refers to: entries of 8 bytes.
                page_size() / 8
            } else {
                u64::from(Typed::load::<u32>(folio, offset!(folio_nr_pages)))
            };
            huge_page_copied(ctx.arg(3), pages);
        }
    }
}

program! {
    /// The same before 6.6.
    fexit marked copy_user_huge_page(ctx) {
        huge_page_copied(ctx.arg(3), u64::from(ctx.arg::<u32>(4)));
    }
}

#[inline(always)]
fn huge_page_copied(vma: *const u8, pages: u64) {
    // SAFETY: nothing else in this program refers to the thread's record.
    let Some(task) = (unsafe { target::current_or_adopt() }) else {
        return;
    };
    let op = if task.fault[0] & IN_FORK != 0 {
        Op::ForkCow
    } else {
        Op::FaultCow
    };
    let file = kernel::pointer::<Typed>(vma, offset!(vma_file));
    let ends = if file.is_null() {
        Ends::of(ANON)
    } else {
        Ends::file::<Typed>(task, file)
    };
    copied(task, op, &ends, pages * page_size(), 0);
}

#[inline(always)]
fn copied(task: &mut Task, op: Op, ends: &Ends, bytes: u64, mapped: u64) {
    let filled = take_filled(task);
    task.delta = Counters {
        ops: 1,
        moved: mapped,
        cow: bytes,
        filled,
        ..words::no_counts()
    };
    task.delta.class[Class::Mapped as usize] = mapped;
    record(task, op, ends);
}

#[inline(always)]
fn record(task: &mut Task, op: Op, ends: &Ends) {
    if task.flags & Task::KTHREAD == 0 {
        row::record(task, op as u16, ends);
    }
}
