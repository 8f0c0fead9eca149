//! What charts show of a step.

use std::time::Duration;

use zctrace_common::Op;

use super::{Sample, Step};
use crate::ledger::{End, Object, Snapshot};

/// What an interval's document adds to the charts.
#[must_use]
pub(in crate::tui) fn sample_of(interval: &Snapshot) -> Sample {
    let mut sample = Sample {
        step: Duration::from_nanos(interval.duration_ns),
        totals: interval.total,
        ..Sample::default()
    };
    for path in interval.processes.iter().flat_map(|process| &process.paths) {
        add_to_sample(
            &mut sample,
            path.op.known(),
            &path.object,
            &Step::of(&path.totals),
        );
    }
    sample
}

/// Adds the faults of a row and what they copied.
pub(super) fn add_to_sample(sample: &mut Sample, op: Option<Op>, object: &Object, step: &Step) {
    if matches!(op, Some(Op::FaultCow | Op::FaultMap)) {
        sample.faults = sample.faults.saturating_add(step.ops);
    }
    // Anonymous memory is shared by forks.
    let sum = match (op, object.sole()) {
        (Some(Op::ForkCow), _) | (Some(Op::FaultCow), Some(End::Anon)) => &mut sample.cow_forked,
        (Some(Op::FaultCow), _) => &mut sample.cow_written,
        _ => return,
    };
    *sum = sum.saturating_add(step.cow);
}
