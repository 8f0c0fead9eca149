//! Enumerating threads while they come and go.

use std::{collections::BTreeSet, fs};

use procfs::process::Process;

use super::View;

/// Scans are repeated until two in a row add nothing. A program that starts threads faster than
/// they can be listed would keep this going for ever; what is missed then is added by the second
/// enumeration after attaching, or followed by the fork probe.
const MAX_SCANS: u32 = 50;

/// Ids of a process's threads; empty when it has ended.
pub(super) fn of_process(view: &View, pid: u32) -> BTreeSet<u32> {
    let Ok(tasks) = fs::read_dir(view.root().join(format!("{pid}/task"))) else {
        return BTreeSet::new();
    };
    tasks
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Repeats `scan` until two in a row add nothing. What has ended in the meantime stays in: its id is
/// harmless.
pub(super) fn settle<E>(
    mut scan: impl FnMut() -> Result<BTreeSet<u32>, E>,
) -> Result<BTreeSet<u32>, E> {
    let mut all = scan()?;
    let mut quiet = 0;
    for _ in 0..MAX_SCANS {
        let before = all.len();
        all.extend(scan()?);
        quiet = if all.len() == before { quiet + 1 } else { 0 };
        if quiet == 2 {
            break;
        }
    }
    Ok(all)
}

/// Threads of the processes whose name, which is that of their first thread, is `comm`.
pub(super) fn of_comm(view: &View, comm: &str) -> BTreeSet<u32> {
    let own = view.own_pid();
    let mut found = BTreeSet::new();
    for process in view.processes() {
        let Ok(pid) = u32::try_from(process.pid) else {
            continue;
        };
        if pid == own || is_kernel_thread(&process) {
            continue;
        }
        found.extend(of_process_named(view, pid, comm));
    }
    found
}

fn of_process_named(view: &View, pid: u32, comm: &str) -> BTreeSet<u32> {
    if name(view, pid).as_deref() == Some(comm) {
        of_process(view, pid)
    } else {
        BTreeSet::new()
    }
}

fn is_kernel_thread(process: &Process) -> bool {
    process
        .stat()
        .is_ok_and(|stat| stat.flags & super::view::PF_KTHREAD != 0)
}

/// A process's command name. Bytes that are not UTF-8 cannot be given on a command line that is,
/// so a lossy conversion never makes two names equal by accident that a user can tell apart.
fn name(view: &View, pid: u32) -> Option<String> {
    let path = view.root().join(format!("{pid}/task/{pid}/comm"));
    let bytes = fs::read(path).ok()?;
    let name = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Some(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, sync::mpsc, thread};

    use super::*;

    #[test]
    fn a_scan_is_repeated_until_two_add_nothing() {
        let mut scans = [
            vec![1],
            vec![1, 2],
            vec![2],
            vec![2, 3],
            vec![3],
            vec![3],
            vec![99],
        ]
        .into_iter();
        let all = settle(|| Ok::<_, Infallible>(scans.next().unwrap().into_iter().collect()));
        assert_eq!(all, Ok(BTreeSet::from([1, 2, 3])));
    }

    #[test]
    fn endless_growth_ends() {
        let mut next = 0;
        let all = settle(|| {
            next += 1;
            Ok::<_, Infallible>(BTreeSet::from([next]))
        });
        assert_eq!(all.unwrap().len(), MAX_SCANS as usize + 1);
    }

    /// A name is that of a process. Otherwise what a report says of the process would be true of one thread only.
    #[test]
    fn a_process_is_found_with_all_its_threads_and_a_thread_is_not() {
        let view = View::detect().unwrap();
        let own = view.own_pid();
        let (stop, stopped) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("zct-named".into())
            .spawn(move || {
                started.send(nix::unistd::gettid()).unwrap();
                let _ = stopped.recv();
            })
            .unwrap();
        let tid = u32::try_from(has_started.recv().unwrap().as_raw()).unwrap();
        assert_eq!(of_process_named(&view, own, "zct-named"), BTreeSet::new());
        let process = name(&view, own).unwrap();
        assert!(of_process_named(&view, own, &process).contains(&tid));
        assert!(
            !of_comm(&view, &process).contains(&tid),
            "zctrace itself is left out"
        );
        drop(stop);
        thread.join().unwrap();
    }
}
