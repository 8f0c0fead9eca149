//! `O_DIRECT` reads: past the page cache, where the filesystem does not copy after all.

use anyhow::Result;
use nix::{errno::Errno, libc, sys::uio::pread};
use zctrace_common::{Class, Evidence, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared, Skip},
    Job, Parameters, Ready, Setting, Technique, Variant,
};
use crate::workload::{
    scene::{arena::evict, mounts::Fs},
    stage::{buffer::Buffer, mapping::page_size},
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "direct-read",
    "read a file with O_DIRECT",
    Job::ReadFile,
    &[
        Variant::new("ext4", "past the page cache", "dir-r-ext4", |setting| {
            read(setting, Fs::Ext4, Class::Direct)
        }),
        Variant::new("tmpfs", "copied after all", "dir-r-tmpfs", |setting| {
            read(setting, Fs::Tmpfs, Class::CopiedToUser)
        }),
    ],
);

/// Whole blocks, as `O_DIRECT` demands; only the end of the file may be ragged.
pub(super) fn aligned(parameters: Parameters) -> Parameters {
    let mut aligned = parameters;
    aligned.buffer = parameters.buffer.next_multiple_of(page_size());
    if parameters.bytes > parameters.file {
        aligned.file = parameters.file.next_multiple_of(page_size() as u64);
        aligned.bytes = parameters.bytes.next_multiple_of(page_size() as u64);
    }
    aligned
}

/// Tmpfs knows `O_DIRECT` since 6.6.
pub(super) fn unless_refused(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<std::io::Error>() {
        Some(io) if io.raw_os_error() == Some(libc::EINVAL) => {
            Skip("this kernel's tmpfs refuses O_DIRECT".to_owned()).into()
        }
        _ => error,
    }
}

fn read(setting: &Setting<'_>, fs: Fs, class: Class) -> Result<Ready> {
    let parameters = aligned(setting.parameters);
    let pieces = parameters.pieces(usize::MAX);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let arena = setting.arena;
    let file = arena
        .common_file(fs, parameters.length(), libc::O_DIRECT)
        .map_err(unless_refused)?;
    if fs != Fs::Tmpfs {
        evict(&file)?;
    }
    let evidence = match class {
        Class::Direct => arena.direct_evidence(fs),
        _ => Evidence::Measured,
    };
    let expected = Expected::new().row(
        ExpectedRow::new(Op::Read, fs.object())
            .ops(calls)
            .class(class, bytes)
            .evidence(evidence),
    );
    let prepared = Prepared::new(expected, move || {
        let mut to = Buffer::zeroed(pieces.chunk())?;
        pieces.each(|offset, length| {
            // A ragged end is asked for in whole blocks.
            let asked = length.next_multiple_of(page_size());
            let some = pread(&file, &mut to[..asked], offset.cast_signed())?;
            if some > length {
                return Err(Errno::EOVERFLOW);
            }
            Ok(some)
        })
    });
    Ok(Ready::new(bytes, prepared))
}
