//! Breakpoints on the kernel's copy routines, beside the probes of the catalog.

use std::{collections::HashMap, fs, io, os::fd::AsFd as _};

use aya::{
    Ebpf,
    maps::{MapError, PerCpuArray, PerCpuValues},
    programs::{
        PerfEvent, ProgramError,
        perf_event::{BreakpointConfig, PerfEventConfig, PerfEventScope, SamplePolicy},
    },
    util::online_cpus,
};
use log::trace;
use zctrace_common::{AUDIT_SLOTS, AuditCount, AuditKey, AuditMissed, AuditRoutine, AuditRoutines};

use super::{
    Error,
    attach::io_error,
    map,
    step::{self, Steps},
};
use crate::{
    kernel::{self, btf::Types, config::KernelConfig},
    ledger::audit::{CHOICE, Counts, Hit, LeftOut, Refusal, Routine, Setup, routine},
};

/// The programs, a breakpoint each.
pub(super) const PROGRAMS: [&str; AUDIT_SLOTS] = ["audit_0", "audit_1", "audit_2", "audit_3"];

/// A routine with what a breakpoint on it needs.
struct Place {
    routine: &'static Routine,
    address: u64,
    arguments: AuditRoutine,
}

/// Breakpoints to be set.
pub(super) struct Plan {
    places: Vec<Place>,
    left_out: Vec<LeftOut>,
}

impl Plan {
    /// Finds the routines of these names, or of the usual choice, in the running kernel.
    pub(super) fn new(names: &[String], types: &Types) -> Self {
        let symbols = symbols();
        let mut plan = Self {
            places: Vec::new(),
            left_out: Vec::new(),
        };
        if names.is_empty() {
            for names in CHOICE {
                plan.choose(names, &symbols, types);
            }
        } else {
            for name in names {
                plan.choose(&[name.as_str()], &symbols, types);
            }
        }
        plan
    }

    /// Takes the first of the names that the kernel has.
    fn choose(&mut self, names: &[&str], symbols: &HashMap<String, u64>, types: &Types) {
        let found = names
            .iter()
            .find_map(|&name| Some((routine(name)?, *symbols.get(name)?)));
        let result = match found {
            Some((_, 0)) => {
                Err("/proc/kallsyms hides its address: see kernel.kptr_restrict".to_owned())
            }
            Some((routine, address)) => arguments(routine, types).map(|arguments| Place {
                routine,
                address,
                arguments,
            }),
            None => Err("this kernel has no function of this name".to_owned()),
        };
        match result {
            Ok(place) if self.places.len() < AUDIT_SLOTS => self.places.push(place),
            Ok(_) => self.leave_out(names, format!("a processor has {AUDIT_SLOTS} breakpoints")),
            Err(reason) => self.leave_out(names, reason),
        }
    }

    fn leave_out(&mut self, names: &[&str], reason: String) {
        self.left_out.push(LeftOut {
            routine: names.join(", "),
            reason,
        });
    }

    /// What the programs must know before they are loaded.
    pub(super) fn routines(&self) -> AuditRoutines {
        let mut routines = AuditRoutines::NONE;
        for (slot, place) in routines.0.iter_mut().zip(&self.places) {
            *slot = place.arguments;
        }
        routines
    }

    /// Sets the breakpoints on every processor. None that could be set is no error: the ledger is
    /// there without them.
    pub(super) fn attach(self, ebpf: &mut Ebpf) -> Audit {
        let mut audit = Audit {
            slots: [None; AUDIT_SLOTS],
            setup: Setup {
                left_out: self.left_out,
                ..Setup::default()
            },
        };
        if cfg!(target_arch = "aarch64")
            && !self.places.is_empty()
            && let Err(refusal) = step_over(ebpf).and_then(|()| forget_trial(ebpf))
        {
            audit.setup.refused = Some(refusal);
            return audit;
        }
        keep_from_being_preempted();
        let mut refusal = None;
        for (slot, place) in self.places.iter().enumerate() {
            match set(ebpf, PROGRAMS[slot], place.address) {
                Ok(()) => {
                    audit.slots[slot] = Some(place.routine);
                    audit.setup.routines.push(place.routine);
                }
                Err(error) => {
                    let explained = explain(&error);
                    audit.setup.left_out.push(LeftOut {
                        routine: place.routine.name.into(),
                        reason: explained.reason.clone(),
                    });
                    refusal.get_or_insert(explained);
                }
            }
        }
        if audit.setup.routines.is_empty() {
            audit.setup.refused = Some(refusal.unwrap_or_else(|| Refusal {
                reason: "none of the copy routines was found in /proc/kallsyms".into(),
                remedy: "run as root, and see kernel.kptr_restrict: zctrace doctor".into(),
            }));
        }
        audit
    }
}

