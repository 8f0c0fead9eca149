//! What an operation is there for: which way bytes go, and between what.

use crate::ledger::Path;

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
