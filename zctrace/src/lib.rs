//! zctrace shows, on a running Linux machine, where every I/O byte was copied and where it was not.

pub mod ledger;
pub mod output;
pub mod target;
pub mod tracer;
