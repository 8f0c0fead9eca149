//! Why a target cannot be traced, and what to do instead.

use std::{io, path::PathBuf};

/// Why a target cannot be traced. The message is one line; [`Error::remedy`] is another.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No process has this id.
    #[error("there is no process {pid}")]
    NoSuchProcess {
        /// As the user gave it.
        pid: u32,
    },
    /// The id is that of a thread.
    #[error("{tid} is a thread of process {pid}, not a process")]
    IsThread {
        /// As the user gave it.
        tid: u32,
        /// Its process.
        pid: u32,
    },
    /// The process is part of the kernel.
    #[error("{pid} ({comm}) is a kernel thread: it makes no system calls, so it has no ledger")]
    KernelThread {
        /// As the user gave it.
        pid: u32,
        /// Its name.
        comm: String,
    },
    /// The process has ended.
    #[error("{pid} ({comm}) has ended and waits for its parent to notice (a zombie)")]
    Zombie {
        /// As the user gave it.
        pid: u32,
        /// Its name.
        comm: String,
    },
    /// No process of the target is left.
    #[error("the target ended while the probes were being attached")]
    Ended,
    /// zctrace itself.
    #[error("{pid} is zctrace itself, which is never traced")]
    Myself {
        /// As the user gave it.
        pid: u32,
    },
    /// The PIDs that zctrace sees are not those of the machine.
    #[error("zctrace runs in a PID namespace of its own and cannot tell which process is meant")]
    PidNamespace,
    /// The cgroups that zctrace sees are not those of the machine.
    #[error("zctrace runs in a cgroup namespace of its own and cannot tell how deep a cgroup is")]
    CgroupNamespace,
    /// `/proc` is not there.
    #[error("no procfs at {}", path.display())]
    NoProcfs {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// No cgroup v2 hierarchy is mounted.
    #[error("no cgroup v2 hierarchy is mounted")]
    NoCgroup2,
    /// The cgroup does not exist.
    #[error("there is no cgroup {}", path.display())]
    NoSuchCgroup {
        /// As the user gave it.
        path: PathBuf,
        /// Where cgroup v2 is mounted.
        mount: PathBuf,
    },
    /// No systemd unit has a cgroup of this name.
    #[error("no active systemd unit is called {name:?}")]
    NoSuchUnit {
        /// As the user gave it.
        name: String,
    },
    /// No container has this name or id.
    #[error("no running container is called {name:?}")]
    NoSuchContainer {
        /// As the user gave it.
        name: String,
        /// Those that there are, in one line.
        others: String,
    },
    /// The name alone does not say which container is meant.
    #[error("{} containers are called {name:?}", they.len())]
    SeveralContainers {
        /// As the user gave it.
        name: String,
        /// Those that there are.
        they: Vec<String>,
    },
    /// The path exists but is not a cgroup of the v2 hierarchy.
    #[error("{} is not a cgroup of the v2 hierarchy", path.display())]
    NotCgroup2 {
        /// As the user gave it.
        path: PathBuf,
        /// Where cgroup v2 is mounted.
        mount: PathBuf,
    },
    /// Nobody listens on the port.
    #[error("nobody listens on port {port}")]
    NobodyListens {
        /// As the user gave it.
        port: u16,
        /// What does listen, and other advice, in one line.
        remedy: String,
    },
    /// A socket listens, but its owner cannot be seen.
    #[error("port {port} is open, but the processes that hold it cannot be seen")]
    UnknownListener {
        /// As the user gave it.
        port: u16,
        /// How many processes could not be looked into.
        hidden: usize,
        /// zctrace has the capability to look into them.
        may_inspect: bool,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel's answer about a process could not be read.
    #[error("cannot read the state of process {pid}: {source}")]
    Procfs {
        /// The process.
        pid: u32,
        /// Why.
        source: procfs::ProcError,
    },
}

impl Error {
    /// What the user can do about it, in one line.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoSuchProcess { .. } => {
                "`ps -e` lists processes; --comm NAME waits for one to start".into()
            }
            Self::IsThread { pid, .. } => format!("trace the process: -p {pid}"),
            Self::KernelThread { .. } => {
                "trace the whole machine (no target): it lists kernel threads".into()
            }
            Self::Zombie { .. } => "there is nothing left to trace".into(),
            Self::Ended => {
                "trace the command from its start: zctrace stat -- COMMAND; or its name: --comm"
                    .into()
            }
            Self::Myself { .. } => "choose another process".into(),
            Self::PidNamespace => {
                "run it on the host or with `--pid=host`, or mount the host's procfs into the \
                 container, or use --comm, --cgroup or the whole machine"
                    .into()
            }
            Self::CgroupNamespace => {
                "run it on the host or with `--cgroupns=host`, or use another target".into()
            }
            Self::NoProcfs { .. } => "mount it: mount -t proc proc /proc".into(),
            Self::NoCgroup2 => "mount it: mount -t cgroup2 none /sys/fs/cgroup".into(),
            Self::NoSuchCgroup { mount, .. } => format!(
                "give a path below {}, as in the line 0:: of /proc/PID/cgroup",
                mount.display()
            ),
            Self::NoSuchUnit { .. } => {
                "`systemctl list-units --state=active` lists them; --cgroup takes a path".into()
            }
            Self::NoSuchContainer { others, .. } if others.is_empty() => {
                "no cgroup looks like that of a container; --cgroup takes a path".into()
            }
            Self::NoSuchContainer { others, .. } => format!("these run: {others}"),
            Self::SeveralContainers { they, .. } => {
                format!("give the first digits of the id: {}", they.join(", "))
            }
            Self::NotCgroup2 { mount, .. } => {
                format!("give a path below {} instead", mount.display())
            }
            Self::NobodyListens { remedy, .. } => remedy.clone(),
            Self::UnknownListener { hidden: 0, .. } => {
                "the kernel (nfsd), PID 1, zctrace, or a ring without a descriptor may hold it; name a process with -p"
                    .into()
            }
            Self::UnknownListener {
                hidden,
                may_inspect,
                ..
            } => super::unseen::hidden(*hidden, *may_inspect),
            Self::Read { .. } | Self::Procfs { .. } => {
                "run as root, or see `zctrace doctor`".into()
            }
        }
    }
}
