//! What `zctrace traffic` says about a run.

use serde::{Deserialize, Serialize};

use crate::workload::Expected;

/// The `schema` of a [`Report`].
pub const SCHEMA: &str = "zctrace.traffic/1";

/// The document of `zctrace traffic --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// A family each.
    pub traffic: Vec<Outcome>,
}

impl Report {
    /// The document of a run.
    #[must_use]
    pub fn new(traffic: Vec<Outcome>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            traffic,
        }
    }
}

/// How a family ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It did what it says.
    Ok,
    /// This machine cannot do it.
    Skipped,
    /// It should have worked and did not.
    Failed,
}

/// A process of a family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its role: empty for the main one, as in the expected rows.
    pub process: String,
    /// Command name.
    pub comm: String,
    /// Process id.
    pub pid: u32,
}

/// What became of one family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// Why it was skipped or failed.
    pub reason: Option<String>,
    /// Command name of its main process.
    pub comm: String,
    /// Process id of its main process, unless it was skipped.
    pub pid: Option<u32>,
    /// All its processes, the main one first.
    pub processes: Vec<Member>,
    /// The truth.
    pub expected: Expected,
}
