//! The ledger as CSV, a line for each data path: quoted as RFC 4180 has it, but lines end in a line
//! feed alone, because `awk` and `cut` would take a carriage return for part of the last field. What a
//! process can choose is made safe as in a table: a line is a line, whatever a name has in it.

use std::io::{self, Write};

use crate::{
    ledger::{Errnos, Notified, Snapshot, Totals},
    text::escape::printable,
};

/// The columns before the numbers.
const NAMES: [&str; 10] = [
    "seq",
    "kind",
    "pid",
    "start_time",
    "comm",
    "cgroup",
    "op",
    "object",
    "by",
    "evidence",
];

/// The column after the numbers: how the operations of a row failed, `EAGAIN=12 EINVAL=3`.
const ERRNOS: &str = "errnos";

/// The last columns: see [`notified`].
const NOTIFIED: [&str; 6] = [
    "notified_sends",
    "notified_bytes",
    "notified_ns",
    "notified_pinned_byte_us",
    "notified_median_ns",
    "notified_99_percent_ns",
];

/// Writes the header line.
///
/// # Errors
///
/// When `out` does not take it.
pub fn header(out: impl Write) -> io::Result<()> {
    let numbers = numbers(&Totals::default());
    let columns: Vec<_> = NAMES
        .into_iter()
        .chain(numbers.iter().map(|(name, _)| *name))
        .chain([ERRNOS])
        .chain(NOTIFIED)
        .map(Into::into)
        .collect();
    record(&columns, out)
}

/// Writes a line for each data path (`kind` is `path`) and for each kernel thread's unattributed
/// work (`unattributed`, where `comm` is the thread and the other names are empty).
///
/// # Errors
///
/// When `out` does not take it.
pub fn rows(snapshot: &Snapshot, mut out: impl Write) -> io::Result<()> {
    let seq = snapshot.seq.map_or_else(String::new, |seq| seq.to_string());
    for process in &snapshot.processes {
        for path in &process.paths {
            let names = [
                seq.clone(),
                "path".into(),
                process.pid.to_string(),
                process.start_time.to_string(),
                process.comm.clone(),
                process.cgroup.clone(),
                path.op.to_string(),
                path.object.to_string(),
                path.by.clone().unwrap_or_default(),
                path.evidence.to_string(),
            ];
            line(names, &path.totals, &path.errnos, &path.notified, &mut out)?;
        }
    }
    for work in &snapshot.unattributed {
        let mut names = [const { String::new() }; NAMES.len()];
        names[0].clone_from(&seq);
        names[1] = "unattributed".into();
        names[4].clone_from(&work.thread);
        let (errnos, notified) = (Errnos::default(), Notified::default());
        line(names, &work.totals, &errnos, &notified, &mut out)?;
    }
    Ok(())
}

fn line(
    names: [String; NAMES.len()],
    totals: &Totals,
    errnos: &Errnos,
    notified: &Notified,
    out: impl Write,
) -> io::Result<()> {
    let mut fields = Vec::from(names);
    fields.extend(numbers(totals).into_iter().map(|(_, value)| value));
    let errnos = errnos
        .iter()
        .map(|(errno, count)| format!("{errno}={count}"));
    fields.push(errnos.collect::<Vec<_>>().join(" "));
    fields.extend(self::notified(notified));
    record(&fields, out)
}

/// How long zero-copy sends waited for their notification, by column; nothing where there were none.
fn notified(notified: &Notified) -> [String; NOTIFIED.len()] {
    if notified.is_empty() {
        return Default::default();
    }
    let quantile = |thousandths| {
        let time = notified.within(thousandths);
        time.map_or_else(String::new, |time| time.as_nanos().to_string())
    };
    [
        notified.sends.to_string(),
        notified.bytes.to_string(),
        notified.ns.to_string(),
        notified.pinned_byte_us.to_string(),
        quantile(500),
        quantile(990),
    ]
}

/// The numbers by column; `copies_per_byte` is empty when nothing moved, and the column after it is
/// `true` where more may have been copied.
fn numbers(totals: &Totals) -> Vec<(&'static str, String)> {
    let counts = [
        ("ops", totals.ops),
        ("errors", totals.errors),
        ("moved", totals.moved),
    ];
    let ratio = totals.copies_per_byte;
    counts
        .into_iter()
        .chain(totals.classes())
        .chain(totals.extras())
        .map(|(name, value)| (name, value.to_string()))
        .chain([
            (
                "copies_per_byte",
                ratio.map_or_else(String::new, |ratio| ratio.to_string()),
            ),
            (
                "copies_per_byte_is_lower_bound",
                totals.per_byte().is_lower_bound().to_string(),
            ),
            ("filled", totals.filled.to_string()),
        ])
        .collect()
}

fn record(fields: &[String], mut out: impl Write) -> io::Result<()> {
    let line: Vec<_> = fields.iter().map(|field| quote(field)).collect();
    writeln!(out, "{}", line.join(","))
}

pub(crate) fn quote(field: &str) -> String {
    let mut field = printable(field);
    if is_formula(&field) {
        field.insert(0, '\'');
    }
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

/// Whether a spreadsheet would work the field out instead of showing it. A process chooses its name.
fn is_formula(field: &str) -> bool {
    field.starts_with(['=', '+', '-', '@']) && field.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples;

    #[test]
    fn a_name_is_no_formula() {
        for name in ["=cmd", "+1+1", "-1+1", "@SUM", "=1"] {
            assert_eq!(quote(name), format!("'{name}"));
        }
        for plain in ["-1", "+2.5", "a=b", "", "nginx"] {
            assert_eq!(quote(plain), plain);
        }
        assert_eq!(quote("=a,\"b\""), "\"'=a,\"\"b\"\"\"");
    }

    fn text(snapshot: &Snapshot) -> String {
        let mut out = Vec::new();
        header(&mut out).unwrap();
        rows(snapshot, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_line_has_the_columns_of_the_header() {
        let text = text(&samples::normal());
        let columns = text.lines().next().unwrap().split(',').count();
        assert_eq!(columns, NAMES.len() + 3 + 9 + 5 + 3 + 1 + 6);
        for line in text.lines() {
            assert_eq!(line.split(',').count(), columns, "{line}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn notifications_have_columns_where_there_were_any() {
        let mut snapshot = samples::normal();
        let text = text(&snapshot);
        assert!(text.lines().skip(1).all(|line| line.ends_with(",,,,,,")));
        snapshot.processes.truncate(1);
        snapshot.processes[0].paths.truncate(1);
        snapshot.processes[0].paths[0].notified = Notified {
            sends: 2,
            bytes: 8192,
            ns: 3_000_000,
            pinned_byte_us: 77,
            histogram: [(1 << 20, 2)].into_iter().collect(),
        };
        let text = self::text(&snapshot);
        let row = text.lines().nth(1).unwrap();
        assert!(row.ends_with(",2,8192,3000000,77,1114112,1114112"), "{row}");
    }

    #[test]
    fn what_would_break_a_line_is_quoted() {
        assert_eq!(quote("plain"), "plain");
        assert_eq!(quote("a,b"), "\"a,b\"");
        assert_eq!(quote("say \"hi\"\n"), "\"say \"\"hi\"\"\\x0a\"");
        assert_eq!(quote("\x1b[2J"), "\\x1b[2J");
    }

    #[test]
    fn an_interval_is_told_by_its_number() {
        let mut snapshot = samples::normal();
        snapshot.seq = Some(7);
        assert!(
            text(&snapshot)
                .lines()
                .skip(1)
                .all(|line| line.starts_with("7,"))
        );
    }
}
