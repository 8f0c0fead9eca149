//! The `/proc` that shows the machine's own process ids.
//!
//! BPF programs see ids of the initial PID namespace. In another one, an id from the command line
//! means nothing to them, unless the host's procfs is mounted somewhere too: then everything is
//! read there, and ids are translated at the edge.

use std::{
    fs,
    path::{Path, PathBuf},
};

use procfs::process::Process;

use super::Error;

/// Inode number of the initial PID namespace, `PROC_PID_INIT_INO`.
const INITIAL_PID_NAMESPACE: u64 = 0xEFFF_FFFC;
// Of `include/linux/sched.h`.
pub(crate) const PF_EXITING: u32 = 0x0000_0004;
pub(crate) const PF_IO_WORKER: u32 = 0x0000_0010;
/// Linux 6.4 and later. Threads of io_uring have it too.
pub(crate) const PF_USER_WORKER: u32 = 0x0000_4000;
pub(super) const PF_KTHREAD: u32 = 0x0020_0000;

/// A procfs and how its ids relate to those the user knows.
#[derive(Clone, Debug)]
pub struct View {
    root: PathBuf,
    ids: Ids,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ids {
    /// The user's ids are the machine's.
    Same,
    /// The root shows the machine's ids, the user has others.
    Translated { namespace: Option<u64> },
    /// The root shows the user's ids, the machine's are unknown.
    Unknown,
}

impl View {
    /// Finds the procfs that shows the machine's ids.
    ///
    /// # Errors
    ///
    /// When there is no procfs at all.
    pub fn detect() -> Result<Self, Error> {
        let own = PathBuf::from("/proc");
        if !own.join("self/stat").exists() {
            return Err(Error::NoProcfs { path: own });
        }
        let namespace = pid_namespace(&own.join("self/ns/pid"));
        if namespace.is_none_or(|inode| inode == INITIAL_PID_NAMESPACE) {
            return Ok(Self {
                root: own,
                ids: Ids::Same,
            });
        }
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let host = procfs_mounts(&mountinfo)
            .into_iter()
            .find(|root| shows_kthreadd(root));
        Ok(match host {
            Some(root) => Self {
                root,
                ids: Ids::Translated { namespace },
            },
            None => Self {
                root: own,
                ids: Ids::Unknown,
            },
        })
    }

    /// Where this procfs is mounted.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the machine's ids can be told.
    #[must_use]
    pub fn knows_machine_ids(&self) -> bool {
        self.ids != Ids::Unknown
    }

    /// Whether system calls of zctrace take ids of this view.
    #[must_use]
    pub(super) fn has_own_ids(&self) -> bool {
        self.ids == Ids::Same
    }

    /// The process with an id of this view.
    ///
    /// # Errors
    ///
    /// As [`Process::new_with_root`].
    pub fn process(&self, pid: u32) -> Result<Process, procfs::ProcError> {
        Process::new_with_root(self.root.join(pid.to_string()))
    }

    /// The command name of the process with an id of this view, if that is there.
    pub(crate) fn comm(&self, pid: u32) -> Option<String> {
        Some(self.process(pid).ok()?.stat().ok()?.comm)
    }

    /// Every process; those that end in the meantime are left out.
    pub fn processes(&self) -> impl Iterator<Item = Process> + use<> {
        procfs::process::all_processes_with_root(&self.root)
            .into_iter()
            .flatten()
            .flatten()
    }

    /// zctrace's own id in this view.
    #[must_use]
    pub fn own_pid(&self) -> u32 {
        fs::read_link(self.root.join("self"))
            .ok()
            .and_then(|link| link.to_str()?.parse().ok())
            .unwrap_or_else(std::process::id)
    }

    /// The id in this view of the process that the user calls `pid`.
    ///
    /// # Errors
    ///
    /// [`Error::PidNamespace`] when it is not known, [`Error::NoSuchProcess`].
    pub fn from_user(&self, pid: u32) -> Result<u32, Error> {
        match self.ids {
            Ids::Same => Ok(pid),
            Ids::Unknown => Err(Error::PidNamespace),
            Ids::Translated { namespace } => self
                .processes()
                .filter(|process| innermost_id(process) == Some(pid))
                .find(|process| {
                    let link = self.root.join(format!("{}/ns/pid", process.pid));
                    pid_namespace(&link) == namespace
                })
                .and_then(|process| u32::try_from(process.pid).ok())
                .ok_or(Error::NoSuchProcess { pid }),
        }
    }

    /// What the user calls the process with the id `pid` of this view. A process that has ended or
    /// lives in another namespace keeps the machine's id.
    #[must_use]
    pub fn to_user(&self, pid: u32) -> u32 {
        let Ids::Translated { namespace } = self.ids else {
            return pid;
        };
        let link = self.root.join(format!("{pid}/ns/pid"));
        if pid_namespace(&link) != namespace {
            return pid;
        }
        self.process(pid)
            .ok()
            .and_then(|process| innermost_id(&process))
            .unwrap_or(pid)
    }
}

/// The last field of `NSpid`: the id in the process's own namespace.
fn innermost_id(process: &Process) -> Option<u32> {
    let ids = process.status().ok()?.nspid?;
    u32::try_from(*ids.last()?).ok()
}

/// The inode number in a link such as `pid:[4026531836]`.
fn pid_namespace(link: &Path) -> Option<u64> {
    namespace_inode(fs::read_link(link).ok()?.to_str()?)
}

/// See [`pid_namespace`].
pub(super) fn namespace_inode(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

/// Mount points of type `proc` in the text of `mountinfo`.
fn procfs_mounts(mountinfo: &str) -> Vec<PathBuf> {
    super::mounts::of_type(mountinfo, "proc")
}

/// Only the initial PID namespace has the kernel's thread of threads, always as id 2.
fn shows_kthreadd(root: &Path) -> bool {
    Process::new_with_root(root.join("2"))
        .and_then(|process| process.stat())
        .is_ok_and(|stat| stat.flags & PF_KTHREAD != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespace_links_are_read() {
        assert_eq!(
            namespace_inode("pid:[4026531836]"),
            Some(INITIAL_PID_NAMESPACE)
        );
        assert_eq!(namespace_inode("pid:4026531836"), None);
    }

    #[test]
    fn this_process_is_seen() {
        let view = View::detect().unwrap();
        let own = view.own_pid();
        assert!(view.processes().any(|p| u32::try_from(p.pid) == Ok(own)));
        if view.knows_machine_ids() {
            assert_eq!(
                view.to_user(view.from_user(std::process::id()).unwrap()),
                std::process::id()
            );
        }
    }
}
