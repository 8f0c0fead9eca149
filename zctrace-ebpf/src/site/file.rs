//! Sites of buffered file I/O: page cache, character devices, procfs and FUSE.

use zctrace_common::{Acc, Op, Task};

use crate::{
    base::{
        kernel::{self, Access as _, Typed},
        maps::offset,
        syscalls,
    },
    book::{
        account,
        probe::{program, returned},
        request, target,
    },
};

/// The kind of memory behind an `iov_iter`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Memory of the application: a copy crosses the user boundary.
    User,
    /// Pages of a pipe (`ITER_PIPE`, up to 6.4): the page cache puts references there, other sources copy.
    Pipe,
    /// Other pages of the kernel.
    Kernel,
}

/// The kind of memory behind an `iov_iter` (typed pointer).
#[inline(always)]
pub(crate) fn memory(iter: *const u8) -> Memory {
    of_type(Typed::load::<u8>(iter, offset!(iter_type)))
}

/// The kind of memory of an `iter_type`.
#[inline(always)]
pub(crate) fn of_type(raw: u8) -> Memory {
    let raw = u32::from(raw);
    if raw == offset!(iter_ubuf) || raw == offset!(iter_iovec) {
        Memory::User
    } else if raw == offset!(iter_pipe) {
        Memory::Pipe
    } else {
        Memory::Kernel
    }
}

/// `bytes` were copied into `iter`.
#[inline(always)]
pub(crate) fn filled(iter: *const u8, bytes: i64) {
    if bytes > 0
        // SAFETY: nothing else in this program refers to the thread's record.
        && let Some(task) = unsafe { target::current_or_adopt() }
    {
        let acc = match memory(iter) {
            Memory::User => Acc::ToUser,
            Memory::Kernel | Memory::Pipe => Acc::SourceCopy,
        };
        account::saw_in(task, acc, bytes as u64);
    }
}

/// `bytes` came out of `iter`.
#[inline(always)]
pub(crate) fn drained(iter: *const u8, bytes: i64) {
    if bytes > 0
        // SAFETY: nothing else in this program refers to the thread's record.
        && let Some(task) = unsafe { target::current_or_adopt() }
    {
        let acc = match memory(iter) {
            Memory::User => Acc::FromUser,
            _ => Acc::SinkCopy,
        };
        account::saw_in(task, acc, bytes as u64);
    }
}

/// A program for a function `f(iocb, to)` that copies what it returns into `to`.
macro_rules! reader {
    ($($name:ident)+) => {
        $(program! { fexit marked $name(ctx) { filled(ctx.arg(1), returned(ctx)); } })+
    };
}

/// A program for a function `f(iocb, from)` that copies what it returns out of `from`.
macro_rules! writer {
    ($($name:ident)+) => {
        $(program! { fexit marked $name(ctx) { drained(ctx.arg(1), returned(ctx)); } })+
    };
}

reader! { seq_read_iter tty_read fuse_dev_read }
writer! { generic_perform_write iomap_file_buffered_write tty_write fuse_dev_write }

program! {
    /// `already_read`, the third argument, is part of the result: it is what direct I/O read before. A pipe's memory
    /// takes pages of the cache by reference.
    fexit marked filemap_read(ctx) {
        let bytes = returned(ctx) - ctx.arg::<i64>(2);
        let acc = match memory(ctx.arg(1)) {
            Memory::User => Acc::ToUser,
            Memory::Kernel => Acc::SourceCopy,
            Memory::Pipe => Acc::SourceRef,
        };
        if bytes > 0
            // SAFETY: nothing else in this program refers to the thread's record.
            && let Some(task) = unsafe { target::current_or_adopt() }
            && let Some(mut request) = account::saw_in(task, acc, bytes as u64)
        {
            // SAFETY: the one reference to the request's record in this program.
            request::know_file_of(task, unsafe { request.as_mut() }, ctx.arg(0));
        }
    }
}

program! {
    /// For a hole it copies the zero page to user memory (1bdec44b1eee). Other memory is cleared instead, and the
    /// result does not say so. The number of blocks does not say where holes are: blocks can lie behind the end of the
    /// file (`FALLOC_FL_KEEP_SIZE`), and those that nobody has written yet are holes to a reader. So reads into the
    /// kernel's own memory stay unexplained.
    fexit marked shmem_file_read_iter(ctx) {
        let bytes = returned(ctx);
        let iter: *const u8 = ctx.arg(1);
        // SAFETY: nothing else in this program refers to the thread's record.
        if bytes > 0 && let Some(task) = unsafe { target::current_or_adopt() } {
            let acc = match memory(iter) {
                Memory::User => Acc::ToUser,
                Memory::Kernel => Acc::SourceCopy,
                Memory::Pipe => Acc::SourceRef,
            };
            let is_certain = match acc {
                Acc::ToUser => true,
                Acc::SourceRef => !is_sparse(ctx.arg(0)),
                _ => false,
            };
            if is_certain {
                account::saw_in(task, acc, bytes as u64);
            }
        }
    }
}