/// Breakpoints that are set. They go with the programs.
pub(super) struct Audit {
    slots: [Option<&'static Routine>; AUDIT_SLOTS],
    setup: Setup,
}

impl Audit {
    pub(super) const fn setup(&self) -> &Setup {
        &self.setup
    }

    /// What was counted since the start.
    pub(super) fn read(&self, ebpf: &mut Ebpf) -> Result<Counts, Error> {
        let audit: PerCpuArray<_, AuditCount> = PerCpuArray::try_from(map(ebpf, "AUDIT"))?;
        let mut counts = Counts::default();
        for index in 0..audit.len() {
            let key = AuditKey::from_index(index);
            let Some(Some(routine)) = self.slots.get(usize::from(key.slot)) else {
                continue;
            };
            let values = audit.get(&index, 0)?;
            if values.iter().all(|value| value.hits == 0) {
                continue;
            }
            let hit = Hit {
                routine: routine.name,
                kernel_memory: key.kernel_memory,
                nr: key.nr,
            };
            let count = counts.hits.entry(hit).or_default();
            for value in values.iter() {
                count.hits = count.hits.saturating_add(value.hits);
                count.bytes = count.bytes.saturating_add(value.bytes);
            }
        }
        counts.missed = self.missed(ebpf)?;
        Ok(counts)
    }

