//! How large operations are, beside the rows of the ledger.

use zctrace_common::{Evidence, Op, Sizes};

use super::{Object, Path};

/// How large the operations of one row are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSizes {
    /// The process.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// What the row's operation is.
    pub op: Op,
    /// What it worked on.
    pub object: Object,
    /// `measured` or `inferred`.
    pub evidence: Evidence,
    /// The value of the `--by` dimension.
    pub by: Option<String>,
    /// Operations by the bytes they moved.
    pub sizes: Sizes,
}

impl RowSizes {
    /// Whether both are about rows of one name.
    #[must_use]
    pub fn has_names_of(&self, other: &Self) -> bool {
        (self.op, &self.object, self.evidence, &self.by)
            == (other.op, &other.object, other.evidence, &other.by)
    }

    /// Adds the operations of another row.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.sizes.counts.iter_mut().zip(other.sizes.counts) {
            *sum = sum.saturating_add(more);
        }
    }

    /// Whether it is about this row of its process, whatever the evidence.
    #[must_use]
    pub fn is_of(&self, path: &Path) -> bool {
        path.op == self.op && path.object == self.object && path.by == self.by
    }
}
