//! The table of data paths, grouped by command. The script of the page sorts and searches it.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use crate::{
    ledger::{Path, PerByte, Process, Totals, by_command, refusals},
    report::recorded::Document,
    text::{bytes, escape::xml},
};

/// The table.
pub(super) fn paths(out: &mut String, document: &Document) {
    out.push_str("<h2 id=\"data-paths\">Data paths</h2>\n");
    if document.stat.processes.is_empty() {
        out.push_str("<p>Nothing was moved.</p>\n");
        return;
    }
    out.push_str(
        "<div class=\"wide\"><table id=\"paths\">\n<thead><tr><th>process</th><th>operation</th><th>object</th>\
         <th>evidence</th><th class=\"number\">ops</th><th class=\"number\">moved</th><th class=\"number\">share</th>\
         <th class=\"number\">copies/B</th><th>how</th></tr></thead>\n",
    );
    for (comm, processes) in groups(&document.stat.processes) {
        group(out, comm, &processes, document);
    }
    out.push_str("</table></div>\n");
}

/// The processes of each command, the command with most bytes first.
fn groups(processes: &[Process]) -> Vec<(&str, Vec<&Process>)> {
    let mut groups: BTreeMap<&str, Vec<&Process>> = BTreeMap::new();
    for process in processes {
        groups.entry(&process.comm).or_default().push(process);
    }
    let moved = |group: &[&Process]| {
        let all = group.iter().map(|process| process.total.moved);
        all.fold(0, u64::saturating_add)
    };
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(moved(group)));
    groups
}

fn group(out: &mut String, comm: &str, processes: &[&Process], document: &Document) {
    let whole = document.stat.total.moved;
    let all = processes.iter().copied().cloned().collect();
    let all = by_command(all, 2);
    let mut total = Totals::default();
    let mut count: u64 = 0;
    for process in &all {
        total.add(&process.total);
        count = count.saturating_add(process.processes);
    }
    let many = match count {
        1 => String::new(),
        count => format!(" <small>{count} processes</small>"),
    };
    let network = match &all[..] {
        [process] => network(process),
        _ => String::new(),
    };
    let _ = writeln!(
        out,
        "<tbody data-command=\"{comm}\"><tr class=\"group\"><th scope=\"rowgroup\" colspan=\"1\">{comm}{many}</th><td></td><td></td><td></td>{}{}{}{}<td>{network}</td></tr>",
        number("ops", total.ops as f64, &bytes::count(total.ops)),
        number("moved", total.moved as f64, &bytes::bytes(total.moved)),
        number(
            "share",
            total.moved as f64,
            &bytes::percent(total.moved, whole)
        ),
        per_byte(total.per_carried_byte()),
        comm = xml(comm),
    );
    let watched = Duration::from_nanos(document.stat.duration_ns);
    for process in processes {
        for path in &process.paths {
            row(out, process, path, whole, watched);
        }
    }
    out.push_str("</tbody>\n");
}

/// What a process sent and received, where copies for it say something.
fn network(process: &Process) -> String {
    let sides = [
        ("sent", process.sent, process.per_sent_byte()),
        ("received", process.received, process.per_received_byte()),
    ];
    let words: Vec<_> = sides
        .into_iter()
        .filter(|(_, bytes, _)| *bytes != 0)
        .map(|(side, amount, figure)| match figure.ratio() {
            Some(_) => format!(
                "{side} {} at {} copies/B",
                bytes::bytes(amount),
                xml(&figure.to_string())
            ),
            None => format!("{side} {}", bytes::bytes(amount)),
        })
        .collect();
    words.join(", ")
}

fn row(out: &mut String, process: &Process, path: &Path, whole: u64, watched: Duration) {
    let how: Vec<_> = path
        .totals
        .fields()
        .into_iter()
        .skip(1)
        .chain([("filled", path.totals.filled)])
        .filter(|(_, value)| *value != 0)
        .map(|(name, value)| {
            format!(
                "<span class=\"key {name}\" data-field=\"{name}\" data-value=\"{value}\">{} {}</span>",
                name.replace('_', " "),
                bytes::bytes(value)
            )
        })
        .chain(failed(path))
        .chain(notified(path, watched))
        .collect();
    let by = path
        .by
        .as_ref()
        .map_or_else(String::new, |by| format!(" ({})", xml(by)));
    let (ops, moved) = (path.totals.ops, path.totals.moved);
    let _ = writeln!(
        out,
        "<tr data-pid=\"{pid}\"><td data-label=\"process\">{} [{pid}]</td><td data-label=\"operation\">{}{by}</td><td data-label=\"object\">{}</td><td data-label=\"evidence\">{}</td>\
         <td class=\"number\" data-label=\"ops\" data-field=\"ops\" data-value=\"{ops}\" data-sort=\"{ops}\">{}</td>\
         <td class=\"number\" data-label=\"moved\" data-field=\"moved\" data-value=\"{moved}\" data-sort=\"{moved}\">{}</td>{}{}<td class=\"how\" data-label=\"how\"><span>{}</span></td></tr>",
        xml(&process.comm),
        xml(path.op.as_str()),
        xml(path.object.as_str()),
        xml(path.evidence.as_str()),
        bytes::count(ops),
        bytes::bytes(moved),
        number("share", moved as f64, &bytes::percent(moved, whole)),
        per_byte(path.totals.per_byte()),
        how.join(" "),
        pid = process.pid,
    );
}

fn number(label: &str, sort: f64, text: &str) -> String {
    format!("<td class=\"number\" data-label=\"{label}\" data-sort=\"{sort}\">{text}</td>")
}

/// The figure; one that could be higher never looks like zero.
fn per_byte(figure: PerByte) -> String {
    let class = if figure.is_zero_copy() { " good" } else { "" };
    format!(
        "<td class=\"number{class}\" data-label=\"copies/B\" data-sort=\"{}\">{}</td>",
        figure.ratio().unwrap_or(-1.0),
        xml(&figure.to_string())
    )
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

/// How long the zero-copy sends of a row waited until they could use their memory again.
fn notified(path: &Path, watched: Duration) -> Option<String> {
    let words = path.notified.words(watched)?;
    Some(format!(" <small>{}</small>", xml(&words)))
}
