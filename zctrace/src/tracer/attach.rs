//! Attaching the catalog, probe by probe, by trying.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    os::fd::AsFd as _,
    path::Path as FsPath,
};

use aya::{
    Btf,
    maps::{Array, MapError},
    programs::{KProbeError, Program, ProgramError},
};
use log::trace;
use zctrace_common::{COUNTS_FAULTS, COUNTS_RINGS, FOLLOWS_AIO, FOLLOWS_VHOST, Op};

use super::{
    BACKEND_VARIABLE, Backend, kretprobe,
    load::{self, Refusals},
    missed,
    modules::ModuleError,
    programs::Programs,
    sample,
};
use crate::{
    catalog::{self, Family, Kind, Probe, Role, Sign, Way, sight},
    kernel::doctor::ENOTSUPP,
    ledger::{Coverage, Refused},
};

/// What became of one probe.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The catalog's entry.
    pub probe: &'static Probe,
    /// The result.
    pub outcome: Outcome,
}

/// The result of attaching one probe.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is attached, in this way.
    Attached(Way),
    /// It is not.
    Refused(Refusal),
    /// It was, in this way, but known bytes went by unseen: it counts as not there.
    Silent(Way),
    /// Others see what it would see.
    NotNeeded,
}

impl Attempt {
    /// Whether the probe takes part.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        matches!(self.outcome, Outcome::Attached(_))
    }

    /// Whether this kernel has what the probe would see, and it is not seen.
    #[must_use]
    pub const fn is_gap(&self) -> bool {
        match &self.outcome {
            Outcome::Refused(refusal) => !refusal.absent,
            Outcome::Silent(_) => true,
            Outcome::Attached(_) | Outcome::NotNeeded => false,
        }
    }

    /// Why the probe does not take part.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Refusal> {
        match &self.outcome {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::Attached(_) | Outcome::Silent(_) | Outcome::NotNeeded => None,
        }
    }
}

/// Why a probe is not attached.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The kernel's error number, where it gave one.
    pub errno: Option<i32>,
    /// The cause, for people.
    pub cause: String,
    /// The user asked for it.
    pub wanted: bool,
    /// This kernel does not have it: nothing can go by unseen there.
    pub absent: bool,
}

impl Refusal {
    /// What the user asked for.
    pub(super) fn wanted(cause: impl Into<String>) -> Self {
        Self {
            wanted: true,
            ..Self::of(cause)
        }
    }

    fn of(cause: impl Into<String>) -> Self {
        Self {
            errno: None,
            cause: cause.into(),
            wanted: false,
            absent: false,
        }
    }
}

/// Which probes to leave out.
pub(super) struct Selection<'a> {
    /// Told how many probes of how many have been tried.
    pub(super) progress: Option<fn(usize, usize)>,
    /// Attach every program in a pair.
    pub(super) twins: bool,
    /// Without the fault family.
    pub(super) faults: bool,
    /// With the family of regions.
    pub(super) regions: bool,
    /// With the family of batches.
    pub(super) batches: bool,
    /// The addresses of the kernel's copy routines are known.
    pub(super) copy_routines: bool,
    /// Names given by the user.
    pub(super) without: &'a [String],
    /// Which kinds may be used.
    pub(super) backend: Backend,
}

impl Selection<'_> {
    fn leaves_out(&self, probe: &Probe) -> Option<&'static str> {
        if self.without.iter().any(|name| name == probe.name) {
            return Some("switched off by --without-probe");
        }
        (probe.family == Family::Fault && !self.faults).then_some("switched off by --no-faults")
    }

    /// Whether it is for something that nobody has asked for.
    fn has_no_use_of(&self, probe: &Probe) -> bool {
        probe.family == Family::Region && !self.regions
            || probe.family == Family::Batch && !self.batches
    }

    /// Whether it may be tried.
    fn allows(&self, probe: &Probe) -> bool {
        !self.has_no_use_of(probe) && self.leaves_out(probe).is_none() && self.backend.takes(probe)
    }
}

