//! Sites of kernel TLS in software: every byte is read and rewritten into other pages.
//!
//! What it hands to TCP is not the application's bytes any more: `site/socket.rs` leaves it out.

use zctrace_common::{Acc, Task};

use crate::{
    base::{kernel, syscalls},
    book::{
        account,
        probe::{at_return, fexit, returned_int},
        target,
    },
    site::file::drained,
};

fexit! {
    /// Plaintext into a record.
    sk_msg_memcopy_from_iter(ctx) {
        let bytes: u32 = ctx.arg(3);
        if returned_int(ctx) > 0 {
            drained(ctx.arg(1), i64::from(bytes));
        }
    }
}

fexit! {
    /// Plaintext for a record, in the application's own pages.
    sk_msg_zerocopy_from_iter(ctx) {
        let bytes: u32 = ctx.arg(3);
        if returned_int(ctx) == 0 {
            account::saw(Acc::Pinned, u64::from(bytes));
        }
    }
}

/// So many bytes were taken and encrypted. What came by reference, and is not copied, is the rest of
/// a splice, or what was pinned.
#[inline(always)]
fn sent(bytes: i64) {
    let Some(task) = target::current() else {
        return;
    };
    if bytes <= 0 {
        return;
    }
    account::saw_in(task, Acc::Encrypted, bytes as u64);
    let referenced = if matches!(task.nr, syscalls::SENDFILE | syscalls::SPLICE) {
        seen(task, Acc::Encrypted).saturating_sub(seen(task, Acc::SinkCopy))
    } else {
        seen(task, Acc::Pinned)
    };
    task.acc[Acc::SinkRef as usize] = 0;
    account::saw_in(task, Acc::SinkRef, referenced);
}

#[inline(always)]
fn seen(task: &mut Task, acc: Acc) -> u64 {
    account::enter(task, kernel::current_nr());
    task.acc[acc as usize]
}

/// A program for a function of the module `tls` that returns the bytes it was given or gave out.
macro_rules! transform {
    ($($name:ident: $done:ident of $type:ty;)+) => {
        $(at_return! { $name(bytes: $type) { $done(bytes); } })+
    };
}

#[inline(always)]
fn received(bytes: i64) {
    if bytes > 0 {
        account::saw(Acc::Encrypted, bytes as u64);
    }
}

transform! {
    tls_sw_sendmsg: sent of i32;
    tls_sw_sendpage: sent of i32;
    tls_sw_recvmsg: received of i32;
    tls_sw_splice_read: received of i64;
}
