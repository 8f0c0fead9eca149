//! The truth beside what was measured.

use std::fmt;

use zctrace_common::Op;

use crate::ledger::{Errnos, Named, Object, Process, Totals};

use super::expected::ExpectedRow;

/// How well the backend in use must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Functions: every number exact and measured.
    Measured,
    /// Tracepoints: operations, errors and bytes moved exact. How they moved may be unknown, but
    /// never wrong.
    Inferred {
        /// Whether the fault probes are attached; without them fault rows cannot be demanded.
        faults: bool,
    },
}

/// One number, or one row, that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the operation.
    pub op: Named<Op>,
    /// What it works on.
    pub object: Object,
    /// Which field, or `row` for a row that must not exist, or `evidence`.
    pub field: &'static str,
    /// What was expected.
    pub expected: String,
    /// What was measured.
    pub measured: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            op,
            object,
            field,
            expected,
            measured,
        } = self;
        write!(
            f,
            "{op} {object}: {field} is {measured}, expected {expected}"
        )
    }
}

/// How a number is compared with the expected one.
#[derive(Clone, Copy)]
enum Rule {
    Exact,
    AtLeast,
    AtMost,
}

/// Compares the rows of one process with what was measured for it.
///
/// `expected` holds that process's rows only. Fault rows that it does not name are passed over:
/// every process has some, for its stack and its libraries.
#[must_use]
pub fn compare(
    expected: &[ExpectedRow],
    process: &Process,
    strictness: Strictness,
) -> Vec<Difference> {
    let mut differences = Vec::new();
    for path in &process.paths {
        if path.errnos.total() != path.totals.errors {
            differences.push(Difference {
                op: path.op.clone(),
                object: path.object.clone(),
                field: "sum of errnos",
                expected: path.totals.errors.to_string(),
                measured: path.errnos.total().to_string(),
            });
        }
    }
    for row in expected.iter().filter(|row| !row.is_anything_else()) {
        if strictness == (Strictness::Inferred { faults: false }) && row.op.is_fault() {
            continue;
        }
        if row.needs_functions && strictness != Strictness::Measured {
            continue;
        }
        compare_row(row, process, strictness, &mut differences);
    }
    if !expected.iter().any(ExpectedRow::is_anything_else) {
        unexpected_rows(expected, process, &mut differences);
    }
    differences
}

fn compare_row(
    row: &ExpectedRow,
    process: &Process,
    strictness: Strictness,
    differences: &mut Vec<Difference>,
) {
    let mut differ = |field, expected: String, measured: String| {
        differences.push(Difference {
            op: row.op.clone(),
            object: row.object.clone(),
            field,
            expected,
            measured,
        });
    };
    let mut measured = Totals::default();
    let mut errnos = Errnos::default();
    for path in &process.paths {
        if path.op != row.op || path.object != row.object {
            continue;
        }
        measured.add(&path.totals);
        errnos.add(&path.errnos);
        if strictness == Strictness::Measured
            && let Some(wanted) = row.evidence.evidence()
            && path.evidence != wanted
        {
            differ(
                "evidence",
                wanted.name().to_owned(),
                path.evidence.to_string(),
            );
        }
    }
    let is_within = |some: &Errnos, all: &Errnos| {
        let mut counts = some.iter();
        counts.all(|(errno, count)| count <= all.get(errno))
    };
    let no_more = row.at_least || is_within(&errnos, &row.errnos);
    let no_less = row.at_most || is_within(&row.errnos, &errnos);
    if !no_more || !no_less {
        differ("errnos", row.errnos.to_string(), errnos.to_string());
    }
    for (field, rule, expected, measured) in fields(&row.totals, &measured, strictness) {
        let (rule, bound) = match rule {
            Rule::Exact if row.at_least => (Rule::AtLeast, "at least "),
            // More of the same by the way: there is no upper bound either.
            Rule::AtMost if row.at_least => continue,
            Rule::Exact if !row.at_most => (Rule::Exact, ""),
            _ => (Rule::AtMost, "at most "),
        };
        let fits = match rule {
            Rule::Exact => measured == expected,
            Rule::AtLeast => measured >= expected,
            Rule::AtMost => measured <= expected,
        };
        if !fits {
            differ(field, format!("{bound}{expected}"), measured.to_string());
        }
    }
}

