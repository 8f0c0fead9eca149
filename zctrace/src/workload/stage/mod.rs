//! Processes that do one thing each, and what they do it with: memory, buffers, sockets.

pub mod buffer;
pub(super) mod child;
pub(super) mod interrupt;
pub mod mapping;
pub mod runner;
pub mod shared;
pub mod slots;
pub mod sockets;
