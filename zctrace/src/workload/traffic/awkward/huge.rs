//! More than 2 GiB in one call, and more than 4 GiB in one row. The kernel moves less than 2 GiB
//! at a time and says so. `/dev/null` never looks at the bytes, so they need not exist.

use std::{fs::OpenOptions, os::fd::AsRawFd as _};

use anyhow::{Result, ensure};
use nix::{errno::Errno, libc, sys::mman::MapFlags};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    stage::mapping::{Mapping, page_size},
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-2gib",
    "writes of 3 GiB, of which the kernel takes 2 GiB less a page",
    prepare,
)
.tag("aw-2gib")];

const ASKED: usize = 3 << 30;
const TIMES: u64 = 3;

/// `MAX_RW_COUNT`: `INT_MAX` rounded down to a page.
fn done() -> usize {
    (1 << 31) - page_size()
}

fn prepare(_: &Arena) -> Result<Prepared> {
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    let bytes = TIMES * done() as u64;
    let expected = Expected::new().moves(Op::Write, "char:mem", Class::Synthetic, TIMES, bytes);
    Ok(Prepared::new(expected, move || {
        // Address space only.
        let memory = Mapping::anonymous(ASKED, MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE)?;
        for _ in 0..TIMES {
            // SAFETY: the memory is mapped, and only read.
            let result = unsafe { libc::write(null.as_raw_fd(), memory.address().cast(), ASKED) };
            let some = Errno::result(result)?.cast_unsigned();
            ensure!(some == done(), "{some} bytes");
        }
        Ok(())
    }))
}
