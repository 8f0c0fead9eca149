//! What a system call does with its bytes, concluded from the call, its flags and its objects: the
//! tracepoints backend.
//!
//! A wrong class is never an answer. A class that is not certain on every kernel with these tracepoints is left
//! unexplained. docs/probes.md lists these cases; keep it up to date.

use zctrace_common::{ABSENT, Class, ObjectKind, Task};

use crate::{
    base::{
        abi::{
            BTRFS_MAGIC, CGROUP2_MAGIC, DEBUGFS_MAGIC, EROFS_MAGIC, EXT_MAGIC, F2FS_MAGIC,
            MSDOS_MAGIC, O_DIRECT, OVERLAYFS_MAGIC, PROC_MAGIC, RAMFS_MAGIC, SOCK_DGRAM,
            SOCK_STREAM, SQUASHFS_MAGIC, SYSFS_MAGIC, TMPFS_MAGIC, TRACEFS_MAGIC, XFS_MAGIC,
        },
        kernel::{self, Access as _, Probed},
        maps::offset,
        words,
    },
    book::object::{self, Ends},
};

/// What an object does with bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Copies them at the border to user memory; lends its pages to a pipe.
    Cached,
    /// The same, except for the kernel's own memory, including registered buffers, which may be cleared instead.
    CachedOrClears,
    /// Copies them at the border to user memory; what it does with a pipe is not certain.
    CopiesUser,
    /// Copies them at the border to user memory, and also copies what comes from a pipe.
    CopiesAll,
    /// Copies reads into user memory; what it does in other cases is not certain.
    CopiesOut,
    /// The same, except for the kernel's own memory, which may be cleared instead.
    CopiesOrClears,
    /// Takes pages by reference from a pipe, copies from and to user memory.
    TakesPages,
    /// Bypasses the page cache where it can: the block requests decide.
    Direct,
    /// Generates or discards them.
    Synthetic,
    /// Nothing is certain.
    Uncertain,
}

/// What the object behind a `struct file` (any pointer) does with bytes. It is a [`Habit`] whose value the verifier
/// does not know; otherwise it would follow each of them to the end of the program.
#[inline(never)]
pub(crate) fn habit(task: &mut Task, object: u64, file: u64) -> u32 {
    let habit = habit_of(object, file as *const u8) as u64;
    words::opaque(task, habit) as u32
}

