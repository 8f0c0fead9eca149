//! What is about the program and not about the kernel: run on the running kernel.

mod advise;
mod bench;
mod check;
mod claims;
mod cli;
mod compared;
mod container;
mod faults;
mod least;
mod not_followed;
mod otlp;
mod ports;
mod record;
mod refused;
mod regions;
mod renamed;
mod self_test;
mod serve;
mod sizes;
mod top;
mod traffic;
mod unfetched;
mod unseen_rings;
mod unwound;
