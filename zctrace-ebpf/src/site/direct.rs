//! Sites of direct I/O: the page cache is bypassed.

use zctrace_common::{ABSENT, Acc, Task};

use crate::{
    base::{
        abi::O_DIRECT,
        kernel::{self, Access as _, Probed, Typed},
        maps::offset,
    },
    book::{
        account,
        probe::{program, returned},
        request, target, twin,
    },
};

/// `IOMAP_DIO_WRITE` of fs/iomap/direct-io.c, unchanged since it was added.
const IOMAP_DIO_WRITE: u32 = 1 << 30;
/// `IOMAP_DIO_BOUNCE` of include/linux/iomap.h, from Linux 7.0 on; no flag of a transfer before. The filesystem copies
/// between the caller's memory and pages of its own, and the device gets those: btrfs for files with checksums, from
/// 7.3 on; xfs and others where a device wants stable pages.
const IOMAP_DIO_BOUNCE: u32 = 1 << 4;

/// All bytes of a direct transfer (typed pointer), as `iomap_dio_complete` will report them. They are read before,
/// because that function frees the transfer.
#[inline(always)]
fn transferred(dio: *const u8, iocb: *const u8, is_write: bool) -> i64 {
    if Typed::load::<i32>(dio, offset!(iomap_dio_error)) != 0 {
        return 0;
    }
    let size: i64 = Typed::load(dio, offset!(iomap_dio_size));
    let file_size: i64 = Typed::load(dio, offset!(iomap_dio_i_size));
    let position: i64 = Typed::load(iocb, offset!(kiocb_pos));
    if position + size > file_size && !is_write {
        file_size - position
    } else {
        size
    }
}

/// A direct transfer (typed pointer) has transferred nothing and can be tried again.
#[inline(always)]
fn forget_asked(dio: *const u8, iocb: *const u8) {
    if kernel::pointer::<Typed>(iocb, offset!(kiocb_complete)).is_null() {
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current() } {
            account::forget(task, Acc::SourceSynthetic);
            account::forget(task, Acc::Asked);
        }
    } else {
        let key = Probed::load(dio, offset!(iomap_dio_iocb));
        // SAFETY: nothing else in this program refers to the request's record.
        let Some(request) = (unsafe { request::find(key) }) else {
            return;
        };
        request.acc[Acc::SourceSynthetic as usize] = 0;
        request.acc[Acc::Asked as usize] = 0;
    }
}

/// `bytes` were transferred for a request, from or to a file. For a read these are the bytes that a device was asked
/// for ([`request::transferred`]).
#[inline(always)]
fn file_transferred(key: u64, bytes: u64, is_write: bool, is_copied: bool) -> bool {
    // SAFETY: nothing else in this program refers to the request's record.
    let asked = match unsafe { request::find(key) } {
        Some(request) if !is_write => request.acc[Acc::Asked as usize],
        _ => bytes,
    };
    let bytes = if asked < bytes { asked } else { bytes };
    if is_copied {
        request::copied(key, bytes)
    } else {
        request::transferred(key, bytes)
    }
}

