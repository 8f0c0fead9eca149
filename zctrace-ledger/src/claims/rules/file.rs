//! Files: copy_file_range and the filesystems that copy by nature.

use zctrace_common::Op;

use super::{Look, Rule, Seen, Sight};
use crate::ledger::{End, Object};

/// The code of the rule that names a filesystem's server.
pub(crate) const LEFT_TO_SERVER: &str = "left-to-server";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "copy-file-range-copied",
        says: "copy_file_range found no extents to share and copied through the page cache",
        evidence: "`copied_in_kernel` in a copy_file_range row",
        remedy: "put both files on one xfs (reflink=1) or btrfs, with offsets on block boundaries",
        look: Look::Copies(copy_file_range),
    },
    Rule {
        code: "reflinked",
        says: "The filesystem shared extents: nothing was moved, so nothing could be copied",
        evidence: "`cloned` in a row; these bytes never make up for copies elsewhere",
        remedy: "nothing: the first write to either file will move them",
        look: Look::Notes(reflinked),
    },
    Rule {
        code: "fuse-copied",
        says: "A filesystem in user space gets its data through /dev/fuse, by copies",
        evidence: "copies in a row whose file is on fuse",
        remedy: "use FUSE passthrough (6.9 and later), splice in the filesystem's server, or a filesystem in the kernel",
        look: Look::Copies(fuse),
    },
    Rule {
        code: LEFT_TO_SERVER,
        says: "No copy of these bytes was seen: FUSE leaves copy_file_range to the filesystem's server if it can do it",
        evidence: "`unexplained` in a row of copy_file_range between two files of fuse",
        remedy: "measure the server as well: what it copies is in its own rows",
        look: Look::Notes(left_to_server),
    },
    Rule {
        code: "overlay-copy-up",
        says: "overlayfs copies a whole file from a lower layer when the file is first opened for writing or changed",
        evidence: "`recopied` in a row `copy_up`, or `copied_in_kernel` and `recopied` in rows of overlay",
        remedy: "keep files that are written on a volume, or keep the layers on a filesystem with reflinks",
        look: Look::Copies(overlay),
    },
];

fn copy_file_range(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    if path.op != Op::CopyFileRange {
        return None;
    }
    Seen::some(path.totals.copied_in_kernel, || {
        format!("{} shares no extents here", path.object)
    })
}

fn reflinked(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    Seen::some(path.totals.cloned, || "extents were shared".to_owned())
}

fn is_on(object: &Object, filesystem: &str) -> bool {
    object.has(|end| end.is_on(filesystem))
}

fn left_to_server(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    if !path.is_left_to_server() {
        return None;
    }
    Seen::some(path.totals.unexplained, || {
        format!("{} asks the server to copy", path.object)
    })
}

fn fuse(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    if !is_on(&path.object, "fuse")
        && !is_on(&path.object, "fuseblk")
        && !path.object.is(End::Char("fuse"))
    {
        return None;
    }
    Seen::some(path.totals.copies(), || format!("in {}", path.object))
}

fn overlay(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    if path.op == Op::CopyUp {
        let text = "copied by calls that open or change files, which are not I/O operations";
        return Seen::some(path.totals.recopied, || text.to_owned());
    }
    if !is_on(&path.object, "overlay") {
        return None;
    }
    let bytes = path
        .totals
        .copied_in_kernel
        .saturating_add(path.totals.recopied);
    Seen::some(bytes, || "copied between the layers".to_owned())
}
