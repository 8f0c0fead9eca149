//! Sites of kernel TLS in software: every byte is read and rewritten into other pages.
//!
//! It passes other bytes than the application's to TCP, so `site/socket.rs` leaves them out.

use zctrace_common::{ABSENT, Acc, Op, Task};

use crate::{
    base::{
        kernel::{self, Access as _, Probed},
        maps::offset,
        syscalls,
    },
    book::{
        account,
        probe::{program, returned_int},
        request, target,
    },
    site::file::drained,
};

program! {
    /// Plaintext into a record.
    fexit marked sk_msg_memcopy_from_iter(ctx) {
        let bytes: u32 = ctx.arg(3);
        if returned_int(ctx) > 0 {
            drained(ctx.arg(1), i64::from(bytes));
        }
    }
}

program! {
    /// Plaintext for a record, in the application's own pages.
    fexit marked sk_msg_zerocopy_from_iter(ctx) {
        let bytes: u32 = ctx.arg(3);
        if returned_int(ctx) == 0 {
            account::saw(Acc::Pinned, u64::from(bytes));
        }
    }
}

/// This many bytes were taken and encrypted. The bytes that were not copied came by reference: the rest of a splice, or
/// pinned pages.
#[inline(always)]
fn sent(bytes: i64) {
    // SAFETY: nothing else in this program refers to the thread's record.
    let Some(task) = (unsafe { target::current_or_adopt() }) else {
        return;
    };
    if bytes <= 0 {
        return;
    }
    account::saw_in(task, Acc::Encrypted, bytes as u64);
    let referenced = if splices(task) {
        let encrypted = account::seen(task, Acc::Encrypted);
        encrypted.saturating_sub(account::seen(task, Acc::SinkCopy))
    } else {
        account::seen(task, Acc::Pinned)
    };
    account::forget(task, Acc::SinkRef);
    account::saw_in(task, Acc::SinkRef, referenced);
}

/// Whether the thread's operation, which may be a request, passes pages of the kernel.
#[inline(always)]
fn splices(task: &Task) -> bool {
    if request::is_working(task) {
        return task.request_op == Op::UringSplice as u32;
    }
    matches!(kernel::current_nr(), syscalls::SENDFILE | syscalls::SPLICE)
}

program! {
    /// A record of a received stream is decrypted, into the receiver's own pages if `zc` is still set at the end:
    /// `tls_decrypt_sg` clears it if it takes other pages. The cipher writes the plaintext there, which is not a copy.
    /// The pages are referenced like those of a sender.
    fexit marked tls_rx_one_record(ctx) {
        if returned_int(ctx) != 0 || offset!(tls_decrypt_zc) == ABSENT {
            return 0;
        }
        let record: *const u8 = ctx.arg(2);
        if Probed::load::<u8>(record, offset!(tls_decrypt_zc)) == 0 {
            return 0;
        }
        let skb = kernel::pointer::<Probed>(record, offset!(tls_decrypt_skb));
        let message = skb.wrapping_add(offset!(skb_cb) as usize);
        // Without header, nonce and tag.
        let plaintext: i32 = Probed::load(message, offset!(cb_strp_full_len));
        if plaintext > 0 {
            account::saw(Acc::SourceRef, plaintext as u64);
        }
    }
}

/// A program for a function of the module `tls` that returns how many bytes it took or gave.
macro_rules! transform {
    ($($name:ident: $done:ident of $type:ty;)+) => {
        $(program! { at_return $name(bytes: $type) { $done(bytes); } })+
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
