//! Rings that were there before zctrace: the memory of a process shows them, and so do devices that serve them.

use std::{collections::BTreeSet, path::Path};

use procfs::process::{FDInfo, FDTarget, MMapPath, Process};

use crate::target::{
    View,
    view::{PF_IO_WORKER, PF_USER_WORKER},
};

/// How many there are that nothing follows.
#[derive(Debug)]
pub(super) struct Rings {
    pub(super) unseen: Unseen,
    looked_at: BTreeSet<i32>,
    count: u64,
}

/// What the probes leave unseen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unseen {
    /// What the kernel copies into and out of rings of sockets.
    pub(super) sockets: bool,
    /// What workers of vhost-net copy.
    pub(super) vhost_net: bool,
}

impl Rings {
    pub(super) const fn new(unseen: Unseen) -> Self {
        Self {
            unseen,
            looked_at: BTreeSet::new(),
            count: 0,
        }
    }

    /// How many processes have one in their memory, and how many devices of vhost serve one.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Looks at the processes that these threads belong to.
    pub(super) fn look_at(&mut self, threads: &[u32]) {
        let has_vhost = has_vhost();
        if !self.unseen.sockets && !has_vhost {
            return;
        }
        let Ok(view) = View::detect() else { return };
        for &thread in threads {
            let Ok(process) = view.process(view.to_user(thread)) else {
                continue;
            };
            let is_new = process
                .status()
                .is_ok_and(|status| self.looked_at.insert(status.tgid));
            if !is_new {
                continue;
            }
            if self.unseen.sockets && has_ring(&process) {
                self.count += 1;
            }
            if !has_vhost {
                continue;
            }
            let devices = vhost_devices(&process);
            // Of kernel threads that work for it, nothing is seen.
            let all = self.unseen.vhost_net || !devices.is_empty() && !has_worker(&process);
            let unseen = |device: &&String| all || *device != "net";
            self.count += devices.iter().filter(unseen).count() as u64;
        }
    }
}

/// The devices of vhost that a process has open, as they are named behind `/dev/vhost-`.
fn vhost_devices(process: &Process) -> Vec<String> {
    let files = process.fd().into_iter().flatten().flatten();
    let name = |file: FDInfo| match file.target {
        FDTarget::Path(path) => Some(path.to_str()?.strip_prefix("/dev/vhost-")?.to_owned()),
        _ => None,
    };
    files.filter_map(name).collect()
}

fn has_worker(process: &Process) -> bool {
    let threads = process.tasks().into_iter().flatten().flatten();
    threads
        .filter_map(|thread| thread.stat().ok())
        .any(|stat| is_of_worker(stat.flags))
}

/// Whether this kernel has vhost, now.
pub(super) fn has_vhost() -> bool {
    Path::new("/sys/module/vhost").exists()
}

/// Whether a thread works for its process within the kernel, as those of vhost do, and makes no calls.
pub(super) fn is_worker(thread: &Process) -> bool {
    thread.stat().is_ok_and(|stat| is_of_worker(stat.flags))
}

/// The same by its flags.
const fn is_of_worker(flags: u32) -> bool {
    flags & PF_USER_WORKER != 0 && flags & PF_IO_WORKER == 0
}

/// Whether a process has memory of a socket mapped: packet sockets and AF_XDP have rings. TCP sockets that receive by
/// mapping have such memory too, and are followed.
fn has_ring(process: &Process) -> bool {
    let Ok(maps) = process.maps() else {
        return false;
    };
    let mut sockets = maps
        .into_iter()
        .filter(|map| matches!(&map.pathname, MMapPath::Path(path) if is_socket(path)))
        .map(|map| map.inode)
        .peekable();
    if sockets.peek().is_none() {
        return false;
    }
    let tables = [process.tcp(), process.tcp6()];
    let tcp: BTreeSet<_> = tables
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.inode)
        .collect();
    sockets.any(|inode| !tcp.contains(&inode))
}

fn is_socket(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(b"socket:[")
}
