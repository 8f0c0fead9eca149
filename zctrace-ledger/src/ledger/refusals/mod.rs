//! Why a call failed: each operation with an errno, and the condition in the kernel behind it.
//!
//! A program that asks for a call without a copy is often refused, and quietly copies instead. Every line here was
//! provoked on a running kernel. `one_kernel/alone/refusals.rs` of the privileged tests provokes it again, and knows each
//! line by its number in the table.

pub mod page;

use std::fmt::Write as _;

use nix::libc;
use zctrace_common::Op;

use super::{End, Errno, Errnos, Object, Path};

/// A reason for a refusal.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The operations; none for a call that is not an operation of the ledger.
    pub ops: &'static [Op],
    /// The call, for people.
    pub call: &'static str,
    /// The objects for which this can be the reason.
    on: On,
    /// What the call failed with.
    pub errno: i32,
    /// What was wrong.
    pub means: &'static str,
    /// What can be done, or what the program does without it.
    pub helps: &'static str,
    /// Whether it is part of normal operation. Reports then say nothing.
    pub is_usual: bool,
}

/// The objects of a refusal.
#[derive(Clone, Copy, Debug)]
enum On {
    Any,
    /// The bytes go into a file.
    IntoFile,
    /// The bytes come from a file.
    FromFile,
    /// The bytes come from something other than a file.
    FromNoFile,
    /// The bytes come from a file that the kernel generates while it is read.
    FromMadeUp,
    /// Neither end is a pipe.
    NoPipe,
    /// Both ends are pipes.
    Pipes,
    /// A file or block device, not of a filesystem that makes its data up.
    Stored,
    /// The same, where O_DIRECT needs what is aligned. tmpfs takes anything, and hugetlbfs has no O_DIRECT.
    Aligned,
    /// A file or a block device.
    File,
    /// Anything else.
    NoFile,
    /// A unix socket.
    Unix,
}

impl On {
    fn holds(self, object: &Object) -> bool {
        let is_made_up = |end: End<'_>| {
            matches!(
                end,
                End::File("proc" | "sysfs" | "anon_inodefs" | "cgroup2")
            )
        };
        let [from, to] = object.ends();
        match self {
            Self::Any => true,
            Self::IntoFile => to.is_stored(),
            Self::FromFile => from.is_stored(),
            Self::FromNoFile => !from.is_stored(),
            Self::FromMadeUp => is_made_up(from),
            Self::NoPipe => from != End::Pipe && to != End::Pipe,
            Self::Pipes => from == End::Pipe && to == End::Pipe,
            Self::Stored => from.is_stored() && !is_made_up(from),
            Self::Aligned => {
                Self::Stored.holds(object) && !matches!(from, End::File("tmpfs" | "hugetlbfs"))
            }
            Self::File => from.is_stored(),
            Self::NoFile => !from.is_stored(),
            Self::Unix => from == End::Unix,
        }
    }
}

const SPLICE: &[Op] = &[Op::Splice, Op::UringSplice];
const READS: &[Op] = &[Op::Read, Op::UringRead, Op::UringReadv];
const WRITES: &[Op] = &[Op::Write, Op::UringWrite, Op::UringWritev];
const DIRECT: &[Op] = &[
    Op::Read,
    Op::Write,
    Op::UringRead,
    Op::UringWrite,
    Op::UringReadv,
    Op::UringWritev,
    Op::UringReadFixed,
    Op::UringWriteFixed,
    Op::AioRead,
    Op::AioWrite,
];

