//! What an operation is there for: which way bytes go, and between what.

use zctrace_common::{Ends, Flow, Op};

use crate::ledger::{End, Path};

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

    fn of(end: End<'_>) -> Self {
        match end {
            End::Pipe => Self::Pipe,
            End::Unix => Self::Unix,
            _ if end.is_stored() => Self::Stored,
            _ if end.is_network() => Self::Network,
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
pub(super) const fn job(op: Op) -> Option<Job> {
    Some(match op.flow() {
        Flow::Takes(from) | Flow::Shows(from) => Job::Take(is_one_of(from)),
        Flow::Gives(to) => Job::Give(is_one_of(to)),
        Flow::Passes(from, to) => Job::Pass(is_one_of(from), is_one_of(to)),
        Flow::Apart => return None,
    })
}

const fn is_one_of(ends: Ends) -> fn(Place) -> bool {
    match ends {
        Ends::Any => Place::is_known,
        Ends::Sockets => Place::is_socket,
        Ends::Stored => is_stored,
        Ends::Pipes => is_pipe,
    }
}

/// Where a row's bytes came from and went to.
pub(super) fn ends(path: &Path) -> Option<(Option<Place>, Option<Place>)> {
    if let Some((source, sink)) = path.object.joined() {
        return Some((Some(Place::of(source)), Some(Place::of(sink))));
    }
    let place = Place::of(path.object.sole()?);
    match job(path.op.known()?)? {
        Job::Take(_) => Some((Some(place), None)),
        Job::Give(_) => Some((None, Some(place))),
        Job::Pass(..) => None,
    }
}