program! {
    /// A transfer turns from one mapping of its file to the next. For a hole, or an extent that was never written, a
    /// direct read lets the processor fill the buffer with zeros: no device was asked. `iomap_dio_hole_iter` itself is
    /// inlined in most kernels. This is the thread that asks, which may be submitting a request. `iomap_dio_complete`
    /// reports whether the transfer succeeds.
    fentry marked iomap_iter(ctx) {
        const IOMAP_WRITE: u32 = 1;
        const IOMAP_DIRECT: u32 = 1 << 4;
        let iter: *const u8 = ctx.arg(0);
        let flags: u32 = Typed::load(iter, offset!(iomap_iter_flags));
        if flags & (IOMAP_DIRECT | IOMAP_WRITE) != IOMAP_DIRECT
            || Typed::load::<u64>(iter, offset!(iomap_iter_length)) == 0
        {
            return 0;
        }
        let position: i64 = Typed::load(iter, offset!(iomap_iter_pos));
        let (start, end) = if offset!(iomap_iter_processed) == ABSENT {
            (Typed::load::<i64>(iter, offset!(iomap_iter_start)), position)
        } else {
            let done: i64 = Typed::load(iter, offset!(iomap_iter_processed));
            (position, position + done)
        };
        // Whole blocks are filled, but bytes after the end of the file are not reported.
        let inode = kernel::pointer::<Typed>(iter, offset!(iomap_iter_inode));
        let size: i64 = Typed::load(inode, offset!(inode_size));
        let end = if end < size { end } else { size };
        // SAFETY: nothing else in this program refers to the thread's record.
        if end > start && let Some(task) = unsafe { target::current_or_adopt() } {
            let acc = source_of(Typed::load(iter, offset!(iomap_iter_type)));
            account::saw_in(task, acc, (end - start) as u64);
        }
    }
}

/// Where a direct read gets the bytes of a mapping of this type from (include/linux/iomap.h).
#[inline(always)]
const fn source_of(kind: u16) -> Acc {
    const HOLE: u16 = 0;
    const UNWRITTEN: u16 = 3;
    const INLINE: u16 = 4;
    match kind {
        HOLE | UNWRITTEN => Acc::SourceSynthetic,
        // The data is among the filesystem's own, from which `iomap_dio_inline_iter` copies it.
        INLINE => Acc::ToUser,
        _ => Acc::Asked,
    }
}

program! {
    /// The end of a direct transfer of ext4, xfs, btrfs and others. A synchronous transfer ends in the task that asked
    /// for it.
    fentry anywhere iomap_dio_complete(ctx, id, second) {
        let dio: *const u8 = ctx.arg(0);
        let iocb = kernel::pointer::<Typed>(dio, offset!(iomap_dio_iocb));
        let flags: u32 = Typed::load(dio, offset!(iomap_dio_flags));
        let is_write = flags & IOMAP_DIO_WRITE != 0;
        let is_copied = flags & IOMAP_DIO_BOUNCE != 0;
        let bytes = transferred(dio, iocb, is_write);
        if bytes <= 0 {
            forget_asked(dio, iocb);
            return 0;
        }
        if !kernel::pointer::<Typed>(iocb, offset!(kiocb_complete)).is_null() {
            // Nobody waits for it, so this can run in any thread, and in interrupts. `iocb` itself is not used, because
            // a typed pointer is not a number.
            let key: u64 = Probed::load(dio, offset!(iomap_dio_iocb));
            let before: u64 = Typed::load(dio, offset!(iomap_dio_done_before));
            let bytes = bytes as u64 + before;
            if !file_transferred(key, bytes, is_write, is_copied) && offset!(backing_aio_orig) != ABSENT {
                // Overlayfs uses its own request for the filesystem below. Anything else that is not a request has no
                // request there.
                let above: u64 = Probed::load(key as *const u8, offset!(backing_aio_orig));
                file_transferred(above, bytes, is_write, is_copied);
            }
            return 0;
        }
        if second && !twin::take_over(id) {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() } {
            let bytes = bytes as u64;
            if is_write {
                let acc = if is_copied { Acc::FromUser } else { Acc::SinkDirect };
                account::saw_in(task, acc, bytes);
            } else {
                let asked = account::seen(task, Acc::Asked);
                account::forget(task, Acc::Asked);
                let acc = if is_copied { Acc::ToUser } else { Acc::SourceDirect };
                account::saw_in(task, acc, if asked < bytes { asked } else { bytes });
            }
        }
        if !second {
            twin::done(id);
        }
    }
}

