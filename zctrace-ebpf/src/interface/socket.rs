//! Interfaces of sockets: where `send`, `recv` and similar calls end.

use aya_ebpf::helpers::bpf_probe_read_user;
use zctrace_common::{ABSENT, Acc, Evidence, ObjectKind, Op, Task, UNREPORTED};

use crate::{
    base::{
        abi::{MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_TRUNC, MSG_ZEROCOPY},
        global::global,
        kernel::{self, Access as _, Probed, Typed},
        maps::offset,
        syscalls, words,
    },
    book::{
        account,
        object::{self, Ends},
        probe::{program, returned, returned_int},
        route,
        settle::Shape,
    },
    site::xdp,
};

program! {
    /// `__sys_sendto`, for `send` and `sendto`.
    fexit marked sys_sendto(ctx) in task {
        let file = object::file_of_fd(ctx.arg(0));
        if !object::had_no_file(file, returned_int(ctx)) {
            let ends = Ends::file::<Probed>(task, file);
            sent(task, ends, ctx.arg(3), file, returned_int(ctx));
        }
    }
}

program! {
    /// `___sys_sendmsg`, once for each message of `sendmsg` and `sendmmsg`.
    fexit marked sys_sendmsg(ctx) in task {
        let Some(result) = of_message(task, ctx.arg(1), returned_int(ctx)) else { return 0 };
        let socket: *const u8 = ctx.arg(0);
        let file = kernel::pointer::<Typed>(socket, offset!(socket_file));
        let ends = Ends::file::<Typed>(task, file);
        sent(task, ends, ctx.arg(3), file, result);
    }
}

/// What the call reports of a message. If `sendmmsg` or `recvmmsg` stopped at it after others had succeeded, that is
/// nothing, but copies that were made for it are [`UNREPORTED`]. `None` if there is nothing to account for here: a
/// failure of `recvmmsg` as a whole is told when that ends.
#[inline(always)]
fn of_message(task: &mut Task, message: u64, result: i64) -> Option<i64> {
    let nr = kernel::current_nr();
    if result >= 0
        || !matches!(nr, syscalls::SENDMMSG | syscalls::RECVMMSG)
        || kernel::is_compat()
        || offset!(regs_arg1) == ABSENT
    {
        return Some(result);
    }
    if Typed::load::<u64>(kernel::current_regs(), offset!(regs_arg1)) == message {
        return (nr != syscalls::RECVMMSG).then_some(result);
    }
    account::enter(task, nr);
    if account::has_copied(task) {
        return Some(UNREPORTED);
    }
    account::clear(task);
    None
}

/// A send ended.
#[inline(always)]
fn sent(task: &mut Task, mut ends: Ends, flags: u32, file: *const u8, result: i64) {
    if xdp::is(ends.source) {
        return;
    }
    if flags & MSG_ZEROCOPY == 0 {
        account::finish(task, Op::Send, Shape::FromUser, &ends, result);
        return;
    }
    let socket = kernel::pointer::<Probed>(file, offset!(file_private_data));
    let sock: u64 = Probed::load(socket, offset!(socket_sk));
    ends.marks |= route::of_zerocopy(sock) as u8;
    account::finish(task, Op::SendZerocopy, Shape::FromUser, &ends, result);
    let op = Op::SendZerocopy as u16;
    route::note_route(task, op, Evidence::Measured, &ends, sock, 0);
}

program! {
    /// `__sys_recvfrom`, for `recv` and `recvfrom`.
    fexit marked sys_recvfrom(ctx) in task {
        let file = object::file_of_fd(ctx.arg(0));
        if !object::had_no_file(file, returned_int(ctx)) {
            let ends = Ends::file::<Probed>(task, file);
            received(task, &ends, returned_int(ctx), ctx.arg(3), ctx.arg(2));
        }
    }
}

program! {
    /// `___sys_recvmsg`, once for each message of `recvmsg` and `recvmmsg`.
    fexit marked sys_recvmsg(ctx) in task {
        let Some(result) = of_message(task, ctx.arg(1), returned_int(ctx)) else { return 0 };
        let ends = of_socket(task, ctx.arg(0));
        let flags: u32 = ctx.arg(3);
        let offered = if flags & MSG_TRUNC == 0 {
            u64::MAX
        } else {
            space(words::opaque(task, ctx.arg(1)))
        };
        received(task, &ends, result, flags, offered);
    }
}

