//! What the way of attaching may change, but a kernel's version does not: run on one kernel of the
//! matrix and on the running one.

mod applications;
mod blocked;
mod bounce;
mod captured;
mod check;
mod clock;
mod devices;
mod disturbed;
mod fallbacks;
mod forked;
mod limits;
mod queued;
mod refusals;
mod regions;
mod renamed;
mod rings;
mod routes;
mod serve;
mod sizes;
mod stacks;
mod top;
mod witness;
mod work;
