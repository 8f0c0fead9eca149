//! Which processes hold which sockets, and which processes cannot be asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use procfs::process::{FDTarget, Process};

use super::{View, view::PF_KTHREAD};

/// Links that are read of one process. A process may have 1 Mi descriptors, and several tables.
const MAX_LINKS: usize = 1 << 21;
/// With how many tables of a process that of another thread is compared before it is read again.
const COMPARED: usize = 8;
/// Bytes that are read of the state of a ring, which lists up to 32 Ki files and as many requests.
const MAX_RING: u64 = 16 << 20;
/// How often a ring is asked. The kernel says nothing of one that is in use at that moment.
const ASKED: u32 = 5;
/// How often, where it says how long the table is but lists nothing: it may be empty.
const ASKED_EMPTY: u32 = 3;
/// How long to wait before a ring is asked again.
const PAUSE: Duration = Duration::from_millis(1);
/// `KCMP_FILES` of `include/uapi/linux/kcmp.h`.
const KCMP_FILES: i32 = 2;

/// Sockets and their holders, as ids of a view.
#[derive(Debug, Default)]
pub(super) struct Holders {
    /// By the inode of the socket.
    pub by_socket: BTreeMap<u64, BTreeSet<u32>>,
    /// Processes whose descriptors could not be seen, or not all of them.
    pub hidden: BTreeSet<u32>,
}

impl Holders {
    /// Looks into every process.
    pub(super) fn look(view: &View) -> Self {
        let mut holders = Self::default();
        for process in view.processes() {
            let Ok(pid) = u32::try_from(process.pid) else {
                continue;
            };
            let mut held = Held::default();
            match held.of_process(view, pid, &process) {
                Ok(()) => {}
                Err(error) if has_ended(&error) => {}
                Err(_) => held.is_unclear = true,
            }
            for inode in held.sockets {
                holders.by_socket.entry(inode).or_default().insert(pid);
            }
            if held.is_unclear {
                holders.hidden.insert(pid);
            }
        }
        // With `hidepid` the processes of others are not even listed, and this one is always there.
        if !view.root().join("1/stat").exists() {
            holders.hidden.insert(1);
        }
        holders
    }
}

/// What one process holds.
#[derive(Debug, Default)]
struct Held {
    sockets: BTreeSet<u64>,
    is_unclear: bool,
    /// Links that were read.
    links: usize,
}

