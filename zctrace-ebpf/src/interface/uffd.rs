//! Requests of userfaultfd.

use aya_ebpf::helpers::bpf_probe_read_user;
use zctrace_common::{Class, Op};

use crate::{
    base::{
        abi::{UFFDIO_CONTINUE, UFFDIO_COPY, UFFDIO_MOVE, UFFDIO_ZEROPAGE},
        kernel,
    },
    book::{
        account,
        object::{Ends, USERFAULTFD},
        probe::{program, returned},
        row,
        settle::{self, Shape},
        target,
    },
};

/// The operation of a request, and the class of its bytes: each request has only one.
#[inline(always)]
pub(crate) const fn operation(request: u64) -> Option<(Op, Class)> {
    Some(match request {
        UFFDIO_COPY => (Op::UffdCopy, Class::CopiedFromUser),
        UFFDIO_ZEROPAGE => (Op::UffdZeropage, Class::Synthetic),
        UFFDIO_MOVE => (Op::UffdMove, Class::Mapped),
        UFFDIO_CONTINUE => (Op::UffdContinue, Class::Mapped),
        _ => return None,
    })
}

/// The result of a request: bytes, or a negative error. The request reports the bytes in its argument, even if it was
/// cut short (`EAGAIN`).
#[inline(always)]
pub(crate) fn done(request: u64, argument: u64, result: i64) -> i64 {
    const EAGAIN: i64 = 11;
    /// Offsets of `copy` and `move`, and of `zeropage` and `mapped`: part of the interface.
    const OF_TWO: u64 = 32;
    const OF_ONE: u64 = 24;
    if result != 0 && result != -EAGAIN {
        return result;
    }
    let offset = if matches!(request, UFFDIO_COPY | UFFDIO_MOVE) {
        OF_TWO
    } else {
        OF_ONE
    };
    // SAFETY: the helper checks the address.
    let bytes: i64 = unsafe { bpf_probe_read_user((argument + offset) as *const i64) }.unwrap_or(0);
    if bytes > 0 { bytes } else { result }
}

program! {
    /// The interface.
    fexit marked userfaultfd_ioctl(ctx) {
        let request = u64::from(ctx.arg::<u32>(1));
        let Some((op, class)) = operation(request) else { return 0 };
        // SAFETY: nothing else in this program refers to the thread's record.
        let Some(task) = (unsafe { target::current_or_adopt() }) else { return 0 };
        let ends = Ends::of(USERFAULTFD);
        let result = done(request, ctx.arg(2), returned(ctx));
        if !matches!(class, Class::Mapped) {
            account::finish(task, op, Shape::FromUser, &ends, result);
            return 0;
        }
        account::enter(task, kernel::current_nr());
        settle::settle(task, Shape::FromUser, if result < 0 { result } else { 0 });
        if result > 0 {
            task.delta.moved += result as u64;
            task.delta.class[Class::Mapped as usize] += result as u64;
        }
        row::record(task, op as u16, &ends);
    }
}
