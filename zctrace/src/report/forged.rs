//! What the reports make of a recording that somebody has forged.

use std::time::Duration;

use serde_json::Value;

use super::{csv, table, verdict};
use crate::{
    claims::{Circumstances, Claim, Document, Verdict, judge},
    ledger::{Snapshot, samples},
    text::style::Surface,
};

/// A ledger as somebody could write it into a recording.
fn forged() -> Snapshot {
    fn forge(value: &mut Value) {
        match value {
            Value::String(text) => text.push_str("\x1b[31m\n\u{9b}"),
            Value::Array(values) => values.iter_mut().for_each(forge),
            Value::Object(fields) => fields.values_mut().for_each(forge),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(samples::normal()).unwrap();
    let kind = value["target"]["kind"].take();
    forge(&mut value);
    value["target"]["kind"] = kind;
    serde_json::from_value(value).unwrap()
}

#[test]
fn nothing_in_a_recording_speaks_to_the_terminal() {
    let stat = forged();
    let all = table::Options {
        surface: Surface::FILE,
        all: true,
    };
    let claim = Claim {
        max_copies_per_byte: Some(0.02),
        min_bytes: 1,
        accept_inferred: true,
        ..Claim::named("x\x1b")
    };
    let judgement = judge(&claim, &stat, Circumstances::default());
    let verdict = Document::new(vec![judgement], stat.clone());
    assert_eq!(verdict.verdict, Verdict::Fail);
    let mut lines = Vec::new();
    csv::rows(&stat, &mut lines).unwrap();
    for text in [
        table::report(&stat, all),
        table::interval(&stat, Duration::from_secs(1), all),
        verdict::report(&verdict, Surface::FILE),
        verdict.summary.join("\n"),
        String::from_utf8(lines).unwrap(),
    ] {
        assert!(text.contains("\\x1b[31m"), "{text}");
        let raw = |char: char| char.is_control() && char != '\n';
        assert!(!text.contains(raw), "{text}");
    }
}
