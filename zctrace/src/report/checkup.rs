//! The document of `doctor` for people.

use std::collections::BTreeSet;

use anstyle::Style;

use crate::{
    kernel::{
        doctor::{
            Document, FamilyReport, FamilyStatus, ProbeReport, ProbeStatus, SelfTest,
            TechniqueReport,
        },
        settings::Effect,
    },
    text::{
        columns::{Align, Cell, Column, Columns, Narrow},
        escape::printable,
        style::{Surface, paint},
    },
};

/// From this number on, probes refused for the same reason are one line.
const MANY: usize = 4;

/// The whole report; `all` shows the probes that are as they should be, too.
#[must_use]
pub fn report(document: &Document, all: bool, surface: Surface) -> String {
    let strong = surface.palette.strong;
    let mut text = paint(
        strong,
        &format!(
            "zctrace {} on Linux {} {}",
            document.version,
            printable(&document.kernel),
            document.arch
        ),
    );
    text.push('\n');
    let mut section = |title: &str, rows: Vec<Entry>| {
        text.push('\n');
        text.push_str(&paint(strong, title));
        text.push('\n');
        text.push_str(&table(rows, surface));
    };

    let title = format!("Privileges (uid {})", document.privileges.uid);
    section(&title, privileges(document));
    section("Kernel", settings(document));
    match &document.config.source {
        Some(source) => section(&format!("Configuration ({source})"), options(document)),
        None => section(
            "Configuration",
            vec![Entry::new(
                Mark::Unknown,
                "no file",
                "",
                "none of the usual files can be read",
            )],
        ),
    }
    if !document.techniques.is_empty() {
        section("What is seen", techniques(&document.techniques));
    }
    if !document.probes.is_empty() {
        section(&summary(&document.probes), probes(&document.probes, all));
    }
    if let Some(test) = &document.self_test {
        section(&tested(test), families(test, all));
    }
    text.push('\n');
    text.push_str(&verdict(document, surface));
    text
}

#[derive(Clone, Copy)]
enum Mark {
    Good,
    Limited,
    Bad,
    Unknown,
}

struct Entry {
    mark: Mark,
    name: String,
    value: String,
    text: String,
}

impl Entry {
    fn new(mark: Mark, name: &str, value: &str, text: &str) -> Self {
        Self {
            mark,
            name: name.into(),
            value: value.into(),
            text: text.into(),
        }
    }
}

fn table(rows: Vec<Entry>, surface: Surface) -> String {
    let column = |narrow: Option<(usize, usize)>| Column {
        header: "",
        align: Align::Left,
        narrow: narrow.map(|(comfortable, least)| Narrow { comfortable, least }),
    };
    let mut table = Columns::new(vec![
        column(None),
        column(Some((28, 12))),
        column(Some((16, 8))),
        column(Some((30, 14))),
    ]);
    let palette = surface.palette;
    for entry in rows {
        let (word, style) = match entry.mark {
            Mark::Good => ("  ok", palette.good),
            Mark::Limited => ("  --", palette.warning),
            Mark::Bad => ("  NO", palette.alarm),
            Mark::Unknown => ("  ??", palette.faint),
        };
        table.row(vec![
            Cell::unbroken(word, style),
            Cell::new(&printable(&entry.name), Style::new()),
            Cell::new(&printable(&entry.value), Style::new()),
            Cell::new(&printable(&entry.text), palette.faint),
        ]);
    }
    table.render(surface)
}

fn privileges(document: &Document) -> Vec<Entry> {
    let capabilities = &document.privileges.capabilities;
    capabilities
        .iter()
        .map(|capability| {
            let mark = match (capability.held, capability.required) {
                (true, _) => Mark::Good,
                (false, true) => Mark::Bad,
                (false, false) => Mark::Limited,
            };
            Entry::new(mark, &capability.name, "", &capability.purpose)
        })
        .collect()
}

fn settings(document: &Document) -> Vec<Entry> {
    let settings = &document.settings;
    settings
        .iter()
        .map(|setting| {
            let mark = match setting.effect {
                Effect::Fine => Mark::Good,
                Effect::Limits => Mark::Limited,
                Effect::Prevents => Mark::Bad,
            };
            let value = setting.value.as_deref().unwrap_or("-");
            Entry::new(mark, &setting.name, value, &setting.meaning)
        })
        .collect()
}

fn options(document: &Document) -> Vec<Entry> {
    let options = &document.config.options;
    options
        .iter()
        .map(|option| {
            let mark = match &option.consequence {
                None => Mark::Good,
                Some(_) => Mark::Limited,
            };
            let text = option.consequence.as_deref().unwrap_or_default();
            Entry::new(mark, &option.name, &option.value, text)
        })
        .collect()
}

