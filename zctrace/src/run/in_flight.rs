//! Operations that are open when tracing ends.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
};

use libc::c_long;

use crate::{
    kernel::FIDEDUPERANGE,
    ledger::{Counted, Process},
    target::{View, container::Containers},
};

/// The I/O family. The numbers are those of the architecture that zctrace is built for.
const FAMILY: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_write,
    libc::SYS_pwrite64,
    libc::SYS_writev,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_vmsplice,
    libc::SYS_tee,
    libc::SYS_copy_file_range,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mq_timedsend,
    libc::SYS_mq_timedreceive,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
];

/// `ioctl` requests that share extents: `FICLONE`, `FICLONERANGE`, `FIDEDUPERANGE`.
const CLONES: [u64; 3] = [libc::FICLONE, libc::FICLONERANGE, FIDEDUPERANGE];

/// Those that put pages into place: `UFFDIO_COPY`, `UFFDIO_ZEROPAGE`, `UFFDIO_MOVE`,
/// `UFFDIO_CONTINUE`.
const USERFAULTS: [u64; 4] = [0xc028_aa03, 0xc020_aa04, 0xc028_aa05, 0xc020_aa07];

/// Those of the family that receive: the number of the argument that has the flags, if any.
const RECEIVES: &[(c_long, Option<usize>)] = &[
    (libc::SYS_read, None),
    (libc::SYS_readv, None),
    (libc::SYS_recvfrom, Some(3)),
    (libc::SYS_recvmsg, Some(2)),
    (libc::SYS_recvmmsg, Some(3)),
];

/// Operations that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Open {
    all: u64,
    /// Those of them that sleep until something comes, and have copied nothing so far.
    waiting: u64,
}

/// What was seen of a thread when the measurement ended, and since.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Was {
    /// Inside this call.
    Inside(String),
    /// On a processor, or about to be: the kernel does not say where. Its user and system time was this, in ticks.
    Running(u64, u64),
}

/// Which operations may be open. A thread that copies is on a processor, and the kernel tells the calls of those that
/// sleep only. So once the measurement has ended ([`Watch::close`]), an operation that may have been open then counts
/// until the thread was seen elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    is_closed: bool,
    threads: HashMap<(u32, u32), Was>,
    /// Operations of a process so far: with a single thread, one more says that another call has begun.
    done: HashMap<u32, u64>,
}

impl Watch {
    /// Nothing that begins from now on belongs to the measurement.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Completes [`Process::in_flight`], which has the requests already, and returns how many of these operations only
    /// wait for input. The ids are those of `view`; the processes in `targets` get a row even if nothing of theirs
    /// completed.
    pub(crate) fn fill_in(
        &mut self,
        view: &View,
        counted: &mut Counted,
        targets: &BTreeSet<u32>,
    ) -> u64 {
        if !self.is_closed {
            self.threads.clear();
            self.done.clear();
        }
        let mut waiting = 0;
        let mut without_row = targets.clone();
        for process in &mut counted.processes {
            without_row.remove(&process.pid);
            // The id may have gone to another process.
            if start_time(view, process.pid) == Some(process.start_time) {
                let open = self.of_process(view, process.pid, process.total.ops);
                process.in_flight += open.all;
                waiting += open.waiting;
            }
        }
        for pid in without_row {
            let open = self.of_process(view, pid, 0);
            if open.all != 0
                && let Some(process) = idle(view, pid, open.all)
            {
                counted.processes.push(process);
                waiting += open.waiting;
            }
        }
        waiting
    }

