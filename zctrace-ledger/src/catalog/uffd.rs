//! userfaultfd.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Proof, Role, Sign, fexit};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "mfill_atomic_copy",
        family: Family::Uffd,
        role: Role::CopySite,
        ways: &[
            fexit("uffd_fill", "mfill_atomic_copy", &["*userfaultfd_ctx"]),
            fexit("uffd_fill", "mcopy_atomic", &["*mm_struct"]),
        ],
        woken_by: Some(Exercise::UserFaults),
        proof: Proof::Unplugged(&[("uffd", &[Op::UffdCopy])]),
        sees: "pages filled by UFFDIO_COPY",
        lost: "that UFFDIO_COPY copies",
        ..Probe::USUAL
    },
    Probe {
        name: "mfill_atomic_zeropage",
        family: Family::Uffd,
        role: Role::NoCopySite,
        ways: &[
            fexit("uffd_zero", "mfill_atomic_zeropage", &["*userfaultfd_ctx"]),
            fexit("uffd_zero", "mfill_zeropage", &["*mm_struct"]),
        ],
        woken_by: Some(Exercise::UserFaults),
        proof: Proof::Unplugged(&[("uffd", &[Op::UffdZeropage])]),
        sees: "pages of zeros by UFFDIO_ZEROPAGE",
        lost: "how the pages of UFFDIO_ZEROPAGE were made",
        ..Probe::USUAL
    },
    Probe {
        name: "userfaultfd_ioctl",
        family: Family::Uffd,
        role: Role::Interface(Op::UffdCopy),
        ways: &[fexit("userfaultfd_ioctl", "userfaultfd_ioctl", &["*file"])],
        woken_by: Some(Exercise::UserFaults),
        sign: Some(Sign::File("/proc/sys/vm/unprivileged_userfaultfd")),
        sees: "UFFDIO_COPY, UFFDIO_ZEROPAGE, UFFDIO_CONTINUE, UFFDIO_MOVE",
        lost: "requests of userfaultfd are not seen",
        ..Probe::USUAL
    },
];