program! {
    /// A device has completed a part of a transfer by `__blockdev_direct_IO` (vfat, exfat and others). `do_direct_IO`
    /// fills what a read did not ask a device for with zeros. A part of a request that nobody waits for ends in
    /// interrupts, where the twins cannot share the work: such reads stay unexplained.
    fentry anywhere dio_bio_complete(ctx, id, second) {
        let dio: *const u8 = ctx.arg(0);
        let iocb = kernel::pointer::<Typed>(dio, offset!(dio_iocb));
        if is_block_write(dio)
            || !kernel::pointer::<Typed>(iocb, offset!(kiocb_complete)).is_null()
            || (second && !twin::take_over(id))
        {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() } {
            account::saw_in(task, Acc::Asked, length_of(ctx.arg(1)));
        }
        if !second {
            twin::done(id);
        }
    }
}

/// The bytes of a request to a device (typed pointer), also after its end.
#[inline(always)]
fn length_of(bio: *const u8) -> u64 {
    /// `BIO_MAX_VECS` of include/linux/bio.h.
    const MOST_SEGMENTS: u32 = 256;
    /// `sizeof(struct bio_vec)`.
    const SEGMENT: u32 = 16;
    let segments = u32::from(Typed::load::<u16>(bio, offset!(bio_vcnt)));
    let first = kernel::pointer::<Probed>(bio, offset!(bio_io_vec));
    let mut bytes = 0;
    for segment in 0..MOST_SEGMENTS {
        if segment >= segments {
            break;
        }
        bytes += u64::from(Probed::load::<u32>(
            first,
            segment * SEGMENT + offset!(bvec_len),
        ));
    }
    bytes
}

/// Whether a transfer by `__blockdev_direct_IO` (typed pointer) writes.
#[inline(always)]
fn is_block_write(dio: *const u8) -> bool {
    const REQ_OP_MASK: u32 = 0xff;
    Typed::load::<u32>(dio, offset!(dio_opf)) & REQ_OP_MASK != 0
}

/// What `dio_complete` will say that a transfer has transferred; 0 if it fails. It frees the transfer.
#[inline(always)]
fn transferred_by_blocks(dio: *const u8, iocb: *const u8, given: i64) -> i64 {
    const EFAULT: i64 = 14;
    let all: i64 = Typed::load(dio, offset!(dio_result));
    let size: i64 = Typed::load(dio, offset!(dio_i_size));
    let position: i64 = Typed::load(iocb, offset!(kiocb_pos));
    let bytes = if position + all > size && !is_block_write(dio) {
        size - position
    } else {
        all
    };
    let is_refused = given < 0 && given != request::QUEUED && !(given == -EFAULT && bytes != 0);
    let errors = Typed::load::<i32>(dio, offset!(dio_page_errors))
        | Typed::load::<i32>(dio, offset!(dio_io_error));
    if is_refused || errors != 0 { 0 } else { bytes }
}

program! {
    /// The end of a transfer by `__blockdev_direct_IO`, as `iomap_dio_complete` is of others.
    fentry anywhere dio_complete(ctx, id, second) {
        let dio: *const u8 = ctx.arg(0);
        let iocb = kernel::pointer::<Typed>(dio, offset!(dio_iocb));
        let is_write = is_block_write(dio);
        let all: i64 = Typed::load(dio, offset!(dio_result));
        let bytes = transferred_by_blocks(dio, iocb, ctx.arg(1));
        if !kernel::pointer::<Typed>(iocb, offset!(kiocb_complete)).is_null() {
            if is_write && bytes > 0 {
                // In any thread, and in interrupts. `iocb` itself is not used, because a typed pointer is not a number.
                request::transferred(Probed::load(dio, offset!(dio_iocb)), bytes as u64);
            }
            return 0;
        }
        if second && !twin::take_over(id) {
            return 0;
        }
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() } {
            if is_write {
                if bytes > 0 {
                    account::saw_in(task, Acc::SinkDirect, bytes as u64);
                }
            } else {
                let asked = account::seen(task, Acc::Asked);
                account::forget(task, Acc::Asked);
                // A device that was asked unseen leaves all of it unexplained.
                let is_hole = kernel::pointer::<Typed>(dio, offset!(dio_disk)).is_null();
                if bytes > 0 && (asked != 0) != is_hole {
                    read_by_blocks(task, all as u64, bytes as u64, asked);
                }
            }
        }
        if !second {
            twin::done(id);
        }
    }
}

