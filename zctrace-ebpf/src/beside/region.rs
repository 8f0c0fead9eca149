//! Where markers of regions are written: see `book/region.rs`. Attached only if regions are asked for.

use zctrace_common::Task;

use crate::{
    base::{
        abi::{S_IFIFO, S_IFMT},
        kernel::{self, Access as _, Probed, Typed},
        maps::{offset, setting},
        syscalls,
    },
    book::{object, probe::program, region, target},
};

/// Whether the file behind a descriptor of the current thread is the pipe for markers.
#[inline(always)]
fn is_marked_by(fd: u32) -> bool {
    let file = object::file_of_fd(fd);
    let inode = kernel::pointer::<Probed>(file, offset!(file_inode));
    if Probed::load::<u64>(inode, offset!(inode_ino)) != setting!(region_inode) {
        return false;
    }
    // Other filesystems have inodes of that number too.
    let sb = kernel::pointer::<Probed>(inode, offset!(inode_sb));
    let mode: u16 = Probed::load(inode, offset!(inode_mode));
    mode & S_IFMT == S_IFIFO && Probed::load::<u32>(sb, offset!(sb_dev)) == setting!(region_device)
}

program! {
    /// From here on, what the thread does belongs to the marker.
    tp_btf marked region_enter(ctx) {
        let regs: *const u8 = ctx.arg(0);
        let nr: i64 = ctx.arg(1);
        if nr as i32 != syscalls::WRITE || kernel::is_compat() {
            return 0;
        }
        let Some(task) = target::current_record() else { return 0 };
        let fd: u64 = Typed::load(regs, offset!(regs_arg0));
        if !is_marked_by(fd as u32) {
            return 0;
        }
        region::begin_marker();
        // The tracepoints backend may have looked at the call before this program did.
        // SAFETY: a map value of the current thread; nothing else in this program refers to it.
        unsafe {
            if (*task.as_ptr()).flags & Task::ENTERED != 0 {
                (*task.as_ptr()).entry[3] = zctrace_common::IN_MARKER;
            }
        }
    }
}

program! {
    /// The kernel has taken the line, so its memory can be read.
    tp_btf marked region_exit(ctx) {
        let regs: *const u8 = ctx.arg(0);
        let result: i64 = ctx.arg(1);
        if kernel::current_nr() != syscalls::WRITE || kernel::is_compat() {
            return 0;
        }
        if target::current_record().is_some() && region::end_marker() && result > 0 {
            let (buffer, length): (u64, u64) = (
                Typed::load(regs, offset!(regs_arg1)),
                Typed::load(regs, offset!(regs_arg2)),
            );
            region::mark(buffer, length, result as u64);
        }
    }
}
