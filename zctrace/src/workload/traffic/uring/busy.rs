//! Two processes at once, each with a ring of the chosen way and one of workers, whose requests go
//! to different files at the same time.

use std::fs::File;

use anyhow::{Result, anyhow};
use zctrace_common::{Class, Op};

use super::{
    files::{all_reads, all_writes},
    ring::{Issue, Ring},
};
use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared,
    scene::{arena::evict, mounts::Fs},
    truth::exact::calls,
};

pub(super) fn two(arena: &Arena, issue: Issue) -> Result<Prepared> {
    let (bytes, chunk) = (arena.sizes.bytes, arena.sizes.chunk);
    let calls = calls(bytes, chunk);
    let mut expected = Expected::new();
    for process in ["", Prepared::PEER] {
        for (op, fs, class) in [
            (Op::UringRead, Fs::Ext4, Class::CopiedToUser),
            (Op::UringReadv, Fs::Ext4, Class::CopiedToUser),
            (Op::UringReadFixed, Fs::Ext4, Class::CopiedToUser),
            (Op::UringWrite, Fs::Tmpfs, Class::CopiedFromUser),
            (Op::UringWritev, Fs::Tmpfs, Class::CopiedFromUser),
            (Op::UringWriteFixed, Fs::Tmpfs, Class::CopiedFromUser),
        ] {
            let row = ExpectedRow::new(op, fs.object())
                .ops(calls)
                .class(class, bytes);
            expected.add(row.of(process));
        }
    }
    let files = || -> Result<(File, File)> {
        let from = arena.file(Fs::Ext4, bytes)?;
        evict(&from)?;
        Ok((from, arena.empty_file(Fs::Tmpfs)?))
    };
    let (mine, theirs) = (files()?, files()?);
    let run = move |(from, to): (File, File)| {
        let writer = std::thread::spawn(move || {
            all_writes(&mut Ring::new(Issue::Worker)?, &to, bytes, chunk)
        });
        all_reads(&mut Ring::new(issue)?, &from, bytes, chunk)?;
        writer
            .join()
            .map_err(|_| anyhow!("the writing thread panicked"))?
    };
    Ok(Prepared::new(expected, move || run(mine)).peer(move || run(theirs)))
}
