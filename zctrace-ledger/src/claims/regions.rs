//! The verdicts of `zctrace test`: each region against the figures that it may have.

use serde::{Deserialize, Serialize};
use zctrace_common::Evidence;

use super::{
    Circumstances, Claim, Verdict,
    portion::sent_again,
    ratchet::{Excess, Ratchet},
    rules::{self, State},
    standing,
};
use crate::{
    ledger::{ByRegion, Markers, RegionTotals, Snapshot, Totals},
    text::bytes::bytes,
};

/// The `schema` of a [`Tested`].
pub const TEST_SCHEMA: &str = "zctrace.test/1";

/// A region, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestedRegion {
    /// What happened in it.
    #[serde(flatten)]
    pub region: RegionTotals,
    /// The answer; absent without figures to compare with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<Verdict>,
    /// The figures above what is allowed.
    pub excess: Vec<Excess>,
    /// Why it is no PASS, in sentences.
    pub reasons: Vec<String>,
}

/// The document of `zctrace test`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// [`TEST_SCHEMA`].
    pub schema: String,
    /// The worst of the regions' verdicts; absent without figures to compare with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub verdict: Option<Verdict>,
    /// The regions, by name.
    pub regions: Vec<TestedRegion>,
    /// What belongs to no region.
    pub outside: Totals,
    /// What threads of io_uring did, for whichever region.
    pub of_workers: Totals,
    /// What was wrong with markers.
    pub markers: Markers,
    /// Regions of the file that were not begun.
    pub not_begun: Vec<String>,
    /// What stands against every region, in sentences.
    pub reasons: Vec<String>,
    /// The ledger of the whole command.
    pub stat: Snapshot,
    /// Whether the figures of a file may be lowered by it.
    #[serde(skip)]
    is_good: bool,
}

/// How regions are judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms {
    /// Copies that were inferred from calls let a region pass.
    pub accept_inferred: bool,
    /// Regions of the file need not be begun.
    pub allow_missing: bool,
}

impl Tested {
    /// Judges every region.
    #[must_use]
    pub fn new(
        by_region: ByRegion,
        markers: Markers,
        ratchet: Option<&Ratchet>,
        terms: Terms,
        snapshot: Snapshot,
        circumstances: Circumstances,
    ) -> Self {
        let markers = Markers {
            nameless: by_region.nameless,
            ..markers
        };
        let mut reasons = against_all(&by_region, markers, terms, &snapshot, circumstances);
        let is_good = reasons.is_empty();
        let not_begun: Vec<String> = ratchet
            .iter()
            .flat_map(|ratchet| ratchet.region.keys())
            .filter(|name| !by_region.regions.iter().any(|one| one.name == **name))
            .cloned()
            .collect();
        let regions: Vec<_> = by_region
            .regions
            .into_iter()
            .map(|region| TestedRegion::new(region, ratchet, terms, &reasons))
            .collect();
        let mut verdict = ratchet.map(|_| {
            let verdicts = regions.iter().filter_map(|region| region.verdict);
            // Nothing was judged, so nothing is proven.
            verdicts.max().unwrap_or(Verdict::Inconclusive)
        });
        if ratchet.is_some() && regions.is_empty() {
            reasons.push("no region was begun".into());
        }
        if !not_begun.is_empty() && !terms.allow_missing {
            let were = match not_begun.len() {
                1 => "1 region in the file was".to_owned(),
                many => format!("{many} regions in the file were"),
            };
            reasons.push(format!("{were} not begun; --allow-missing permits this"));
            verdict = verdict.map(|verdict| verdict.max(Verdict::Inconclusive));
        }
        Self {
            schema: TEST_SCHEMA.into(),
            verdict,
            regions,
            outside: by_region.outside,
            of_workers: by_region.of_workers,
            markers,
            not_begun,
            reasons,
            stat: snapshot,
            is_good,
        }
    }

    /// Why the figures are not exact, whatever they are compared with; `None` if they are.
    #[must_use]
    pub fn flaw(&self) -> Option<String> {
        let loss = &self.stat.loss;
        let lost = loss.map_full.saturating_add(loss.missed_runs);
        let lost = (lost > 0).then(|| format!("lost updates: {lost}"));
        let flaws: Vec<_> = self.markers.flaw().into_iter().chain(lost).collect();
        (!flaws.is_empty()).then(|| flaws.join("; "))
    }

    /// Lowers the figures of a file by those regions that were seen whole, and adds new regions. Returns whether anything
    /// changed; `None` if the measurement is not good enough.
    pub fn tighten(&self, ratchet: &mut Ratchet) -> Option<bool> {
        if !self.is_good {
            return None;
        }
        let mut changed = false;
        for TestedRegion { region, excess, .. } in &self.regions {
            let (name, totals) = (&region.name, &region.totals);
            // What is lowered by half a region, or by one whose work was done elsewhere, fails for ever after.
            let is_whole = region.unended == 0 && (totals.ops > 0 || !ratchet.knows(name));
            if excess.is_empty() && is_whole {
                changed |= ratchet.tighten(name, totals);
            }
        }
        Some(changed)
    }
}

