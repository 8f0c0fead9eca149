//! A parent keeps writing to its memory while a forked child saves it: each page that is written to
//! is copied first, the others are shared.

use anyhow::Result;
use nix::unistd::write;
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared, comm},
    Figure, Job, Ready, Setting, Technique, Variant,
    cow::spread,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::{
        child,
        mapping::{Mapping, page_size},
        shared::now,
    },
    traffic::fault_anon::succeeded,
    truth::exact::exactly,
};

const TAG: &str = "snapshot";
const SAVER: &str = "saver";

pub(super) const TECHNIQUE: Technique = Technique::new(
    "fork-snapshot",
    "save memory that its owner keeps writing to",
    Job::Snapshot,
    &[Variant::only(TAG, prepare)],
)
.modifying();

/// Whether the parent has written, and how long that took.
const WRITTEN: usize = 0;
const NANOSECONDS: usize = 1;

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let pages = setting.pages();
    let modified = setting.parameters.modified(pages);
    let length = setting.parameters.length();
    let chunk = setting.parameters.buffer;
    let file = setting.arena.empty_file(Fs::Tmpfs)?;
    let shared = setting.shared;
    let mut expected = Expected::new().row(
        ExpectedRow::new(Op::Write, "file:tmpfs")
            .ops(length.div_ceil(chunk as u64))
            .class(Class::CopiedFromUser, length)
            .of(SAVER),
    );
    if modified > 0 {
        // Its stack is shared with the child as well.
        let copied = ExpectedRow::new(Op::FaultCow, "anon")
            .ops(modified as u64)
            .cow((modified * page_size()) as u64)
            .at_least();
        expected.add(copied);
    }
    let mut prepared = Prepared::new(expected, move || {
        if pages == 0 {
            return Ok(());
        }
        let mut memory = Mapping::absent(pages)?;
        memory.write_pages();
        shared.begin();
        let address = memory.bytes_mut().as_ptr() as usize;
        let save = move || {
            // SAFETY: the child has the parent's mapping at the same address, as it was at the
            // fork, and never unmaps it.
            let memory =
                unsafe { std::slice::from_raw_parts(address as *const u8, pages * page_size()) };
            exactly(length, chunk, |offset, length| {
                write(&file, &memory[offset as usize..][..length])
            })?;
            shared.end();
            // Memory that nobody shares any more is not copied.
            shared.wait_for(WRITTEN, 1)
        };
        let child = child::start(comm(TAG, SAVER), Box::new(save), 120, shared)?;
        shared.set_descendant(child.as_raw().cast_unsigned());
        let begin = now();
        memory.write_some(spread(pages, modified));
        shared.count(NANOSECONDS, now() - begin);
        shared.count(WRITTEN, 1);
        succeeded(child)
    });
    prepared.descendant = (pages > 0).then_some(SAVER);
    let saved = ((pages - modified) * page_size()) as u64;
    Ok(Ready::new(length, prepared).figures(move || {
        let mut figures = vec![Figure::count("memory_saved_bytes", saved)];
        let time = shared.counted(NANOSECONDS);
        figures.extend(Figure::mean("fault_ns", time, modified as u64));
        figures
    }))
}
