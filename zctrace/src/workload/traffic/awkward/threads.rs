//! Threads that end before their process does: what they did stays the process's.

use std::{sync::Arc, thread};

use anyhow::{Result, anyhow};
use nix::sys::uio::pread;
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, Prepared, Traffic,
    scene::mounts::Fs,
    stage::buffer::Buffer,
    truth::exact::{calls, exactly},
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-threads",
    "eight threads that read and end, twice",
    prepare,
)
.tag("aw-threads")];

const THREADS: u64 = 8;
const ROUNDS: u64 = 2;

fn prepare(arena: &Arena) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let file = Arc::new(arena.file(Fs::Tmpfs, bytes)?);
    let times = THREADS * ROUNDS;
    let calls = times * calls(bytes, chunk);
    let expected = Expected::new().moves(
        Op::Read,
        "file:tmpfs",
        Class::CopiedToUser,
        calls,
        times * bytes,
    );
    Ok(Prepared::new(expected, move || {
        for _ in 0..ROUNDS {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let file = Arc::clone(&file);
                    thread::spawn(move || {
                        let mut to = Buffer::zeroed(chunk)?;
                        exactly(bytes, chunk, |offset, length| {
                            pread(&*file, &mut to[..length], offset.cast_signed())
                        })
                    })
                })
                .collect();
            for thread in threads {
                thread.join().map_err(|_| anyhow!("a thread panicked"))??;
            }
        }
        Ok(())
    }))
}