/// Whole blocks were read, `all` bytes, and a device was asked for `asked` of them. The application gets `bytes`: what is
/// behind the end of the file is not among them. Where a part of that can be the device's or zeros, so many bytes stay
/// unexplained.
#[inline(always)]
fn read_by_blocks(task: &mut Task, all: u64, bytes: u64, asked: u64) {
    let (direct, zeros) = if asked >= all {
        (bytes, 0)
    } else {
        let behind = all.saturating_sub(bytes);
        (asked.saturating_sub(behind), bytes.saturating_sub(asked))
    };
    if direct != 0 {
        account::saw_in(task, Acc::SourceDirect, direct);
    }
    if zeros != 0 {
        account::saw_in(task, Acc::SourceSynthetic, zeros);
    }
}

/// A block device, opened with `O_DIRECT`: bytes that were not copied inside the call were direct. `blkdev_direct_IO`
/// below it is inlined on 6.1.
#[inline(always)]
fn block_device(iocb: *const u8, result: i64, copied: Acc, direct: Acc) {
    if result == 0 {
        return;
    }
    let file = kernel::pointer::<Typed>(iocb, offset!(kiocb_filp));
    if Typed::load::<u32>(file, offset!(file_flags)) & O_DIRECT == 0 {
        return;
    }
    // SAFETY: nothing else in this program refers to the thread's record.
    if let Some(task) = unsafe { target::current_or_adopt() } {
        if result < 0 {
            request::given_to_device(task, result);
            return;
        }
        let tail = account::seen(task, copied);
        account::saw_in(task, direct, (result as u64).saturating_sub(tail));
    }
}

program! {
    fexit marked blkdev_read_iter(ctx) {
        block_device(ctx.arg(0), returned(ctx), Acc::ToUser, Acc::SourceDirect);
    }
}

program! {
    fexit marked blkdev_write_iter(ctx) {
        block_device(ctx.arg(0), returned(ctx), Acc::FromUser, Acc::SinkDirect);
    }
}

/// A program for a function that passes a direct transfer on to a device.
macro_rules! passer {
    ($($name:ident)+) => {
        $(program! {
            at_return $name(result: i64) {
                // SAFETY: nothing else in this program refers to the thread's record.
                if let Some(task) = unsafe { target::current() } {
                    request::given_to_device(task, result);
                }
            }
        })+
    };
}

// btrfs calls `__iomap_dio_rw`; it can also be a part of the other function.
passer! { iomap_dio_rw iomap_dio_rw_inner blockdev_direct_io }

/// A device has completed one request of a transfer that nobody waits for. If there are several, the last one comes
/// when the size is that of all.
#[inline(always)]
fn end_of_block_device(dio: *const u8) {
    // If somebody waits for the transfer, the same field holds the task and not a request.
    let key: u64 = Probed::load(dio, offset!(blkdev_dio_iocb));
    let bytes: u64 = Probed::load(dio, offset!(blkdev_dio_size));
    request::transferred(key, bytes);
}

program! {
    /// Transfers of one part.
    fentry idempotent blkdev_bio_end_io_async(ctx) {
        let bio: *const u8 = ctx.arg(0);
        end_of_block_device(bio.wrapping_sub(offset!(blkdev_dio_bio) as usize));
    }
}

program! {
    /// Transfers of several parts, and on older kernels.
    fentry idempotent blkdev_bio_end_io(ctx) {
        let bio: *const u8 = ctx.arg(0);
        end_of_block_device(kernel::pointer::<Probed>(bio, offset!(bio_private)));
    }
}
