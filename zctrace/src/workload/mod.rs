//! Traffic whose truth is known: each family does one technique's operations, and says beforehand
//! which rows the ledger must show for it.
//!
//! A family's set-up happens in the parent; the operations themselves run in a child that does
//! nothing else, so that the child's rows are the family's and no others. One file of `traffic/` holds
//! one way to move bytes; a new one is added to [`traffic::ALL`]. What people run with `bench` and read
//! about with `explain` are techniques, in `technique/`. Both stand on `scene/` and `stage/`, and are
//! compared with `truth/`.

pub mod scene;
pub mod stage;
pub mod technique;
pub mod traffic;
pub mod truth;

use std::{any::Any, fmt};

use anyhow::Result;
use nix::{errno::Errno, sys::signal::Signal, unistd::Pid};

pub use scene::arena::Arena;
pub use traffic::awkward::resume;
pub use truth::compare::{Difference, Strictness, compare};
pub use truth::expected::{Expected, ExpectedRow};

/// Every family, technique by technique.
pub fn all() -> impl Iterator<Item = &'static Traffic> {
    traffic::ALL
        .iter()
        .chain(traffic::awkward::TRAFFIC)
        .copied()
        .flatten()
}

/// The families that `name` stands for: one, or a group such as `demo`.
#[must_use]
pub fn find(name: &str) -> Vec<&'static Traffic> {
    let group = Group::named(name);
    all()
        .filter(|traffic| traffic.name == name || group == Some(traffic.group))
        .collect()
}

/// What a child does.
pub type Run = Box<dyn FnOnce() -> Result<()>>;

/// What the parent does beside a running child.
pub type Meanwhile = Box<dyn FnOnce(Pid) -> Result<()>>;

/// What completes the truth after the run.
pub type Finish = Box<dyn FnOnce(&mut Expected) -> Result<()>>;

/// One family of traffic.
#[derive(Debug)]
pub struct Traffic {
    name: &'static str,
    summary: &'static str,
    tag: &'static str,
    group: Group,
    prepare: fn(&Arena) -> Result<Prepared>,
}

/// When a family runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// With all others.
    Ordinary,
    /// Only when it is named: it takes long.
    Volume,
    /// Only when it is named: requests of io_uring and Linux AIO, many and slow on an emulated
    /// processor.
    Requests,
    /// Only when it is named: ways out of the machine that need modules and other programs.
    Routes,
    /// The bouquet for people.
    Demo,
}

impl Group {
    fn named(name: &str) -> Option<Self> {
        match name {
            "demo" => Some(Self::Demo),
            "volume" => Some(Self::Volume),
            "requests" => Some(Self::Requests),
            "routes" => Some(Self::Routes),
            _ => None,
        }
    }
}

impl Traffic {
    const fn new(
        name: &'static str,
        summary: &'static str,
        prepare: fn(&Arena) -> Result<Prepared>,
    ) -> Self {
        Self {
            name,
            summary,
            tag: name,
            group: Group::Ordinary,
            prepare,
        }
    }

    /// A family of io_uring or Linux AIO.
    const fn request(
        name: &'static str,
        summary: &'static str,
        prepare: fn(&Arena) -> Result<Prepared>,
    ) -> Self {
        Self::new(name, summary, prepare).group(Group::Requests)
    }

    /// Gives a family with a long name another one for its processes.
    const fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    const fn group(mut self, group: Group) -> Self {
        self.group = group;
        self
    }

    /// Its name on the command line.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it does, in a line.
    #[must_use]
    pub const fn summary(&self) -> &'static str {
        self.summary
    }

    /// Whether `--all` includes it.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        self.group == Group::Ordinary
    }

    /// The command name of its process with `role`, empty for the main one; at most 15 bytes.
    #[must_use]
    pub fn comm(&self, role: &str) -> String {
        comm(self.tag, role)
    }

    /// Makes everything ready, and says what will happen. Fails with [`Skip`] if this machine
    /// cannot do it.
    pub fn prepare(&self, arena: &Arena) -> Result<Prepared> {
        (self.prepare)(arena)
    }
}

/// The command name of the process with `role` of the family with `tag`.
fn comm(tag: &str, role: &str) -> String {
    if role.is_empty() {
        return format!("zct-{tag}");
    }
    let room = 15 - "zct-".len() - "-".len() - role.len();
    let tag = tag.get(..room).unwrap_or(tag).trim_end_matches('-');
    format!("zct-{tag}-{role}")
}

