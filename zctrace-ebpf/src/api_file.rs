//! Interfaces on one file: where `read` and `write` and their kin end.

use zctrace_common::Op;

use crate::{
    account,
    kernel::Typed,
    object::Ends,
    probe::{fexit, returned},
    settle::Shape,
    target,
};

/// A program for a function `f(file, …)` that only system calls reach and that returns the bytes
/// moved.
macro_rules! interface {
    ($($name:ident: $op:ident, $shape:ident;)+) => {
        $(fexit! {
            $name(ctx) {
                if let Some(task) = target::current() {
                    let ends = Ends::file::<Typed>(task, ctx.arg(0));
                    account::finish(task, Op::$op, Shape::$shape, &ends, returned(ctx));
                }
            }
        })+
    };
}

interface! {
    vfs_read: Read, ToUser;
    vfs_readv: Read, ToUser;
    vfs_write: Write, FromUser;
    vfs_writev: Write, FromUser;
}
