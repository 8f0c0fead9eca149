//! Tests with a tracer of their own. They come before those that share a session, which so is attached once.

mod audit;
mod batches;
mod bomb;
mod hunt;
mod workloads;
