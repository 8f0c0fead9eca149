//! The tracepoints backend: where kernel functions cannot be traced, operations begin and end at the
//! system call tracepoints, and their classes are concluded (`tracepoint/infer.rs`).
//!
//! `Task::entry` holds what was read at the entry, when the descriptors still referred to the files of the call:
//! source, sink, plan, dimension.

use zctrace_common::{
    ABSENT, Acc, COUNTS_FAULTS, COUNTS_RINGS, Class, Evidence, FOLLOWS_AIO, Mark, ObjectKind, Op,
    Task,
};

use crate::{
    base::{
        abi::{
            FMODE_WRITE, IPPROTO_TCP, MSG_COPY, MSG_ERRQUEUE, MSG_PEEK, MSG_SOCK_DEVMEM, MSG_TRUNC,
            MSG_ZEROCOPY,
        },
        kernel::{self, Access as _, Probed, Typed},
        loss::{begun_call, unfollowed_call, unfollowed_ring},
        maps::{offset, reports, setting},
        syscalls, words,
    },
    book::{
        account, mark,
        object::{self, ANON, Ends, MQUEUE, MSGQUEUE, PIPE},
        probe::program,
        route, row, target,
    },
    interface::{socket::space, uffd},
    site::{fault::is_anonymous, xdp, zerocopy},
    tracepoint::{
        aio,
        away::turned_away,
        fault::{call_populates, may_have_copied, without_access, without_access_since},
        infer::{self, User, put},
        ioctl::{account_of_thread, cloned, clones_from, deduped, ioctl},
        plan::{
            BY_ACCOUNT, BY_ARGUMENT, BY_REQUESTS, FILLS, FIRST_BLOCK_OPEN, IN_ARGUMENT, MESSAGES,
            NOTHING, OF_AIO, OF_RING, PINS, PLAN_CLASS_MASK, PLAN_CLASS_SHIFT, TRUNCATES, argument,
            enter, entered, pins, plan, reads, remember, user_u32, with_class,
        },
        ring,
    },
};

program! {
    tp_btf marked sys_enter(ctx) {
        let regs: *const u8 = ctx.arg(0);
        let nr: i64 = ctx.arg(1);
        let nr = nr as i32;
        let flags = |offset| argument(regs, offset) as u32;
        // Many calls share a path through this program, so that the verifier follows it once.
        let one_file = match nr {
            syscalls::READ | syscalls::PREAD64 | syscalls::READV | syscalls::PREADV | syscalls::PREADV2 => {
                plan(Op::Read, Class::CopiedToUser)
            }
            syscalls::WRITE | syscalls::PWRITE64 | syscalls::WRITEV | syscalls::PWRITEV | syscalls::PWRITEV2 => {
                plan(Op::Write, Class::CopiedFromUser)
            }
            syscalls::RECVFROM => receive(flags(offset!(regs_arg3))),
            syscalls::RECVMSG => receive(flags(offset!(regs_arg2))),
            syscalls::RECVMMSG => receive(flags(offset!(regs_arg3))) | MESSAGES,
            syscalls::SENDTO => send(flags(offset!(regs_arg3))),
            syscalls::SENDMSG => send(flags(offset!(regs_arg2))),
            syscalls::SENDMMSG => send(flags(offset!(regs_arg3))) | MESSAGES,
            syscalls::GETSOCKOPT => receive_zerocopy(regs),
            _ => NOTHING,
        };
        if one_file != NOTHING {
            on_file(regs, one_file);
            return 0;
        }
        let (source, sink) = match nr {
            syscalls::SENDFILE => (offset!(regs_arg1), offset!(regs_arg0)),
            syscalls::SPLICE | syscalls::COPY_FILE_RANGE => (offset!(regs_arg0), offset!(regs_arg2)),
            syscalls::TEE => (offset!(regs_arg0), offset!(regs_arg1)),
            _ => (0, 0),
        };
        if source != sink {
            let op = match nr {
                syscalls::SENDFILE => Op::Sendfile,
                syscalls::SPLICE => Op::Splice,
                syscalls::TEE => Op::Tee,
                _ => Op::CopyFileRange,
            };
            two_files(regs, op, argument(regs, source), argument(regs, sink));
            return 0;
        }
        match nr {
            syscalls::VMSPLICE => vmsplice(regs),
            syscalls::PROCESS_VM_READV => process_vm(Class::CopiedToUser),
            syscalls::PROCESS_VM_WRITEV => process_vm(Class::CopiedFromUser),
            syscalls::IOCTL => ioctl(regs),
            syscalls::SETSOCKOPT => set_option(),
            syscalls::MQ_TIMEDSEND => message(MQUEUE, plan(Op::Send, Class::CopiedFromUser) | BY_ARGUMENT),
            syscalls::MSGSND => message(MSGQUEUE, plan(Op::Send, Class::CopiedFromUser) | BY_ARGUMENT),
            syscalls::MQ_TIMEDRECEIVE => message(MQUEUE, plan(Op::Recv, Class::CopiedToUser)),
            syscalls::MSGRCV => {
                let op = if kernel::call_argument(regs, 4) & MSG_COPY == 0 {
                    Op::Recv
                } else {
                    Op::RecvPeek
                };
                message(MSGQUEUE, plan(op, Class::CopiedToUser));
            }
            syscalls::IO_SUBMIT | syscalls::IO_GETEVENTS | syscalls::IO_PGETEVENTS => of_aio(regs, nr),
            syscalls::MMAP if reports(COUNTS_RINGS as u16) && ring::call_maps() != 0 => unfollowed_ring(),
            _ if reports(COUNTS_FAULTS as u16) && call_populates(nr) != 0 => {
                count_pinned();
            }
            _ if is_unfollowed(nr) && target::current_record().is_some() => {
                unfollowed_call(kernel::is_compat());
            }
            _ => {}
        }
    }
}

