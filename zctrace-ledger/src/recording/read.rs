//! Reading recordings.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    VERSION,
    beside::{Beside, WireBeside},
    errnos::WireErrnos,
    error::{Damage, Error},
    frame::{self, End, Kind, MAGIC, PREAMBLE, WITH_END},
    not_followed::WireNotFollowed,
    wire::{Header, Interval, PathKey, ProcessKey, Sparse, StackKey, WireCoverage, WireLoss},
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
            Ok((Kind::Header, payload, next)) => match postcard::from_bytes::<Header>(&payload) {
                Ok(header) => (header, next),
                Err(_) => {
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
        Whole::new(&self.header, &self.target)
    }

    /// Everything from the next interval on as one document.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn whole(&mut self) -> Result<Whole, Error> {
        let mut whole = self.begin();
        for snapshot in self.by_ref() {
            whole.add(&snapshot?);
        }
        Ok(whole)
    }
}

impl<R: Read + Seek> Iterator for Recording<R> {
    type Item = Result<Snapshot, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.damage.is_some() {
            return None;
        }
        let damage = match frame::decode(&mut self.from, self.at) {
            Ok((Kind::Interval, payload, next)) => {
                let read = postcard::take_from_bytes::<Interval>(&payload).ok();
                let read = read.and_then(|(interval, rest)| {
                    let mut snapshot =
                        self.tables.snapshot(interval, &self.header, &self.target)?;
                    // The first recordings end here.
                    if rest.is_empty() {
                        return Some((snapshot, None));
                    }
                    let (beside, rest) = postcard::take_from_bytes::<WireBeside>(rest).ok()?;
                    let beside = Some(beside.read(&snapshot)?);
                    // And those before 0.2 here.
                    if !rest.is_empty() {
                        let (loss, rest) = postcard::take_from_bytes::<WireLoss>(rest).ok()?;
                        loss.read(&mut snapshot.loss);
                        if !rest.is_empty() {
                            let (errnos, rest) =
                                postcard::take_from_bytes::<WireErrnos>(rest).ok()?;
                            errnos.read(&mut snapshot)?;
                            if !rest.is_empty() {
                                let (calls, _) =
                                    postcard::take_from_bytes::<WireNotFollowed>(rest).ok()?;
                                calls.read(&mut snapshot)?;
                            }
                        }
                    }
                    Some((snapshot, beside))
                });
                if let Some((snapshot, beside)) = read {
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
            Ok((Kind::Header, ..)) => Damage {
                at: self.at,
                what: "a second header",
            },
            Ok((Kind::End, _, next)) if self.version >= WITH_END => {
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
            Ok((Kind::End, ..)) => Damage {
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
    /// The document that an interval stands for; `None` where it makes no sense.
    fn snapshot(
        &mut self,
        interval: Interval,
        header: &Header,
        target: &Target,
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
        self.names.extend(new_names.into_iter().map(Arc::from));
        self.processes.extend(new_processes);
        self.paths.extend(new_paths);
        self.stacks.extend(new_stacks);

        let mut total = Totals::default();
        let mut documents = Vec::with_capacity(processes.len());
        for rows in processes {
            let key = *self.processes.get(rows.process as usize)?;
            let mut paths = Vec::with_capacity(rows.rows.len());
            for (number, counters) in rows.rows {
                let path = *self.paths.get(number as usize)?;
                paths.push(ledger::Path {
                    op: self.name(path.op)?.as_ref().into(),
                    object: self.name(path.object)?.as_ref().into(),
                    evidence: self.name(path.evidence)?.as_ref().into(),
                    by: match path.by {
                        Some(by) => Some(self.name(by)?.to_string()),
                        None => None,
                    },
                    // They are behind the interval.
                    errnos: Errnos::default(),
                    totals: counters.totals()?,
                });
            }
            let mut process = Process::from_paths(
                key.pid,
                key.start_time,
                self.name(key.comm)?.to_string(),
                self.name(key.cgroup)?.to_string(),
                paths,
            );
            process.pending = rows.pending;
            process.in_flight = rows.in_flight;
            process.copy_cpu_seconds = rows.copy_cpu_seconds;
            for row in rows.claims {
                let path = *self.paths.get(row.path as usize)?;
                let claims: Option<Vec<_>> = row
                    .claims
                    .iter()
                    .map(|&name| Some(self.name(name)?.to_string()))
                    .collect();
                process.claims.push(Claimed {
                    op: self.name(path.op)?.to_string(),
                    object: self.name(path.object)?.to_string(),
                    evidence: self.name(path.evidence)?.to_string(),
                    claims: claims?,
                    device: match row.device {
                        Some(device) => Some(self.name(device)?.to_string()),
                        None => None,
                    },
                    notifications: row.notifications,
                    totals: row.counters.totals()?,
                });
            }
            total.add(&process.total);
            documents.push(process);
        }
        let unattributed: Option<Vec<_>> = unattributed
            .iter()
            .map(|(name, counters): &(u32, Sparse)| {
                Some(Unattributed {
                    thread: self.name(*name)?.to_string(),
                    totals: counters.totals()?,
                })
            })
            .collect();
        let mut sampled = Stacks {
            lost: stacks_lost,
            ..Stacks::default()
        };
        for (number, bytes) in stacks {
            let key = self.stacks.get(number as usize)?;
            let frames: Option<Vec<_>> = key.frames.iter().map(|&frame| self.name(frame)).collect();
            let stack = Stack {
                pid: key.pid,
                start_time: key.start_time,
                comm: self.name(key.comm)?,
                class: self.name(key.class)?,
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
            unattributed: unattributed?,
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

    fn name(&self, number: u32) -> Option<Arc<str>> {
        self.names.get(number as usize).cloned()
    }
}

/// Intervals added up to one document.
#[derive(Clone, Debug)]
pub struct Whole {
    document: Snapshot,
    processes: BTreeMap<(u32, u64), Process>,
    unattributed: BTreeMap<String, Totals>,
    intervals: usize,
}

impl Whole {
    fn new(header: &Header, target: &Target) -> Self {
        Self {
            document: Snapshot {
                schema: header.schema.clone(),
                seq: None,
                kernel: header.kernel.clone(),
                arch: header.arch.clone(),
                backend: header.backend.clone(),
                target: target.clone(),
                exit_status: None,
                started_at: String::new(),
                duration_ns: 0,
                total: Totals::default(),
                processes: Vec::new(),
                unattributed: Vec::new(),
                coverage: Coverage::default(),
                loss: Loss::default(),
                overhead: Overhead::default(),
                stacks: Stacks::default(),
            },
            processes: BTreeMap::new(),
            unattributed: BTreeMap::new(),
            intervals: 0,
        }
    }

    /// How many intervals there were.
    #[must_use]
    pub const fn intervals(&self) -> usize {
        self.intervals
    }

    /// Adds the next interval.
    pub fn add(&mut self, interval: &Snapshot) {
        let whole = &mut self.document;
        if self.intervals == 0 {
            whole.started_at.clone_from(&interval.started_at);
        }
        self.intervals += 1;
        whole.duration_ns = whole.duration_ns.saturating_add(interval.duration_ns);
        whole.exit_status = interval.exit_status.or(whole.exit_status);
        whole.coverage.clone_from(&interval.coverage);
        whole.stacks.add(&interval.stacks);
        whole.loss.add(&interval.loss);
        let (cost, more) = (&mut whole.overhead, &interval.overhead);
        cost.bpf_runs = cost.bpf_runs.saturating_add(more.bpf_runs);
        if let Some(ns) = more.bpf_ns {
            cost.bpf_ns = Some(cost.bpf_ns.unwrap_or(0).saturating_add(ns));
        }
        // States: those of a process that an interval does not mention are over.
        for process in self.processes.values_mut() {
            process.pending = 0;
            process.in_flight = 0;
        }
        for process in &interval.processes {
            let id = (process.pid, process.start_time);
            let Some(known) = self.processes.get_mut(&id) else {
                self.processes.insert(id, process.clone());
                continue;
            };
            known.comm.clone_from(&process.comm);
            known.cgroup.clone_from(&process.cgroup);
            known.pending = process.pending;
            known.in_flight = process.in_flight;
            if let Some(seconds) = process.copy_cpu_seconds {
                *known.copy_cpu_seconds.get_or_insert(0.0) += seconds;
            }
            for one in &process.not_followed {
                match known.not_followed.iter_mut().find(|k| k.call == one.call) {
                    Some(known) => known.copy_cpu_seconds += one.copy_cpu_seconds,
                    None => known.not_followed.push(one.clone()),
                }
            }
            for claimed in &process.claims {
                match known.claims.iter_mut().find(|c| c.has_key_of(claimed)) {
                    Some(known) => {
                        known.totals.add(&claimed.totals);
                        known.notifications =
                            known.notifications.saturating_add(claimed.notifications);
                        known.device = known.device.take().or_else(|| claimed.device.clone());
                    }
                    None => known.claims.push(claimed.clone()),
                }
            }
            for path in &process.paths {
                let same = |other: &&mut ledger::Path| {
                    (&other.op, &other.object, &other.evidence, &other.by)
                        == (&path.op, &path.object, &path.evidence, &path.by)
                };
                match known.paths.iter_mut().find(same) {
                    Some(known) => known.add(path),
                    None => known.paths.push(path.clone()),
                }
            }
        }
        for work in &interval.unattributed {
            let sum = self.unattributed.entry(work.thread.clone()).or_default();
            sum.add(&work.totals);
        }
    }

    /// The document.
    #[must_use]
    pub fn snapshot(self) -> Snapshot {
        let mut document = self.document;
        for process in self.processes.into_values() {
            let Process {
                pid,
                start_time,
                comm,
                cgroup,
                pending,
                in_flight,
                copy_cpu_seconds,
                not_followed,
                paths,
                claims,
                total: _,
                sent: _,
                received: _,
                copies_per_sent_byte: _,
                copies_per_received_byte: _,
                copies_per_sent_byte_is_lower_bound: _,
                copies_per_received_byte_is_lower_bound: _,
            } = process;
            let mut process = Process::from_paths(pid, start_time, comm, cgroup, paths);
            process.pending = pending;
            process.in_flight = in_flight;
            process.copy_cpu_seconds = copy_cpu_seconds;
            // A row can have come later than the samples.
            let calls = not_followed.into_iter();
            let calls = calls.map(|one| (one.call, one.copy_cpu_seconds));
            process.not_followed = ledger::not_followed(calls, &process.paths);
            process.claims = claims;
            document.total.add(&process.total);
            document.processes.push(process);
        }
        document
            .processes
            .sort_by(|a, b| b.total.moved.cmp(&a.total.moved).then(a.pid.cmp(&b.pid)));
        let unattributed = self.unattributed.into_iter();
        document.unattributed = unattributed
            .map(|(thread, totals)| Unattributed { thread, totals })
            .collect();
        document
    }
}
