//! Which capabilities zctrace has, which it needs, how to get them, and which it keeps once everything
//! is attached.

use std::{collections::HashSet, path::Path};

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use serde::{Deserialize, Serialize};

/// A capability and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// Which.
    pub capability: Capability,
    /// Nothing can be measured without it.
    pub required: bool,
    /// What it is for; what is lost without it.
    pub purpose: &'static str,
}

/// Every capability that zctrace makes use of.
pub const NEEDS: &[Need] = &[
    Need {
        capability: Capability::CAP_BPF,
        required: true,
        purpose: "load BPF programs and make maps",
    },
    Need {
        capability: Capability::CAP_PERFMON,
        required: true,
        purpose: "attach them to the kernel and read its memory",
    },
    Need {
        capability: Capability::CAP_SYS_PTRACE,
        required: false,
        purpose: "find the processes behind a port and count operations in flight of other users' \
                  processes",
    },
    Need {
        capability: Capability::CAP_DAC_READ_SEARCH,
        required: false,
        purpose: "read tracefs, which only root may enter: classic tracepoints and the list of \
                  traceable functions",
    },
    Need {
        capability: Capability::CAP_SYSLOG,
        required: false,
        purpose: "see kernel addresses (/proc/kallsyms), which the audit's breakpoints need",
    },
    Need {
        capability: Capability::CAP_SYS_ADMIN,
        required: false,
        purpose: "measure zctrace's own cost (--own-cost), set the audit's breakpoints, and trace functions \
                  of modules by fexit, which costs less than a kretprobe and misses nothing",
    },
];

/// Capabilities for what a command does after attaching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// To read counters, which takes none.
    Nothing,
    /// To see how far operations of other users' processes are when tracing ends, to let a command
    /// have signals that came to zctrace, and to write files wherever the user could before.
    Report,
    /// The same, and to name the frames of stacks.
    Stacks,
    /// The same, and to attach again, because another target can be chosen in the dashboard. It
    /// attaches and starts a command after the first threads are made, so this is given up before.
    Dashboard,
}

impl Keep {
    /// Which those are. What zctrace was not given it does not have afterwards either.
    pub fn capabilities(self) -> impl Iterator<Item = Capability> {
        use Capability as C;
        /// What each keeps beyond the one before it.
        const MORE: [&[Capability]; 4] = [
            &[],
            &[
                C::CAP_CHOWN,
                C::CAP_DAC_OVERRIDE,
                C::CAP_DAC_READ_SEARCH,
                C::CAP_FOWNER,
                C::CAP_KILL,
                C::CAP_SYS_PTRACE,
            ],
            &[C::CAP_SYSLOG],
            &[
                C::CAP_BPF,
                C::CAP_PERFMON,
                C::CAP_SYS_ADMIN,
                C::CAP_SETGID,
                C::CAP_SETUID,
            ],
        ];
        let more = &MORE[..=self as usize];
        more.iter().copied().flatten().copied()
    }
}

/// Gives up every capability of this thread that is not kept, from every set, for good: no program that
/// it may yet start gains any (`no_new_privs`). Threads that it makes later have no more; the command that
/// is traced was forked before, and is as its user started it. Returns what was refused.
///
/// [`Keep::Dashboard`] leaves a way back, through `exec` only: workloads that the user starts in the
/// dashboard are programs of their own, some of which set up devices.
pub fn give_up(keep: Keep) -> Vec<String> {
    let kept: CapsHashSet = keep.capabilities().collect();
    let mut refused = Vec::new();
    if keep != Keep::Dashboard {
        for capability in caps::all() {
            if !kept.contains(&capability) {
                // It takes cap_setpcap, which a service may not have been given. Then `no_new_privs`
                // has to do.
                let _ = caps::drop(None, CapSet::Bounding, capability);
            }
        }
        if let Err(error) = prctl::set_no_new_privs() {
            refused.push(format!("no_new_privs: {error}"));
        }
    }
    let sets = [CapSet::Ambient, CapSet::Inheritable].map(|set| (set, caps::clear(None, set)));
    let kept = [CapSet::Effective, CapSet::Permitted].map(|set| {
        let rest = caps::read(None, set).map(|held| &held & &kept);
        (set, rest.and_then(|rest| caps::set(None, set, &rest)))
    });
    for (set, result) in sets.into_iter().chain(kept) {
        if let Err(error) = result {
            refused.push(format!("{set:?}: {error}"));
        }
    }
    refused
}

