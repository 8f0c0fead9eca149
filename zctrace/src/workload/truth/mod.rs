//! What must be seen, and how it is compared with what was. Pure.

pub mod compare;
pub mod exact;
pub mod expected;
pub mod report;
pub mod verify;
