//! The answer to a claim.

use serde::{Deserialize, Serialize};

use crate::text::scope;

/// What every verdict is about, and what not: [`SCOPE`](crate::text::SCOPE) of what is judged.
pub const SCOPE: &str = concat!("Judged: ", scope!());

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was measured, and holds.
    Pass,
    /// It cannot be known.
    Inconclusive,
    /// It was measured, and does not hold.
    Fail,
}

impl Verdict {
    /// As a report shows it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Inconclusive => "INCONCLUSIVE",
            Self::Fail => "FAIL",
        }
    }
}

/// What became of one thing that was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Copies that were seen are above the limit.
    Broken,
    /// They are not, but bytes that may have been copied could be.
    Open,
    /// Within the limit.
    Holds,
}