/// Attaches what the kernel takes. Operations whose interface is refused are left to the
/// tracepoints backend, whole: two probes never see the same operation.
pub(super) fn attach(
    programs: &mut Programs,
    btf: &Btf,
    selection: &Selection<'_>,
) -> Result<Vec<Attempt>, MapError> {
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut unseen = None;
    let mut refusals = Refusals::default();
    let all = catalog::probes().count();
    let tell = |number| {
        if let Some(progress) = selection.progress {
            progress(number, all);
        }
    };
    tell(0);
    load_ahead(
        programs,
        btf,
        selection,
        |role| !is_tried_last(role),
        &mut refusals,
    );
    for (number, probe) in catalog::probes().enumerate() {
        tell(number);
        let outcome = match selection.leaves_out(probe) {
            Some(reason) => Outcome::Refused(Refusal::wanted(reason)),
            None if selection.has_no_use_of(probe) => Outcome::NotNeeded,
            // As if the kernel had refused it: others may see what it would see.
            None if !selection.backend.takes(probe) => Outcome::Refused(Refusal::of(format!(
                "{BACKEND_VARIABLE} asks for tracepoints"
            ))),
            None if probe.role == Role::SystemCalls => {
                let needed = match unseen {
                    Some(needed) => needed,
                    None => {
                        let needed = !hand_over(programs, &mut attempts)?.is_empty();
                        if needed {
                            let role = |role| role == Role::SystemCalls;
                            load_ahead(programs, btf, selection, role, &mut refusals);
                        }
                        *unseen.insert(needed)
                    }
                };
                if needed {
                    attach_probe(programs, btf, probe, selection.twins, &mut refusals)
                } else {
                    Outcome::NotNeeded
                }
            }
            None if probe.role == Role::Substitute => {
                if has_sites(&attempts, probe.family) {
                    Outcome::NotNeeded
                } else {
                    attach_probe(programs, btf, probe, selection.twins, &mut refusals)
                }
            }
            None if probe.role == Role::Submissions => {
                match detach_unless_all(programs, &mut attempts, probe.family) {
                    Requests::Seen => Outcome::NotNeeded,
                    Requests::Unwanted => {
                        Outcome::Refused(Refusal::wanted("its family is switched off"))
                    }
                    Requests::Unseen => {
                        attach_probe(programs, btf, probe, selection.twins, &mut refusals)
                    }
                }
            }
            None if probe.family == Family::Sample && !selection.copy_routines => Outcome::Refused(
                Refusal::of("the kernel's addresses are hidden (sysctl kernel.kptr_restrict=1)"),
            ),
            None => attach_probe(programs, btf, probe, selection.twins, &mut refusals),
        };
        attempts.push(Attempt { probe, outcome });
    }
    for family in [Family::Uring, Family::Aio] {
        detach_unless_all(programs, &mut attempts, family);
    }
    Ok(attempts)
}

/// Leaves operations whose functions turned out to be silent to the system call tracepoints.
pub(super) fn hand_over_silent(
    programs: &mut Programs,
    btf: &Btf,
    selection: &Selection<'_>,
    attempts: &mut [Attempt],
) -> Result<(), MapError> {
    let is_silent = |attempt: &Attempt| {
        matches!(attempt.probe.role, Role::Interface(_))
            && matches!(attempt.outcome, Outcome::Silent(_))
    };
    if !attempts.iter().any(is_silent) {
        return Ok(());
    }
    hand_over(programs, attempts)?;
    let mut refusals = Refusals::default();
    for attempt in attempts {
        if matches!(attempt.outcome, Outcome::NotNeeded) && attempt.probe.role == Role::SystemCalls
        {
            let twins = selection.twins;
            attempt.outcome = attach_probe(programs, btf, attempt.probe, twins, &mut refusals);
        }
    }
    Ok(())
}