/// Every field of a row with the rule that holds for it, expected and measured.
fn fields(
    expected: &Totals,
    measured: &Totals,
    strictness: Strictness,
) -> Vec<(&'static str, Rule, u64, u64)> {
    // Destructured whole, so that a new field cannot be forgotten.
    let Totals {
        ops,
        errors,
        moved,
        copied_to_user,
        copied_from_user,
        copied_in_kernel,
        spliced,
        direct,
        cloned,
        mapped,
        synthetic,
        unexplained,
        deferred,
        recopied,
        wasted,
        cow,
        encrypted,
        // What the page cache held before is not part of any truth.
        filled: _,
        seen_in_part: _,
        copies_per_byte: _,
        copies_per_byte_is_lower_bound: _,
    } = *expected;
    let explained = match strictness {
        Strictness::Measured => Rule::Exact,
        Strictness::Inferred { .. } => Rule::AtMost,
    };
    let mut fields = vec![
        ("ops", Rule::Exact, ops, measured.ops),
        ("errors", Rule::Exact, errors, measured.errors),
        ("moved", Rule::Exact, moved, measured.moved),
    ];
    let by_class = [
        ("copied_to_user", copied_to_user, measured.copied_to_user),
        (
            "copied_from_user",
            copied_from_user,
            measured.copied_from_user,
        ),
        (
            "copied_in_kernel",
            copied_in_kernel,
            measured.copied_in_kernel,
        ),
        ("spliced", spliced, measured.spliced),
        ("direct", direct, measured.direct),
        ("cloned", cloned, measured.cloned),
        ("mapped", mapped, measured.mapped),
        ("synthetic", synthetic, measured.synthetic),
        ("deferred", deferred, measured.deferred),
        ("recopied", recopied, measured.recopied),
        ("wasted", wasted, measured.wasted),
        ("cow", cow, measured.cow),
        ("encrypted", encrypted, measured.encrypted),
    ];
    fields.extend(by_class.map(|(name, expected, measured)| (name, explained, expected, measured)));
    if let Strictness::Measured = strictness {
        fields.push((
            "unexplained",
            Rule::Exact,
            unexplained,
            measured.unexplained,
        ));
    }
    fields
}

