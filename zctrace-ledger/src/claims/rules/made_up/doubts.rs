//! What is not known, and how the reasons say it.

use zctrace_common::Mark;

use super::{M, MIB, claim, judged, path, process, refused};
use crate::{
    claims::{Circumstances, Claim, Judgement, Verdict, judge},
    ledger::{Path, Refused, Snapshot, samples},
};

#[test]
fn the_sentence_of_a_fail_says_why() {
    let row = path("read", "file:tmpfs", M, &[("recopied", 100)]);
    let mut snapshot: Snapshot = samples::with(vec![process(vec![row], &[], None)]);
    snapshot.coverage.refused = vec![refused("filemap_read", false)];
    let judgement = judge(&claim(), &snapshot, Circumstances::default());
    assert_eq!(judgement.verdict, Verdict::Fail);
    let sentence = judgement.sentence(&snapshot);
    assert!(sentence.contains("copies-without-moves"), "{sentence}");
}

/// The verdicts on two rows without a probe, with conclusions refused and accepted.
fn verdicts(probe: Refused, attached: &[&str], on: Option<&str>) -> [Verdict; 2] {
    let rows = vec![
        path("sendfile", "file:ext4->tcp", M, &[("spliced", 64 * MIB)]),
        path("send.zerocopy", "udp", M, &[("spliced", 64 * MIB)]),
    ];
    let mut snapshot: Snapshot = samples::with(vec![process(rows, &[], None)]);
    snapshot.coverage.attached = attached.iter().map(|&name| name.to_owned()).collect();
    snapshot.coverage.refused = vec![probe];
    [false, true].map(|accept_inferred| {
        let claim = Claim {
            accept_inferred,
            path: on.map(str::to_owned),
            ..claim()
        };
        let judgement = judge(&claim, &snapshot, Circumstances::default());
        let told = judgement.reasons.iter().any(|r| r.code == "probes-missing");
        assert_eq!(
            judgement.rests_on_inferred,
            told && judgement.verdict == Verdict::Pass
        );
        judgement.verdict
    })
}

/// What a missing probe does to a claim whose rows all hold.
#[test]
fn only_conclusions_can_be_accepted() {
    use Verdict::{Inconclusive, Pass};

    let missing = |probe| refused(probe, false);
    let absent = |probe| refused(probe, true);
    let replaced = |probe| Refused {
        lost: format!("nothing: {}", Refused::REPLACED),
        ..missing(probe)
    };
    // A copy that the call tells of.
    assert_eq!(
        verdicts(missing("filemap_read"), &[], None),
        [Inconclusive, Pass]
    );
    assert_eq!(
        verdicts(missing("do_fault"), &[], None),
        [Inconclusive; 2],
        "unknown"
    );
    assert_eq!(
        verdicts(missing("file_fault_exit"), &[], None),
        [Inconclusive, Pass]
    );
    let sendfile = Some("sendfile");
    assert_eq!(
        verdicts(missing("file_fault_exit"), &[], sendfile),
        [Pass; 2]
    );
    assert_eq!(
        verdicts(missing("tls_sw_recvmsg"), &[], sendfile),
        [Inconclusive, Pass]
    );
    assert_eq!(verdicts(absent("tls_sw_recvmsg"), &[], sendfile), [Pass; 2]);
    // Processes and operations that nothing tells of.
    for probe in ["task_fork", "vfs_read", "aio_read", "io_issue_sqe_enter"] {
        assert_eq!(
            verdicts(missing(probe), &[], None),
            [Inconclusive; 2],
            "{probe}"
        );
    }
    assert_eq!(verdicts(absent("vfs_read"), &[], None), [Inconclusive; 2]);
    assert_eq!(
        verdicts(replaced("vfs_read"), &["sys_exit"], None),
        [Pass; 2]
    );
    assert_eq!(
        verdicts(missing("vfs_read"), &["sys_exit"], None),
        [Inconclusive; 2]
    );
    assert_eq!(
        verdicts(missing("aio_read"), &["sys_enter"], None),
        [Pass; 2]
    );
    let submissions = ["io_uring_complete_inferred"];
    assert_eq!(
        verdicts(missing("io_poll_issue_exit"), &submissions, None),
        [Pass; 2]
    );
    // The same calls with a flag.
    let zerocopy = Some("send.zerocopy");
    assert_eq!(
        verdicts(missing("sys_sendmsg"), &[], zerocopy),
        [Inconclusive; 2]
    );
    assert_eq!(verdicts(missing("sys_sendmsg"), &[], sendfile), [Pass; 2]);
}