impl Held {
    /// The descriptors of each thread: it may have a table of its own, and the first thread, whose table
    /// `/proc/PID/fd` shows, may have ended before the others.
    fn of_process(&mut self, view: &View, pid: u32, process: &Process) -> io::Result<()> {
        let tasks = view.root().join(format!("{pid}/task"));
        let mut read = Vec::new();
        for entry in fs::read_dir(&tasks)? {
            let name = entry?.file_name();
            let Some(tid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // Others than the kernel's own ids mean nothing to it.
            let is_known = |other: &u32| view.has_own_ids() && share_table(*other, tid);
            if read.iter().take(COMPARED).any(is_known) {
                continue;
            }
            match self.of_thread(&tasks.join(&name)) {
                Ok(()) => read.push(tid),
                Err(error) if has_ended(&error) => {}
                Err(_) if has_no_table(process, tid) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// `procfs` has an iterator for descriptors, but it passes over what may not be read without a word.
    fn of_thread(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory.join("fd"))? {
            let entry = entry?;
            self.links += 1;
            if self.links > MAX_LINKS {
                return Err(io::Error::other("too many descriptors"));
            }
            let link = match fs::read_link(entry.path()) {
                Ok(link) => link,
                // Closed in the meantime.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if let Some(inode) = link.to_str().and_then(socket) {
                self.sockets.insert(inode);
            } else if link.as_os_str() == "anon_inode:[io_uring]" {
                self.of_ring(&directory.join("fdinfo").join(entry.file_name()))?;
            }
        }
        Ok(())
    }

    /// The registered files of a ring, whose descriptors may be closed. Where it does not tell, a socket of it seems to be
    /// held by nobody.
    fn of_ring(&mut self, path: &PathBuf) -> io::Result<()> {
        for asked in 1..=ASKED {
            let file = match File::open(path) {
                Ok(file) => file,
                Err(error) if has_ended(&error) => return Ok(()),
                Err(error) => return Err(error),
            };
            match registered(BufReader::new(file.take(MAX_RING)))? {
                Registered::Listed(sockets) => {
                    self.sockets.extend(sockets);
                    return Ok(());
                }
                Registered::Empty if asked >= ASKED_EMPTY => return Ok(()),
                Registered::Empty | Registered::Unknown => thread::sleep(PAUSE),
            }
        }
        Ok(())
    }
}

/// What a ring says of its registered files.
#[derive(Debug, PartialEq, Eq)]
enum Registered {
    /// There is no table, or these sockets are in it, by their inodes.
    Listed(Vec<u64>),
    /// There is a table, of which nothing is listed.
    Empty,
    /// The ring was in use.
    Unknown,
}

/// Reads the `fdinfo` of a ring, `io_uring_show_fdinfo`. Older kernels show the last part of a path only, which is the
/// protocol of a socket and not its inode.
fn registered(mut text: impl BufRead) -> io::Result<Registered> {
    let mut line = Vec::new();
    let mut next = |line: &mut Vec<u8>| -> io::Result<bool> {
        line.clear();
        Ok(text.read_until(b'\n', line)? > 0)
    };
    let slots = loop {
        if !next(&mut line)? {
            return Ok(Registered::Unknown);
        }
        if let Some(slots) = line.strip_prefix(b"UserFiles:") {
            break slots.trim_ascii() != b"0";
        }
    };
    let (mut sockets, mut any) = (Vec::new(), false);
    while next(&mut line)? {
        let text = String::from_utf8_lossy(&line);
        let slot = text.trim().split_once(": ");
        let Some((_, name)) = slot.filter(|(index, _)| index.parse::<u32>().is_ok()) else {
            return Ok(if slots && !any {
                Registered::Empty
            } else {
                Registered::Listed(sockets)
            });
        };
        any = true;
        sockets.extend(socket(name));
    }
    // It was cut off.
    Ok(Registered::Unknown)
}

/// The inode in a link such as `socket:[4711]`.
fn socket(link: &str) -> Option<u64> {
    match link.parse() {
        Ok(FDTarget::Socket(inode)) => Some(inode),
        _ => None,
    }
}

/// Whether two threads are known to have one table of descriptors. Not every kernel says so, nor to everybody.
fn share_table(one: u32, other: u32) -> bool {
    // SAFETY: kcmp takes integers; KCMP_FILES ignores the last two.
    unsafe { libc::syscall(libc::SYS_kcmp, one, other, KCMP_FILES, 0, 0) == 0 }
}

/// Whether a thread is of the kernel or has ended. Without privileges, its table may not be read, but it has none.
fn has_no_table(process: &Process, tid: u32) -> bool {
    let stat = i32::try_from(tid)
        .ok()
        .and_then(|tid| process.task_from_tid(tid).ok()?.stat().ok());
    stat.is_some_and(|stat| stat.flags & PF_KTHREAD != 0 || matches!(stat.state, 'Z' | 'X' | 'x'))
}

/// Files of a process that ends while they are read give ENOENT or ESRCH.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, UdpSocket},
        os::fd::AsRawFd as _,
        sync::mpsc,
    };

    use io_uring::IoUring;

    use super::*;

    fn inode(fd: &impl std::os::fd::AsRawFd) -> u64 {
        let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
        socket(link.to_str().unwrap()).unwrap()
    }

    fn is_held(inode: u64) -> bool {
        let view = View::detect().unwrap();
        let holders = Holders::look(&view);
        assert!(!holders.hidden.contains(&view.own_pid()));
        let held = holders.by_socket.get(&inode);
        held.is_some_and(|pids| pids.contains(&view.own_pid()))
    }

    #[test]
    fn registered_files_are_read() {
        let read = |text: &str| registered(text.as_bytes()).unwrap();
        let listed = |sockets: &[u64]| Registered::Listed(sockets.to_vec());
        // Linux 6.18.
        let recent = "CqTail:\t0\nSQEs:\t0\nUserFiles:\t4\n    0: socket:[3582620]\n    2: /etc/passwd\nUserBufs:\t0\n";
        assert_eq!(read(recent), listed(&[3_582_620]));
        // Linux 5.15.
        let old = "UserFiles:\t3\n    0: TCP\n    1: <none>\n    2: passwd\nUserBufs:\t0\n";
        assert_eq!(read(old), listed(&[]));
        assert_eq!(
            read("UserFiles:\t1\n    0: passwd\nUserBufs:\t0\n"),
            listed(&[])
        );
        assert_eq!(read("UserFiles:\t0\nUserBufs:\t0\n"), listed(&[]));
        assert_eq!(
            read("UserFiles:\t4\nUserBufs:\t0\n"),
            Registered::Empty,
            "all slots are free, or the ring is in use"
        );
        assert_eq!(read("pos:\t0\nflags:\t02000002\n"), Registered::Unknown);
        assert_eq!(
            read("UserFiles:\t4\n    0: socket:[1]\n    2: /et"),
            Registered::Unknown
        );
    }

    #[test]
    fn a_socket_of_a_table_that_one_thread_has_alone_is_held() {
        let (say, said) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            // SAFETY: unshare takes an integer. Nothing of the other threads is in the new table later than now.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
            let own = UdpSocket::bind("127.0.0.1:0").unwrap();
            let link = format!("/proc/thread-self/fd/{}", own.as_raw_fd());
            let link = fs::read_link(link).unwrap();
            say.send(socket(link.to_str().unwrap()).unwrap()).unwrap();
            let _ = stopped.recv();
        });
        let inode = said.recv().unwrap();
        assert!(is_held(inode));
        drop(stop);
        thread.join().unwrap();
        assert!(!is_held(inode));
    }

    #[test]
    fn a_socket_that_only_a_ring_holds_is_held() {
        let Ok(ring) = IoUring::new(4) else {
            return;
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = inode(&listener);
        ring.submitter()
            .register_files(&[-1, listener.as_raw_fd()])
            .unwrap();
        drop(listener);
        let view = View::detect().unwrap();
        let holders = Holders::look(&view);
        let held = holders.by_socket.get(&inode);
        let state = format!("/proc/self/fdinfo/{}", ring.as_raw_fd());
        if fs::read_to_string(state).unwrap().contains(": TCP") {
            println!("SKIP: this kernel does not show which sockets a ring holds");
            return;
        }
        assert!(
            held.is_some_and(|pids| pids.contains(&view.own_pid())),
            "{holders:?}"
        );
    }
}
