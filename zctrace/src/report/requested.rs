//! How the asynchronous requests of a recording were issued, and how those of io_uring were batched, by command.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

use serde::{Deserialize, Serialize};
use zctrace_common::{Cause, Op};

use crate::{
    ledger::{MOST_COMMANDS, OTHER_COMMANDS, Snapshot, Ways},
    recording::Beside,
    text::escape,
};

/// The requests of the processes with one command name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Requested {
    /// The command name.
    pub comm: String,
    /// By operation.
    pub operations: Vec<Issued>,
    /// Requests that the kernel took out of submission queues of io_uring.
    pub taken: u64,
    /// How often it took some.
    pub submissions: u64,
    /// How often threads began to wait for completions.
    pub waits: u64,
    /// `taken` over `submissions`; `None` where there were none.
    pub per_submission: Option<f64>,
    /// Operations of io_uring that completed over `waits`; `None` where there were none.
    pub per_wait: Option<f64>,
}

/// The requests of one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The operation.
    pub op: String,
    /// Requests that were issued at least once.
    pub submitted: u64,
    /// Completed ones that the submitting thread issued while it submitted them.
    pub inline: u64,
    /// Completed ones that a worker thread issued.
    pub worker: u64,
    /// Completed ones that the thread that polls the submission queue issued.
    pub sq_poll: u64,
    /// Completed ones that task work issued again, after they had to wait.
    pub task_work: u64,
}

/// What intervals have in common, by command.
#[derive(Debug, Default)]
pub(super) struct Sum(BTreeMap<String, Command>);

#[derive(Debug, Default)]
struct Command {
    /// Without the batches.
    ops: HashMap<Op, Ways>,
    /// Nothing but the batches.
    batches: Ways,
}

impl Sum {
    /// Adds an interval.
    pub(super) fn add(&mut self, interval: &Beside) {
        // All operations of a process have its batches.
        let mut batches: HashMap<(u32, u64), (&str, Ways)> = HashMap::new();
        for requests in &interval.requests {
            let ways = Ways::of_issued(requests.ways.issued());
            let command = self.command(&requests.comm);
            command.ops.entry(requests.op).or_default().add(ways);
            let batch = requests.ways.only_batches();
            let id = (requests.pid, requests.start_time);
            let (_, most) = batches.entry(id).or_insert((&requests.comm, batch));
            if batch.taken > most.taken {
                *most = batch;
            }
        }
        for (comm, batch) in batches.into_values() {
            self.command(comm).batches.add(batch);
        }
    }

    fn command(&mut self, comm: &str) -> &mut Command {
        let is_known = self.0.len() < MOST_COMMANDS || self.0.contains_key(comm);
        let name = if is_known { comm } else { OTHER_COMMANDS };
        self.0.entry(name.to_owned()).or_default()
    }

    /// Of the whole recording, whose ledger is `stat`; most requests first.
    pub(super) fn requests(self, stat: &Snapshot) -> Vec<Requested> {
        let mut operations: HashMap<&str, u64> = HashMap::new();
        for process in &stat.processes {
            let is_known = self.0.contains_key(&*process.comm);
            let name = if is_known {
                &*process.comm
            } else {
                OTHER_COMMANDS
            };
            let sum = operations.entry(name).or_default();
            for path in &process.paths {
                if matches!(path.op.known().map(Op::cause), Some(Cause::Uring(_))) {
                    *sum = sum.saturating_add(path.totals.ops);
                }
            }
        }
        let requested = |(comm, command): (String, Command)| {
            let completed = operations.get(&*comm).copied().unwrap_or_default();
            let mut all: Vec<_> = command.ops.into_iter().collect();
            all.retain(|(_, ways)| *ways != Ways::default());
            all.sort_by_key(|(op, ways)| (std::cmp::Reverse(ways.submitted), op.name()));
            let [taken, submissions, waits] = command.batches.batches();
            Requested {
                operations: all
                    .iter()
                    .map(|(op, ways)| Issued::of(*op, *ways))
                    .collect(),
                taken,
                submissions,
                waits,
                per_submission: command.batches.per_submission(),
                per_wait: command.batches.per_wait(completed),
                comm,
            }
        };
        let mut requests: Vec<_> = self.0.into_iter().map(requested).collect();
        requests.retain(|one| !one.operations.is_empty());
        requests.sort_by_key(|one| std::cmp::Reverse(one.submitted()));
        requests
    }
}

impl Issued {
    fn of(op: Op, ways: Ways) -> Self {
        let [submitted, inline, worker, sq_poll, task_work] = ways.issued();
        Self {
            op: op.name().to_owned(),
            submitted,
            inline,
            worker,
            sq_poll,
            task_work,
        }
    }
}

