//! The dimension by which rows are split.

use clap::ValueEnum;
use zctrace_common::By;

/// The dimension of `--by`. Its help is with the option.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Dimension {
    Thread,
    File,
    Mount,
    Connection,
    Cgroup,
}

impl From<Dimension> for By {
    fn from(dimension: Dimension) -> Self {
        match dimension {
            Dimension::Thread => Self::Thread,
            Dimension::File => Self::File,
            Dimension::Mount => Self::Mount,
            Dimension::Connection => Self::Connection,
            Dimension::Cgroup => Self::Cgroup,
        }
    }
}
