//! The tests that need root and BPF, by where they run: `cargo xtask test running` runs all of
//! them on the running kernel, and `cargo xtask test vm` those in [`every_kernel`] and
//! [`one_kernel`] on the kernels of the matrix.
//!
//! They are one program, whose tests run one at a time, because each watches the machine. A test
//! that changes what a process has for good, such as its privileges, does so in a thread or a
//! child of its own.

mod common;
mod every_kernel;
mod host;
mod one_kernel;