/// Whether the current call can move bytes that nothing sees.
#[inline(always)]
fn is_unfollowed(nr: i32) -> bool {
    let submits = nr == syscalls::IO_SUBMIT_IN_32_BITS;
    if submits && !reports(FOLLOWS_AIO as u16) {
        return false;
    }
    kernel::is_compat() && (submits || syscalls::moves_in_32_bits(nr))
}

/// A call that submits requests of Linux AIO, or fetches their results.
#[inline(always)]
fn of_aio(regs: *const u8, nr: i32) {
    if kernel::is_compat() {
        if is_unfollowed(nr) && target::current_record().is_some() {
            unfollowed_call(true);
        }
        return;
    }
    if !reports(FOLLOWS_AIO as u16) {
        return;
    }
    let Some(task) = entered() else { return };
    task.entry[2] = words::opaque(task, OF_AIO);
    task.fault_filled = without_access(task);
    task.flags |= Task::ENTERED;
    if nr == syscalls::IO_SUBMIT {
        let count = argument(regs, offset!(regs_arg1));
        aio::aio_submits(task, argument(regs, offset!(regs_arg2)), count);
    }
}

/// Such a call has ended.
#[inline(always)]
fn of_aio_ended(task: &mut Task, regs: *const u8, result: i64) {
    let nr = kernel::current_nr();
    if nr == syscalls::IO_SUBMIT {
        let count = argument(regs, offset!(regs_arg1));
        if without_access_since(task, task.fault_filled) != 0 {
            // As for `read`: pages that a fork made common may have been copied before they were pinned.
            task.acc[Acc::SourceDirect as usize] = 0;
        }
        aio::aio_submitted(task, argument(regs, offset!(regs_arg2)), count, result);
    } else {
        aio::aio_fetched(argument(regs, offset!(regs_arg3)), result);
    }
}

/// A call on the descriptor that is its first argument. `call` is the plan for an object that copies.
#[inline(always)]
fn on_file(regs: *const u8, call: u64) {
    // SAFETY: nothing else in this program refers to the thread's record.
    let Some(task) = (unsafe { target::current_or_adopt() }) else {
        return;
    };
    let call = words::opaque(task, call);
    let op = call as u16;
    if !reports(op) || kernel::is_compat() {
        return;
    }
    enter(task);
    let fd = argument(regs, offset!(regs_arg0)) as u32;
    if op == Op::SendZerocopy as u16 {
        send_zerocopy(task, fd, call);
        return;
    }
    let file = object::file_of_fd(fd);
    if file.is_null() {
        return;
    }
    let mut ends = Ends::file::<Probed>(task, file);
    if xdp::is(ends.source) {
        return;
    }
    let habit = infer::habit(task, ends.source, file as u64);
    if object::is(ends.source, ObjectKind::Tcp) {
        ends.marks |= route::of_ulp(file as u64) as u8;
    }
    let plan = match infer::with_user(habit, reads(call)) {
        User::Copies => call,
        User::Else(class) if reads(call) => with_class(call, class),
        // What is written can be for another memory: `/proc/PID/mem`.
        User::Else(class) => {
            task.fault_filled = without_access(task);
            with_class(call, class) | pins()
        }
        User::ByRequests => {
            task.fault_filled = without_access(task);
            let whole = if reads(call) { FILLS } else { pins() };
            with_class(call, Class::Unexplained) | BY_REQUESTS | whole
        }
    };
    remember(task, &ends, plan);
}

