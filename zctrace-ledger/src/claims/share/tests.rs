//! Claims about shares, on made-up measurements.

use super::{
    super::{
        Verdict, judge,
        rules::made_up::{claim, path, process},
    },
    *,
};
use crate::ledger::{Errno, Refused, Unattributed, samples};

const MIB: u64 = 1 << 20;
const M: &str = "measured";

fn expected(text: &str) -> Claim {
    Claim {
        max_copies_per_byte: None,
        expect: vec![Expectation::parse(text).expect(text)],
        ..claim()
    }
}

fn judged(text: &str, snapshot: &Snapshot) -> (Verdict, Vec<Reason>) {
    let claim = expected(text);
    claim.check().expect(text);
    let judgement = judge(&claim, snapshot, Circumstances::default());
    (judgement.verdict, judgement.reasons)
}

fn of(paths: Vec<Path>) -> Snapshot {
    samples::with(vec![process(paths, &[], None)])
}

fn row(op: &str, object: &str, class: &str, mib: u64) -> Path {
    path(op, object, M, &[(class, mib * MIB)])
}

fn read_and_sent(mib: u64) -> Vec<Path> {
    vec![
        row("read", "file:ext4", "copied_to_user", mib),
        row("send", "tcp", "copied_from_user", mib),
    ]
}

/// An expectation, rows that meet it, rows that do not, and what is said of those.
type Case = (&'static str, Vec<Path>, Vec<Path>, &'static str);

/// One row, all of whose bytes are in one class.
fn only(op: &str, object: &str, class: &str) -> Vec<Path> {
    vec![row(op, object, class, 16)]
}

fn cases_of_files() -> Vec<Case> {
    vec![
        (
            "sendfile,file>=0.95",
            only("sendfile", "file:ext4->file:ext4", "copied_in_kernel"),
            only(
                "copy_file_range",
                "file:ext4->file:ext4",
                "copied_in_kernel",
            ),
            "`copy_file_range file:ext4->file:ext4`",
        ),
        (
            "copy_file_range>=0.95",
            only("copy_file_range", "file:xfs->file:xfs", "cloned"),
            vec![
                row("read", "file:xfs", "copied_to_user", 16),
                row("write", "file:xfs", "copied_from_user", 16),
            ],
            "`write file:xfs`",
        ),
        (
            "clone>=0.95",
            only("clone", "file:xfs->file:xfs", "cloned"),
            only("copy_file_range", "file:xfs->file:xfs", "copied_in_kernel"),
            "`copy_file_range file:xfs->file:xfs`",
        ),
        (
            "copy_file_range,cloned>=0.95",
            only("copy_file_range", "file:xfs->file:xfs", "cloned"),
            only(
                "copy_file_range",
                "file:ext4->file:ext4",
                "copied_in_kernel",
            ),
            "(copied_in_kernel)",
        ),
        (
            "read,direct>=0.99",
            only("read", "file:ext4", "direct"),
            only("read", "file:ext4", "copied_to_user"),
            "`read file:ext4` (copied_to_user)",
        ),
        (
            "direct>=0.99",
            only("uring.read", "block", "direct"),
            only("uring.read", "block", "copied_to_user"),
            "`uring.read block`",
        ),
        (
            "aio.read>=0.99",
            only("aio.read", "file:ext4", "direct"),
            only("read", "file:ext4", "direct"),
            "`read file:ext4`",
        ),
        (
            "fault.map>=0.9",
            only("fault.map", "file:ext4", "mapped"),
            only("read", "file:ext4", "copied_to_user"),
            "`read file:ext4`",
        ),
    ]
}

