//! What was counted between two readings.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use zctrace_common::{Evidence, Op};

use super::{
    Claimed, Errnos, Loss, Named, NotFollowed, Notified, Object, Overhead, Path, Process, Stacks,
    Totals, Unattributed, audit::Counts,
};

/// The counted part of a document. Everything is cumulative from the moment of attaching, but
/// [`Process::pending`] and [`Process::in_flight`], which are states.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    /// The processes, most moved first.
    pub processes: Vec<Process>,
    /// Work in kernel threads.
    pub unattributed: Vec<Unattributed>,
    /// The sum of the processes.
    pub total: Totals,
    /// What was lost.
    pub loss: Loss,
    /// What it cost.
    pub overhead: Overhead,
    /// What breakpoints on the copy routines counted.
    pub audit: Counts,
    /// Sampled stacks.
    pub stacks: Stacks,
}

impl Counted {
    /// Whether bytes are still on their way, or operations under way but for those that are
    /// `waiting`.
    #[must_use]
    pub fn is_unsettled(&self, waiting: u64) -> bool {
        let sum = |number: fn(&Process) -> u64| {
            self.processes
                .iter()
                .fold(0_u64, |sum, process| sum.saturating_add(number(process)))
        };
        sum(|process| process.pending) > 0 || sum(|process| process.in_flight) > waiting
    }

    /// What was counted after `earlier`: paths and processes in which nothing happened are left
    /// out, unless bytes are still pending or operations in flight there.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before: HashMap<_, _> = earlier
            .processes
            .iter()
            .map(|process| ((process.pid, process.start_time), process))
            .collect();
        let mut processes: Vec<_> = self
            .processes
            .iter()
            .map(
                |process| match before.get(&(process.pid, process.start_time)) {
                    Some(earlier) => process_since(process, earlier),
                    None => process.clone(),
                },
            )
            .filter(|process| {
                !process.total.is_empty()
                    || !process.claims.is_empty()
                    || process.pending != 0
                    || process.in_flight != 0
                    || !process.paths.is_empty()
                    || process.computes()
            })
            .collect();
        processes.sort_by_key(|process| Reverse(process.total.moved));

        // Of the processes: what had ended at the earlier reading may be left out of this one.
        let mut total = Totals::default();
        for process in &processes {
            total.add(&process.total);
        }

        let before: HashMap<_, _> = earlier
            .unattributed
            .iter()
            .map(|work| (work.thread.as_str(), &work.totals))
            .collect();
        let unattributed = self
            .unattributed
            .iter()
            .map(|work| Unattributed {
                thread: work.thread.clone(),
                totals: totals_since(&work.totals, before.get(work.thread.as_str()).copied()),
            })
            .filter(|work| !work.totals.is_empty())
            .collect();

        Self {
            processes,
            unattributed,
            total,
            loss: self.loss.clone().since(&earlier.loss),
            overhead: overhead_since(self.overhead, earlier.overhead),
            audit: self.audit.since(&earlier.audit),
            stacks: self.stacks.since(&earlier.stacks),
        }
    }
}

fn totals_since(now: &Totals, earlier: Option<&Totals>) -> Totals {
    let mut totals = *now;
    if let Some(earlier) = earlier {
        totals.subtract(earlier);
    }
    totals
}

fn process_since(now: &Process, earlier: &Process) -> Process {
    let before = before(&now.paths, &earlier.paths);
    let paths = now
        .paths
        .iter()
        .map(|path| {
            let mut gained = path.clone();
            if let Some((totals, errnos, notified)) = before.get(&key(path)) {
                gained.totals.subtract(totals);
                gained.errnos.subtract(errnos);
                gained.notified.subtract(notified);
            }
            gained
        })
        .filter(|path| !path.totals.is_empty() || !path.notified.is_empty())
        .collect();
    Process {
        processes: now.processes,
        ended_into: now.ended_into,
        pending: now.pending,
        in_flight: now.in_flight,
        copy_cpu_seconds: now
            .copy_cpu_seconds
            .map(|seconds| seconds - earlier.copy_cpu_seconds.unwrap_or(0.0)),
        cpu_seconds: now.cpu_seconds.map(|mut time| {
            time.subtract(&earlier.cpu_seconds.unwrap_or_default());
            time
        }),
        not_followed: not_followed_since(&now.not_followed, &earlier.not_followed),
        claims: claims_since(&now.claims, &earlier.claims),
        container: now.container.clone(),
        ..Process::from_paths(
            now.pid,
            now.start_time,
            now.comm.clone(),
            now.cgroup.clone(),
            paths,
        )
    }
}

