//! Whose threads these are.

use std::{collections::BTreeSet, fs};

use crate::target::View;

/// The processes that these threads belong to, of those that are alive, as `name (id)`. The threads have the machine's
/// own ids; where zctrace does not see those, it finds nobody.
pub(crate) fn names(view: &View, threads: &BTreeSet<u32>) -> Vec<String> {
    if !view.knows_machine_ids() {
        return Vec::new();
    }
    let processes: BTreeSet<u32> = threads
        .iter()
        .filter_map(|tid| fs::read_to_string(view.root().join(format!("{tid}/status"))).ok())
        .filter_map(|status| process_of(&status))
        .collect();
    let name = |pid: &u32| Some(format!("{} ({pid})", view.comm(*pid)?));
    processes.iter().filter_map(name).collect()
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
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_named_once_while_it_lives() {
        let view = View::detect().unwrap();
        if !view.knows_machine_ids() {
            return;
        }
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let threads = BTreeSet::from([view.own_pid(), child.id(), u32::MAX]);
        let found = names(&view, &threads);
        assert_eq!(found.len(), 2, "{found:?}");
        let id = format!("({})", child.id());
        let is = |name: &String| name.ends_with(&id);
        assert!(found.iter().any(is), "{found:?}");
        child.kill().unwrap();
        // Nobody has waited for it: a zombie.
        while names(&view, &threads).iter().any(is) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        let status = |state: &str| format!("Name:\ta\nUmask:\t0022\nState:\t{state}\nTgid:\t77\n");
        assert_eq!(process_of(&status("S (sleeping)")), Some(77));
        assert_eq!(process_of(&status("Z (zombie)")), None);
        assert_eq!(process_of(""), None);
    }
}
