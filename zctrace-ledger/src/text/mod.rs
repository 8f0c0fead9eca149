//! The ground of everything that is written: units, escapes, columns, colours, messages and files.
//!
//! It knows nothing of what is written, so that every other folder may stand on it.

pub mod bytes;
pub mod columns;
pub mod escape;
pub mod message;
pub mod named_file;
pub mod sink;
pub mod style;