    /// Threads of a process that are inside a system call of the family, or may be. `done` is how many operations of
    /// the process have completed.
    fn of_process(&mut self, view: &View, pid: u32, done: u64) -> Open {
        let tasks = view.root().join(format!("{pid}/task"));
        let Ok(entries) = fs::read_dir(tasks) else {
            return Open::default();
        };
        let tasks: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        let has_gone_on = *self.done.entry(pid).or_insert(done) != done && tasks.len() == 1;
        let mut open = Open::default();
        for task in tasks {
            let tid = task
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            let Some((tid, now)) = tid.zip(look_at(&task)) else {
                continue;
            };
            let Some(is) = self.may_be(pid, tid, now, has_gone_on) else {
                continue;
            };
            open.all += 1;
            if let Was::Inside(line) = is {
                open.waiting += u64::from(is_waiting(&task, &line));
            }
        }
        open
    }

    /// The operation that a thread may be in; `None` if it is in none, or in one that began after the end.
    fn may_be(&mut self, pid: u32, tid: u32, now: Look, has_gone_on: bool) -> Option<Was> {
        let key = (pid, tid);
        let before = match (self.is_closed, self.threads.get(&key)) {
            (false, _) => None,
            (true, None) => return None,
            (true, Some(was)) => Some(was.clone()),
        };
        let is = match (before, now) {
            _ if has_gone_on => None,
            (Some(Was::Inside(before)), Look::Inside(line)) => {
                (before == line).then_some(Was::Inside(line))
            }
            (_, Look::Inside(line)) => Some(Was::Inside(line)),
            (_, Look::Outside) => None,
            (None, Look::Running(user, system)) => Some(Was::Running(user, system)),
            (Some(Was::Running(user, system)), Look::Running(user_now, system_now)) => {
                let computes = user_now.saturating_sub(user);
                let within = system_now.saturating_sub(system);
                // The kernel divides the time by samples, so a little of it can be on the wrong side.
                (computes == 0 || computes < within / 8).then_some(Was::Running(user, system))
            }
            (Some(was), Look::Running(..)) => Some(was),
        };
        match &is {
            Some(was) => self.threads.insert(key, was.clone()),
            None => self.threads.remove(&key),
        };
        // Before the end it is only an indication for people.
        is.filter(|was| self.is_closed || matches!(was, Was::Inside(_)))
    }

    /// Whether a thread was on a processor when the measurement ended, so that nobody knows whether it was in an
    /// operation.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.threads
            .values()
            .any(|was| matches!(was, Was::Running(..)))
    }
}

/// What a look at a thread shows.
#[derive(Debug)]
enum Look {
    Inside(String),
    /// With its user and system time, in ticks.
    Running(u64, u64),
    Outside,
}

fn look_at(task: &Path) -> Option<Look> {
    let line = fs::read_to_string(task.join("syscall")).ok()?;
    if line.trim_end() == "running" {
        let (user, system) = times(&fs::read_to_string(task.join("stat")).ok()?)?;
        return Some(Look::Running(user, system));
    }
    Some(if is_in_family(&line) {
        Look::Inside(line)
    } else {
        Look::Outside
    })
}

/// `utime` and `stime` of a line of `/proc/PID/task/TID/stat`.
fn times(stat: &str) -> Option<(u64, u64)> {
    let mut words = stat.rsplit_once(") ")?.1.split_whitespace().skip(11);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

fn start_time(view: &View, pid: u32) -> Option<u64> {
    Some(view.process(pid).ok()?.stat().ok()?.starttime)
}

/// Whether a call sleeps on a socket, pipe or terminal until there is something to receive. Such a
/// call returns what it has as soon as it has anything, so it has copied nothing yet.
fn is_waiting(task: &Path, line: &str) -> bool {
    let takes_a_message = takes_a_message(line);
    let fd = match waits_for_anything(line) {
        Some((fd, true)) => fd,
        _ if takes_a_message => 0,
        _ => return false,
    };
    let sleeps = fs::read_to_string(task.join("stat")).is_ok_and(|stat| {
        stat.rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('S'))
    });
    if takes_a_message {
        return sleeps;
    }
    let stream = fs::read_link(task.join(format!("fd/{fd}"))).is_ok_and(|target| {
        ["socket:", "pipe:", "/dev/pts/", "/dev/tty"]
            .iter()
            .any(|start| {
                target
                    .as_os_str()
                    .as_encoded_bytes()
                    .starts_with(start.as_bytes())
            })
    });
    sleeps && stream
}

