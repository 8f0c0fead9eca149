//! The tracepoints backend: what is concluded from a call where no site can be seen.

mod away;
pub(crate) mod infer;
pub(crate) mod syscall;
pub(crate) mod uring;
