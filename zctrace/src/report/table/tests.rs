use zctrace_common::Mark;

use super::*;
use crate::ledger::{Claimed, NotFollowed, Path, samples};

const WIDTHS: [usize; 4] = [60, 80, 120, 200];

fn options(width: usize) -> Options {
    Options {
        surface: Surface {
            width,
            palette: Palette::PLAIN,
        },
        all: false,
    }
}

/// The report at every width, checked to fit.
fn at_all_widths(snapshot: &Snapshot) -> String {
    let mut all = String::new();
    for width in WIDTHS {
        let text = report(snapshot, options(width));
        for line in text.lines() {
            assert!(line.width() <= width, "wider than {width}: {line:?}");
            assert_eq!(line.trim_end(), line, "blanks at the end");
            assert!(!line.contains(char::is_control));
        }
        all.push_str(&format!("--- {width} columns\n{text}"));
    }
    all
}

#[test]
fn empty() {
    insta::assert_snapshot!(at_all_widths(&samples::empty()));
}

#[test]
fn copies_that_are_a_part_of_what_was_copied_have_their_mark() {
    let text = report(&samples::seen_in_part(), options(80));
    assert_eq!(text.matches("1.00?").count(), 2, "{text}");
}

#[test]
fn what_contradicts_a_wish_is_told() {
    let mut snapshot = samples::normal();
    let claimed = |mark: Mark, device: Option<&str>, notifications| Claimed {
        op: "send.zerocopy".into(),
        object: "udp".into(),
        evidence: "measured".into(),
        claims: vec![Mark::Zerocopy.name().into(), mark.name().into()],
        device: device.map(Into::into),
        notifications,
        totals: Totals::default(),
    };
    let process = &mut snapshot.processes[0];
    process.copy_cpu_seconds = Some(1.5);
    process.not_followed = vec![NotFollowed {
        call: "ioctl".into(),
        copy_cpu_seconds: 0.038,
    }];
    process.claims = vec![
        claimed(Mark::NoSoZerocopy, None, 0),
        claimed(Mark::NoScatterGather, Some("eth0\u{1b}[m"), 0),
        claimed(Mark::Copied, None, 20),
        claimed(Mark::Zerocopy, None, 0),
    ];
    let text = at_all_widths(&snapshot);
    for line in [
        "send.zerocopy udp: without SO_ZEROCOPY the flag is ignored",
        "[m cannot take pages (scatter-gather is off)",
        "send.zerocopy udp: the kernel notified 20 times that it copied",
        "copying: 1.50 s of CPU time, from samples",
        "38.0 ms of copying in ioctl, which zctrace does not follow: its bytes are in no row",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(text.matches("send.zerocopy udp:").count(), 3 * WIDTHS.len());
    // What a recording says is not trusted.
    snapshot.processes[0].copy_cpu_seconds = Some(f64::MAX);
    assert!(!at_all_widths(&snapshot).contains("copying:"));
}

#[test]
fn the_price_of_the_network_says_whose_copies_count() {
    let mib = 1 << 20;
    let path = |op: &str, object: &str, totals| samples::row(op, object, "inferred", totals);
    let spliced = Totals {
        moved: 16 * mib,
        spliced: 16 * mib,
        ..Totals::default()
    };
    let copied = Totals {
        moved: 48 * mib,
        copied_in_kernel: 48 * mib,
        ..Totals::default()
    };
    let request = Totals {
        moved: 79,
        copied_to_user: 79,
        ..Totals::default()
    };
    let lines = |paths: Vec<Path>| {
        let process = Process::from_paths(1, 0, "x".into(), "/".into(), paths);
        beside::network(&process).unwrap()
    };
    assert_eq!(
        lines(vec![
            path("sendfile", "file:ext4->tcp", spliced),
            path("copy_file_range", "file:ext4->file:ext4", copied),
            path("recv", "tcp", request),
        ]),
        "network: sent 16.0 MiB at 3.00 copies/B, received 79 B; all 48.0 MiB that it copied \
         count, 0 B by sending"
    );
    assert_eq!(
        lines(vec![path("sendfile", "file:ext4->tcp", spliced)]),
        "network: sent 16.0 MiB at 0.00 copies/B"
    );
    let unseen = Totals {
        moved: mib,
        unexplained: mib,
        ..Totals::default()
    };
    assert_eq!(
        lines(vec![path("send.zerocopy", "tcp", unseen)]),
        "network: sent 1.00 MiB at 0.00? copies/B"
    );
}

#[test]
fn normal() {
    insta::assert_snapshot!(at_all_widths(&samples::normal()));
}

#[test]
fn overflow() {
    insta::assert_snapshot!(at_all_widths(&samples::overflow()));
}

#[test]
fn loss() {
    insta::assert_snapshot!(at_all_widths(&samples::loss()));
}

#[test]
fn unexplained() {
    insta::assert_snapshot!(at_all_widths(&samples::unexplained()));
}

#[test]
fn by_a_dimension() {
    insta::assert_snapshot!(at_all_widths(&samples::by_file()));
}

/// The addresses of a connection are one word, which no column of the usual terminal has room for.
#[test]
fn the_ends_of_a_connection_are_not_broken() {
    let ends = "127.0.0.1:8080->127.0.0.1:52716";
    let mut snapshot = samples::normal();
    for path in snapshot
        .processes
        .iter_mut()
        .flat_map(|process| &mut process.paths)
    {
        path.by = Some(ends.into());
    }
    for width in [60, 80, 120, 200] {
        let text = report(&snapshot, options(width));
        let lines = text.lines().filter(|line| line.contains(ends));
        assert!(
            lines.count() >= snapshot.processes[0].paths.len(),
            "{width}: {text}"
        );
        assert_eq!(text.contains("BY"), width >= WIDE, "{width}: {text}");
    }
}

#[test]
fn colours_mark_what_matters() {
    let colour = |snapshot: &Snapshot| {
        let mut options = options(80);
        options.surface.palette = Palette::COLOUR;
        report(snapshot, options)
    };
    let alarm = Palette::COLOUR.alarm;
    assert!(colour(&samples::unexplained()).contains(&format!("{alarm}unexplained")));
    assert!(!colour(&samples::normal()).contains(&format!("{alarm}")));
    let good = Palette::COLOUR.good;
    assert!(colour(&samples::normal()).contains(&format!("{good}0.00")));
    let unexplained = colour(&samples::unexplained());
    assert!(unexplained.contains("0.00?") && !unexplained.contains(&format!("{good}")));
    let warning = Palette::COLOUR.warning;
    assert!(colour(&samples::loss()).contains(&format!("{warning}LOST:")));
}

#[test]
fn many_processes_are_summed_up() {
    let mut snapshot = samples::normal();
    let one = snapshot.processes[0].clone();
    let another = |pid| Process {
        pid,
        comm: format!("worker-{pid}"),
        ..one.clone()
    };
    snapshot.processes = (1..=25).map(another).collect();
    let text = report(&snapshot, options(80));
    assert!(text.contains("and 15 more that moved 7.50 GiB"), "{text}");
    let all = report(
        &snapshot,
        Options {
            all: true,
            ..options(80)
        },
    );
    assert!(!all.contains("more that moved"));
    assert!(all.contains("[25]"));
}

#[test]
fn an_interval_has_no_footer() {
    let text = interval(&samples::normal(), Duration::from_secs(2), options(80));
    assert!(text.starts_with("at 2.00 s\n"));
    assert!(!text.contains("Scope"));
    assert!(!text.contains("LOST"));
    let text = interval(&samples::loss(), Duration::from_secs(2), options(80));
    assert!(text.contains("LOST"));
}
