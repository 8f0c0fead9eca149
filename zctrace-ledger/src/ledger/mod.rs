//! The model: what every number means. Pure; knows nothing of BPF or terminals.

pub mod audit;
mod container;
mod coverage;
mod cpu;
mod difference;
mod errnos;
mod loss;
mod named;
mod not_followed;
mod notified;
mod per_byte;
mod process;
pub mod refusals;
mod regions;
mod requests;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
mod several;
mod sizes;
mod spill;
mod stacks;
mod totals;

pub use crate::object::{End, Object};
pub use container::{Container, Place};
pub use coverage::{Coverage, Refused};
pub use cpu::CpuTime;
pub use difference::Counted;
pub use errnos::{Errno, Errnos};
pub use loss::{Loss, Unfollowed};
pub use named::{Named, Word};
pub use not_followed::{Pace, not_followed};
pub use notified::Notified;
pub use per_byte::{PerByte, Unseen};
pub use process::Direction;
pub use regions::{ByRegion, Markers, OF_WORKERS, Region, RegionTotals, region_labels};
pub use requests::{Requests, Ways};
pub use several::{Ended, MOST_COMMANDS, Moves, OTHER_COMMANDS, by_command, by_container};
pub use sizes::RowSizes;
pub use spill::UNNAMED;
pub(crate) use spill::{Spills, set_apart};
pub use stacks::{Stack, Stacks};
pub use totals::{
    Claimed, ExitStatus, MAY_COPY, NotFollowed, Overhead, Path, Process, SCHEMA, Snapshot, Target,
    TargetKind, Totals, Unattributed, ratio,
};