fn cases_of_sockets() -> Vec<Case> {
    vec![
        (
            "sendfile>=0.95",
            only("sendfile", "file:ext4->tcp", "spliced"),
            read_and_sent(16),
            "16.0 MiB by `send tcp` (copied_from_user)",
        ),
        (
            "uring.*>=0.99",
            vec![
                row("uring.recv", "tcp", "copied_to_user", 16),
                row("uring.send", "tcp", "copied_from_user", 16),
            ],
            vec![
                row("recv", "tcp", "copied_to_user", 16),
                row("send", "tcp", "copied_from_user", 16),
            ],
            "`recv tcp`",
        ),
        (
            "encrypted>=0.99",
            vec![path(
                "sendfile",
                "file:ext4->tcp",
                M,
                &[("spliced", 16 * MIB), ("encrypted", 16 * MIB)],
            )],
            read_and_sent(16),
            "`send tcp`",
        ),
        (
            "send.zerocopy>=0.99",
            only("send.zerocopy", "tcp", "spliced"),
            only("send", "tcp", "copied_from_user"),
            "`send tcp`",
        ),
        (
            "send.zerocopy,spliced>=0.99",
            only("send.zerocopy", "tcp", "spliced"),
            only("send.zerocopy", "tcp", "copied_from_user"),
            "`send.zerocopy tcp` (copied_from_user)",
        ),
        (
            "uring.send_zc>=0.99",
            only("uring.send_zc", "tcp", "spliced"),
            only("uring.send", "tcp", "copied_from_user"),
            "`uring.send tcp`",
        ),
        (
            "write<=0.1",
            only("sendfile", "file:ext4->tcp", "spliced"),
            only("write", "tcp", "copied_from_user"),
            "that is 16.0 MiB by `write tcp`",
        ),
    ]
}

fn cases_of_pipes() -> Vec<Case> {
    vec![
        (
            "splice>=0.95",
            vec![
                row("splice", "tcp->pipe", "spliced", 16),
                row("splice", "pipe->tcp", "spliced", 16),
            ],
            vec![
                row("recv", "tcp", "copied_to_user", 16),
                row("send", "tcp", "copied_from_user", 16),
            ],
            "`send tcp`",
        ),
        (
            "vmsplice>=0.99",
            vec![
                row("vmsplice", "pipe", "spliced", 16),
                row("splice", "pipe->tcp", "spliced", 16),
            ],
            vec![
                row("write", "pipe", "copied_from_user", 16),
                row("splice", "pipe->tcp", "spliced", 16),
            ],
            "`write pipe`",
        ),
    ]
}

/// For each way: who takes it passes, and who takes another fails, with that one named.
#[test]
fn a_way_that_was_not_taken_is_a_fail_with_what_was_done_instead() {
    let cases = [cases_of_files(), cases_of_sockets(), cases_of_pipes()];
    for (text, sound, planted, instead) in cases.concat() {
        let (verdict, reasons) = judged(text, &of(sound));
        assert_eq!((verdict, reasons), (Verdict::Pass, vec![]), "{text}");
        let (verdict, reasons) = judged(text, &of(planted));
        assert_eq!(verdict, Verdict::Fail, "{text}: {reasons:?}");
        let missed = &reasons[0];
        assert_eq!(missed.code, "expectation-missed", "{text}");
        assert!(missed.evidence.contains(instead), "{}", missed.evidence);
    }
}

/// The limit itself is enough, a byte less is not.
#[test]
fn a_share_is_held_against_its_limit() {
    let share = |text: &str, by_sendfile| {
        let mut paths = read_and_sent(100 - by_sendfile);
        paths.push(row("sendfile", "file:ext4->tcp", "spliced", by_sendfile));
        judged(text, &of(paths)).0
    };
    assert_eq!(share("sendfile>=0.95", 95), Verdict::Pass);
    assert_eq!(share("sendfile>=0.95", 94), Verdict::Fail);
    assert_eq!(share("sendfile<=0.05", 5), Verdict::Pass);
    assert_eq!(share("sendfile<=0.05", 6), Verdict::Fail);
    assert_eq!(share("sendfile>=1", 100), Verdict::Pass);
    assert_eq!(share("sendfile>=1", 99), Verdict::Fail);
}

/// Ten gigabytes of one process do not hide that another fell back.
#[test]
fn each_process_is_judged_by_itself_and_small_ones_together() {
    let by = |pid, paths| {
        let mut process = process(paths, &[], None);
        process.pid = pid;
        process
    };
    let sendfile = |mib| vec![row("sendfile", "file:ext4->tcp", "spliced", mib)];
    let all = samples::with(vec![by(1, sendfile(10 << 10)), by(2, read_and_sent(2))]);
    let (verdict, reasons) = judged("sendfile>=0.95", &all);
    assert_eq!(verdict, Verdict::Fail);
    assert!(reasons[0].evidence.contains("(2)"), "{reasons:?}");
    let small = |pid| {
        by(
            pid,
            vec![path("send", "tcp", M, &[("copied_from_user", MIB / 4)])],
        )
    };
    let mut many: Vec<_> = (2..7).map(small).collect();
    many.push(by(1, sendfile(64)));
    let (verdict, reasons) = judged("sendfile>=0.95", &samples::with(many));
    assert_eq!(verdict, Verdict::Fail);
    let text = &reasons[0].evidence;
    assert!(text.contains("5 small processes"), "{text}");
    let few = samples::with(vec![by(1, sendfile(64)), small(2)]);
    assert_eq!(judged("sendfile>=0.95", &few).0, Verdict::Pass);
    let (verdict, reasons) = judged("sendfile>=0.95", &samples::with(vec![small(2)]));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(reasons[0].code, "too-few-bytes");
}