/// Whether it shows only once the others are attached if probes of this role are needed.
fn is_tried_last(role: Role) -> bool {
    matches!(
        role,
        Role::SystemCalls | Role::Submissions | Role::Substitute
    )
}

/// Loads the programs of every probe of a role, each for the way that people expect.
fn load_ahead(
    programs: &mut Programs,
    btf: &Btf,
    selection: &Selection<'_>,
    role: impl Fn(Role) -> bool,
    refusals: &mut Refusals,
) {
    let mut ways = HashMap::new();
    let wanted = catalog::probes().filter(|probe| {
        role(probe.role)
            && selection.allows(probe)
            && (probe.family != Family::Sample || selection.copy_routines)
    });
    for way in wanted.filter_map(|probe| probe.ways.first()) {
        ways.entry(way.program.to_owned()).or_insert(way);
        if selection.twins {
            ways.entry(twin(way)).or_insert(way);
        }
    }
    load::ahead(&mut programs.ebpf, btf, &ways, refusals);
}

/// Whether some site of a family is attached: what it counts must not be counted again.
fn has_sites(attempts: &[Attempt], family: Family) -> bool {
    let mut sites = attempts
        .iter()
        .filter(|attempt| attempt.probe.family == family && attempt.probe.is_site());
    sites.any(Attempt::is_attached)
}

/// Whether nothing sees what the kernel copies into the rings of packet sockets or of AF_XDP.
pub(super) fn are_rings_unseen(attempts: &[Attempt]) -> bool {
    attempts.iter().any(|attempt| {
        matches!(attempt.probe.family, Family::Packet | Family::Xdp)
            && attempt.probe.role == Role::CopySite
            && attempt.is_gap()
            && attempt.refusal().is_none_or(|refusal| !refusal.wanted)
    })
}

/// Whether all is seen that workers of vhost-net copy. The module of macvtap can come later.
pub(super) fn follows_vhost(attempts: &[Attempt]) -> bool {
    let sees = |name| {
        attempts
            .iter()
            .any(|attempt| attempt.probe.name == name && attempt.is_attached())
    };
    sees(catalog::TUN_SENDMSG)
        && (sees(catalog::TAP_SENDMSG) || !FsPath::new("/sys/module/tap").exists())
}

/// How much functions tell of a family's requests.
enum Requests {
    /// All that there is.
    Seen,
    /// Nothing, and the user wants it so.
    Unwanted,
    /// Nothing.
    Unseen,
}

/// What functions tell of a family's requests. They are of use only together: where one is missing,
/// the others are detached.
fn detach_unless_all(
    programs: &mut Programs,
    attempts: &mut [Attempt],
    family: Family,
) -> Requests {
    let theirs = |attempt: &&mut Attempt| {
        attempt.probe.family == family && attempt.probe.role == Role::Requests
    };
    let unwanted = attempts
        .iter_mut()
        .filter(theirs)
        .any(|attempt| attempt.refusal().is_some_and(|refusal| refusal.wanted));
    if attempts.iter_mut().filter(theirs).all(|a| a.is_attached()) {
        return Requests::Seen;
    }
    for attempt in attempts.iter_mut().filter(theirs) {
        if let Outcome::Attached(way) = attempt.outcome {
            detach(programs, &way);
            attempt.outcome = Outcome::Refused(Refusal::of("useless without the others"));
        }
    }
    if unwanted {
        Requests::Unwanted
    } else {
        Requests::Unseen
    }
}

