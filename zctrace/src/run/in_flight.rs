//! Operations that are open when tracing ends.

use std::{
    collections::{BTreeSet, HashMap},
    fs, mem,
    path::Path,
};

use libc::c_long;
use zctrace_common::Cause;

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

/// A thread that may be in an operation.
#[derive(Clone, Debug)]
struct Suspect {
    was: Was,
    /// How many calls the kernel had counted for it when the measurement ended.
    counted: Option<u64>,
}

/// Which operations may be open. A thread that copies is on a processor, and the kernel tells the calls of those that
/// sleep only. So once the measurement has ended ([`Watch::close`]), an operation that may have been open then counts
/// until the thread was seen elsewhere, or has completed a call.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// It will be closed and looked at again: before that, this costs a further file for each thread.
    settles: bool,
    is_closed: bool,
    suspects: HashMap<(u32, u32), Suspect>,
    /// Calls of a process that have completed: with a single thread, one more says that another call has begun.
    done: HashMap<u32, u64>,
}

impl Watch {
    /// `settles` is whether anybody waits for open operations at the end.
    pub(crate) fn new(settles: bool) -> Self {
        Self {
            settles,
            ..Self::default()
        }
    }

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
            self.done.clear();
        }
        // Who has ended is not looked at again.
        let before = mem::take(&mut self.suspects);
        let mut waiting = 0;
        let mut without_row = targets.clone();
        for process in &mut counted.processes {
            without_row.remove(&process.pid);
            // The id may have gone to another process.
            if start_time(view, process.pid) == Some(process.start_time) {
                let open = self.of_process(view, process.pid, calls_of(process), &before);
                process.in_flight += open.all;
                waiting += open.waiting;
            }
        }
        for pid in without_row {
            let open = self.of_process(view, pid, 0, &before);
            if open.all != 0
                && let Some(process) = idle(view, pid, open.all)
            {
                counted.processes.push(process);
                waiting += open.waiting;
            }
        }
        waiting
    }

    /// Threads of a process that are inside a system call of the family, or may be. `done` is how many calls of the
    /// process have completed.
    fn of_process(
        &mut self,
        view: &View,
        pid: u32,
        done: u64,
        before: &HashMap<(u32, u32), Suspect>,
    ) -> Open {
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
            let before = before.get(&(pid, tid));
            if self.is_closed && (has_gone_on || before.is_none()) {
                continue;
            }
            let counted = match now {
                Look::Inside(_) | Look::Running(..) if self.settles => calls_counted(&task),
                _ => None,
            };
            let Some(suspect) = still(before.filter(|_| self.is_closed), now, counted) else {
                continue;
            };
            // Before the end a thread on a processor is no more than that.
            if self.is_closed || matches!(suspect.was, Was::Inside(_)) {
                open.all += 1;
            }
            if let Was::Inside(line) = &suspect.was {
                open.waiting += u64::from(is_waiting(&task, line));
            }
            self.suspects.insert((pid, tid), suspect);
        }
        open
    }

    /// Whether a thread was on a processor when the measurement ended, so that nobody knows whether it was in an
    /// operation.
    pub(crate) fn is_uncertain(&self) -> bool {
        let mut suspects = self.suspects.values();
        suspects.any(|suspect| matches!(suspect.was, Was::Running(..)))
    }
}

/// What is to be thought of a thread now; `None` if it is in no operation, or in one that began after the end.
/// `counted` is how many calls the kernel has counted for it.
fn still(before: Option<&Suspect>, now: Look, counted: Option<u64>) -> Option<Suspect> {
    let Some(before) = before else {
        let was = match now {
            Look::Outside => return None,
            Look::Inside(line) => Was::Inside(line),
            Look::Running(user, system) => Was::Running(user, system),
        };
        return Some(Suspect { was, counted });
    };
    if counted != before.counted {
        return None;
    }
    let was = match (&before.was, now) {
        (_, Look::Outside) => return None,
        (Was::Inside(line), Look::Inside(now)) if *line != now => return None,
        (Was::Inside(line), _) => Was::Inside(line.clone()),
        (Was::Running(..), Look::Inside(line)) => Was::Inside(line),
        (Was::Running(user, system), Look::Running(user_now, system_now)) => {
            // The kernel divides the time by samples, so a little of it can be on the wrong side.
            let within = system_now.saturating_sub(*system);
            if user_now.saturating_sub(*user) > 1 + within / 8 {
                return None;
            }
            Was::Running(*user, *system)
        }
    };
    Some(Suspect {
        was,
        counted: before.counted,
    })
}

/// Calls of a process that have completed. A fault can be within a call that is open, and a request in none.
fn calls_of(process: &Process) -> u64 {
    let calls = process
        .paths
        .iter()
        .filter(|path| path.op.is(|op| op.cause() == Cause::Call));
    calls.fold(0, |sum, path| sum.saturating_add(path.totals.ops))
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
        let stat = fs::read_to_string(task.join("stat")).ok()?;
        return running(&stat);
    }
    Some(if is_in_family(&line) {
        Look::Inside(line)
    } else {
        Look::Outside
    })
}

