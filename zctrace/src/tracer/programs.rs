//! The programs of a session: those of aya, those at functions of modules, and the links of kretprobes.

use std::{
    collections::HashMap,
    os::fd::{AsFd as _, OwnedFd},
};

use aya::{Ebpf, programs::Program};

use super::{
    kretprobe,
    missed::{self, ProgramCounters},
    modules::Modules,
    targets::Targets,
};
use crate::{catalog, kernel::btf::Types};

/// The functions of the catalog that are not those the kernel's types describe under their names.
fn strangers(types: &Types) -> HashMap<&'static str, String> {
    let traced = catalog::probes()
        .flat_map(|probe| probe.ways)
        .filter(|way| !way.first.is_empty());
    let described = traced.filter_map(|way| {
        let mut all = types.first_arguments(way.symbol).into_iter();
        Some((
            way.symbol,
            all.find(|kind| !way.first.contains(&kind.as_str()))?,
        ))
    });
    described.collect()
}

/// The programs of a session.
pub(super) struct Programs {
    /// Those that aya loads, and the maps of all.
    pub(super) ebpf: Ebpf,
    /// Those at functions of modules.
    pub(super) modules: Modules,
    /// Links of kretprobes of which the kernel tells what they missed, by program.
    pub(super) kretprobes: HashMap<String, OwnedFd>,
    /// Functions that the kernel's types describe as others, with their first arguments there.
    pub(super) strangers: HashMap<&'static str, String>,
    /// The numbers of what programs are attached to.
    pub(super) targets: Targets,
}

impl Programs {
    pub(super) fn new(ebpf: Ebpf, modules: Modules, types: &Types) -> Self {
        Self {
            strangers: strangers(types),
            targets: Targets::of(types),
            ebpf,
            modules,
            kretprobes: HashMap::new(),
        }
    }

    /// The counters of every loaded program, by name.
    pub(super) fn counters(&self) -> HashMap<&str, ProgramCounters> {
        // A program that is not loaded has no descriptor.
        let of_aya = self.ebpf.programs().filter_map(|(name, program)| {
            let fd = program.fd().ok()?;
            Some((name, fd.as_fd()))
        });
        let mut all: HashMap<_, _> = of_aya
            .chain(self.modules.programs())
            .filter_map(|(name, fd)| Some((name, missed::counters(fd)?)))
            .collect();
        for (name, counters) in &mut all {
            let of_kretprobe = || matches!(self.ebpf.program(name), Some(Program::KProbe(_)));
            if let Some(link) = self.kretprobes.get(*name) {
                counters.missed += missed::unseen_returns(link.as_fd()).unwrap_or(0);
            } else if of_kretprobe() {
                counters.missed += kretprobe::unseen(&self.ebpf, name);
            }
        }
        all
    }

    /// Detaches and unloads a program.
    pub(super) fn unload(&mut self, name: &str) {
        self.kretprobes.remove(name);
        self.modules.unload(name);
        if let Some(Program::KProbe(program)) = self.ebpf.program_mut(&kretprobe::entry(name)) {
            let _ = program.unload();
        }
        // Unloading a loaded program cannot fail; an error means that it is not loaded.
        let _ = match self.ebpf.program_mut(name) {
            Some(Program::FExit(program)) => program.unload(),
            Some(Program::FEntry(program)) => program.unload(),
            Some(Program::KProbe(program)) => program.unload(),
            Some(Program::BtfTracePoint(program)) => program.unload(),
            Some(Program::PerfEvent(program)) => program.unload(),
            _ => Ok(()),
        };
    }
}
