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
    let cases = Cases {
        all: document.claims.len(),
        failures: count(Verdict::Fail),
        errors: count(Verdict::Inconclusive),
        skipped: 0,
    };
    let mut text = head("zctrace check", &cases, &document.stat);
    for (judgement, summary) in document.claims.iter().zip(&document.summary) {
        case(&mut text, judgement, summary, &document.stat);
    }
    text.push_str("</testsuite>\n");
    text
}

/// How many test cases a suite has, and of which kinds.
pub(super) struct Cases {
    pub(super) all: usize,
    pub(super) failures: usize,
    pub(super) errors: usize,
    pub(super) skipped: usize,
}

/// The beginning of a report: its one suite, with what was measured.
pub(super) fn head(suite: &str, cases: &Cases, stat: &Snapshot) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{suite}\" tests=\"{}\" failures=\"{}\" \
         errors=\"{}\" skipped=\"{}\" time=\"{}\" timestamp=\"{}\">\n",
        cases.all,
        cases.failures,
        cases.errors,
        cases.skipped,
        seconds(stat),
        escaped(stat.started_at.trim_end_matches('Z')),
    )
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
fn seconds(stat: &Snapshot) -> String {
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