/// Whether a call takes one message out of a queue: while it sleeps, there is none.
fn takes_a_message(line: &str) -> bool {
    let number = line.split_whitespace().next().map(str::parse::<c_long>);
    matches!(
        number,
        Some(Ok(libc::SYS_mq_timedreceive | libc::SYS_msgrcv))
    )
}

/// The descriptor of a receiving call, and whether it is content with any number of bytes.
fn waits_for_anything(line: &str) -> Option<(u64, bool)> {
    let mut words = line.split_whitespace();
    let number: c_long = words.next()?.parse().ok()?;
    let arguments: Vec<u64> = words
        .map_while(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok())
        .collect();
    let (_, flags) = RECEIVES.iter().find(|(receive, _)| *receive == number)?;
    let has = |flag: i32| match flags {
        Some(index) => Some(arguments.get(*index)? & u64::from(flag.unsigned_abs()) != 0),
        None => Some(false),
    };
    // `recvmmsg` goes on until it has every message it has room for.
    let all =
        has(libc::MSG_WAITALL)? || number == libc::SYS_recvmmsg && !has(libc::MSG_WAITFORONE)?;
    Some((*arguments.first()?, !all))
}

/// Reads a line of `/proc/PID/task/TID/syscall`: the number and the arguments, `running`, or `-1`
/// outside of a call.
fn is_in_family(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let Some(Ok(number)) = words.next().map(str::parse::<c_long>) else {
        return false;
    };
    if number == libc::SYS_ioctl {
        let request = words
            .nth(1)
            .and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
        // The kernel looks at 32 bits of it.
        return request.is_some_and(|request| {
            let request = request & 0xffff_ffff;
            CLONES.contains(&request) || USERFAULTS.contains(&request)
        });
    }
    FAMILY.contains(&number)
}

