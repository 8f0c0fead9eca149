//! Tests with a tracer of their own. They come before those that share a session, which so is attached seldom.

mod clock;
mod devices;
mod disturbed;
mod fallbacks;
mod limits;
mod nginx;
mod nginx_verdicts;
mod refusals;
mod regions;
mod serve;
mod sizes;
mod stacks;
mod top;
mod witness;
mod work;