/// Where every judged byte is unexplained, that is what is said, and nothing of their number.
#[test]
fn each_reason_is_given_only_where_it_holds() {
    let of = |claim: &Claim, row: Path| judged(claim, vec![process(vec![row], &[], None)]);
    let codes = |judgement: &Judgement| -> Vec<String> {
        judgement.reasons.iter().map(|r| r.code.clone()).collect()
    };
    let unexplained = || {
        let mut row = path("splice", "tcp->pipe", "inferred", &[]);
        row.totals.moved = 16 * MIB;
        row.totals.unexplained = 16 * MIB;
        row
    };
    let judgement = of(&claim(), unexplained());
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(codes(&judgement), ["too-much-unexplained"]);
    let sentence = judgement.sentence(&samples::with(Vec::new()));
    assert!(sentence.contains("too-much-unexplained"), "{sentence}");
    // Too few are too few.
    let judgement = of(&claim(), path("read", "tcp", M, &[("spliced", MIB / 2)]));
    assert_eq!(codes(&judgement), ["too-few-bytes"]);
    // What nothing carried says nothing, however much it is.
    for (op, object, class) in [
        ("write", "char:mem", "synthetic"),
        ("fault.map", "file:ext4", "mapped"),
    ] {
        let judgement = of(&claim(), path(op, object, M, &[(class, 16 * MIB)]));
        assert_eq!(judgement.verdict, Verdict::Inconclusive);
        assert_eq!(codes(&judgement), ["nothing-carried"]);
        let evidence = &judgement.reasons[0].evidence;
        assert!(evidence.contains(object), "{evidence}");
    }
}

/// A server copies in its own rows: they are what to look at first, on either backend.
#[test]
fn what_a_server_copies_needs_no_probe_of_the_caller() {
    for evidence in [M, "inferred"] {
        let row = |object| {
            path(
                "copy_file_range",
                object,
                evidence,
                &[("unexplained", 4 * MIB)],
            )
        };
        let remedy = |object, code: &str| {
            let mut snapshot = samples::with(vec![process(vec![row(object)], &[], None)]);
            snapshot.coverage.refused = vec![refused("filemap_splice_read", false)];
            let judgement = judge(&claim(), &snapshot, Circumstances::default());
            let reason = judgement.reasons.into_iter().find(|r| r.code == code);
            reason.map(|reason| reason.remedy)
        };
        let fuse = "file:fuse->file:fuse";
        let unexplained = remedy(fuse, "too-much-unexplained");
        assert!(unexplained.is_some_and(|text| text.starts_with("measure the server")));
        assert!(remedy(fuse, "left-to-server").is_some());
        let nfs = "file:nfs->file:nfs";
        let unexplained = remedy(nfs, "too-much-unexplained");
        assert!(unexplained.is_some_and(|text| text.contains("zctrace doctor")));
        assert_eq!(remedy(nfs, "left-to-server"), None);
    }
}

/// Bytes that nobody saw are no copies: the figure is the least, and has its mark.
#[test]
fn figures_that_rest_on_unseen_bytes_have_their_mark() {
    let judgement = |classes: &[(&str, u64)]| {
        let row = path("copy_file_range", "file:fuse->file:fuse", M, classes);
        judged(&claim(), vec![process(vec![row], &[], None)])
    };
    let figure = |judgement: &Judgement| judgement.judged[0].per_byte().to_places(4);
    let wholly = judgement(&[("unexplained", 4 * MIB)]);
    assert_eq!(figure(&wholly).as_deref(), Some("0.0000?"));
    let partly = judgement(&[("unexplained", 2 * MIB), ("copied_in_kernel", 2 * MIB)]);
    assert_eq!(figure(&partly).as_deref(), Some("0.5000?"));
    let sentence = partly.sentence(&samples::with(Vec::new()));
    assert!(sentence.contains("0.50? copies per byte"), "{sentence}");
    let seen = judgement(&[("copied_in_kernel", 4 * MIB)]);
    assert_eq!(figure(&seen).as_deref(), Some("1.0000"));
    let sentence = seen.sentence(&samples::with(Vec::new()));
    assert!(sentence.contains("1.00 copies per byte"), "{sentence}");
}

