//! What the way of attaching may change, but a kernel's version does not: run on one kernel of the
//! matrix and on the running one.

mod alone;
mod blocked;
mod bounce;
mod captured;
mod check;
mod fio;
mod forked;
mod queued;
mod rings;
mod routes;
