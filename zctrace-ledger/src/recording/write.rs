//! Writing recordings.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File},
    hash::Hash,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    beside::{Beside, WireBatches, WireBeside},
    containers::WireContainers,
    cpu::WireCpu,
    errnos::WireErrnos,
    error::Error,
    filled::WireFilled,
    frame::{self, Kind},
    limits::{self, MOST_NUMBERED_BYTES, MOST_NUMBERS},
    not_followed::WireNotFollowed,
    notified::WireNotified,
    part,
    wire::{
        self, ClaimedRow, Header, Interval, PathKey, ProcessKey, ProcessRows, Sparse, StackKey,
        WireCoverage, WireLoss, WireRings, WireUnfollowed,
    },
};
use crate::{
    ledger::{Coverage, Snapshot},
    text::named_file,
};

/// When to go on in another file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// At this size in bytes.
    pub size: Option<u64>,
    /// After this time.
    pub time: Option<Duration>,
    /// How many files to keep; the oldest are removed.
    pub keep: Option<usize>,
}

/// Appends intervals to a recording.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    rotation: Rotation,
    stack_bytes: u64,
    parts: VecDeque<PathBuf>,
    /// How many of the parts an earlier recording left.
    earlier: usize,
    next_part: u32,
    seq: u64,
    file: Option<Part>,
    /// Made at the start, so that a mistake shows before the trace.
    fresh: Option<File>,
}

/// The file that is being written.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    time: Duration,
    numbers: Numbers,
}

impl Writer {
    /// A recording at `path`; a file there is replaced by the first interval, not before: a trace
    /// that cannot begin must not cost an earlier recording. With rotation nothing is replaced: it
    /// goes on behind the files that an earlier recording left.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or would be taken for the first of another recording's files.
    pub fn create(path: &Path, rotation: Rotation, stack_bytes: u64) -> Result<Self, Error> {
        let found = part::found(path).unwrap_or_default();
        let rotates = rotation.size.is_some() || rotation.time.is_some();
        let next_part = if rotates { found.free } else { 0 };
        if !rotates && found.recordings.iter().any(|&number| number > 0) {
            return Err(Error::InTheWay(path.to_owned()));
        }
        let parts: VecDeque<_> = (found.recordings.iter().filter(|_| rotates))
            .map(|&number| part::name(path, number))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            rotation,
            stack_bytes,
            earlier: parts.len(),
            parts,
            next_part,
            seq: 0,
            file: None,
            fresh: Some(create(&part::name(path, next_part), false)?),
        })
    }

    /// Appends an interval. After an error the file ends with the last interval that fitted.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn append(&mut self, snapshot: &Snapshot) -> Result<(), Error> {
        self.append_with(snapshot, &Beside::default())
    }

    /// Appends an interval with what there is beside it.
    ///
    /// # Errors
    ///
    /// As [`Writer::append`].
    pub fn append_with(&mut self, snapshot: &Snapshot, beside: &Beside) -> Result<(), Error> {
        if self.file.as_ref().is_some_and(|part| self.is_full(part)) {
            self.finish()?;
        }
        if self.file.is_none() {
            self.file = Some(self.open(snapshot)?);
        }
        if let Some(part) = &mut self.file {
            let (interval, containers) = part.numbers.interval(snapshot, self.seq);
            let filled = WireFilled::new(snapshot);
            let cpu = WireCpu::new(snapshot);
            let notified = WireNotified::new(snapshot);
            // What stands behind something cannot be read without it.
            let rings = WireRings::new(&snapshot.loss);
            let batches = WireBatches::new(beside);
            let unfollowed = WireUnfollowed::new(&snapshot.loss);
            let no_batches = unfollowed.is_empty() && batches.is_empty();
            let no_rings = no_batches && rings.is_empty();
            let no_notified = no_rings && notified.is_empty();
            let no_cpu = no_notified && cpu.is_empty();
            let no_filled = no_cpu && filled.is_empty();
            let payload = postcard::to_stdvec(&interval)
                .and_then(|payload| {
                    postcard::to_extend(&WireBeside::new(beside, snapshot), payload)
                })
                .and_then(|payload| postcard::to_extend(&WireLoss::from(&snapshot.loss), payload))
                .and_then(|payload| postcard::to_extend(&WireErrnos::new(snapshot), payload))
                .and_then(|payload| postcard::to_extend(&WireNotFollowed::new(snapshot), payload))
                .and_then(|payload| {
                    extend_unless(containers.is_empty() && no_filled, &containers, payload)
                })
                .and_then(|payload| extend_unless(no_filled, &filled, payload))
                .and_then(|payload| extend_unless(no_cpu, &cpu, payload))
                .and_then(|payload| extend_unless(no_notified, &notified, payload))
                .and_then(|payload| extend_unless(no_rings, &rings, payload))
                .and_then(|payload| extend_unless(no_batches, &batches, payload))
                .and_then(|payload| extend_unless(unfollowed.is_empty(), &unfollowed, payload));
            let payload = payload.map_err(io::Error::other);
            let frame = payload.and_then(|payload| frame::encode(Kind::Interval, &payload));
            part.append(frame)?;
            part.time += Duration::from_nanos(snapshot.duration_ns);
            self.seq += 1;
        }
        Ok(())
    }

    /// Marks the file as one that was ended, and not cut off.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn finish(&mut self) -> Result<(), Error> {
        match self.file.take() {
            Some(mut part) => part.append(frame::encode(Kind::End, &[])),
            None => Ok(()),
        }
    }

    /// The files of this recording that there are, oldest first.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().skip(self.earlier).map(PathBuf::as_path)
    }

    /// The files that an earlier recording left and that are still there, oldest first.
    pub fn earlier(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().take(self.earlier).map(PathBuf::as_path)
    }

    /// The file that is written next, or now.
    pub fn next_file(&self) -> PathBuf {
        part::name(&self.path, self.next_part)
    }

    fn is_full(&self, part: &Part) -> bool {
        self.rotation.size.is_some_and(|size| part.length >= size)
            || self.rotation.time.is_some_and(|time| part.time >= time)
    }

    fn open(&mut self, snapshot: &Snapshot) -> Result<Part, Error> {
        let path = part::name(&self.path, self.next_part);
        let file = match self.fresh.take() {
            Some(file) => emptied(file, &path)?,
            None => create(&path, true)?,
        };
        let header = Header {
            writer: env!("CARGO_PKG_VERSION").into(),
            schema: snapshot.schema.clone(),
            kernel: snapshot.kernel.clone(),
            arch: snapshot.arch.clone(),
            backend: snapshot.backend.clone(),
            target_kind: wire::kind_name(snapshot.target.kind).into(),
            target: cut(&snapshot.target.value),
            stack_bytes: self.stack_bytes,
            part: self.next_part,
        };
        self.next_part += 1;
        self.parts.push_back(path.clone());
        while self
            .rotation
            .keep
            .is_some_and(|keep| self.parts.len() > keep.max(1))
        {
            if let Some(oldest) = self.parts.pop_front() {
                self.earlier = self.earlier.saturating_sub(1);
                // Somebody else may have removed it.
                let _ = fs::remove_file(oldest);
            }
        }
        let mut part = Part {
            path,
            file,
            length: 0,
            time: Duration::ZERO,
            numbers: Numbers::default(),
        };
        part.append(Ok(frame::preamble()))?;
        let payload = postcard::to_stdvec(&header).map_err(io::Error::other);
        part.append(payload.and_then(|payload| frame::encode(Kind::Header, &payload)))?;
        Ok(part)
    }
}