fn not_followed_since(now: &[NotFollowed], earlier: &[NotFollowed]) -> Vec<NotFollowed> {
    let mut gained = now.to_vec();
    for one in &mut gained {
        if let Some(before) = earlier.iter().find(|before| before.call == one.call) {
            one.copy_cpu_seconds -= before.copy_cpu_seconds;
        }
    }
    gained.retain(|one| one.copy_cpu_seconds > 0.0);
    gained
}

/// What a row had counted before.
type Before = (Totals, Errnos, Notified);

/// What each row had counted before. A row that is no longer there has lost its evidence since
/// (`tracer/evidence.rs`) and went on in the inferred one.
fn before<'a>(now: &[Path], earlier: &'a [Path]) -> HashMap<Key<'a>, Before> {
    let goes_on: HashSet<_> = now.iter().map(key).collect();
    let mut before: HashMap<Key<'_>, Before> = HashMap::new();
    for path in earlier {
        let mut key = key(path);
        if !goes_on.contains(&key) {
            key.2 = &INFERRED;
        }
        let (totals, errnos, notified) = before.entry(key).or_default();
        totals.add(&path.totals);
        errnos.add(&path.errnos);
        notified.add(&path.notified);
    }
    before
}

fn claims_since(now: &[Claimed], earlier: &[Claimed]) -> Vec<Claimed> {
    now.iter()
        .map(|claimed| {
            let mut gained = claimed.clone();
            let is_before = |before: &&Claimed| {
                before.has_key_of(claimed)
                    || before.went_on_as(claimed)
                        && !now.iter().any(|other| before.has_key_of(other))
            };
            for before in earlier.iter().filter(is_before) {
                gained.totals.subtract(&before.totals);
                gained.notifications -= gained.notifications.min(before.notifications);
            }
            gained
        })
        .filter(|claimed| !claimed.totals.is_empty() || claimed.notifications != 0)
        .collect()
}

type Key<'a> = (
    &'a Named<Op>,
    &'a Object,
    &'a Named<Evidence>,
    Option<&'a str>,
);

static INFERRED: Named<Evidence> = Named::new(Evidence::Inferred);

fn key(path: &Path) -> Key<'_> {
    (&path.op, &path.object, &path.evidence, path.by.as_deref())
}