/// What this process may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Effective user id.
    pub uid: u32,
    effective: HashSet<Capability>,
}

/// A capability in the document of `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapabilityReport {
    /// Its name in lower case, as `setcap` takes it.
    pub name: String,
    /// zctrace has it, or one that includes it.
    pub held: bool,
    /// Nothing can be measured without it.
    pub required: bool,
    /// What it is for.
    pub purpose: String,
}

impl Privileges {
    /// Those of this process.
    #[must_use]
    pub fn current() -> Self {
        Self {
            uid: nix::unistd::geteuid().as_raw(),
            effective: caps::read(None, CapSet::Effective).unwrap_or_default(),
        }
    }

    /// Those of a process with these.
    #[must_use]
    pub fn of(uid: u32, effective: impl IntoIterator<Item = Capability>) -> Self {
        Self {
            uid,
            effective: effective.into_iter().collect(),
        }
    }

    /// Whether a capability is there. `CAP_SYS_ADMIN` includes the two that were split off it.
    #[must_use]
    pub fn has(&self, capability: Capability) -> bool {
        self.effective.contains(&capability)
            || matches!(capability, Capability::CAP_BPF | Capability::CAP_PERFMON)
                && self.effective.contains(&Capability::CAP_SYS_ADMIN)
    }

    /// What is missing of what nothing can be measured without.
    #[must_use]
    pub fn missing(&self) -> Vec<Capability> {
        NEEDS
            .iter()
            .filter(|need| need.required && !self.has(need.capability))
            .map(|need| need.capability)
            .collect()
    }

    /// Every need with its answer.
    #[must_use]
    pub fn report(&self) -> Vec<CapabilityReport> {
        NEEDS
            .iter()
            .map(|need| CapabilityReport {
                name: setcap_name(need.capability),
                held: self.has(need.capability),
                required: need.required,
                purpose: need.purpose.into(),
            })
            .collect()
    }
}

fn setcap_name(capability: Capability) -> String {
    capability.to_string().to_ascii_lowercase()
}

/// The command that gives `program` what it needs, once and for every user who may run it.
#[must_use]
pub fn setcap_line(program: &Path) -> String {
    // Not CAP_SYS_ADMIN: that is as good as root.
    let names: Vec<_> = NEEDS
        .iter()
        .filter(|need| need.capability != Capability::CAP_SYS_ADMIN)
        .map(|need| setcap_name(need.capability))
        .collect();
    let program = program.to_string_lossy();
    let program = crate::text::escape::command_line([program.as_ref()]);
    format!("sudo setcap {}+ep {program}", names.join(","))
}

/// The program that runs, for [`setcap_line`].
#[must_use]
pub fn own_path() -> std::path::PathBuf {
    std::env::current_exe().unwrap_or_else(|_| "zctrace".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_capabilities_are_enough_to_measure() {
        let enough = Privileges::of(1000, [Capability::CAP_BPF, Capability::CAP_PERFMON]);
        assert_eq!(enough.missing(), []);
        let old = Privileges::of(1000, [Capability::CAP_SYS_ADMIN]);
        assert_eq!(old.missing(), []);
        let half = Privileges::of(0, [Capability::CAP_BPF, Capability::CAP_SYS_PTRACE]);
        assert_eq!(half.missing(), [Capability::CAP_PERFMON]);
        assert!(!half.has(Capability::CAP_SYSLOG));
    }

    #[test]
    fn the_line_can_be_typed_as_it_is() {
        assert_eq!(
            setcap_line(Path::new("/opt/my tools/zctrace")),
            "sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search,cap_syslog+ep \
             '/opt/my tools/zctrace'"
        );
    }
}
