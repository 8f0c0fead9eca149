//! A process that forks half way: two processes, each with its own rows.

use anyhow::Result;

use super::{read_all, reads};
use crate::workload::{
    Arena, Expected, Prepared, Traffic, comm, scene::mounts::Fs, stage::child,
    traffic::fault_anon::succeeded,
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
    let expected = Expected::new()
        .row(reads(bytes, chunk, 2))
        .row(reads(bytes, chunk, CHILD_TIMES).of(CHILD));
    let shared = arena.shared;
    let mut prepared = Prepared::new(expected, move || {
        read_all(&file, bytes, chunk, 1)?;
        let again = file.try_clone()?;
        let theirs = move || read_all(&again, bytes, chunk, CHILD_TIMES);
        let child = child::start(comm(TAG, CHILD), Box::new(theirs), 60, shared)?;
        shared.set_descendant(child.as_raw().cast_unsigned());
        read_all(&file, bytes, chunk, 1)?;
        succeeded(child)
    });
    prepared.descendant = Some(CHILD);
    Ok(prepared)
}
