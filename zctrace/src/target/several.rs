//! Several command names or cgroups at once.
//!
//! The programs in the kernel know one name and one cgroup. With several, every process of the machine is counted, and
//! this chooses whose rows are read.

use std::collections::{BTreeSet, HashSet};

use crate::ledger::Process;

/// Which processes are the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Several {
    /// Those with one of these command names, as the kernel keeps them.
    Comms(BTreeSet<String>),
    /// Those in one of these cgroups or below it: paths as `/proc/PID/cgroup` has them, in the user's order.
    Cgroups(Vec<String>),
}

impl Several {
    fn has(&self, process: &Process) -> bool {
        match self {
            Self::Comms(names) => names.contains(&process.comm),
            Self::Cgroups(paths) => paths.iter().any(|path| {
                let rest = process.cgroup.strip_prefix(path.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }),
        }
    }
}

/// Chooses processes in one reading after the other.
#[derive(Debug)]
pub(crate) struct Chooser {
    several: Several,
    /// Processes that have been the target once, by id and start. They stay it under another name, and in another
    /// cgroup, as with one name.
    chosen: HashSet<(u32, u64)>,
}

impl Chooser {
    pub(crate) fn new(several: Several) -> Self {
        Self {
            several,
            chosen: HashSet::new(),
        }
    }

    /// Whether a process is the target.
    pub(crate) fn takes(&mut self, process: &Process) -> bool {
        let id = (process.pid, process.start_time);
        if self.several.has(process) {
            self.chosen.insert(id);
            return true;
        }
        self.chosen.contains(&id)
    }

    /// Whether the process was the target in a reading.
    pub(crate) fn has_taken(&self, pid: u32, start_time: u64) -> bool {
        self.chosen.contains(&(pid, start_time))
    }

    /// Forgets a process that has ended.
    pub(crate) fn forget(&mut self, process: &Process) {
        self.chosen.remove(&(process.pid, process.start_time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, comm: &str, cgroup: &str) -> Process {
        Process::from_paths(pid, 1, comm.into(), cgroup.into(), Vec::new())
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn each_name_is_a_target_and_nothing_else() {
        let mut chooser = Chooser::new(Several::Comms(set(&["nginx", "curl"])));
        assert!(chooser.takes(&process(1, "nginx", "/")));
        assert!(chooser.takes(&process(2, "curl", "/")));
        assert!(!chooser.takes(&process(3, "nginx2", "/")));
        assert!(!chooser.takes(&process(4, "ngin", "/")));
    }

    #[test]
    fn a_cgroup_includes_those_below_it_but_not_those_that_begin_like_it() {
        let paths = vec!["/a/b".to_owned(), "/c/".to_owned()];
        let mut chooser = Chooser::new(Several::Cgroups(paths));
        for (pid, (path, is_target)) in [
            ("/a/b", true),
            ("/a/b/d", true),
            ("/a/bc", false),
            ("/a", false),
            ("/c", true),
            ("/c/d", true),
            ("/", false),
        ]
        .into_iter()
        .enumerate()
        {
            let pid = u32::try_from(pid).unwrap();
            assert_eq!(chooser.takes(&process(pid, "x", path)), is_target, "{path}");
        }
        let mut root = Chooser::new(Several::Cgroups(vec!["/".to_owned()]));
        assert!(root.takes(&process(1, "x", "/a")));
    }

    #[test]
    fn a_process_that_gets_another_name_stays_the_target_until_it_is_forgotten() {
        let mut chooser = Chooser::new(Several::Comms(set(&["before", "other"])));
        assert!(chooser.takes(&process(1, "before", "/")));
        assert!(chooser.takes(&process(1, "after", "/")));
        assert!(chooser.has_taken(1, 1));
        assert!(!chooser.has_taken(1, 2), "a reused id is another process");
        chooser.forget(&process(1, "after", "/"));
        assert!(!chooser.takes(&process(1, "after", "/")));
    }
}
