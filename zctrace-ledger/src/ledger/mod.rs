//! The model: what every number means. Pure; knows nothing of BPF or terminals.

pub mod audit;
mod container;
mod coverage;
mod difference;
mod errnos;
mod loss;
mod named;
mod not_followed;
mod per_byte;
mod process;
pub mod refusals;
mod requests;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
mod several;
mod sizes;
mod spill;
mod stacks;
mod totals;

pub use container::{Container, Place};
pub use coverage::{Coverage, Refused};
pub use difference::Counted;
pub use errnos::{Errno, Errnos};
pub use loss::{Loss, Unfollowed};
pub use named::{Named, Word};
pub use not_followed::not_followed;
pub use per_byte::PerByte;
pub use process::Direction;
pub use requests::{Requests, Ways};
pub use several::{Ended, Moves, by_command, by_container};
pub use sizes::RowSizes;
pub use spill::UNNAMED;
pub(crate) use spill::{Spills, set_apart};
pub use stacks::{Stack, Stacks};
pub use totals::{
    Claimed, ExitStatus, NotFollowed, Overhead, Path, Process, SCHEMA, Snapshot, Target,
    TargetKind, Totals, Unattributed, ratio,
};
