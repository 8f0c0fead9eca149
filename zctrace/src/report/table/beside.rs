//! Lines below the rows of a process: what no column has.

use std::time::Duration;

use zctrace_common::{Mark, Op};

use crate::{
    ledger::{Claimed, Direction, Path, Process, refusals},
    report::cpu,
    text::{
        bytes::{bytes, count, duration},
        escape::printable,
    },
};

/// Copies made elsewhere are told beside the price of the network where they are at least one for
/// this many bytes that crossed it.
const ELSEWHERE: u64 = 20;

/// What a row of faults counts where nothing says how many bytes they were about.
pub(super) fn faults(path: &Path) -> Option<String> {
    let one_or = |one: &'static str, more: &'static str| match path.totals.ops {
        1 => format!("1 {one}"),
        ops => format!("{} {more}", count(ops)),
    };
    path.is_only_faults().then(|| {
        if path.op == Op::FaultWrite {
            one_or("possible copy on write", "possible copies on write")
        } else {
            one_or("fault", "faults")
        }
    })
}

/// Such rows in a line, if there are many: the start of a program takes some hundreds.
pub(super) fn many_faults(paths: &[&Path]) -> Option<String> {
    const MANY: u64 = 1000;
    let sum = |writes: bool| {
        paths
            .iter()
            .filter(|path| (path.op == Op::FaultWrite) == writes)
            .fold(0_u64, |sum, path| sum.saturating_add(path.totals.ops))
    };
    let mut parts = Vec::new();
    for (number, what) in [
        (sum(false), "of mapped files"),
        (sum(true), "by writes that may have copied a page"),
    ] {
        if number >= MANY {
            parts.push(format!("{} {what}", count(number)));
        }
    }
    (!parts.is_empty()).then(|| format!("page faults: {}", parts.join(", ")))
}

/// What it means that calls of a process failed, once for each operation and errno.
pub(super) fn refused(process: &Process) -> Vec<String> {
    let mut lines = Vec::new();
    for path in &process.paths {
        for means in refusals::words(path) {
            let line = format!("{} {means}", printable(path.op.as_str()));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// How long the zero-copy sends of a process waited until they could use their memory again.
pub(super) fn notified(process: &Process, watched: Duration) -> Vec<String> {
    let lines = process.paths.iter().filter_map(|path| {
        let words = path.notified.words(watched).or_else(|| {
            let words = "time to the notification not measured: that needs probes on functions";
            path.is_without_notifications().then(|| words.to_owned())
        })?;
        let (op, object) = (path.op.as_str(), path.object.as_str());
        Some(format!("{} {}: {words}", printable(op), printable(object)))
    });
    lines.collect()
}

/// Lines about a process as a whole: what went over the network, and what is not over.
pub(super) fn states(process: &Process) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(network(process));
    // Less than two samples are chance.
    if let Some(seconds) = process.copy_cpu_seconds
        && seconds >= 0.01
        && let Ok(time) = Duration::try_from_secs_f64(seconds)
    {
        let time = duration(time);
        lines.push(format!("copying: {time} of CPU time, from samples"));
    }
    lines.extend(cpu::line(process));
    for one in &process.not_followed {
        if let Ok(time) = Duration::try_from_secs_f64(one.copy_cpu_seconds) {
            lines.push(format!(
                "{} of copying in {}, which zctrace does not follow: its bytes are in no row",
                duration(time),
                printable(&one.call)
            ));
        }
    }
    lines.extend(process.claims.iter().filter_map(contradiction));
    let mut open = Vec::new();
    if process.pending != 0 {
        open.push(format!(
            "{} sent by reference may still be copied",
            bytes(process.pending)
        ));
    }
    if process.in_flight != 0 {
        open.push(match process.in_flight {
            1 => "1 operation in flight".into(),
            open => format!("{} operations in flight", count(open)),
        });
    }
    if !open.is_empty() {
        lines.push(format!("open: {}", open.join(", ")));
    }
    lines
}

/// What went over the network, and at what price. The price is that of everything the process
/// copied, so where some of it was copied elsewhere, the line says how much was not.
pub(super) fn network(process: &Process) -> Option<String> {
    let mut parts = Vec::new();
    let (mut told, mut own, mut ways) = (None, 0_u64, Vec::new());
    for (direction, verb, doing, amount, figure) in [
        (
            Direction::Sent,
            "sent",
            "sending",
            process.sent,
            process.per_sent_byte(),
        ),
        (
            Direction::Received,
            "received",
            "receiving",
            process.received,
            process.per_received_byte(),
        ),
    ] {
        let paths = process.paths.iter();
        let copied = paths
            .filter(|path| path.direction() == Some(direction))
            .map(|path| path.totals.copies())
            .fold(0, u64::saturating_add);
        own = own.saturating_add(copied);
        if amount == 0 {
            continue;
        }
        parts.push(match figure.ratio() {
            Some(_) => {
                told = told.min(Some(amount)).or(Some(amount));
                ways.push(format!("{} by {doing}", bytes(copied)));
                format!("{verb} {} at {figure} copies/B", bytes(amount))
            }
            // Other bytes were by far the most: the price is not that of these.
            None => format!("{verb} {}", bytes(amount)),
        });
    }
    if parts.is_empty() {
        return None;
    }
    let all = process.total.copies();
    let elsewhere = all.saturating_sub(own).saturating_mul(ELSEWHERE);
    let note = match told {
        Some(amount) if elsewhere >= amount => {
            format!(
                "; all {} that it copied count, {}",
                bytes(all),
                ways.join(", ")
            )
        }
        _ => String::new(),
    };
    Some(format!("network: {}{note}", parts.join(", ")))
}

/// What was seen that contradicts what was asked for at a path.
fn contradiction(claimed: &Claimed) -> Option<String> {
    let is = |mark: Mark| claimed.claims.iter().any(|name| name == mark.name());
    let what = if is(Mark::NoSoZerocopy) {
        "without SO_ZEROCOPY the flag is ignored".to_owned()
    } else if is(Mark::NoScatterGather) {
        let device = claimed.device.as_deref().unwrap_or("the device");
        format!(
            "{} cannot take pages (scatter-gather is off)",
            printable(device)
        )
    } else if is(Mark::CopyingRoute) {
        let device = claimed.device.as_deref().unwrap_or("the device");
        match claimed.obstacle() {
            Some(obstacle) => format!(
                "on the way over {} it may be copied: {}",
                printable(device),
                printable(obstacle)
            ),
            None => format!(
                "{} encrypts, passes packets on, or has no checksum offload: it may copy",
                printable(device)
            ),
        }
    } else if is(Mark::Copied) {
        let times = match claimed.notifications {
            1 => "once".into(),
            times => format!("{} times", count(times)),
        };
        format!("the kernel notified {times} that it copied")
    } else {
        return None;
    };
    let (op, object) = (
        printable(claimed.op.as_str()),
        printable(claimed.object.as_str()),
    );
    Some(format!("{op} {object}: {what}"))
}
