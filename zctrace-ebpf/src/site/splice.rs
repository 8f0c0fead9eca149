//! Sites of the splice family: file pages into a pipe, and pipe pages to user memory.

use zctrace_common::{Acc, Request, Task};

use crate::{
    base::{kernel, syscalls},
    book::{
        account,
        probe::{program, returned, returned_int},
        request, target,
    },
};

/// A program for a function that puts references to file pages into a pipe.
macro_rules! lender {
    ($($name:ident)+) => {
        $(program! {
            fexit marked $name(ctx) {
                account::saw_result(Acc::SourceRef, returned(ctx));
            }
        })+
    };
}

lender! { filemap_splice_read shmem_file_splice_read }

program! {
    /// `vmsplice` out of a pipe is the only user of this function among the traced calls that ends
    /// in user memory.
    fexit marked splice_to_user(ctx) {
        let bytes = returned(ctx);
        if bytes > 0
            // SAFETY: nothing else in this program refers to the thread's record.
            && let Some(task) = unsafe { target::current_or_adopt() }
            && kernel::current_nr() == syscalls::VMSPLICE
        {
            account::saw_in(task, Acc::ToUser, bytes as u64);
        }
    }
}

/// The header of each message of FUSE is copied, whatever happens to its pages. So if less was seen, copies are not seen
/// at all.
const LEAST_HEADER: u64 = 16;

/// Whether the thread's operation is one that joins two files.
#[inline(always)]
fn is_splicing(task: &Task) -> bool {
    if request::is_working(task) {
        return Request::joins(task.request_op);
    }
    matches!(kernel::current_nr(), syscalls::SPLICE | syscalls::SENDFILE)
}

program! {
    /// `fuse_copy_do` copies a part of a message between a FUSE server and the kernel. Where the server reads and writes,
    /// the ends of `fuse_dev_read` and `fuse_dev_write` tell the same. Its caller tells which leg it is.
    fexit marked fuse_copy_do(ctx) {
        let bytes = returned_int(ctx);
        if bytes > 0
            // SAFETY: nothing else in this program refers to the thread's record.
            && let Some(task) = unsafe { target::current_or_adopt() }
            && is_splicing(task)
        {
            account::saw_in(task, Acc::SinkCopy, bytes as u64);
        }
    }
}

program! {
    /// Requests go from FUSE into a pipe: what was not copied is a reference to a page.
    fexit marked fuse_dev_splice_read(ctx) {
        let bytes = returned(ctx);
        // SAFETY: nothing else in this program refers to the thread's record.
        if bytes > 0 && let Some(task) = unsafe { target::current_or_adopt() } {
            let copied = account::seen(task, Acc::SinkCopy);
            account::forget(task, Acc::SinkCopy);
            if copied >= LEAST_HEADER {
                account::saw_in(task, Acc::SourceCopy, copied);
                account::saw_in(task, Acc::SourceRef, (bytes as u64).saturating_sub(copied));
            }
        }
    }
}

program! {
    /// Answers go from a pipe to FUSE: a page that was not copied is the kernel's now (`fuse_try_move_folio`).
    fexit marked fuse_dev_splice_write(ctx) {
        let bytes = returned(ctx);
        // SAFETY: nothing else in this program refers to the thread's record.
        if bytes > 0 && let Some(task) = unsafe { target::current_or_adopt() } {
            let copied = account::seen(task, Acc::SinkCopy);
            if copied >= LEAST_HEADER {
                account::saw_in(task, Acc::SinkRef, (bytes as u64).saturating_sub(copied));
            }
        }
    }
}
