use super::*;
use crate::ledger::{
    Coverage, Loss, Overhead, Process, Target, TargetKind, Unattributed,
    samples::{from_user, in_kernel, path, to_user},
};

fn ledger(paths: Vec<Path>) -> Snapshot {
    let process = Process::from_paths(1, 1, "x".into(), "/".into(), paths);
    Snapshot {
        schema: crate::ledger::SCHEMA.into(),
        seq: None,
        kernel: "6.12".into(),
        arch: "x86_64".into(),
        backend: "functions".into(),
        target: Target {
            kind: TargetKind::System,
            value: String::new(),
        },
        exit_status: None,
        started_at: "2026-11-22T15:00:00Z".into(),
        duration_ns: 1,
        total: process.total,
        processes: vec![process],
        unattributed: Vec::new(),
        coverage: Coverage::default(),
        loss: Loss::default(),
        overhead: Overhead::default(),
        stacks: crate::ledger::Stacks::default(),
    }
}

fn hits(hits: &[(&'static str, bool, libc::c_long, u64)]) -> Counts {
    let hits = hits.iter().map(|&(routine, kernel_memory, nr, bytes)| {
        let hit = Hit {
            routine,
            kernel_memory,
            nr: i32::try_from(nr).unwrap(),
        };
        (hit, AuditCount { hits: 1, bytes })
    });
    Counts {
        hits: hits.collect(),
        missed: Some(0),
    }
}

fn usual() -> Setup {
    let names = [
        "_copy_to_iter",
        "_copy_from_iter",
        "copy_page_from_iter_atomic",
        "csum_and_copy_from_iter_full",
    ];
    Setup {
        routines: names.iter().map(|name| routine(name).unwrap()).collect(),
        ..Setup::default()
    }
}

fn audit(paths: Vec<Path>, counts: &Counts) -> Vec<Comparison> {
    let document = Document::new(ledger(paths), counts, &usual());
    for row in &document.routines {
        let sum: i64 = row.items.iter().map(|item| item.bytes).sum();
        assert_eq!(Some(sum), row.difference, "{row:?}");
        let disagreement = sum - i64::try_from(row.other_bytes).unwrap();
        assert_eq!(row.disagreement(), Some(disagreement));
    }
    document.routines
}

fn of<'a>(rows: &'a [Comparison], routine: &str, direction: Direction) -> &'a Comparison {
    rows.iter()
        .find(|row| row.routine == routine && row.direction == direction)
        .unwrap()
}

#[test]
fn equal_counts_leave_nothing_to_say() {
    let rows = audit(
        vec![
            path("read", "file:tmpfs", to_user(100)),
            path("recv", "udp", to_user(10)),
            path("write", "file:ext4", from_user(50)),
            path("write", "pipe", from_user(7)),
        ],
        &hits(&[
            ("_copy_to_iter", false, libc::SYS_pread64, 100),
            ("_copy_to_iter", false, libc::SYS_recvmsg, 10),
            ("copy_page_from_iter_atomic", false, libc::SYS_write, 50),
            ("_copy_from_iter", false, libc::SYS_write, 7),
        ]),
    );
    assert_eq!(rows.len(), 4);
    let row = of(&rows, "_copy_to_iter", Direction::ToUser);
    assert_eq!((row.breakpoint_bytes, row.catalog_bytes), (110, Some(110)));
    assert_eq!((row.hits, row.difference_share), (2, Some(0.0)));
    for row in &rows {
        assert_eq!((row.difference, row.items.len()), (Some(0), 0), "{row:?}");
    }
}

