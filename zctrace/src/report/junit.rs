//! A verdict as `JUnit` XML, which CI systems show: a test case for each claim.

use std::fmt::Write as _;

use crate::{
    claims::{Document, Effect, Judgement, Verdict},
    ledger::Snapshot,
    text::escape::{printable, xml},
};

/// The report. An inconclusive claim is an error, as a test that could not run is.
#[must_use]
pub fn report(document: &Document) -> String {
    let count = |verdict: Verdict| {
        document
            .claims
            .iter()
            .filter(|judgement| judgement.verdict == verdict)
            .count()
    };
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        text,
        "<testsuite name=\"zctrace check\" tests=\"{}\" failures=\"{}\" errors=\"{}\" \
         skipped=\"0\" time=\"{}\" timestamp=\"{}\">",
        document.claims.len(),
        count(Verdict::Fail),
        count(Verdict::Inconclusive),
        seconds(&document.stat),
        escaped(document.stat.started_at.trim_end_matches('Z')),
    );
    for (judgement, summary) in document.claims.iter().zip(&document.summary) {
        case(&mut text, judgement, summary, &document.stat);
    }
    text.push_str("</testsuite>\n");
    text
}

fn case(text: &mut String, judgement: &Judgement, summary: &str, stat: &Snapshot) {
    let _ = writeln!(
        text,
        "  <testcase classname=\"zctrace.check\" name=\"{}\" time=\"{}\">",
        escaped(&judgement.claim.name),
        seconds(stat),
    );
    let tag = match judgement.verdict {
        Verdict::Pass => None,
        Verdict::Fail => Some("failure"),
        Verdict::Inconclusive => Some("error"),
    };
    if let Some(tag) = tag {
        let weighty = || {
            judgement
                .reasons
                .iter()
                .filter(|reason| match judgement.verdict {
                    // What stands against a PASS does not matter to a FAIL.
                    Verdict::Fail => reason.effect == Effect::Refutes,
                    _ => reason.effect != Effect::Explains,
                })
        };
        let kind = weighty().next().map_or("", |reason| reason.code.as_str());
        let _ = write!(
            text,
            "    <{tag} type=\"{}\" message=\"{}\">",
            escaped(kind),
            escaped(summary)
        );
        for reason in weighty() {
            let row = reason.row.as_ref().map_or_else(String::new, |row| {
                format!("{} {} of {} ({}): ", row.op, row.object, row.comm, row.pid)
            });
            let _ = write!(
                text,
                "{}",
                escaped(&format!(
                    "{}: {row}{} bytes: {}. {}.",
                    reason.code, reason.bytes, reason.evidence, reason.remedy
                ))
            );
            text.push('\n');
        }
        let _ = writeln!(text, "</{tag}>");
    }
    let _ = writeln!(
        text,
        "    <system-out>{}</system-out>\n  </testcase>",
        escaped(&format!("{summary} {}", crate::claims::SCOPE))
    );
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds for people")]
pub(super) fn seconds(stat: &Snapshot) -> String {
    format!("{:.3}", stat.duration_ns as f64 / 1e9)
}

pub(super) fn escaped(text: &str) -> String {
    xml(&printable(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_out() {
        assert_eq!(
            escaped("a<b>&\"'\u{ffff}"),
            "a&lt;b&gt;&amp;&quot;&#39;\u{fffd}"
        );
        assert!(!escaped("\u{1b}[31m\0").contains(['\u{1b}', '\0']));
    }
}
