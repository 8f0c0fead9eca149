//! Copy-on-write of anonymous memory: after a fork, whoever writes first pays for the copy.
//!
//! A process writes to its stack and its heap after a fork too, so the expected rows are bounds.

use std::rc::Rc;

use anyhow::{Context as _, Result, ensure};
use nix::{
    libc,
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::{Pid, pause},
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic, comm,
    scene::{arena::evict, mounts::Fs},
    stage::{
        child,
        mapping::{Mapping, page_size},
        shared::Shared,
    },
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "fault-fork-parent",
        "the parent writes to memory that it shares with a child: copied",
        parent_writes,
    )
    .tag("f-parent"),
    Traffic::new(
        "fault-fork-child",
        "the child writes to memory that it shares with its parent: copied",
        child_writes,
    )
    .tag("f-child"),
    Traffic::new(
        "fault-reuse",
        "the parent writes when the child is gone: not copied",
        parent_writes_alone,
    )
    .tag("f-reuse"),
    Traffic::new(
        "fault-zero",
        "memory that was read before it is written: zeroed, not copied",
        zero_page,
    )
    .tag("f-zero"),
    Traffic::new(
        "fault-read",
        "read() into memory shared with a child: the kernel itself faults",
        read_into_shared,
    )
    .tag("f-read"),
    Traffic::new(
        "direct-forked",
        "O_DIRECT reads into memory shared with a child: copied before the device fills it, the first time",
        direct_into_shared,
    )
    .tag("dir-forked"),
];

const PAGES: usize = 400;
/// The role of the child.
pub(in crate::workload) const CHILD: &str = "child";
const SECONDS: u32 = 120;

fn bytes() -> u64 {
    (PAGES * page_size()) as u64
}

fn copied() -> ExpectedRow {
    ExpectedRow::new(Op::FaultCow, "anon")
        .ops(PAGES as u64)
        .cow(bytes())
        .at_least()
}

/// Less than the pages of the test: what the process does by the way.
fn not_copied() -> ExpectedRow {
    ExpectedRow::new(Op::FaultCow, "anon")
        .ops(PAGES as u64 - 1)
        .cow(bytes() - page_size() as u64)
        .at_most()
}

fn with_child(mut prepared: Prepared) -> Prepared {
    prepared.descendant = Some(CHILD);
    prepared
}

/// Starts a child that shares all memory and never touches it, does `run`, ends the child.
pub(in crate::workload) fn beside_a_child(
    tag: &'static str,
    shared: Shared,
    run: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let child = start(tag, shared, || {
        loop {
            pause();
        }
    })?;
    let done = run();
    kill(child, Signal::SIGKILL)?;
    waitpid(child, None)?;
    done
}

fn start(
    tag: &'static str,
    shared: Shared,
    run: impl FnOnce() -> Result<()> + 'static,
) -> Result<Pid> {
    let child = child::start(comm(tag, CHILD), Box::new(run), SECONDS, shared)?;
    shared.set_descendant(child.as_raw().cast_unsigned());
    Ok(child)
}

/// Memory with contents, as opposed to pages that are all the zero page.
fn written_memory() -> Result<Mapping> {
    let memory = Mapping::absent(PAGES)?;
    memory.write_pages();
    Ok(memory)
}

fn parent_writes(arena: &Arena) -> Result<Prepared> {
    let shared = arena.shared;
    let prepared = Prepared::new(Expected::new().row(copied()), move || {
        let memory = written_memory()?;
        beside_a_child("f-parent", shared, || {
            memory.write_pages();
            Ok(())
        })
    });
    Ok(with_child(prepared))
}

fn child_writes(arena: &Arena) -> Result<Prepared> {
    let shared = arena.shared;
    let expected = Expected::new().row(copied().of(CHILD));
    let prepared = Prepared::new(expected, move || {
        // Both have it until the end: memory of one process only is not copied.
        let memory = Rc::new(written_memory()?);
        let theirs = Rc::clone(&memory);
        let child = start("f-child", shared, move || {
            theirs.write_pages();
            Ok(())
        })?;
        let done = succeeded(child);
        drop(memory);
        done
    });
    Ok(with_child(prepared))
}

fn parent_writes_alone(arena: &Arena) -> Result<Prepared> {
    let shared = arena.shared;
    let prepared = Prepared::new(Expected::new().row(not_copied()), move || {
        let memory = written_memory()?;
        beside_a_child("f-reuse", shared, || Ok(()))?;
        memory.write_pages();
        Ok(())
    });
    Ok(with_child(prepared))
}

fn zero_page(_: &Arena) -> Result<Prepared> {
    Ok(Prepared::new(Expected::new().row(not_copied()), || {
        let memory = Mapping::absent(PAGES)?;
        memory.read_pages();
        memory.write_pages();
        Ok(())
    }))
}

fn read_into_shared(arena: &Arena) -> Result<Prepared> {
    let file = arena.file(Fs::Tmpfs, bytes())?;
    let shared = arena.shared;
    let expected = Expected::new()
        .moves(Op::Read, "file:tmpfs", Class::CopiedToUser, 1, bytes())
        .row(copied());
    let prepared = Prepared::new(expected, move || {
        let mut memory = written_memory()?;
        beside_a_child("f-read", shared, || {
            let some = nix::unistd::read(&file, memory.bytes_mut())?;
            ensure!(some as u64 == bytes(), "read {some} bytes");
            Ok(())
        })
    });
    Ok(with_child(prepared))
}

fn direct_into_shared(arena: &Arena) -> Result<Prepared> {
    let file = arena.file_with(Fs::Ext4, bytes(), libc::O_DIRECT)?;
    evict(&file)?;
    let shared = arena.shared;
    let expected = Expected::new()
        .row(
            ExpectedRow::new(Op::Read, Fs::Ext4.object())
                .ops(2)
                .class(Class::Direct, 2 * bytes())
                .evidence(arena.direct_evidence(Fs::Ext4)),
        )
        .row(copied().needs_functions());
    let prepared = Prepared::new(expected, move || {
        let mut memory = written_memory()?;
        beside_a_child("dir-forked", shared, || {
            for _ in 0..2 {
                let some = nix::sys::uio::pread(&file, memory.bytes_mut(), 0)?;
                ensure!(some as u64 == bytes(), "read {some} bytes");
            }
            Ok(())
        })
    });
    Ok(with_child(prepared))
}

/// Waits for a child that must end well.
pub(in crate::workload) fn succeeded(child: Pid) -> Result<()> {
    let status = waitpid(child, None).context("waiting for the child's child")?;
    ensure!(
        matches!(status, WaitStatus::Exited(_, 0)),
        "the child's child ended with {status:?}"
    );
    Ok(())
}
