//! Where moments come from: a live trace, a recording, made-up numbers; each a thread of its own.

pub(super) mod live;
pub mod replay;
pub mod synthetic;
pub mod workload;
