//! Tests that attach a tracer of their own. Their names sort before the others, most of which share a session: it is
//! attached a few times instead of again after each of these.

mod clock;
mod devices;
mod disturbed;
mod fallbacks;
mod limits;
mod nginx;
mod refusals;
mod regions;
mod serve;
mod sizes;
mod stacks;
mod top;
mod witness;
mod work;
