//! Processes that a command has started and that outlive it: what they do later is in no report.

use std::{collections::BTreeSet, fs};

use crate::target::View;

/// How many processes these threads belong to, of those that are alive. The threads have the machine's own ids, so where
/// zctrace does not see those, it is 0.
pub(crate) fn count(view: &View, threads: &BTreeSet<u32>) -> u64 {
    if !view.knows_machine_ids() {
        return 0;
    }
    let processes: BTreeSet<u32> = threads
        .iter()
        .filter_map(|tid| fs::read_to_string(view.root().join(format!("{tid}/status"))).ok())
        .filter_map(|status| process_of(&status))
        .collect();
    processes.len() as u64
}

/// The process of a thread, from its `/proc/TID/status`; `None` if the thread has ended.
fn process_of(status: &str) -> Option<u32> {
    let field = |name: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
        rest.split_whitespace().next()
    };
    match field("State:")? {
        "Z" | "X" => None,
        _ => field("Tgid:")?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_live_count_once_for_a_process() {
        let view = View::detect().unwrap();
        let own = nix::unistd::gettid().as_raw().cast_unsigned();
        let threads = BTreeSet::from([own, view.own_pid(), u32::MAX]);
        assert_eq!(count(&view, &threads), 1);
        let status = |state: &str| format!("Name:\ta\nUmask:\t0022\nState:\t{state}\nTgid:\t77\n");
        assert_eq!(process_of(&status("S (sleeping)")), Some(77));
        assert_eq!(process_of(&status("Z (zombie)")), None);
        assert_eq!(process_of(""), None);
    }
}
