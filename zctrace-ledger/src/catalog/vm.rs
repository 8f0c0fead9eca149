//! Other processes' memory.

use zctrace_common::Op;

use super::{Exercise, Family, Probe, Proof, Role, fexit, kretprobe};

pub(super) const PROBES: &[Probe] = &[Probe {
    name: "process_vm_rw",
    family: Family::Vm,
    role: Role::CopySite,
    ways: &[
        fexit("process_vm_rw", "process_vm_rw", &["pid_t"]),
        kretprobe("process_vm_rw_kretprobe", "process_vm_rw"),
    ],
    woken_by: Some(Exercise::OwnMemory),
    proof: Proof::Unplugged(&[("process-vm", &[Op::ProcessVm])]),
    sees: "memory of one process to that of another",
    lost: "process_vm_readv and process_vm_writev",
    ..Probe::USUAL
}];
