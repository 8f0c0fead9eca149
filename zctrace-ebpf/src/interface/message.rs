//! Calls on message queues, POSIX and System V.

use zctrace_common::Op;

use crate::{
    base::{abi::MSG_COPY, kernel},
    book::{
        account,
        object::{Ends, MQUEUE, MSGQUEUE},
        probe::{program, returned},
        settle::Shape,
        target,
    },
};

/// A send ended. It returns 0 and has sent what it was asked to send.
#[inline(always)]
fn sent(object: u64, regs: *const u8, result: i64) {
    // SAFETY: nothing else in this program refers to the thread's record.
    if let Some(task) = unsafe { target::current_or_adopt() } {
        let bytes = if result < 0 {
            result
        } else {
            kernel::call_argument(regs, 2) as i64
        };
        account::finish(task, Op::Send, Shape::FromUser, &Ends::of(object), bytes);
    }
}

program! { fexit marked sys_mq_timedsend(ctx) { sent(MQUEUE, ctx.arg(0), returned(ctx)); } }
program! { fexit marked sys_msgsnd(ctx) { sent(MSGQUEUE, ctx.arg(0), returned(ctx)); } }

program! {
    fexit marked sys_mq_timedreceive(ctx) in task {
        account::finish(task, Op::Recv, Shape::ToUser, &Ends::of(MQUEUE), returned(ctx));
    }
}

program! {
    fexit marked sys_msgrcv(ctx) in task {
        let op = if kernel::call_argument(ctx.arg(0), 4) & MSG_COPY == 0 {
            Op::Recv
        } else {
            Op::RecvPeek
        };
        account::finish(task, op, Shape::ToUser, &Ends::of(MSGQUEUE), returned(ctx));
    }
}
