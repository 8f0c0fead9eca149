//! The ground of everything that is written: units, escapes, columns, colours, messages and files.
//!
//! It knows nothing of what is written, so that every other folder may stand on it.

pub mod bytes;
pub mod columns;
pub mod escape;
pub mod generated;
pub mod message;
pub mod named_file;
pub mod sink;
pub mod style;

/// What is counted, and what not: literally, so that it can be a part of a constant.
macro_rules! scope {
    () => {
        "copies by the kernel on behalf of I/O. Not seen: memcpy in user space and in TLS libraries, DMA between devices \
         and the page cache, migration and compaction."
    };
}

pub(crate) use scope;

/// What is counted, and what not. Every report says so.
pub const SCOPE: &str = scope!();
