//! What is about the program and not about the kernel: run on the running kernel.

mod bench;
mod check;
mod claims;
mod cli;
mod compared;
mod least;
mod not_followed;
mod otlp;
mod record;
mod refused;
mod self_test;
mod serve;
mod sizes;
mod top;
mod traffic;
