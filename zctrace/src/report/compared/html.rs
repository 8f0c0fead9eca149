//! A comparison as one page that needs nothing else.

use std::fmt::Write as _;

use super::{Comparison, Differs, Turn, WAITS, Waited, about, difference, lines, moved, text};
use crate::{
    report::{flame, html},
    text::escape::xml,
};

/// The page: the answer first, then the sums, every path, and where the stacks differ.
#[must_use]
pub fn page(comparison: &Comparison) -> String {
    let mut out = html::head("zctrace: before and after");
    if let Some(judged) = &comparison.judged {
        let class = html::verdict_class(judged.verdict);
        let _ = writeln!(
            out,
            "<section class=\"verdict {class}\"><h2><span>{}</span> {}</h2>\n<ul>",
            judged.verdict.word(),
            xml(&text::sentence(judged))
        );
        for line in text::measures(judged).chain(text::against(judged)) {
            let _ = writeln!(out, "<li>{}</li>", xml(&line));
        }
        out.push_str("</ul>\n</section>\n");
    }
    for (side, document) in [("Before", &comparison.before), ("After", &comparison.after)] {
        let _ = writeln!(out, "<p><b>{side}</b>: {}.</p>", xml(&about(document)));
    }
    for (title, lines) in [
        (
            "Zero-copy",
            comparison
                .zero_copy
                .iter()
                .map(Turn::sentence)
                .collect::<Vec<_>>(),
        ),
        (
            WAITS,
            comparison.notified.iter().map(Waited::sentence).collect(),
        ),
        (
            "What differs beside the numbers",
            comparison.differs.iter().map(Differs::sentence).collect(),
        ),
    ] {
        if lines.is_empty() {
            continue;
        }
        let _ = writeln!(out, "<h2>{title}</h2>\n<ul>");
        for line in lines {
            let _ = writeln!(out, "<li>{}</li>", xml(&line));
        }
        out.push_str("</ul>\n");
    }
    out.push_str(
        "<h2>Sums</h2>\n<div class=\"wide\"><table id=\"sums\">\n<thead><tr><th></th><th>before</th><th>after</th><th>difference</th></tr></thead>\n<tbody>\n",
    );
    for line in lines(comparison) {
        let _ = writeln!(
            out,
            "<tr data-field=\"{}\"><th>{}</th><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            line.name,
            line.name.replace('_', " "),
            line.before,
            line.after,
            line.difference
        );
    }
    out.push_str("</tbody>\n</table></div>\n");
    paths(&mut out, comparison);
    graph(&mut out, comparison);
    out.push_str(&html::foot());
    out
}

fn paths(out: &mut String, comparison: &Comparison) {
    out.push_str(
        "<h2>Data paths</h2>\n<div class=\"wide\"><table id=\"changes\">\n<thead><tr><th>operation</th><th>object</th><th>moved before</th><th>after</th><th>difference</th><th>copies/B before</th><th>after</th></tr></thead>\n<tbody>\n",
    );
    for change in &comparison.changes {
        let number = |value: u64, text: &str| {
            format!("<td class=\"number\" data-value=\"{value}\">{text}</td>")
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}</td>{}{}<td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
            xml(&change.op),
            xml(change.object.as_str()),
            number(change.before.moved, &moved(&change.before)),
            number(change.after.moved, &moved(&change.after)),
            difference(change.before.moved, change.after.moved),
            xml(&change.before.per_byte().to_string()),
            xml(&change.after.per_byte().to_string()),
        );
    }
    out.push_str("</tbody>\n</table></div>\n");
}

fn graph(out: &mut String, comparison: &Comparison) {
    out.push_str("<h2>Stacks that copied</h2>\n");
    let (before, after) = (&comparison.before, &comparison.after);
    match flame::differential(before.stacks(), after.stacks(), false) {
        Ok(svg) => {
            let svg = svg.find("<svg").map_or("", |start| &svg[start..]);
            let _ = writeln!(
                out,
                "<figure class=\"flame\">\n{svg}\n<figcaption>Bytes copied by stack afterwards. Red frames copied more than before, blue ones less.</figcaption>\n</figure>"
            );
        }
        Err(_) => out.push_str("<p>No stacks were sampled in the second recording.</p>\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::samples,
        report::compared::{MostIncrease, judge::tests::document},
    };

    #[test]
    fn names_cannot_become_markup_and_every_change_is_there() {
        let mut stat = samples::normal();
        stat.processes[0].paths[0].object = "<script>alert(1)</script>".into();
        let limit = MostIncrease {
            part: 0.05,
            accept_inferred: false,
        };
        let comparison = Comparison::new(document(stat.clone()), document(stat), Some(limit));
        let page = page(&comparison);
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;script&gt;"));
        for change in &comparison.changes {
            let cell = format!("data-value=\"{}\"", change.after.moved);
            assert!(page.contains(&cell), "{cell}");
        }
    }
}
