//! Why a verdict is what it is.

use serde::{Deserialize, Serialize};
use zctrace_common::{Evidence, Op};

use super::portion::Row;
use crate::ledger::{Named, Object};

/// What a reason does to the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The claim does not hold.
    Refutes,
    /// It is not known whether it holds.
    Forbids,
    /// It explains what was seen.
    Explains,
}

/// A row of the ledger, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowName {
    /// Whose it is.
    pub pid: u32,
    /// The name of that process.
    pub comm: String,
    /// The operation.
    pub op: Named<Op>,
    /// What it worked on.
    pub object: Object,
    /// `measured` or `inferred`.
    pub evidence: Named<Evidence>,
}

impl From<&Row<'_>> for RowName {
    fn from(Row { process, path }: &Row<'_>) -> Self {
        Self {
            pid: process.pid,
            comm: process.comm.clone(),
            op: path.op.clone(),
            object: path.object.clone(),
            evidence: path.evidence.clone(),
        }
    }
}

/// A reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable; `zctrace explain CODE` tells more.
    pub code: String,
    /// The claim that it is about.
    pub claim: String,
    /// What it does.
    pub effect: Effect,
    /// The row it was seen in; `None` where it is about more than one.
    pub row: Option<RowName>,
    /// How many bytes it is about.
    pub bytes: u64,
    /// What was seen.
    pub evidence: String,
    /// What to change.
    pub remedy: String,
}