fn unexpected_rows(expected: &[ExpectedRow], process: &Process, differences: &mut Vec<Difference>) {
    for path in &process.paths {
        let named = expected
            .iter()
            .any(|row| row.op == path.op && row.object == path.object);
        // What the page cache held before is not part of any truth.
        let only_filled = path.totals.is_only_filled();
        if !named && !path.op.is_fault() && !only_filled {
            differences.push(Difference {
                op: path.op.clone(),
                object: path.object.clone(),
                field: "row",
                expected: "absent".to_owned(),
                measured: format!("{} ops, {} bytes", path.totals.ops, path.totals.moved),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use zctrace_common::Class;

    use super::{super::expected::Wanted, *};
    use crate::ledger::{Errno, Path, samples::row as path};

    const TRACEPOINTS: Strictness = Strictness::Inferred { faults: true };

    fn process(paths: Vec<Path>) -> Process {
        Process {
            total: Totals::default(),
            ..Process::from_paths(1, 0, "zct-test".to_owned(), "/".to_owned(), paths)
        }
    }

    fn read() -> ExpectedRow {
        ExpectedRow::new(Op::Read, "pipe")
            .ops(2)
            .class(Class::CopiedToUser, 100)
    }

    fn names(differences: &[Difference]) -> Vec<&'static str> {
        differences.iter().map(|d| d.field).collect()
    }

    #[test]
    fn the_truth_equals_itself() {
        let measured = process(vec![path("read", "pipe", "measured", read().totals)]);
        assert_eq!(compare(&[read()], &measured, Strictness::Measured), []);
        assert_eq!(compare(&[read()], &measured, TRACEPOINTS), []);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let wrong = ExpectedRow::new(Op::Read, "pipe")
            .ops(2)
            .class(Class::Spliced, 99);
        let measured = process(vec![path("read", "pipe", "measured", wrong.totals)]);
        assert_eq!(
            names(&compare(&[read()], &measured, Strictness::Measured)),
            ["moved", "copied_to_user", "spliced"]
        );
    }

    #[test]
    fn errors_are_told_by_errno() {
        let row = |errno| ExpectedRow::new(Op::Read, "pipe").errors(errno, 2);
        let measured = |errno: i32, count| {
            let mut path = path("read", "pipe", "measured", row(errno).totals);
            path.errnos = [(Errno::new(errno.unsigned_abs()), count)]
                .into_iter()
                .collect();
            process(vec![path])
        };
        let differences = |wanted: ExpectedRow, measured: &Process| {
            names(&compare(&[wanted], measured, Strictness::Measured))
        };
        let again = measured(libc::EAGAIN, 2);
        assert!(differences(row(libc::EAGAIN), &again).is_empty());
        assert_eq!(differences(row(libc::EPIPE), &again), ["errnos"]);
        assert_eq!(differences(row(libc::EPIPE).at_least(), &again), ["errnos"]);
        assert_eq!(differences(row(libc::EPIPE).at_most(), &again), ["errnos"]);
        let unnamed = measured(libc::EAGAIN, 1);
        let both = ["sum of errnos", "errnos"];
        assert_eq!(differences(row(libc::EAGAIN), &unnamed), both);
    }

    #[test]
    fn a_missing_row_is_a_difference() {
        assert_eq!(
            names(&compare(&[read()], &process(vec![]), Strictness::Measured)),
            ["ops", "moved", "copied_to_user"]
        );
    }

    #[test]
    fn an_extra_row_is_a_difference_unless_it_is_a_fault() {
        let extra = |op, object| {
            process(vec![
                path("read", "pipe", "measured", read().totals),
                path(op, object, "measured", Totals::default()),
            ])
        };
        for strictness in [Strictness::Measured, TRACEPOINTS] {
            assert_eq!(
                names(&compare(&[read()], &extra("write", "pipe"), strictness)),
                ["row"]
            );
            assert_eq!(
                compare(&[read()], &extra("fault.cow", "anon"), strictness),
                []
            );
            let rows = [read(), ExpectedRow::anything_else()];
            assert_eq!(compare(&rows, &extra("write", "pipe"), strictness), []);
        }
    }

    #[test]
    fn evidence_counts_for_functions_only() {
        let measured = process(vec![path("read", "pipe", "inferred", read().totals)]);
        assert_eq!(
            names(&compare(&[read()], &measured, Strictness::Measured)),
            ["evidence"]
        );
        for wanted in [Wanted::Inferred, Wanted::Any] {
            let row = read().evidence(wanted);
            assert_eq!(compare(&[row], &measured, Strictness::Measured), []);
        }
        assert_eq!(compare(&[read()], &measured, TRACEPOINTS), []);
    }

    #[test]
    fn rows_of_both_evidences_are_added_up() {
        let half = ExpectedRow::new(Op::Read, "pipe")
            .ops(1)
            .class(Class::CopiedToUser, 50)
            .totals;
        let measured = process(vec![
            path("read", "pipe", "measured", half),
            path("read", "pipe", "inferred", half),
        ]);
        let row = read().evidence(Wanted::Any);
        assert_eq!(compare(&[row], &measured, Strictness::Measured), []);
    }

    #[test]
    fn tracepoints_may_not_know_but_may_not_be_wrong() {
        let unknown = ExpectedRow::new(Op::Read, "pipe")
            .ops(2)
            .class(Class::CopiedToUser, 40)
            .class(Class::Unexplained, 60);
        let measured = process(vec![path("read", "pipe", "inferred", unknown.totals)]);
        assert_eq!(compare(&[read()], &measured, TRACEPOINTS), []);

        let wrong = ExpectedRow::new(Op::Read, "pipe")
            .ops(2)
            .class(Class::CopiedToUser, 40)
            .class(Class::Direct, 60);
        let measured = process(vec![path("read", "pipe", "inferred", wrong.totals)]);
        assert_eq!(
            names(&compare(&[read()], &measured, TRACEPOINTS)),
            ["direct"]
        );
    }

    #[test]
    fn upper_bounds() {
        let row = |pages: u64| ExpectedRow::new(Op::FaultCow, "anon").ops(pages);
        let measured = process(vec![path("fault.cow", "anon", "measured", row(12).totals)]);
        for (bound, differences) in [(12, vec![]), (11, vec!["ops"])] {
            let demanded = [row(bound).at_most()];
            let found = compare(&demanded, &measured, Strictness::Measured);
            assert_eq!(names(&found), differences);
        }
    }

    #[test]
    fn lower_bounds() {
        let row = |pages: u64| {
            ExpectedRow::new(Op::FaultCow, "anon")
                .ops(pages)
                .cow(pages * 4096)
        };
        let measured = process(vec![path("fault.cow", "anon", "measured", row(12).totals)]);
        let demanded = |pages| [row(pages).at_least()];
        assert_eq!(compare(&demanded(10), &measured, Strictness::Measured), []);
        assert_eq!(
            names(&compare(&demanded(13), &measured, Strictness::Measured)),
            ["ops", "cow"]
        );
        let nothing = process(vec![]);
        let blind = Strictness::Inferred { faults: false };
        assert_eq!(compare(&demanded(13), &nothing, blind), []);
        assert_eq!(
            names(&compare(&demanded(13), &nothing, TRACEPOINTS)),
            ["ops"]
        );
    }
}