/// Log files beside a server's sockets, libraries beside a reader's file.
#[test]
fn what_is_another_kind_of_work_does_not_count() {
    let mut server = vec![row("sendfile", "file:ext4->tcp", "spliced", 64)];
    server.push(row("write", "file:ext4", "copied_from_user", 64));
    server.push(row("read", "file:ext4", "copied_to_user", 64));
    assert_eq!(judged("sendfile>=0.95", &of(server)).0, Verdict::Pass);
    let mut reader = vec![row("read", "file:ext4", "direct", 64)];
    reader.push(row("fault.map", "file:ext4", "mapped", 64));
    reader.push(row("read", "char:mem", "synthetic", 64));
    assert_eq!(judged("read,direct>=0.99", &of(reader)).0, Verdict::Pass);
}

/// The class that is named is that of the bytes that are missing, not of those that are there.
#[test]
fn what_was_done_instead_is_not_what_was_expected() {
    let evidence = |text, paths| judged(text, &of(paths)).1[0].evidence.clone();
    let half = |op, object, numbers: &[(&str, u64)]| vec![path(op, object, M, numbers)];
    let direct = half(
        "read",
        "file:ext4",
        &[("direct", 9 * MIB), ("copied_to_user", 7 * MIB)],
    );
    let text = evidence("read,direct>=0.99", direct.clone());
    assert!(
        text.ends_with("instead 7.00 MiB by `read file:ext4` (copied_to_user)"),
        "{text}"
    );
    let text = evidence("direct<=0.1", direct);
    assert!(
        text.ends_with("that is 9.00 MiB by `read file:ext4` (direct)"),
        "{text}"
    );
    let later = half(
        "send.zerocopy",
        "tcp",
        &[("spliced", 16 * MIB), ("deferred", 16 * MIB)],
    );
    let text = evidence("spliced,network>=0.95", later);
    assert!(
        text.ends_with("instead 16.0 MiB by `send.zerocopy tcp` (copied later)"),
        "{text}"
    );
}

#[test]
fn small_processes_are_named_once() {
    let worker = |pid| {
        let mut process = process(
            vec![path("write", "tcp", M, &[("copied_from_user", MIB / 2)])],
            &[],
            None,
        );
        process.pid = pid;
        process
    };
    let ledger = samples::with((1..=8).map(worker).collect());
    let (_, reasons) = judged("sendfile>=0.95", &ledger);
    assert!(
        reasons[0]
            .evidence
            .ends_with("instead 4.00 MiB by `write tcp` (copied_from_user)"),
        "{}",
        reasons[0].evidence
    );
}

/// Where the place was named, the remedy is not to name it.
#[test]
fn an_expectation_with_a_place_can_still_be_about_both_directions() {
    let ledger = of(vec![
        row("sendfile", "file:tmpfs->unix", "spliced", 16),
        row("read", "unix", "copied_to_user", 16),
    ]);
    let (verdict, reasons) = judged("spliced,unix>=0.9", &ledger);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(reasons[0].code, "expectation-unclear");
    assert!(
        reasons[0].remedy.contains("one direction") && !reasons[0].remedy.contains("place"),
        "{}",
        reasons[0].remedy
    );
}

