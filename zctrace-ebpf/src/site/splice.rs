//! Sites of the splice family: file pages into a pipe, and pipe pages to user memory.

use zctrace_common::Acc;

use crate::book::{
    account,
    probe::{program, returned},
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
            && let Some(task) = unsafe { crate::book::target::current_or_adopt() }
            && crate::base::kernel::current_nr() == crate::base::syscalls::VMSPLICE
        {
            account::saw_in(task, Acc::ToUser, bytes as u64);
        }
    }
}
