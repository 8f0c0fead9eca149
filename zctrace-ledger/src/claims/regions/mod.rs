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
mod tests;