/// Leaves the operations that functions do not see, or do not see whole, to the system call
/// tracepoints.
fn hand_over(programs: &mut Programs, attempts: &mut [Attempt]) -> Result<BTreeSet<Op>, MapError> {
    let unseen: BTreeSet<Op> = attempts
        .iter()
        .filter_map(|attempt| match (attempt.probe.role, &attempt.outcome) {
            // Where an option of the kernel is missing, there are no such calls either.
            (Role::Interface(_), Outcome::Refused(refusal))
                if refusal.absent && attempt.probe.is_optional_interface() =>
            {
                None
            }
            // What the user switched off is not to come in by another door.
            (Role::Interface(op), Outcome::Refused(refusal)) if !refusal.wanted => Some(op),
            (Role::Interface(op), Outcome::Silent(_)) => Some(op),
            _ => None,
        })
        .collect();
    // What the user switched off is not to come in by another door.
    let follows_aio = attempts.iter().any(|attempt| {
        attempt.probe.family == Family::Aio
            && attempt.is_gap()
            && attempt.refusal().is_none_or(|refusal| !refusal.wanted)
    });
    for attempt in attempts.iter_mut() {
        let Role::Interface(op) = attempt.probe.role else {
            continue;
        };
        if let Outcome::Attached(way) = attempt.outcome
            && unseen.contains(&op)
        {
            detach(programs, &way);
            attempt.outcome =
                Outcome::Refused(Refusal::of("its operation is seen at the system call"));
        }
    }
    let mut ops = unseen
        .iter()
        .flat_map(|&op| catalog::reported_by(op))
        .fold(0_u64, |ops, op| ops | 1 << op as u64);
    if follows_aio {
        ops |= 1 << FOLLOWS_AIO;
    }
    let sites = [Family::File, Family::Pipe, Family::Socket];
    if !sites.iter().any(|&family| has_sites(attempts, family)) {
        ops |= 1 << Op::Other as u64;
    }
    if are_rings_unseen(attempts) {
        ops |= 1 << COUNTS_RINGS;
    }
    if follows_vhost(attempts) {
        ops |= 1 << FOLLOWS_VHOST;
    }
    let counts_faults =
        |attempt: &Attempt| attempt.probe.name == catalog::PAGE_FAULT_USER && attempt.is_attached();
    if attempts.iter().any(counts_faults) {
        ops |= 1 << COUNTS_FAULTS;
    }
    let mut by_syscall: Array<_, u64> =
        Array::try_from(super::map(&mut programs.ebpf, "BY_SYSCALL"))?;
    by_syscall.set(0, ops, 0)?;
    Ok(unseen)
}

/// The name of the probe that a program is attached for; of one of no probe, its own.
pub(super) fn probe_of<'a>(attempts: &[Attempt], program: &'a str) -> &'a str {
    let mut attached = attempts.iter().filter_map(|attempt| match attempt.outcome {
        Outcome::Attached(way) => Some((way.program, attempt.probe.name)),
        _ => None,
    });
    attached
        .find_map(|(name, probe)| (name == program).then_some(probe))
        .unwrap_or(program)
}

pub(super) fn detach(programs: &mut Programs, way: &Way) {
    tell(programs, way, false);
    for name in [way.program.to_owned(), twin(way)] {
        programs.unload(&name);
    }
}

/// Tells the programs what one of them must know of another: without the site that counts the pages of a fault,
/// none of its bytes are explained.
fn tell(programs: &mut Programs, way: &Way, attached: bool) {
    if matches!(way.program, "set_pte_range" | "do_set_pte") {
        let map = super::map(&mut programs.ebpf, "PAGES_ARE_COUNTED");
        let told = Array::try_from(map)
            .and_then(|mut counted: Array<_, u32>| counted.set(0, u32::from(attached), 0));
        told.expect("an array of one number");
    }
}

/// Attaches a probe in the first way that works. `refusals` has the programs that were refused
/// when they were loaded ahead.
pub(super) fn attach_probe(
    programs: &mut Programs,
    btf: &Btf,
    probe: &Probe,
    twins: bool,
    refusals: &mut Refusals,
) -> Outcome {
    let mut refusal = None;
    for way in probe.ways {
        match attach_pair(programs, btf, way, twins, refusals) {
            Ok(()) => {
                tell(programs, way, true);
                return Outcome::Attached(*way);
            }
            // The first way is the one that people expect; the others are for other kernels.
            Err(error) => {
                // Its twin may be there.
                detach(programs, way);
                let worse = refusal
                    .as_ref()
                    .is_some_and(|r: &Refusal| r.errno.is_some());
                if !worse {
                    refusal = Some(explain(&error, way));
                }
            }
        }
    }
    let mut refusal = refusal.unwrap_or_else(|| Refusal::of("the catalog has no way to attach it"));
    refusal.absent &= !(probe.always_there || probe.sign.is_some_and(is_here));
    Outcome::Refused(refusal)
}

