//! Several processes as one: those of one command, and those that have ended.
//!
//! A machine on which short processes come and go would otherwise be remembered process by process,
//! for as long as anybody looks. Their numbers are kept exactly, only no longer one by one.

use std::collections::{BTreeMap, HashMap};

use super::{Claimed, Container, Counted, CpuTime, Path, Process, Snapshot};
use crate::text::{bytes::count, escape::printable};

/// Commands with a row of their own for what has ended. A process chooses its name.
pub const MOST_COMMANDS: usize = 1024;

/// The name of the row that takes what the others have no room for.
pub const OTHER_COMMANDS: &str = "(other commands)";

/// The name of the row of processes that are in no container.
const NO_CONTAINER: &str = "(no container)";

/// The name of the row of processes whose cgroup was gone before anybody had seen its path.
const UNKNOWN_CONTAINER: &str = "(unknown container)";

impl Process {
    /// No process yet, under a number that tells it from others of its kind: no real process has the
    /// id 0.
    #[must_use]
    pub fn of_several(number: u64, comm: String) -> Self {
        Self {
            processes: 0,
            ..Self::from_paths(0, number, comm, String::new(), Vec::new())
        }
    }

    /// Whether it stands for processes that are not distinguished.
    #[must_use]
    pub const fn is_several(&self) -> bool {
        self.pid == 0
    }

    /// Its name and number, or the name and how many.
    #[must_use]
    pub fn title(&self) -> String {
        let comm = printable(&self.comm);
        match (self.pid, self.processes) {
            (0, 1) => format!("{comm} [1 process]"),
            (0, several) => format!("{comm} [{} processes]", count(several)),
            (pid, _) => format!("{comm} [{pid}]"),
        }
    }

    /// Its name, and its number if it is one process: to name it within a sentence.
    #[must_use]
    pub fn named(&self) -> String {
        if self.is_several() {
            self.comm.clone()
        } else {
            format!("{} ({})", self.comm, self.pid)
        }
    }

    /// Takes what another counted.
    pub fn absorb(&mut self, other: &Self) {
        let mut paths = std::mem::take(&mut self.paths);
        for path in &other.paths {
            match paths.iter_mut().find(|known| known.has_key_of(path)) {
                Some(known) => known.add(path),
                None => paths.push(path.clone()),
            }
        }
        let mut claims = std::mem::take(&mut self.claims);
        for claimed in &other.claims {
            match claims.iter_mut().find(|known| known.has_key_of(claimed)) {
                Some(known) => known.add(claimed),
                None => claims.push(claimed.clone()),
            }
        }
        let mut not_followed = std::mem::take(&mut self.not_followed);
        for one in &other.not_followed {
            match not_followed.iter_mut().find(|known| known.call == one.call) {
                Some(known) => known.copy_cpu_seconds += one.copy_cpu_seconds,
                None => not_followed.push(one.clone()),
            }
        }
        let cgroup = if self.processes == 0 || self.cgroup == other.cgroup {
            other.cgroup.clone()
        } else {
            String::new()
        };
        let container = if self.processes == 0 || self.container == other.container {
            other.container.clone()
        } else {
            None
        };
        let comm = std::mem::take(&mut self.comm);
        *self = Self {
            container,
            processes: self.processes.saturating_add(other.processes),
            pending: self.pending.saturating_add(other.pending),
            in_flight: self.in_flight.saturating_add(other.in_flight),
            copy_cpu_seconds: match (self.copy_cpu_seconds, other.copy_cpu_seconds) {
                (None, None) => None,
                (mine, theirs) => Some(mine.unwrap_or(0.0) + theirs.unwrap_or(0.0)),
            },
            cpu_seconds: CpuTime::sum(self.cpu_seconds, other.cpu_seconds),
            claims,
            not_followed,
            ended_into: self.ended_into,
            ..Self::from_paths(self.pid, self.start_time, comm, cgroup, paths)
        };
    }
}

impl Path {
    fn has_key_of(&self, other: &Self) -> bool {
        (&self.op, &self.object, &self.evidence, &self.by)
            == (&other.op, &other.object, &other.evidence, &other.by)
    }
}

impl Claimed {
    /// Adds the numbers of another portion.
    pub fn add(&mut self, other: &Self) {
        self.totals.add(&other.totals);
        self.notifications = self.notifications.saturating_add(other.notifications);
        if other.device.is_some() {
            self.device.clone_from(&other.device);
        }
    }
}

/// Processes that have ended, one row for each command.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    numbers: HashMap<String, u64>,
    rows: BTreeMap<u64, Process>,
}

impl Ended {
    /// The number of the row that takes a process of this name.
    pub fn number(&mut self, comm: &str) -> u64 {
        if let Some(number) = self.numbers.get(comm) {
            return *number;
        }
        // 0 is that of the others.
        let number = self.numbers.len() as u64 + 1;
        if self.numbers.len() >= MOST_COMMANDS {
            return 0;
        }
        self.numbers.insert(comm.to_owned(), number);
        number
    }

