//! What a family of traffic is known to do, before anyone measured it.

use serde::{Deserialize, Serialize};
use zctrace_common::{Class, Counters, Evidence, Op};

use crate::ledger::{Errno, Errnos, Named, Object, Totals};

/// Stands for every operation, or object, that no other row of the expectation names.
pub const ANYTHING: &str = "*";

/// The truth about one family: the rows that its processes must have, and no others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Expected {
    /// One row per process, operation and object.
    pub rows: Vec<ExpectedRow>,
}

/// One row of the truth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpectedRow {
    /// Which process of the family: empty for the main one, else its role, for example `peer`.
    #[serde(default)]
    pub process: String,
    /// Name of the operation, or [`ANYTHING`].
    pub op: Named<Op>,
    /// What it works on, or [`ANYTHING`].
    pub object: Object,
    /// The evidence that the row must have: `measured` if absent.
    #[serde(default, skip_serializing_if = "Wanted::is_usual")]
    pub evidence: Wanted,
    /// The numbers are lower bounds: the process does more of the same by the way.
    #[serde(default)]
    pub at_least: bool,
    /// The numbers are upper bounds: the process does some of the same by the way, but not this.
    #[serde(default)]
    pub at_most: bool,
    /// Without functions nothing of it can be seen: a case that the documentation lists.
    #[serde(default)]
    pub needs_functions: bool,
    /// How operations end in an error.
    #[serde(default, skip_serializing_if = "Errnos::is_empty")]
    pub errnos: Errnos,
    /// The numbers.
    #[serde(flatten)]
    pub totals: Totals,
}

impl Expected {
    /// No rows yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `calls` operations that moved `bytes` in all, in one way.
    #[must_use]
    pub fn moves(self, op: Op, object: &str, class: Class, calls: u64, bytes: u64) -> Self {
        self.row(ExpectedRow::new(op, object).ops(calls).class(class, bytes))
    }

    /// Adds a row, to the one with the same key if there is one.
    #[must_use]
    pub fn row(mut self, row: ExpectedRow) -> Self {
        self.add(row);
        self
    }

    /// [`Expected::row`] in place, for what is known only after the run.
    pub fn add(&mut self, row: ExpectedRow) {
        match self.rows.iter_mut().find(|mine| mine.has_key_of(&row)) {
            Some(mine) => {
                mine.totals.add(&row.totals);
                mine.errnos.add(&row.errnos);
            }
            None => self.rows.push(row),
        }
    }

    /// The rows of one process: empty for the main one, else its role.
    #[must_use]
    pub fn of_process(&self, process: &str) -> Vec<ExpectedRow> {
        let mut rows = self.rows.clone();
        rows.retain(|row| row.process == process);
        rows
    }
}

impl ExpectedRow {
    /// A row without numbers.
    #[must_use]
    pub fn new(op: Op, object: &str) -> Self {
        Self::named(op.into(), object)
    }

    /// Allows the process rows that the expectation does not name.
    #[must_use]
    pub fn anything_else() -> Self {
        Self::named(ANYTHING.into(), ANYTHING).at_least()
    }

    fn named(op: Named<Op>, object: &str) -> Self {
        Self {
            process: String::new(),
            op,
            object: object.into(),
            evidence: Wanted::default(),
            at_least: false,
            at_most: false,
            needs_functions: false,
            errnos: Errnos::default(),
            totals: Totals::default(),
        }
    }

    /// Adds completed operations.
    #[must_use]
    pub fn ops(self, ops: u64) -> Self {
        self.counting(Counters {
            ops,
            ..Counters::default()
        })
    }

    /// Adds operations that end in the error `errno`, as C numbers it. They are operations too.
    #[must_use]
    pub fn errors(mut self, errno: i32, errors: u64) -> Self {
        self.errnos.count(Errno::new(errno.unsigned_abs()), errors);
        self.counting(Counters {
            ops: errors,
            errors,
            ..Counters::default()
        })
    }

    /// Adds bytes moved in one way.
    #[must_use]
    pub fn class(self, class: Class, bytes: u64) -> Self {
        let mut counters = Counters {
            moved: bytes,
            ..Counters::default()
        };
        counters.class[class as usize] = bytes;
        self.counting(counters)
    }

    /// Adds bytes copied by copy-on-write.
    #[must_use]
    pub fn cow(self, cow: u64) -> Self {
        self.counting(Counters {
            cow,
            ..Counters::default()
        })
    }

