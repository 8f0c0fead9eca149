//! The command line.

pub mod traffic;
