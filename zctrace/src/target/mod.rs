//! From what the user names to the threads that are traced.

mod cgroup;
pub(crate) mod container;
mod error;
mod holders;
pub(crate) mod mounts;
mod pid;
mod port;
mod several;
mod threads;
mod unseen;
pub(crate) mod view;

use std::{collections::BTreeSet, path::PathBuf};

use zctrace_common::{COMM_LEN, Scope};

pub use cgroup::{CgroupTarget, unit};
pub use container::find as container;
pub use error::Error;
pub(crate) use several::Chooser;
pub use several::Several;
pub use unseen::Unseen;
pub use view::View;

use crate::ledger::{Target, TargetKind};

/// What the user asked to trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// Processes by id.
    Pids(Vec<u32>),
    /// Processes by command name, those that start later included.
    Comm(String),
    /// Processes by one of several command names.
    Comms(Vec<String>),
    /// A cgroup and those below it.
    Cgroup(PathBuf),
    /// Several cgroups and those below them.
    Cgroups(Vec<PathBuf>),
    /// The processes that listen on ports, those that hold their connections, and workers of both.
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

impl Spec {
    /// One command name or several.
    #[must_use]
    pub fn of_comms(comms: Vec<String>) -> Self {
        match <[String; 1]>::try_from(distinct(comms)) {
            Ok([comm]) => Self::Comm(comm),
            Err(comms) => Self::Comms(comms),
        }
    }

    /// One cgroup or several.
    #[must_use]
    pub fn of_cgroups(paths: Vec<PathBuf>) -> Self {
        match <[PathBuf; 1]>::try_from(distinct(paths)) {
            Ok([path]) => Self::Cgroup(path),
            Err(paths) => Self::Cgroups(paths),
        }
    }
}

/// Each once, in their order.
fn distinct<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut kept = Vec::new();
    for one in all {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}

/// A target as the tracer takes it.
#[derive(Clone, Debug)]
pub struct Resolved {
    spec: Spec,
    /// The directories of the cgroups.
    directories: Vec<PathBuf>,
    /// How reports name it.
    pub named: Target,
    /// Which tasks join those in [`Resolved::tasks`].
    pub scope: Scope,
    /// The command name of [`Scope::Comm`], cut to what the kernel keeps.
    pub comm: Option<String>,
    /// The cgroup of [`Scope::Cgroup`].
    pub cgroup: Option<CgroupTarget>,
    /// Which processes of [`Scope::System`] are the target; `None` for all.
    pub several: Option<Several>,
    /// Processes whose end is the end of the trace, as ids of the view; empty where the trace has
    /// no natural end.
    pub processes: BTreeSet<u32>,
    /// Threads that are the target now, as ids of the view.
    pub tasks: BTreeSet<u32>,
    /// What may belong to the target too.
    pub unseen: Unseen,
}