/// The error of a family that this machine cannot do, with the reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Skip(pub String);

/// Whether an error says that this machine cannot do it, or has no room for it, and not that it
/// went wrong.
fn is_skip(error: &anyhow::Error) -> bool {
    let no_room = |errno: Errno| matches!(errno, Errno::ENOSPC | Errno::EDQUOT | Errno::ENOMEM);
    error.chain().any(|cause| {
        cause.is::<Skip>()
            || cause
                .downcast_ref::<Errno>()
                .is_some_and(|errno| no_room(*errno))
            || cause
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::raw_os_error)
                .is_some_and(|raw| no_room(Errno::from_raw(raw)))
    })
}

/// A family that is ready to run.
pub struct Prepared {
    /// The truth, but for what [`Prepared::finish`] adds.
    pub expected: Expected,
    /// The operations of the main process.
    pub run: Run,
    /// Those of the processes that run beside it, with the role of each.
    pub peers: Vec<(&'static str, Run)>,
    /// The role of a process that the main one starts, and notes in the shared memory.
    pub descendant: Option<&'static str>,
    /// What the parent does while the main process runs.
    pub meanwhile: Option<Meanwhile>,
    /// The signal that ends the main process, if it is not to end by itself.
    pub ends_by: Option<Signal>,
    /// Adds what only the interface itself could tell: how much it returned, in how many calls.
    pub finish: Option<Finish>,
    /// Seconds after which it hangs.
    pub seconds: u32,
    /// What must live until the end of the run.
    pub keep: Vec<Box<dyn Any>>,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

impl Prepared {
    /// The role of the process at the other end.
    pub const PEER: &str = "peer";

    /// A family of one process whose truth is known in full.
    pub fn new(expected: Expected, run: impl FnOnce() -> Result<()> + 'static) -> Self {
        Self {
            expected,
            run: Box::new(run),
            peers: Vec::new(),
            descendant: None,
            meanwhile: None,
            ends_by: None,
            finish: None,
            seconds: 120,
            keep: Vec::new(),
        }
    }

    fn peer(self, run: impl FnOnce() -> Result<()> + 'static) -> Self {
        self.beside(Self::PEER, run)
    }

    /// Adds a process with a role of its own.
    fn beside(mut self, role: &'static str, run: impl FnOnce() -> Result<()> + 'static) -> Self {
        self.peers.push((role, Box::new(run)));
        self
    }

    fn finish(mut self, finish: impl FnOnce(&mut Expected) -> Result<()> + 'static) -> Self {
        self.finish = Some(Box::new(finish));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{
        catalog::{self, Proof},
        claims::table::LINES,
    };

    #[test]
    fn the_traffic_of_every_claim_in_the_table_exists() {
        for case in LINES.iter().flat_map(|line| line.cases) {
            assert!(!find(case.traffic).is_empty(), "{}", case.traffic);
        }
    }

    #[test]
    fn the_traffic_that_proves_a_probe_exists() {
        for probe in catalog::probes() {
            let traffic: Vec<_> = match probe.proof {
                Proof::Unplugged(of) => of.iter().map(|&(traffic, _)| traffic).collect(),
                Proof::UnpluggedBetween(traffic, ..) => vec![traffic],
                Proof::Later(of) => of.to_vec(),
                _ => continue,
            };
            assert!(!traffic.is_empty(), "{}", probe.name);
            for name in traffic {
                let is_family = all().any(|traffic| traffic.name == name);
                assert!(is_family, "{}: no traffic {name}", probe.name);
            }
        }
    }

    #[test]
    fn names_are_unique_and_fit() {
        let mut names = HashSet::new();
        let mut comms = HashSet::new();
        for traffic in all() {
            assert!(names.insert(traffic.name), "{} twice", traffic.name);
            assert!(Group::named(traffic.name).is_none(), "{}", traffic.name);
            let comm = traffic.comm("");
            assert!(comm.len() <= 15, "{comm} is too long");
            assert!(comms.insert(comm), "{}: command name taken", traffic.name);
            assert!(traffic.comm(Prepared::PEER).len() <= 15);
        }
    }

    #[test]
    fn a_role_shortens_the_tag() {
        assert_eq!(comm("tcp", ""), "zct-tcp");
        assert_eq!(comm("tcp", "peer"), "zct-tcp-peer");
        assert_eq!(comm("splice-proxy", "peer"), "zct-splice-peer");
    }
}
