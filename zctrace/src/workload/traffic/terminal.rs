//! A pseudo-terminal: a program's output, as a terminal emulator reads it.

use std::os::fd::AsFd;

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc,
    pty::{OpenptyResult, openpty},
    sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic, stage::buffer::Buffer, truth::exact::exactly,
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "tty",
    "writes to a pseudo-terminal and reads of what was written",
    prepare,
)];

/// Less than the line discipline holds, so that one thread can be both ends.
const PIECE: usize = 512;
const BYTES: u64 = 100 * PIECE as u64;

fn prepare(arena: &Arena) -> Result<Prepared> {
    /// Reads: how many pieces a terminal hands out is its own affair.
    const READS: usize = 0;
    let shared = arena.shared;
    let OpenptyResult { master, slave } = openpty(None, None).context("a pseudo-terminal")?;
    as_it_is(&slave)?;
    let written = Expected::new().moves(Op::Write, "char:pts", Class::CopiedFromUser, 100, BYTES);
    let prepared = Prepared::new(written, move || {
        let from = Buffer::filled(PIECE)?;
        let mut to = Buffer::zeroed(PIECE)?;
        exactly(BYTES, PIECE, |_, length| {
            let some = write(&slave, &from[..length])?;
            let mut there = 0;
            while there < some {
                there += read(&master, &mut to[there..some])?;
                shared.count(READS, 1);
            }
            Ok(some)
        })?;
        ensure!(to[..] == from[..], "other bytes than those written");
        Ok(())
    });
    Ok(prepared.finish(move |expected| {
        // All devices of this number go by the name of the first of them.
        let row = ExpectedRow::new(Op::Read, "char:tty").ops(shared.counted(READS));
        expected.add(row.class(Class::CopiedToUser, BYTES));
        Ok(())
    }))
}

/// Without line editing, and without changing line ends.
fn as_it_is(terminal: &impl AsFd) -> Result<()> {
    let mut settings = tcgetattr(terminal)?;
    cfmakeraw(&mut settings);
    settings.control_chars[libc::VMIN] = 1;
    Ok(tcsetattr(terminal, SetArg::TCSANOW, &settings)?)
}
