//! What an operation worked on.
//!
//! Reports say it as text, such as `tcp` or `file:ext4->tcp`. This is the one place that puts the text
//! together and takes it apart (a test in `xtask/src/imports.rs` holds the others to that). The text
//! of a foreign recording is kept as it came: what no version has written is an [`End::Other`], from
//! which nothing follows.

use std::fmt;

use compact_str::{CompactString, ToCompactString};
use serde::{Deserialize, Serialize};
use zctrace_common::IP_SOCKETS;

/// What an operation worked on: one thing, or two that it joins.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(CompactString);

const JOINT: &str = "->";

impl Object {
    /// The object of an operation that brings bytes from the first to the second.
    #[must_use]
    pub fn join(source: &impl fmt::Display, sink: &impl fmt::Display) -> Self {
        Self(compact_str::format_compact!("{source}{JOINT}{sink}"))
    }

    /// The two that the operation joins.
    #[must_use]
    pub fn joined(&self) -> Option<(End<'_>, End<'_>)> {
        let (source, sink) = self.0.split_once(JOINT)?;
        Some((End::of(source), End::of(sink)))
    }

    /// The only one. Which way bytes went, the operation says.
    #[must_use]
    pub fn sole(&self) -> Option<End<'_>> {
        (!self.0.contains(JOINT)).then(|| End::of(&self.0))
    }

    /// Where bytes can come from and go to: the same twice if there is only one.
    #[must_use]
    pub fn ends(&self) -> [End<'_>; 2] {
        let (source, sink) = self.joined().unwrap_or_else(|| {
            let end = End::of(&self.0);
            (end, end)
        });
        [source, sink]
    }

    /// Whether this is all that the operation worked on.
    #[must_use]
    pub fn is(&self, end: End<'_>) -> bool {
        self.sole() == Some(end)
    }

    /// Whether this holds for one of its ends.
    pub fn has<'a>(&'a self, is: impl FnMut(End<'a>) -> bool) -> bool {
        self.ends().into_iter().any(is)
    }

    /// The name in reports.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<End<'_>> for Object {
    fn from(end: End<'_>) -> Self {
        Self(end.to_compact_string())
    }
}