/// A process of which nothing completed.
fn idle(view: &View, pid: u32, in_flight: u64) -> Option<Process> {
    let process = view.process(pid).ok()?;
    let stat = process.stat().ok()?;
    let cgroup = process
        .cgroups()
        .ok()
        .and_then(|groups| groups.0.into_iter().find(|group| group.hierarchy == 0))
        .map_or_else(String::new, |group| group.pathname);
    let container = Containers::default().of_cgroup(&cgroup);
    Some(Process {
        in_flight,
        container,
        ..Process::from_paths(pid, stat.starttime, stat.comm, cgroup, Vec::new())
    })
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, os::unix::net::UnixStream, thread, time::Duration};

    use super::*;

    #[test]
    fn lines_of_the_kernel_are_understood() {
        let read = format!(
            "{} 0x0 0x7ffd 0x1000 0x0 0x0 0x0 0x7ffd 0x7f3a",
            libc::SYS_read
        );
        assert!(is_in_family(&read));
        assert!(!is_in_family("running"));
        assert!(!is_in_family("-1 0x7ffd 0x7f3a"));
        assert!(!is_in_family(""));
        assert!(!is_in_family(&format!("{} 0x0", libc::SYS_poll)));
        let ioctl = |request| format!("{} 0x3 {request} 0x4", libc::SYS_ioctl);
        assert!(is_in_family(&ioctl("0x40049409")));
        assert!(is_in_family(&ioctl("0xffffffffc0189436")));
        assert!(is_in_family(&ioctl("0xc028aa03")));
        assert!(!is_in_family(&ioctl("0x5413")));
        assert!(takes_a_message(&format!("{} 0x3", libc::SYS_msgrcv)));
        assert!(!takes_a_message(&format!("{} 0x3", libc::SYS_msgsnd)));
    }

    #[test]
    fn a_call_that_wants_all_may_have_copied_a_part() {
        let call = |number: c_long, flags: i32| {
            format!("{number} 0x4 0x7f 0x10 {flags:#x} 0x0 0x0 0x7 0x8")
        };
        assert_eq!(
            waits_for_anything(&call(libc::SYS_recvfrom, 0)),
            Some((4, true))
        );
        let all = call(libc::SYS_recvfrom, libc::MSG_WAITALL);
        assert_eq!(waits_for_anything(&all), Some((4, false)));
        let many = |flags| waits_for_anything(&call(libc::SYS_recvmmsg, flags));
        assert_eq!(many(0), Some((4, false)));
        assert_eq!(many(libc::MSG_WAITFORONE), Some((4, true)));
        assert_eq!(waits_for_anything(&call(libc::SYS_sendfile, 0)), None);
        assert_eq!(waits_for_anything(&format!("{}", libc::SYS_recvmsg)), None);
        assert_eq!(waits_for_anything("running"), None);
    }

    /// A thread that copies is on a processor. What the kernel says of it then proves nothing.
    #[test]
    fn a_call_is_open_until_its_thread_was_seen_elsewhere() {
        let inside = |text: &str| Look::Inside(text.to_owned());
        let mut watch = Watch::default();
        let see = |watch: &mut Watch, tid, now| watch.may_be(1, tid, now, false).is_some();
        assert!(see(&mut watch, 1, inside("1 0x3")));
        assert!(see(&mut watch, 2, inside("1 0x3")));
        assert!(!see(&mut watch, 3, Look::Outside));
        assert!(!see(&mut watch, 4, Look::Running(5, 5)), "not yet known");
        assert!(!see(&mut watch, 5, Look::Running(5, 5)), "not yet known");
        assert!(!see(&mut watch, 6, Look::Running(5, 5)), "not yet known");
        assert!(watch.is_uncertain());
        watch.close();
        assert!(see(&mut watch, 1, Look::Running(0, 9)), "the same call");
        assert!(see(&mut watch, 1, inside("1 0x3")), "the same call");
        assert!(!see(&mut watch, 1, inside("1 0x4")), "another call");
        assert!(!see(&mut watch, 1, inside("1 0x3")), "a later one");
        assert!(!see(&mut watch, 2, Look::Outside));
        assert!(!see(&mut watch, 3, inside("1 0x3")), "it began later");
        assert!(see(&mut watch, 4, Look::Running(5, 40)), "in the kernel");
        assert!(!see(&mut watch, 5, Look::Running(9, 6)), "it computes");
        assert!(see(&mut watch, 6, Look::Running(5, 5)), "it did not run");
        assert!(see(&mut watch, 6, inside("1 0x3")));
        assert!(
            watch.may_be(1, 6, inside("1 0x3"), true).is_none(),
            "another one, of the same arguments"
        );
        let stat = "7 (a) b) R 1 1 1 0 -1 64 0 0 0 0 31 42 0 0 20 0 1 0 5 6";
        assert_eq!(times(stat), Some((31, 42)));
    }

    #[test]
    fn a_thread_that_waits_in_recv_is_in_flight() {
        let view = View::detect().unwrap();
        let own = view.own_pid();
        let (mut here, there) = UnixStream::pair().unwrap();
        let thread = thread::spawn(move || here.read(&mut [0]).unwrap());
        let mut waited = 0;
        // Other tests' threads can be in system calls too, so only a lower bound is known.
        let mut watch = Watch::default();
        while watch.of_process(&view, own, 0).waiting == 0 {
            thread::sleep(Duration::from_millis(5));
            waited += 1;
            assert!(waited < 1000);
        }
        let mut counted = Counted::default();
        assert!(watch.fill_in(&view, &mut counted, &BTreeSet::from([own])) >= 1);
        assert_eq!(counted.processes.len(), 1);
        assert!(counted.processes[0].in_flight >= 1);
        assert_eq!(
            Some(counted.processes[0].start_time),
            start_time(&view, own)
        );
        drop(there);
        assert_eq!(thread.join().unwrap(), 0);
    }
}
