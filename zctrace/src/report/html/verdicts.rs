//! Which operations are zero-copy, and why not.

use std::fmt::Write as _;

use super::prose;
use crate::{
    claims::{MIN_BYTES, Outcome, Verdict, ZERO_COPY, rules},
    report::recorded::{Document, Finding},
    text::{bytes, escape::xml},
};

/// The class of a verdict in the style sheet.
pub(in crate::report) const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Fail => "fail",
    }
}

/// A line for each operation, with a link to the reasons.
pub(super) fn summary(out: &mut String, document: &Document) {
    if document.damage.is_some() {
        out.push_str("<p>No verdict: an incomplete recording proves nothing.</p>\n");
        return;
    }
    if document.findings.is_empty() {
        let _ = writeln!(
            out,
            "<p>No verdict: no operation moved {}.</p>",
            bytes::bytes(MIN_BYTES)
        );
        return;
    }
    out.push_str("<ul class=\"answers\">\n");
    for (number, finding) in document.findings.iter().enumerate() {
        let why = finding
            .deciding()
            .next()
            .and_then(|reason| rules::find(&reason.code))
            .map_or_else(String::new, |rule| format!(": {}", prose(rule.says)));
        let _ = writeln!(
            out,
            "<li class=\"{}\"><a href=\"#verdict-{number}\"><b>{}</b> {}</a>{why}</li>",
            class(finding.verdict),
            finding.verdict.word(),
            xml(&finding.op)
        );
    }
    let _ = writeln!(
        out,
        "</ul>\n<p><small>PASS: zero-copy, which is at most {ZERO_COPY} copies per byte. Operations that moved less than {} are not judged.</small></p>",
        bytes::bytes(MIN_BYTES)
    );
}

/// Every verdict with its reasons.
pub(super) fn verdicts(out: &mut String, document: &Document) {
    if document.findings.is_empty() {
        return;
    }
    out.push_str("<h2 id=\"verdicts\">Verdicts</h2>\n");
    for (number, finding) in document.findings.iter().enumerate() {
        verdict(out, number, finding);
    }
}

fn verdict(out: &mut String, number: usize, finding: &Finding) {
    let _ = writeln!(
        out,
        "<section id=\"verdict-{number}\" class=\"verdict {}\" data-op=\"{op}\"><h3><span>{}</span> {op}</h3>\n<ul>",
        class(finding.verdict),
        finding.verdict.word(),
        op = xml(&finding.op),
    );
    for judged in &finding.judged {
        let outcome = match judged.outcome {
            Outcome::Holds => "holds",
            Outcome::Open => "open",
            Outcome::Broken => "broken",
        };
        let ratio = judged.per_byte().to_places(3);
        let ratio = ratio.map_or_else(String::new, |figure| format!(", {figure} copies per byte"));
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
            prose(says),
            xml(&of),
            prose(&reason.evidence),
            prose(&reason.remedy),
            code = xml(&reason.code),
        );
    }
    out.push_str("</dl>\n</section>\n");
}