/// What sites saw of a call that is no operation is a part of what it copied.
#[test]
fn a_figure_that_is_seen_in_part_has_its_mark() {
    let row = path(
        "other",
        "syscall:ioctl",
        M,
        &[("copied_in_kernel", 4 * MIB)],
    );
    let judgement = judged(&claim(), vec![process(vec![row], &[], None)]);
    let figure = judgement.judged[0].per_byte().to_places(4);
    assert_eq!(figure.as_deref(), Some("1.0000?"));
    let sentence = judgement.sentence(&samples::with(Vec::new()));
    assert!(sentence.contains("1.00? copies per byte"), "{sentence}");
}

/// What may have been copied is in the total that would have passed.
#[test]
fn a_total_with_unseen_bytes_is_the_most() {
    let told = |unexplained| {
        let rows = vec![
            path("splice", "tcp->pipe", M, &[("spliced", 512 * MIB)]),
            path(
                "read",
                "pipe",
                M,
                &[("spliced", 128 * MIB), ("unexplained", unexplained)],
            ),
            path("write", "pipe", M, &[("copied_from_user", 4 * MIB)]),
        ];
        let judgement = judged(&claim(), vec![process(rows, &[], None)]);
        let reason = judgement.reasons.into_iter().find(|r| r.code == "diluted");
        reason.map(|reason| reason.evidence).unwrap_or_default()
    };
    assert!(
        told(0).starts_with("the total is 0.0062, but"),
        "{}",
        told(0)
    );
    assert!(
        told(MIB).starts_with("the total is 0.0078 at most, but"),
        "{}",
        told(MIB)
    );
}

#[test]
fn remedies_know_what_was_given_and_what_cannot_be() {
    let remedy = |claim: &Claim, row: Path, asked: &[Mark], code: &str| {
        let judgement = judged(claim, vec![process(vec![row], asked, None)]);
        let reason = judgement.reasons.into_iter().find(|r| r.code == code);
        reason.map(|reason| reason.remedy).unwrap_or_default()
    };
    let spliced = || {
        path(
            "sendfile",
            "file:ext4->tcp",
            "inferred",
            &[("spliced", 4 * MIB)],
        )
    };
    let accepting = Claim {
        accept_inferred: true,
        ..claim()
    };
    let of = |claim: &Claim| remedy(claim, spliced(), &[], "only-inferred");
    assert!(of(&claim()).contains("--accept-inferred"));
    assert!(!of(&accepting).is_empty() && !of(&accepting).contains("--accept-inferred"));

    let named = Claim {
        path: Some("read".into()),
        ..claim()
    };
    let few = || path("read", "tcp", M, &[("spliced", 1)]);
    let of = |claim: &Claim| remedy(claim, few(), &[], "too-few-bytes");
    assert!(of(&claim()).contains("--path"));
    assert!(!of(&named).is_empty() && !of(&named).contains("--path"));

    let asked = [Mark::Zerocopy, Mark::NoSoZerocopy];
    let of = |object: &str| {
        let row = path("send.zerocopy", object, M, &[("copied_from_user", 4 * MIB)]);
        remedy(&claim(), row, &asked, "zerocopy-flag-ignored")
    };
    assert!(of("tcp").starts_with("call setsockopt(SO_ZEROCOPY) before"));
    assert!(of("unix").starts_with("unix sockets have no"));

    let of = |object: &str| {
        let row = path("write", object, M, &[("copied_from_user", 4 * MIB)]);
        remedy(&claim(), row, &[Mark::Direct], "direct-fell-back")
    };
    assert!(of("file:btrfs").contains("chattr +C"));
    assert!(of("file:vfat").contains("extends a file"));
    assert!(!of("file:xfs").contains("chattr"), "{}", of("file:xfs"));
}