/// Finds what `spec` means on this machine.
///
/// # Errors
///
/// When it means nothing that can be traced.
pub fn resolve(view: &View, spec: &Spec) -> Result<Resolved, Error> {
    let mut resolved = Resolved {
        spec: spec.clone(),
        directories: Vec::new(),
        named: Target {
            kind: TargetKind::System,
            value: String::new(),
        },
        scope: Scope::Tasks,
        comm: None,
        cgroup: None,
        several: None,
        processes: BTreeSet::new(),
        tasks: BTreeSet::new(),
        unseen: Unseen::default(),
    };
    let (kind, value) = match spec {
        Spec::Pids(pids) => {
            for pid in pids {
                resolved.processes.insert(pid::check(view, *pid)?);
            }
            (TargetKind::Pid, list(pids))
        }
        Spec::Comm(comm) => {
            let kept = kept_by_kernel(comm);
            if view.knows_machine_ids() {
                resolved.scope = Scope::Comm;
                resolved.comm = Some(kept.into());
            } else {
                // Those that are there already cannot be found, so they are chosen among all.
                resolved.scope = Scope::System;
                resolved.several = Some(Several::Comms(BTreeSet::from([kept.to_owned()])));
            }
            (TargetKind::Comm, comm.clone())
        }
        Spec::Cgroup(path) => {
            let found = cgroup::find(path)?;
            if view.knows_machine_ids() {
                resolved.scope = Scope::Cgroup;
                resolved.cgroup = Some(found.target);
            } else {
                resolved.scope = Scope::System;
                resolved.several = Some(Several::Cgroups(vec![found.path.clone()]));
            }
            resolved.directories.push(found.directory);
            (TargetKind::Cgroup, found.path)
        }
        Spec::Comms(comms) => {
            resolved.scope = Scope::System;
            let kept = comms.iter().map(|comm| kept_by_kernel(comm).to_owned());
            resolved.several = Some(Several::Comms(kept.collect()));
            (TargetKind::Comm, list(comms))
        }
        Spec::Cgroups(paths) => {
            resolved.scope = Scope::System;
            let mut within = Vec::new();
            for path in paths {
                let found = cgroup::find(path)?;
                resolved.directories.push(found.directory);
                within.push(found.path);
            }
            let value = list(&within);
            resolved.several = Some(Several::Cgroups(within));
            (TargetKind::Cgroup, value)
        }
        Spec::Ports(ports) => {
            if !view.knows_machine_ids() {
                return Err(Error::PidNamespace);
            }
            for port in ports {
                let found = port::processes(view, *port)?;
                resolved.processes.extend(found.processes);
                resolved.unseen.extend(&found.unseen);
            }
            resolved.forget_found();
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

fn list(words: &[impl ToString]) -> String {
    let words: Vec<_> = words.iter().map(ToString::to_string).collect();
    words.join(",")
}

impl Resolved {
    /// What to say where the target is named and nobody is it yet, a line for each name: one may be mistyped.
    #[must_use]
    pub fn nobody_yet(&self, view: &View) -> Vec<String> {
        if !view.knows_machine_ids() {
            return Vec::new();
        }
        let nobody_named = |comm: &str| {
            format!("note: no process is named {comm:?} now; processes that start later are traced")
        };
        let nobody_in = |path: &str| {
            format!(
                "note: no process is in the cgroup {path} now; processes that join it later are traced"
            )
        };
        match &self.spec {
            Spec::Comm(comm) if self.tasks.is_empty() => vec![nobody_named(comm)],
            Spec::Cgroup(_) if self.tasks.is_empty() => vec![nobody_in(&self.named.value)],
            Spec::Comms(comms) => comms
                .iter()
                .filter(|comm| threads::of_comm(view, kept_by_kernel(comm)).is_empty())
                .map(|comm| nobody_named(comm))
                .collect(),
            Spec::Cgroups(_) => {
                let Some(Several::Cgroups(paths)) = &self.several else {
                    return Vec::new();
                };
                let is_empty = |directory: &PathBuf| {
                    cgroup::tasks(view, directory).is_ok_and(|tasks| tasks.is_empty())
                };
                let empty = self.directories.iter().zip(paths);
                empty
                    .filter(|(directory, _)| is_empty(directory))
                    .map(|(_, path)| nobody_in(path))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// What several names do differently from one.
    #[must_use]
    pub fn note_of_several(&self) -> Option<&'static str> {
        match (&self.several, &self.spec) {
            (Some(Several::Comms(_)), Spec::Comm(_)) => Some(
                "note: in a PID namespace of its own, zctrace leaves out children with other names",
            ),
            (Some(Several::Comms(_)), _) => {
                Some("note: with several names, children with other names are left out")
            }
            (Some(Several::Cgroups(_)) | None, _) => None,
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

    /// Threads that belong to the target now, whether they are traced or not; none where that cannot be told. For
    /// processes by their ids, these are their threads. What may belong to it too is added to [`Resolved::unseen`].
    #[must_use]
    pub fn members(&mut self, view: &View) -> BTreeSet<u32> {
        let Spec::Ports(ports) = &self.spec else {
            return self.scan(view).unwrap_or_default();
        };
        let mut members = BTreeSet::new();
        for port in ports {
            let found = port::look(view, *port);
            let threads = found.processes.iter();
            members.extend(threads.flat_map(|pid| threads::of_process(view, *pid)));
            self.unseen.extend(&found.unseen);
        }
        self.forget_found();
        members
    }

    /// Whether processes can come to belong to the target and leave it again, while others are it.
    #[must_use]
    pub fn changes_hands(&self) -> bool {
        matches!(self.spec, Spec::Ports(_))
    }

    /// A process that is traced anyway may do what it wants unseen.
    fn forget_found(&mut self) {
        let processes = &self.processes;
        self.unseen.hidden.retain(|pid| !processes.contains(pid));
    }

    fn scan(&self, view: &View) -> Result<BTreeSet<u32>, Error> {
        Ok(match &self.spec {
            Spec::System | Spec::Comms(_) | Spec::Cgroups(_) => BTreeSet::new(),
            // They are chosen among all.
            Spec::Comm(_) | Spec::Cgroup(_) if self.several.is_some() => BTreeSet::new(),
            Spec::Comm(comm) => threads::of_comm(view, kept_by_kernel(comm)),
            Spec::Cgroup(_) => {
                let mut tasks = BTreeSet::new();
                for directory in &self.directories {
                    tasks.extend(cgroup::tasks(view, directory)?);
                }
                tasks
            }
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
        assert!(resolved.nobody_yet(&view).is_empty());
        let later = resolve(&view, &Spec::Comm("zct-by-name".into())).unwrap();
        let note = later.nobody_yet(&view);
        assert!(
            note[0].contains("no process is named \"zct-by-name\""),
            "{note:?}"
        );
        assert!(later.tasks.is_empty(), "future processes are not an error");
    }

    #[test]
    fn of_several_names_those_that_nobody_bears_are_told() {
        let view = View::detect().unwrap();
        if !view.knows_machine_ids() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("zct-several");
        std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
        let mut child = Command::new(&program).arg("60").spawn().unwrap();
        let names = vec!["zct-several".to_owned(), "zct-nobody".to_owned()];
        let resolved = resolve(&view, &Spec::Comms(names)).unwrap();
        let notes = resolved.nobody_yet(&view);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("\"zct-nobody\""), "{notes:?}");
        assert_eq!(resolved.scope, Scope::System);
        assert_eq!(resolved.named.value, "zct-several,zct-nobody");
    }

    #[test]
    fn the_whole_machine_lists_no_tasks() {
        let resolved = resolve(&View::detect().unwrap(), &Spec::System).unwrap();
        assert_eq!(resolved.scope, Scope::System);
        assert!(resolved.tasks.is_empty());
    }
}
