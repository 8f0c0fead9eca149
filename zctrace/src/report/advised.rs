//! Advice for people.

use std::{fmt::Write as _, time::Duration};

use crate::{
    advise::{
        Advice, Document,
        weigh::{Interval, Verdict},
    },
    ledger::PerByte,
    text::{
        bytes::{bytes, duration},
        escape::printable,
    },
};

/// The report.
#[must_use]
pub fn report(document: &Document) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "{} of {}, on Linux {} ({} backend)",
        duration(Duration::from_nanos(document.duration_ns)),
        printable(&document.target.words()),
        printable(&document.kernel),
        printable(&document.backend),
    );
    if document.advice.iter().any(|advice| advice.saving.is_some()) {
        let _ = write!(
            out,
            "; both techniques were run {} times here",
            document.runs
        );
    }
    out.push_str(".\n\n");
    if document.advice.is_empty() {
        out.push_str(
            "No advice: nothing that was seen reads, copies or sends a MiB in a way that another technique could do.\n",
        );
    }
    for advice in &document.advice {
        one(&mut out, advice);
    }
    if !document.advice.is_empty() && document.backend != "functions" {
        out.push_str(
            "Copies that calls of the tracepoints backend made are inferred from the call, its flags and its object.\n",
        );
    }
    out
}

fn one(out: &mut String, advice: &Advice) {
    // What is copied now is in what is saved, too.
    let per_byte = |copies: f64| {
        PerByte::of(Some(copies), advice.copies_per_byte_is_lower_bound)
            .to_places(2)
            .unwrap_or_default()
    };
    let paths: Vec<_> = advice.paths.iter().map(|path| printable(path)).collect();
    let _ = writeln!(out, "{}: {}", printable(&advice.process), paths.join(", "));
    let _ = write!(
        out,
        "  now: {} in calls of {} at {} copies/B",
        bytes(advice.bytes),
        bytes(advice.bytes_per_call),
        per_byte(advice.copies_per_byte),
    );
    if let Some(copying) = advice.copy_cpu_seconds.and_then(time) {
        let _ = write!(out, "; copying took {copying} of CPU time");
        if let Some(all) = advice.cpu_seconds.and_then(time) {
            let _ = write!(out, " of {all}");
        }
    }
    out.push('\n');
    let verdict = match advice.verdict {
        Verdict::Change => "change",
        Verdict::OrNothing => "perhaps",
        Verdict::Stay if advice.instead.is_some() => "stay; what was tried",
        Verdict::Stay => "stay",
        Verdict::NotKnown => "not known",
    };
    let _ = writeln!(out, "  {verdict}: {}", printable(&advice.how));
    if let Some(saving) = &advice.saving {
        let _ = writeln!(
            out,
            "  saves: {}{}{}",
            span(
                saving.cpu_seconds_per_gib,
                1000.0,
                " ms of CPU time for a GiB"
            ),
            saving.cpu_share.map_or_else(String::new, |share| format!(
                ", {}",
                span(share, 100.0, "% of its CPU time")
            )),
            if advice.verdict == Verdict::Change {
                ""
            } else {
                ", or nothing"
            },
        );
        if let Some(copies) = saving.copies_per_byte {
            let _ = writeln!(out, "         {} copies/B", per_byte(copies));
        }
    }
    if let Some(instead) = &advice.instead {
        let _ = writeln!(
            out,
            "  by: zctrace bench --compare {} {}",
            printable(&advice.now),
            printable(instead)
        );
    }
    out.push('\n');
}

fn time(seconds: f64) -> Option<String> {
    Duration::try_from_secs_f64(seconds).ok().map(duration)
}

