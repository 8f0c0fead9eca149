//! What tracepoints say of a process, compared with what functions say of one that did the same.

use std::{collections::BTreeMap, fmt};

use zctrace_common::{Class, Op};

use crate::{
    catalog::conclusion,
    ledger::{Errno, Errnos, Named, Object, Process, Totals},
};

/// A row for which the tracepoints backend says something else than the functions backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Name of the operation.
    pub op: Named<Op>,
    /// What it works on.
    pub object: Object,
    /// The fields in which they differ.
    pub fields: Vec<&'static str>,
    /// What is said of it.
    pub what: String,
}

/// Contradictions that have the same reason, presumably: operation, object and fields.
pub type Kind = (Named<Op>, Object, Vec<&'static str>);

impl Contradiction {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        (self.op.clone(), self.object.clone(), self.fields.clone())
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            op,
            object,
            fields: _,
            what,
        } = self;
        write!(f, "{op} {object}: {what}")
    }
}

type Rows = BTreeMap<(Named<Op>, Object), (Totals, Errnos)>;

/// The rows of a process without their evidence; those of page faults are seen by functions only.
fn rows(process: &Process) -> Rows {
    let mut rows = Rows::new();
    for path in process.paths.iter().filter(|path| !path.op.is_fault()) {
        let key = (path.op.clone(), path.object.clone());
        let (totals, errnos) = rows.entry(key).or_default();
        totals.add(&path.totals);
        errnos.add(&path.errnos);
        forget_restarts(totals, errnos);
    }
    rows
}

/// A call that a signal, or task work of io_uring, interrupted before it did anything is begun again by
/// the kernel: when that happens is chance.
fn forget_restarts(totals: &mut Totals, errnos: &mut Errnos) {
    const RESTARTS: [u32; 4] = [512, 513, 514, 516];
    for errno in RESTARTS.map(Errno::new) {
        let count = errnos.get(errno);
        totals.ops -= count;
        totals.errors -= count;
        errnos.subtract(&[(errno, count)].into_iter().collect());
    }
}

/// What one process did, as both backends saw it: where the second contradicts the first, and where it
/// says more.
#[must_use]
pub fn compare(
    functions: &Process,
    tracepoints: &Process,
) -> (Vec<Contradiction>, Vec<Contradiction>) {
    let (functions, tracepoints) = (rows(functions), rows(tracepoints));
    let (mut wrong, mut more) = (Vec::new(), Vec::new());
    let keys = functions.keys().chain(
        tracepoints
            .keys()
            .filter(|key| !functions.contains_key(key)),
    );
    let none = Default::default();
    for key in keys {
        let (seen, seen_errnos) = functions.get(key).unwrap_or(&none);
        let (said, said_errnos) = tracepoints.get(key).unwrap_or(&none);
        let note = |list: &mut Vec<_>, fields, what| {
            list.push(Contradiction {
                op: key.0.clone(),
                object: key.1.clone(),
                fields,
                what,
            });
        };
        if seen_errnos != said_errnos {
            let what = format!("errnos: functions {seen_errnos}, tracepoints {said_errnos}");
            note(&mut wrong, vec!["errnos"], what);
        }
        for (name, seen, said) in [
            ("ops", seen.ops, said.ops),
            ("errors", seen.errors, said.errors),
            ("moved", seen.moved, said.moved),
        ] {
            if seen != said {
                let what = format!("{name}: functions {seen}, tracepoints {said}");
                note(&mut wrong, vec![name], what);
            }
        }
        let mut surplus = 0;
        let (mut fields, mut which) = (Vec::new(), Vec::new());
        let classes = seen.classes().into_iter().zip(said.classes());
        for (class, ((name, seen), (_, said))) in Class::ALL.into_iter().zip(classes) {
            if class == Class::Unexplained {
                continue;
            }
            if said > 0 && !key.0.is(|op| conclusion::is_concluded(op, &key.1, class)) {
                let what = format!("{name}: no row in the table of conclusions has it");
                note(&mut wrong, vec![name, "table"], what);
            }
            if said > seen {
                surplus += said - seen;
                fields.push(name);
                which.push(format!("{name}: functions {seen}, tracepoints {said}"));
            }
        }
        if surplus > seen.unexplained {
            note(&mut wrong, fields, which.join("; "));
        } else if surplus > 0 {
            note(&mut more, fields, which.join("; "));
        }
        for ((name, seen), (_, said)) in seen.extras().into_iter().zip(said.extras()) {
            if said > seen {
                let what = format!("{name}: functions {seen}, tracepoints {said}");
                note(&mut wrong, vec![name], what);
            }
        }
    }
    (wrong, more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Path;

    fn process(totals: Totals) -> Process {
        let path = Path {
            op: "sendfile".into(),
            object: "file:ext4->unix".into(),
            evidence: "measured".into(),
            by: None,
            errnos: Errnos::default(),
            notified: crate::ledger::Notified::default(),
            totals,
        };
        Process::from_paths(1, 1, "hunt".into(), "/".into(), vec![path])
    }

    fn moved(set: impl Fn(&mut Totals)) -> Process {
        let mut totals = Totals {
            ops: 1,
            moved: 100,
            ..Totals::default()
        };
        set(&mut totals);
        process(totals)
    }

    #[test]
    fn less_is_no_contradiction() {
        let functions = moved(|totals| totals.copied_in_kernel = 100);
        let tracepoints = moved(|totals| totals.unexplained = 100);
        assert_eq!(compare(&functions, &tracepoints), (vec![], vec![]));
    }

    #[test]
    fn another_class_is_one() {
        let functions = moved(|totals| totals.copied_in_kernel = 100);
        let tracepoints = moved(|totals| totals.spliced = 100);
        let (wrong, more) = compare(&functions, &tracepoints);
        assert_eq!((wrong.len(), more.len()), (1, 0));
        assert_eq!(wrong[0].what, "spliced: functions 0, tracepoints 100");
    }

    #[test]
    fn what_functions_leave_open_can_be_said() {
        let functions = moved(|totals| totals.unexplained = 100);
        let tracepoints = moved(|totals| totals.spliced = 100);
        let (wrong, more) = compare(&functions, &tracepoints);
        assert_eq!((wrong.len(), more.len()), (0, 1));
    }

    #[test]
    fn numbers_are_equal() {
        let functions = moved(|totals| totals.spliced = 100);
        let tracepoints = moved(|totals| {
            totals.spliced = 100;
            totals.ops = 2;
        });
        assert_eq!(compare(&functions, &tracepoints).0.len(), 1);
        let nothing = Process::from_paths(1, 1, "hunt".into(), "/".into(), vec![]);
        assert!(!compare(&functions, &nothing).0.is_empty());
        assert!(!compare(&nothing, &functions).0.is_empty());
    }
}