impl TestedRegion {
    fn new(
        region: RegionTotals,
        ratchet: Option<&Ratchet>,
        terms: Terms,
        against: &[String],
    ) -> Self {
        let mut reasons = Vec::new();
        if region.unended > 0 {
            reasons.push(format!(
                "{} of {} times it was not ended by a marker, so some of it may be missing",
                region.unended, region.begun
            ));
        }
        let Some(ratchet) = ratchet else {
            return Self {
                region,
                verdict: None,
                excess: Vec::new(),
                reasons,
            };
        };
        let mut open = region.unended > 0;
        if region.totals.ops == 0 && !ratchet.expects_nothing(&region.name) {
            open = true;
            reasons.push(
                "no operation was seen; if existing threads do the work, mark a process region; if none is expected, \
                 set `ops = 0`"
                    .into(),
            );
        }
        let excess = ratchet.excess(&region.name, &region.totals);
        let (excess, known) = (excess.clone().unwrap_or_default(), excess.is_some());
        for one in &excess {
            let number = |number| match one.figure.as_str() {
                "ops" => format!("{number}"),
                _ => bytes(number),
            };
            let may = if one.is_open() {
                " (which may be copies)"
            } else {
                ""
            };
            reasons.push(format!(
                "{} is {}{may}, at most {} allowed",
                one.figure,
                number(one.counted),
                number(one.allowed)
            ));
        }
        let broken = excess.iter().any(|one| !one.is_open());
        open |= excess.iter().any(Excess::is_open);
        if !known {
            open = true;
            reasons.push("the file does not have this region; --update adds it".into());
        }
        let inferred = region
            .paths
            .iter()
            .filter(|path| path.evidence == Evidence::Inferred && path.totals.moved > 0)
            .count();
        if inferred > 0 && !terms.accept_inferred {
            open = true;
            reasons.push(format!(
                "{inferred} of its paths are inferred from the calls; --accept-inferred lets them pass"
            ));
        }
        let unproven = region
            .paths
            .iter()
            .filter(|path| path.evidence == Evidence::Inferred)
            .fold(0, |sum: u64, path| sum.saturating_add(path.totals.direct));
        if unproven > 0 {
            // Nobody can accept a device on which a CPU may copy.
            open = true;
            reasons.push(format!(
                "{}: {} are direct, but their device is not known to use DMA",
                rules::DEVICE_UNKNOWN,
                bytes(unproven)
            ));
        }
        let verdict = match (broken, open || !against.is_empty()) {
            (true, _) => Verdict::Fail,
            (false, true) => Verdict::Inconclusive,
            (false, false) => Verdict::Pass,
        };
        if verdict == Verdict::Inconclusive {
            reasons.extend(against.iter().cloned());
        }
        Self {
            region,
            verdict: Some(verdict),
            excess,
            reasons,
        }
    }
}

/// What stands against a PASS of any region.
fn against_all(
    by_region: &ByRegion,
    markers: Markers,
    terms: Terms,
    snapshot: &Snapshot,
    circumstances: Circumstances,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(flaw) = markers.flaw() {
        reasons.push(format!("regions are not exact: {flaw}"));
    }
    let workers = &by_region.of_workers;
    if workers.moved > 0 || workers.copies() > 0 {
        reasons.push(format!(
            "io_uring threads moved {}, which cannot be assigned to a region; use process regions",
            bytes(workers.moved)
        ));
    }
    let claim = Claim {
        max_copies_per_byte: Some(0.0),
        accept_inferred: terms.accept_inferred,
        allow_encryption: true,
        ..Claim::named("test")
    };
    reasons.extend(late(&claim, snapshot));
    let against = standing::against(&claim, snapshot, circumstances);
    reasons.extend(
        against
            .into_iter()
            .map(|reason| format!("{}: {}", reason.code, reason.evidence)),
    );
    reasons
}

/// Copies that may be of any region.
fn late(claim: &Claim, snapshot: &Snapshot) -> Vec<String> {
    let pending = snapshot
        .processes
        .iter()
        .fold(0, |sum: u64, process| sum.saturating_add(process.pending));
    let unattributed = rules::unattributed(&State {
        claim,
        snapshot,
        circumstances: Circumstances::default(),
    });
    let paths = snapshot.processes.iter().flat_map(|process| &process.paths);
    let unattributed = unattributed.saturating_add(sent_again(paths, rules::sent_again(snapshot)));
    let mut reasons = Vec::new();
    if pending > 0 {
        reasons.push(format!(
            "{}: {}, {}",
            rules::PENDING.code,
            rules::pending(snapshot),
            bytes(pending)
        ));
    }
    if unattributed > 0 {
        reasons.push(format!(
            "unattributed-copies: the kernel copied {} for an unknown process",
            bytes(unattributed)
        ));
    }
    reasons
}

#[cfg(test)]
mod tests {
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
        for (number, (evidence, numbers, markers, terms, expected)) in cases.into_iter().enumerate()
        {
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
}
