//! How large operations are, beside the rows of the ledger.

use zctrace_common::Sizes;

use super::Path;

/// How large the operations of one row are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSizes {
    /// The process.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub start_time: u64,
    /// The row's names, as in its [`Path`].
    pub op: &'static str,
    /// What it worked on.
    pub object: String,
    /// `measured` or `inferred`.
    pub evidence: &'static str,
    /// The value of the `--by` dimension.
    pub by: Option<String>,
    /// Operations by the bytes they moved.
    pub sizes: Sizes,
}

impl RowSizes {
    /// Whether it is about this row of its process, whatever the evidence.
    #[must_use]
    pub fn is_of(&self, path: &Path) -> bool {
        (self.op, &*self.object, &self.by) == (&*path.op, &*path.object, &path.by)
    }
}
