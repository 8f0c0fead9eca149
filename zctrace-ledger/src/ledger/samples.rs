//! Documents that the tests of every output format share.

use zctrace_common::{Class, Counters};

use crate::ledger::{
    Coverage, Errno, ExitStatus, Loss, Notified, Overhead, Path, Process, Refused, SCHEMA,
    Snapshot, Stacks, Target, TargetKind, Totals, Unattributed, Unfollowed,
};

const MIB: u64 = 1 << 20;

/// Totals with `copies_per_byte` computed.
fn totals(totals: Totals) -> Totals {
    let mut sum = Totals::default();
    sum.add(&totals);
    sum
}

/// A row.
#[must_use]
pub fn row(op: &str, object: &str, evidence: &str, numbers: Totals) -> Path {
    Path {
        op: op.into(),
        object: object.into(),
        evidence: evidence.into(),
        by: None,
        errnos: [(Errno::new(libc::EAGAIN.unsigned_abs()), numbers.errors)]
            .into_iter()
            .collect(),
        notified: Notified::default(),
        totals: totals(numbers),
    }
}

/// A row that was measured.
#[must_use]
pub fn path(op: &str, object: &str, numbers: Totals) -> Path {
    row(op, object, "measured", numbers)
}

fn moved(class: Class, bytes: u64) -> Totals {
    let mut counters = Counters {
        ops: 1,
        moved: bytes,
        ..Counters::default()
    };
    counters.class[class as usize] = bytes;
    Totals::from(&counters)
}

/// One operation that a CPU copied to user memory.
#[must_use]
pub fn to_user(bytes: u64) -> Totals {
    moved(Class::CopiedToUser, bytes)
}

/// One operation that a CPU copied from user memory.
#[must_use]
pub fn from_user(bytes: u64) -> Totals {
    moved(Class::CopiedFromUser, bytes)
}

/// One operation that a CPU copied within the kernel.
#[must_use]
pub fn in_kernel(bytes: u64) -> Totals {
    moved(Class::CopiedInKernel, bytes)
}

/// One operation that passed pages by reference.
#[must_use]
pub fn spliced(bytes: u64) -> Totals {
    moved(Class::Spliced, bytes)
}

fn process(pid: u32, comm: &str, paths: Vec<Path>) -> Process {
    let cgroup = "/system.slice/nginx.service".into();
    Process::from_paths(pid, 12_345, comm.into(), cgroup, paths)
}

/// No process.
pub fn empty() -> Snapshot {
    with(Vec::new())
}

/// A document of these processes.
#[must_use]
pub fn with(processes: Vec<Process>) -> Snapshot {
    let mut total = Totals::default();
    for process in &processes {
        total.add(&process.total);
    }
    Snapshot {
        schema: SCHEMA.into(),
        seq: None,
        kernel: "6.12.95+deb13-cloud-amd64".into(),
        arch: "x86_64".into(),
        backend: "functions".into(),
        target: Target {
            kind: TargetKind::Port,
            value: "8080".into(),
        },
        exit_status: None,
        started_at: "2026-11-22T15:00:00Z".into(),
        duration_ns: 10_000_000_000,
        total,
        processes,
        unattributed: Vec::new(),
        coverage: Coverage {
            attached: vec!["filemap_read".into(), "tcp_sendmsg_locked".into()],
            refused: Vec::new(),
        },
        loss: Loss::default(),
        overhead: Overhead {
            bpf_runs: 12_345,
            bpf_ns: None,
        },
        stacks: Stacks::default(),
    }
}

/// Two processes, several ways, a kernel thread.
pub fn normal() -> Snapshot {
    let mut worker = process(
        1235,
        "nginx",
        vec![
            row(
                "sendfile",
                "file:ext4->tcp",
                "measured",
                Totals {
                    ops: 4096,
                    errors: 12,
                    moved: 512 * MIB,
                    spliced: 512 * MIB,
                    ..Totals::default()
                },
            ),
            row(
                "recv",
                "tcp",
                "measured",
                Totals {
                    ops: 512,
                    errors: 512,
                    moved: 64 * 1024,
                    copied_to_user: 64 * 1024,
                    ..Totals::default()
                },
            ),
            row(
                "read",
                "file:ext4",
                "inferred",
                Totals {
                    ops: 3,
                    moved: 3 * 4096,
                    copied_to_user: 4096,
                    direct: 2 * 4096,
                    ..Totals::default()
                },
            ),
        ],
    );
    worker.pending = 3 * MIB / 2;
    worker.in_flight = 2;
    let sender = process(
        977,
        "zc-sender",
        vec![row(
            "send",
            "tcp",
            "measured",
            Totals {
                ops: 256,
                moved: 16 * MIB,
                spliced: 16 * MIB,
                deferred: 16 * MIB,
                ..Totals::default()
            },
        )],
    );
    let mut snapshot = with(vec![worker, sender]);
    snapshot.unattributed = vec![Unattributed {
        thread: "ksoftirqd/0".into(),
        totals: totals(Totals {
            deferred: 65_536,
            ..Totals::default()
        }),
    }];
    snapshot
}

