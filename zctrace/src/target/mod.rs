//! From what the user names to the threads that are traced.

mod cgroup;
mod error;
pub(crate) mod mounts;
mod pid;
mod port;
mod threads;
mod view;

use std::{collections::BTreeSet, path::PathBuf};

use zctrace_common::{COMM_LEN, Scope};

pub use cgroup::{CgroupTarget, unit};
pub use error::Error;
pub use view::View;

use crate::ledger::{Target, TargetKind};

/// What the user asked to trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// Processes by id.
    Pids(Vec<u32>),
    /// Processes by command name, those that start later included.
    Comm(String),
    /// A cgroup and those below it.
    Cgroup(PathBuf),
    /// The processes that listen on ports.
    Ports(Vec<u16>),
    /// A command that zctrace has started and not yet let go: its id and how to show it.
    Command {
        /// Process id as zctrace's own namespace has it.
        pid: u32,
        /// The command line.
        shown: String,
    },
    /// The whole machine.
    System,
}

/// A target as the tracer takes it.
#[derive(Clone, Debug)]
pub struct Resolved {
    spec: Spec,
    directory: PathBuf,
    /// How reports name it.
    pub named: Target,
    /// Which tasks join those in [`Resolved::tasks`].
    pub scope: Scope,
    /// The command name of [`Scope::Comm`], cut to what the kernel keeps.
    pub comm: Option<String>,
    /// The cgroup of [`Scope::Cgroup`].
    pub cgroup: Option<CgroupTarget>,
    /// Processes whose end is the end of the trace, as ids of the view; empty where the trace has
    /// no natural end.
    pub processes: BTreeSet<u32>,
    /// Threads that are the target now, as ids of the view.
    pub tasks: BTreeSet<u32>,
}

/// Finds what `spec` means on this machine.
///
/// # Errors
///
/// When it means nothing that can be traced.
pub fn resolve(view: &View, spec: &Spec) -> Result<Resolved, Error> {
    let mut resolved = Resolved {
        spec: spec.clone(),
        directory: PathBuf::new(),
        named: Target {
            kind: TargetKind::System,
            value: String::new(),
        },
        scope: Scope::Tasks,
        comm: None,
        cgroup: None,
        processes: BTreeSet::new(),
        tasks: BTreeSet::new(),
    };
    let (kind, value) = match spec {
        Spec::Pids(pids) => {
            for pid in pids {
                resolved.processes.insert(pid::check(view, *pid)?);
            }
            (TargetKind::Pid, list(pids))
        }
        Spec::Comm(comm) => {
            resolved.scope = Scope::Comm;
            resolved.comm = Some(kept_by_kernel(comm).into());
            (TargetKind::Comm, comm.clone())
        }
        Spec::Cgroup(path) => {
            let found = cgroup::find(path)?;
            resolved.scope = Scope::Cgroup;
            resolved.cgroup = Some(found.target);
            resolved.directory = found.directory;
            (TargetKind::Cgroup, found.path)
        }
        Spec::Ports(ports) => {
            if !view.knows_machine_ids() {
                return Err(Error::PidNamespace);
            }
            for port in ports {
                resolved.processes.extend(port::processes(view, *port)?);
            }
            (TargetKind::Port, list(ports))
        }
        Spec::Command { pid, shown } => {
            resolved.processes.insert(view.from_user(*pid)?);
            (TargetKind::Command, shown.clone())
        }
        Spec::System => {
            resolved.scope = Scope::System;
            (TargetKind::System, String::new())
        }
    };
    resolved.named = Target { kind, value };
    resolved.tasks = threads::settle(|| resolved.scan(view))?;
    Ok(resolved)
}

fn list(numbers: &[impl ToString]) -> String {
    let numbers: Vec<_> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(",")
}

impl Resolved {
    /// What to say where the target is named and nobody is it yet: a name may be mistyped.
    #[must_use]
    pub fn nobody_yet(&self, view: &View) -> Option<String> {
        if !self.tasks.is_empty() || !view.knows_machine_ids() {
            return None;
        }
        match &self.spec {
            Spec::Comm(comm) => Some(format!(
                "note: no process is named {comm:?} now; processes that start later are traced"
            )),
            Spec::Cgroup(_) => Some(format!(
                "note: no process is in the cgroup {} now; processes that join it later are traced",
                self.named.value
            )),
            _ => None,
        }
    }

