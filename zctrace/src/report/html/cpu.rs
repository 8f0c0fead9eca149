//! Where the processor time of each process went.

use std::{fmt::Write as _, time::Duration};

use crate::{
    ledger::{CpuTime, Snapshot},
    report::cpu::{NAMES, percent},
    text::{bytes::duration, escape::xml},
};

/// Processes that the table has at most, those with the most time first.
const MOST: usize = 100;

/// Whether there is something to show.
pub(super) fn is_known(stat: &Snapshot) -> bool {
    stat.processes
        .iter()
        .any(|process| process.cpu_seconds.is_some_and(|time| !time.is_empty()))
}

/// The table; nothing where no processor was sampled.
pub(super) fn table(out: &mut String, stat: &Snapshot) {
    if !is_known(stat) {
        return;
    }
    let times = stat.processes.iter().filter_map(|process| {
        let time = process.cpu_seconds.filter(CpuTime::is_sound)?;
        (!time.is_empty()).then_some((process, time))
    });
    let mut times: Vec<_> = times.collect();
    times.sort_by(|(_, a), (_, b)| b.total().total_cmp(&a.total()));
    out.push_str(
        "<h2 id=\"processor-time\">Processor time</h2>\n<p>From samples, two hundred a second of each processor. Copying \
         in user space is time, and no part of copies per byte.</p>\n<div class=\"wide\"><table>\n<tr><th>process</th>\
         <th>CPU time</th>",
    );
    for name in NAMES {
        let _ = write!(out, "<th>{name}</th>");
    }
    out.push_str("<th>kernel copying</th></tr>\n");
    for (process, time) in times.iter().take(MOST) {
        let all =
            Duration::try_from_secs_f64(time.total()).map_or_else(|_| String::new(), duration);
        let _ = write!(
            out,
            "<tr><td>{}</td><td class=\"number\">{all}</td>",
            xml(&process.title())
        );
        let copying = ("copy_cpu_seconds", process.copy_cpu_seconds.unwrap_or(0.0));
        for (name, seconds) in time.parts().into_iter().chain([copying]) {
            let share = time.share(seconds).unwrap_or(0.0);
            let _ = write!(
                out,
                "<td class=\"number\" data-field=\"{name}\" data-value=\"{seconds}\">{}</td>",
                percent(share)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
    if let Some(more) = times.len().checked_sub(MOST).filter(|more| *more > 0) {
        let _ = writeln!(out, "<p>{more} processes with less time are not shown.</p>");
    }
}
