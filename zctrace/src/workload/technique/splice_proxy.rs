//! A proxy: what arrives on one connection goes through a pipe to another one, by reference.

use anyhow::Result;
use nix::{
    fcntl::{SpliceFFlags, splice},
    unistd::{read, write},
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Pieces, Ready, Setting, Technique, Variant,
    receiver::received,
    splice::PIPE_MOST,
};
use crate::workload::{
    stage::{buffer::Buffer, sockets::tcp_pair},
    traffic::pipe::roomy_pipe,
    truth::exact::exactly,
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "splice-proxy",
    "pass a TCP stream on to another connection",
    Job::Proxy,
    &[
        Variant::new(
            "splice",
            "through a pipe, by reference",
            "proxy-sp",
            spliced,
        ),
        Variant::new("copy", "through a buffer", "proxy-copy", copied),
    ],
);

/// Counters of the calls that take what has arrived, and of those that pass it on.
const TAKEN: usize = 0;
const PASSED: usize = 1;

/// A process that sends, and the other end of its connection.
fn sent(mut prepared: Prepared, from: std::net::TcpStream, pieces: Pieces) -> Prepared {
    let (calls, bytes) = (pieces.calls(), pieces.total());
    prepared = prepared.beside("source", move || {
        let buffer = Buffer::filled(pieces.chunk())?;
        pieces.each(|_, length| write(&from, &buffer[..length]))
    });
    prepared.expected.add(
        ExpectedRow::new(Op::Write, "tcp")
            .ops(calls)
            .class(Class::CopiedFromUser, bytes)
            .of("source"),
    );
    prepared
}

fn spliced(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(PIPE_MOST);
    let bytes = pieces.total();
    let (source, near) = tcp_pair()?;
    let (onward, sink) = tcp_pair()?;
    let (out_of, into) = roomy_pipe()?;
    let expected = Expected::new()
        .moves(Op::Splice, "tcp->pipe", Class::Spliced, 0, bytes)
        .moves(Op::Splice, "pipe->tcp", Class::Spliced, 0, bytes);
    let shared = setting.shared;
    let prepared = Prepared::new(expected, move || {
        let none = SpliceFFlags::empty();
        let mut left = bytes;
        while left > 0 {
            let most = left.min(pieces.chunk() as u64) as usize;
            let some = splice(&near, None, &into, None, most, none)?;
            anyhow::ensure!(some > 0, "the stream ends {left} bytes early");
            shared.count(TAKEN, 1);
            exactly(some as u64, some, |_, length| {
                splice(&out_of, None, &onward, None, length, none)
            })?;
            shared.count(PASSED, 1);
            left -= some as u64;
        }
        Ok(())
    });
    let prepared = prepared.finish(move |expected| {
        let (taken, passed) = (shared.counted(TAKEN), shared.counted(PASSED));
        expected.add(ExpectedRow::new(Op::Splice, "tcp->pipe").ops(taken));
        expected.add(ExpectedRow::new(Op::Splice, "pipe->tcp").ops(passed));
        Ok(())
    });
    let prepared = received(sent(prepared, source, pieces), sink, bytes);
    Ok(Ready::new(bytes, prepared))
}

fn copied(setting: &Setting<'_>) -> Result<Ready> {
    let pieces = setting.parameters.pieces(PIPE_MOST);
    let bytes = pieces.total();
    let (source, near) = tcp_pair()?;
    let (onward, sink) = tcp_pair()?;
    let expected = Expected::new()
        .moves(Op::Read, "tcp", Class::CopiedToUser, 0, bytes)
        .moves(Op::Write, "tcp", Class::CopiedFromUser, 0, bytes);
    let shared = setting.shared;
    let prepared = Prepared::new(expected, move || {
        let mut buffer = Buffer::zeroed(pieces.chunk())?;
        let mut left = bytes;
        while left > 0 {
            let some = read(&near, &mut buffer)?;
            anyhow::ensure!(some > 0, "the stream ends {left} bytes early");
            exactly(some as u64, some, |_, _| write(&onward, &buffer[..some]))?;
            shared.count(TAKEN, 1);
            left -= some as u64;
        }
        Ok(())
    });
    let prepared = prepared.finish(move |expected| {
        for op in [Op::Read, Op::Write] {
            expected.add(ExpectedRow::new(op, "tcp").ops(shared.counted(TAKEN)));
        }
        Ok(())
    });
    let prepared = received(sent(prepared, source, pieces), sink, bytes);
    Ok(Ready::new(bytes, prepared))
}
