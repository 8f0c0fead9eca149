//! What the way of attaching may change, but a kernel's version does not: run on one kernel of the
//! matrix and on the running one.

mod blocked;
mod check;
mod fallbacks;
mod fio;
mod limits;
mod nginx;
mod nginx_verdicts;
mod refusals;
mod serve;
mod sizes;
mod stacks;
mod top;