/// What a receive with `flags` is expected to do.
#[inline(always)]
const fn receive(flags: u32) -> u64 {
    // What comes of the error queue is what was copied.
    let truncates = if flags & (MSG_TRUNC | MSG_ERRQUEUE) == MSG_TRUNC {
        TRUNCATES
    } else {
        0
    };
    // Bytes in a device's memory stay there.
    let class = if flags & MSG_SOCK_DEVMEM == 0 {
        Class::CopiedToUser
    } else {
        Class::Unexplained
    };
    let op = if flags & (MSG_PEEK | MSG_ERRQUEUE) != 0 {
        Op::RecvPeek
    } else {
        Op::Recv
    };
    plan(op, class) | truncates
}

/// What a send with `flags` is expected to do.
#[inline(always)]
const fn send(flags: u32) -> u64 {
    if flags & MSG_ZEROCOPY == 0 {
        plan(Op::Send, Class::CopiedFromUser)
    } else {
        plan(Op::SendZerocopy, Class::CopiedFromUser)
    }
}

/// With `MSG_ZEROCOPY`, the call does not show what happens to the pages. But if the socket does not have
/// `SO_ZEROCOPY`, or is a datagram socket whose route cannot gather pages, the kernel copies at once.
#[inline(never)]
fn send_zerocopy(task: &mut Task, fd: u32, call: u64) {
    let file = object::file_of_fd(fd);
    if file.is_null() {
        return;
    }
    let mut ends = Ends::file::<Probed>(task, file);
    let habit = infer::habit(task, ends.source, file as u64);
    let socket = kernel::pointer::<Probed>(file, offset!(file_private_data));
    let sock: u64 = Probed::load(socket, offset!(socket_sk));
    let marks = route::of_zerocopy(sock);
    ends.marks |= marks as u8;
    // TCP still takes the pages, and copies them when their packets are segmented.
    let gathers =
        object::is(ends.source, ObjectKind::Tcp) || marks & Mark::NoScatterGather as u32 == 0;
    let copied = marks & Mark::NoSoZerocopy as u32 != 0
        || !gathers
        || object::is(ends.source, ObjectKind::Unix);
    let plan = match infer::with_user(habit, false) {
        User::Copies if copied => call,
        User::Else(class) if copied => with_class(call, class),
        _ => with_class(call, Class::Unexplained),
    };
    let op = Op::SendZerocopy as u16;
    route::note_route(task, op, Evidence::Inferred, &ends, sock, 0);
    zerocopy::remember_sender(task, sock, Evidence::Inferred, &mut ends);
    remember(task, &ends, plan);
}

#[inline(always)]
fn two_files(regs: *const u8, op: Op, source: u64, sink: u64) {
    // SAFETY: nothing else in this program refers to the thread's record.
    let Some(task) = (unsafe { target::current_or_adopt() }) else {
        return;
    };
    let op = words::opaque(task, op as u64) as u16;
    if !reports(op) || kernel::is_compat() {
        return;
    }
    enter(task);
    let source = object::file_of_fd(source as u32);
    let sink = object::file_of_fd(sink as u32);
    if source.is_null() || sink.is_null() {
        return;
    }
    let mut ends = Ends::files::<Probed>(task, source, sink);
    if op == Op::Splice as u16 {
        ends.marks |= mark::of_splice(argument(regs, offset!(regs_arg5)) as u32);
    }
    let (is_tcp, sink_file) = (object::is(ends.sink, ObjectKind::Tcp), sink as u64);
    let mut met = 0;
    if is_tcp {
        met = route::of_route(sink_file);
        ends.marks |= route::of_ulp(sink_file) as u8 | met as u8;
    }
    let source = infer::habit(task, ends.source, source as u64);
    let sink = infer::habit(task, ends.sink, sink as u64);
    let class = if op == Op::CopyFileRange as u16 {
        infer::copied_range(&ends, source, sink)
    } else if op == Op::Tee as u16 {
        Class::Spliced
    } else {
        infer::joined(&ends, source, sink)
    };
    // The route handles the pages after the call.
    const ROUTE: u8 = Mark::NoScatterGather as u8 | Mark::CopyingRoute as u8;
    let class = if is_tcp && ends.marks & ROUTE != 0 {
        let sock = task.sock;
        route::note_route(task, op, Evidence::Inferred, &ends, sock, met);
        Class::Unexplained
    } else {
        class
    };
    remember(task, &ends, with_class(op.into(), class));
}