/// Everything as long and as large as it can be, and a name that speaks to the terminal.
pub fn overflow() -> Snapshot {
    let huge = u64::MAX;
    let all = Totals {
        ops: huge,
        errors: huge,
        moved: huge,
        copied_to_user: huge / 9,
        copied_from_user: huge / 9,
        copied_in_kernel: huge / 9,
        spliced: huge / 9,
        direct: huge / 9,
        cloned: huge / 9,
        mapped: huge / 9,
        synthetic: huge / 9,
        unexplained: huge / 9,
        deferred: huge,
        recopied: huge,
        wasted: huge,
        cow: huge,
        encrypted: huge,
        filled: huge,
        seen_in_part: 0,
        copies_per_byte: None,
        copies_per_byte_is_lower_bound: false,
    };
    let mut process = process(
        u32::MAX,
        "\x1b[31m\nevil\u{202e}",
        vec![
            row(
                "copy_file_range",
                "file:overlay->file:fuse.a-rather-long-name",
                "inferred",
                all,
            ),
            row(
                "uring.send_zc_with_a_long_opcode",
                "socket:255",
                "measured",
                all,
            ),
        ],
    );
    (process.sent, process.received) = (huge, huge);
    process.copies_per_sent_byte = Some(1.0);
    process.copies_per_received_byte = Some(1.0);
    process.pending = huge;
    process.in_flight = huge;
    let mut snapshot = with(vec![process]);
    snapshot.target = Target {
        kind: TargetKind::Command,
        value: "sh -c 'while :; do cat /a/very/long/path/to/some/file > /dev/null; done'".into(),
    };
    snapshot.exit_status = Some(ExitStatus {
        code: None,
        signal: Some(9),
    });
    snapshot.duration_ns = huge;
    snapshot.overhead = Overhead {
        bpf_runs: huge,
        bpf_ns: Some(huge),
    };
    snapshot
}

/// Updates were lost and probes refused.
pub fn loss() -> Snapshot {
    let mut snapshot = normal();
    snapshot.loss = Loss {
        map_full: 1,
        unfollowed_calls: Unfollowed {
            io_submit: 256,
            compat: 1,
            rings: 0,
            ..Unfollowed::default()
        },
        ..Loss::default()
    };
    snapshot.loss.miss("vfs_read", 4_567_890);
    snapshot.coverage.refused = vec![Refused {
        probe: "wp_page_enter".into(),
        reason: "not permitted".into(),
        lost: "copy-on-write after fork".into(),
        absent: false,
    }];
    snapshot
}

/// A path of which a part was not seen.
pub fn unexplained() -> Snapshot {
    let mut snapshot = with(vec![process(
        42,
        "backup",
        vec![
            row(
                "read",
                "file:btrfs",
                "measured",
                Totals {
                    ops: 1000,
                    moved: 100 * MIB,
                    copied_to_user: 96 * MIB,
                    unexplained: 4 * MIB,
                    ..Totals::default()
                },
            ),
            row(
                "write",
                "file:btrfs",
                "measured",
                Totals {
                    ops: 1000,
                    moved: 100 * MIB,
                    unexplained: 100 * MIB,
                    ..Totals::default()
                },
            ),
        ],
    )]);
    snapshot.backend = "mixed".into();
    snapshot.target = Target {
        kind: TargetKind::Pid,
        value: "42".into(),
    };
    snapshot
}

/// Copies in a call that is no operation: `btrfs send`.
pub fn seen_in_part() -> Snapshot {
    with(vec![process(
        42,
        "btrfs",
        vec![path("other", "syscall:ioctl", in_kernel(16 * MIB))],
    )])
}

/// Rows by file.
pub fn by_file() -> Snapshot {
    let mut snapshot = unexplained();
    for (path, file) in snapshot.processes[0]
        .paths
        .iter_mut()
        .zip(["/data/a", "/data/b"])
    {
        path.by = Some(file.into());
    }
    snapshot
}
