//! Interfaces that join two objects, and those without a file.

use zctrace_common::{ABSENT, Acc, Op, Task};

use crate::{
    base::{
        abi::{FICLONE, FICLONERANGE, FMODE_WRITE},
        kernel::{self, Access as _, Probed, Typed},
        maps::{offset, setting},
        syscalls,
    },
    book::{
        account, mark,
        object::{self, ANON, Ends, PIPE},
        probe::{program, returned},
        request,
        settle::{Shape, legs},
        target,
    },
    site::late,
};

program! {
    fexit marked do_sendfile(ctx) in task {
        let sink = object::file_of_fd(ctx.arg(0));
        let source = object::file_of_fd(ctx.arg(1));
        let result = returned(ctx);
        if !object::had_no_file(sink, result) && !object::had_no_file(source, result) {
            let ends = Ends::files::<Probed>(task, source, sink);
            account::finish(task, Op::Sendfile, legs(&ends), &ends, result);
            late::note_lender(task, Op::Sendfile as u16, &ends);
        }
    }
}

program! {
    /// io_uring comes here too: its request then learns what it joins.
    fexit marked do_splice(ctx) in task {
        // SAFETY: nothing else in this program refers to the request's record.
        if let Some(request) = unsafe { request::current(task) } {
            let ends = Ends::files::<Typed>(task, ctx.arg(0), ctx.arg(2));
            request::works_on(request, &ends);
            late::note_lender(task, Op::UringSplice as u16, &ends);
        } else if kernel::current_nr() == syscalls::SPLICE {
            let mut ends = Ends::files::<Typed>(task, ctx.arg(0), ctx.arg(2));
            ends.marks |= mark::of_splice(ctx.arg(5));
            account::finish(task, Op::Splice, legs(&ends), &ends, returned(ctx));
            late::note_lender(task, Op::Splice as u16, &ends);
        }
    }
}

program! {
    fexit marked do_tee(ctx) in task {
        // SAFETY: nothing else in this program refers to the request's record.
        if let Some(request) = unsafe { request::current(task) } {
            let ends = Ends::files::<Typed>(task, ctx.arg(0), ctx.arg(1));
            request::works_on(request, &ends);
        } else if kernel::current_nr() == syscalls::TEE {
            let ends = Ends::files::<Typed>(task, ctx.arg(0), ctx.arg(1));
            account::finish(task, Op::Tee, Shape::Reference, &ends, returned(ctx));
        }
    }
}

program! {
    /// The system call's entry function: `vmsplice_to_pipe` and `vmsplice_to_user` are inlined. The end of the pipe
    /// shows which of them ran, and each has one branch. If another thread has closed that end in the meantime, only
    /// copied bytes are known.
    fexit marked sys_vmsplice(ctx) in task {
        let regs: *const u8 = ctx.arg(0);
        let file = object::file_of_fd(Typed::load::<u64>(regs, offset!(regs_arg0)) as u32);
        if !object::had_no_file(file, returned(ctx)) {
            let into = Probed::load::<u32>(file, offset!(file_mode)) & FMODE_WRITE != 0;
            let shape = if into { Shape::Reference } else { Shape::ToUser };
            let mut ends = Ends::of(PIPE);
            let flags: u64 = Typed::load(regs, offset!(regs_arg3));
            ends.marks = mark::of_splice(flags as u32);
            account::finish(task, Op::Vmsplice, shape, &ends, returned(ctx));
        }
    }
}

/// Whether the kernel opened a file (typed pointer) for itself. The application has no descriptor for such a file, so a
/// call on it is part of another one. overlayfs opens the files of its layers in this way (`open_with_fake_path`,
/// `backing_file_open`) and repeats on them the calls on its own files.
#[inline(always)]
fn is_internal(file: *const u8) -> bool {
    /// Not in `nr_files`, from the file's making to its end.
    const FMODE_NOACCOUNT: u32 = 1 << 29;
    Typed::load::<u32>(file, offset!(file_mode)) & FMODE_NOACCOUNT != 0
}

/// Whether the current thread is in `FICLONE` or `FICLONERANGE`. Other requests can make overlayfs copy up a file,
/// which tries to clone it. A 32-bit call has its arguments elsewhere.
#[inline(always)]
fn clones() -> bool {
    kernel::current_nr() == syscalls::IOCTL
        && (offset!(regs_arg1) == ABSENT
            || kernel::is_compat()
            || matches!(
                Typed::load::<u64>(kernel::current_regs(), offset!(regs_arg1)),
                FICLONE | FICLONERANGE
            ))
}

/// Drops the first block of what was counted as shared of a file (typed pointer) from `position` on, if that block may be
/// within the filesystem's metadata.
#[inline(always)]
fn forget_inline(task: &mut Task, source: *const u8, position: i64) {
    if position == 0 && object::may_be_inline::<Typed>(source) {
        account::forget_some(task, Acc::Cloned, setting!(page_size));
    }
}

program! {
    fexit marked vfs_copy_file_range(ctx) {
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() }
            && kernel::current_nr() == syscalls::COPY_FILE_RANGE
            && !is_internal(ctx.arg(0))
        {
            let ends = Ends::files::<Typed>(task, ctx.arg(0), ctx.arg(2));
            forget_inline(task, ctx.arg(0), ctx.arg(1));
            account::finish(task, Op::CopyFileRange, Shape::Both, &ends, returned(ctx));
        }
    }
}

program! {
    /// `FICLONE`, `FICLONERANGE`.
    fexit marked vfs_clone_file_range(ctx) {
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() } && clones() && !is_internal(ctx.arg(0)) {
            let ends = Ends::files::<Typed>(task, ctx.arg(0), ctx.arg(2));
            forget_inline(task, ctx.arg(0), ctx.arg(1));
            account::finish(task, Op::Clone, Shape::Both, &ends, returned(ctx));
        }
    }
}

program! {
    /// `FIDEDUPERANGE`, once for each destination.
    fexit marked vfs_dedupe_file_range_one(ctx) {
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() }
            && kernel::current_nr() == syscalls::IOCTL
            && !is_internal(ctx.arg(0))
        {
            let ends = Ends::files::<Typed>(task, ctx.arg(0), ctx.arg(2));
            forget_inline(task, ctx.arg(0), ctx.arg(1));
            account::finish(task, Op::Clone, Shape::Both, &ends, returned(ctx));
        }
    }
}

program! {
    fexit marked sys_process_vm_readv(ctx) in task {
        let ends = Ends::of(ANON);
        account::finish(task, Op::ProcessVm, Shape::ToUser, &ends, returned(ctx));
    }
}

program! {
    fexit marked sys_process_vm_writev(ctx) in task {
        let ends = Ends::of(ANON);
        account::finish(task, Op::ProcessVm, Shape::FromUser, &ends, returned(ctx));
    }
}
