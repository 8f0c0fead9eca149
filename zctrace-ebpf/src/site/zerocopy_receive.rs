//! `getsockopt(TCP_ZEROCOPY_RECEIVE)`: pages of packets go into the application's page table. What does not fill a page
//! goes into a separate buffer.

use zctrace_common::{Class, Op};

use crate::{
    base::{
        kernel::{self, Access as _, Probed},
        maps::offset,
    },
    book::{
        account,
        object::Ends,
        probe::{program, returned_int},
        row,
        settle::{self, Shape},
    },
};

program! {
    /// The interface, and the site where pages are mapped. The copies pass `skb_copy_datagram_iter`.
    fexit marked tcp_zerocopy_receive(ctx) in task {
        let receive: *const u8 = ctx.arg(1);
        let result = returned_int(ctx);
        let copied: i32 = Probed::load(receive, offset!(zc_copied));
        let mapped: u32 = Probed::load(receive, offset!(zc_length));
        let ends = Ends::sock(task, ctx.arg(0));
        account::enter(task, kernel::current_nr());
        let result = if result < 0 { result } else { i64::from(copied) };
        settle::settle(task, Shape::ToUser, result);
        if result >= 0 {
            task.delta.moved += u64::from(mapped);
            task.delta.class[Class::Mapped as usize] += u64::from(mapped);
        }
        row::record(task, Op::RecvZerocopy as u16, &ends);
    }
}
