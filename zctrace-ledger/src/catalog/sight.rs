//! How much the attached probes can see of each technique. A count of probes does not say that.

use super::{
    Family, Probe, Role,
    fault::{MM_FILEMAP_FAULT, MM_FILEMAP_MAP_PAGES, SET_PTE},
    probes,
    syscall::{BLOCK_BIO_QUEUE, SYS_ENTER, SYS_EXIT},
    uring::{IO_URING_COMPLETE_INFERRED, IO_URING_SUBMIT_REQ},
};

/// How much is seen of a technique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Its bytes are counted at every place where they are copied or passed on.
    Measured,
    /// Some of these places are not watched.
    Partly,
    /// Classes are concluded from the calls. What the calls do not determine is unexplained.
    Inferred,
    /// Nothing: it leaves no trace in any row.
    NotSeen,
}

impl Sight {
    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Partly => "partly",
            Self::Inferred => "inferred",
            Self::NotSeen => "not_seen",
        }
    }
}

/// A way of moving bytes, by its common name.
#[derive(Clone, Copy, Debug)]
pub struct Technique {
    /// Its name.
    pub name: &'static str,
    /// The probes that measure it.
    by: fn(&Probe) -> bool,
    /// The probes from which it is concluded otherwise; empty if it cannot be concluded.
    else_by: &'static [&'static str],
}

/// Page faults that make data of files visible.
pub const FAULTS: &str = "page faults of mapped files";
/// Copies of pages that are made at the first write to them.
pub const COPY_ON_WRITE: &str = "copy-on-write";
/// Requests of io_uring.
pub const IO_URING: &str = "io_uring";
/// Requests of Linux AIO.
pub const AIO: &str = "Linux AIO";

const CALLS: &[&str] = &[SYS_ENTER, SYS_EXIT];

const TECHNIQUES: &[Technique] = &[
    Technique {
        name: "reads and writes",
        by: |probe| {
            probe.role == Role::CopySite
                && matches!(probe.family, Family::File | Family::Pipe | Family::Socket)
        },
        else_by: CALLS,
    },
    Technique {
        name: "sendfile, splice, vmsplice, tee",
        by: |probe| {
            probe.family == Family::Splice
                || (probe.family == Family::Socket && probe.role == Role::NoCopySite)
                // Before Linux 6.5 these see pages that go into a pipe.
                || matches!(probe.name, "filemap_read" | "shmem_file_read_iter")
        },
        else_by: CALLS,
    },
    Technique {
        name: "copy_file_range and reflinks",
        by: |probe| probe.family == Family::Reflink,
        else_by: CALLS,
    },
    Technique {
        name: "direct I/O",
        by: |probe| probe.family == Family::Direct && probe.role != Role::SystemCalls,
        else_by: &[SYS_ENTER, SYS_EXIT, BLOCK_BIO_QUEUE],
    },
    Technique {
        name: "zero-copy sends",
        by: |probe| probe.family == Family::Zerocopy && probe.role == Role::NoCopySite,
        else_by: CALLS,
    },
    Technique {
        name: "copies after a send",
        by: |probe| probe.family == Family::Zerocopy && probe.role == Role::CopySite,
        else_by: &[],
    },
    Technique {
        name: FAULTS,
        by: |probe| matches!(probe.name, SET_PTE | "file_fault_enter" | "file_fault_exit"),
        else_by: &[MM_FILEMAP_MAP_PAGES, MM_FILEMAP_FAULT],
    },
    Technique {
        name: COPY_ON_WRITE,
        by: |probe| probe.family == Family::Fault && probe.role == Role::CopySite,
        else_by: &[],
    },
    Technique {
        name: "copy-up of overlayfs",
        by: |probe| {
            matches!(
                probe.name,
                "generic_perform_write" | "iomap_file_buffered_write"
            )
        },
        else_by: &[],
    },
    Technique {
        name: IO_URING,
        by: |probe| probe.family == Family::Uring && probe.role == Role::Requests,
        else_by: &[IO_URING_SUBMIT_REQ, IO_URING_COMPLETE_INFERRED],
    },
    Technique {
        name: AIO,
        by: |probe| probe.family == Family::Aio,
        else_by: CALLS,
    },
    Technique {
        name: "process_vm_readv and process_vm_writev",
        by: |probe| probe.family == Family::Vm,
        else_by: CALLS,
    },
    Technique {
        name: "message queues",
        by: |probe| probe.family == Family::Message && probe.role == Role::CopySite,
        else_by: CALLS,
    },
    Technique {
        name: "userfaultfd",
        by: |probe| probe.family == Family::Uffd && probe.role == Role::CopySite,
        else_by: CALLS,
    },
    Technique {
        name: "encryption by kernel TLS",
        by: |probe| probe.family == Family::Tls,
        else_by: &[],
    },
    Technique {
        name: "receive rings of packet sockets",
        by: |probe| probe.family == Family::Packet,
        else_by: &[],
    },
    Technique {
        name: "packets of virtual machines (vhost-net)",
        by: |probe| probe.family == Family::Vhost,
        else_by: &[],
    },
    Technique {
        name: "AF_XDP",
        by: |probe| probe.family == Family::Xdp,
        else_by: &[],
    },
];

