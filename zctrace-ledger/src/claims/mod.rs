//! The verdict: whether what was counted bears out a claim such as "this path is zero-copy".
//!
//! Two things that do not touch each other. [`judge()`] compares numbers with limits, and its answer
//! follows from the rows alone. The [`rules`] look at the same rows and say why they look like
//! that and what to change; they never change the answer. Pure: knows nothing of BPF or terminals.
//!
//! A PASS is a promise, so everything that could hide a copy stands against it: a row that is only
//! inferred, a probe that is missing, a lost update, a byte that is still on its way, work of the
//! kernel that nobody is known to have caused.

mod circumstances;
mod claim;
mod document;
mod expect;
#[cfg(any(test, feature = "samples"))]
pub mod fuzz;
mod job;
mod judge;
mod operations;
pub mod page;
mod policy;
mod portion;
pub mod ratchet;
mod reason;
mod regions;
pub mod rules;
mod sentence;
mod share;
mod standing;
pub mod table;
mod verdict;
mod waiting;
mod ways;

#[cfg(test)]
mod properties;

pub use circumstances::Circumstances;
pub use claim::{Claim, Flaw, MIN_BYTES, Measure, ZERO_COPY};
pub use document::{Document, SCHEMA};
pub use expect::Expectation;
pub use judge::{Judged, Judgement, doubts, judge};
pub use policy::Policy;
pub use reason::{Effect, Reason, RowName};
pub use regions::{TEST_SCHEMA, Terms, Tested, TestedRegion};
pub use share::Met;
pub use verdict::{Outcome, SCOPE, Verdict};