#[inline(always)]
fn vmsplice(regs: *const u8) {
    if !reports(Op::Vmsplice as u16) {
        return;
    }
    let Some(task) = entered() else { return };
    let file = object::file_of_fd(argument(regs, offset!(regs_arg0)) as u32);
    if file.is_null() {
        return;
    }
    let into = Probed::load::<u32>(file, offset!(file_mode)) & FMODE_WRITE != 0;
    let class = if into {
        Class::Spliced
    } else {
        Class::CopiedToUser
    };
    let mut ends = Ends::of(PIPE);
    ends.marks = mark::of_splice(argument(regs, offset!(regs_arg3)) as u32);
    remember(task, &ends, plan(Op::Vmsplice, class));
}

#[inline(always)]
fn process_vm(class: Class) {
    if reports(Op::ProcessVm as u16)
        && let Some(task) = entered()
    {
        let pins = pins();
        if pins != 0 {
            task.fault_filled = without_access(task);
        }
        remember(task, &Ends::of(ANON), plan(Op::ProcessVm, class) | pins);
    }
}

/// A call on a message queue, which always copies (`message.rs`).
#[inline(always)]
fn message(object: u64, plan: u64) {
    if reports(plan as u16)
        && let Some(task) = entered()
    {
        remember(task, &Ends::of(object), plan);
    }
}

/// `TCP_ZEROCOPY_RECEIVE`, which reports what it maps and what it copies.
#[inline(always)]
fn receive_zerocopy(regs: *const u8) -> u64 {
    const TCP_ZEROCOPY_RECEIVE: u32 = 35;
    if argument(regs, offset!(regs_arg1)) as u32 == u32::from(IPPROTO_TCP)
        && argument(regs, offset!(regs_arg2)) as u32 == TCP_ZEROCOPY_RECEIVE
    {
        plan(Op::RecvZerocopy, Class::Mapped)
    } else {
        NOTHING
    }
}

/// The bytes that `TCP_ZEROCOPY_RECEIVE` mapped, and those that it copied.
#[inline(always)]
fn received_zerocopy(regs: *const u8) -> (u64, u64) {
    let receive = argument(regs, offset!(regs_arg3));
    let size = user_u32(argument(regs, offset!(regs_arg4)));
    let mapped = user_u32(receive + u64::from(offset!(zc_length)));
    let copied = offset!(zc_copied);
    if copied == ABSENT || size < u64::from(copied) + 4 {
        return (mapped, 0);
    }
    (mapped, user_u32(receive + u64::from(copied)))
}

/// An option that sets up a ring, or memory for some.
#[inline(always)]
fn set_option() {
    match ring::option_sets() {
        OF_RING if reports(COUNTS_RINGS as u16) => {
            if let Some(task) = entered() {
                task.entry[2] = OF_RING;
                task.flags |= Task::ENTERED;
            }
        }
        PINS if reports(COUNTS_FAULTS as u16) => count_pinned(),
        _ => {}
    }
}

/// The call ends with a look at the pages that the kernel made present for it.
#[inline(always)]
fn count_pinned() {
    if let Some(task) = entered() {
        task.fault_filled = without_access(task);
        task.entry[2] = PINS;
        task.flags |= Task::ENTERED;
    }
}

program! {
    /// Block requests made within a direct call: one for the caller's own pages is direct. Its clones for the devices
    /// below (device mapper, md) are for the same pages.
    tp_btf marked block_bio_queue(ctx) {
        let bio: *const u8 = ctx.arg(0);
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
        if task.flags & Task::ENTERED == 0 || task.entry[2] & (BY_REQUESTS | OF_AIO) == 0 {
            return 0;
        }
        if is_cloned(bio) {
            return 0;
        }
        let segment = kernel::pointer::<Typed>(bio, offset!(bio_io_vec));
        let page: u64 = Probed::load(segment, offset!(bvec_page));
        if is_anonymous(page) {
            let bytes: u32 = Typed::load(bio, offset!(bio_size));
            task.acc[Acc::SourceDirect as usize] += u64::from(bytes);
        }
    }
}

