//! How a measurement went.

use crate::ledger::{Snapshot, TargetKind};

/// How the measurement went, beyond what the ledger says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// The command was ended because the time was up, so how it ended does not count.
    pub cut_short: bool,
    /// The wait for the command was given up while it still ran.
    pub abandoned: bool,
    /// Of the operations in flight, those that only wait for input: they have copied nothing.
    pub waiting: u64,
    /// How many processes of the command were alive after it had ended.
    pub left_behind: u64,
    /// How many processes of the target had threads which were not traced.
    pub untraced: u64,
    /// How many processes may have belonged to the target, and could not be inspected.
    pub hidden: u64,
    /// How many sockets of the target no process was seen to hold.
    pub unheld: u64,
    /// How the command ended does not matter.
    pub ignore_command_status: bool,
    /// Bytes of a page of the kernel; `None` where that is not known.
    pub page_size: Option<u64>,
}

impl Circumstances {
    /// What a recording tells of it: where its recorder was ended, or the disk was full, before the
    /// command had ended, nobody saw what that did after it.
    #[must_use]
    pub fn recorded(snapshot: &Snapshot) -> Self {
        Self {
            abandoned: snapshot.target.kind == TargetKind::Command
                && snapshot.exit_status.is_none(),
            ..Self::default()
        }
    }

    /// Whether a command failed, or was not seen to end.
    pub(crate) fn command_failed(self, snapshot: &Snapshot) -> bool {
        if self.abandoned {
            return true;
        }
        let failed = snapshot
            .exit_status
            .is_some_and(|status| status.code != Some(0));
        failed && !self.cut_short && !self.ignore_command_status
    }
}