program! {
    /// If a page was never touched, the reader's buffer is cleared, and the result does not say so. A file that has no
    /// page at all is all zeros. Other reads stay unexplained: as many pages as the file is long may lie behind its end.
    fexit marked hugetlbfs_read_iter(ctx) {
        let (iocb, bytes) = (ctx.arg(0), returned(ctx));
        if bytes > 0 && blocks(iocb) == 0 {
            account::saw(Acc::SourceSynthetic, bytes as u64);
        }
    }
}

/// A program for an access to another process's memory through a file, `/proc/PID/mem`: it goes page by page, through a
/// page of the kernel's own.
macro_rules! memory_file {
    ($($name:ident: $acc:ident, $within:ident;)+) => {
        $(program! {
            fexit marked $name(ctx) {
                let bytes = returned(ctx);
                // SAFETY: nothing else in this program refers to the thread's record.
                if bytes > 0 && let Some(task) = unsafe { target::current_or_adopt() } {
                    account::saw_in(task, Acc::$acc, bytes as u64);
                    account::saw_in(task, Acc::$within, bytes as u64);
                }
            }
        })+
    };
}

memory_file! {
    mem_read: ToUser, SourceCopy;
    mem_write: FromUser, SinkCopy;
}

/// Whether the file of a request (typed pointer) has fewer blocks than its size needs.
#[inline(always)]
fn is_sparse(iocb: *const u8) -> bool {
    let size: u64 = Typed::load(inode(iocb), offset!(inode_size));
    blocks(iocb) * 512 < size
}

/// How many blocks of 512 bytes the file of a request (typed pointer) has.
#[inline(always)]
fn blocks(iocb: *const u8) -> u64 {
    Typed::load(inode(iocb), offset!(inode_blocks))
}

#[inline(always)]
fn inode(iocb: *const u8) -> *const u8 {
    let file = kernel::pointer::<Typed>(iocb, offset!(kiocb_filp));
    kernel::pointer::<Typed>(file, offset!(file_inode))
}

/// Whether the thread is in a write-like system call: in a kretprobe the iterator is gone.
#[inline(always)]
fn from_user_memory(task: &Task) -> bool {
    use syscalls::{PWRITE64, PWRITEV, PWRITEV2, WRITE, WRITEV};
    if request::is_working(task) {
        return task.request_op != Op::UringSplice as u32;
    }
    matches!(
        kernel::current_nr(),
        WRITE | PWRITE64 | WRITEV | PWRITEV | PWRITEV2
    )
}

program! {
    /// The only place that sees btrfs' buffered writes.
    at_return btrfs_buffered_write(bytes: i64) {
        // SAFETY: nothing else in this program refers to the thread's record.
        if bytes > 0 && let Some(task) = unsafe { target::current_or_adopt() } {
            let acc = if from_user_memory(task) { Acc::FromUser } else { Acc::SinkCopy };
            account::saw_in(task, acc, bytes as u64);
        }
    }
}

program! {
    /// FUSE where it is a module whose types cannot be read.
    kretprobe fuse_dev_read_kretprobe(ctx) {
        let bytes: i64 = ctx.ret();
        if bytes > 0 {
            account::saw(Acc::ToUser, bytes as u64);
        }
    }
}

program! {
    kretprobe fuse_dev_write_kretprobe(ctx) {
        let bytes: i64 = ctx.ret();
        if bytes > 0 {
            account::saw(Acc::FromUser, bytes as u64);
        }
    }
}

program! {
    /// Writes through FUSE's page cache, which no generic function does. The position of the iterator among the
    /// arguments differs between kernels, so the system call decides.
    at_return fuse_perform_write(bytes: i64) {
        // SAFETY: nothing else in this program refers to the thread's record.
        if bytes > 0 && let Some(task) = unsafe { target::current_or_adopt() } {
            let acc = if from_user_memory(task) { Acc::FromUser } else { Acc::SinkCopy };
            account::saw_in(task, acc, bytes as u64);
        }
    }
}

program! {
    /// Small files of procfs, debugfs and drivers, out of a buffer.
    fexit marked simple_read_from_buffer(ctx) {
        account::saw_result(Acc::ToUser, returned(ctx));
    }
}

/// A program for a function that generates bytes and returns their number.
macro_rules! generator {
    ($($name:ident)+) => {
        $(program! {
            fexit marked $name(ctx) {
                account::saw_result(Acc::SourceSynthetic, returned(ctx));
            }
        })+
    };
}

/// A program for a function that discards bytes and returns their number.
macro_rules! dropper {
    ($($name:ident)+) => {
        $(program! {
            fexit marked $name(ctx) {
                account::saw_result(Acc::SinkSynthetic, returned(ctx));
            }
        })+
    };
}

program! {
    /// Where the kernel's types describe another function under this name, there is a kretprobe.
    at_return read_zero(bytes: i64) {
        if bytes > 0 {
            account::saw(Acc::SourceSynthetic, bytes as u64);
        }
    }
}

generator! { read_iter_zero random_read_iter urandom_read_iter }
dropper! { write_null write_iter_null splice_write_null }
