//! What is exported: sums since the start, in a bounded number of series.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use super::{
    key::{Key, Labels, OTHER},
    slots::{News, Slots, owner},
    verdicts::Judged,
};
use crate::{
    claims::Claim,
    ledger::{CpuTime, Loss, Notified, Snapshot, Totals, Unfollowed},
    text::escape::printable,
};

/// Pairs of an operation and an errno with a series of their own.
const MOST_ERRNOS: usize = 256;

/// Sums since the start.
#[derive(Debug)]
pub struct Series {
    containers: bool,
    started: SystemTime,
    begun: Instant,
    read_at: Option<Instant>,
    interval: Duration,
    pub(super) kernel: String,
    pub(super) backend: String,
    pub(super) attached: u64,
    pub(super) refused: u64,
    /// Techniques of which nothing is seen: the catalog bounds them.
    pub(super) not_seen: Vec<&'static str>,
    pub(super) readings: u64,
    pub(super) slots: Slots,
    /// The claims of `--policy`.
    pub(super) claims: Vec<Judged>,
    /// Everything that `slots` has ever been given.
    pub(super) whole: Totals,
    /// Failed operations of all commands, by operation and errno.
    pub(super) errnos: BTreeMap<(String, String), u64>,
    /// Zero-copy sends of all commands that were notified, by operation: the ledger bounds them.
    pub(super) notified: BTreeMap<String, Notified>,
    /// Processor time of all processes by what was done in it, kernel copying apart.
    pub(super) cpu: CpuTime,
    /// That part of it in which the kernel copied.
    pub(super) copy_cpu: f64,
    /// Kernel threads together.
    pub(super) unattributed: Totals,
    pub(super) loss: Loss,
    pub(super) pushed: u64,
    pub(super) push_failures: u64,
    pub(super) push_dropped: u64,
}

/// Shared by the tracer, the server and the pusher. Nobody holds it while waiting for the network.
pub type Shared = Arc<Mutex<Series>>;

/// The series, whatever became of a thread that had them.
pub(super) fn lock(shared: &Shared) -> MutexGuard<'_, Series> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Series {
    /// No sums yet; at most `most` data paths get series of their own, those of each container where
    /// `containers` is set.
    #[must_use]
    pub fn new(most: usize, containers: bool, interval: Duration) -> Self {
        Self {
            containers,
            started: SystemTime::now(),
            begun: Instant::now(),
            read_at: None,
            interval,
            kernel: String::new(),
            backend: String::new(),
            attached: 0,
            refused: 0,
            not_seen: Vec::new(),
            readings: 0,
            slots: Slots::new(most, containers),
            claims: Vec::new(),
            whole: Totals::default(),
            errnos: BTreeMap::new(),
            notified: BTreeMap::new(),
            cpu: CpuTime::default(),
            copy_cpu: 0.0,
            unattributed: Totals::default(),
            loss: Loss::default(),
            pushed: 0,
            push_failures: 0,
            push_dropped: 0,
        }
    }

    /// The same, with claims to judge at every reading.
    #[must_use]
    pub fn with_claims(mut self, claims: Vec<Claim>) -> Self {
        self.claims = claims.into_iter().map(Judged::of).collect();
        self
    }

    /// Adds what happened in an interval.
    pub fn add(&mut self, snapshot: &Snapshot) {
        self.readings += 1;
        self.read_at = Some(Instant::now());
        self.kernel.clone_from(&snapshot.kernel);
        self.backend.clone_from(&snapshot.backend);
        self.attached = snapshot.coverage.attached.len() as u64;
        self.refused = snapshot.coverage.refused.len() as u64;
        let not_seen = snapshot.coverage.not_seen();
        self.not_seen = not_seen.iter().map(|technique| technique.name).collect();
        let mut news: BTreeMap<Key, News> = BTreeMap::new();
        for process in &snapshot.processes {
            if let Some(time) = process.cpu_seconds {
                self.cpu.add(&time);
                self.copy_cpu += process.copy_cpu_seconds.unwrap_or(0.0);
            }
            let container = self
                .containers
                .then(|| Labels::new(process.container.as_ref()));
            for path in &process.paths {
                let key = Key {
                    // A terminal may show the metrics, and a process chooses its name.
                    comm: printable(&process.comm),
                    op: path.op.to_string(),
                    object: path.object.to_string(),
                    evidence: path.evidence.to_string(),
                    container: container.clone(),
                };
                self.whole.add(&path.totals);
                news.entry(key)
                    .or_insert_with(|| News::of(owner(&process.cgroup)))
                    .add(&path.totals);
                for (errno, count) in path.errnos.iter() {
                    self.failed(path.op.to_string(), errno.to_string(), count);
                }
                if !path.notified.is_empty() {
                    let sum = self.notified.entry(path.op.to_string()).or_default();
                    sum.add(&path.notified);
                }
            }
        }
        self.slots.add(news);
        for claim in &mut self.claims {
            claim.judge(snapshot);
        }
        for work in &snapshot.unattributed {
            self.unattributed.add(&work.totals);
        }
        self.loss.add(&snapshot.loss);
    }

    /// A FUSE server can answer with any errno, so their number is bounded too.
    fn failed(&mut self, op: String, errno: String, count: u64) {
        let key = (op, errno);
        let key = if self.errnos.len() < MOST_ERRNOS || self.errnos.contains_key(&key) {
            key
        } else {
            (OTHER.into(), OTHER.into())
        };
        let sum = self.errnos.entry(key).or_default();
        *sum = sum.saturating_add(count);
    }

    /// What could not be counted, by its kind.
    pub(super) const fn lost(&self) -> [(&'static str, u64); 2] {
        [
            ("map_full", self.loss.map_full),
            ("missed_runs", self.loss.missed_runs),
        ]
    }

    /// Seconds of processor time by what was done in them.
    pub(super) fn cpu(&self) -> Vec<(&'static str, f64)> {
        // A sample can be in one and not yet in the other.
        let copying = self.copy_cpu.min(self.cpu.kernel);
        let kernel = [
            ("kernel_copying", copying),
            ("kernel_other", self.cpu.kernel - copying),
        ];
        let user = self.cpu.parts().into_iter().skip(1);
        kernel.into_iter().chain(user).collect()
    }

    /// Calls that nothing follows on this kernel, by their kind.
    pub(super) const fn unfollowed(&self) -> [(&'static str, u64); 5] {
        let Unfollowed {
            io_submit,
            compat,
            rings,
            requests,
            begun,
            begun_bytes: _,
        } = self.loss.unfollowed_calls;
        [
            ("io_submit", io_submit),
            ("compat", compat),
            ("rings", rings),
            ("requests", requests),
            ("begun", begun),
        ]
    }

    /// Whether something was read at all.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        self.read_at.is_some()
    }

    /// Whether readings come as they should. By the monotonic clock: the other one can jump.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        const GRACE: Duration = Duration::from_secs(10);
        self.read_at
            .is_none_or(|at| at.elapsed() < self.interval * 3 + GRACE)
    }

    /// When counting began, in nanoseconds since the epoch, for a document of this time. A clock that
    /// was set back behind the start has moved the start too: nothing ends before it begins.
    pub(super) fn started_ns(&self, now_ns: u64) -> u64 {
        let started = since_epoch(self.started);
        if now_ns >= started {
            return started;
        }
        let elapsed = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        now_ns.saturating_sub(elapsed)
    }
}

