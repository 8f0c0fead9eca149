//! What `zctrace test` reports: a line for each region, and `JUnit` XML.

use std::fmt::Write as _;

use anstyle::Style;

use super::junit::{Cases, escaped, head};
use crate::{
    claims::{Tested, TestedRegion, Verdict},
    ledger::Totals,
    text::{
        bytes::{bytes, count},
        columns::{Align, Cell, Column, Columns, Narrow},
        escape::printable,
        style::{Surface, paint},
    },
};

/// Most regions that are shown, the worst first; the document has them all.
const MOST: usize = 40;

/// The report for people.
#[must_use]
pub fn report(tested: &Tested, surface: Surface) -> String {
    let palette = surface.palette;
    let mut columns = Columns::new(vec![
        column("REGION", Align::Left),
        column("BEGUN", Align::Right),
        column("OPS", Align::Right),
        column("MOVED", Align::Right),
        column("COPIED", Align::Right),
        column("COPIES/B", Align::Right),
        column("VERDICT", Align::Left),
    ]);
    let mut regions: Vec<_> = tested.regions.iter().collect();
    regions.sort_by_key(|region| std::cmp::Reverse(region.verdict));
    for region in regions.iter().take(MOST) {
        let style = region
            .verdict
            .map_or(Style::new(), |verdict| match verdict {
                Verdict::Pass => palette.good,
                Verdict::Inconclusive => palette.warning,
                Verdict::Fail => palette.alarm,
            });
        let word = region.verdict.map_or("", Verdict::word);
        let begun = count(region.region.begun);
        row(
            &mut columns,
            &region.region.name,
            &begun,
            &region.region.totals,
            word,
            style,
        );
        for reason in &region.reasons {
            columns.text(Cell::new(&printable(reason), Style::new()), 4);
        }
    }
    let others = [
        ("(no region)", &tested.outside),
        ("(threads of io_uring)", &tested.of_workers),
    ];
    for (name, totals) in others {
        if !totals.is_empty() {
            row(&mut columns, name, "", totals, "", palette.faint);
        }
    }
    let mut text = columns.render(surface);
    if regions.len() > MOST {
        let _ = writeln!(
            text,
            "... and {} more; --json has them all",
            regions.len() - MOST
        );
    }
    if regions.is_empty() {
        text.push_str("no region was begun; `zctrace explain region` says how one is\n");
    }
    for name in tested.not_begun.iter().take(MOST) {
        let _ = writeln!(text, "not begun: {}", printable(name));
    }
    // Without figures nothing is judged, and only what makes the figures themselves wrong matters.
    let flaw = tested.flaw();
    let against = match tested.verdict {
        Some(_) => tested.reasons.clone(),
        None => flaw
            .map(|flaw| format!("the figures are not exact: {flaw}"))
            .into_iter()
            .collect(),
    };
    for reason in against {
        text.push_str(&paint(palette.warning, &printable(&reason)));
        text.push('\n');
    }
    if let Some(verdict) = tested.verdict {
        let _ = writeln!(text, "{}", line(tested, verdict));
    }
    text
}

fn column(header: &'static str, align: Align) -> Column {
    // Only names can be long.
    let narrow = (header == "REGION").then_some(Narrow {
        comfortable: 24,
        least: 12,
    });
    Column {
        header,
        align,
        narrow,
    }
}

fn row(columns: &mut Columns, name: &str, begun: &str, totals: &Totals, word: &str, style: Style) {
    let plain = Style::new();
    columns.row(vec![
        Cell::new(&printable(name), plain),
        Cell::new(begun, plain),
        Cell::new(&count(totals.ops), plain),
        Cell::new(&bytes(totals.moved), plain),
        Cell::new(&bytes(totals.copies()), plain),
        Cell::new(&totals.per_byte().to_string(), plain),
        Cell::new(word, style),
    ]);
}

