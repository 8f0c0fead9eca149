//! The tests that need root and BPF, by where they run. `cargo xtask test running` runs all of them on the running
//! kernel. `cargo xtask test vm` runs those in [`every_kernel`] on each x86-64 kernel of the matrix, those in
//! [`one_kernel`] on one of these, and on arm64 a few chosen ones, of which the self-test is one in [`host`]: see
//! `xtask/src/test/matrix.rs`.
//!
//! They are one program, whose tests run one at a time, because each watches the machine. A test
//! that changes what a process has for good, such as its privileges, does so in a thread or a
//! child of its own.

mod common;
mod every_kernel;
mod host;
mod one_kernel;
