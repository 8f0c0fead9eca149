//! `O_DIRECT`.

use zctrace_common::Mark;

use super::{Look, Rule, Seen, Sight};
use crate::ledger::{End, Totals};

/// The code of the one rule here that `--accept-inferred` does not lift.
pub(crate) const DEVICE_UNKNOWN: &str = "direct-device-unknown";

/// The code of the rule about page caches that were used nevertheless.
pub(super) const FELL_BACK: &str = "direct-fell-back";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "direct-on-tmpfs",
        says: "tmpfs accepts O_DIRECT (from 6.6) and still copies: its page cache is the file",
        evidence: "copies in a row of file:tmpfs opened with O_DIRECT",
        remedy: "map the file, or test on the filesystem and device that production uses",
        look: Look::Copies(tmpfs),
    },
    Rule {
        code: FELL_BACK,
        says: "O_DIRECT was asked for, but the filesystem went through its page cache",
        evidence: "copies in a row opened with O_DIRECT on a filesystem other than tmpfs: btrfs writes with checksums, compressed or misaligned parts, writes that extend a file on vfat or exfat",
        remedy: "align offsets and lengths; the rest depends on the filesystem: chattr +C on btrfs, preallocation on vfat and exfat",
        look: Look::Copies(fell_back),
    },
    Rule {
        code: DEVICE_UNKNOWN,
        says: "The page cache was bypassed, but nothing shows that the disk transfers by DMA",
        evidence: "`direct` bytes in an `inferred` row, which --accept-inferred does not accept: a CPU copies below loop, brd, zram, dm-crypt, scsi_debug, iSCSI and NVMe over TCP",
        remedy: "measure on the device that production uses; `zctrace stat` shows `measured` if DMA is proven",
        look: Look::Notes(unknown_device),
    },
];

fn on_tmpfs(sight: &Sight<'_>) -> bool {
    sight
        .row
        .path
        .object
        .has(|end| matches!(end, End::File("tmpfs" | "rootfs" | "devtmpfs")))
}

fn tmpfs(sight: &Sight<'_>) -> Option<Seen> {
    if !on_tmpfs(sight) {
        return None;
    }
    let bytes = sight.sum(Mark::Direct, Totals::copies);
    Seen::some(bytes, || "opened with O_DIRECT on tmpfs".to_owned())
}

fn fell_back(sight: &Sight<'_>) -> Option<Seen> {
    if on_tmpfs(sight) {
        return None;
    }
    let bytes = sight.sum(Mark::Direct, Totals::copies);
    Seen::some(bytes, || {
        format!("opened with O_DIRECT, {}", sight.row.path.object)
    })
}

fn unknown_device(sight: &Sight<'_>) -> Option<Seen> {
    if !sight.row.is_inferred() {
        return None;
    }
    Seen::some(sight.row.totals().direct, || {
        format!("direct on {}, not proven to be DMA", sight.row.path.object)
    })
}
