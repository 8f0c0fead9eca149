//! Page faults and copy-on-write. A fault reports no number to a caller, so these probes are its interface as well.

use super::{Exercise, Family, Probe, Proof, Role, fentry, fexit, tp_btf};

/// Where it is attached, faults that may have copied are counted.
pub const PAGE_FAULT_USER: &str = "page_fault_user";
pub(super) const SET_PTE: &str = "set_pte";
pub(super) const MM_FILEMAP_MAP_PAGES: &str = "mm_filemap_map_pages";
pub(super) const MM_FILEMAP_FAULT: &str = "mm_filemap_fault";
/// What the tracepoints do not say.
const FAULTS: &str = "on the tracepoints backend, that there were page faults of mapped files";
const WRITES: &str = "on the tracepoints backend, writes that may have copied a page";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "wp_page_enter",
        family: Family::Fault,
        role: Role::CopySite,
        ways: &[fentry("wp_page_enter", "do_wp_page", &["*vm_fault"])],
        woken_by: Some(Exercise::PrivateMapping),
        always_there: true,
        proof: Proof::Otherwise("faults report nothing"),
        sees: "start of a write to a protected page",
        lost: "copy-on-write after fork",
        ..Probe::USUAL
    },
    Probe {
        name: "vma_alloc_folio",
        family: Family::Fault,
        role: Role::CopySite,
        ways: &[
            fexit("vma_alloc_folio", "vma_alloc_folio_noprof", &["gfp_t"]),
            fexit("vma_alloc_folio", "vma_alloc_folio", &["gfp_t"]),
        ],
        woken_by: Some(Exercise::PrivateMapping),
        always_there: true,
        proof: Proof::Otherwise("faults report nothing"),
        sees: "a new page within such a write: it was copied, not reused",
        lost: "copy-on-write after fork",
        ..Probe::USUAL
    },
    Probe {
        name: "wp_page_exit",
        family: Family::Fault,
        role: Role::CopySite,
        ways: &[fexit("wp_page_exit", "do_wp_page", &["*vm_fault"])],
        woken_by: Some(Exercise::PrivateMapping),
        always_there: true,
        proof: Proof::Otherwise("faults report nothing"),
        sees: "end of a write to a protected page",
        lost: "copy-on-write after fork",
        ..Probe::USUAL
    },
    Probe {
        name: "file_fault_enter",
        family: Family::Fault,
        role: Role::CopySite,
        ways: &[fentry("file_fault_enter", "do_fault", &["*vm_fault"])],
        woken_by: Some(Exercise::PrivateMapping),
        always_there: true,
        proof: Proof::Otherwise("faults report nothing"),
        sees: "start of a fault on a mapped file",
        lost: "mapped bytes and private copies of mapped files",
        ..Probe::USUAL
    },
    Probe {
        name: SET_PTE,
        family: Family::Fault,
        role: Role::NoCopySite,
        ways: &[
            fentry("set_pte_range", "set_pte_range", &["*vm_fault"]),
            fentry("do_set_pte", "do_set_pte", &["*vm_fault"]),
        ],
        woken_by: Some(Exercise::PrivateMapping),
        proof: Proof::Otherwise("how many pages a fault maps is the kernel's choice"),
        sees: "page table entries that become present",
        lost: "how many pages a fault mapped",
        ..Probe::USUAL
    },
    Probe {
        name: "file_fault_exit",
        family: Family::Fault,
        role: Role::CopySite,
        ways: &[fexit("file_fault_exit", "do_fault", &["*vm_fault"])],
        woken_by: Some(Exercise::PrivateMapping),
        always_there: true,
        proof: Proof::Otherwise("faults report nothing"),
        sees: "end of a fault on a mapped file",
        lost: "mapped bytes and private copies of mapped files",
        ..Probe::USUAL
    },
    Probe {
        name: "fork_enter",
        family: Family::Fault,
        role: Role::CopySite,
        ways: &[fentry(
            "fork_enter",
            "copy_page_range",
            &["*vm_area_struct"],
        )],
        always_there: true,
        proof: Proof::Otherwise("a fork reports nothing"),
        sees: "start of copying a mapping at fork",
        lost: "pinned pages copied at fork",
        ..Probe::USUAL
    },
    Probe {
        name: "fork_exit",
        family: Family::Fault,
        role: Role::CopySite,
        ways: &[fexit("fork_exit", "copy_page_range", &["*vm_area_struct"])],
        always_there: true,
        proof: Proof::Otherwise("a fork reports nothing"),
        sees: "end of copying a mapping at fork",
        lost: "pinned pages copied at fork",
        ..Probe::USUAL
    },
    Probe {
        name: "copy_user_large_folio",
        family: Family::Fault,
        role: Role::CopySite,
        ways: &[
            fexit(
                "copy_user_large_folio",
                "copy_user_large_folio",
                &["*folio"],
            ),
            fexit("copy_user_huge_page", "copy_user_huge_page", &["*page"]),
        ],
        proof: Proof::Otherwise("faults report nothing"),
        sees: "huge pages copied on write",
        lost: "copy-on-write of hugetlb pages",
        ..Probe::USUAL
    },
    Probe {
        name: MM_FILEMAP_MAP_PAGES,
        family: Family::Fault,
        role: Role::Substitute,
        ways: &[tp_btf("mm_filemap_map_pages", "mm_filemap_map_pages")],
        sees: "faults that made pages of a file visible (Linux 6.11 or newer)",
        lost: FAULTS,
        ..Probe::USUAL
    },
    Probe {
        name: MM_FILEMAP_FAULT,
        family: Family::Fault,
        role: Role::Substitute,
        ways: &[tp_btf("mm_filemap_fault", "mm_filemap_fault")],
        sees: "faults that asked a file for a page (Linux 6.11 or newer)",
        lost: FAULTS,
        ..Probe::USUAL
    },
    Probe {
        name: PAGE_FAULT_USER,
        family: Family::Fault,
        role: Role::Substitute,
        ways: &[tp_btf("page_fault_user", "page_fault_user")],
        sees: "writes of programs to pages that are present, or not there yet: possible copies on write",
        lost: WRITES,
        ..Probe::USUAL
    },
    Probe {
        name: "page_fault_kernel",
        family: Family::Fault,
        role: Role::Substitute,
        ways: &[tp_btf("page_fault_kernel", "page_fault_kernel")],
        sees: "the same of the kernel, when it fills a buffer of a program",
        lost: WRITES,
        ..Probe::USUAL
    },
];