/// `BIO_CLONED`: another request has the same pages, or btrfs has split it (typed pointer; include/linux/blk_types.h).
#[inline(always)]
fn is_cloned(bio: *const u8) -> bool {
    const BIO_CLONED: u16 = 1 << 1;
    Typed::load::<u16>(bio, offset!(bio_flags)) & BIO_CLONED != 0
}

program! {
    tp_btf marked sys_exit(ctx) {
        let regs: *const u8 = ctx.arg(0);
        let result: i64 = ctx.arg(1);
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current() }) else {
            // A thread gets a record only for what counts. SAFETY: as above: there is no other reference.
            if has_moved(result) && unsafe { target::current_or_adopt() }.is_some() {
                begun_call(result as u64);
            }
            return 0;
        };
        if task.flags & Task::ENTERED == 0 {
            // Nobody saw its beginning.
            if task.flags & Task::FRESH != 0 && has_moved(result) {
                begun_call(result as u64);
            }
            return 0;
        }
        task.flags &= !Task::ENTERED;
        task.runs += 1;
        if task.entry[2] & OF_RING != 0 {
            if result == 0 {
                unfollowed_ring();
            }
            return 0;
        }
        if task.entry[2] & PINS != 0 && (task.entry[2] == PINS || task.entry[2] & BY_ACCOUNT != 0) {
            pinned(task);
            if task.entry[2] == PINS {
                return 0;
            }
            task.entry[2] &= !PINS;
        }
        if task.entry[2] & BY_ACCOUNT != 0 {
            task.rest = account_of_thread().wrapping_sub(task.rest);
            if task.rest == 0 {
                return 0;
            }
        }
        let mut filled = 0;
        // What entered the page cache in a call that is no operation has a row of its own (`account::left_behind`).
        if task.filled != 0 && task.entry[2] & BY_ACCOUNT == 0 {
            // What sites have seen in this call belongs to this operation, whose class is concluded.
            account::enter(task, kernel::current_nr());
            filled = task.acc[Acc::Added as usize];
            account::clear(task);
        }
        if task.entry[2] & OF_AIO != 0 {
            of_aio_ended(task, regs, result);
            return 0;
        }
        if task.entry[2] & BY_ACCOUNT == 0
            && result <= 0
            && turned_away(words::opaque(task, regs as u64), result) != 0
        {
            return 0;
        }
        finish(task, regs, result, filled);
    }
}

/// Whether the call that ends is one of this backend whose result is the bytes that it moved.
#[inline(always)]
fn has_moved(result: i64) -> bool {
    use syscalls::{
        COPY_FILE_RANGE, PREAD64, PREADV, PREADV2, PWRITE64, PWRITEV, PWRITEV2, READ, READV,
        RECVFROM, RECVMSG, SENDFILE, SENDMSG, SENDTO, SPLICE, VMSPLICE, WRITE, WRITEV,
    };
    let op = match kernel::current_nr() {
        READ | PREAD64 | READV | PREADV | PREADV2 => Op::Read,
        WRITE | PWRITE64 | WRITEV | PWRITEV | PWRITEV2 => Op::Write,
        RECVFROM | RECVMSG => Op::Recv,
        SENDTO | SENDMSG => Op::Send,
        SENDFILE => Op::Sendfile,
        SPLICE => Op::Splice,
        VMSPLICE => Op::Vmsplice,
        COPY_FILE_RANGE => Op::CopyFileRange,
        _ => return false,
    };
    result > 0 && reports(op as u16) && !kernel::is_compat()
}

