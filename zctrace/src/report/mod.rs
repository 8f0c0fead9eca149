//! Documents as people and programs read them: tables, JSON, CSV, HTML, JUnit.

pub mod advised;
pub mod audited;
pub mod benched;
pub mod bug;
pub mod checkup;
pub mod compared;
mod cpu;
pub mod csv;
pub mod flame;
#[cfg(test)]
mod forged;
pub mod html;
pub mod json;
pub mod junit;
pub mod pprof;
pub mod prose;
pub mod recorded;
pub mod requested;
pub mod table;
pub mod tested;
pub mod verdict;
