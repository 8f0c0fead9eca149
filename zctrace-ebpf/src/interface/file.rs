//! Interfaces on one file: where `read`, `write` and similar calls end.

use zctrace_common::Op;

use crate::{
    base::{kernel::Typed, syscalls},
    book::{
        account,
        object::Ends,
        probe::{program, returned},
        settle::Shape,
    },
};

/// A program for a function `f(file, …)` that only the given system calls reach and that returns the moved bytes. This
/// is cheaper than to ask which call is running: the sites have already asked.
macro_rules! interface {
    ($($name:ident: $op:ident, $shape:ident, $($call:ident)|+;)+) => {
        $(program! {
            fexit marked $name(ctx) in task {
                let ends = Ends::file::<Typed>(task, ctx.arg(0));
                // No site ran in this call, so another call has left what is there.
                if !matches!(task.nr, $(syscalls::$call)|+) {
                    account::left_behind(task);
                    account::clear(task);
                }
                account::conclude(task, Op::$op, Shape::$shape, &ends, returned(ctx));
            }
        })+
    };
}

interface! {
    vfs_read: Read, ToUser, READ | PREAD64;
    vfs_readv: Read, ToUser, READV | PREADV | PREADV2;
    vfs_write: Write, FromUser, WRITE | PWRITE64;
    vfs_writev: Write, FromUser, WRITEV | PWRITEV | PWRITEV2;
}