fn span(interval: Interval, times: f64, unit: &str) -> String {
    format!(
        "{:.0} to {:.0}{unit}",
        interval.low * times,
        interval.high * times
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        advise::{SCHEMA, weigh::Saving},
        ledger::{Target, TargetKind},
    };

    fn document(verdict: Verdict, saving: Option<Saving>, how: &str) -> Document {
        Document {
            schema: SCHEMA.into(),
            kernel: "6.12".into(),
            backend: "functions".into(),
            target: Target {
                kind: TargetKind::Pid,
                value: "7".into(),
            },
            duration_ns: 10_000_000_000,
            runs: 5,
            advice: vec![Advice {
                process: "ngi\u{1b}nx [7]".into(),
                pid: 7,
                paths: vec!["read file:ext4".into(), "write tcp".into()],
                bytes: 1 << 30,
                bytes_per_call: 32 << 10,
                copies_per_byte: 2.0,
                copies_per_byte_is_lower_bound: false,
                copy_cpu_seconds: Some(0.5),
                cpu_seconds: Some(2.0),
                now: "read-write".into(),
                instead: Some("sendfile".into()),
                verdict,
                how: how.into(),
                saving,
            }],
        }
    }

    fn saving(low: f64) -> Option<Saving> {
        Some(Saving {
            cpu_seconds_per_gib: Interval { low, high: 0.5 },
            cpu_share: Some(Interval {
                low: low / 2.0,
                high: 0.25,
            }),
            copies_per_byte: Some(2.0),
        })
    }

    #[test]
    fn a_saving_is_an_interval() {
        let text = report(&document(
            Verdict::Change,
            saving(0.2),
            "send from the file",
        ));
        for line in [
            "ngi\\x1bnx [7]: read file:ext4, write tcp\n",
            "now: 1.00 GiB in calls of 32.0 KiB at 2.00 copies/B; copying took 500 ms of CPU time of 2.00 s\n",
            "  change: send from the file\n",
            "  saves: 200 to 500 ms of CPU time for a GiB, 10 to 25% of its CPU time\n         2.00 copies/B\n",
            "  by: zctrace bench --compare read-write sendfile\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("nothing"), "{text}");
    }

    #[test]
    fn figures_that_rest_on_unseen_bytes_have_their_mark() {
        let mut document = document(Verdict::Change, saving(0.2), "send from the file");
        document.advice[0].copies_per_byte_is_lower_bound = true;
        let text = report(&document);
        for line in ["at 2.00? copies/B;", "\n         2.00? copies/B\n"] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn what_may_save_nothing_says_so() {
        let text = report(&document(
            Verdict::OrNothing,
            saving(-0.1),
            "send from the file",
        ));
        assert!(
            text.contains(
                "-100 to 500 ms of CPU time for a GiB, -5 to 25% of its CPU time, or nothing"
            ),
            "{text}"
        );
        assert!(text.contains("  perhaps: send"), "{text}");
        let mut small = document(Verdict::Stay, None, "small");
        small.advice[0].instead = None;
        let text = report(&small);
        assert!(
            text.contains("\n  stay: small\n") && !text.contains("saves"),
            "{text}"
        );
        let text = report(&document(Verdict::Stay, None, "send from the file"));
        assert!(
            text.contains("\n  stay; what was tried: send from the file\n"),
            "{text}"
        );
        let text = report(&document(Verdict::NotKnown, None, "it failed"));
        assert!(text.contains("\n  not known: it failed\n"), "{text}");
    }

    #[test]
    fn without_advice_it_says_so() {
        let mut document = document(Verdict::Stay, None, "");
        document.advice.clear();
        let text = report(&document);
        assert!(text.contains("No advice"), "{text}");
        assert!(!text.contains("were run"), "{text}");
        assert!(!text.contains("inferred"), "{text}");
    }

    #[test]
    fn only_what_was_run_and_measured_is_said_to_be() {
        let said = |backend: &str, saving| {
            let mut document = document(Verdict::Stay, saving, "small");
            document.backend = backend.into();
            let text = report(&document);
            (text.contains("were run 5 times"), text.contains("inferred"))
        };
        assert_eq!(said("functions", saving(0.2)), (true, false));
        assert_eq!(said("tracepoints", None), (false, true));
    }
}