#[test]
fn other_callers_are_named() {
    let rows = audit(
        vec![path("read", "file:tmpfs", to_user(100))],
        &hits(&[
            ("_copy_to_iter", false, libc::SYS_read, 100),
            ("_copy_to_iter", false, libc::SYS_getrandom, 32),
            ("_copy_to_iter", false, -1, 5),
            ("_copy_to_iter", true, libc::SYS_execve, 256),
        ]),
    );
    let row = of(&rows, "_copy_to_iter", Direction::ToUser);
    let named: Vec<_> = row
        .items
        .iter()
        .map(|item| (item.what.as_str(), item.bytes, item.hits))
        .collect();
    assert_eq!(
        named,
        [
            ("getrandom", 32, Some(1)),
            ("page faults and interrupts", 5, Some(1))
        ]
    );
    let row = of(&rows, "_copy_to_iter", Direction::InKernel);
    assert_eq!(
        (row.items[0].what.as_str(), row.items[0].bytes),
        ("execve", 256)
    );
}

/// `btrfs send`: an `ioctl` that writes into a pipe is in the ledger, or a difference.
#[test]
fn copies_in_a_call_that_is_no_operation_are_a_difference() {
    let counts = hits(&[
        ("_copy_from_iter", true, libc::SYS_ioctl, 100),
        ("_copy_to_iter", true, libc::SYS_execve, 7),
    ]);
    let rows = audit(Vec::new(), &counts);
    let row = of(&rows, "_copy_from_iter", Direction::InKernel);
    assert_eq!((row.disagreement(), row.other_bytes), (Some(100), 0));
    assert!(row.items[0].what.contains("(ioctl)"), "{row:?}");
    let row = of(&rows, "_copy_to_iter", Direction::InKernel);
    assert_eq!((row.disagreement(), row.other_bytes), (Some(0), 7));

    let rows = audit(
        vec![path("other", "syscall:ioctl", in_kernel(100))],
        &counts,
    );
    let row = of(&rows, "_copy_from_iter", Direction::InKernel);
    assert_eq!(row.disagreement(), Some(0), "{row:?}");
}

#[test]
fn more_at_the_breakpoint_is_unexplained_first_and_then_a_retry() {
    let mut totals = to_user(100);
    totals.moved = 130;
    totals.unexplained = 30;
    let rows = audit(
        vec![
            path("read", "file:tmpfs", totals),
            Path {
                evidence: "inferred".into(),
                ..path("read", "pipe", to_user(8))
            },
        ],
        &hits(&[("_copy_to_iter", false, libc::SYS_read, 150)]),
    );
    let items = &of(&rows, "_copy_to_iter", Direction::ToUser).items;
    let bytes: Vec<_> = items.iter().map(|item| item.bytes).collect();
    assert_eq!(bytes, [30, 12, 8]);
    assert!(items[0].what.contains("unexplained"));
    assert!(items[1].what.contains("copied again"));
    assert!(items[2].what.contains("inferred"));
}

#[test]
fn more_in_the_ledger_is_a_negative_difference() {
    let rows = audit(
        vec![path("write", "file:ext4", from_user(100))],
        &hits(&[("copy_page_from_iter_atomic", false, libc::SYS_write, 60)]),
    );
    let row = of(&rows, "copy_page_from_iter_atomic", Direction::FromUser);
    assert_eq!(row.difference, Some(-40));
    assert!(row.items[0].what.contains("in the ledger only"));
    let other = of(&rows, "_copy_from_iter", Direction::FromUser);
    assert_eq!(other.catalog_bytes, Some(0));
}

#[test]
fn a_datagram_is_copied_by_either_routine() {
    let rows = audit(
        vec![path("send", "udp", from_user(100))],
        &hits(&[
            ("_copy_from_iter", false, libc::SYS_sendto, 60),
            ("csum_and_copy_from_iter_full", false, libc::SYS_sendto, 40),
        ]),
    );
    for (routine, bytes) in [
        ("_copy_from_iter", 60),
        ("csum_and_copy_from_iter_full", 40),
    ] {
        let row = of(&rows, routine, Direction::FromUser);
        assert_eq!((row.catalog_bytes, row.difference), (Some(bytes), Some(0)));
    }
}

