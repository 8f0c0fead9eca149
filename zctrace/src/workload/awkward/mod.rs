//! Operations that end otherwise than asked: short, failed, interrupted, empty, huge.

mod again;
mod empty;
mod eof;
mod exec;
mod forked;
mod holes;
mod huge;
mod killed;
mod last;
mod partial;
mod short;
mod synced;
mod threads;
mod wasted;

pub use exec::resume;

use super::Traffic;

/// Every awkward family.
pub(super) const TRAFFIC: &[&[Traffic]] = &[
    partial::TRAFFIC,
    eof::TRAFFIC,
    again::TRAFFIC,
    short::TRAFFIC,
    wasted::TRAFFIC,
    empty::TRAFFIC,
    huge::TRAFFIC,
    holes::TRAFFIC,
    synced::TRAFFIC,
    killed::TRAFFIC,
    exec::TRAFFIC,
    threads::TRAFFIC,
    forked::TRAFFIC,
    last::TRAFFIC,
];
