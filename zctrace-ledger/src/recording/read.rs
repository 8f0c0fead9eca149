//! Reading recordings.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom},
    mem::size_of,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    VERSION,
    beside::{Beside, WireBeside},
    containers::{Known, WireContainers},
    cpu::WireCpu,
    errnos::WireErrnos,
    error::{Damage, Error},
    filled::WireFilled,
    frame::{self, End, Frame, Kind, MAGIC, PREAMBLE, WITH_END},
    limits::{self, Budget},
    not_followed::WireNotFollowed,
    whole::{TooMuch, Whole},
    wire::{Header, Interval, PathKey, ProcessKey, StackKey, WireCoverage, WireLoss},
};
use crate::ledger::{
    self, Claimed, Coverage, Errnos, ExitStatus, Loss, Overhead, Process, Refused, Snapshot, Stack,
    Stacks, Target, Totals, Unattributed,
};

/// Whole intervals, and nothing behind them.
const UNENDED: &str =
    "it stops without an end (the recorder was killed or is not done, or the file was cut)";

/// A recording that is being read: an iterator over its intervals.
///
/// It ends at the end of the file or at the first frame that is not sound; [`Recording::damage`]
/// tells which.
#[derive(Debug)]
pub struct Recording<R = BufReader<File>> {
    path: PathBuf,
    from: R,
    version: u16,
    header: Header,
    target: Target,
    /// Length of the file when it was opened.
    length: u64,
    /// Offset of the first interval, and of the next one.
    first: u64,
    at: u64,
    /// Number of the next interval.
    index: usize,
    tables: Tables,
    beside: Option<Beside>,
    damage: Option<Damage>,
}

/// What numbers stand for.
#[derive(Clone, Debug, Default)]
struct Tables {
    names: Vec<Arc<str>>,
    processes: Vec<ProcessKey>,
    paths: Vec<PathKey>,
    stacks: Vec<StackKey>,
    containers: Known,
    /// About how many bytes these take.
    held: usize,
    coverage: Coverage,
}

/// A place in a recording to come back to, see [`Recording::mark`].
#[derive(Clone, Debug)]
pub struct Mark {
    at: u64,
    index: usize,
    tables: Tables,
}

impl Recording {
    /// Opens a recording.
    ///
    /// # Errors
    ///
    /// When there is nothing sound to read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let fail = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        // A pipe that nobody writes to would be waited for.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            // A pipe could not be read twice, a directory not at all.
            return Err(fail(io::Error::other("not a regular file")));
        }
        Self::read(BufReader::new(file), path)
    }
}

impl<R: Read + Seek> Recording<R> {
    /// Reads a recording; `path` is for messages.
    ///
    /// # Errors
    ///
    /// As [`Recording::open`].
    pub fn read(mut from: R, path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        let length = from.seek(SeekFrom::End(0));
        let length = length.and_then(|length| from.rewind().map(|()| length));
        let length = match length {
            Ok(length) => length,
            Err(source) => return Err(Error::Read { path, source }),
        };
        let mut preamble = Vec::new();
        let read = from
            .by_ref()
            .take(PREAMBLE as u64)
            .read_to_end(&mut preamble);
        if let Err(source) = read {
            return Err(Error::Read { path, source });
        }
        let Some((magic, version)) = preamble.split_at_checked(MAGIC.len()) else {
            return Err(Error::NotOne(path));
        };
        let &[low, high] = version else {
            return Err(Error::NotOne(path));
        };
        if magic != MAGIC {
            return Err(Error::NotOne(path));
        }
        let found = u16::from_le_bytes([low, high]);
        if !(1..=VERSION).contains(&found) {
            return Err(Error::Version { path, found });
        }
        let at = PREAMBLE as u64;
        let bad = |what| Damage { at, what };
        let (header, first) = match frame::decode(&mut from, at) {
            Ok(Frame {
                kind: Kind::Header,
                payload,
                next,
                ..
            }) => match postcard::from_bytes::<Header>(&payload) {
                // It is in the document of every interval.
                Ok(header) if payload.len() <= limits::MOST_HEADER => (header, next),
                _ => {
                    let damage = bad("an unreadable header");
                    return Err(Error::Damaged { path, damage });
                }
            },
            Ok(_) => {
                let damage = bad("no header");
                return Err(Error::Damaged { path, damage });
            }
            Err(End::Clean) => {
                let damage = bad("nothing");
                return Err(Error::Damaged { path, damage });
            }
            Err(End::Damaged(damage)) => return Err(Error::Damaged { path, damage }),
            Err(End::Failed(source)) => return Err(Error::Read { path, source }),
        };
        let Some(target) = header.target() else {
            let damage = bad("an unknown kind of target");
            return Err(Error::Damaged { path, damage });
        };
        Ok(Self {
            path,
            from,
            version: found,
            header,
            target,
            length,
            first,
            at: first,
            index: 0,
            tables: Tables::default(),
            beside: None,
            damage: None,
        })
    }

