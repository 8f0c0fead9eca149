//! What to attach where, what it means, and what is lost without it: one file per probe family.
//!
//! A probe of the *interface* says that an operation ended and how many bytes it moved; a *site* says how bytes got
//! from one place to another. Neither ever replaces the other, so a missing site makes exactly its bytes `unexplained`.

mod aio;
mod batch;
pub mod conclusion;
mod direct;
mod fault;
mod file;
mod interface;
mod message;
mod overlay;
mod packet;
mod packet_send;
pub mod page;
mod pipe;
mod proof;
mod reflink;
mod region;
mod sample;
pub mod sight;
mod socket;
mod splice;
mod syscall;
mod target;
mod tls;
mod ublk;
mod uffd;
mod uring;
mod vhost;
mod vm;
mod xdp;
mod zerocopy;

pub use fault::PAGE_FAULT_USER;
pub use proof::{Exercise, Proof, Sign};
pub use syscall::{SYS_ENTER, SYS_EXIT};
pub use tls::TLS_SW_SENDMSG;
pub use ublk::UBLK_COPIES;
pub use uring::{IO_ISSUE_SQE_ENTER, IO_URING_COMPLETE_INFERRED};
pub use vhost::{TAP_SENDMSG, TUN_SENDMSG};
use zctrace_common::Op;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Maintains the set of traced tasks.
    Target,
    /// Reports that an operation of this kind ended, and what it reported.
    Interface(Op),
    /// Reports that a CPU copied bytes.
    CopySite,
    /// Reports that bytes moved without a copy by a CPU.
    NoCopySite,
    /// Reports on which request of its family a thread works, and what the request reported. The probes of a family
    /// with this role are attached together or not at all.
    Requests,
    /// Reports requests that take a rare way through the kernel.
    SomeRequests,
    /// Replaces [`Role::Requests`] of its family where functions cannot be traced: requests are known from their
    /// submission, and classes are concluded.
    Submissions,
    /// Stands in for the sites of its family where none of them can be traced. It counts occurrences, and no bytes.
    Substitute,
    /// Reports why copies were made. The copies are in the ledger without it too.
    Cause,
    /// Reports what happens beside the operations, which explains none of their bytes.
    Beside,
    /// Reports what happens to bytes later: when borrowed pages are given back, what the kernel notifies.
    Evidence,
    /// Concludes operations and classes from the system calls: the tracepoints backend.
    SystemCalls,
}

/// A group of probes that serve one kind of data path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Following the target.
    Target,
    /// Where operations end.
    Interface,
    /// Buffered files and devices.
    File,
    /// `O_DIRECT`.
    Direct,
    /// Pipes and FIFOs.
    Pipe,
    /// Sockets.
    Socket,
    /// Zero-copy sends and receives.
    Zerocopy,
    /// Receive rings of packet sockets.
    Packet,
    /// Transmit rings of packet sockets.
    PacketSend,
    /// AF_XDP.
    Xdp,
    /// Kernel TLS.
    Tls,
    /// Markers of regions of a test.
    Region,
    /// How requests of io_uring are batched.
    Batch,
    /// Where processors spend their time.
    Sample,
    /// `splice`, `sendfile`, `vmsplice`, `tee`.
    Splice,
    /// Shared extents.
    Reflink,
    /// Other processes' memory.
    Vm,
    /// Message queues.
    Message,
    /// Block devices that processes serve.
    Ublk,
    /// Devices that the kernel serves for virtual machines.
    Vhost,
    /// userfaultfd.
    Uffd,
    /// Page faults and copy-on-write.
    Fault,
    /// io_uring.
    Uring,
    /// Linux AIO.
    Aio,
}

impl Family {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Interface => "interface",
            Self::File => "file",
            Self::Direct => "direct",
            Self::Pipe => "pipe",
            Self::Socket => "socket",
            Self::Zerocopy => "zerocopy",
            Self::Packet => "packet",
            Self::PacketSend => "packet-send",
            Self::Xdp => "xdp",
            Self::Tls => "tls",
            Self::Region => "region",
            Self::Batch => "batch",
            Self::Sample => "sample",
            Self::Splice => "splice",
            Self::Reflink => "reflink",
            Self::Vm => "vm",
            Self::Message => "message",
            Self::Ublk => "ublk",
            Self::Vhost => "vhost",
            Self::Uffd => "userfaultfd",
            Self::Fault => "fault",
            Self::Uring => "io_uring",
            Self::Aio => "aio",
        }
    }
}

/// One way to attach a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Kind of attachment.
    pub kind: Kind,
    /// Name of the BPF program.
    pub program: &'static str,
    /// Kernel function or tracepoint.
    pub symbol: &'static str,
    /// The module in which the function is looked for, if the kernel itself does not have it.
    pub module: Option<&'static str>,
    /// What the function takes first, by the types of all kernels that were looked at; empty for what is no function of
    /// the kernel itself, and for kretprobes, which take no arguments over.
    ///
    /// The kernel finds a function by its name, and what it takes in its own description of types. The two are made
    /// apart from each other, and a name can be another function's in one of them: in Debian's Linux 6.12 for arm64
    /// `read_zero` is described as one of KVM's, which was inlined. A program attached there would hand over too few
    /// arguments to the function that is meant, and `read` from `/dev/zero` would return 1.
    pub first: &'static [&'static str],
}

