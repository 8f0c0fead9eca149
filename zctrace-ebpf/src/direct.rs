//! Sites of direct I/O: the page cache is bypassed.

use zctrace_common::Acc;

use crate::{
    account,
    kernel::{self, Access as _, Typed},
    maps::offset,
    probe::{fexit, kretprobe, returned},
    request, target,
};

/// `IOMAP_DIO_WRITE` of fs/iomap/direct-io.c, unchanged since it was added.
const IOMAP_DIO_WRITE: u32 = 1 << 30;
/// `O_DIRECT`.
#[cfg(bpf_target_arch = "aarch64")]
pub(crate) const O_DIRECT: u32 = 0o200_000;
/// `O_DIRECT`.
#[cfg(not(bpf_target_arch = "aarch64"))]
pub(crate) const O_DIRECT: u32 = 0o40_000;

fexit! {
    /// The end of a direct transfer of ext4, xfs, btrfs and others; of a synchronous one in the
    /// task that asked for it. The result is right at the end of a file where `dio->size` is not.
    iomap_dio_complete(ctx) {
        let bytes = returned(ctx);
        let dio: *const u8 = ctx.arg(0);
        if bytes <= 0 {
            return 0;
        }
        let iocb = kernel::pointer::<Typed>(dio, offset!(iomap_dio_iocb));
        if !kernel::pointer::<Typed>(iocb, offset!(kiocb_complete)).is_null() {
            // Nobody waits for it: this can run in any thread. In the one that submits it, it is
            // part of the submission.
            let Some(task) = target::current_quietly() else { return 0 };
            let key = kernel::opaque(task, iocb as u64);
            if request::current(task).is_none_or(|request| request.key != key) {
                return 0;
            }
        }
        if let Some(task) = target::current() {
            let flags: u32 = Typed::load(dio, offset!(iomap_dio_flags));
            let acc = if flags & IOMAP_DIO_WRITE != 0 { Acc::SinkDirect } else { Acc::SourceDirect };
            account::saw_in(task, acc, bytes as u64);
        }
    }
}

/// A block device, opened with `O_DIRECT`: what was not copied inside the call was direct.
/// `blkdev_direct_IO` below it is inlined on 6.1.
#[inline(always)]
fn block_device(iocb: *const u8, result: i64, copied: Acc, direct: Acc) {
    if result <= 0 && result != request::QUEUED {
        return;
    }
    let file = kernel::pointer::<Typed>(iocb, offset!(kiocb_filp));
    if Typed::load::<u32>(file, offset!(file_flags)) & O_DIRECT == 0 {
        return;
    }
    if let Some(task) = target::current() {
        if result == request::QUEUED {
            request::queued(task);
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
macro_rules! queuer {
    ($($name:ident)+) => {
        $(kretprobe! {
            $name(ctx) {
                let result: i64 = ctx.ret();
                if result == request::QUEUED && let Some(task) = target::current() {
                    request::queued(task);
                }
            }
        })+
    };
}

// `__iomap_dio_rw` is what btrfs calls; of the other one it can be a part.
queuer! { iomap_dio_rw iomap_dio_rw_inner }