pub(super) fn since_epoch(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Container, Errno, samples};

    #[test]
    fn names_without_bound_make_no_series_without_bound() {
        let mut series = Series::new(10, false, Duration::from_secs(1));
        let mut moved = 0;
        for number in 0..10_000 {
            let mut snapshot = samples::normal();
            for process in &mut snapshot.processes {
                process.comm = format!("worker-{number}");
                moved += process.total.moved;
            }
            series.add(&snapshot);
        }
        assert_eq!(series.slots.rows().count(), 11, "ten, and the others");
        assert_eq!(series.whole.moved, moved, "nothing is lost by that");
    }

    #[test]
    fn the_container_is_a_label_when_it_was_asked_for() {
        let id = "0f3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e";
        let mut snapshot = samples::normal();
        snapshot.processes[0].container = Some(Container {
            id: id.into(),
            name: Some("we\u{1b}b".into()),
            ..Container::default()
        });
        let labels = |containers| {
            let mut series = Series::new(10, containers, Duration::from_secs(1));
            series.add(&snapshot);
            let keys: Vec<_> = series.slots.rows().map(|(key, ..)| key.labels()).collect();
            keys
        };
        assert!(labels(false).iter().all(|labels| labels.len() == 4));
        let with = labels(true);
        assert!(with.iter().all(|labels| labels.len() == 8));
        let of = |id: &str| {
            with.iter()
                .find(|labels| labels[4].1 == id)
                .expect("a series")
        };
        assert_eq!(of(id)[5], ("container", "we\\x1bb".into()), "made safe");
        assert!(of("")[4..].iter().all(|(_, value)| value.is_empty()));
    }

    #[test]
    fn pods_that_come_again_make_no_series_without_bound() {
        let mut series = Series::new(10, true, Duration::from_secs(1));
        let mut moved = 0;
        for number in 0..1000 {
            let mut snapshot = samples::normal();
            for process in &mut snapshot.processes {
                process.container = Some(Container {
                    id: format!("{number:064x}"),
                    ..Container::default()
                });
                moved += process.total.moved;
            }
            series.add(&snapshot);
        }
        assert_eq!(series.slots.rows().count(), 11, "ten, and the others");
        assert_eq!(series.whole.moved, moved, "nothing is lost by that");
    }

    #[test]
    fn errnos_without_bound_make_no_series_without_bound() {
        let mut series = Series::new(10, false, Duration::from_secs(1));
        for number in 1..=4095 {
            let mut snapshot = samples::normal();
            snapshot.processes.truncate(1);
            snapshot.processes[0].paths.truncate(1);
            let path = &mut snapshot.processes[0].paths[0];
            path.errnos = [(Errno::new(number), 2)].into_iter().collect();
            series.add(&snapshot);
        }
        assert_eq!(series.errnos.len(), MOST_ERRNOS + 1, "and the others");
        let sum: u64 = series.errnos.values().sum();
        assert_eq!(sum, 2 * 4095, "nothing is lost by that");
    }

    #[test]
    fn counting_never_begins_after_now() {
        let series = Series::new(10, false, Duration::from_secs(1));
        let now = since_epoch(SystemTime::now());
        assert!(series.started_ns(now) <= now);
        assert_eq!(series.started_ns(now), series.started_ns(now + 1));
        let hour = 3_600_000_000_000;
        assert!(series.started_ns(now - hour) <= now - hour);
        assert_eq!(series.started_ns(0), 0);
    }

    #[test]
    fn ready_after_the_first_reading() {
        let mut series = Series::new(10, false, Duration::from_secs(1));
        assert!(!series.is_ready());
        series.add(&samples::normal());
        assert!(series.is_ready() && series.is_healthy());
    }
}
