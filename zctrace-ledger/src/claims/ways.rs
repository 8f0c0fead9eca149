//! What an operation is there for: which way bytes go, and between what. So it can be told which
//! bytes went another way than the one that was claimed.
//!
//! What this says refutes a claim, so it is narrow. An operation that passes bytes on within the
//! kernel is replaced only by a process that took as many bytes into its memory as it gave away.

use zctrace_common::Op;

use super::{Claim, claim::matches, portion::carried};
use crate::{
    ledger::{Path, Process, Snapshot, ratio},
    text::{bytes::bytes, escape::printable},
};

/// What is at the end of a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Sockets of the internet protocols and vsock.
    Network,
    /// Unix sockets.
    Unix,
    /// Files and block devices.
    Stored,
    /// Pipes.
    Pipe,
    /// Devices, memory and whatever else has no other way.
    Other,
}

impl Place {
    /// Those that can be named.
    pub(super) const NAMED: [(&'static str, Self); 4] = [
        ("network", Self::Network),
        ("unix", Self::Unix),
        ("file", Self::Stored),
        ("pipe", Self::Pipe),
    ];

    /// In a sentence.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Network => "the network",
            Self::Unix => "unix sockets",
            Self::Stored => "files",
            Self::Pipe => "pipes",
            Self::Other => "something else",
        }
    }

    fn of(object: &str) -> Self {
        match object {
            "pipe" => Self::Pipe,
            "block" => Self::Stored,
            "tcp" | "udp" | "vsock" => Self::Network,
            "socket:mptcp" | "socket:raw" | "socket:sctp" | "socket:icmp" => Self::Network,
            _ if object.starts_with("file:") => Self::Stored,
            _ if object.starts_with("unix") => Self::Unix,
            _ if object.starts_with("socket:inet") => Self::Network,
            _ => Self::Other,
        }
    }

    pub(super) const fn is_socket(self) -> bool {
        matches!(self, Self::Network | Self::Unix)
    }

    const fn is_known(self) -> bool {
        !matches!(self, Self::Other)
    }
}

/// What an operation does with bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Job {
    /// Takes them into memory.
    Take(fn(Place) -> bool),
    /// Gives them away from memory.
    Give(fn(Place) -> bool),
    /// Passes them on within the kernel.
    Pass(fn(Place) -> bool, fn(Place) -> bool),
}

const fn is_stored(place: Place) -> bool {
    matches!(place, Place::Stored)
}

const fn is_pipe(place: Place) -> bool {
    matches!(place, Place::Pipe)
}

/// The job of an operation; `None` where nothing else could do it.
pub(super) fn job(op: &str) -> Option<Job> {
    let name = op
        .strip_prefix("uring.")
        .or_else(|| op.strip_prefix("aio."))
        .unwrap_or(op);
    let begins = |word: &str| name.starts_with(word);
    Some(match name {
        "sendfile" => Job::Pass(is_stored, Place::is_known),
        "copy_file_range" | "clone" => Job::Pass(is_stored, is_stored),
        "splice" => Job::Pass(Place::is_known, Place::is_known),
        "tee" => Job::Pass(is_pipe, is_pipe),
        "vmsplice" => Job::Give(is_pipe),
        "fault.map" => Job::Take(is_stored),
        "recv.peek" => return None,
        _ if begins("read") => Job::Take(Place::is_known),
        _ if begins("write") => Job::Give(Place::is_known),
        _ if begins("recv") => Job::Take(Place::is_socket),
        _ if begins("send") => Job::Give(Place::is_socket),
        _ => return None,
    })
}

/// Where a row's bytes came from and went to.
pub(super) fn ends(path: &Path) -> Option<(Option<Place>, Option<Place>)> {
    if let Some((source, sink)) = path.object.split_once("->") {
        return Some((Some(Place::of(source)), Some(Place::of(sink))));
    }
    let place = Place::of(&path.object);
    match job(&path.op)? {
        Job::Take(_) => Some((Some(place), None)),
        Job::Give(_) => Some((None, Some(place))),
        Job::Pass(..) => None,
    }
}

