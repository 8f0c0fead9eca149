//! Data goes from one process to another through a pipe: copied in, copied out.

use std::{
    fs::File,
    io::{Read, Write},
};

use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Pieces, Ready, Setting, Technique, Variant,
    fbufs::{put, take},
};
use crate::workload::{stage::buffer::Buffer, traffic::pipe::roomy_pipe};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "pipe-ipc",
    "pass data to another process through a pipe",
    Job::Pass,
    &[Variant::only("pipe-ipc", |setting| {
        let (out_of, into) = roomy_pipe()?;
        Ok(streamed(
            setting,
            "pipe",
            File::from(into),
            File::from(out_of),
        ))
    })],
);

/// Counter of the reader's calls, which take what is there.
const READS: usize = 0;

/// One process writes to a stream, another one reads from it.
pub(super) fn streamed(
    setting: &Setting<'_>,
    object: &'static str,
    mut into: impl Write + 'static,
    mut out_of: impl Read + 'static,
) -> Ready {
    let parameters = setting.parameters;
    let pieces = Pieces::new(parameters.bytes, parameters.buffer, parameters.bytes);
    let (calls, bytes) = (pieces.calls(), pieces.total());
    let shared = setting.shared;
    let read = |reads| ExpectedRow::new(Op::Read, object).ops(reads).of("reader");
    let expected = Expected::new()
        .moves(Op::Write, object, Class::CopiedFromUser, calls, bytes)
        .row(read(0).class(Class::CopiedToUser, bytes));
    let prepared = Prepared::new(expected, move || {
        let from = Buffer::filled(pieces.chunk())?;
        pieces.each(|_, length| put(&mut into, &from[..length]))
    });
    let prepared = prepared.beside("reader", move || {
        let mut to = Buffer::zeroed(pieces.chunk())?;
        pieces.each(|_, length| {
            shared.count(READS, take(&mut out_of, &mut to[..length])?);
            Ok(length)
        })
    });
    let prepared = prepared.finish(move |expected| {
        expected.add(read(shared.counted(READS)));
        Ok(())
    });
    Ready::new(bytes, prepared)
}