fn is_here(sign: Sign) -> bool {
    match sign {
        Sign::File(path) => FsPath::new(path).exists(),
        Sign::ProcessVm => has_process_vm(),
    }
}

fn has_process_vm() -> bool {
    let own = std::process::id().cast_signed();
    // SAFETY: it is given no vectors, so it reads and writes nothing.
    unsafe { libc::process_vm_readv(own, std::ptr::null(), 0, std::ptr::null(), 0, 0) == 0 }
}

/// Why [`attach_way`] failed.
#[derive(Debug, thiserror::Error)]
enum WayError {
    #[error("the program is missing")]
    NoProgram,
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error(
        "this kernel's types describe another function as {0}, whose first argument is {1}: a program there \
         would change what the function does"
    )]
    Stranger(&'static str, String),
}

/// What the name of a program's twin ends in: see `zctrace-ebpf/src/book/twin.rs`.
pub(super) const TWIN: &str = "_twin";

/// The name of a program's twin.
pub(super) fn twin(way: &Way) -> String {
    format!("{}{TWIN}", way.program)
}

/// Attaches a program and, where it is wanted, its twin, so that the program runs first: of the
/// programs at a function the last attached one does, of those at a tracepoint the first.
fn attach_pair(
    programs: &mut Programs,
    btf: &Btf,
    way: &Way,
    twins: bool,
    refusals: &mut Refusals,
) -> Result<(), WayError> {
    let twin = twin(way);
    // Those that the kernel does not preempt, such as kretprobes, have none.
    let twins = twins && programs.ebpf.program(&twin).is_some();
    let names: &[&str] = match way.kind {
        Kind::FEntry | Kind::FExit if twins => &[&twin, way.program],
        Kind::BtfTracepoint if twins => &[way.program, &twin],
        _ => &[way.program],
    };
    for name in names {
        attach_way(programs, btf, way, name, refusals)?;
    }
    Ok(())
}

fn attach_way(
    programs: &mut Programs,
    btf: &Btf,
    way: &Way,
    name: &str,
    refusals: &mut Refusals,
) -> Result<(), WayError> {
    let Programs {
        ebpf,
        modules,
        kretprobes,
        strangers,
        ..
    } = programs;
    if matches!(way.kind, Kind::FEntry | Kind::FExit)
        && way.module.is_none()
        && let Some(first) = strangers.get(way.symbol)
    {
        return Err(WayError::Stranger(way.symbol, first.clone()));
    }
    let program = ebpf.program_mut(name).ok_or(WayError::NoProgram)?;
    let loaded = match refusals.take(name) {
        Some(refusal) => Err(refusal),
        None if load::is_loaded(program) => Ok(()),
        None => load::load(program, btf, way),
    };
    match loaded {
        // It is not in the kernel itself.
        Err(ProgramError::Btf(error)) if way.module.is_some() => {
            return match modules.attach(ebpf, way, name) {
                Err(ModuleError::NotThere) => Err(ProgramError::Btf(error).into()),
                attached => Ok(attached?),
            };
        }
        loaded => loaded?,
    }
    match program {
        Program::FExit(program) => {
            program.attach()?;
        }
        Program::FEntry(program) => {
            program.attach()?;
        }
        Program::KProbe(program) => {
            let link = kretprobe::attach(program.fd()?.as_fd(), way.symbol).ok();
            let link = link.filter(|link| missed::unseen_returns(link.as_fd()).is_some());
            match link {
                Some(link) => {
                    kretprobes.insert(name.to_owned(), link);
                }
                // The kernel does not tell what the probe misses. Counted from before it is there: a call
                // too many under way is a loss told for nothing, one too few a loss that is not told.
                None => {
                    kretprobe::count_calls(ebpf, name, way.symbol)?;
                    if let Some(Program::KProbe(program)) = ebpf.program_mut(name) {
                        program.attach(way.symbol, 0)?;
                    }
                }
            }
        }
        Program::BtfTracePoint(program) => {
            program.attach()?;
        }
        Program::PerfEvent(program) => sample::attach(program)?,
        _ => return Err(WayError::NoProgram),
    }
    Ok(())
}