program! {
    /// `recvmmsg` that received nothing. It also fails before it looks at a message, if its socket has an error pending
    /// (`sock_error` in `do_recvmmsg`). The argument is the call's registers: `__sys_recvmmsg` is inlined.
    fexit marked sys_recvmmsg(ctx) in task {
        let result = returned(ctx);
        // What is no socket has no operation.
        const ENOTSOCK: i64 = 88;
        if result == -ENOTSOCK {
            return 0;
        }
        let file = object::file_of_fd(kernel::call_argument(ctx.arg(0), 0) as u32);
        if result < 0 && !object::had_no_file(file, result) {
            let flags = kernel::call_argument(ctx.arg(0), 3) as u32;
            let ends = Ends::file::<Probed>(task, file);
            received(task, &ends, result, flags, u64::MAX);
        }
    }
}

/// An operation on a `struct socket` (typed pointer).
#[inline(always)]
fn of_socket(task: &mut Task, socket: *const u8) -> Ends {
    let file = kernel::pointer::<Typed>(socket, offset!(socket_file));
    Ends::file::<Typed>(task, file)
}

/// A receive ended. With `MSG_TRUNC` its result can exceed what was put into the buffer of `offered` bytes: the rest of
/// a datagram is not moved, the bytes of a stream are dropped. What is looked at (`MSG_PEEK`) may be in the queue of a
/// connection that is repaired, from which bytes are copied in spite of `MSG_TRUNC` (`tcp_peek_sndq`).
#[inline(always)]
fn received(task: &mut Task, ends: &Ends, result: i64, flags: u32, offered: u64) {
    if xdp::is(ends.source) {
        return;
    }
    // Neither takes bytes off the receive queue: those of the error queue are the sender's own packets.
    let is_apart = flags & (MSG_PEEK | MSG_ERRQUEUE) != 0;
    let op = if is_apart { Op::RecvPeek } else { Op::Recv };
    if flags & (MSG_OOB | MSG_TRUNC) == MSG_OOB
        && result > 0
        && object::is(ends.source, ObjectKind::Tcp)
    {
        urgent(task, result);
    }
    let (shape, result) = if flags & MSG_TRUNC == 0 || result <= 0 {
        (Shape::ToUser, result)
    } else if object::is(ends.source, ObjectKind::Tcp) && !is_apart {
        (Shape::Dropped, result)
    } else if result as u64 > offered {
        (Shape::ToUser, offered as i64)
    } else {
        (Shape::ToUser, result)
    };
    account::finish(task, op, shape, ends, result);
}

/// The urgent byte of a TCP connection: `tcp_recv_urg`, which compilers put into its caller, copies it by
/// `memcpy_to_msg`. A protocol above TCP does not know of it and passes what a site sees.
#[inline(always)]
fn urgent(task: &mut Task, bytes: i64) {
    account::enter(task, kernel::current_nr());
    if !account::has_copied(task) {
        account::saw_in(task, Acc::ToUser, bytes as u64);
    }
}

global! {
    /// The buffer space of a `struct user_msghdr`, up to 8 buffers.
    pub(crate) fn space(message: u64) -> u64 {
        /// Offsets in `struct user_msghdr`, part of the system call interface.
        const IOV: u64 = 16;
        const IOVLEN: u64 = 24;
        // SAFETY: the helper checks the address.
        unsafe {
            let Ok(vector) = bpf_probe_read_user((message + IOV) as *const u64) else {
                return 0;
            };
            let Ok(count) = bpf_probe_read_user((message + IOVLEN) as *const u64) else {
                return 0;
            };
            let mut sum = 0_u64;
            let mut i = 0_u64;
            while i < 8 {
                if i < count
                    && let Ok(length) = bpf_probe_read_user((vector + i * 16 + 8) as *const u64)
                {
                    sum += length;
                }
                i += 1;
            }
            sum
        }
    }
}
