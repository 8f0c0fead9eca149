//! The dimension by which rows are split.

use clap::ValueEnum;
use zctrace_common::By;

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
}

impl Dimension {
    /// Whether processes of one name are one block.
    pub(crate) fn is_command(self) -> bool {
        matches!(self, Self::Command)
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
            Dimension::Command => Self::Nothing,
        }
    }
}