/// A way of moving bytes each, however many probes that takes.
fn techniques(all: &[TechniqueReport]) -> Vec<Entry> {
    let line = |technique: &TechniqueReport| {
        let (mark, value, text) = match technique.sight.as_str() {
            "measured" => (Mark::Good, "measured", ""),
            "partly" => (
                Mark::Limited,
                "partly",
                "some of its sites are not watched; their bytes are unexplained",
            ),
            "inferred" => (
                Mark::Limited,
                "inferred",
                "bytes are counted, but how they moved is concluded from the calls",
            ),
            "not_seen" => (
                Mark::Bad,
                "not seen",
                "its copies are in no row and in no figure",
            ),
            other => (Mark::Unknown, other, ""),
        };
        Entry::new(mark, &technique.name, value, text)
    };
    all.iter().map(line).collect()
}

fn summary(probes: &[ProbeReport]) -> String {
    let statuses = [
        ProbeStatus::Attached,
        ProbeStatus::Refused,
        ProbeStatus::Silent,
        ProbeStatus::NotNeeded,
    ];
    let counts: Vec<_> = statuses
        .into_iter()
        .map(|status| {
            (
                status,
                probes.iter().filter(|probe| probe.status == status).count(),
            )
        })
        .filter(|(_, count)| *count != 0)
        .map(|(status, count)| format!("{count} {}", status.name()))
        .collect();
    format!("Probes: {}", counts.join(", "))
}

fn probes(probes: &[ProbeReport], all: bool) -> Vec<Entry> {
    if all {
        return probes.iter().map(probe).collect();
    }
    let mut entries = Vec::new();
    let mut told = BTreeSet::new();
    let notable =
        |probe: &&ProbeReport| matches!(probe.status, ProbeStatus::Refused | ProbeStatus::Silent);
    for one in probes.iter().filter(notable) {
        let alike: Vec<_> = probes
            .iter()
            .filter(notable)
            .filter(|other| (other.status, &other.cause) == (one.status, &one.cause))
            .collect();
        if alike.len() < MANY {
            entries.push(probe(one));
        } else if told.insert(&one.cause) {
            entries.push(group(one, &alike));
        }
    }
    entries
}

/// Probes that share a fate.
fn group(one: &ProbeReport, alike: &[&ProbeReport]) -> Entry {
    let kinds: BTreeSet<_> = alike.iter().map(|probe| probe.kind.as_str()).collect();
    let kinds: Vec<_> = kinds.into_iter().collect();
    Entry {
        name: format!("{} probes", alike.len()),
        value: kinds.join(" "),
        // What that means is told above, by technique.
        text: format!(
            "{} (--all shows what each of them sees)",
            one.cause.as_deref().unwrap_or(one.status.name())
        ),
        ..probe(one)
    }
}

fn probe(probe: &ProbeReport) -> Entry {
    let mark = match probe.status {
        ProbeStatus::Attached => Mark::Good,
        ProbeStatus::Refused => Mark::Limited,
        ProbeStatus::Silent => Mark::Bad,
        ProbeStatus::NotNeeded => Mark::Unknown,
    };
    let mut text = match (&probe.cause, probe.status) {
        (Some(cause), _) => cause.clone(),
        (None, status) => status.name().into(),
    };
    if matches!(probe.status, ProbeStatus::Refused | ProbeStatus::Silent) {
        text = format!("{text}; lost: {}", probe.lost);
    }
    let value = if probe.symbol == probe.name {
        probe.kind.clone()
    } else {
        format!("{} {}", probe.kind, probe.symbol)
    };
    Entry::new(mark, &probe.name, &value, &text)
}