#[inline(always)]
fn habit_of(object: u64, file: *const u8) -> Habit {
    let flags: u32 = Probed::load(file, offset!(file_flags));
    let direct = flags & O_DIRECT != 0;
    match (object >> 56) as u8 {
        kind if kind == ObjectKind::File as u8 => {
            let inode = kernel::pointer::<Probed>(file, offset!(file_inode));
            let sb = kernel::pointer::<Probed>(inode, offset!(inode_sb));
            match Probed::load::<u64>(sb, offset!(sb_magic)) {
                TMPFS_MAGIC => {
                    let size: u64 = Probed::load(inode, offset!(inode_size));
                    let blocks: u64 = Probed::load(inode, offset!(inode_blocks));
                    // tmpfs copies the zero page to user memory where a file has a hole. It accepts O_DIRECT since
                    // Linux 6.6, and copies: into a pipe as well (`copy_splice_read`).
                    if blocks * 512 < size {
                        Habit::CopiesOrClears
                    } else if direct {
                        Habit::CopiesAll
                    } else {
                        Habit::CachedOrClears
                    }
                }
                EXT_MAGIC | XFS_MAGIC | BTRFS_MAGIC | MSDOS_MAGIC => {
                    if direct {
                        Habit::Direct
                    } else if is_dax(inode) {
                        Habit::CopiesUser
                    } else {
                        Habit::Cached
                    }
                }
                // Nobody has seen what these lend to a pipe.
                F2FS_MAGIC if direct => Habit::Direct,
                F2FS_MAGIC | EROFS_MAGIC | SQUASHFS_MAGIC if !direct => Habit::CopiesUser,
                RAMFS_MAGIC => Habit::Cached,
                // Nothing is known about the filesystem below, except that it can be tmpfs.
                OVERLAYFS_MAGIC if !direct => Habit::CopiesOrClears,
                // Every file here can have its own functions, but a `seq_file` has shared ones: `seq_read_iter`, and
                // that of kernfs.
                PROC_MAGIC | SYSFS_MAGIC | CGROUP2_MAGIC | DEBUGFS_MAGIC | TRACEFS_MAGIC
                    if is_sequence(file) =>
                {
                    Habit::CopiesOut
                }
                // hugetlbfs clears the reader's buffer where a page was never touched, and tmpfs that of the kernel.
                _ => Habit::Uncertain,
            }
        }
        kind if kind == ObjectKind::Block as u8 => {
            if direct {
                Habit::Direct
            } else {
                Habit::Cached
            }
        }
        kind if kind == ObjectKind::Pipe as u8 => Habit::TakesPages,
        kind if kind == ObjectKind::Unix as u8 => unix(sock_of(file)),
        kind if kind == ObjectKind::Tcp as u8 => tcp(sock_of(file)),
        kind if kind == ObjectKind::Udp as u8 => udp(sock_of(file)),
        kind if kind == ObjectKind::Socket as u8 => {
            const AF_NETLINK: u64 = 16;
            if object & 0xffff == AF_NETLINK {
                Habit::CopiesUser
            } else {
                Habit::Uncertain
            }
        }
        kind if kind == ObjectKind::Char as u8 => {
            const MINOR: u64 = 0xf_ffff;
            match ((object >> 20) & 0xfff, object & MINOR) {
                // null, zero, random, urandom
                (1, 3 | 5 | 8 | 9) => Habit::Synthetic,
                // Terminals.
                (4 | 5 | 136..=143 | 204, _) => Habit::CopiesUser,
                // /dev/fuse
                (10, 229) => Habit::CopiesUser,
                _ => Habit::Uncertain,
            }
        }
        _ => Habit::Uncertain,
    }
}

/// The `struct sock` of a socket's file, both any pointers.
#[inline(always)]
fn sock_of(file: *const u8) -> *const u8 {
    let socket = kernel::pointer::<Probed>(file, offset!(file_private_data));
    kernel::pointer::<Probed>(socket, offset!(socket_sk))
}

#[inline(always)]
fn sock_type(sock: *const u8) -> u16 {
    Probed::load(sock, offset!(sock_type))
}

/// Only a unix stream takes pages (`unix_stream_sendpage`, `MSG_SPLICE_PAGES` in
/// `unix_stream_sendmsg`). `unix_dgram_sendmsg`, which sends for the other types, always copies.
#[inline(always)]
fn unix(sock: *const u8) -> Habit {
    if sock_type(sock) == SOCK_STREAM {
        Habit::TakesPages
    } else {
        Habit::CopiesAll
    }
}

/// TCP copies at the border to user memory and takes pages by reference. Kernel TLS and other upper-layer protocols can
/// do anything, and so can a BPF program that has the socket in a map. A raw socket can also have this protocol. What
/// the route does with the pages is another question (`mark::of_route`).
#[inline(always)]
fn tcp(sock: *const u8) -> Habit {
    if sock_type(sock) != SOCK_STREAM
        || offset!(sock_ulp) == ABSENT
        || offset!(sock_user_data) == ABSENT
        || Probed::load::<u64>(sock, offset!(sock_ulp)) != 0
        || Probed::load::<u64>(sock, offset!(sock_user_data)) != 0
    {
        return Habit::Uncertain;
    }
    Habit::TakesPages
}