    /// Takes a process that says which row takes it; others are left alone.
    pub fn take(&mut self, process: &Process) {
        let Some(number) = process.ended_into else {
            return;
        };
        let row = self.rows.entry(number).or_insert_with(|| {
            let comm = if number == 0 {
                OTHER_COMMANDS
            } else {
                &process.comm
            };
            Process::of_several(number, comm.to_owned())
        });
        row.absorb(process);
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &Process> {
        self.rows.values()
    }
}

/// Processes that have ended since a reading, and the numbers of the rows that then have what they did.
#[derive(Clone, Debug, Default)]
pub struct Moves(HashMap<(u32, u64), u64>);

impl Moves {
    /// Whether none has ended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ended processes by id and start, each with the number of its row.
    pub fn iter(&self) -> impl Iterator<Item = ((u32, u64), u64)> {
        self.0.iter().map(|(id, number)| (*id, *number))
    }
}

impl Counted {
    /// The processes that are in the rows of their commands from the next reading on.
    #[must_use]
    pub fn moves(&self) -> Moves {
        let moves = self.processes.iter().filter_map(|process| {
            let number = process.ended_into?;
            Some(((process.pid, process.start_time), number))
        });
        Moves(moves.collect())
    }

    /// Puts what was known of processes that have ended in the meantime into the rows of their commands,
    /// so that a later reading can be compared with it.
    pub fn settle(&mut self, moves: &Moves) {
        if moves.is_empty() {
            return;
        }
        let number = |process: &Process| {
            let id = (process.pid, process.start_time);
            moves.0.get(&id).copied()
        };
        let ended: Vec<_> = self
            .processes
            .extract_if(.., |process| number(process).is_some())
            .collect();
        for process in ended {
            let number = number(&process).unwrap_or_default();
            let found = self
                .processes
                .iter_mut()
                .find(|other| other.pid == 0 && other.start_time == number);
            match found {
                Some(found) => found.absorb(&process),
                None => {
                    let mut row = Process::of_several(number, process.comm.clone());
                    row.absorb(&process);
                    self.processes.push(row);
                }
            }
        }
    }
}

impl Snapshot {
    /// The same with one process for each command. One that is alone stays as it is.
    #[must_use]
    pub fn by_command(mut self) -> Self {
        self.processes = by_command(std::mem::take(&mut self.processes), 2);
        self
    }

    /// The same with one process for all.
    #[must_use]
    pub fn as_one(mut self) -> Self {
        if self.processes.len() > 1 {
            let mut one = Process::of_several(1, "all processes".to_owned());
            for process in &self.processes {
                one.absorb(process);
            }
            self.processes = vec![one];
        }
        self
    }

