//! Pages that need nothing else: no font, no request, and no script to show their numbers. The one script sorts and
//! searches a table; the policy of the page allows no other.

mod chart;
mod cpu;
mod paths;
mod verdicts;

use std::fmt::Write as _;

use super::{flame, recorded::Document, table::unfollowed};
use crate::{
    ledger::{PerByte, Snapshot, Totals},
    text::{SCOPE, bytes, escape::xml},
};

pub(super) use verdicts::class as verdict_class;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// SHA-256 of the script, for the policy.
const SCRIPT_HASH: &str = "zJ2o0DpWQEkrEe+VK2U32sTQOoEPSFUNi6oZ6payP4o=";

/// The end of every page.
pub(super) fn foot() -> String {
    format!("<footer><p>Scope: {SCOPE}</p></footer>\n</body>\n</html>\n")
}

/// The beginning of every page.
pub(super) fn head(title: &str) -> String {
    let title = xml(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_HASH}'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

/// The page: the verdicts and the figures first, then what they rest on. Every number stands in a `data-value` as JSON
/// has it, beside what people read.
#[must_use]
pub fn page(document: &Document) -> String {
    let stat = &document.stat;
    let mut out = head(&format!("zctrace: {}", stat.target.words()));
    let _ = writeln!(
        out,
        "<p class=\"about\">{} from {}, on Linux {} ({}), {} backend.</p>",
        seconds(stat.duration_ns),
        xml(&time(&stat.started_at)),
        xml(&stat.kernel),
        xml(&stat.arch),
        xml(&stat.backend)
    );
    figures(&mut out, stat);
    verdicts::summary(&mut out, document);
    warnings(&mut out, document);
    contents(&mut out, document);
    totals(&mut out, &stat.total);
    chart::chart(&mut out, document);
    paths::paths(&mut out, document);
    cpu::table(&mut out, &document.stat);
    verdicts::verdicts(&mut out, document);
    graph(&mut out, document);
    let _ = writeln!(out, "<script>{SCRIPT}</script>");
    out.push_str(&foot());
    out
}

/// The figures that people ask for, large.
fn figures(out: &mut String, stat: &Snapshot) {
    let (sent, received) = stat.over_the_network();
    // A copy that has nothing to do with what was sent counts too.
    let all = |amount, did| {
        let (amount, copied) = (bytes::bytes(amount), bytes::bytes(stat.total.copies()));
        format!("{amount} {did}; all {copied} copied count")
    };
    let figures = [
        (
            "copies per sent byte",
            stat.per_sent_byte(),
            all(sent, "sent"),
        ),
        (
            "copies per received byte",
            stat.per_received_byte(),
            all(received, "received"),
        ),
        (
            "copies per moved byte",
            stat.total.per_carried_byte(),
            format!("{} moved", bytes::bytes(stat.total.moved)),
        ),
    ];
    out.push_str("<ul class=\"figures\">\n");
    for (name, figure, of) in figures {
        if figure.ratio().is_some() {
            let _ = writeln!(
                out,
                "<li><b{}>{}</b> {name} <small>{of}</small></li>",
                if figure.is_zero_copy() {
                    " class=\"good\""
                } else {
                    ""
                },
                xml(&figure.to_string()),
            );
        }
    }
    let _ = writeln!(
        out,
        "<li><b>{}</b> copied <small>{}</small></li>\n</ul>",
        PerByte::marked(stat.total.per_byte(), bytes::bytes(stat.total.copies())),
        per_second(stat.total.copies(), stat.duration_ns),
    );
}

fn per_second(amount: u64, ns: u64) -> String {
    let rate = amount as f64 / (ns.max(1) as f64 / 1e9);
    format!("{}/s", bytes::bytes(rate as u64))
}

/// What stands against taking the numbers for the whole truth.
fn warnings(out: &mut String, document: &Document) {
    let stat = &document.stat;
    let mut warn = |text: &str| {
        let _ = writeln!(out, "<p class=\"warning\">{}</p>", prose(text));
    };
    if let Some(damage) = &document.damage {
        warn(&format!(
            "The recording is incomplete: {damage}. This is what was recorded before that."
        ));
    }
    let lost = &stat.loss;
    if lost.lost() > 0 {
        let places = lost
            .places()
            .map(|places| format!(" ({places})"))
            .unwrap_or_default();
        warn(&format!(
            "Not everything was counted: {} did not fit, {} probe runs missed{places}.",
            lost.map_full, lost.missed_runs,
        ));
    }
    if let Some(calls) = unfollowed(stat) {
        warn(&calls);
    }
    if let Some(blind) = stat.coverage.blind_spots() {
        warn(&blind);
    }
    if stat.total.unexplained != 0 {
        warn(&format!(
            "No probe saw how {} moved: copies per byte marked with ? can be higher.",
            bytes::bytes(stat.total.unexplained)
        ));
    }
}

fn contents(out: &mut String, document: &Document) {
    let links = [
        ("totals", "Totals", true),
        ("time", "Over time", !document.intervals.is_empty()),
        ("data-paths", "Data paths", true),
        (
            "processor-time",
            "Processor time",
            cpu::is_known(&document.stat),
        ),
        ("verdicts", "Verdicts", !document.findings.is_empty()),
        ("stacks", "Stacks that copied", true),
    ];
    let links: Vec<_> = links
        .into_iter()
        .filter(|(.., is_there)| *is_there)
        .map(|(id, name, _)| format!("<a href=\"#{id}\">{name}</a>"))
        .collect();
    let _ = writeln!(out, "<nav>{}</nav>", links.join(" "));
}

fn totals(out: &mut String, total: &Totals) {
    out.push_str("<h2 id=\"totals\">Totals</h2>\n<div class=\"wide\"><table class=\"totals\">\n");
    let figure = total.per_byte();
    let value = figure
        .ratio()
        .map_or_else(|| "null".to_owned(), |ratio| ratio.to_string());
    let _ = writeln!(
        out,
        "<tr><th>copies per byte</th><td class=\"number\" data-field=\"copies_per_byte\" data-value=\"{value}\">{}</td></tr>",
        figure.exactly()
    );
    if total.synthetic != 0 {
        let _ = writeln!(
            out,
            "<tr><th>without what was made up or dropped</th><td class=\"number\">{}</td></tr>",
            total.per_carried_byte().exactly()
        );
    }
    let counts = [("ops", total.ops), ("errors", total.errors)];
    let counts = counts.map(|(name, value)| (name, value, value.to_string()));
    let sums = total.fields();
    let sums = sums.map(|(name, value)| (name, value, bytes::bytes(value)));
    // What there was none of is one line that opens.
    let (none, some): (Vec<_>, Vec<_>) = counts
        .into_iter()
        .chain(sums)
        .chain([("filled", total.filled, bytes::bytes(total.filled))])
        .partition(|(_, value, _)| *value == 0);
    let row = |(name, value, shown): &(&str, u64, String)| {
        format!(
            "<tr><th>{}</th><td class=\"number\" data-field=\"{name}\" data-value=\"{value}\">{shown}</td></tr>\n",
            name.replace('_', " "),
        )
    };
    out.extend(some.iter().map(row));
    out.push_str("</table></div>\n");
    if !none.is_empty() {
        let names: Vec<_> = none
            .iter()
            .map(|(name, ..)| name.replace('_', " "))
            .collect();
        let _ = writeln!(
            out,
            "<details><summary>None: {}</summary><table class=\"totals\">\n{}</table></details>",
            names.join(", "),
            none.iter().map(row).collect::<String>()
        );
    }
}

fn graph(out: &mut String, document: &Document) {
    out.push_str("<h2 id=\"stacks\">Stacks that copied</h2>\n");
    match flame::svg(document.stacks(), false) {
        Ok(svg) => {
            // Within a page an SVG has no document head.
            let svg = svg.find("<svg").map_or("", |start| &svg[start..]);
            let _ = writeln!(
                out,
                "<figure class=\"flame\">\n{svg}\n<figcaption>Bytes copied by stack, a sample every {}; <span data-field=\"stack_bytes_lost\" data-value=\"{}\">{} lost</span>.</figcaption>\n</figure>",
                bytes::bytes(document.stack_bytes),
                document.stack_bytes_lost,
                bytes::bytes(document.stack_bytes_lost)
            );
        }
        Err(_) => out.push_str("<p>No stacks were sampled.</p>\n"),
    }
}

fn seconds(ns: u64) -> String {
    bytes::duration(std::time::Duration::from_nanos(ns))
}

/// A time stamp of a document, as people write it.
pub(in crate::report) fn time(stamp: &str) -> String {
    stamp.parse::<jiff::Timestamp>().map_or_else(
        |_| stamp.to_owned(),
        |time| time.strftime("%-d %B %Y, %H:%M:%S UTC").to_string(),
    )
}

/// A sentence in which names stand in backticks.
fn prose(text: &str) -> String {
    let mut parts = text.split('`');
    let mut html = xml(parts.next().unwrap_or_default());
    let rest: Vec<_> = parts.collect();
    for (index, part) in rest.iter().enumerate() {
        let is_code = index % 2 == 0;
        let has_end = index + 1 < rest.len();
        let part = xml(part);
        html.push_str(&match (is_code, has_end) {
            (true, true) => format!("<code>{part}</code>"),
            (true, false) => format!("`{part}"),
            (false, _) => part,
        });
    }
    html
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::ledger::{Loss, samples};

    fn document() -> Document {
        let mut stat = samples::normal();
        stat.processes[0].comm = "<script>alert(1)</script>".into();
        Document {
            schema: crate::report::recorded::SCHEMA.into(),
            stat,
            intervals: Vec::new(),
            findings: Vec::new(),
            stacks: Vec::new(),
            stack_bytes: 0,
            stack_bytes_lost: 0,
            stack_bytes_truncated: 0,
            requests: Vec::new(),
            damage: Some("a wrong checksum at byte 7".into()),
        }
    }

    #[test]
    fn names_cannot_become_markup() {
        let page = page(&document());
        assert_eq!(page.matches("<script").count(), 1, "the page's own");
        assert!(page.contains("&lt;script&gt;"));
        // Nor can the own one end early.
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
    }

    /// Browsers run no other script, and this one only as long as the policy has its hash.
    #[test]
    fn the_policy_allows_the_script_of_the_page() {
        let mut child = Command::new("sha256sum")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(SCRIPT.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let hex = String::from_utf8(output.stdout).unwrap();
        let bits: String = hex
            .chars()
            .take(64)
            .map(|digit| format!("{:04b}", digit.to_digit(16).unwrap()))
            .collect();
        let letters: Vec<char> = ('A'..='Z')
            .chain('a'..='z')
            .chain('0'..='9')
            .chain("+/".chars())
            .collect();
        let base64: String = bits
            .as_bytes()
            .chunks(6)
            .map(|six| {
                let six = format!("{:0<6}", std::str::from_utf8(six).unwrap());
                letters[usize::from_str_radix(&six, 2).unwrap()]
            })
            .collect();
        assert_eq!(SCRIPT_HASH, format!("{base64}="));
        assert!(page(&document()).contains(&format!("script-src 'sha256-{SCRIPT_HASH}'")));
    }

    #[test]
    fn names_in_backticks_are_code_and_a_single_one_is_none() {
        assert_eq!(prose("use `a<b` here"), "use <code>a&lt;b</code> here");
        assert_eq!(prose("a ` b"), "a ` b");
        assert_eq!(prose("`x` and `y`"), "<code>x</code> and <code>y</code>");
        assert_eq!(prose("none"), "none");
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(
            time("2026-11-28T07:10:25.412719Z"),
            "28 November 2026, 07:10:25 UTC"
        );
        assert_eq!(time("<b>"), "<b>");
    }

    #[test]
    fn a_loss_beyond_all_bounds_is_told() {
        let mut document = document();
        document.stat.loss = Loss {
            map_full: u64::MAX,
            missed_runs: 1,
            ..Loss::default()
        };
        assert!(page(&document).contains("Not everything was counted"));
    }

    #[test]
    fn what_no_probe_sees_is_told() {
        let mut document = document();
        assert!(!page(&document).contains("Not seen here"));
        document.stat.coverage = samples::loss().coverage;
        assert!(page(&document).contains("Not seen here: copy-on-write."));
    }

    #[test]
    fn every_total_is_there_as_json_has_it() {
        let document = document();
        let page = page(&document);
        let total = &document.stat.total;
        for (name, value) in total.fields().into_iter().chain([("filled", total.filled)]) {
            let cell = format!("data-field=\"{name}\" data-value=\"{value}\"");
            assert!(page.contains(&cell), "{cell}");
        }
        assert!(page.contains("a wrong checksum at byte 7"));
    }

    /// A copy that has nothing to do with the network is in these figures too.
    #[test]
    fn a_figure_of_the_network_says_what_it_counts() {
        let page = page(&document());
        let first = page.split("<nav>").next().unwrap();
        assert!(
            first.contains(" sent; all ") && first.contains(" copied count</small>"),
            "{first}"
        );
    }

    #[test]
    fn figures_that_could_be_higher_have_their_mark_on_the_first_screen() {
        let mut document = document();
        document.stat = samples::unexplained();
        let page = page(&document);
        let first = page.split("<nav>").next().unwrap();
        assert!(first.contains("?</b>"), "{first}");
        assert!(first.contains("No probe saw how"), "{first}");
        assert!(!first.contains("class=\"good\">0.00"), "{first}");
    }

    #[test]
    fn copies_that_are_a_part_of_what_was_copied_have_their_mark() {
        let mut document = document();
        document.stat = samples::seen_in_part();
        document.findings = crate::report::recorded::findings(&document.stat);
        let page = page(&document);
        // Above all, in the group, in the row; in the totals; in the verdict.
        for (figure, count) in [(">1.00?<", 3), (">1.000?<", 1), (", 1.000? copies", 1)] {
            assert_eq!(page.matches(figure).count(), count, "{figure}: {page}");
        }
    }

    #[test]
    fn a_verdict_on_a_row_that_nobody_saw_has_a_marked_figure() {
        let mut document = document();
        document.stat = samples::unexplained();
        document.findings = crate::report::recorded::findings(&document.stat);
        let page = page(&document);
        let judged: Vec<_> = page
            .lines()
            .filter(|line| line.contains("judged_copied"))
            .collect();
        assert!(!judged.is_empty(), "{page}");
        let finding = document.findings.iter().flat_map(|finding| &finding.judged);
        for (line, judged) in judged.into_iter().zip(finding) {
            let is_marked = line.ends_with("? copies per byte</li>");
            assert_eq!(is_marked, judged.unexplained != 0, "{line}");
        }
        assert!(page.contains(", 0.000? copies per byte"), "{page}");
    }
}