/// Where it holds for sockets and not for files, nobody can tell what was meant.
#[test]
fn the_place_that_is_meant_can_be_named() {
    let ledger = of(vec![
        row("uring.send", "tcp", "copied_from_user", 16),
        row("write", "file:ext4", "copied_from_user", 16),
    ]);
    let (verdict, reasons) = judged("uring.*>=0.9", &ledger);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(reasons[0].code, "expectation-unclear");
    assert_eq!(
        reasons[0].evidence,
        "uring.*>=0.9: missed for bytes given to files, met for bytes given to the network"
    );
    assert_eq!(judged("uring.*,network>=0.9", &ledger).0, Verdict::Pass);
    assert_eq!(judged("uring.*,file>=0.9", &ledger).0, Verdict::Fail);
    // A copier that also talks: sendfile is expected where it was used.
    let copier = of(vec![
        row("sendfile", "file:ext4->file:ext4", "copied_in_kernel", 64),
        row("send", "tcp", "copied_from_user", 2),
    ]);
    assert_eq!(judged("sendfile>=0.9", &copier).0, Verdict::Inconclusive);
    assert_eq!(judged("sendfile,file>=0.9", &copier).0, Verdict::Pass);
}

/// What nobody saw may have gone either way.
#[test]
fn unexplained_bytes_open_what_they_could_change() {
    let reads = |direct, unexplained| {
        let copied = 100 - direct - unexplained;
        let numbers = [
            ("direct", direct * MIB),
            ("unexplained", unexplained * MIB),
            ("copied_to_user", copied * MIB),
        ];
        of(vec![path("read", "file:btrfs", M, &numbers)])
    };
    let (verdict, reasons) = judged("read,direct>=0.9", &reads(50, 50));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(reasons[0].code, "too-much-unexplained");
    assert_eq!(judged("read,direct>=0.9", &reads(95, 5)).0, Verdict::Pass);
    assert_eq!(judged("read,direct<=0.5", &reads(10, 20)).0, Verdict::Pass);
    assert_eq!(
        judged("read,direct<=0.5", &reads(40, 20)).0,
        Verdict::Inconclusive
    );
    // By which operation they went is known.
    assert_eq!(judged("read>=0.9", &reads(0, 100)).0, Verdict::Pass);
    assert_eq!(judged("uring.read>=0.9", &reads(0, 100)).0, Verdict::Fail);
}

#[test]
fn what_was_only_concluded_has_to_be_accepted() {
    let ledger = |class: &str| {
        of(vec![path(
            "read",
            "file:ext4",
            "inferred",
            &[(class, 16 * MIB)],
        )])
    };
    let (verdict, reasons) = judged("read,direct>=0.9", &ledger("direct"));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(reasons[0].code, "only-inferred");
    let accepting = Claim {
        accept_inferred: true,
        ..expected("read,direct>=0.9")
    };
    let judgement = judge(&accepting, &ledger("direct"), Circumstances::default());
    assert_eq!(judgement.verdict, Verdict::Pass);
    assert!(judgement.rests_on_inferred);
    let fallen = ledger("copied_to_user");
    assert_eq!(judged("read,direct>=0.9", &fallen).0, Verdict::Fail);
    // Nobody has to conclude which call it was.
    assert_eq!(judged("read>=0.9", &fallen).0, Verdict::Pass);
}

/// What `read` takes out of a pipe is counted there, and nowhere else.
#[test]
fn what_ends_in_memory_is_not_spliced_on() {
    let rows = || {
        vec![
            row("splice", "file:ext4->pipe", "spliced", 64),
            row("read", "pipe", "copied_to_user", 64),
            row("sendfile", "file:ext4->tcp", "spliced", 256),
        ]
    };
    for (text, wanted) in [
        ("read<=0.1", Verdict::Inconclusive),
        ("spliced>=0.9", Verdict::Inconclusive),
        ("sendfile,network>=0.9", Verdict::Pass),
    ] {
        let (verdict, reasons) = judged(text, &of(rows()));
        assert_eq!(verdict, wanted, "{text}: {reasons:?}");
    }
}

/// `btrfs send` can give its stream to a socket.
#[test]
fn what_other_calls_gave_opens_a_share() {
    let rows = || {
        vec![
            row("other", "syscall:ioctl", "unexplained", 40),
            row("sendfile", "file:ext4->tcp", "spliced", 256),
        ]
    };
    for (text, wanted) in [
        ("sendfile>=0.95", Verdict::Inconclusive),
        ("sendfile>=0.8", Verdict::Pass),
        ("send<=0.1", Verdict::Pass),
    ] {
        let (verdict, reasons) = judged(text, &of(rows()));
        assert_eq!(verdict, wanted, "{text}: {reasons:?}");
        if wanted == Verdict::Inconclusive {
            assert_eq!(reasons[0].code, "other-calls-copied");
        }
    }
    // Workers of vhost give to a tap device.
    let mut rows = rows();
    rows[0] = row("other", "worker", "copied_from_user", 40);
    assert_eq!(judged("sendfile>=0.95", &of(rows)).0, Verdict::Pass);
}