    /// What was recorded, and where.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Where reading had to stop, once it has.
    pub const fn damage(&self) -> Option<Damage> {
        self.damage
    }

    /// What was recorded beside the interval that was read last; `None` in recordings that do not
    /// hold it.
    pub const fn beside(&self) -> Option<&Beside> {
        self.beside.as_ref()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the next interval, from 0.
    pub const fn position(&self) -> usize {
        self.index
    }

    /// Makes interval `index` the next one; beyond the last it is the end. Returns the number of
    /// the next interval.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn seek(&mut self, index: usize) -> Result<usize, Error> {
        if index < self.index {
            let sought = self.from.seek(SeekFrom::Start(self.first));
            sought.map_err(|source| Error::Read {
                path: self.path.clone(),
                source,
            })?;
            self.at = self.first;
            self.index = 0;
            self.tables = Tables::default();
            self.damage = None;
        }
        while self.index < index {
            match self.next() {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => break,
            }
        }
        Ok(self.index)
    }

    /// The place of the next interval, to come back to without reading what is before it.
    pub fn mark(&self) -> Mark {
        Mark {
            at: self.at,
            index: self.index,
            tables: self.tables.clone(),
        }
    }

    /// Makes the interval at a mark of this recording the next one.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn back_to(&mut self, mark: &Mark) -> Result<(), Error> {
        let sought = self.from.seek(SeekFrom::Start(mark.at));
        sought.map_err(|source| Error::Read {
            path: self.path.clone(),
            source,
        })?;
        self.at = mark.at;
        self.index = mark.index;
        self.tables = mark.tables.clone();
        self.damage = None;
        Ok(())
    }

    /// The document of no interval, to add those to that are read one by one.
    pub fn begin(&self) -> Whole {
        Whole::new(&self.header, &self.target, self.length)
    }

    /// Adds an interval of this recording to a document that it began.
    ///
    /// # Errors
    ///
    /// When that takes too much memory.
    pub fn add_to(&self, whole: &mut Whole, interval: &Snapshot) -> Result<(), Error> {
        let added = whole.add(interval);
        added.map_err(|_: TooMuch| Error::TooMuch(self.path.clone()))
    }

    /// Everything from the next interval on as one document.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or takes too much memory.
    pub fn whole(&mut self) -> Result<Whole, Error> {
        let mut whole = self.begin();
        while let Some(snapshot) = self.next() {
            self.add_to(&mut whole, &snapshot?)?;
        }
        Ok(whole)
    }
}

impl<R> Recording<R> {
    /// The document that a payload stands for, and what is beside it; `None` where it makes no sense
    /// or would take too much memory.
    fn interval(
        &mut self,
        payload: &[u8],
        budget: &mut Budget,
    ) -> Option<(Snapshot, Option<Beside>)> {
        let (interval, rest) = limits::decode::<Interval>(payload, budget)?;
        let tables = &mut self.tables;
        let mut snapshot = tables.snapshot(interval, &self.header, &self.target, budget)?;
        let beside = tables.behind(rest, &mut snapshot, budget)?;
        tables.containers.name(&mut snapshot, budget)?;
        Some((snapshot, beside))
    }
}

impl<R: Read + Seek> Iterator for Recording<R> {
    type Item = Result<Snapshot, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.damage.is_some() {
            return None;
        }
        let damage = match frame::decode(&mut self.from, self.at) {
            Ok(Frame {
                kind: Kind::Interval,
                payload,
                next,
                mut budget,
            }) => {
                if let Some((snapshot, beside)) = self.interval(&payload, &mut budget) {
                    self.beside = beside;
                    self.at = next;
                    self.index += 1;
                    return Some(Ok(snapshot));
                }
                Damage {
                    at: self.at,
                    what: "an unreadable interval",
                }
            }
            Ok(Frame {
                kind: Kind::Header, ..
            }) => Damage {
                at: self.at,
                what: "a second header",
            },
            Ok(Frame {
                kind: Kind::End,
                next,
                ..
            }) if self.version >= WITH_END => {
                match frame::decode(&mut self.from, next) {
                    Err(End::Clean) => {
                        // To come to this frame again, should another interval be asked for.
                        let _ = self.from.seek(SeekFrom::Start(self.at));
                        return None;
                    }
                    _ => Damage {
                        at: next,
                        what: "something behind its end",
                    },
                }
            }
            Ok(Frame {
                kind: Kind::End, ..
            }) => Damage {
                at: self.at,
                what: "a frame of an unknown kind",
            },
            Err(End::Clean) if self.version < WITH_END => return None,
            Err(End::Clean) => Damage {
                at: self.at,
                what: UNENDED,
            },
            Err(End::Damaged(damage)) => damage,
            Err(End::Failed(source)) => {
                let path = self.path.clone();
                return Some(Err(Error::Read { path, source }));
            }
        };
        self.damage = Some(damage);
        None
    }
}