    /// The same with one process for each container, and one for what is in none.
    #[must_use]
    pub fn by_container(mut self) -> Self {
        self.processes = by_container(std::mem::take(&mut self.processes));
        self
    }
}

/// The processes, those of a command as one where there are at least `several` of them.
#[must_use]
pub fn by_command(processes: Vec<Process>, several: u64) -> Vec<Process> {
    let mut numbers: HashMap<String, u64> = HashMap::new();
    for process in &processes {
        *numbers.entry(process.comm.clone()).or_default() += process.processes.max(1);
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut grouped: Vec<Process> = Vec::new();
    for process in processes {
        let count = numbers.get(&process.comm).copied().unwrap_or_default();
        if count < several || count == process.processes {
            grouped.push(process);
            continue;
        }
        let place = *places.entry(process.comm.clone()).or_insert_with(|| {
            // Apart from the rows of what has ended.
            let number = u64::MAX - grouped.len() as u64;
            grouped.push(Process::of_several(number, process.comm.clone()));
            grouped.len() - 1
        });
        grouped[place].absorb(&process);
    }
    grouped.sort_by(|a, b| b.total.moved.cmp(&a.total.moved).then(a.pid.cmp(&b.pid)));
    grouped
}

/// The processes, those of a container as one that has the container's name.
#[must_use]
pub fn by_container(processes: Vec<Process>) -> Vec<Process> {
    let mut places: HashMap<(Option<String>, bool), usize> = HashMap::new();
    let mut grouped: Vec<Process> = Vec::new();
    for process in processes {
        let id = process.container.as_ref().map(|one| one.id.clone());
        // Such a cgroup has a number, and no path.
        let is_unknown = process.cgroup.starts_with('#');
        let place = *places.entry((id, is_unknown)).or_insert_with(|| {
            let title = process.container.as_ref().map(Container::title);
            let none = if is_unknown {
                UNKNOWN_CONTAINER
            } else {
                NO_CONTAINER
            };
            let title = title.unwrap_or_else(|| none.to_owned());
            let number = u64::MAX - grouped.len() as u64;
            grouped.push(Process::of_several(number, title));
            grouped.len() - 1
        });
        grouped[place].absorb(&process);
    }
    grouped.sort_by(|a, b| b.total.moved.cmp(&a.total.moved).then(a.comm.cmp(&b.comm)));
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Errno, Errnos, Notified, Totals};

    fn total(processes: &[Process]) -> Totals {
        let mut total = Totals::default();
        for process in processes {
            total.add(&process.total);
        }
        total
    }

    fn process(pid: u32, comm: &str, moved: u64) -> Process {
        let mut totals = Totals::default();
        totals.add(&Totals {
            ops: 1,
            errors: 1,
            moved,
            copied_from_user: moved,
            ..Totals::default()
        });
        let path = Path {
            op: "send".into(),
            object: "tcp".into(),
            evidence: "measured".into(),
            by: None,
            errnos: [(Errno::new(11), 1)].into_iter().collect::<Errnos>(),
            notified: Notified::default(),
            totals,
        };
        Process::from_paths(pid, 7, comm.into(), "/".into(), vec![path])
    }

    #[test]
    fn what_has_ended_is_a_row_a_command_and_nothing_is_lost() {
        let mut ended = Ended::default();
        let mut expected = Totals::default();
        for pid in 1..=100_000 {
            let mut process = process(pid, ["curl", "cat", "sh"][pid as usize % 3], u64::from(pid));
            process.ended_into = Some(ended.number(&process.comm));
            expected.add(&process.total);
            ended.take(&process);
        }
        let rows: Vec<_> = ended.rows().cloned().collect();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row.paths.len() == 1 && row.pid == 0));
        assert_eq!(total(&rows), expected);
        assert_eq!(rows.iter().map(|row| row.processes).sum::<u64>(), 100_000);
        let failed: u64 = rows.iter().map(|row| row.paths[0].errnos.total()).sum();
        assert_eq!(failed, 100_000);
        assert_eq!(rows[0].sent, rows[0].total.moved);
    }

    #[test]
    fn names_without_bound_make_no_rows_without_bound() {
        let mut ended = Ended::default();
        for pid in 1..=5000 {
            let mut process = process(pid, &format!("job-{pid}"), 10);
            process.ended_into = Some(ended.number(&process.comm));
            ended.take(&process);
        }
        let rows: Vec<_> = ended.rows().cloned().collect();
        assert_eq!(rows.len(), MOST_COMMANDS + 1);
        assert_eq!(total(&rows).moved, 50_000);
        let others = rows.iter().find(|row| row.comm == OTHER_COMMANDS);
        assert_eq!(others.map(|row| row.processes), Some(5000 - 1024));
    }

    #[test]
    fn an_end_is_no_traffic() {
        let of = |processes: Vec<Process>| Counted {
            total: total(&processes),
            processes,
            ..Counted::default()
        };
        // It had moved 100 when tracing began, and ends at 150.
        let mut baseline = of(vec![process(5, "curl", 100)]);
        let mut last = process(5, "curl", 150);
        last.ended_into = Some(1);
        let mut now = of(vec![last.clone()]);
        assert_eq!(now.since(&baseline).total.moved, 50);
        let moves = now.moves();
        baseline.settle(&moves);
        now.settle(&moves);
        let mut ended = Ended::default();
        ended.take(&last);
        let later = of(ended.rows().cloned().collect());
        assert_eq!(later.since(&baseline).total.moved, 50, "since the start");
        assert_eq!(later.since(&now).total.moved, 0, "in the last interval");
    }

    #[test]
    fn workers_are_one_block() {
        let mut all: Vec<_> = (1..=32).map(|pid| process(pid, "nginx", 10)).collect();
        all.push(process(40, "cat", 1));
        let grouped = by_command(all.clone(), 2);
        let titles: Vec<_> = grouped.iter().map(Process::title).collect();
        assert_eq!(titles, ["nginx [32 processes]", "cat [40]"]);
        assert_eq!(total(&grouped), total(&all));
        assert_eq!(by_command(grouped.clone(), 2), grouped);
    }

    #[test]
    fn a_container_is_one_block_whatever_runs_in_it() {
        let inside = |pid: u32, comm: &str, digit: char| {
            let mut one = process(pid, comm, 10);
            one.container = Some(Container {
                id: String::from(digit).repeat(64),
                name: (digit == 'a').then(|| "web".into()),
                ..Container::default()
            });
            one
        };
        let all = vec![
            inside(1, "nginx", 'a'),
            inside(2, "sh", 'a'),
            inside(3, "nginx", 'b'),
            process(4, "nginx", 5),
            Process {
                cgroup: "#289".into(),
                ..process(5, "dd", 4)
            },
        ];
        let grouped = by_container(all.clone());
        let titles: Vec<_> = grouped.iter().map(Process::title).collect();
        assert_eq!(
            titles,
            [
                "web [2 processes]",
                "bbbbbbbbbbbb [1 process]",
                "(no container) [1 process]",
                "(unknown container) [1 process]"
            ]
        );
        assert_eq!(total(&grouped), total(&all));
        assert_eq!(grouped[0].container, all[0].container);
        assert_eq!(grouped[2].container, None);
        let mut both = Process::of_several(1, "nginx".into());
        both.absorb(&all[0]);
        both.absorb(&all[2]);
        assert_eq!(both.container, None, "of two it is neither");
    }
}