/// Calls that had begun before, and requests whose end nobody sees, are not in the rows.
#[test]
fn what_had_begun_before_opens_a_share() {
    let sent = || of(vec![row("sendfile", "file:ext4->tcp", "spliced", 64)]);
    assert_eq!(judged("sendfile>=0.9", &sent()).0, Verdict::Pass);
    let mut begun = sent();
    begun.loss.unfollowed_calls.begun = 1;
    begun.loss.unfollowed_calls.begun_bytes = 64 * MIB;
    let mut silent = sent();
    silent.loss.unfollowed_calls.requests = 64;
    for snapshot in [&begun, &silent] {
        let (verdict, reasons) = judged("sendfile>=0.9", snapshot);
        assert_eq!(verdict, Verdict::Inconclusive);
        assert_eq!(reasons[0].code, "unfollowed-calls");
    }
    // Too few to matter.
    begun.loss.unfollowed_calls.begun_bytes = MIB / 2;
    assert_eq!(judged("sendfile>=0.9", &begun).0, Verdict::Pass);
    // Requests are no calls, and no call is one.
    let only = |path: &str| Claim {
        path: Some(path.to_owned()),
        ..claim()
    };
    silent.processes[0].paths[0].op = "uring.splice".into();
    let verdict = |path: &str, snapshot: &Snapshot| {
        judge(&only(path), snapshot, Circumstances::default()).verdict
    };
    begun.loss.unfollowed_calls.begun_bytes = 64 * MIB;
    assert_eq!(verdict("sendfile", &begun), Verdict::Inconclusive);
    assert_eq!(verdict("uring.splice", &silent), Verdict::Inconclusive);
    begun.processes[0].paths[0].op = "uring.splice".into();
    assert_eq!(verdict("uring.splice", &begun), Verdict::Pass);
}

/// Calls that go by unseen decide for as long as they could be on the other side.
#[test]
fn calls_that_may_be_unseen_open_what_they_could_change() {
    let buffered = || of(vec![row("read", "file:ext4", "copied_to_user", 16)]);
    let mut submits = buffered();
    submits.loss.unfollowed_calls.io_submit = 1;
    for (text, wanted) in [
        ("aio.read>=0.9", Verdict::Inconclusive),
        // More bytes by others make its share no larger.
        ("uring.read>=0.9", Verdict::Fail),
        ("read>=0.9", Verdict::Inconclusive),
        ("read<=0.1", Verdict::Inconclusive),
        ("uring.read<=0.1", Verdict::Pass),
        ("aio.read<=0.1", Verdict::Inconclusive),
    ] {
        let (verdict, reasons) = judged(text, &submits);
        assert_eq!(verdict, wanted, "{text}: {reasons:?}");
        let opened = verdict == Verdict::Inconclusive;
        assert!(!opened || reasons[0].code == "unfollowed-calls");
    }
    let mut lossy = buffered();
    lossy.loss.miss("vfs_read", 1);
    for text in ["aio.read>=0.9", "read>=0.9"] {
        assert_eq!(judged(text, &lossy).0, Verdict::Inconclusive);
    }
    let mut open = buffered();
    open.processes[0].in_flight = 1;
    assert_eq!(judged("aio.read>=0.9", &open).0, Verdict::Inconclusive);
    // So may processes that nobody looked at.
    let escaped = [(1, 0, "processes-left"), (0, 1, "target-incomplete")];
    for (left_behind, untraced, code) in escaped {
        let circumstances = Circumstances {
            left_behind,
            untraced,
            ..Circumstances::default()
        };
        for text in ["aio.read>=0.9", "read>=0.9"] {
            let judgement = judge(&expected(text), &buffered(), circumstances);
            assert_eq!(judgement.verdict, Verdict::Inconclusive, "{text}");
            assert_eq!(judgement.reasons[0].code, code, "{text}");
        }
    }
    // Without the site of page faults a mapping may have been read.
    let mut unseen = buffered();
    unseen.coverage.refused.push(Refused {
        probe: "file_fault_enter".into(),
        reason: String::new(),
        lost: String::new(),
        absent: false,
    });
    assert_eq!(judged("fault.map>=0.9", &unseen).0, Verdict::Inconclusive);
    assert_eq!(judged("uring.read>=0.9", &unseen).0, Verdict::Fail);
}

