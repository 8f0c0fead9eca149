//! Following the target: forks, execs, exits.

use super::{Family, Probe, Role, tp_btf};

pub(super) const PROBES: &[Probe] = &[
    Probe {
        name: "task_fork",
        family: Family::Target,
        role: Role::Target,
        ways: &[tp_btf("task_fork", "sched_process_fork")],
        needs: &["task_pid", "task_tgid"],
        sees: "new threads and processes of the target",
        lost: "children and new threads are not traced",
        ..Probe::USUAL
    },
    Probe {
        name: "task_newtask",
        family: Family::Target,
        role: Role::Target,
        ways: &[tp_btf("task_newtask", "task_newtask")],
        needs: &["task_flags"],
        sees: "threads that io_uring makes for the target",
        lost: "what workers and SQPOLL threads of io_uring do",
        ..Probe::USUAL
    },
    Probe {
        name: "task_exec",
        family: Family::Target,
        role: Role::Target,
        ways: &[tp_btf("task_exec", "sched_process_exec")],
        needs: &["task_comm"],
        sees: "programs that the target starts",
        lost: "names of started programs; processes that take the name of --comm when they start a program",
        ..Probe::USUAL
    },
    Probe {
        name: "task_exit",
        family: Family::Target,
        role: Role::Target,
        ways: &[tp_btf("task_exit", "sched_process_exit")],
        needs: &[
            "task_signal",
            "signal_live",
            "task_group_leader",
            "task_start_boottime",
        ],
        sees: "threads and processes that end",
        lost: "whether a thread id was reused: the new thread counts as the target",
        ..Probe::USUAL
    },
    Probe {
        name: "task_renamed",
        family: Family::Target,
        role: Role::Target,
        ways: &[tp_btf("task_renamed", "task_rename")],
        sees: "threads and processes that get another name",
        lost: "new names of processes; processes that take the name of --comm",
        ..Probe::USUAL
    },
    Probe {
        name: "task_moved",
        family: Family::Target,
        role: Role::Target,
        ways: &[tp_btf("task_moved", "cgroup_attach_task")],
        sees: "tasks moved between cgroups",
        lost: "new cgroups of processes; tasks moved into the cgroup of --cgroup later",
        ..Probe::USUAL
    },
];