#[inline(always)]
fn finish(task: &mut Task, regs: *const u8, result: i64, filled: u64) {
    let plan = task.entry[2];
    let op = plan as u16;
    let result = if plan & BY_ACCOUNT != 0 {
        // Some of it may be there where the call fails.
        task.rest as i64
    } else if plan & IN_ARGUMENT != 0 {
        let request = argument(regs, offset!(regs_arg1));
        uffd::done(request, argument(regs, offset!(regs_arg2)), result)
    } else if plan & BY_ARGUMENT != 0 && result >= 0 {
        kernel::call_argument(regs, 2) as i64
    } else {
        result
    };
    task.delta = words::no_counts();
    task.delta.ops = 1;
    task.delta.filled = filled;
    if result < 0 {
        task.delta.errors = result.unsigned_abs();
        task.rest = 0;
    } else if plan & MESSAGES != 0 {
        task.delta.ops = result as u64;
        // A stream cannot drop more than there is room for.
        let truncates = plan & TRUNCATES;
        task.rest = messages(argument(regs, offset!(regs_arg1)), result as u64, truncates);
    } else if op == Op::Clone as u16 {
        task.rest = cloned(task.rest, regs);
        let (destinations, errno) = deduped(regs);
        task.delta.ops = destinations;
        task.delta.errors = errno;
    } else if plan & TRUNCATES != 0 && !object::is(task.entry[0], ObjectKind::Tcp) {
        let space = if kernel::current_nr() == syscalls::RECVFROM {
            argument(regs, offset!(regs_arg2))
        } else {
            space(argument(regs, offset!(regs_arg1)))
        };
        task.rest = if (result as u64) < space {
            result as u64
        } else {
            space
        };
    } else if op == Op::RecvZerocopy as u16 {
        let (mapped, copied) = received_zerocopy(regs);
        task.delta.class[Class::CopiedToUser as usize] = copied;
        task.delta.moved = copied;
        task.rest = mapped;
    } else {
        task.rest = result as u64;
    }
    let moved = task.rest;
    task.delta.moved += moved;
    let class =
        if plan & TRUNCATES != 0 && reads(plan) && object::is(task.entry[0], ObjectKind::Tcp) {
            // With MSG_TRUNC a stream's bytes are dropped. kTLS and others that take over the socket, whose class is
            // not known, still copy them (`tls_sw_recvmsg`). Those that are looked at are copied where the connection is
            // repaired (`tcp_peek_sndq`).
            if plan as u16 == Op::RecvPeek as u16 {
                Class::Unexplained as u64
            } else {
                Class::Synthetic as u64
            }
        } else {
            (plan >> PLAN_CLASS_SHIFT) & PLAN_CLASS_MASK
        };
    if plan & BY_REQUESTS != 0 {
        // The kernel copies pages that a read is to fill and that a fork made common, before it pins them. That takes
        // page faults, as touching new pages does: which of the two it was is not seen.
        let seen = if plan & FILLS != 0 && without_access_since(task, task.fault_filled) != 0 {
            0
        } else {
            task.acc[Acc::SourceDirect as usize]
        };
        let direct = if seen < moved { seen } else { moved };
        task.delta.class[Class::Direct as usize] = direct;
        task.delta.class[Class::Unexplained as usize] = moved - direct;
    } else {
        let open = if plan & FIRST_BLOCK_OPEN != 0 && clones_from(regs) == 0 {
            let most = setting!(page_size) * task.delta.ops;
            if most < moved { most } else { moved }
        } else {
            0
        };
        task.delta.class[Class::Unexplained as usize] += open;
        put(task, class, moved - open);
    }
    row::record_inferred(task, op);
    if plan & PINS != 0 {
        pinned(task);
    }
}

/// A call has ended for which the kernel may have copied pages of the process: each of its faults may have.
#[inline(always)]
fn pinned(task: &mut Task) {
    let faults = without_access_since(task, task.fault_filled);
    if faults != 0 {
        may_have_copied(task, faults);
    }
}

/// The lengths that the kernel wrote into a vector of `struct mmsghdr`. If they can exceed the buffers (`truncates`),
/// only what was put into the buffers.
#[inline(never)]
fn messages(vector: u64, count: u64, truncates: u64) -> u64 {
    /// Size of `struct mmsghdr`, and where its `msg_len` is: part of the interface.
    const SIZE: u64 = 64;
    const MSG_LEN: u64 = 56;
    /// `UIO_MAXIOV`: the kernel takes no more.
    const MOST: u64 = 1024;
    let mut sum = 0;
    let mut i = 0;
    while i < MOST {
        if i >= count {
            break;
        }
        let message = vector + i * SIZE;
        let length = user_u32(message + MSG_LEN);
        sum += if truncates != 0 {
            length.min(space(message))
        } else {
            length
        };
        i += 1;
    }
    sum
}