#[test]
fn what_was_copied_later_was_not_spliced() {
    let sends = |deferred| {
        let mut row = path(
            "send.zerocopy",
            "tcp",
            M,
            &[("spliced", 16 * MIB), ("deferred", deferred * MIB)],
        );
        row.totals.moved = 16 * MIB;
        of(vec![row])
    };
    let text = "send.zerocopy,spliced>=0.9";
    assert_eq!(judged(text, &sends(0)).0, Verdict::Pass);
    assert_eq!(judged(text, &sends(16)).0, Verdict::Fail);
    let mut pending = sends(0);
    pending.processes[0].pending = 16 * MIB;
    assert_eq!(judged(text, &pending).0, Verdict::Inconclusive);
    let mut elsewhere = sends(0);
    elsewhere.unattributed = vec![Unattributed {
        thread: "ksoftirqd/0".into(),
        totals: sends(16).processes[0].total,
    }];
    assert_eq!(judged(text, &elsewhere).0, Verdict::Inconclusive);
    // The operation was used all the same.
    assert_eq!(judged("send.zerocopy>=0.9", &sends(16)).0, Verdict::Pass);
}

#[test]
fn calls_that_failed_are_named() {
    let mut tried = path("splice", "pipe->file:ext4", M, &[]);
    tried.totals.errors = 16;
    tried.errnos = [(Errno::new(libc::EINVAL.unsigned_abs()), 16)]
        .into_iter()
        .collect();
    let mut paths = vec![
        row("read", "pipe", "copied_to_user", 16),
        row("write", "file:ext4", "copied_from_user", 16),
    ];
    let (verdict, reasons) = judged("splice,file>=0.9", &of(vec![tried.clone()]));
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(reasons[0].code, "refused");
    paths.push(tried);
    let (verdict, reasons) = judged("splice,file>=0.9", &of(paths));
    assert_eq!(verdict, Verdict::Fail);
    let text = &reasons[0].evidence;
    assert!(
        text.contains("splice: 16 of 16 calls failed with EINVAL"),
        "{text}"
    );
}

/// An errno without a text of its own is not sent to one, and what other calls met is no remedy for this one.
#[test]
fn the_remedy_is_for_the_calls_that_were_expected() {
    let refused = |op, object, errno: libc::c_int| {
        let mut tried = path(op, object, M, &[]);
        tried.totals.errors = 1;
        tried.errnos = [(Errno::new(errno.unsigned_abs()), 1)]
            .into_iter()
            .collect();
        tried
    };
    let remedy = |errno| {
        let mut paths = vec![
            row("write", "pipe", "copied_from_user", 16),
            refused("copy_file_range", "file:ext4->file:tmpfs", libc::EXDEV),
        ];
        paths.push(refused("vmsplice", "pipe", errno));
        let (_, reasons) = judged("vmsplice>=0.9", &of(paths));
        let found = reasons.into_iter().find(|reason| reason.code == "refused");
        found.expect("a refusal").remedy
    };
    assert_eq!(
        remedy(libc::EFAULT),
        "see what the call needs: `zctrace explain vmsplice`"
    );
    assert!(!remedy(libc::EAGAIN).contains("EXDEV"));
}

#[test]
fn an_expectation_says_in_a_sentence_what_was_found() {
    let claim = expected("sendfile>=0.95");
    let snapshot = of(vec![row("sendfile", "file:ext4->tcp", "spliced", 16)]);
    let sentence = judge(&claim, &snapshot, Circumstances::default()).sentence(&snapshot);
    assert!(
        sentence.starts_with(
            "PASS: check: sendfile>=0.95: a share of 1.0000 of 16.0 MiB that server (1) gave \
             to the network (zctrace"
        ),
        "{sentence}"
    );
    let snapshot = of(read_and_sent(16));
    let sentence = judge(&claim, &snapshot, Circumstances::default()).sentence(&snapshot);
    assert!(
        sentence.starts_with(
            "FAIL: check: sendfile>=0.95: expectation-missed (0 B by sendfile of 16.0 MiB that \
             server (1) gave to the network: a share of 0.0000, expected at least 0.95; instead \
             16.0 MiB by `send tcp` (copied_from_user))"
        ),
        "{sentence}"
    );
}