fn cut(target: &str) -> String {
    target[..target.floor_char_boundary(limits::MOST_TARGET)].to_owned()
}

fn create(path: &Path, truncate: bool) -> Result<File, Error> {
    let file = named_file::resolve(path).and_then(|resolved| resolved.open(truncate));
    file.map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

/// Without what an earlier recording left in it. A device or a pipe has no length to change.
fn emptied(file: File, path: &Path) -> Result<File, Error> {
    let kind = file.metadata().map(|file| file.is_file());
    let empty = kind.and_then(|is_file| if is_file { file.set_len(0) } else { Ok(()) });
    empty.map(|()| file).map_err(|source| Error::Write {
        path: path.to_owned(),
        source,
    })
}

impl Part {
    /// In one write; what was written of a frame that did not fit is taken back.
    fn append(&mut self, frame: io::Result<Vec<u8>>) -> Result<(), Error> {
        let result = frame.and_then(|frame| {
            self.file.write_all(&frame)?;
            Ok(frame.len() as u64)
        });
        match result {
            Ok(length) => {
                self.length += length;
                Ok(())
            }
            Err(source) => {
                // A reader copes with the half frame too.
                let _ = self.file.set_len(self.length);
                Err(Error::Write {
                    path: self.path.clone(),
                    source,
                })
            }
        }
    }
}

/// Numbers for what recurs.
#[derive(Debug)]
struct Table<K>(HashMap<K, u32>);

impl<K> Default for Table<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash + Clone> Table<K> {
    fn number(&mut self, key: K, new: &mut Vec<K>) -> u32 {
        if let Some(&number) = self.0.get(&key) {
            return number;
        }
        let number = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.insert(key.clone(), number);
        new.push(key);
        number
    }
}

#[derive(Debug, Default)]
struct Numbers {
    names: Table<String>,
    processes: Table<ProcessKey>,
    paths: Table<PathKey>,
    stacks: Table<StackKey>,
    /// Names of containers by their cgroups.
    containers: HashMap<u32, u32>,
    /// About how many bytes of memory these take a reader.
    held: usize,
    coverage: Option<Coverage>,
}

impl Numbers {
    fn interval(&mut self, snapshot: &Snapshot, seq: u64) -> (Interval, WireContainers) {
        let mut interval = Interval {
            seq,
            started_us: snapshot
                .started_at
                .parse::<Timestamp>()
                .map_or(0, Timestamp::as_microsecond),
            duration_ns: snapshot.duration_ns,
            exit: snapshot.exit_status.map(wire::exit),
            loss: [snapshot.loss.map_full, 0, snapshot.loss.missed_runs],
            bpf_runs: snapshot.overhead.bpf_runs,
            bpf_ns: snapshot.overhead.bpf_ns,
            stacks_lost: snapshot.stacks.lost,
            ..Interval::default()
        };
        let most = [
            self.names.0.len(),
            self.processes.0.len(),
            self.paths.0.len(),
            self.stacks.0.len(),
        ];
        if most.into_iter().any(|count| count > MOST_NUMBERS) || self.held > MOST_NUMBERED_BYTES {
            let coverage = self.coverage.take();
            *self = Self {
                coverage,
                ..Self::default()
            };
            interval.reset = true;
        }
        if self.coverage.as_ref() != Some(&snapshot.coverage) {
            interval.coverage = Some(WireCoverage::from(&snapshot.coverage));
            self.coverage = Some(snapshot.coverage.clone());
        }
        let new_names = &mut interval.new_names;
        for process in &snapshot.processes {
            let key = ProcessKey {
                pid: process.pid,
                start_time: process.start_time,
                comm: self.names.number(process.comm.clone(), new_names),
                cgroup: self.names.number(process.cgroup.clone(), new_names),
            };
            let mut rows = Vec::with_capacity(process.paths.len());
            for path in &process.paths {
                let key = PathKey {
                    op: self.names.number(path.op.to_string(), new_names),
                    object: self.names.number(path.object.to_string(), new_names),
                    evidence: self.names.number(path.evidence.to_string(), new_names),
                    by: path.by.clone().map(|by| self.names.number(by, new_names)),
                };
                let number = self.paths.number(key, &mut interval.new_paths);
                rows.push((number, Sparse::from(&path.totals)));
            }
            let mut claims = Vec::with_capacity(process.claims.len());
            for claimed in &process.claims {
                let key = PathKey {
                    op: self.names.number(claimed.op.to_string(), new_names),
                    object: self.names.number(claimed.object.to_string(), new_names),
                    evidence: self.names.number(claimed.evidence.to_string(), new_names),
                    by: None,
                };
                claims.push(ClaimedRow {
                    path: self.paths.number(key, &mut interval.new_paths),
                    claims: claimed
                        .claims
                        .iter()
                        .map(|name| self.names.number(name.clone(), new_names))
                        .collect(),
                    device: claimed
                        .device
                        .clone()
                        .map(|device| self.names.number(device, new_names)),
                    notifications: claimed.notifications,
                    counters: Sparse::from(&claimed.totals),
                });
            }
            interval.processes.push(ProcessRows {
                process: self.processes.number(key, &mut interval.new_processes),
                pending: process.pending,
                in_flight: process.in_flight,
                copy_cpu_seconds: process.copy_cpu_seconds,
                rows,
                claims,
            });
        }
        for work in &snapshot.unattributed {
            let name = self.names.number(work.thread.clone(), new_names);
            let counters = Sparse::from(&work.totals);
            interval.unattributed.push((name, counters));
        }
        for (stack, bytes) in &snapshot.stacks.bytes {
            let key = StackKey {
                pid: stack.pid,
                start_time: stack.start_time,
                comm: self.names.number(stack.comm.to_string(), new_names),
                class: self.names.number(stack.class.to_string(), new_names),
                frames: stack
                    .frames
                    .iter()
                    .map(|frame| self.names.number(frame.to_string(), new_names))
                    .collect(),
            };
            let number = self.stacks.number(key, &mut interval.new_stacks);
            interval.stacks.push((number, *bytes));
        }
        let containers = WireContainers::new(snapshot, &mut self.containers, |name| {
            self.names.number(name, new_names)
        });
        let names = interval.new_names.iter().map(String::len);
        let frames = interval.new_stacks.iter();
        let frames = frames.map(|stack| size_of_val(&stack.frames[..]));
        let each = names.chain(frames).map(limits::numbered_bytes);
        self.held += each.sum::<usize>();
        (interval, containers)
    }
}

/// Appends a part of a frame, unless neither it nor what stands behind it has anything to say.
fn extend_unless<T: Serialize>(
    is_left_out: bool,
    part: &T,
    payload: Vec<u8>,
) -> postcard::Result<Vec<u8>> {
    if is_left_out {
        Ok(payload)
    } else {
        postcard::to_extend(part, payload)
    }
}