/// A refusal for people.
fn explain(error: &WayError, way: &Way) -> Refusal {
    match error {
        WayError::NoProgram => {
            return Refusal::of(format!("this build has no program {}", way.program));
        }
        WayError::Program(ProgramError::Btf(_)) => {
            return Refusal {
                absent: true,
                ..Refusal::of(format!(
                    "this kernel has no traceable {} {}",
                    what(way.kind),
                    way.symbol
                ))
            };
        }
        WayError::Program(ProgramError::KProbeError(KProbeError::FileError {
            filename, ..
        })) if filename.starts_with("/sys/bus/event_source") => {
            return Refusal::of(
                "this kernel has no kprobes (CONFIG_KPROBES, CONFIG_KPROBE_EVENTS)",
            );
        }
        WayError::Stranger(..) => return Refusal::of(error.to_string()),
        WayError::Program(_) | WayError::Module(_) => {}
    }
    let errno = io_error(error).and_then(io::Error::raw_os_error);
    let cause = match errno {
        Some(libc::EPERM) => format!(
            "not permitted: {} is refused by this kernel or these privileges",
            way.kind.name()
        ),
        Some(libc::ENOENT | libc::EADDRNOTAVAIL) => {
            format!(
                "this kernel has no function {} (or its module is not loaded)",
                way.symbol
            )
        }
        Some(libc::EINVAL | libc::EOPNOTSUPP) => {
            format!("{} cannot be traced by {}", way.symbol, way.kind.name())
        }
        Some(ENOTSUPP) => format!(
            "this kernel takes no {} on functions (on arm64 that needs \
             CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)",
            way.kind.name()
        ),
        Some(libc::EKEYREJECTED | libc::ENOKEY | libc::EBADMSG) => {
            "this kernel takes only BPF programs that are signed".to_owned()
        }
        Some(libc::EACCES) => format!("the verifier rejected the program for {}", way.symbol),
        Some(libc::E2BIG) if was_loading(error) => {
            format!(
                "the verifier finds the program for {} too large",
                way.symbol
            )
        }
        Some(libc::EBUSY | libc::E2BIG) => format!("too many programs on {}", way.symbol),
        errno if super::files::is_exhausted(errno) => super::files::TOO_MANY.into(),
        _ => first_line(&error.to_string()),
    };
    trace!("{}: {error:?}", way.symbol);
    Refusal {
        errno,
        cause,
        wanted: false,
        absent: matches!(errno, Some(libc::ENOENT | libc::EADDRNOTAVAIL)),
    }
}

/// Whether the kernel refused to load the program, rather than to attach it: then the verifier has said why.
fn was_loading(error: &WayError) -> bool {
    match error {
        WayError::Program(ProgramError::LoadError { .. }) => true,
        WayError::Module(ModuleError::Refused { log, .. }) => !log.is_empty(),
        _ => false,
    }
}

const fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::BtfTracepoint => "tracepoint",
        Kind::Clock => "event",
        Kind::FEntry | Kind::FExit | Kind::KRetProbe => "function",
    }
}

pub(super) fn io_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        source = error.source();
    }
    None
}

fn first_line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(160)
        .collect()
}