/// Kinds of attachment, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// At the entry of a function, through a BPF trampoline.
    FEntry,
    /// At its return.
    FExit,
    /// At its return, through a kprobe, where the kernel accepts no fexit: more than six arguments before Linux 6.6,
    /// and modules whose types cannot be read. It misses returns when many calls are in progress.
    KRetProbe,
    /// A tracepoint with typed arguments.
    BtfTracepoint,
    /// A timer on every processor.
    Clock,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::FEntry,
        Self::FExit,
        Self::KRetProbe,
        Self::BtfTracepoint,
        Self::Clock,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FEntry => "fentry",
            Self::FExit => "fexit",
            Self::KRetProbe => "kretprobe",
            Self::BtfTracepoint => "tp_btf",
            Self::Clock => "perf event",
        }
    }
}

/// One entry of the catalog.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Its name, by which `--without-probe` and reports call it.
    pub name: &'static str,
    /// The group it belongs to.
    pub family: Family,
    /// What it is for.
    pub role: Role,
    /// Ways to attach it; the first that the kernel takes is used.
    pub ways: &'static [Way],
    /// What makes it run on any machine that has its function.
    pub woken_by: Option<Exercise>,
    /// Offsets of `Offsets` without which zctrace refuses the kernel. Where another offset is missing, the
    /// verifier refuses the programs that use it.
    pub needs: &'static [&'static str],
    /// Whether copies go unseen without it, and every kernel has its function. A function that cannot be found was then
    /// inlined, renamed, or is a macro (`vma_alloc_folio` without `CONFIG_NUMA`). For the other probes, a missing
    /// function means that there is nothing to see, or that bytes are `unexplained`.
    pub always_there: bool,
    /// What shows that a kernel without its function has the calls that it is about, so that they go unseen.
    pub sign: Option<Sign>,
    /// What shows that it explains bytes.
    pub proof: Proof,
    /// What it sees, for people.
    pub sees: &'static str,
    /// What is lost without it, for people.
    pub lost: &'static str,
}

impl Probe {
    /// What most probes leave as it is.
    const USUAL: Self = Self {
        name: "",
        family: Family::Target,
        role: Role::Target,
        ways: &[],
        woken_by: None,
        needs: &[],
        always_there: false,
        sign: None,
        proof: Proof::NotASite,
        sees: "",
        lost: "",
    };

    /// Whether it sees how bytes got from one place to another.
    #[must_use]
    pub const fn is_site(&self) -> bool {
        matches!(self.role, Role::CopySite | Role::NoCopySite)
    }

    /// Whether its function is an option of the kernel. If the function is missing, the calls are missing too.
    #[must_use]
    pub fn is_optional_interface(&self) -> bool {
        matches!(self.family, Family::Message | Family::Uffd)
            && matches!(self.role, Role::Interface(_))
    }
}

/// The operations that the probes of an interface report. With another flag, some calls are another operation.
pub fn reported_by(interface: Op) -> impl Iterator<Item = Op> {
    let others: &[Op] = match interface {
        Op::Send => &[Op::SendZerocopy],
        Op::Recv => &[Op::RecvPeek],
        Op::UffdCopy => &[Op::UffdZeropage, Op::UffdContinue, Op::UffdMove],
        _ => &[],
    };
    std::iter::once(interface).chain(others.iter().copied())
}

const fn way(kind: Kind, program: &'static str, symbol: &'static str) -> Way {
    Way {
        kind,
        program,
        symbol,
        module: None,
        first: &[],
    }
}

const fn fexit(program: &'static str, symbol: &'static str, first: &'static [&'static str]) -> Way {
    Way {
        first,
        ..way(Kind::FExit, program, symbol)
    }
}

/// In a module, on most kernels.
const fn fexit_of(module: &'static str, program: &'static str, symbol: &'static str) -> Way {
    Way {
        module: Some(module),
        ..way(Kind::FExit, program, symbol)
    }
}

/// At the entry of a function in a module, on most kernels.
const fn fentry_of(module: &'static str, program: &'static str, symbol: &'static str) -> Way {
    Way {
        module: Some(module),
        ..way(Kind::FEntry, program, symbol)
    }
}

const fn fentry(
    program: &'static str,
    symbol: &'static str,
    first: &'static [&'static str],
) -> Way {
    Way {
        first,
        ..way(Kind::FEntry, program, symbol)
    }
}

const fn kretprobe(program: &'static str, symbol: &'static str) -> Way {
    way(Kind::KRetProbe, program, symbol)
}

