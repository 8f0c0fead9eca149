//! What enters the page cache, whoever wants it there: `filled`.
//!
//! The event comes for whole folios, in the thread that reads, reads ahead or writes. A thread that finds its bytes in
//! the page cache does not meet it. tmpfs and the swap cache have no such event.

use zctrace_common::{ABSENT, Acc, Op, Task};

use crate::{
    base::{
        abi::{HUGETLBFS_MAGIC, S_IFBLK, S_IFMT, S_IFREG},
        kernel::{self, Access as _, Probed, Typed},
        maps::offset,
        words,
    },
    book::{account, object, probe::program, request},
    site::fault,
};

program! {
    tp_btf marked page_cache_added(ctx) in task {
        let folio: *const u8 = ctx.arg(0);
        // The same place in a folio and in its first page.
        let mapping = kernel::pointer::<Typed>(folio, offset!(folio_mapping));
        let inode = kernel::pointer::<Typed>(mapping, offset!(mapping_host));
        let counts = match Typed::load::<u16>(inode, offset!(inode_mode)) & S_IFMT {
            S_IFREG => {
                // Memory that has the form of a file, like tmpfs.
                let sb = kernel::pointer::<Typed>(inode, offset!(inode_sb));
                Typed::load::<u64>(sb, offset!(sb_magic)) != HUGETLBFS_MAGIC
            }
            // Filesystems keep what they know of their files in the page cache of their device.
            S_IFBLK => {
                let mapping = words::opaque(task, mapping as u64);
                works_on(task, mapping) != 0
            }
            // Directories, links, and trees of btrfs.
            _ => false,
        };
        let bytes = folio_bytes(folio);
        if !counts || bytes == 0 {
            return 0;
        }
        if fault::is_of_file(task) {
            task.fault_filled += bytes;
        } else {
            account::saw_in(task, Acc::Added, bytes);
        }
    }
}

/// Length of a folio (typed pointer); 0 if that cannot be read.
#[inline(always)]
fn folio_bytes(folio: *const u8) -> u64 {
    if offset!(folio_head) == ABSENT {
        return 0;
    }
    let flags: u64 = Typed::load(folio, offset!(folio_flags));
    // Only a large folio has the number of its pages.
    let pages = if flags >> (offset!(folio_head) & 63) & 1 == 0 {
        1
    } else {
        u64::from(Typed::load::<u32>(folio, offset!(folio_nr_pages)))
    };
    pages * fault::page_size()
}

/// Whether the operation of the current thread is on a file with this page cache, 1 or 0. The descriptors of a call are
/// among its first three arguments.
#[inline(never)]
fn works_on(task: &mut Task, mapping: u64) -> u64 {
    if request::is_working(task) {
        // SAFETY: the reference ends here.
        let Some(request) = (unsafe { request::current(task) }) else {
            return 0;
        };
        let file = if request.op == Op::AioRead as u32 || request.op == Op::AioWrite as u32 {
            offset!(kiocb_filp)
        } else {
            offset!(req_file)
        };
        return is_cache_of(request.key.wrapping_add(u64::from(file)), mapping);
    }
    let regs = kernel::current_regs();
    let mut found = 0;
    let mut i = 0;
    while i < 3 {
        let file = object::file_of_fd(kernel::call_argument(regs, i) as u32);
        found |= u64::from(cache_of(file) == mapping);
        i += 1;
    }
    found
}

/// Whether the file whose address is at `place` has this page cache, 1 or 0.
#[inline(always)]
fn is_cache_of(place: u64, mapping: u64) -> u64 {
    let file = kernel::pointer::<Probed>(place as *const u8, 0);
    u64::from(cache_of(file) == mapping)
}

#[inline(always)]
fn cache_of(file: *const u8) -> u64 {
    Probed::load(file, offset!(file_mapping))
}