/// Reads a name.
impl From<&str> for Object {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

/// For tests only: elsewhere a name that is compared with a literal does not compile.
#[cfg(any(test, feature = "samples"))]
impl PartialEq<&str> for Object {
    fn eq(&self, name: &&str) -> bool {
        self.0 == *name
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Something that bytes can come from or go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End<'a> {
    /// A file of the filesystem with this name.
    File(&'a str),
    /// A block device.
    Block,
    /// A pipe or FIFO.
    Pipe,
    /// A TCP socket.
    Tcp,
    /// A UDP socket.
    Udp,
    /// A unix domain socket.
    Unix,
    /// A vsock socket.
    Vsock,
    /// Another socket, by its protocol or its address family.
    Socket(&'a str),
    /// A character device, by its driver.
    Char(&'a str),
    /// Anonymous memory.
    Anon,
    /// The system call whose object is not known.
    Syscall(&'a str),
    /// What a processor raised by itself, such as a page fault outside of system calls.
    Exception,
    /// What a thread copied that works for the process, such as one of vhost.
    Worker,
    /// A POSIX message queue.
    Mqueue,
    /// A System V message queue.
    Msgqueue,
    /// Memory that a process fills in itself.
    Userfaultfd,
    /// It could not be read.
    Unknown,
    /// A name that this version does not know.
    Other(&'a str),
}

impl<'a> End<'a> {
    /// The one with this name.
    #[must_use]
    pub fn of(name: &'a str) -> Self {
        match name.split_once(':') {
            Some(("file", filesystem)) => Self::File(filesystem),
            Some(("socket", kind)) => Self::Socket(kind),
            Some(("char", driver)) => Self::Char(driver),
            Some(("syscall", call)) => Self::Syscall(call),
            Some(_) => Self::Other(name),
            None => match name {
                "block" => Self::Block,
                "pipe" => Self::Pipe,
                "tcp" => Self::Tcp,
                "udp" => Self::Udp,
                "unix" => Self::Unix,
                "vsock" => Self::Vsock,
                "anon" => Self::Anon,
                "exception" => Self::Exception,
                "worker" => Self::Worker,
                "mqueue" => Self::Mqueue,
                "msgqueue" => Self::Msgqueue,
                "userfaultfd" => Self::Userfaultfd,
                "unknown" => Self::Unknown,
                _ => Self::Other(name),
            },
        }
    }

    /// Whether bytes of it are on a filesystem or a block device.
    #[must_use]
    pub const fn is_stored(self) -> bool {
        matches!(self, Self::File(_) | Self::Block)
    }

    /// Whether it is a file of this filesystem, or of one of its kinds, as `fuse.sshfs` is of `fuse`.
    #[must_use]
    pub fn is_on(self, filesystem: &str) -> bool {
        let Self::File(name) = self else {
            return false;
        };
        let rest = name.strip_prefix(filesystem);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// Whether it is a socket.
    #[must_use]
    pub const fn is_socket(self) -> bool {
        matches!(
            self,
            Self::Tcp | Self::Udp | Self::Unix | Self::Vsock | Self::Socket(_)
        )
    }

    /// Whether it is an inet or vsock socket.
    #[must_use]
    pub fn is_network(self) -> bool {
        match self {
            Self::Tcp | Self::Udp | Self::Vsock | Self::Socket("inet" | "inet6") => true,
            Self::Socket(name) => IP_SOCKETS.iter().any(|(_, known)| *known == name),
            _ => false,
        }
    }
}

/// The name in reports.
impl fmt::Display for End<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(name) => return write!(f, "file:{name}"),
            Self::Socket(name) => return write!(f, "socket:{name}"),
            Self::Char(name) => return write!(f, "char:{name}"),
            Self::Syscall(name) => return write!(f, "syscall:{name}"),
            Self::Block => "block",
            Self::Pipe => "pipe",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
            Self::Vsock => "vsock",
            Self::Anon => "anon",
            Self::Exception => "exception",
            Self::Worker => "worker",
            Self::Mqueue => "mqueue",
            Self::Msgqueue => "msgqueue",
            Self::Userfaultfd => "userfaultfd",
            Self::Unknown => "unknown",
            Self::Other(name) => name,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_has_its_name() {
        let names = [
            ("file:ext4", End::File("ext4")),
            ("block", End::Block),
            ("pipe", End::Pipe),
            ("tcp", End::Tcp),
            ("udp", End::Udp),
            ("unix", End::Unix),
            ("vsock", End::Vsock),
            ("socket:xdp", End::Socket("xdp")),
            ("char:null", End::Char("null")),
            ("anon", End::Anon),
            ("syscall:ioctl", End::Syscall("ioctl")),
            ("exception", End::Exception),
            ("worker", End::Worker),
            ("mqueue", End::Mqueue),
            ("msgqueue", End::Msgqueue),
            ("userfaultfd", End::Userfaultfd),
            ("unknown", End::Unknown),
            ("", End::Other("")),
            ("tcp ", End::Other("tcp ")),
            ("TCP", End::Other("TCP")),
            ("file", End::Other("file")),
            ("files:ext4", End::Other("files:ext4")),
        ];
        for (name, end) in names {
            let object = Object::from(name);
            assert_eq!(object, Object::from(end));
            assert!(object.is(end), "{name}");
            assert_eq!((object.joined(), object.ends()), (None, [end, end]));
            for (other, sink) in names {
                let object = Object::join(&end, &sink);
                assert_eq!(object.as_str(), format!("{name}->{other}"));
                assert_eq!(object.joined(), Some((end, sink)));
                assert_eq!((object.sole(), object.ends()), (None, [end, sink]));
            }
        }
    }

    #[test]
    fn kinds_of_a_filesystem_are_on_it() {
        let is_on = |name| Object::from(name).has(|end| end.is_on("fuse"));
        assert!(is_on("file:fuse") && is_on("file:fuse.sshfs") && is_on("pipe->file:fuse"));
        for other in ["file:fuseblk", "fuse", "char:fuse", "file:", "file:xfuse"] {
            assert!(!is_on(other), "{other}");
        }
    }

    proptest! {
        /// Whatever a foreign recording says is printed as it came.
        #[test]
        fn no_text_is_lost(name in "(file:|socket:|char:|tcp|->|:|.){0,8}") {
            let object = Object::from(&*name);
            let again = match object.joined() {
                Some((source, sink)) => Object::join(&source, &sink),
                None => Object::from(object.ends()[0]),
            };
            prop_assert_eq!(again.as_str(), &name);
            prop_assert_eq!(object.to_string(), name);
        }
    }
}
