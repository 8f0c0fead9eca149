use super::*;
use crate::ledger::{Path, Region, Unattributed, samples};

/// One region with these paths, against a file that allows it 100 bytes of copies.
fn judged(paths: Vec<Path>, markers: Markers, terms: Terms) -> Tested {
    let ratchet = allowing(100);
    let mut process = samples::normal().processes.swap_remove(0);
    (process.pending, process.in_flight) = (0, 0);
    process.paths = paths;
    for path in &mut process.paths {
        path.by = Some("a".into());
    }
    let snapshot = samples::with(vec![process]);
    let regions = [Region {
        number: 1,
        parent: 0,
        name: "a".into(),
        begun: 1,
        ended: 1,
    }];
    let by_region = ByRegion::of(&snapshot, &regions);
    let circumstances = Circumstances::default();
    Tested::new(
        by_region,
        markers,
        Some(&ratchet),
        terms,
        snapshot,
        circumstances,
    )
}

fn verdict_of(evidence: &str, numbers: Totals, markers: Markers, terms: Terms) -> Verdict {
    let path = samples::row("read", "file:ext4", evidence, numbers);
    let tested = judged(vec![path], markers, terms);
    assert_eq!(tested.verdict, tested.regions[0].verdict);
    tested.verdict.expect("a verdict")
}

#[test]
fn only_what_is_measured_and_allowed_passes() {
    let (clean, terms) = (Markers::default(), Terms::default());
    let accepting = Terms {
        accept_inferred: true,
        ..terms
    };
    let flawed = Markers { unseen: 1, ..clean };
    let unexplained = Totals {
        unexplained: 5,
        moved: 5,
        ops: 1,
        ..Totals::default()
    };
    let of = |bytes| samples::to_user(bytes);
    let cases = [
        ("measured", of(100), clean, terms, Verdict::Pass),
        ("measured", of(101), clean, terms, Verdict::Fail),
        ("measured", of(100), flawed, terms, Verdict::Inconclusive),
        ("measured", of(101), flawed, terms, Verdict::Fail),
        ("measured", unexplained, clean, terms, Verdict::Inconclusive),
        (
            "measured",
            samples::from_user(1),
            clean,
            terms,
            Verdict::Fail,
        ),
        (
            "measured",
            samples::spliced(9999),
            clean,
            terms,
            Verdict::Pass,
        ),
        ("inferred", of(100), clean, terms, Verdict::Inconclusive),
        ("inferred", of(100), clean, accepting, Verdict::Pass),
        ("inferred", of(101), clean, terms, Verdict::Fail),
    ];
    for (number, (evidence, numbers, markers, terms, expected)) in cases.into_iter().enumerate() {
        let verdict = verdict_of(evidence, numbers, markers, terms);
        assert_eq!(verdict, expected, "case {number}");
    }
    let direct = Totals {
        direct: 5,
        moved: 5,
        ops: 1,
        ..Totals::default()
    };
    let verdict = verdict_of("inferred", direct, clean, accepting);
    assert_eq!(verdict, Verdict::Inconclusive, "DMA is not proven");
}

/// Judges a region of one copied byte, of which the file allows 100, after `spoil`.
fn spoilt(spoil: impl Fn(&mut ByRegion, &mut Snapshot)) -> Tested {
    let path = samples::row("read", "file:ext4", "measured", samples::to_user(1));
    let mut tested = judged(vec![path], Markers::default(), Terms::default());
    let mut by_region = ByRegion {
        regions: vec![tested.regions.swap_remove(0).region],
        ..ByRegion::default()
    };
    spoil(&mut by_region, &mut tested.stat);
    Tested::new(
        by_region,
        Markers::default(),
        Some(&allowing(100)),
        Terms::default(),
        tested.stat,
        Circumstances::default(),
    )
}

/// A file that allows a region so many bytes of copies.
fn allowing(bytes: u64) -> Ratchet {
    let mut ratchet = Ratchet::default();
    ratchet.tighten("a", &samples::to_user(bytes));
    ratchet
}

#[test]
fn nothing_passes_that_may_not_be_whole() {
    assert_eq!(spoilt(|_, _| {}).verdict, Some(Verdict::Pass));
    type Spoil = fn(&mut ByRegion, &mut Snapshot);
    let spoils: [(&str, Spoil); 8] = [
        ("map full", |_, stat| stat.loss.map_full = 1),
        ("missed runs", |_, stat| stat.loss.missed_runs = 1),
        ("nameless rows", |by_region, _| by_region.nameless = 1),
        ("unended", |by_region, _| by_region.regions[0].unended = 1),
        ("nothing seen", |by_region, _| {
            by_region.regions[0].totals = Totals::default();
            by_region.regions[0].paths.clear();
        }),
        ("pending", |_, stat| stat.processes[0].pending = 1),
        ("in flight", |_, stat| stat.processes[0].in_flight = 1),
        ("unattributed", |_, stat| {
            stat.unattributed = vec![Unattributed {
                thread: "ksoftirqd/0".into(),
                totals: samples::to_user(1),
            }];
        }),
    ];
    for (name, spoil) in spoils {
        let tested = spoilt(spoil);
        assert_eq!(tested.verdict, Some(Verdict::Inconclusive), "{name}");
        assert!(!tested.regions[0].reasons.is_empty(), "{name}");
        let mut ratchet = allowing(100);
        tested.tighten(&mut ratchet);
        assert_eq!(ratchet, allowing(100), "{name} must lower nothing");
    }
}