/// UDP copies at the border to user memory. Whether it takes pages of a pipe by reference depends on the kernel, the
/// route and the length.
#[inline(always)]
fn udp(sock: *const u8) -> Habit {
    if sock_type(sock) == SOCK_DGRAM {
        Habit::CopiesUser
    } else {
        Habit::Uncertain
    }
}

/// Whether a file (any pointer) has a `seq_file`, which names it in return.
#[inline(always)]
fn is_sequence(file: *const u8) -> bool {
    if offset!(seq_file_file) == ABSENT {
        return false;
    }
    let sequence = kernel::pointer::<Probed>(file, offset!(file_private_data));
    Probed::load::<u64>(sequence, offset!(seq_file_file)) == file as u64
}

/// Whether an inode (any pointer) has no page cache, because its pages are the device.
#[inline(always)]
fn is_dax(inode: *const u8) -> bool {
    const S_DAX: u32 = 1 << 13;
    Probed::load::<u32>(inode, offset!(inode_flags)) & S_DAX != 0
}

const fn is(raw: u32, habit: Habit) -> bool {
    raw == habit as u32
}

/// Whether it copies bytes at the border to user memory, and lends its pages to a pipe.
const fn is_cached(habit: u32) -> bool {
    is(habit, Habit::Cached) || is(habit, Habit::CachedOrClears)
}

/// Whether the kernel's own memory may be cleared in cases in which bytes are copied to user memory.
#[inline(always)]
pub(crate) const fn may_clear(habit: u32) -> bool {
    is(habit, Habit::CopiesOrClears)
        || is(habit, Habit::CachedOrClears)
        || is(habit, Habit::CopiesAll)
}

/// What becomes of bytes between user memory and an object.
pub(crate) enum User {
    /// They are copied.
    Copies,
    /// Another class.
    Else(Class),
    /// Block requests decide.
    ByRequests,
}

/// What becomes of bytes between user memory and an object, which `reads` gets them from.
#[inline(always)]
pub(crate) fn with_user(habit: u32, reads: bool) -> User {
    if is(habit, Habit::Direct) {
        User::ByRequests
    } else if is(habit, Habit::Synthetic) {
        User::Else(Class::Synthetic)
    } else if is(habit, Habit::Uncertain) || is(habit, Habit::CopiesOut) && !reads {
        User::Else(Class::Unexplained)
    } else {
        User::Copies
    }
}

/// The class of a call that joins two objects, from what each of them does.
#[inline(always)]
pub(crate) fn joined(ends: &Ends, source: u32, sink: u32) -> Class {
    let from_pipe = object::is(ends.source, ObjectKind::Pipe);
    let to_pipe = object::is(ends.sink, ObjectKind::Pipe);
    if from_pipe && to_pipe {
        return Class::Spliced;
    }
    // The linear parts of packets are copied, and the call does not report how much that is.
    let lends = from_pipe || is_cached(source);
    if !lends {
        return Class::Unexplained;
    }
    if to_pipe {
        Class::Spliced
    } else if is(sink, Habit::Synthetic) {
        Class::Synthetic
    } else if is_cached(sink) || is(sink, Habit::CopiesAll) {
        Class::CopiedInKernel
    } else if is(sink, Habit::TakesPages) {
        Class::Spliced
    } else {
        Class::Unexplained
    }
}

/// The class of `copy_file_range`: filesystems that can share extents, or copy on a server, may.
#[inline(always)]
pub(crate) fn copied_range(ends: &Ends, source: u32, sink: u32) -> Class {
    if is_cached(source) && is_cached(sink) && !ends.may_reflink() {
        Class::CopiedInKernel
    } else {
        Class::Unexplained
    }
}

/// Sets the class with a number whose value the verifier does not know.
#[inline(always)]
pub(crate) fn put(task: &mut Task, class: u64, moved: u64) {
    let mut i = 0;
    while i < task.delta.class.len() {
        if i as u64 == class {
            task.delta.class[i] = moved;
        }
        i += 1;
    }
}
