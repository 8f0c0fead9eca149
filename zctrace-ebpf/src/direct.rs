//! Sites of direct I/O: the page cache is bypassed.

use zctrace_common::{ABSENT, Acc};

use crate::{
    account,
    kernel::{self, Access as _, Probed, Typed},
    maps::offset,
    probe::{fentry_anywhere, fexit, idempotent_fentry, kretprobe, returned},
    request, target, twin,
};

/// `IOMAP_DIO_WRITE` of fs/iomap/direct-io.c, unchanged since it was added.
const IOMAP_DIO_WRITE: u32 = 1 << 30;
/// `O_DIRECT`.
#[cfg(bpf_target_arch = "aarch64")]
pub(crate) const O_DIRECT: u32 = 0o200_000;
/// `O_DIRECT`.
#[cfg(not(bpf_target_arch = "aarch64"))]
pub(crate) const O_DIRECT: u32 = 0o40_000;

/// What a direct transfer (typed pointer) has transferred in all, as `iomap_dio_complete` will say: read
/// before, because that frees it.
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

fentry_anywhere! {
    /// The end of a direct transfer of ext4, xfs, btrfs and others; of a synchronous one in the
    /// task that asked for it.
    iomap_dio_complete(ctx, id, second) {
        let dio: *const u8 = ctx.arg(0);
        let iocb = kernel::pointer::<Typed>(dio, offset!(iomap_dio_iocb));
        let is_write = Typed::load::<u32>(dio, offset!(iomap_dio_flags)) & IOMAP_DIO_WRITE != 0;
        let bytes = transferred(dio, iocb, is_write);
        if bytes <= 0 {
            return 0;
        }
        if !kernel::pointer::<Typed>(iocb, offset!(kiocb_complete)).is_null() {
            // Nobody waits for it: this can run in any thread, and in interrupts. Not `iocb` itself:
            // a typed pointer is no number.
            let key: u64 = Probed::load(dio, offset!(iomap_dio_iocb));
            let before: u64 = Typed::load(dio, offset!(iomap_dio_done_before));
            let bytes = bytes as u64 + before;
            if !request::transferred(key, bytes) && offset!(backing_aio_orig) != ABSENT {
                // Overlayfs asks the filesystem below in the request's place. Anything else that is
                // no request has nothing there that is one.
                let above: u64 = Probed::load(key as *const u8, offset!(backing_aio_orig));
                request::transferred(above, bytes);
            }
            return 0;
        }
        if second && !twin::is_needed(id) {
            return 0;
        }
        if let Some(task) = target::current() {
            let acc = if is_write { Acc::SinkDirect } else { Acc::SourceDirect };
            account::saw_in(task, acc, bytes as u64);
        }
        if !second {
            twin::done(id);
        }
    }
}

/// A block device, opened with `O_DIRECT`: what was not copied inside the call was direct.
/// `blkdev_direct_IO` below it is inlined on 6.1.
#[inline(always)]
fn block_device(iocb: *const u8, result: i64, copied: Acc, direct: Acc) {
    if result == 0 {
        return;
    }
    let file = kernel::pointer::<Typed>(iocb, offset!(kiocb_filp));
    if Typed::load::<u32>(file, offset!(file_flags)) & O_DIRECT == 0 {
        return;
    }
    if let Some(task) = target::current() {
        if result < 0 {
            request::given_to_device(task, result);
            return;
        }
        let tail = account::seen(task, copied);
        account::saw_in(task, direct, (result as u64).saturating_sub(tail));
    }
}

fexit! {
    blkdev_read_iter(ctx) {
        block_device(ctx.arg(0), returned(ctx), Acc::ToUser, Acc::SourceDirect);
    }
}

fexit! {
    blkdev_write_iter(ctx) {
        block_device(ctx.arg(0), returned(ctx), Acc::FromUser, Acc::SinkDirect);
    }
}

/// A program for a function that passes a direct transfer on to a device. More than six arguments:
/// no fexit.
macro_rules! passer {
    ($($name:ident)+) => {
        $(kretprobe! {
            $name(ctx) {
                if let Some(task) = target::current_quietly() {
                    request::given_to_device(task, ctx.ret());
                }
            }
        })+
    };
}

// `__iomap_dio_rw` is what btrfs calls; of the other one it can be a part.
passer! { iomap_dio_rw iomap_dio_rw_inner }

/// A device has done with one request of a transfer that nobody waits for. Of several, the last one
/// comes when the size is that of all.
#[inline(always)]
fn end_of_block_device(dio: *const u8) {
    // Of a transfer that somebody waits for, that is the task in the same place: no request.
    let key: u64 = Probed::load(dio, offset!(blkdev_dio_iocb));
    let bytes: u64 = Probed::load(dio, offset!(blkdev_dio_size));
    request::transferred(key, bytes);
}

idempotent_fentry! {
    /// Transfers of one part.
    blkdev_bio_end_io_async(ctx) {
        let bio: *const u8 = ctx.arg(0);
        end_of_block_device(bio.wrapping_sub(offset!(blkdev_dio_bio) as usize));
    }
}

idempotent_fentry! {
    /// Transfers of several parts, and on older kernels.
    blkdev_bio_end_io(ctx) {
        let bio: *const u8 = ctx.arg(0);
        end_of_block_device(kernel::pointer::<Probed>(bio, offset!(bio_private)));
    }
}