/// The answer in one line.
#[must_use]
pub fn line(tested: &Tested, verdict: Verdict) -> String {
    let of = |verdict| {
        let is = |region: &&TestedRegion| region.verdict == Some(verdict);
        tested.regions.iter().filter(is).count()
    };
    format!(
        "{}: of {} regions {} pass, {} fail, {} are inconclusive",
        verdict.word(),
        tested.regions.len(),
        of(Verdict::Pass),
        of(Verdict::Fail),
        of(Verdict::Inconclusive)
    )
}

/// A test case for each region. An inconclusive one is an error, as a test that could not run is. Without figures to
/// compare with, regions are skipped, or errors if their own figures are not exact.
#[must_use]
pub fn junit(tested: &Tested) -> String {
    let flaw = tested.flaw().filter(|_| tested.verdict.is_none());
    let mut cases: Vec<_> = tested
        .regions
        .iter()
        .map(|region| {
            let (tag, mut reasons) = (tag(region.verdict, flaw.is_some()), region.reasons.clone());
            if region.verdict.is_none() {
                let reason = flaw
                    .as_deref()
                    .unwrap_or("there is no --ratchet to judge by");
                reasons.insert(0, reason.to_owned());
            }
            (region.region.name.as_str(), tag, reasons, Some(region))
        })
        .collect();
    let is_told = |wanted: &str| cases.iter().any(|(_, tag, ..)| *tag == Some(wanted));
    // What stands against the whole and is no region's.
    let whole = match tested.verdict {
        Some(Verdict::Inconclusive) => tested.reasons.clone(),
        Some(_) => Vec::new(),
        None => flaw.into_iter().collect(),
    };
    if !whole.is_empty() && !is_told(ERROR) {
        cases.push(("regions of the file", Some(ERROR), whole, None));
    }
    let of = |wanted: &str| {
        let are = cases.iter().filter(|(_, tag, ..)| *tag == Some(wanted));
        are.count()
    };
    let counts = Cases {
        all: cases.len(),
        failures: of(FAILURE),
        errors: of(ERROR),
        skipped: of(SKIPPED),
    };
    let mut text = head("zctrace test", &counts, &tested.stat);
    for (name, tag, reasons, region) in &cases {
        case(&mut text, name, *tag, reasons, *region);
    }
    text.push_str("</testsuite>\n");
    text
}

const FAILURE: &str = "failure";
const ERROR: &str = "error";
const SKIPPED: &str = "skipped";

/// What a test case is marked with.
const fn tag(verdict: Option<Verdict>, is_flawed: bool) -> Option<&'static str> {
    match (verdict, is_flawed) {
        (Some(Verdict::Pass), _) => None,
        (Some(Verdict::Fail), _) => Some(FAILURE),
        (Some(Verdict::Inconclusive), _) | (None, true) => Some(ERROR),
        (None, false) => Some(SKIPPED),
    }
}

