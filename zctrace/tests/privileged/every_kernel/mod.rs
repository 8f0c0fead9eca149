//! What a kernel's version may change: run on every kernel of the matrix.

mod audit;
mod bomb;
mod closed;
mod hunt;
mod ktls;
mod limits;
mod requests;
mod truth;
mod unplug;
mod verdicts;
mod workloads;
mod zerocopy;
