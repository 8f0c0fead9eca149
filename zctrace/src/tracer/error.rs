//! Why nothing can be measured, each with a remedy.

use super::files;
use crate::kernel::btf::BtfError;

/// Nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// zctrace was built where no BPF toolchain was found.
    #[error("this zctrace was built without its BPF programs")]
    NoObject,
    /// The kernel's types are not available.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The kernel refused BPF maps or the like.
    #[error("the kernel refused BPF: {0}")]
    Load(#[from] aya::EbpfError),
    /// No probe of any operation could be attached.
    #[error("the kernel refused every probe; the first reason is: {0}")]
    NothingAttached(String),
    /// This kernel's structures are not as expected.
    #[error("the kernel's type information lacks {0}")]
    UnknownLayout(String),
    /// This kernel's BPF is too old.
    #[error("this kernel is too old: its BPF lacks {}", .0.join(" and "))]
    TooOld(Vec<String>),
    /// A map could not be read or written.
    #[error("cannot access a BPF map: {0}")]
    Map(#[from] aya::maps::MapError),
    /// Stacks cannot be unwound.
    #[error("cannot start the thread that unwinds stacks: {0}")]
    Unwinder(std::io::Error),
    /// `--without-probe` names an unknown probe.
    #[error("no probe is called {0}")]
    NoSuchProbe(String),
    /// The environment asks for a backend that does not exist.
    #[error("ZCTRACE_BACKEND: unknown backend {0}")]
    NoSuchBackend(String),
}

const OPEN_FILES: &str = "zctrace opens several hundred: raise the limit (ulimit -n 4096, LimitNOFILE= of a service; \
     for the machine sysctl fs.file-max)";

const NO_MEMORY: &str = "the kernel has no memory for BPF maps: raise the limit of the cgroup (memory.max, MemoryMax= of a service, \
     limits.memory of a container), or ask for less with --max-rows";

impl Error {
    /// What the user can do about it, in one line.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoObject => "run `cargo xtask setup`, then build again",
            Self::Btf(_) => {
                "the kernel must be built with CONFIG_DEBUG_INFO_BTF=y, as distribution kernels have been since 2021"
            }
            Self::NothingAttached(reason) if reason == files::TOO_MANY => OPEN_FILES,
            Self::Load(_) | Self::Map(_) if files::caused(self) => OPEN_FILES,
            Self::Load(_) | Self::Map(_) if files::is_out_of_memory(self) => NO_MEMORY,
            Self::Load(_) | Self::NothingAttached(_) | Self::Map(_) => {
                "run as root, or see which capability is missing: zctrace doctor"
            }
            Self::Unwinder(_) => "leave --unwind out, or raise the limit of processes (ulimit -u)",
            Self::UnknownLayout(_) => {
                "this kernel is not supported yet; please report it with `zctrace doctor --json`"
            }
            Self::TooOld(_) => {
                "Linux 5.15 is the first that has it; 6.1 is the oldest that is tested"
            }
            Self::NoSuchProbe(_) => "`zctrace doctor --all` lists the probes",
            Self::NoSuchBackend(_) => "it can be `auto` or `tracepoints`",
        }
    }
}