const fn tp_btf(program: &'static str, symbol: &'static str) -> Way {
    way(Kind::BtfTracepoint, program, symbol)
}

/// Every probe, in the order of attachment. The sites come before the interfaces, so that no operation ends before its
/// sites are attached. The system calls come last, for operations that are still unseen.
pub fn probes() -> impl Iterator<Item = &'static Probe> {
    [
        target::PROBES,
        region::PROBES,
        batch::PROBES,
        file::PROBES,
        direct::PROBES,
        pipe::PROBES,
        socket::PROBES,
        zerocopy::PROBES,
        packet::PROBES,
        packet_send::PROBES,
        xdp::PROBES,
        tls::PROBES,
        sample::PROBES,
        splice::PROBES,
        reflink::PROBES,
        vm::PROBES,
        overlay::PROBES,
        message::PROBES,
        ublk::PROBES,
        vhost::PROBES,
        uffd::PROBES,
        fault::PROBES,
        uring::PROBES,
        aio::PROBES,
        interface::PROBES,
        syscall::PROBES,
    ]
    .into_iter()
    .flatten()
}

/// The probe of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Probe> {
    probes().find(|probe| probe.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn names_are_unique() {
        let mut seen = BTreeSet::new();
        for probe in probes() {
            assert!(seen.insert(probe.name), "{} twice", probe.name);
        }
    }

    #[test]
    fn every_program_is_used_by_one_probe_only() {
        let mut seen = BTreeSet::new();
        for probe in probes() {
            let programs: BTreeSet<_> = probe.ways.iter().map(|way| way.program).collect();
            assert!(!programs.is_empty(), "{} has no way", probe.name);
            for program in programs {
                assert!(seen.insert(program), "program {program} in two probes");
            }
        }
    }

    #[test]
    fn every_traced_function_of_the_kernel_can_be_recognised() {
        let mut taken = BTreeMap::new();
        for way in probes().flat_map(|probe| probe.ways) {
            let is_traced = matches!(way.kind, Kind::FEntry | Kind::FExit) && way.module.is_none();
            assert_eq!(way.first.is_empty(), !is_traced, "{}", way.symbol);
            if is_traced {
                let first = *taken.entry(way.symbol).or_insert(way.first);
                assert_eq!(first, way.first, "{} in two probes", way.symbol);
            }
        }
    }

    #[test]
    fn every_kind_is_listed() {
        for way in probes().flat_map(|probe| probe.ways) {
            assert!(Kind::ALL.contains(&way.kind), "{:?}", way.kind);
        }
    }

    #[test]
    fn every_program_has_a_number_of_its_own() {
        let mut seen = BTreeSet::new();
        for program in probes().flat_map(|probe| probe.ways).map(|way| way.program) {
            seen.insert(program);
        }
        let numbers: BTreeSet<_> = seen
            .iter()
            .map(|program| zctrace_common::twin_slot(program))
            .collect();
        assert_eq!(numbers.len(), seen.len(), "two programs share a number");
        assert!(!numbers.contains(&0));
        assert!(numbers.iter().all(|&n| n < zctrace_common::TWIN_SLOTS));
    }

    #[test]
    fn every_exercise_wakes_a_probe() {
        for exercise in Exercise::ALL {
            assert!(
                probes().any(|probe| probe.woken_by == Some(exercise)),
                "{exercise:?} wakes nothing"
            );
        }
        for probe in probes() {
            assert!(
                probe.woken_by.is_none_or(|by| Exercise::ALL.contains(&by)),
                "{} is woken by what is never done",
                probe.name
            );
        }
    }

    #[test]
    fn every_offset_that_a_probe_needs_is_in_the_table() {
        for probe in probes() {
            for offset in probe.needs {
                assert!(
                    zctrace_common::Offsets::NAMES.contains(offset),
                    "{} needs {offset}, which is not in the table",
                    probe.name
                );
            }
        }
        assert!(probes().any(|probe| !probe.needs.is_empty()));
    }

    #[test]
    fn every_site_is_proven() {
        for probe in probes() {
            match probe.proof {
                Proof::NotASite => assert!(!probe.is_site(), "{} is not proven", probe.name),
                Proof::With(other) => assert!(
                    find(other).is_some_and(|other| matches!(
                        other.proof,
                        Proof::Unplugged(_) | Proof::UnpluggedBetween(..) | Proof::Later(_)
                    )),
                    "{} is left out with {other}, which is not",
                    probe.name
                ),
                Proof::Otherwise(why) => assert!(!why.is_empty(), "{}", probe.name),
                Proof::Unplugged(_)
                | Proof::UnpluggedBetween(..)
                | Proof::Later(_)
                | Proof::Server(_) => {}
            }
        }
    }

    #[test]
    fn the_loss_of_every_probe_is_told() {
        for probe in probes() {
            assert!(
                !probe.sees.is_empty() && !probe.lost.is_empty(),
                "{}",
                probe.name
            );
        }
    }
}
