//! A recording as one page that needs nothing else: no script, no font, no request.

use std::fmt::Write as _;

use super::{
    flame,
    recorded::{Document, Finding, ZERO_COPY},
    table::unfollowed,
};
use crate::{
    claims::{MIN_BYTES, Outcome, Verdict, rules},
    ledger::{Path, Totals, refusals},
    text::{bytes, escape::xml},
};

const STYLE: &str = include_str!("html.css");

/// The end of every page.
pub(super) const FOOT: &str = "<footer><p>Copies by the kernel on behalf of I/O. Not seen: memcpy in user space and in TLS \
    libraries, DMA between devices and the page cache, migration and compaction.</p></footer>\n</body>\n</html>\n";

/// The beginning of every page.
pub(super) fn head(title: &str) -> String {
    let title = xml(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

/// The page. Every number stands in a `data-value` as JSON has it, beside what people read.
#[must_use]
pub fn page(document: &Document) -> String {
    let stat = &document.stat;
    let mut out = head(&format!("zctrace: {}", stat.target.words()));
    let _ = writeln!(
        out,
        "<p>{} from {}, on Linux {} ({}), {} backend.</p>",
        seconds(stat.duration_ns),
        xml(&stat.started_at),
        xml(&stat.kernel),
        xml(&stat.arch),
        xml(&stat.backend)
    );
    if let Some(damage) = &document.damage {
        let _ = writeln!(
            out,
            "<p class=\"warning\">The recording is incomplete: {}. This is what was recorded before that.</p>",
            xml(damage)
        );
    }
    let lost = &stat.loss;
    if lost.lost() > 0 {
        let places = lost
            .places()
            .map(|places| format!(" ({places})"))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "<p class=\"warning\">Not everything was counted: {} did not fit, {} probe runs missed{}.</p>",
            lost.map_full,
            lost.missed_runs,
            xml(&places)
        );
    }
    if let Some(calls) = unfollowed(stat) {
        let _ = writeln!(out, "<p class=\"warning\">{}</p>", xml(&calls));
    }
    if let Some(blind) = stat.coverage.blind_spots() {
        let _ = writeln!(out, "<p class=\"warning\">{}</p>", xml(&blind));
    }
    totals(&mut out, &stat.total);
    chart(&mut out, document);
    if stat.total.unexplained != 0 {
        let _ = writeln!(
            out,
            "<p class=\"warning\">No probe saw how {} moved: copies per byte marked with ? can be higher.</p>",
            bytes::bytes(stat.total.unexplained)
        );
    }
    paths(&mut out, document);
    verdicts(&mut out, document);
    graph(&mut out, document);
    out.push_str(FOOT);
    out
}

fn totals(out: &mut String, total: &Totals) {
    out.push_str("<h2>Totals</h2>\n<table id=\"totals\">\n");
    let figure = total.per_byte();
    let value = figure
        .ratio()
        .map_or_else(|| "null".to_owned(), |ratio| ratio.to_string());
    let mut shown = figure.exactly();
    if total.synthetic != 0 {
        let carried = total.per_carried_byte().exactly();
        let _ = write!(shown, " ({carried} without what was made up or dropped)");
    }
    let _ = writeln!(
        out,
        "<tr><th>copies per byte</th><td data-field=\"copies_per_byte\" data-value=\"{value}\">{shown}</td></tr>"
    );
    for (name, value) in [("ops", total.ops), ("errors", total.errors)] {
        let _ = writeln!(
            out,
            "<tr><th>{name}</th><td data-field=\"{name}\" data-value=\"{value}\">{value}</td></tr>"
        );
    }
    for (name, value) in total.fields() {
        let _ = writeln!(
            out,
            "<tr><th>{}</th><td data-field=\"{name}\" data-value=\"{value}\">{}</td></tr>",
            name.replace('_', " "),
            bytes::bytes(value)
        );
    }
    out.push_str("</table>\n");
}

/// Bytes moved and copied a second, as stacked bars.
fn chart(out: &mut String, document: &Document) {
    const WIDTH: f64 = 600.0;
    const HEIGHT: f64 = 160.0;
    if document.intervals.is_empty() {
        return;
    }
    let rate = |bytes: u64, ns: u64| bytes as f64 / (ns.max(1) as f64 / 1e9);
    let most = document
        .intervals
        .iter()
        .map(|i| rate(i.total.moved.max(i.total.copies()), i.duration_ns))
        .fold(1.0, f64::max);
    out.push_str("<h2>Over time</h2>\n<figure>\n");
    let _ = writeln!(
        out,
        "<svg id=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"bytes moved and copied over time\">"
    );
    let step = WIDTH / document.intervals.len() as f64;
    for (index, interval) in document.intervals.iter().enumerate() {
        let (moved, copied) = (interval.total.moved, interval.total.copies());
        let x = index as f64 * step;
        for (class, value, width, shift) in [
            ("moved", moved, step * 0.9, 0.0),
            ("copied", copied, step * 0.5, step * 0.2),
        ] {
            let height = rate(value, interval.duration_ns) / most * HEIGHT;
            let _ = writeln!(
                out,
                "<rect class=\"{class}\" data-value=\"{value}\" x=\"{:.2}\" y=\"{:.2}\" width=\"{width:.2}\" height=\"{height:.2}\"><title>{}: {class} {}</title></rect>",
                x + shift,
                HEIGHT - height,
                xml(&interval.started_at),
                bytes::bytes(value)
            );
        }
    }
    let _ = writeln!(
        out,
        "</svg>\n<figcaption>Bytes <span class=\"moved\">moved</span> and <span class=\"copied\">copied</span>, {} from {}; the highest bar is {} a second.</figcaption>\n</figure>",
        seconds(document.stat.duration_ns),
        xml(&document.stat.started_at),
        bytes::bytes(most as u64)
    );
}

fn paths(out: &mut String, document: &Document) {
    out.push_str("<h2>Data paths</h2>\n");
    if document.stat.processes.is_empty() {
        out.push_str("<p>Nothing was moved.</p>\n");
        return;
    }
    out.push_str(
        "<div class=\"wide\"><table id=\"paths\">\n<thead><tr><th>process</th><th>operation</th><th>object</th><th>evidence</th><th>ops</th><th>moved</th><th>copies per byte</th><th>how</th></tr></thead>\n<tbody>\n",
    );
    for process in &document.stat.processes {
        for path in &process.paths {
            let how: Vec<_> = path
                .totals
                .fields()
                .into_iter()
                .skip(1)
                .filter(|(_, value)| *value != 0)
                .map(|(name, value)| {
                    format!(
                        "<span data-field=\"{name}\" data-value=\"{value}\">{} {}</span>",
                        name.replace('_', " "),
                        bytes::bytes(value)
                    )
                })
                .chain(failed(path))
                .collect();
            let _ = writeln!(
                out,
                "<tr data-pid=\"{pid}\"><td data-label=\"process\">{} [{pid}]</td><td data-label=\"operation\">{}{}</td><td data-label=\"object\">{}</td><td data-label=\"evidence\">{}</td><td data-label=\"ops\" data-field=\"ops\" data-value=\"{ops}\">{ops}</td><td data-label=\"moved\" data-field=\"moved\" data-value=\"{}\">{}</td><td data-label=\"copies per byte\">{}</td><td data-label=\"how\"><span>{}</span></td></tr>",
                xml(&process.comm),
                xml(path.op.as_str()),
                path.by
                    .as_ref()
                    .map_or_else(String::new, |by| format!(" ({})", xml(by))),
                xml(&path.object),
                xml(path.evidence.as_str()),
                path.totals.moved,
                bytes::bytes(path.totals.moved),
                path.totals.per_byte().exactly(),
                how.join(", "),
                pid = process.pid,
                ops = path.totals.ops,
            );
        }
    }
    out.push_str("</tbody>\n</table></div>\n");
}

/// How operations of a row failed, and what that means.
fn failed(path: &Path) -> Option<String> {
    let words = path.errnos.words()?;
    let means: String = refusals::words(path)
        .iter()
        .map(|means| format!(" <small>{}</small>", xml(means)))
        .collect();
    let count = path.errnos.total();
    Some(format!(
        "<span data-field=\"errors\" data-value=\"{count}\">{count} failed: {}</span>{means}",
        xml(&words)
    ))
}

/// Which operations are zero-copy, and why not.
fn verdicts(out: &mut String, document: &Document) {
    out.push_str("<h2>Verdicts</h2>\n");
    if document.damage.is_some() {
        out.push_str("<p>None: an incomplete recording proves nothing.</p>\n");
        return;
    }
    let _ = writeln!(
        out,
        "<p>Zero-copy is at most {ZERO_COPY} copies per byte. Operations that moved less than {} are not judged.</p>",
        bytes::bytes(MIN_BYTES)
    );
    for finding in &document.findings {
        verdict(out, finding);
    }
}

fn verdict(out: &mut String, finding: &Finding) {
    let class = match finding.verdict {
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Fail => "fail",
    };
    let _ = writeln!(
        out,
        "<section class=\"verdict {class}\" data-op=\"{op}\"><h3><span>{}</span> {op}</h3>\n<ul>",
        finding.verdict.word(),
        op = xml(&finding.op),
    );
    for judged in &finding.judged {
        let outcome = match judged.outcome {
            Outcome::Holds => "holds",
            Outcome::Open => "open",
            Outcome::Broken => "broken",
        };
        let ratio = judged
            .ratio
            .map_or_else(String::new, |ratio| format!(", {ratio:.3} copies per byte"));
        let _ = writeln!(
            out,
            "<li>{outcome}: {}: <span data-field=\"judged_copied\" data-value=\"{}\">{}</span> copied for <span data-field=\"judged_bytes\" data-value=\"{}\">{}</span>{ratio}</li>",
            xml(&judged.what),
            judged.copied,
            bytes::bytes(judged.copied),
            judged.bytes,
            bytes::bytes(judged.bytes),
        );
    }
    out.push_str("</ul>\n<dl>\n");
    for reason in finding.deciding() {
        let says = rules::find(&reason.code).map_or("", |rule| rule.says);
        let of = reason.row.as_ref().map_or_else(String::new, |row| {
            format!("{} {} of {} [{}]: ", row.op, row.object, row.comm, row.pid)
        });
        let amount = match reason.bytes {
            0 => String::new(),
            count => format!(
                "<span data-field=\"reason_bytes\" data-value=\"{count}\">{}</span>, ",
                bytes::bytes(count)
            ),
        };
        let _ = writeln!(
            out,
            "<dt data-code=\"{code}\"><code>{code}</code> {}</dt><dd>{}{amount}{}. <em>Remedy: {}.</em></dd>",
            xml(says),
            xml(&of),
            xml(&reason.evidence),
            xml(&reason.remedy),
            code = xml(&reason.code),
        );
    }
    out.push_str("</dl>\n</section>\n");
}

fn graph(out: &mut String, document: &Document) {
    out.push_str("<h2>Stacks that copied</h2>\n");
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
    format!("{:.1} s", ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
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
            damage: Some("a wrong checksum at byte 7".into()),
        }
    }

    #[test]
    fn names_cannot_become_markup() {
        let page = page(&document());
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;"));
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
        assert!(page(&document).contains("Not seen here: page faults and copy-on-write."));
    }

    #[test]
    fn every_total_is_there_as_json_has_it() {
        let document = document();
        let page = page(&document);
        for (name, value) in document.stat.total.fields() {
            let cell = format!("data-field=\"{name}\" data-value=\"{value}\"");
            assert!(page.contains(&cell), "{cell}");
        }
        assert!(page.contains("a wrong checksum at byte 7"));
    }
}