fn overhead_since(now: Overhead, earlier: Overhead) -> Overhead {
    let Overhead { bpf_runs, bpf_ns } = now;
    Overhead {
        bpf_runs: bpf_runs.saturating_sub(earlier.bpf_runs),
        bpf_ns: bpf_ns.map(|now| now.saturating_sub(earlier.bpf_ns.unwrap_or(0))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(ops: u64, moved: u64) -> Totals {
        let mut totals = Totals::default();
        totals.add(&Totals {
            ops,
            moved,
            copied_to_user: moved,
            ..Totals::default()
        });
        totals
    }

    fn path(op: &str, moved: u64) -> Path {
        Path {
            op: op.into(),
            object: "tcp".into(),
            evidence: "measured".into(),
            by: None,
            errnos: Errnos::default(),
            notified: Notified::default(),
            totals: totals(1, moved),
        }
    }

    fn process(pid: u32, start_time: u64, paths: Vec<Path>) -> Process {
        Process::from_paths(pid, start_time, "x".into(), "/".into(), paths)
    }

    fn counted(processes: Vec<Process>) -> Counted {
        let mut total = Totals::default();
        for process in &processes {
            total.add(&process.total);
        }
        Counted {
            processes,
            total,
            ..Counted::default()
        }
    }

    #[test]
    fn only_what_happened_in_between_is_left() {
        let earlier = counted(vec![
            process(1, 1, vec![path("recv", 100), path("read", 50)]),
            process(2, 1, vec![path("recv", 10)]),
        ]);
        let now = counted(vec![
            process(1, 1, vec![path("recv", 100), path("read", 75)]),
            process(2, 1, vec![path("recv", 10)]),
            process(3, 9, vec![path("recv", 30)]),
        ]);
        let difference = now.since(&earlier);
        let pids: Vec<_> = difference.processes.iter().map(|p| p.pid).collect();
        assert_eq!(pids, [3, 1], "most moved first, idle processes left out");
        let first = &difference.processes[1];
        assert_eq!(first.paths.len(), 1);
        assert_eq!(first.paths[0].op, "read");
        assert_eq!(first.paths[0].totals.moved, 25);
        assert_eq!(first.received, 25);
        assert_eq!(first.copies_per_received_byte, Some(1.0));
        assert_eq!(difference.total.moved, 55);
        assert_eq!(difference.total.copies_per_byte, Some(1.0));
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let earlier = counted(vec![process(1, 1, vec![path("recv", 100)])]);
        let now = counted(vec![process(1, 2, vec![path("recv", 40)])]);
        assert_eq!(now.since(&earlier).processes[0].total.moved, 40);
    }

    /// A loss takes the evidence of all that a row has counted away.
    #[test]
    fn what_a_row_counted_before_it_lost_its_evidence_is_not_counted_again() {
        let with = |evidence: &str, moved| Path {
            evidence: evidence.into(),
            ..path("sendfile", moved)
        };
        let earlier = counted(vec![process(
            1,
            1,
            vec![with("measured", 1000), with("inferred", 50)],
        )]);
        let now = counted(vec![process(1, 1, vec![with("inferred", 1057)])]);
        let difference = now.since(&earlier);
        assert_eq!(difference.total.moved, 7);
        assert_eq!(difference.processes[0].paths[0].evidence, "inferred");

        let part = |evidence: &str, moved| Claimed {
            evidence: evidence.into(),
            ..claimed(moved, 0)
        };
        let of = |paths, claims| {
            let mut process = process(1, 1, paths);
            process.claims = claims;
            counted(vec![process])
        };
        let earlier = of(
            vec![with("measured", 1000)],
            vec![part("measured", 1000), part("inferred", 50)],
        );
        let now = of(vec![with("inferred", 1000)], vec![part("inferred", 1057)]);
        let difference = now.since(&earlier);
        assert_eq!(difference.processes[0].claims[0].totals.moved, 7);
    }

    fn claimed(moved: u64, notifications: u64) -> Claimed {
        Claimed {
            op: "send.zerocopy".into(),
            object: "tcp".into(),
            evidence: "measured".into(),
            claims: vec!["zerocopy".into()],
            device: None,
            notifications,
            totals: totals(u64::from(moved != 0), moved),
        }
    }

    #[test]
    fn claims_are_subtracted_like_paths() {
        let of = |claims: Vec<Claimed>| {
            let mut process = process(1, 1, vec![path("send.zerocopy", 100)]);
            process.claims = claims;
            counted(vec![process])
        };
        let earlier = of(vec![claimed(60, 1)]);
        let difference = of(vec![claimed(100, 3)]).since(&earlier);
        assert_eq!(difference.processes[0].claims[0].totals.moved, 40);
        assert_eq!(difference.processes[0].claims[0].notifications, 2);
        assert!(earlier.since(&earlier).processes.is_empty());
        // A notification alone is news.
        let difference = of(vec![claimed(60, 2)]).since(&earlier);
        assert_eq!(difference.processes[0].claims[0].notifications, 1);
    }

    #[test]
    fn a_state_is_not_subtracted() {
        let mut one = process(1, 1, vec![path("send", 100)]);
        one.pending = 7;
        let earlier = counted(vec![one.clone()]);
        let difference = counted(vec![one]).since(&earlier);
        assert_eq!(difference.processes[0].pending, 7);
        assert!(difference.processes[0].paths.is_empty());
    }
}