/// Every refusal that is known, in the order of the documentation.
pub const ALL: &[Refusal] = &[
    Refusal::new(
        SPLICE,
        "splice",
        On::IntoFile,
        libc::EINVAL,
        "the target was opened with O_APPEND, or it accepts no pages",
        "open the target without O_APPEND and write at its end",
    ),
    Refusal::new(
        SPLICE,
        "splice",
        On::NoPipe,
        libc::EINVAL,
        "neither end is a pipe",
        "put a pipe in between, or use sendfile",
    ),
    Refusal::new(
        SPLICE,
        "splice",
        On::FromMadeUp,
        libc::EINVAL,
        "the source gives no pages: most of procfs, and eventfd and similar objects",
        "read it",
    ),
    Refusal::new(
        SPLICE,
        "splice",
        On::Pipes,
        libc::EINVAL,
        "both ends are the same pipe",
        "use two pipes",
    ),
    Refusal::new(
        SPLICE,
        "splice",
        On::Any,
        libc::ESPIPE,
        "an offset was given for a pipe",
        "give offsets for files only",
    ),
    Refusal::new(
        SPLICE,
        "splice",
        On::Any,
        libc::EBADF,
        "the source is not open for reading, or the target not for writing",
        "open the source for reading and the target for writing",
    ),
    Refusal::new(
        SPLICE,
        "splice",
        On::Any,
        libc::EAGAIN,
        "SPLICE_F_NONBLOCK or O_NONBLOCK is set, and there is nothing to move or no room",
        "wait until the descriptor is ready",
    )
    .usual(),
    Refusal::new(
        &[Op::Sendfile],
        "sendfile",
        On::IntoFile,
        libc::EINVAL,
        "the target was opened with O_APPEND, or the source gives no pages",
        "open the target without O_APPEND and write at its end",
    ),
    Refusal::new(
        &[Op::Sendfile],
        "sendfile",
        On::FromNoFile,
        libc::EINVAL,
        "the source is a socket or a pipe, but sendfile only reads files",
        "use splice",
    ),
    Refusal::new(
        &[Op::Sendfile],
        "sendfile",
        On::FromMadeUp,
        libc::EINVAL,
        "the source gives no pages: most of procfs, and eventfd and similar objects",
        "read and write",
    ),
    Refusal::new(
        &[Op::Sendfile],
        "sendfile",
        On::FromNoFile,
        libc::ESPIPE,
        "an offset was given for a source that has none",
        "give offsets for files only",
    ),
    Refusal::new(
        &[Op::Sendfile],
        "sendfile",
        On::Any,
        libc::EAGAIN,
        "the target is non-blocking and has no room",
        "wait until the descriptor is ready",
    )
    .usual(),
    Refusal::new(
        &[Op::Tee],
        "tee",
        On::Any,
        libc::EINVAL,
        "an end is not a pipe, or both are the same pipe",
        "use two pipes",
    ),
    Refusal::new(
        &[Op::Tee],
        "tee",
        On::Any,
        libc::EAGAIN,
        "SPLICE_F_NONBLOCK is set, and there is nothing to duplicate or no room",
        "wait until the descriptor is ready",
    )
    .usual(),
    Refusal::new(
        &[Op::Vmsplice],
        "vmsplice",
        On::Any,
        libc::EAGAIN,
        "SPLICE_F_NONBLOCK or O_NONBLOCK is set, and the pipe is full",
        "wait until the descriptor is ready",
    )
    .usual(),
    Refusal::new(
        &[Op::CopyFileRange],
        "copy_file_range",
        On::Any,
        libc::EBADF,
        "the target was opened with O_APPEND, or an end is not open for it",
        "open the target for writing without O_APPEND",
    ),
    Refusal::new(
        &[Op::CopyFileRange],
        "copy_file_range",
        On::FromMadeUp,
        libc::EXDEV,
        "the kernel does not support it on procfs, sysfs and similar filesystems",
        "read and write",
    ),
    Refusal::new(
        &[Op::CopyFileRange],
        "copy_file_range",
        On::Stored,
        libc::EXDEV,
        "the files lie on different filesystems",
        "keep both on one filesystem, or use sendfile, which copies in the kernel",
    ),
    Refusal::new(
        &[Op::CopyFileRange],
        "copy_file_range",
        On::FromNoFile,
        libc::EINVAL,
        "an end is not a regular file",
        "use splice",
    ),
    Refusal::new(
        &[Op::CopyFileRange],
        "copy_file_range",
        On::FromFile,
        libc::EINVAL,
        "the ranges overlap in one file, or an end is not a regular file",
        "copy ranges that do not overlap",
    ),
    Refusal::new(
        &[Op::CopyFileRange],
        "copy_file_range",
        On::Any,
        libc::EISDIR,
        "an end is a directory",
        "copy files one by one",
    ),
    Refusal::new(
        &[Op::Clone],
        "FICLONE",
        On::FromFile,
        libc::EOPNOTSUPP,
        "the filesystem shares no extents (ext4, tmpfs; xfs without reflink=1)",
        "use btrfs, or xfs with reflink=1; programs copy instead",
    ),
    Refusal::new(
        &[Op::Clone],
        "FICLONE",
        On::Any,
        libc::EXDEV,
        "the files lie on different filesystems",
        "keep both on one filesystem; programs copy instead",
    ),
    Refusal::new(
        &[Op::Clone],
        "FICLONE",
        On::Any,
        libc::EBADF,
        "the target was opened with O_APPEND, or an end is not open for it",
        "open the target for writing without O_APPEND",
    ),
    Refusal::new(
        &[Op::Clone],
        "FICLONERANGE",
        On::FromFile,
        libc::EINVAL,
        "an offset or the length is not a multiple of the filesystem's block",
        "clone whole blocks, up to the end of the file",
    ),
    Refusal::new(
        DIRECT,
        "read or write with O_DIRECT",
        On::Aligned,
        libc::EINVAL,
        "with O_DIRECT, the address, offset or length is not a multiple of the device's block",
        "align them: statx(STATX_DIOALIGN) reports the alignment",
    ),
    Refusal::new(
        &[],
        "open with O_DIRECT",
        On::Any,
        libc::EINVAL,
        "the filesystem does not support O_DIRECT",
        "keep the file on another filesystem",
    ),
    Refusal::new(
        READS,
        "read with RWF_NOWAIT",
        On::File,
        libc::EAGAIN,
        "RWF_NOWAIT is set, and the data is not in the page cache",
        "read it in a thread that may block",
    )
    .usual(),
    Refusal::new(
        READS,
        "read on a non-blocking descriptor",
        On::NoFile,
        libc::EAGAIN,
        "the descriptor is non-blocking and has no data",
        "wait until it is ready",
    )
    .usual(),
    Refusal::new(
        WRITES,
        "write on a non-blocking descriptor",
        On::NoFile,
        libc::EAGAIN,
        "the descriptor is non-blocking and has no room",
        "wait until it is ready",
    )
    .usual(),
    Refusal::new(
        READS,
        "read with flags",
        On::Any,
        libc::EOPNOTSUPP,
        "this object does not support a flag of preadv2 (RWF_NOWAIT on a pipe or procfs)",
        "leave the flag out there",
    ),
    Refusal::new(
        &[Op::SendZerocopy],
        "send with MSG_ZEROCOPY",
        On::Any,
        libc::ENOBUFS,
        "the pages would exceed RLIMIT_MEMLOCK, or the notifications would exceed net.core.optmem_max",
        "raise RLIMIT_MEMLOCK or give CAP_IPC_LOCK, raise net.core.optmem_max, and read the \
         notifications from the error queue",
    ),
    Refusal::new(
        &[],
        "setsockopt(SO_ZEROCOPY) on a unix socket",
        On::Any,
        libc::EOPNOTSUPP,
        "unix sockets have no zero-copy send",
        "share memory, or pass pages with vmsplice and splice",
    ),
    Refusal::new(
        &[Op::UringSendZc, Op::UringSendmsgZc],
        "IORING_OP_SEND_ZC",
        On::Unix,
        libc::EOPNOTSUPP,
        "this kind of socket has no zero-copy send",
        "use IORING_OP_SEND there",
    ),
    Refusal::new(
        &[Op::UringReadFixed, Op::UringWriteFixed],
        "IORING_OP_READ_FIXED or WRITE_FIXED",
        On::Any,
        libc::EFAULT,
        "no buffer is registered with this index, or the range is outside of it",
        "register the buffers, and stay within them",
    ),
    Refusal::new(
        &[Op::UringRecv],
        "IORING_OP_RECV",
        On::Any,
        libc::ENOBUFS,
        "the group of provided buffers is empty",
        "return buffers sooner, or provide more",
    ),
    Refusal::new(
        &[Op::UringRead, Op::UringWrite, Op::UringSend, Op::UringRecv],
        "a linked request of io_uring",
        On::Any,
        libc::ECANCELED,
        "an earlier request in the chain failed, or the request was cancelled",
        "look at the first request of the chain that failed",
    )
    .usual(),
];

