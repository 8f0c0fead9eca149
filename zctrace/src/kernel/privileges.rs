//! Which capabilities zctrace has, which it needs, and how to get them.

use std::{collections::HashSet, path::Path};

use caps::{CapSet, Capability};
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
