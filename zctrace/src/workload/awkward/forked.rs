//! A process that forks half way: two processes, each with its own rows.

use anyhow::Result;
use nix::sys::uio::pread;
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic,
    buffer::Buffer,
    comm,
    exact::{calls, exactly},
    fault_anon::succeeded,
    mounts::Fs,
    runner,
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-fork",
    "a process that forks between two reads, and whose child reads too",
    prepare,
)
.tag(TAG)];

const TAG: &str = "aw-fork";
const CHILD: &str = "child";
/// How many times the child reads all of it.
const CHILD_TIMES: u64 = 3;

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file = arena.file(Fs::Tmpfs, bytes)?;
    let calls = calls(bytes, chunk);
    let row = |times: u64| {
        ExpectedRow::new(Op::Read, "file:tmpfs")
            .ops(times * calls)
            .class(Class::CopiedToUser, times * bytes)
    };
    let expected = Expected::new().row(row(2)).row(row(CHILD_TIMES).of(CHILD));
    let shared = arena.shared;
    let mut prepared = Prepared::new(expected, move || {
        let again = file.try_clone()?;
        let read_all = move || {
            let mut to = Buffer::zeroed(chunk)?;
            exactly(bytes, chunk, |offset, length| {
                pread(&again, &mut to[..length], offset.cast_signed())
            })
        };
        read_all()?;
        let theirs = {
            let file = file.try_clone()?;
            move || {
                let mut to = Buffer::zeroed(chunk)?;
                for _ in 0..CHILD_TIMES {
                    exactly(bytes, chunk, |offset, length| {
                        pread(&file, &mut to[..length], offset.cast_signed())
                    })?;
                }
                Ok(())
            }
        };
        let child = runner::start(comm(TAG, CHILD), Box::new(theirs), 60, shared)?;
        shared.set_descendant(child.as_raw().cast_unsigned());
        read_all()?;
        succeeded(child)
    });
    prepared.descendant = Some(CHILD);
    Ok(prepared)
}