    /// Hits without a run of the program, or `None` where the kernel does not tell.
    fn missed(&self, ebpf: &mut Ebpf) -> Result<Option<u64>, Error> {
        let missed: PerCpuArray<_, AuditMissed> = PerCpuArray::try_from(map(ebpf, "AUDIT_MISSED"))?;
        let mut sum = 0_u64;
        for slot in 0..missed.len() {
            for value in missed.get(&slot, 0)?.iter() {
                if value.hits == AuditMissed::UNKNOWN {
                    return Ok(None);
                }
                sum = sum.saturating_add(value.hits);
            }
        }
        Ok(Some(sum))
    }
}

/// The addresses of all routines that there are names for.
fn symbols() -> HashMap<String, u64> {
    let text = fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    let mut symbols = HashMap::new();
    for line in text.lines() {
        // Of a module there would be a fourth word.
        let mut words = line.split_whitespace();
        let (Some(address), Some("t" | "T"), Some(name), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        if routine(name).is_some()
            && let Ok(address) = u64::from_str_radix(address, 16)
        {
            symbols.entry(name.to_owned()).or_insert(address);
        }
    }
    symbols
}

/// Where a routine has its arguments: as the kernel's BTF says, or as all known kernels have them.
fn arguments(routine: &Routine, types: &Types) -> Result<AuditRoutine, String> {
    let known = AuditRoutine {
        bytes: routine.bytes,
        iterator: routine.iterator.unwrap_or(AuditRoutine::NO_ITERATOR),
    };
    let Some(parameters) = types.parameters(routine.name) else {
        return Ok(known);
    };
    let find = |names: &[&str]| {
        let position = parameters
            .iter()
            .position(|name| names.contains(&name.as_str()))?;
        u32::try_from(position).ok().filter(|&index| index < 4)
    };
    let unexpected = || {
        format!(
            "this kernel's function has other arguments: {}",
            parameters.join(", ")
        )
    };
    let bytes = find(&["bytes", "len", "n"]).ok_or_else(unexpected)?;
    let iterator = match routine.iterator {
        Some(_) => find(&["i", "iter", "from", "to"])
            .filter(|&index| index > bytes)
            .ok_or_else(unexpected)?,
        None => AuditRoutine::NO_ITERATOR,
    };
    Ok(AuditRoutine { bytes, iterator })
}

/// Why a breakpoint could not be set.
#[derive(Debug, thiserror::Error)]
enum SetError {
    #[error("this build has no program for it")]
    NoProgram,
    #[error("cannot find out which processors exist: {0}")]
    Cpus(io::Error),
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// Whether a breakpoint with a program on it can be set on the kernel's code without stopping the machine.
fn step_over(ebpf: &mut Ebpf) -> Result<(), Refusal> {
    let tried = load(ebpf, PROGRAMS[0]).and_then(|program| {
        let fd = program.fd().map_err(SetError::from)?;
        let tried = step::try_out(fd.as_fd());
        tried.map_err(|error| ProgramError::IOError(error).into())
    });
    let reason = match tried {
        Ok(Steps::Over) => return Ok(()),
        Ok(Steps::Never) => {
            "this kernel does not step over a breakpoint with a BPF program, so the audit would stop the \
             machine: it lacks d11a69873d9a of Linux 6.6"
        }
        Ok(Steps::Unmet) => {
            "a breakpoint in a process of zctrace's own was not met, so the audit would show nothing"
        }
        Err(error) => return Err(explain(&error)),
    };
    Err(Refusal {
        reason: reason.to_owned(),
        remedy: "audit on another kernel, or in a virtual machine".to_owned(),
    })
}

/// Clears what the breakpoint of [`step_over`] left in the map that counts runs.
fn forget_trial(ebpf: &mut Ebpf) -> Result<(), Refusal> {
    fn clear(ebpf: &mut Ebpf) -> Result<(), Error> {
        let mut missed: PerCpuArray<_, AuditMissed> =
            PerCpuArray::try_from(map(ebpf, "AUDIT_MISSED"))?;
        let processors = missed.get(&0, 0)?.len();
        let values = PerCpuValues::try_from(vec![AuditMissed::default(); processors]);
        missed.set(0, values.map_err(MapError::from)?, 0)?;
        Ok(())
    }
    clear(ebpf).map_err(|error| Refusal {
        reason: error.to_string(),
        remedy: error.remedy().into(),
    })
}

/// Loads a program, unless it is.
fn load<'a>(ebpf: &'a mut Ebpf, program: &str) -> Result<&'a mut PerfEvent, SetError> {
    let program = ebpf.program_mut(program).ok_or(SetError::NoProgram)?;
    let program: &mut PerfEvent = program.try_into()?;
    if program.fd().is_err() {
        program.load()?;
    }
    Ok(program)
}

/// Gives this thread, which reads the maps, the lowest real-time priority. While the `bpf` system call is at work on a
/// processor, the kernel runs no program of a breakpoint there (`bpf_disable_instrumentation`). A kernel that preempts would
/// let other processes pass breakpoints in the middle of that call. What is missed all the same is counted, so it is no error
/// if this is not permitted.
fn keep_from_being_preempted() {
    let lowest = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the parameters live until the call is over.
    unsafe { libc::sched_setscheduler(0, policy, &raw const lowest) };
}

/// Sets one breakpoint on every processor, or on none.
fn set(ebpf: &mut Ebpf, program: &str, address: u64) -> Result<(), SetError> {
    let program = load(ebpf, program)?;
    let config = PerfEventConfig::Breakpoint(BreakpointConfig::Instruction { address });
    for cpu in online_cpus().map_err(|(_, error)| SetError::Cpus(error))? {
        let scope = PerfEventScope::AllProcessesOneCpu { cpu };
        if let Err(error) = program.attach(config, scope, SamplePolicy::Period(1), false) {
            program.unload()?;
            return Err(error.into());
        }
    }
    Ok(())
}

/// A refusal for people.
fn explain(error: &SetError) -> Refusal {
    let errno = match error {
        SetError::Program(error) => io_error(error).and_then(io::Error::raw_os_error),
        SetError::NoProgram | SetError::Cpus(_) => None,
    };
    trace!("audit: {error:?}");
    let (reason, remedy) = match errno {
        Some(libc::EINVAL) if without_kprobes() => (
            "this kernel takes no breakpoints on its own code, because it is built without \
             CONFIG_KPROBES"
                .to_owned(),
            "audit on a kernel with CONFIG_KPROBES=y; distribution kernels have it",
        ),
        Some(libc::EINVAL) => (
            "this kernel takes no breakpoints on its own code (perf_event_open: invalid argument)"
                .to_owned(),
            "audit on another kernel, or in a virtual machine",
        ),
        Some(libc::EPERM | libc::EACCES) => (
            "breakpoints on the kernel's code are not permitted".to_owned(),
            "run as root (CAP_SYS_ADMIN); a kernel lockdown can forbid it even then",
        ),
        Some(libc::ENOSPC) => (
            "every breakpoint register of a processor is in use".to_owned(),
            "end other debuggers and perf sessions with breakpoints, or choose fewer routines with \
             --audit-routine",
        ),
        Some(libc::ENODEV | libc::ENOENT | libc::EOPNOTSUPP) => (
            "this machine has no hardware breakpoints".to_owned(),
            "audit on another machine; some virtual machines do not support breakpoints",
        ),
        _ => {
            let text = error.to_string();
            let line: String = text
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(160)
                .collect();
            (line, "see what the kernel allows: zctrace doctor")
        }
    };
    Refusal {
        reason,
        remedy: remedy.into(),
    }
}

/// Without kprobes the kernel has no list of places that must not be probed, and takes every place
/// for one (`within_kprobe_blacklist`).
fn without_kprobes() -> bool {
    KernelConfig::running(&kernel::release())
        .is_some_and(|(_, config)| config.value("KPROBES") == "n")
}
