//! What is not part of the ledger: the audit, and samples of where time goes.

pub(crate) mod audit;
pub(crate) mod sample;