/// How much is seen of each technique, given which probes are attached and which are missing on this kernel. A
/// technique that this kernel does not have is left out.
pub fn techniques(
    attached: impl Fn(&str) -> bool,
    missing: impl Fn(&str) -> bool,
) -> Vec<(Technique, Sight)> {
    let sight = |technique: &Technique| {
        let own = || probes().filter(|probe| (technique.by)(probe));
        let some = own().any(|probe| attached(probe.name));
        let gap = own().any(|probe| missing(probe.name));
        let otherwise =
            || !technique.else_by.is_empty() && technique.else_by.iter().all(|name| attached(name));
        match (some, gap) {
            (true, false) => Some(Sight::Measured),
            (true, true) => Some(Sight::Partly),
            (false, true) if otherwise() => Some(Sight::Inferred),
            (false, true) => Some(Sight::NotSeen),
            (false, false) => None,
        }
    };
    let all = TECHNIQUES.iter();
    all.filter_map(|technique| Some((*technique, sight(technique)?)))
        .collect()
}

/// Whether everything that a probe would measure is concluded from the calls instead.
pub fn is_inferred_without(
    probe: &Probe,
    attached: impl Fn(&str) -> bool,
    missing: impl Fn(&str) -> bool,
) -> bool {
    let all = techniques(attached, missing);
    let mut own = all.iter().filter(|(technique, _)| (technique.by)(probe));
    let mut some = false;
    own.all(|(_, sight)| {
        some = true;
        *sight == Sight::Inferred
    }) && some
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(attached: &[&str], name: &str) -> Option<Sight> {
        let is = |probe: &str| attached.contains(&probe);
        techniques(is, |probe| !is(probe))
            .into_iter()
            .find(|(technique, _)| technique.name == name)
            .map(|(_, sight)| sight)
    }

    #[test]
    fn every_technique_has_probes() {
        for technique in TECHNIQUES {
            assert!(probes().any(technique.by), "{}", technique.name);
            for name in technique.else_by {
                assert!(super::super::find(name).is_some(), "{name}");
            }
        }
        assert!(techniques(|_| false, |_| false).is_empty());
    }

    const TRACEPOINTS: [&str; 5] = [
        SYS_ENTER,
        SYS_EXIT,
        BLOCK_BIO_QUEUE,
        IO_URING_SUBMIT_REQ,
        IO_URING_COMPLETE_INFERRED,
    ];

    #[test]
    fn the_page_of_limits_names_what_tracepoints_do_not_see() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/limits.md");
        let page = std::fs::read_to_string(page).unwrap();
        let is = |probe: &str| TRACEPOINTS.contains(&probe);
        let all = techniques(is, |probe| !is(probe));
        let mut unseen = all.iter().filter(|(_, sight)| *sight == Sight::NotSeen);
        assert!(unseen.clone().count() >= 6);
        assert!(unseen.all(|(technique, _)| page.contains(&format!("\n- {}", technique.name))));
    }

    #[test]
    fn tracepoints_conclude_some_and_see_nothing_of_others() {
        let tracepoints = TRACEPOINTS;
        for (name, sight) in [
            ("reads and writes", Sight::Inferred),
            ("direct I/O", Sight::Inferred),
            ("io_uring", Sight::Inferred),
            ("page faults of mapped files", Sight::NotSeen),
            ("copy-on-write", Sight::NotSeen),
            ("copy-up of overlayfs", Sight::NotSeen),
            ("Linux AIO", Sight::Inferred),
            ("copies after a send", Sight::NotSeen),
        ] {
            assert_eq!(of(&tracepoints, name), Some(sight), "{name}");
        }
        assert_eq!(of(&[], "io_uring"), Some(Sight::NotSeen));
        let is = |probe: &str| tracepoints.contains(&probe);
        let inferred = |name: &str| {
            let probe = super::super::find(name).unwrap();
            is_inferred_without(probe, is, |probe| !is(probe))
        };
        for (name, wanted) in [
            ("filemap_read", true),
            ("io_uring_complete", true),
            ("aio_read", true),
            ("fork_exit", false),
            ("sys_enter", false),
        ] {
            assert_eq!(inferred(name), wanted, "{name}");
        }
        let all: Vec<_> = probes().map(|probe| probe.name).collect();
        let every = techniques(|name| all.contains(&name), |_| false);
        assert!(every.iter().all(|(_, sight)| *sight == Sight::Measured));
        // One fault probe of several is gone.
        let without: Vec<_> = all
            .into_iter()
            .filter(|name| *name != "fork_exit")
            .collect();
        assert_eq!(of(&without, "copy-on-write"), Some(Sight::Partly));
    }
}