    /// Adds bytes passed by reference and copied by the kernel later.
    #[must_use]
    pub fn deferred(self, deferred: u64) -> Self {
        self.counting(Counters {
            deferred,
            ..Counters::default()
        })
    }

    /// Adds bytes read and rewritten on the way.
    #[must_use]
    pub fn encrypted(self, encrypted: u64) -> Self {
        self.counting(Counters {
            encrypted,
            ..Counters::default()
        })
    }

    /// Adds bytes copied a second time within the operation.
    #[must_use]
    pub fn recopied(self, recopied: u64) -> Self {
        self.counting(Counters {
            recopied,
            ..Counters::default()
        })
    }

    /// Adds bytes copied but not delivered.
    #[must_use]
    pub fn wasted(self, wasted: u64) -> Self {
        self.counting(Counters {
            wasted,
            ..Counters::default()
        })
    }

    /// Makes it a row of the process with this role.
    #[must_use]
    pub fn of(mut self, process: &str) -> Self {
        process.clone_into(&mut self.process);
        self
    }

    /// Demands other evidence than [`Wanted::Measured`].
    #[must_use]
    pub fn evidence(mut self, evidence: impl Into<Wanted>) -> Self {
        self.evidence = evidence.into();
        self
    }

    /// Makes the numbers lower bounds.
    #[must_use]
    pub fn at_least(mut self) -> Self {
        self.at_least = true;
        self
    }

    /// Makes the numbers upper bounds.
    #[must_use]
    pub fn at_most(mut self) -> Self {
        self.at_most = true;
        self
    }

    /// Allows the row to be missing where functions cannot be traced.
    #[must_use]
    pub fn needs_functions(mut self) -> Self {
        self.needs_functions = true;
        self
    }

    /// Whether this row stands for all that the expectation does not name.
    #[must_use]
    pub fn is_anything_else(&self) -> bool {
        self.op.as_str() == ANYTHING
    }

    fn counting(mut self, counters: Counters) -> Self {
        self.totals.add(&Totals::from(&counters));
        self
    }

    fn has_key_of(&self, other: &Self) -> bool {
        (&self.process, &self.op, &self.object, &self.evidence)
            == (&other.process, &other.op, &other.object, &other.evidence)
    }
}

/// The evidence that a row must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// [`Evidence::Measured`].
    #[default]
    Measured,
    /// [`Evidence::Inferred`].
    Inferred,
    /// It does not matter.
    Any,
}

impl From<Evidence> for Wanted {
    fn from(evidence: Evidence) -> Self {
        match evidence {
            Evidence::Measured => Self::Measured,
            Evidence::Inferred => Self::Inferred,
        }
    }
}

impl Wanted {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_usual(&self) -> bool {
        *self == Self::Measured
    }

    /// `None` if any will do.
    #[must_use]
    pub const fn evidence(self) -> Option<Evidence> {
        match self {
            Self::Measured => Some(Evidence::Measured),
            Self::Inferred => Some(Evidence::Inferred),
            Self::Any => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_with_one_key_are_added_up() {
        let expected = Expected::new()
            .moves(Op::Read, "pipe", Class::CopiedToUser, 2, 100)
            .moves(Op::Read, "pipe", Class::CopiedToUser, 1, 10)
            .row(
                ExpectedRow::new(Op::Read, "pipe")
                    .errors(libc::EAGAIN, 1)
                    .of("peer"),
            );
        assert_eq!(expected.rows.len(), 2);
        let main = expected.of_process("");
        assert_eq!(main[0].totals.ops, 3);
        assert_eq!(main[0].totals.moved, 110);
        assert_eq!(main[0].totals.copied_to_user, 110);
        assert_eq!(main[0].totals.copies_per_byte, Some(1.0));
        let peer = expected.of_process("peer");
        assert_eq!((peer[0].totals.ops, peer[0].totals.errors), (1, 1));
        assert_eq!(peer[0].errnos.to_string(), "EAGAIN");
    }

    #[test]
    fn a_row_survives_json() {
        let row = ExpectedRow::new(Op::Sendfile, "file:tmpfs->tcp")
            .ops(1)
            .class(Class::Spliced, 5)
            .evidence(Evidence::Inferred);
        let json = serde_json::to_string(&row).expect("serializes");
        assert!(json.contains(r#""spliced":5"#), "{json}");
        assert_eq!(
            serde_json::from_str::<ExpectedRow>(&json).expect("parses"),
            row
        );
    }
}
