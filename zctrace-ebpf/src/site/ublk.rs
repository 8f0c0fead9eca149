//! ublk: a block device that a process serves.
//!
//! The driver copies between the pages of a block request and the server's memory. Which way it does so depends on how
//! the server was set up: within its commands, or in reads and writes of `/dev/ublkc*` (`UBLK_F_USER_COPY`). Both end
//! in one function. A server that registers the pages instead (`UBLK_F_SUPPORT_ZERO_COPY`) never gets there.

use zctrace_common::{Acc, Op, Request, Task, Way};

use crate::{
    base::{
        kernel::{self, Access as _, Probed},
        maps::offset,
        syscalls, words,
    },
    book::{
        account,
        probe::{program, returned},
        request::{self, Now},
        target,
    },
};

program! {
    /// `ublk_copy_user_pages(req, offset, iter, dir)`: into the iterator's memory where `dir` is `ITER_DEST` (0).
    fexit marked ublk_copy(ctx) {
        let acc = if ctx.arg::<i32>(3) == 0 { Acc::ToUser } else { Acc::FromUser };
        account::saw_result(acc, returned(ctx));
    }
}

program! {
    /// The same function where the compiler has changed its arguments: the operation says which way the bytes went.
    kretprobe ublk_copy_kretprobe(ctx) {
        let bytes: i64 = ctx.ret();
        // SAFETY: nothing else in this program refers to the thread's record.
        if bytes > 0 && let Some(task) = unsafe { target::current_or_adopt() } {
            let acc = if goes_to_server(task) { Acc::ToUser } else { Acc::FromUser };
            account::saw_in(task, acc, bytes as u64);
        }
    }
}

/// Whether the operation of the thread brings bytes to the server. A command that hands over the result of a request
/// takes them from it when it is submitted. Task work then gives it the next request.
#[inline(always)]
fn goes_to_server(task: &Task) -> bool {
    use syscalls::{PREAD64, PREADV, PREADV2, READ, READV};
    // SAFETY: the reference ends here.
    if let Some(request) = unsafe { request::current(task) } {
        return if request.op == Op::UringCmd as u32 {
            request.way == Way::TaskWork as u32
        } else {
            Request::takes(request.op)
        };
    }
    matches!(
        kernel::current_nr(),
        READ | PREAD64 | READV | PREADV | PREADV2
    )
}

/// Task work goes on with a command: it gives the server a block request. `struct io_uring_cmd` lies at the beginning of
/// its request. On new kernels the argument is a structure around the pointer: a number.
#[inline(always)]
fn dispatch(command: *const u8) {
    // SAFETY: nothing else in this program refers to the thread's record.
    let Some(task) = (unsafe { target::current_or_adopt() }) else {
        return;
    };
    request::leave(task, Now::Later);
    let user_data: u64 = Probed::load(command, offset!(req_user_data));
    let key = words::opaque(task, command as u64);
    // SAFETY: nothing else in this program refers to the request's record.
    if let Some(request) = unsafe { request::begin(task, key, user_data, Op::UringCmd as u32) } {
        // Also where it was submitted before anybody watched.
        request.way = Way::TaskWork as u32;
    }
}

/// The list and the batch have several requests: all of them are booked to the first command, which has the same row.
macro_rules! dispatcher {
    ($($enter:ident $exit:ident)+) => {
        $(
            program! {
                fentry marked $enter(ctx) {
                    dispatch(ctx.arg(0));
                }
            }
            program! {
                fexit marked $exit(_ctx) {
                    // SAFETY: nothing else in this program refers to the thread's record.
                    if let Some(task) = unsafe { target::current() } {
                        request::leave(task, Now::Later);
                    }
                }
            }
        )+
    };
}

dispatcher! {
    ublk_dispatch_enter ublk_dispatch_exit
    ublk_dispatch_list_enter ublk_dispatch_list_exit
    ublk_dispatch_batch_enter ublk_dispatch_batch_exit
    ublk_command_enter ublk_command_exit
}
