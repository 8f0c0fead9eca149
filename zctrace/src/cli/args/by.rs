//! The dimension by which rows are split.

use clap::ValueEnum;
use zctrace_common::By;

use crate::ledger::Snapshot;

/// The dimension of `--by`. The help text is with the option.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Dimension {
    Thread,
    File,
    Mount,
    Connection,
    Cgroup,
    /// Not a part of a process but several: processes of one name are one block.
    Command,
    /// The same of processes of one container.
    Container,
}

/// What the blocks of a report are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Blocks {
    #[default]
    Process,
    Command,
    Container,
}

impl Dimension {
    /// What the blocks are of where rows are split by it.
    pub(crate) fn blocks(self) -> Blocks {
        match self {
            Self::Command => Blocks::Command,
            Self::Container => Blocks::Container,
            _ => Blocks::Process,
        }
    }

    /// Whether it makes blocks of several processes, which can be done later too.
    pub(crate) fn is_of_several(self) -> bool {
        self.blocks() != Blocks::Process
    }
}

impl Blocks {
    /// The document in these blocks.
    pub(crate) fn of(self, snapshot: Snapshot) -> Snapshot {
        match self {
            Self::Process => snapshot,
            Self::Command => snapshot.by_command(),
            Self::Container => snapshot.by_container(),
        }
    }
}

impl From<Dimension> for By {
    fn from(dimension: Dimension) -> Self {
        match dimension {
            Dimension::Thread => Self::Thread,
            Dimension::File => Self::File,
            Dimension::Mount => Self::Mount,
            Dimension::Connection => Self::Connection,
            Dimension::Cgroup => Self::Cgroup,
            Dimension::Command | Dimension::Container => Self::Nothing,
        }
    }
}
