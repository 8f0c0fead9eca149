//! The basis: the kernel's constants and structures, the maps, words of memory. It knows no task and no row.

pub(crate) mod abi;
pub(crate) mod atomic;
pub(crate) mod global;
pub(crate) mod kernel;
pub(crate) mod log;
pub(crate) mod loss;
pub(crate) mod maps;
pub(crate) mod syscalls;

pub(crate) use zctrace_common::words;