fn case(
    text: &mut String,
    name: &str,
    tag: Option<&str>,
    reasons: &[String],
    region: Option<&TestedRegion>,
) {
    let _ = writeln!(
        text,
        "  <testcase classname=\"zctrace.test\" name=\"{}\">",
        escaped(name)
    );
    if let Some(tag) = tag {
        let _ = writeln!(
            text,
            "    <{tag} message=\"{}\">{}</{tag}>",
            escaped(reasons.first().map_or("", String::as_str)),
            escaped(&reasons.join("\n"))
        );
    }
    if let Some(TestedRegion { region, .. }) = region {
        let figures: Vec<_> = [("ops", region.totals.ops)]
            .into_iter()
            .chain(region.totals.fields())
            .filter(|(_, figure)| *figure != 0)
            .map(|(name, figure)| format!("{name} {figure}"))
            .collect();
        let _ = writeln!(
            text,
            "    <system-out>{}</system-out>",
            escaped(&figures.join(", "))
        );
    }
    text.push_str("  </testcase>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        claims::{Circumstances, Terms, ratchet::Ratchet},
        ledger::{ByRegion, Markers, Region, region_labels, samples},
    };

    const HOSTILE: &str = "a\u{1b}[31m\"<b>";

    /// A region with a hostile name that copied 100 bytes and was not ended once, and one that copied nothing.
    fn tested(ratchet: Option<&Ratchet>, markers: Markers) -> Tested {
        let mut process = samples::normal().processes.swap_remove(0);
        (process.pending, process.in_flight) = (0, 0);
        process.paths = vec![
            samples::path("read", "file:ext4", samples::to_user(100)),
            samples::path("sendfile", "file:ext4->tcp", samples::spliced(9)),
        ];
        let mut snapshot = samples::with(vec![process]);
        let regions = [(1, HOSTILE), (2, "clean")].map(|(number, name)| Region {
            number,
            parent: 0,
            name: name.into(),
            begun: 2,
            ended: 1 + number / 2,
        });
        let labels = region_labels(&regions);
        for (path, number) in snapshot.processes[0].paths.iter_mut().zip(1..) {
            path.by = Some(labels[&number].as_str().into());
        }
        let by_region = ByRegion::of(&snapshot, &regions);
        let circumstances = Circumstances::default();
        Tested::new(
            by_region,
            markers,
            ratchet,
            Terms::default(),
            snapshot,
            circumstances,
        )
    }

    fn text(tested: &Tested) -> String {
        report(tested, Surface::FILE)
    }

    fn suite(tested: &Tested) -> String {
        let text = junit(tested);
        assert!(!text.contains('\u{1b}') && !text.contains("<b>"), "{text}");
        let line = text.lines().nth(1).expect("a suite").to_owned();
        let from = line.find("tests=").expect("counts");
        let to = line.find(" time=").expect("a time");
        line[from..to].to_owned()
    }

    #[test]
    fn what_is_judged_is_told() {
        let mut ratchet = Ratchet::default();
        ratchet.tighten(HOSTILE, &samples::to_user(99));
        ratchet.tighten("clean", &samples::spliced(9));
        let tested = tested(Some(&ratchet), Markers::default());
        let text = text(&tested);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(
            text.contains("FAIL: of 2 regions 1 pass, 1 fail, 0 are inconclusive"),
            "{text}"
        );
        assert!(
            text.contains("1 of 2 times it was not ended by a marker"),
            "{text}"
        );
        assert_eq!(
            suite(&tested),
            "tests=\"2\" failures=\"1\" errors=\"0\" skipped=\"0\""
        );
    }

    #[test]
    fn what_nothing_judges_does_not_look_like_a_success() {
        let plain = tested(None, Markers::default());
        assert_eq!(
            suite(&plain),
            "tests=\"2\" failures=\"0\" errors=\"0\" skipped=\"2\""
        );
        let flawed = Markers {
            unseen: 1,
            ..Markers::default()
        };
        let flawed = tested(None, flawed);
        assert_eq!(
            suite(&flawed),
            "tests=\"2\" failures=\"0\" errors=\"2\" skipped=\"0\""
        );
        assert!(text(&flawed).contains("lines that were not seen at the write: 1"));
    }

    #[test]
    fn a_suite_without_regions_is_no_success() {
        let of = |ratchet: Option<&Ratchet>, markers| {
            let snapshot = samples::with(Vec::new());
            let circumstances = Circumstances::default();
            let terms = Terms::default();
            let none = ByRegion::default();
            suite(&Tested::new(
                none,
                markers,
                ratchet,
                terms,
                snapshot,
                circumstances,
            ))
        };
        let one_error = "tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\"";
        assert_eq!(of(Some(&Ratchet::default()), Markers::default()), one_error);
        let refused = Markers {
            refused: 1,
            ..Markers::default()
        };
        assert_eq!(of(None, refused), one_error);
    }
}