    /// Threads that have joined the target since the last look; they are added to
    /// [`Resolved::tasks`]. To be called when everything is attached: what starts from then on is
    /// followed by the tracer itself.
    ///
    /// # Errors
    ///
    /// When the target cannot be enumerated any more.
    pub fn joined(&mut self, view: &View) -> Result<Vec<u32>, Error> {
        let now = threads::settle(|| self.scan(view))?;
        let new: Vec<_> = now.difference(&self.tasks).copied().collect();
        self.tasks.extend(&new);
        Ok(new)
    }

    fn scan(&self, view: &View) -> Result<BTreeSet<u32>, Error> {
        Ok(match &self.spec {
            Spec::System => BTreeSet::new(),
            Spec::Comm(comm) if view.knows_machine_ids() => {
                threads::of_comm(view, kept_by_kernel(comm))
            }
            // New tasks are recognised by name or cgroup, and those there already at their next
            // system call: ids are a short cut, so those that cannot be told are left out.
            Spec::Comm(_) => BTreeSet::new(),
            Spec::Cgroup(_) if !view.knows_machine_ids() => BTreeSet::new(),
            Spec::Cgroup(_) => cgroup::tasks(view, &self.directory)?,
            Spec::Pids(_) | Spec::Ports(_) | Spec::Command { .. } => self
                .processes
                .iter()
                .flat_map(|pid| threads::of_process(view, *pid))
                .collect(),
        })
    }
}

/// The part of a command name that the kernel keeps: 15 bytes, cut at a character.
#[must_use]
pub fn kept_by_kernel(comm: &str) -> &str {
    let mut end = comm.len().min(COMM_LEN - 1);
    while !comm.is_char_boundary(end) {
        end -= 1;
    }
    &comm[..end]
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn names_are_cut_as_the_kernel_cuts_them() {
        assert_eq!(kept_by_kernel("nginx"), "nginx");
        assert_eq!(kept_by_kernel("exactly15bytes!"), "exactly15bytes!");
        assert_eq!(kept_by_kernel("a-long-daemon-name"), "a-long-daemon-n");
        assert_eq!(kept_by_kernel("fourteen bytesé"), "fourteen bytes");
    }

    #[test]
    fn every_thread_of_a_process_is_a_task() {
        let view = View::detect().unwrap();
        if !view.knows_machine_ids() {
            return;
        }
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let mut resolved = resolve(&view, &Spec::Pids(vec![pid])).unwrap();
        assert_eq!(resolved.scope, Scope::Tasks);
        assert_eq!(resolved.named.kind, TargetKind::Pid);
        assert_eq!(resolved.named.value, pid.to_string());
        assert_eq!(resolved.processes.len(), 1);
        assert_eq!(resolved.tasks, resolved.processes, "sleep has one thread");
        assert!(resolved.joined(&view).unwrap().is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        let error = resolve(&view, &Spec::Pids(vec![pid])).unwrap_err();
        assert_eq!(error.to_string(), format!("there is no process {pid}"));
    }

    #[test]
    fn a_name_finds_the_processes_that_bear_it() {
        let view = View::detect().unwrap();
        if !view.knows_machine_ids() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("zct-by-name");
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program).arg("60").spawn().unwrap();
        let resolved = resolve(&view, &Spec::Comm("zct-by-name".into())).unwrap();
        assert_eq!(resolved.scope, Scope::Comm);
        assert!(resolved.tasks.contains(&child.id()), "{resolved:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(resolved.nobody_yet(&view), None);
        let later = resolve(&view, &Spec::Comm("zct-by-name".into())).unwrap();
        let note = later.nobody_yet(&view).unwrap();
        assert!(
            note.contains("no process is named \"zct-by-name\""),
            "{note}"
        );
        assert!(later.tasks.is_empty(), "future processes are not an error");
    }

    #[test]
    fn the_whole_machine_lists_no_tasks() {
        let resolved = resolve(&View::detect().unwrap(), &Spec::System).unwrap();
        assert_eq!(resolved.scope, Scope::System);
        assert!(resolved.tasks.is_empty());
    }
}