/// The title of the self-test's section.
fn tested(test: &SelfTest) -> String {
    if let Some(reason) = &test.refused {
        return format!("Self-test: not run ({})", printable(reason));
    }
    let statuses = [
        (FamilyStatus::Ok, "accounted for to the byte"),
        (FamilyStatus::Differs, "differ"),
        (FamilyStatus::Failed, "failed"),
        (FamilyStatus::Skipped, "skipped"),
    ];
    let mut parts: Vec<_> = statuses
        .into_iter()
        .map(|(status, words)| (test.count(status), words))
        .filter(|(count, _)| *count != 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    if test.lost != 0 {
        parts.push(format!("{} events lost", test.lost));
    }
    if test.interrupted {
        parts.push("interrupted".into());
    }
    format!("Self-test, families of known bytes: {}", parts.join(", "))
}

fn families(test: &SelfTest, all: bool) -> Vec<Entry> {
    let families = test.families.iter();
    families
        .filter(|family| all || family.status != FamilyStatus::Ok)
        .map(family)
        .collect()
}

fn family(family: &FamilyReport) -> Entry {
    let (mark, word) = match family.status {
        FamilyStatus::Ok => (Mark::Good, ""),
        FamilyStatus::Differs => (Mark::Bad, "differs"),
        FamilyStatus::Failed => (Mark::Bad, "failed"),
        FamilyStatus::Skipped => (Mark::Unknown, "skipped"),
    };
    Entry::new(mark, &family.name, word, &family.details.join("; "))
}

fn verdict(document: &Document, surface: Surface) -> String {
    let palette = surface.palette;
    let mut lines = Columns::new(Vec::new());
    let (text, style) = match (&document.cause, &document.backend) {
        (Some(cause), _) => (
            format!("Nothing can be measured here: {cause}."),
            palette.alarm,
        ),
        (None, backend) => {
            let backend = backend.as_deref().unwrap_or("-");
            let text = format!("zctrace can measure here (backend: {backend}).");
            (text, palette.good)
        }
    };
    lines.text(Cell::new(&text, style), 0);
    for advice in &document.advice {
        lines.text(Cell::new(&printable(advice), Style::new()), 2);
    }
    lines.render(surface)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{
        doctor::tests::{facts, probe},
        privileges::Privileges,
        settings,
    };

    fn at_all_widths(document: &Document) -> String {
        let mut text = String::new();
        for width in [60, 80, 120] {
            let surface = Surface {
                width,
                ..Surface::FILE
            };
            text.push_str(&format!("--- {width} columns\n"));
            text.push_str(&report(document, false, surface));
        }
        text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
    }

    #[test]
    fn a_machine_where_it_works() {
        insta::assert_snapshot!(at_all_widths(&facts().conclude()));
    }

    #[test]
    fn a_machine_where_it_does_not() {
        let mut facts = facts();
        facts.privileges = Privileges::of(1000, []);
        facts.settings.push(settings::kptr(Some("2".into()), true));
        facts.config = None;
        facts.survey = Err("refused".into());
        let mut document = facts.conclude();
        // The path of the test binary is not the same everywhere.
        document.advice.remove(1);
        insta::assert_snapshot!(at_all_widths(&document));
    }

    #[test]
    fn probes_refused_alike_are_one_line() {
        let mut facts = facts();
        if let Ok(survey) = &mut facts.survey {
            for number in 0..9 {
                let name = format!("site_{number}");
                survey.probes.push(probe(&name, ProbeStatus::Refused));
            }
        }
        let document = facts.conclude();
        let few = report(&document, false, Surface::FILE);
        assert!(few.contains("10 probes"), "{few}");
        assert!(!few.contains("site_3"));
        assert!(report(&document, true, Surface::FILE).contains("site_3"));
    }

    #[test]
    fn the_self_test_shows_what_is_wrong() {
        let family = |name: &str, status, details: &[&str]| FamilyReport {
            name: name.into(),
            status,
            details: details.iter().map(ToString::to_string).collect(),
        };
        let mut facts = facts();
        if let Ok(survey) = &mut facts.survey {
            survey.self_test = Some(SelfTest {
                families: vec![
                    family("pipe", FamilyStatus::Ok, &[]),
                    family("tcp", FamilyStatus::Differs, &["send tcp: moved is 0"]),
                    family("file-xfs-read", FamilyStatus::Skipped, &["no mkfs.xfs"]),
                ],
                ..SelfTest::default()
            });
        }
        let document = facts.conclude();
        let few = report(&document, false, Surface::FILE);
        assert!(
            few.contains("1 accounted for to the byte, 1 differ, 1 skipped"),
            "{few}"
        );
        assert!(few.contains("send tcp: moved is 0") && few.contains("no mkfs.xfs"));
        assert!(!few.contains("pipe"), "{few}");
        assert!(report(&document, true, Surface::FILE).contains("pipe"));
        assert!(!document.self_test.unwrap().passed());
    }

    #[test]
    fn probes_that_are_fine_are_shown_on_request() {
        let mut facts = facts();
        if let Ok(survey) = &mut facts.survey {
            survey
                .probes
                .push(probe("add_to_pipe", ProbeStatus::Silent));
            survey
                .probes
                .push(probe("copy_page", ProbeStatus::NotNeeded));
        }
        let document = facts.conclude();
        assert!(!document.self_tested);
        let few = report(&document, false, Surface::FILE);
        assert!(few.contains("1 attached, 1 refused, 1 silent, 1 not needed"));
        assert!(!few.contains("filemap_read"));
        assert!(few.contains("add_to_pipe"));
        let all = report(&document, true, Surface::FILE);
        assert!(all.contains("filemap_read") && all.contains("copy_page"));
    }
}