impl Requested {
    fn submitted(&self) -> u64 {
        let all = self.operations.iter().map(|issued| issued.submitted);
        all.fold(0, u64::saturating_add)
    }
}

/// The requests, for people; empty without any.
#[must_use]
pub fn text(requests: &[Requested]) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    if requests.is_empty() {
        return text;
    }
    text.push_str("\nAsynchronous requests, by command:\n");
    for one in requests.iter().take(SHOWN) {
        let _ = writeln!(text, "  {}", escape::printable(&one.comm));
        for issued in &one.operations {
            let how = [
                (issued.inline, "inline"),
                (issued.worker, "by workers"),
                (issued.sq_poll, "by a polling thread"),
                (issued.task_work, "by task work"),
            ];
            let how: Vec<_> = how
                .iter()
                .filter(|(count, _)| *count != 0)
                .map(|(count, how)| format!("{count} {how}"))
                .collect();
            let _ = writeln!(
                text,
                "    {:<16} {:>10} submitted  {}",
                escape::printable(&issued.op),
                issued.submitted,
                how.join(", ")
            );
        }
        let figures = [
            (one.per_submission, "requests for each submission"),
            (one.per_wait, "completions for each wait"),
        ];
        let figures: Vec<_> = figures
            .iter()
            .filter_map(|(figure, what)| Some(format!("{:.1} {what}", (*figure)?)))
            .collect();
        if !figures.is_empty() {
            let _ = writeln!(text, "    io_uring: {}", figures.join(", "));
        }
    }
    let more = requests.len().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(text, "  and {more} more commands: --json");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Process, Requests, Totals, samples};

    fn requests(pid: u32, comm: &str, op: Op, inline: u64, batches: [u64; 3]) -> Requests {
        let mut ways = Ways::of_issued([inline, inline, 0, 0, 0]);
        ways.set_batches(batches);
        Requests {
            pid,
            start_time: 1,
            comm: comm.to_owned(),
            op,
            ways,
        }
    }

    fn process(pid: u32, comm: &str, op: &str, ops: u64) -> Process {
        let totals = Totals {
            ops,
            ..Totals::default()
        };
        let path = samples::path(op, "file:ext4", totals);
        Process::from_paths(pid, 1, comm.into(), "/".into(), vec![path])
    }

    /// Two processes of one command over two intervals. Batches are of a process and stand in each of its operations.
    #[test]
    fn requests_are_added_up_by_command() {
        let mut sum = Sum::default();
        for _ in 0..2 {
            sum.add(&Beside {
                requests: vec![
                    requests(1, "fio", Op::UringRead, 6, [8, 2, 4]),
                    requests(1, "fio", Op::UringWrite, 2, [8, 2, 4]),
                    requests(2, "fio", Op::UringRead, 1, [1, 1, 0]),
                    requests(3, "old", Op::AioRead, 5, [0; 3]),
                ],
                ..Beside::default()
            });
        }
        let stat = samples::with(vec![
            process(1, "fio", "uring.read", 14),
            process(2, "fio", "uring.read", 2),
            process(3, "old", "aio.read", 10),
        ]);
        let all = sum.requests(&stat);
        let [fio, old] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!(
            (&*fio.comm, fio.taken, fio.submissions, fio.waits),
            ("fio", 18, 6, 8)
        );
        assert_eq!((fio.per_submission, fio.per_wait), (Some(3.0), Some(2.0)));
        let ops: Vec<_> = fio
            .operations
            .iter()
            .map(|one| (&*one.op, one.inline))
            .collect();
        assert_eq!(ops, [("uring.read", 14), ("uring.write", 4)]);
        assert_eq!((old.per_submission, old.per_wait), (None, None));
        let text = text(&all);
        assert!(
            text.contains(
                "io_uring: 3.0 requests for each submission, 2.0 completions for each wait"
            ),
            "{text}"
        );
        assert_eq!(text.matches("io_uring").count(), 1, "{text}");
    }

    #[test]
    fn commands_are_bounded() {
        let mut sum = Sum::default();
        let all = (0..MOST_COMMANDS as u32 + 50).map(|pid| {
            let comm = format!("made-up-{pid}");
            requests(pid, &comm, Op::UringRead, 1, [1, 1, 0])
        });
        sum.add(&Beside {
            requests: all.collect(),
            ..Beside::default()
        });
        let all = sum.requests(&samples::with(Vec::new()));
        assert_eq!(all.len(), MOST_COMMANDS + 1);
        assert_eq!((&*all[0].comm, all[0].submitted()), (OTHER_COMMANDS, 50));
    }
}
