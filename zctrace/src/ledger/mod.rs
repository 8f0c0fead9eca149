//! The model: what every number means. Pure; knows nothing of BPF or terminals.

pub mod audit;
mod difference;
mod process;
mod stacks;
mod totals;

pub use difference::Counted;
pub use process::Direction;
pub use stacks::{Stack, Stacks};
pub use totals::{
    Claimed, Coverage, ExitStatus, Loss, Overhead, Path, Process, Refused, SCHEMA, Snapshot,
    Target, TargetKind, Totals, Unattributed, ratio,
};