#[test]
fn copies_within_the_kernel_are_a_direction_of_their_own() {
    let mut twice = in_kernel(100);
    twice.recopied = 100;
    let rows = audit(
        vec![
            path("sendfile", "file:proc->file:tmpfs", twice),
            // memcpy: no routine to hold it against.
            path("splice", "tcp->pipe", in_kernel(9)),
        ],
        &hits(&[
            ("_copy_to_iter", true, libc::SYS_sendfile, 100),
            ("copy_page_from_iter_atomic", true, libc::SYS_sendfile, 100),
        ]),
    );
    for routine in ["_copy_to_iter", "copy_page_from_iter_atomic"] {
        let row = of(&rows, routine, Direction::InKernel);
        assert_eq!((row.catalog_bytes, row.difference), (Some(100), Some(0)));
    }
}

#[test]
fn what_no_breakpoint_watches_is_not_held_against_others() {
    let setup = Setup {
        routines: vec![routine("_copy_to_iter").unwrap()],
        ..Setup::default()
    };
    let stat = ledger(vec![path("write", "file:ext4", from_user(100))]);
    let document = Document::new(stat, &Counts::default(), &setup);
    assert_eq!(document.routines.len(), 1);
    assert_eq!(document.routines[0].difference, Some(0));
}

#[test]
fn a_special_routine_is_not_blamed_for_the_usual_one_s_copies() {
    let setup = Setup {
        routines: vec![routine("csum_and_copy_to_iter").unwrap()],
        ..Setup::default()
    };
    let counts = hits(&[("csum_and_copy_to_iter", false, libc::SYS_recvfrom, 40)]);
    let stat = ledger(vec![path("recv", "udp", to_user(100))]);
    let row = Document::new(stat, &counts, &setup).routines.remove(0);
    assert_eq!((row.catalog_bytes, row.difference), (Some(40), Some(0)));
}

#[test]
fn addresses_are_itemised_but_not_compared() {
    let setup = Setup {
        routines: vec![routine("_copy_to_user").unwrap()],
        ..Setup::default()
    };
    let counts = hits(&[
        ("_copy_to_user", false, libc::SYS_newfstatat, 144),
        ("_copy_to_user", false, libc::SYS_read, 8),
    ]);
    let stat = ledger(vec![path("read", "file:proc", to_user(8))]);
    let row = Document::new(stat, &counts, &setup).routines.remove(0);
    assert_eq!((row.breakpoint_bytes, row.catalog_bytes), (152, None));
    assert_eq!((row.difference, row.items.len()), (None, 2));
}

#[test]
fn kernel_threads_are_held_against_unattributed() {
    let mut stat = ledger(Vec::new());
    stat.unattributed.push(Unattributed {
        thread: "loop0".into(),
        totals: in_kernel(64),
    });
    let nr = zctrace_common::AuditKey::KERNEL_THREAD;
    let counts = hits(&[("_copy_to_iter", true, nr.into(), 64)]);
    let document = Document::new(stat, &counts, &usual());
    let row = of(&document.routines, "_copy_to_iter", Direction::InKernel);
    assert_eq!((row.catalog_bytes, row.difference), (Some(64), Some(0)));
}

#[test]
fn only_what_came_later_counts() {
    let earlier = hits(&[("_copy_to_iter", false, libc::SYS_read, 10)]);
    let now = hits(&[("_copy_to_iter", false, libc::SYS_read, 10)]);
    let nothing = Counts {
        missed: Some(0),
        ..Counts::default()
    };
    assert_eq!(now.since(&earlier), nothing);
    assert_eq!(now.since(&Counts::default()), now);
    let missing = |missed| Counts {
        missed,
        ..Counts::default()
    };
    assert_eq!(missing(Some(7)).since(&missing(Some(3))), missing(Some(4)));
    assert_eq!(missing(None).since(&missing(Some(3))), missing(None));
}

#[test]
fn every_choice_is_a_routine() {
    for name in CHOICE.iter().flat_map(|names| names.iter()) {
        assert!(routine(name).is_some(), "{name}");
    }
    assert_eq!(CHOICE.len(), zctrace_common::AUDIT_SLOTS);
}