/// Notes that the module of kernel TLS, in which functions were looked for in vain, is there now. Returns
/// whether it is news.
pub(super) fn note_late_tls(attempts: &mut [Attempt]) -> bool {
    let is_absent = |attempt: &Attempt| {
        attempt.probe.family == Family::Tls && attempt.refusal().is_some_and(|r| r.absent)
    };
    let sends =
        |attempt: &Attempt| attempt.probe.name == catalog::TLS_SW_SENDMSG && is_absent(attempt);
    // Where it was there before, the other functions are those of other kernels.
    if !attempts.iter().any(sends) || !FsPath::new("/sys/module/tls").exists() {
        return false;
    }
    for attempt in attempts.iter_mut().filter(|attempt| is_absent(attempt)) {
        attempt.outcome = Outcome::Refused(Refusal::of(
            "the module tls was loaded after tracing began; load it before (modprobe tls)",
        ));
    }
    true
}

/// What cannot be seen without a probe, for people. Nothing is lost where the kernel does not have
/// what the probe would see. Where the system calls are watched instead, an interface is no loss, and
/// the classes are concluded.
pub(super) fn lost(attempt: &Attempt, attempts: &[Attempt]) -> String {
    let Attempt { probe, outcome } = attempt;
    let watched = || {
        [catalog::SYS_ENTER, catalog::SYS_EXIT]
            .into_iter()
            .all(|name| {
                attempts
                    .iter()
                    .any(|attempt| attempt.probe.name == name && attempt.is_attached())
            })
    };
    let wanted = matches!(outcome, Outcome::Refused(refusal) if refusal.wanted);
    if !attempt.is_gap() && attempt.refusal().is_some() {
        return "nothing: this kernel has no such place".to_owned();
    }
    let is = |which: fn(&Attempt) -> bool| {
        move |name: &str| {
            let mut attempts = attempts.iter();
            attempts.any(|attempt| attempt.probe.name == name && which(attempt))
        }
    };
    match probe.role {
        Role::Interface(_) if !wanted && watched() => {
            format!("nothing of {}: {}", probe.sees, Refused::REPLACED)
        }
        _ if sight::is_inferred_without(probe, is(Attempt::is_attached), is(Attempt::is_gap)) => {
            format!(
                "only the measurement of {}; it is inferred from the calls",
                probe.sees
            )
        }
        _ => probe.lost.to_owned(),
    }
}

/// The attempts as reports show them.
pub(super) fn coverage(attempts: &[Attempt]) -> Coverage {
    let mut coverage = Coverage::default();
    for attempt in attempts {
        let Attempt { probe, outcome } = attempt;
        match outcome {
            Outcome::NotNeeded => {}
            Outcome::Silent(way) => coverage.refused.push(Refused {
                probe: probe.name.to_owned(),
                reason: format!("{} is attached, but it did not see known bytes", way.symbol),
                lost: lost(attempt, attempts),
                absent: false,
            }),
            Outcome::Attached(_) => coverage.attached.push(probe.name.to_owned()),
            Outcome::Refused(Refusal {
                errno,
                cause,
                wanted: _,
                absent,
            }) => coverage.refused.push(Refused {
                probe: probe.name.to_owned(),
                reason: match errno {
                    Some(errno) => format!("{cause} ({})", io::Error::from_raw_os_error(*errno)),
                    None => cause.clone(),
                },
                lost: lost(attempt, attempts),
                absent: *absent,
            }),
        }
    }
    coverage
}

/// `functions`, `tracepoints` or `mixed`, by which kind of probe tells that operations ended.
pub(super) fn backend(attempts: &[Attempt]) -> &'static str {
    let attached = |role: fn(Role) -> bool| {
        attempts
            .iter()
            .any(|a| a.is_attached() && role(a.probe.role))
    };
    let functions = attached(|role| matches!(role, Role::Interface(_)));
    let tracepoints = attached(|role| role == Role::SystemCalls);
    match (functions, tracepoints) {
        (true, true) => "mixed",
        (true, false) => "functions",
        (false, _) => "tracepoints",
    }
}
