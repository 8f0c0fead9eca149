//! How documents are written: tables for people, JSON and CSV for programs.

pub mod audited;
pub mod benched;
pub mod bytes;
pub mod checkup;
pub(crate) mod columns;
pub mod csv;
pub mod escape;
pub mod flame;
pub mod html;
pub mod json;
pub mod junit;
pub(crate) mod message;
pub mod prose;
pub mod recorded;
#[cfg(test)]
pub(crate) mod samples;
pub mod sink;
pub mod style;
pub mod table;
pub mod verdict;
