//! The series as OpenMetrics text.

use std::{fmt, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{
    series::Series,
    verdicts,
    waits::{OpLabels, Waits},
};
use crate::{claims::Verdict, ledger::Totals};

/// Media type of what [`text`] returns.
pub(super) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels of data paths, which depend on what was asked for.
type Labels = Vec<(&'static str, String)>;

/// Where `class` stands among them: behind those that are always there.
const CLASS_AT: usize = 4;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct AllLabels {
    class: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WorkLabels {
    work: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrnoLabels {
    op: String,
    errno: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TechniqueLabels {
    technique: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClaimLabels {
    claim: String,
    verdict: String,
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    claim: String,
    verdict: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: String,
    kernel: String,
    backend: String,
}

/// Everything, in the format of OpenMetrics.
pub(super) fn text(series: &Series) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("zctrace");
    let rows = Rows::of(series);
    add_build(&mut registry, series);
    rows.add_operations(&mut registry);
    add_not_seen(&mut registry, series);
    add_errnos(&mut registry, series);
    add_notified(&mut registry, series);
    add_cpu(&mut registry, series);
    rows.add_bytes(&mut registry);
    add_unattributed(&mut registry, series);
    add_losses(&mut registry, series);
    add_limits(&mut registry, series);
    add_sums(&mut registry, series);
    add_claims(&mut registry, series);
    add_own(&mut registry, series);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

fn add_build(registry: &mut Registry, series: &Series) {
    let info = Family::<BuildLabels, Gauge>::default();
    // Before the first reading nothing is known of the kernel, and a series of its own would stay for that.
    if series.is_ready() {
        info.get_or_create(&BuildLabels {
            version: env!("CARGO_PKG_VERSION").into(),
            kernel: series.kernel.clone(),
            backend: series.backend.clone(),
        })
        .set(1);
    }
    registry.register(
        "build_info",
        "zctrace, the kernel and how it is traced",
        info,
    );
}

/// What was counted of each data path.
#[derive(Default)]
struct Rows {
    operations: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    moved: Family<Labels, Counter>,
    further: Family<Labels, Counter>,
    lower_bounds: Family<Labels, Gauge>,
}

impl Rows {
    fn of(series: &Series) -> Self {
        let rows = Self::default();
        for (key, totals, _) in series.slots.rows() {
            rows.count(&key.labels(), totals);
        }
        rows
    }

    fn count(&self, labels: &Labels, totals: &Totals) {
        self.operations.get_or_create(labels).inc_by(totals.ops);
        if totals.errors != 0 {
            self.errors.get_or_create(labels).inc_by(totals.errors);
        }
        if totals.is_lower_bound() {
            self.lower_bounds.get_or_create(labels).set(1);
        }
        let classes = totals.classes().map(|class| (&self.moved, class));
        let extras = totals.extras().map(|extra| (&self.further, extra));
        for (family, (class, bytes)) in classes.into_iter().chain(extras) {
            if bytes != 0 {
                let mut labels = labels.clone();
                labels.insert(CLASS_AT, ("class", class.into()));
                family.get_or_create(&labels).inc_by(bytes);
            }
        }
    }

    fn add_operations(&self, registry: &mut Registry) {
        registry.register(
            "operations",
            "Completed I/O operations",
            self.operations.clone(),
        );
        registry.register(
            "operation_errors",
            "Operations that ended in an error, EAGAIN included",
            self.errors.clone(),
        );
    }

    fn add_bytes(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "moved",
            "Bytes that operations reported as done, by how they moved",
            Unit::Bytes,
            self.moved.clone(),
        );
        registry.register_with_unit(
            "further",
            "Copies, and passes of a cipher, that explain no moved byte",
            Unit::Bytes,
            self.further.clone(),
        );
        registry.register(
            "copies_per_byte_is_lower_bound",
            "1 if some bytes moved unseen: more may have been copied than was counted",
            self.lower_bounds.clone(),
        );
    }
}

fn add_not_seen(registry: &mut Registry, series: &Series) {
    let not_seen = Family::<TechniqueLabels, Gauge>::default();
    for technique in &series.not_seen {
        let technique = (*technique).to_owned();
        not_seen
            .get_or_create(&TechniqueLabels { technique })
            .set(1);
    }
    registry.register(
        "not_seen",
        "1 for a technique that cannot be seen here: its copies are in no other number",
        not_seen,
    );
}

fn add_errnos(registry: &mut Registry, series: &Series) {
    let errnos = Family::<ErrnoLabels, Counter>::default();
    for ((op, errno), count) in &series.errnos {
        let (op, errno) = (op.clone(), errno.clone());
        let labels = ErrnoLabels { op, errno };
        errnos.get_or_create(&labels).inc_by(*count);
    }
    registry.register(
        "operation_errnos",
        "Operations of all commands that ended in an error, by errno",
        errnos,
    );
}

fn add_notified(registry: &mut Registry, series: &Series) {
    registry.register_with_unit(
        "notification",
        "Time from a zero-copy send of any command until it was notified that its memory is free again",
        Unit::Seconds,
        Waits::of(series),
    );
    let bytes = Family::<OpLabels, Counter>::default();
    let pinned = Family::<OpLabels, Counter<f64, AtomicU64>>::default();
    for (op, notified) in &series.notified {
        let labels = OpLabels { op: op.clone() };
        bytes.get_or_create(&labels).inc_by(notified.bytes);
        let seconds = notified.pinned_byte_us as f64 / 1e6;
        pinned.get_or_create(&labels).inc_by(seconds);
    }
    registry.register_with_unit(
        "notified",
        "Bytes of zero-copy sends that were notified",
        Unit::Bytes,
        bytes,
    );
    registry.register(
        "pinned_byte_seconds",
        "Bytes of zero-copy sends times the seconds until they were notified: its rate is the bytes pinned on average",
        pinned,
    );
}

fn add_cpu(registry: &mut Registry, series: &Series) {
    let cpu = Family::<WorkLabels, Counter<f64, AtomicU64>>::default();
    for (work, seconds) in series.cpu() {
        let work = work.into();
        cpu.get_or_create(&WorkLabels { work }).inc_by(seconds);
    }
    registry.register_with_unit(
        "cpu",
        "Processor time of all commands by what was done in it, from samples",
        Unit::Seconds,
        cpu,
    );
}

fn add_unattributed(registry: &mut Registry, series: &Series) {
    registry.register_with_unit(
        "unattributed_copied",
        "Bytes that kernel threads copied for unknown operations",
        Unit::Bytes,
        counter(Totals::copies(&series.unattributed)),
    );
}

/// What is missing from the other numbers.
fn add_losses(registry: &mut Registry, series: &Series) {
    registry.register(
        "lost_events",
        "What zctrace could not count: other numbers are too low",
        by_kind(series.lost()),
    );
    registry.register(
        "unfollowed_calls",
        "Calls and rings that move bytes and that zctrace cannot follow on this kernel: they are in no other number",
        by_kind(series.unfollowed()),
    );
}

/// What the limit on the number of series did.
fn add_limits(registry: &mut Registry, series: &Series) {
    registry.register(
        "folded_rows",
        "Rows counted in the series whose labels are all other, because there was no series left",
        counter(series.slots.folded),
    );
    registry.register(
        "ended_series",
        "Data paths whose series ended, because they were idle or others moved more",
        counter(series.slots.ended),
    );
}

/// The bytes of all data paths.
fn add_sums(registry: &mut Registry, series: &Series) {
    registry.register_with_unit(
        "all_moved",
        "Bytes that all operations reported as done, those of ended series included",
        Unit::Bytes,
        by_class(series.whole.classes()),
    );
    registry.register_with_unit(
        "all_further",
        "Copies, and passes of a cipher, that explain no moved byte, those of ended series included",
        Unit::Bytes,
        by_class(series.whole.extras()),
    );
}

fn add_claims(registry: &mut Registry, series: &Series) {
    let verdicts = Family::<ClaimLabels, Gauge>::default();
    let intervals = Family::<VerdictLabels, Counter>::default();
    for judged in &series.claims {
        if let Some((verdict, reason)) = &judged.last {
            let labels = ClaimLabels {
                claim: judged.name(),
                verdict: verdicts::label(*verdict).into(),
                reason: reason.clone(),
            };
            verdicts.get_or_create(&labels).set(1);
        }
        for verdict in [Verdict::Pass, Verdict::Inconclusive, Verdict::Fail] {
            let labels = VerdictLabels {
                claim: judged.name(),
                verdict: verdicts::label(verdict).into(),
            };
            let count = judged.counts.get(&verdict).copied().unwrap_or(0);
            intervals.get_or_create(&labels).inc_by(count);
        }
    }
    registry.register(
        "claim",
        "1 for the verdict of a claim of --policy on the last interval, with its first reason",
        verdicts,
    );
    registry.register(
        "claim_intervals",
        "Intervals by the verdict of each claim of --policy",
        intervals,
    );
}

/// What zctrace itself did.
fn add_own(registry: &mut Registry, series: &Series) {
    registry.register(
        "readings",
        "Readings of the kernel's counters",
        counter(series.readings),
    );
    let probes = Family::<KindLabels, Gauge>::default();
    for (kind, count) in [("attached", series.attached), ("refused", series.refused)] {
        probes
            .get_or_create(&KindLabels { kind: kind.into() })
            .set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register(
        "probes",
        "Probes by whether the kernel accepted them",
        probes,
    );
    let pushes = [
        ("accepted", series.pushed),
        ("failed", series.push_failures),
        ("dropped", series.push_dropped),
    ];
    registry.register("otlp_pushes", "Pushes to --otlp", by_kind(pushes));
}

fn by_kind(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Family<KindLabels, Counter> {
    let family = Family::<KindLabels, Counter>::default();
    for (kind, count) in counts {
        let kind = kind.into();
        family.get_or_create(&KindLabels { kind }).inc_by(count);
    }
    family
}

fn by_class(classes: impl IntoIterator<Item = (&'static str, u64)>) -> Family<AllLabels, Counter> {
    let family = Family::<AllLabels, Counter>::default();
    for (class, bytes) in classes {
        let class = class.into();
        family.get_or_create(&AllLabels { class }).inc_by(bytes);
    }
    family
}

fn counter(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        claims::{Circumstances, Policy, judge},
        ledger::{Notified, samples},
    };

    #[test]
    fn classes_add_up_to_what_was_moved() {
        let mut series = Series::new(100, false, Duration::from_secs(1));
        let snapshot = samples::normal();
        series.add(&snapshot);
        let text = text(&series).unwrap();
        let sum: u64 = text
            .lines()
            .filter(|line| line.starts_with("zctrace_moved_bytes_total{"))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        let moved: u64 = snapshot.processes.iter().map(|p| p.total.moved).sum();
        assert_eq!(sum, moved);
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_claim_has_one_verdict_with_its_reason() {
        let policy = Policy::parse(
            "[[claim]]\nname = \"no copies\"\nmax_copies_per_byte = 0.0\nmin_bytes = 1\n",
        );
        let claims = policy.unwrap().claims;
        let mut series =
            Series::new(100, false, Duration::from_secs(1)).with_claims(claims.clone());
        assert!(!text(&series).unwrap().contains("zctrace_claim{"));
        let snapshot = samples::normal();
        series.add(&snapshot);
        series.add(&snapshot);
        let judgement = judge(&claims[0], &snapshot, Circumstances::default());
        assert_eq!(judgement.verdict, Verdict::Fail, "it copies");
        let text = text(&series).unwrap();
        let gauges = text
            .lines()
            .filter(|line| line.starts_with("zctrace_claim{"));
        let reason = &judgement.reasons[0].code;
        let expected =
            format!(r#"zctrace_claim{{claim="no copies",verdict="fail",reason="{reason}"}} 1"#);
        assert_eq!(gauges.collect::<Vec<_>>(), [expected]);
        let counter = r#"zctrace_claim_intervals_total{claim="no copies",verdict="fail"} 2"#;
        assert!(text.contains(counter), "{text}");
    }

    #[test]
    fn waits_for_notifications_are_a_histogram() {
        let mut series = Series::new(100, false, Duration::from_secs(1));
        let mut snapshot = samples::normal();
        series.add(&snapshot);
        let lines = |series: &Series| {
            let text = text(series).unwrap();
            let lines = text
                .lines()
                .filter(|line| line.starts_with("zctrace_notif"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(lines(&series), [""; 0], "there were none");
        snapshot.processes.truncate(1);
        snapshot.processes[0].paths.truncate(1);
        let path = &mut snapshot.processes[0].paths[0];
        path.op = "send.zerocopy".into();
        path.notified = Notified {
            sends: 3,
            bytes: 12_288,
            ns: 69_000_000_000,
            pinned_byte_us: 2_500_000,
            histogram: [(2048, 2), (1 << 36, 1)].into_iter().collect(),
        };
        series.add(&snapshot);
        series.add(&snapshot);
        let lines = lines(&series);
        for line in [
            r#"zctrace_notification_seconds_sum{op="send.zerocopy"} 138.0"#,
            r#"zctrace_notification_seconds_count{op="send.zerocopy"} 6"#,
            r#"zctrace_notification_seconds_bucket{le="0.000001024",op="send.zerocopy"} 0"#,
            r#"zctrace_notification_seconds_bucket{le="0.000004096",op="send.zerocopy"} 4"#,
            r#"zctrace_notification_seconds_bucket{le="68.719476736",op="send.zerocopy"} 4"#,
            r#"zctrace_notification_seconds_bucket{le="+Inf",op="send.zerocopy"} 6"#,
            r#"zctrace_notified_bytes_total{op="send.zerocopy"} 24576"#,
        ] {
            assert!(
                lines.iter().any(|found| found == line),
                "{line}: {lines:#?}"
            );
        }
        let pinned = r#"zctrace_pinned_byte_seconds_total{op="send.zerocopy"} 5.0"#;
        assert!(text(&series).unwrap().contains(pinned));
    }

    #[test]
    fn no_kernel_is_named_before_it_is_known() {
        let mut series = Series::new(100, false, Duration::from_secs(1));
        assert!(!text(&series).unwrap().contains("zctrace_build_info{"));
        series.add(&samples::normal());
        assert!(text(&series).unwrap().contains("zctrace_build_info{"));
    }

    #[test]
    fn names_cannot_end_a_label() {
        let mut series = Series::new(100, false, Duration::from_secs(1));
        let mut snapshot = samples::normal();
        snapshot.processes[0].comm = "a\"} 1\n\x1b\u{202e}x{\\".into();
        series.add(&snapshot);
        let text = text(&series).unwrap();
        assert!(
            text.contains(r#"comm="a\"} 1\\x0a\\x1b\\u{202e}x{\\""#),
            "{text}"
        );
    }
}
