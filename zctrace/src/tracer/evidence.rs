//! A class without copies is measured only if every place that could have copied was watched.

use std::collections::BTreeSet;

use zctrace_common::Evidence;

use super::{Attempt, Reading};
use crate::{
    catalog::{Family, Role},
    ledger::Totals,
};

/// Families with a place to copy that this kernel has and that is not watched.
pub(super) fn gaps(attempts: &[Attempt]) -> BTreeSet<Family> {
    attempts
        .iter()
        .filter(|attempt| attempt.probe.role == Role::CopySite && attempt.is_gap())
        .map(|attempt| attempt.probe.family)
        .collect()
}

/// Marks rows without copies as inferred where copies could have gone unseen.
pub(super) fn weaken(reading: &mut Reading, gaps: &BTreeSet<Family>) {
    let lost = reading.loss.map_full + reading.loss.missed_runs + reading.loss.ring_dropped > 0;
    for path in reading
        .processes
        .iter_mut()
        .flat_map(|process| &mut process.paths)
    {
        let unseen = || families(&path.op, &path.object).any(|family| gaps.contains(&family));
        if has_no_copy_class(&path.totals) && (lost || unseen()) {
            path.evidence = Evidence::Inferred.name().into();
        }
    }
    for claimed in reading
        .processes
        .iter_mut()
        .flat_map(|process| &mut process.claims)
    {
        let unseen = || families(&claimed.op, &claimed.object).any(|family| gaps.contains(&family));
        if has_no_copy_class(&claimed.totals) && (lost || unseen()) {
            claimed.evidence = Evidence::Inferred.name().to_owned();
        }
    }
}

fn has_no_copy_class(totals: &Totals) -> bool {
    totals.spliced + totals.direct + totals.cloned > 0
}

/// The families whose copies a path can meet.
fn families(op: &str, object: &str) -> impl Iterator<Item = Family> {
    let lends = matches!(op, "send.zerocopy" | "uring.send_zc" | "uring.sendmsg_zc");
    let has = |part: &str| {
        object
            .split("->")
            .any(|end| end.split(':').next() == Some(part))
    };
    let sockets = ["tcp", "udp", "unix", "vsock", "socket"];
    [
        (has("file") || has("block") || has("char"), Family::File),
        (has("pipe"), Family::Pipe),
        (sockets.iter().any(|socket| has(socket)), Family::Socket),
        (object == "socket:xdp", Family::Xdp),
        (lends, Family::Zerocopy),
    ]
    .into_iter()
    .filter_map(|(touched, family)| touched.then_some(family))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Path, Process};

    fn reading(object: &str, totals: Totals) -> Reading {
        let path = Path {
            op: "sendfile".into(),
            object: object.into(),
            evidence: "measured".into(),
            by: None,
            totals,
        };
        let process = Process::from_paths(1, 0, "x".into(), "/".into(), vec![path]);
        Reading {
            processes: vec![process],
            ..Reading::default()
        }
    }

    fn evidence(mut reading: Reading, gaps: &[Family]) -> String {
        weaken(&mut reading, &gaps.iter().copied().collect());
        reading.processes[0].paths[0].evidence.to_string()
    }

    #[test]
    fn an_unwatched_copy_site_on_the_path_weakens_a_row_without_copies() {
        let spliced = Totals {
            moved: 1,
            spliced: 1,
            ..Totals::default()
        };
        let row = || reading("file:ext4->tcp", spliced);
        assert_eq!(evidence(row(), &[]), "measured");
        assert_eq!(evidence(row(), &[Family::Socket]), "inferred");
        assert_eq!(evidence(row(), &[Family::File]), "inferred");
        assert_eq!(evidence(row(), &[Family::Vm]), "measured");
    }

    #[test]
    fn a_copy_that_was_seen_is_measured_whatever_else_was_not() {
        let copied = Totals {
            moved: 1,
            copied_in_kernel: 1,
            ..Totals::default()
        };
        assert_eq!(
            evidence(reading("file:ext4->tcp", copied), &[Family::File]),
            "measured"
        );
    }

    #[test]
    fn loss_weakens_every_row_without_copies() {
        let spliced = Totals {
            moved: 1,
            spliced: 1,
            ..Totals::default()
        };
        let mut row = reading("pipe->pipe", spliced);
        row.loss.missed_runs = 1;
        assert_eq!(evidence(row, &[]), "inferred");
    }
}