impl Refusal {
    const fn new(
        ops: &'static [Op],
        call: &'static str,
        on: On,
        errno: i32,
        means: &'static str,
        helps: &'static str,
    ) -> Self {
        Self {
            ops,
            call,
            on,
            errno,
            means,
            helps,
            is_usual: false,
        }
    }

    const fn usual(mut self) -> Self {
        self.is_usual = true;
        self
    }

    /// What the call failed with.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        Errno::new(self.errno.unsigned_abs())
    }
}

/// Why such operations can have failed with this errno on this object.
pub fn of<'a>(
    op: Op,
    object: &'a Object,
    errno: Errno,
) -> impl Iterator<Item = &'static Refusal> + 'a {
    ALL.iter().filter(move |refusal| {
        refusal.errno() == errno && refusal.on.holds(object) && refusal.ops.contains(&op)
    })
}

/// What a row's operations failed with, and what that means, in words: an item for each errno, such as `EINVAL: the
/// target was opened with O_APPEND, or …`. Errnos of normal operation, and unknown reasons, are left out.
#[must_use]
pub fn words(path: &Path) -> Vec<String> {
    words_of(path.op.known(), &path.object, &path.errnos)
}

/// The same for an operation on an object. None is known for one that this version does not know.
#[must_use]
pub fn words_of(op: Option<Op>, object: &Object, errnos: &Errnos) -> Vec<String> {
    let told = errnos.by_count().into_iter();
    told.filter_map(|(errno, _)| {
        let mut known: Vec<_> = of(op?, object, errno).collect();
        if known.iter().all(|refusal| refusal.is_usual) {
            return None;
        }
        // The same meaning comes once, however many calls can have it.
        known.dedup_by_key(|refusal| refusal.means);
        let mut text = format!("{errno}: ");
        for (place, refusal) in known.iter().enumerate() {
            let or = if place == 0 { "" } else { "; or " };
            let _ = write!(text, "{or}{}", refusal.means);
        }
        Some(text)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Notified, Totals};

    fn failed(op: &str, object: &str, errno: i32) -> Vec<String> {
        words(&Path {
            op: op.into(),
            object: object.into(),
            evidence: "measured".into(),
            by: None,
            errnos: [(Errno::new(errno.unsigned_abs()), 1)]
                .into_iter()
                .collect::<Errnos>(),
            notified: Notified::default(),
            totals: Totals::default(),
        })
    }

    #[test]
    fn the_object_tells_which_cause_it_can_be() {
        let append = failed("splice", "pipe->file:ext4", libc::EINVAL);
        assert!(
            append[0].starts_with("EINVAL: the target was opened with O_APPEND"),
            "{append:?}"
        );
        let pipes = failed("splice", "pipe->pipe", libc::EINVAL);
        assert_eq!(pipes, ["EINVAL: both ends are the same pipe"]);
        let files = failed("copy_file_range", "file:ext4->file:tmpfs", libc::EXDEV);
        assert_eq!(files, ["EXDEV: the files lie on different filesystems"]);
        let memory = failed("copy_file_range", "file:tmpfs->file:ext4", libc::EXDEV);
        assert_eq!(memory, ["EXDEV: the files lie on different filesystems"]);
        assert_eq!(failed("write", "file:ext4", libc::EINVAL).len(), 1);
        // It has no write at all.
        assert!(failed("write", "file:hugetlbfs", libc::EINVAL).is_empty());
        let made_up = failed("copy_file_range", "file:proc->file:ext4", libc::EXDEV);
        assert!(made_up[0].contains("procfs"), "{made_up:?}");
    }

    #[test]
    fn nothing_is_said_of_what_is_usual_or_not_known() {
        assert!(failed("recv", "tcp", libc::EAGAIN).is_empty());
        assert!(failed("splice", "pipe->tcp", libc::EAGAIN).is_empty());
        assert!(failed("read", "pipe", libc::EINVAL).is_empty());
    }

    #[test]
    fn texts_are_parts_of_a_sentence() {
        for refusal in ALL {
            for text in [refusal.call, refusal.means, refusal.helps] {
                assert!(!text.ends_with('.') && !text.is_empty(), "{text}");
            }
            assert!(refusal.errno().name().is_some(), "{refusal:?}");
        }
    }
}