#[test]
fn figures_are_lowered_by_what_was_seen_whole_only() {
    let good = spoilt(|_, _| {});
    let mut ratchet = allowing(100);
    assert_eq!(good.tighten(&mut ratchet), Some(true));
    assert_eq!(ratchet, allowing(1));
    let above = spoilt(|by_region, _| by_region.regions[0].totals = samples::to_user(101));
    assert_eq!(above.verdict, Some(Verdict::Fail));
    assert_eq!(above.tighten(&mut ratchet), Some(false));
    assert_eq!(ratchet, allowing(1));
    // Although a region of the file is missing, and may be.
    let missing = |terms, loss| {
        let mut file = allowing(100);
        file.tighten("gone", &samples::to_user(7));
        let by_region = ByRegion {
            regions: vec![good.regions[0].region.clone()],
            ..ByRegion::default()
        };
        let mut stat = good.stat.clone();
        stat.loss.map_full = loss;
        let circumstances = Circumstances::default();
        let clean = Markers::default();
        let tested = Tested::new(by_region, clean, Some(&file), terms, stat, circumstances);
        tested.tighten(&mut file)
    };
    let allowing_missing = Terms {
        allow_missing: true,
        ..Terms::default()
    };
    for terms in [Terms::default(), allowing_missing] {
        assert_eq!(missing(terms, 0), Some(true));
        assert_eq!(missing(terms, 1), None, "with a loss");
    }
}

#[test]
fn a_region_without_operations_passes_if_the_file_says_so() {
    let idle = |by_region: &mut ByRegion| {
        by_region.regions[0].totals = Totals::default();
        by_region.regions[0].paths.clear();
    };
    let tested = spoilt(|by_region, _| idle(by_region));
    let mut ratchet = Ratchet::default();
    assert_eq!(tested.tighten(&mut ratchet), Some(true));
    assert!(ratchet.expects_nothing("a"), "{}", ratchet.text());
    let again = Tested::new(
        ByRegion {
            regions: vec![tested.regions[0].region.clone()],
            ..ByRegion::default()
        },
        Markers::default(),
        Some(&ratchet),
        Terms::default(),
        tested.stat,
        Circumstances::default(),
    );
    assert_eq!(again.verdict, Some(Verdict::Pass), "{:?}", again.regions);
}

#[test]
fn figures_are_not_exact_after_a_loss() {
    assert_eq!(spoilt(|_, _| {}).flaw(), None);
    let lossy = spoilt(|_, stat| stat.loss.missed_runs = 2);
    assert_eq!(lossy.flaw().as_deref(), Some("lost updates: 2"));
    let nameless = spoilt(|by_region, _| by_region.nameless = 1);
    assert!(nameless.flaw().is_some());
}

#[test]
fn a_region_that_is_gone_does_not_pass() {
    let path = samples::row("read", "file:ext4", "measured", samples::to_user(1));
    let clean = Markers::default();
    let mut tested = judged(vec![path], clean, Terms::default());
    assert_eq!(tested.verdict, Some(Verdict::Pass), "{:?}", tested.reasons);
    let mut ratchet = Ratchet::default();
    for name in ["a", "gone"] {
        ratchet.tighten(name, &samples::to_user(100));
    }
    let mut again = |terms| {
        let by_region = ByRegion {
            regions: vec![tested.regions[0].region.clone()],
            ..ByRegion::default()
        };
        let (snapshot, circumstances) = (tested.stat.clone(), Circumstances::default());
        tested = Tested::new(
            by_region,
            clean,
            Some(&ratchet),
            terms,
            snapshot,
            circumstances,
        );
        (tested.verdict, tested.not_begun.clone())
    };
    let gone = vec!["gone".to_owned()];
    assert_eq!(
        again(Terms::default()),
        (Some(Verdict::Inconclusive), gone.clone())
    );
    let allowing = Terms {
        allow_missing: true,
        ..Terms::default()
    };
    assert_eq!(again(allowing), (Some(Verdict::Pass), gone));
}

#[test]
fn what_workers_do_stands_against_every_region() {
    let workers = ByRegion {
        of_workers: samples::to_user(1),
        ..ByRegion::default()
    };
    let snapshot = samples::with(Vec::new());
    let terms = Terms::default();
    let clean = Markers::default();
    let against =
        |by_region| against_all(by_region, clean, terms, &snapshot, Circumstances::default());
    assert_eq!(
        against(&workers).len(),
        against(&ByRegion::default()).len() + 1
    );
}