impl Tables {
    /// What stands behind an interval, put into its document, and what is beside it, of which the first
    /// recordings have nothing; `None` where it makes no sense or would take too much memory.
    #[expect(
        clippy::option_option,
        reason = "nothing beside it, and no sense, are two things"
    )]
    fn behind(
        &mut self,
        rest: &[u8],
        snapshot: &mut Snapshot,
        budget: &mut Budget,
    ) -> Option<Option<Beside>> {
        if rest.is_empty() {
            return Some(None);
        }
        let (beside, rest) = limits::decode::<WireBeside>(rest, budget)?;
        let beside = Some(beside.read(snapshot, budget)?);
        // Those before 0.2 end here.
        if rest.is_empty() {
            return Some(beside);
        }
        let (loss, rest) = limits::decode::<WireLoss>(rest, budget)?;
        loss.read(&mut snapshot.loss);
        if rest.is_empty() {
            return Some(beside);
        }
        let (errnos, rest) = limits::decode::<WireErrnos>(rest, budget)?;
        errnos.read(snapshot, budget)?;
        if rest.is_empty() {
            return Some(beside);
        }
        let (calls, rest) = limits::decode::<WireNotFollowed>(rest, budget)?;
        calls.read(snapshot)?;
        if !rest.is_empty() {
            let (new, rest) = limits::decode::<WireContainers>(rest, budget)?;
            let names = &self.names;
            let name = |number| names.get(number as usize);
            self.containers.add(new, name, budget)?;
            if !rest.is_empty() {
                let (filled, rest) = limits::decode::<WireFilled>(rest, budget)?;
                filled.read(snapshot)?;
                if !rest.is_empty() {
                    let (cpu, _) = limits::decode::<WireCpu>(rest, budget)?;
                    cpu.read(snapshot)?;
                }
            }
        }
        Some(beside)
    }

    /// The document that an interval stands for; `None` where it makes no sense or takes too much.
    fn snapshot(
        &mut self,
        interval: Interval,
        header: &Header,
        target: &Target,
        budget: &mut Budget,
    ) -> Option<Snapshot> {
        let Interval {
            reset,
            seq,
            started_us,
            duration_ns,
            coverage,
            exit,
            new_names,
            new_processes,
            new_paths,
            processes,
            unattributed,
            loss,
            bpf_runs,
            bpf_ns,
            new_stacks,
            stacks,
            stacks_lost,
        } = interval;
        if reset {
            *self = Self {
                coverage: std::mem::take(&mut self.coverage),
                ..Self::default()
            };
        }
        let counts = [
            self.names.len(),
            self.processes.len(),
            self.paths.len(),
            self.stacks.len(),
        ];
        // The recorder would have begun again.
        if counts.into_iter().any(|count| count > limits::MOST_NUMBERS)
            || self.held > limits::MOST_HELD
        {
            return None;
        }
        if let Some(WireCoverage { attached, refused }) = coverage {
            let refused = refused.into_iter();
            self.coverage = Coverage {
                attached,
                refused: refused
                    .map(|(probe, reason, lost, absent)| Refused {
                        probe,
                        reason,
                        lost,
                        absent,
                    })
                    .collect(),
            };
        }
        let coverage = coverage_size(&self.coverage);
        if coverage > limits::MOST_COVERAGE {
            return None;
        }
        budget.take(coverage)?;
        let names = new_names
            .iter()
            .map(|name| limits::numbered_bytes(name.len()));
        let frames = new_stacks
            .iter()
            .map(|stack| limits::numbered_bytes(size_of_val(&stack.frames[..])));
        let others = size_of_val(&new_processes[..]) + size_of_val(&new_paths[..]);
        let more = names.chain(frames).sum::<usize>() + others;
        // In the tables and, while they grow, beside them.
        budget.take(2 * more)?;
        self.held += more;
        self.names.extend(new_names.into_iter().map(Arc::from));
        self.processes.extend(new_processes);
        self.paths.extend(new_paths);
        self.stacks.extend(new_stacks);

        let mut total = Totals::default();
        budget.take(processes.len() * size_of::<Process>())?;
        let mut documents = Vec::with_capacity(processes.len());
        for rows in processes {
            let key = *self.processes.get(rows.process as usize)?;
            budget.take(rows.rows.len() * size_of::<ledger::Path>())?;
            let mut paths = Vec::with_capacity(rows.rows.len());
            for (number, counters) in rows.rows {
                let path = *self.paths.get(number as usize)?;
                let [op, object, evidence] = self.names([path.op, path.object, path.evidence])?;
                let by = match path.by {
                    Some(by) => Some(self.name(by)?),
                    None => None,
                };
                budget.take(op.len() + object.len() + evidence.len())?;
                budget.take(by.map_or(0, |by| by.len()))?;
                paths.push(ledger::Path {
                    op: op.as_ref().into(),
                    object: object.as_ref().into(),
                    evidence: evidence.as_ref().into(),
                    by: by.map(|by| by.to_string()),
                    // They are behind the interval.
                    errnos: Errnos::default(),
                    totals: counters.totals()?,
                });
            }
            let [comm, cgroup] = self.names([key.comm, key.cgroup])?;
            budget.take(comm.len() + cgroup.len())?;
            let mut process = Process::from_paths(
                key.pid,
                key.start_time,
                comm.to_string(),
                cgroup.to_string(),
                paths,
            );
            process.pending = rows.pending;
            process.in_flight = rows.in_flight;
            process.copy_cpu_seconds = rows.copy_cpu_seconds;
            for row in rows.claims {
                let path = *self.paths.get(row.path as usize)?;
                let [op, object, evidence] = self.names([path.op, path.object, path.evidence])?;
                let device = match row.device {
                    Some(device) => Some(self.name(device)?),
                    None => None,
                };
                budget.take(2 * size_of::<Claimed>() + op.len() + object.len() + evidence.len())?;
                budget.take(device.map_or(0, |device| device.len()))?;
                let mut claims = Vec::with_capacity(row.claims.len());
                for &name in &row.claims {
                    let name = self.name(name)?;
                    budget.take(size_of::<String>() + name.len())?;
                    claims.push(name.to_string());
                }
                process.claims.push(Claimed {
                    op: op.as_ref().into(),
                    object: object.as_ref().into(),
                    evidence: evidence.as_ref().into(),
                    claims,
                    device: device.map(|device| device.to_string()),
                    notifications: row.notifications,
                    totals: row.counters.totals()?,
                });
            }
            total.add(&process.total);
            documents.push(process);
        }
        let mut work = Vec::new();
        for (name, counters) in unattributed {
            let thread = self.name(name)?;
            budget.take(2 * size_of::<Unattributed>() + thread.len())?;
            work.push(Unattributed {
                thread: thread.to_string(),
                totals: counters.totals()?,
            });
        }
        let mut sampled = Stacks {
            lost: stacks_lost,
            ..Stacks::default()
        };
        for (number, bytes) in stacks {
            let key = self.stacks.get(number as usize)?;
            budget.take(2 * (size_of::<Stack>() + key.frames.len() * size_of::<Arc<str>>()))?;
            let frames = key.frames.iter().map(|&frame| self.name(frame).cloned());
            let frames: Option<Vec<_>> = frames.collect();
            let [comm, class] = self.names([key.comm, key.class])?;
            let stack = Stack {
                pid: key.pid,
                start_time: key.start_time,
                comm: comm.clone(),
                class: class.clone(),
                frames: frames?,
            };
            let sum = sampled.bytes.entry(stack).or_default();
            *sum = sum.saturating_add(bytes);
        }
        Some(Snapshot {
            schema: header.schema.clone(),
            seq: Some(seq),
            kernel: header.kernel.clone(),
            arch: header.arch.clone(),
            backend: header.backend.clone(),
            target: target.clone(),
            exit_status: exit.map(|(code, signal)| ExitStatus { code, signal }),
            started_at: format!("{:.6}", Timestamp::from_microsecond(started_us).ok()?),
            duration_ns,
            total,
            processes: documents,
            unattributed: work,
            coverage: self.coverage.clone(),
            loss: Loss {
                map_full: loss[0],
                missed_runs: loss[2],
                ..Loss::default()
            },
            overhead: Overhead { bpf_runs, bpf_ns },
            stacks: sampled,
        })
    }

    fn name(&self, number: u32) -> Option<&Arc<str>> {
        self.names.get(number as usize)
    }

    fn names<const N: usize>(&self, numbers: [u32; N]) -> Option<[&Arc<str>; N]> {
        let none = self.names.first()?;
        let mut names = [none; N];
        for (name, number) in names.iter_mut().zip(numbers) {
            *name = self.name(number)?;
        }
        Some(names)
    }
}

fn coverage_size(coverage: &Coverage) -> usize {
    let attached = coverage.attached.iter().map(String::len);
    let refused = coverage.refused.iter();
    let refused = refused.map(|one| one.probe.len() + one.reason.len() + one.lost.len());
    size_of_val(&coverage.attached[..])
        + size_of_val(&coverage.refused[..])
        + attached.chain(refused).sum::<usize>()
}
