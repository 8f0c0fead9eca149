//! Loading programs ahead of attaching them, on several processors at once: the verifier's work is
//! most of what attaching takes, and it does not need to be done one program after the other.

use std::{
    collections::HashMap,
    io,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    thread,
};

use aya::{
    Btf, Ebpf,
    programs::{Program, ProgramError},
};

use crate::catalog::{Kind, Way};

/// More threads than this only wait for one another in the kernel.
const MOST_THREADS: usize = 8;

/// Why programs were refused, by name. Those that were taken are loaded and not in here.
#[derive(Default)]
pub(super) struct Refusals(HashMap<String, ProgramError>);

impl Refusals {
    /// The refusal of a program, if it was tried and refused.
    pub(super) fn take(&mut self, program: &str) -> Option<ProgramError> {
        self.0.remove(program)
    }
}

/// Tries to load the programs of `ways`, by name.
pub(super) fn ahead(
    ebpf: &mut Ebpf,
    btf: &Btf,
    ways: &HashMap<String, &'static Way>,
    refusals: &mut Refusals,
) {
    let work: Vec<_> = ebpf
        .programs_mut()
        .filter_map(|(name, program)| Some((name.to_owned(), program, *ways.get(name)?)))
        .collect();
    let threads = thread::available_parallelism()
        .map_or(1, NonZeroUsize::get)
        .min(MOST_THREADS)
        .min(work.len());
    let work = Mutex::new(work.into_iter());
    let refusals = Mutex::new(&mut refusals.0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = work.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((name, program, way)) = next else {
                        break;
                    };
                    if let Err(error) = load(program, btf, way) {
                        let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
                        refusals.insert(name, error);
                    }
                }
            });
        }
    });
}

/// How often a program is tried whose verification was interrupted, as libbpf does.
const TRIES: usize = 5;

/// Loads a program, for one way of attaching it. The verifier gives up with `EAGAIN` when a signal comes
/// in the meantime (`do_check`).
pub(super) fn load(program: &mut Program, btf: &Btf, way: &Way) -> Result<(), ProgramError> {
    for _ in 1..TRIES {
        match load_once(program, btf, way) {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
    load_once(program, btf, way)
}

fn load_once(program: &mut Program, btf: &Btf, way: &Way) -> Result<(), ProgramError> {
    match (way.kind, program) {
        (Kind::FExit, Program::FExit(program)) => program.load(way.symbol, btf),
        (Kind::FEntry, Program::FEntry(program)) => program.load(way.symbol, btf),
        (Kind::BtfTracepoint, Program::BtfTracePoint(program)) => program.load(way.symbol, btf),
        (Kind::KRetProbe, Program::KProbe(program)) => program.load(),
        (Kind::Clock, Program::PerfEvent(program)) => program.load(),
        _ => Err(ProgramError::UnexpectedProgramType),
    }
}

/// Whether a program is loaded.
pub(super) fn is_loaded(program: &Program) -> bool {
    program.fd().is_ok()
}
