//! A class without copies is measured only if every place that could have copied was watched, all the
//! time.

use std::{
    collections::{BTreeSet, HashMap},
    fs, mem,
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

use zctrace_common::{Evidence, Op};

use super::{Attempt, Reading, claims, rows};
use crate::{
    catalog::{Family, Role},
    kernel::TICK_NS,
    ledger::{End, Loss, Named, Object, RowSizes, Totals},
};

/// Families with a place to copy that this kernel has and that is not watched.
pub(super) fn gaps(attempts: &[Attempt]) -> BTreeSet<Family> {
    attempts
        .iter()
        .filter(|attempt| attempt.probe.role == Role::CopySite && attempt.is_gap())
        .map(|attempt| attempt.probe.family)
        .collect()
}

/// Until when something was lost. Which process a lost run was for is not known, but it was there.
#[derive(Debug, Default)]
pub(super) struct LossTime {
    /// What was lost until then.
    total: u64,
    /// Clock ticks since boot, as [`crate::ledger::Process::start_time`]; `None` without loss.
    last: Option<u64>,
}

impl LossTime {
    /// Notes what was lost by now.
    pub(super) fn note(&mut self, loss: &Loss) {
        self.note_at(loss, ticks_since_boot);
    }

    fn note_at(&mut self, loss: &Loss, now: impl Fn() -> u64) {
        if loss.lost() > self.total {
            self.total = loss.lost();
            self.last = Some(now());
        }
    }

    /// Whether a process that started then may miss some.
    fn concerns(&self, start_time: u64) -> bool {
        self.last.is_some_and(|last| start_time <= last)
    }
}

/// What the kernel's clock of process starts says. A time namespace may have shifted this process's.
fn ticks_since_boot() -> u64 {
    let Ok(now) = clock_gettime(ClockId::CLOCK_BOOTTIME) else {
        return u64::MAX;
    };
    let offsets = fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
    let now = i128::try_from(Duration::from(now).as_nanos()).unwrap_or(i128::MAX);
    let ticks = (now - boot_offset(&offsets)) / i128::from(TICK_NS);
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Nanoseconds that a time namespace adds to the time since boot: seconds and nanoseconds in the line
/// `boottime` of `/proc/self/timens_offsets`.
fn boot_offset(offsets: &str) -> i128 {
    let line = offsets
        .lines()
        .find_map(|line| line.strip_prefix("boottime"));
    let mut numbers = line
        .unwrap_or_default()
        .split_whitespace()
        .map(|number| number.parse::<i128>().unwrap_or(0));
    let (seconds, ns) = (numbers.next(), numbers.next());
    seconds.unwrap_or(0) * 1_000_000_000 + ns.unwrap_or(0)
}

/// Marks rows without copies as inferred where copies could have gone unseen.
pub(super) fn weaken(reading: &mut Reading, gaps: &BTreeSet<Family>, losses: &LossTime) {
    let mut sizes: HashMap<_, Vec<&mut RowSizes>> = HashMap::new();
    for row in &mut reading.sizes {
        let rows = sizes.entry((row.pid, row.start_time)).or_default();
        rows.push(row);
    }
    for process in &mut reading.processes {
        let lost = losses.concerns(process.start_time);
        let is_weak = |op: &Named<Op>, object: &Object, totals: &Totals| {
            let unseen = || families(op.known(), object).any(|family| gaps.contains(&family));
            has_no_copy_class(totals) && (lost || unseen())
        };
        let mut sizes = sizes.get_mut(&(process.pid, process.start_time));
        let mut weakened = false;
        for path in &mut process.paths {
            if path.evidence != Evidence::Inferred && is_weak(&path.op, &path.object, &path.totals)
            {
                path.evidence = Evidence::Inferred.into();
                weakened = true;
                let sizes = sizes.iter_mut().flat_map(|sizes| sizes.iter_mut());
                sizes
                    .filter(|row| row.is_of(path))
                    .for_each(|row| row.evidence = Evidence::Inferred);
            }
        }
        for claimed in &mut process.claims {
            if claimed.evidence != Evidence::Inferred
                && is_weak(&claimed.op, &claimed.object, &claimed.totals)
            {
                claimed.evidence = Evidence::Inferred.into();
                weakened = true;
            }
        }
        if weakened {
            rows::merge_equal(&mut process.paths);
            process.claims = claims::merged(mem::take(&mut process.claims));
        }
    }
}

fn has_no_copy_class(totals: &Totals) -> bool {
    totals.spliced + totals.direct + totals.cloned + totals.mapped > 0
}

/// The families whose copies a path can meet.
fn families(op: Option<Op>, object: &Object) -> impl Iterator<Item = Family> {
    let passes_pages =
        op.is_some_and(Op::splices) && matches!(object.joined(), Some((_, End::Tcp | End::Udp)));
    let lends = passes_pages || op.is_some_and(Op::lends);
    let is_file = |end: End<'_>| end.is_stored() || matches!(end, End::Char(_));
    [
        (object.has(is_file), Family::File),
        (object.has(|end| end == End::Pipe), Family::Pipe),
        (object.has(End::is_socket), Family::Socket),
        (object.is(End::Socket("xdp")), Family::Xdp),
        (lends, Family::Zerocopy),
        (op == Some(Op::FaultMap), Family::Fault),
    ]
    .into_iter()
    .filter_map(|(touched, family)| touched.then_some(family))
}

#[cfg(test)]
mod tests {
    use zctrace_common::Sizes;

    use super::*;
    use crate::ledger::{Errnos, Notified, Path, Process};

    fn reading(object: &str, totals: Totals) -> Reading {
        let path = Path {
            op: "sendfile".into(),
            object: object.into(),
            evidence: "measured".into(),
            by: None,
            errnos: Errnos::default(),
            notified: Notified::default(),
            totals,
        };
        let process = Process::from_paths(1, 70, "x".into(), "/".into(), vec![path]);
        Reading {
            processes: vec![process],
            ..Reading::default()
        }
    }

    fn spliced() -> Totals {
        Totals {
            moved: 1,
            spliced: 1,
            ..Totals::default()
        }
    }

    fn evidence(mut reading: Reading, gaps: &[Family]) -> String {
        weaken(
            &mut reading,
            &gaps.iter().copied().collect(),
            &LossTime::default(),
        );
        reading.processes[0].paths[0].evidence.to_string()
    }

    #[test]
    fn an_unwatched_copy_site_on_the_path_weakens_a_row_without_copies() {
        let row = || reading("file:ext4->tcp", spliced());
        assert_eq!(evidence(row(), &[]), "measured");
        assert_eq!(evidence(row(), &[Family::Socket]), "inferred");
        assert_eq!(evidence(row(), &[Family::File]), "inferred");
        assert_eq!(evidence(row(), &[Family::Zerocopy]), "inferred");
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
    fn what_is_inferred_now_is_one_row_with_what_was() {
        let mut two = reading("pipe->pipe", spliced());
        let mut other = two.processes[0].paths[0].clone();
        other.evidence = Evidence::Inferred.into();
        two.processes[0].paths.push(other);
        let sizes = |pid| RowSizes {
            pid,
            start_time: 70,
            op: Op::Sendfile,
            object: "pipe->pipe".into(),
            evidence: Evidence::Measured,
            by: None,
            sizes: Sizes::ZERO,
        };
        two.sizes = vec![sizes(1), sizes(2)];
        weaken(
            &mut two,
            &BTreeSet::from([Family::Pipe]),
            &LossTime::default(),
        );
        let [path] = &two.processes[0].paths[..] else {
            panic!("{:?}", two.processes[0].paths);
        };
        assert_eq!((path.evidence.as_str(), path.totals.moved), ("inferred", 2));
        let sizes: Vec<_> = two.sizes.iter().map(|row| row.evidence).collect();
        assert_eq!(
            sizes,
            [Evidence::Inferred, Evidence::Measured],
            "its own sizes go with it"
        );
    }

    #[test]
    fn mapped_pages_are_weak_where_private_copies_go_unseen() {
        let mapped = Totals {
            moved: 1,
            mapped: 1,
            ..Totals::default()
        };
        let mut row = reading("file:ext4", mapped);
        row.processes[0].paths[0].op = "fault.map".into();
        assert_eq!(evidence(row.clone(), &[]), "measured");
        assert_eq!(evidence(row, &[Family::Fault]), "inferred");
    }

    #[test]
    fn loss_weakens_rows_without_copies_of_the_processes_that_were_there() {
        let missed = |missed_runs| Loss {
            missed_runs,
            ..Loss::default()
        };
        let evidence = |losses: &LossTime| {
            let mut row = reading("pipe->pipe", spliced());
            weaken(&mut row, &BTreeSet::new(), losses);
            row.processes[0].paths[0].evidence.to_string()
        };
        let mut losses = LossTime::default();
        losses.note_at(&missed(0), || 69);
        assert_eq!(evidence(&losses), "measured");
        losses.note_at(&missed(1), || 69);
        assert_eq!(evidence(&losses), "measured", "it started later");
        losses.note_at(&missed(1), || 80);
        assert_eq!(evidence(&losses), "measured", "no more than before");
        losses.note_at(&missed(2), || 70);
        assert_eq!(evidence(&losses), "inferred");
        losses.note_at(&missed(3), || 80);
        assert_eq!(evidence(&losses), "inferred");
    }

    #[test]
    fn a_time_namespace_shifts_the_time_since_boot() {
        let offsets = "monotonic           0         0\nboottime           -2         500000000\n";
        assert_eq!(boot_offset(offsets), -1_500_000_000);
        assert_eq!(boot_offset(""), 0);
    }

    /// This test's own process started before now, and not long ago.
    #[test]
    fn ticks_are_those_of_proc() {
        let stat = fs::read_to_string("/proc/self/stat").expect("proc");
        let (_, rest) = stat.rsplit_once(')').expect("a name");
        let start: u64 = rest
            .split_whitespace()
            .nth(19)
            .expect("field 22")
            .parse()
            .expect("a number");
        let now = ticks_since_boot();
        assert!(start <= now && now - start < 360_000, "{start} {now}");
    }
}