/// A thread on a processor, from its `/proc/PID/task/TID/stat`. The kernel's own workers within a process are in no
/// call (`PF_IO_WORKER`, `PF_USER_WORKER`).
fn running(stat: &str) -> Option<Look> {
    const WORKERS: u64 = 0x10 | 0x4000;
    let words: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    let number = |index: usize| words.get(index)?.parse::<u64>().ok();
    let (flags, user, system) = (number(6)?, number(11)?, number(12)?);
    Some(if flags & WORKERS == 0 {
        Look::Running(user, system)
    } else {
        Look::Outside
    })
}

/// How many reads and writes of a thread the kernel has counted at their ends: those of files and pipes, and sendfile.
fn calls_counted(task: &Path) -> Option<u64> {
    let io = fs::read_to_string(task.join("io")).ok()?;
    let numbers = io.lines().filter_map(|line| {
        let (name, number) = line.split_once(": ")?;
        matches!(name, "syscr" | "syscw").then(|| number.parse::<u64>().ok())?
    });
    Some(numbers.fold(0, u64::wrapping_add))
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
    use std::{
        io::Read as _,
        os::unix::net::UnixStream,
        process::{Command, Stdio},
        thread,
        time::Duration,
    };

    use super::*;
    use crate::ledger::{Totals, samples};

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
        let later = |suspect: &Option<Suspect>, now| still(suspect.as_ref(), now, Some(7));
        let call = still(None, inside("1 0x3"), Some(7));
        assert!(later(&call, Look::Running(9, 9)).is_some());
        let call = later(&call, Look::Running(0, 9));
        assert!(later(&call, inside("1 0x3")).is_some(), "the same call");
        assert!(later(&call, inside("1 0x4")).is_none(), "another call");
        assert!(later(&call, Look::Outside).is_none());
        let next = still(call.as_ref(), inside("1 0x3"), Some(8));
        assert!(next.is_none(), "another one, of the same arguments");
        assert!(still(None, Look::Outside, None).is_none());

        let on_processor = still(None, Look::Running(5, 5), Some(7));
        for (user, system, may_be) in [(5, 40, true), (6, 10, true), (5, 5, true), (9, 6, false)] {
            let now = later(&on_processor, Look::Running(user, system));
            assert_eq!(now.is_some(), may_be, "{user} {system}");
        }
        let then = later(&on_processor, inside("1 0x3"));
        assert!(later(&then, inside("1 0x4")).is_none());

        let stat = |flags: u64| format!("7 (a) b) R 1 1 1 0 -1 {flags} 0 0 0 0 31 42 0 0 20 0 1 0");
        let of = |flags| running(&stat(flags)).expect("a whole line");
        assert!(matches!(of(0x0040_0040), Look::Running(31, 42)));
        assert!(matches!(of(0x0040_0050), Look::Outside), "an io worker");
        assert!(matches!(of(0x0040_4040), Look::Outside), "a vhost worker");
        assert!(running("7 (a").is_none());
    }

    /// What begins after the end, who has ended meanwhile, and faults within a call.
    #[test]
    fn only_what_may_have_been_open_at_the_end_counts() {
        let view = View::detect().unwrap();
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        let start = start_time(&view, pid).unwrap();
        let with = |op: &str, ops: u64| {
            let totals = Totals {
                ops,
                ..Totals::default()
            };
            let path = samples::path(op, "pipe", totals);
            let process = Process::from_paths(pid, start, "cat".into(), "/".into(), vec![path]);
            Counted {
                processes: vec![process],
                ..Counted::default()
            }
        };
        let mut watch = Watch::default();
        let look = |watch: &mut Watch, mut counted: Counted| {
            watch.fill_in(&view, &mut counted, &BTreeSet::new());
            counted.processes[0].in_flight
        };
        while look(&mut watch, with("read", 1)) == 0 {
            thread::sleep(Duration::from_millis(5));
        }
        let mut watch = Watch::default();
        assert_eq!(look(&mut watch, with("fault.map", 1)), 1);
        watch.close();
        assert_eq!(look(&mut watch, with("fault.map", 2)), 1, "a fault within");
        assert_eq!(look(&mut watch, with("read", 2)), 0, "another call");
        assert_eq!(look(&mut watch, with("read", 2)), 0, "one from later");
        let mut watch = Watch::default();
        assert_eq!(look(&mut watch, with("read", 1)), 1);
        watch.close();
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(look(&mut watch, with("read", 1)), 0, "it has ended");
        assert!(!watch.is_uncertain());
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
        while watch.of_process(&view, own, 0, &HashMap::new()).waiting == 0 {
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
