//! The tracepoints backend: what is concluded from a call where no site can be seen.

mod aio;
mod away;
mod fault;
pub(crate) mod infer;
mod ioctl;
mod memory;
mod plan;
mod ring;
pub(crate) mod syscall;
pub(crate) mod uring;
