//! The model: what every number means. Pure; knows nothing of BPF or terminals.

mod totals;

pub use totals::{
    Coverage, ExitStatus, Loss, Overhead, Path, Process, Refused, Snapshot, Target, TargetKind,
    Totals, Unattributed,
};