/// Bytes of a row that went somewhere.
pub(super) fn amount(path: &Path) -> u64 {
    carried(path).saturating_add(path.totals.cloned)
}

/// What went another way than by the path of a claim.
pub(super) struct Instead<'a> {
    process: &'a Process,
    /// How much.
    pub(super) bytes: u64,
    rows: Vec<&'a Path>,
}

impl<'a> Instead<'a> {
    /// What the process that did most of it moved in other ways than by `claim`'s path.
    pub(super) fn of(claim: &Claim, snapshot: &'a Snapshot) -> Option<Self> {
        let path = claim.path.as_deref()?;
        let jobs: Vec<_> = Op::ALL
            .iter()
            .map(|op| op.name())
            .filter(|op| matches(path, op))
            .filter_map(job)
            .collect();
        snapshot
            .processes
            .iter()
            .filter_map(|process| Self::in_process(claim, &jobs, process))
            .max_by_key(|instead| instead.bytes)
    }

    fn in_process(claim: &Claim, jobs: &[Job], process: &'a Process) -> Option<Self> {
        let others: Vec<_> = process
            .paths
            .iter()
            .filter(|path| !claim.is_about(&path.op) && amount(path) > 0)
            .filter_map(|path| Some((path, ends(path)?)))
            .collect();
        let rows = |is: &dyn Fn(Option<Place>, Option<Place>) -> bool| -> Vec<&'a Path> {
            let is = |entry: &&(&'a Path, (Option<Place>, Option<Place>))| is(entry.1.0, entry.1.1);
            others.iter().filter(is).map(|(path, _)| *path).collect()
        };
        jobs.iter()
            .filter_map(|job| {
                let (rows, bytes) = match *job {
                    Job::Take(from) => {
                        let rows = rows(&|source, _| source.is_some_and(from));
                        let bytes = sum(&rows);
                        (rows, bytes)
                    }
                    Job::Give(to) => {
                        let rows = rows(&|_, sink| sink.is_some_and(to));
                        let bytes = sum(&rows);
                        (rows, bytes)
                    }
                    Job::Pass(from, to) => {
                        let is =
                            |place: Option<Place>, is: fn(Place) -> bool| place.is_some_and(is);
                        let passed = rows(&|source, sink| is(source, from) && is(sink, to));
                        let taken = rows(&|source, sink| is(source, from) && sink.is_none());
                        let given = rows(&|source, sink| source.is_none() && is(sink, to));
                        let through = sum(&taken).min(sum(&given));
                        let bytes = sum(&passed).saturating_add(through);
                        let mut rows = passed;
                        if through > 0 {
                            rows.extend(given);
                            rows.extend(taken);
                        }
                        (rows, bytes)
                    }
                };
                (bytes > 0).then_some(Self {
                    process,
                    bytes,
                    rows,
                })
            })
            .max_by_key(|instead| instead.bytes)
    }

    /// In words: whose they were, how they went, and at what price.
    pub(super) fn words(&self) -> String {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|path| std::cmp::Reverse(amount(path)));
        let names: Vec<_> = rows
            .iter()
            .take(3)
            .map(|path| format!("`{} {}`", path.op, printable(&path.object)))
            .collect();
        let copies = rows
            .iter()
            .fold(0_u64, |sum, path| sum.saturating_add(path.totals.copies()));
        let mark = if rows.iter().any(|path| path.totals.unexplained > 0) {
            "?"
        } else {
            ""
        };
        let rate = ratio(copies, self.bytes).unwrap_or_default();
        format!(
            "{} ({}) moved {} by {} at {rate:.2}{mark} copies per byte",
            printable(&self.process.comm),
            self.process.pid,
            bytes(self.bytes),
            names.join(" and "),
        )
    }
}

fn sum(rows: &[&Path]) -> u64 {
    rows.iter()
        .fold(0_u64, |sum, path| sum.saturating_add(amount(path)))
}
