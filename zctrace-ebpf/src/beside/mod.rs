//! What is not part of the ledger: the audit, samples of where time goes, what sockets have yet to send, how io_uring's
//! requests are batched, and the markers of regions.

pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod queued;
pub(crate) mod region;
pub(crate) mod sample;
