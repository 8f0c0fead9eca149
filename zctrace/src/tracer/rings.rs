//! Rings that were there before zctrace: the memory of a process shows them, and so do threads that serve them.

use std::{collections::BTreeSet, path::Path};

use procfs::process::{FDTarget, MMapPath, Process};

use crate::target::View;

/// How many there are that nothing follows.
#[derive(Debug)]
pub(super) struct Rings {
    unseen: Unseen,
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

    /// How many processes have one in their memory, and how many threads serve one.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Looks at these threads, and at the processes that they belong to.
    pub(super) fn look_at(&mut self, threads: &[u32]) {
        let Ok(view) = View::detect() else { return };
        for &thread in threads {
            let Ok(process) = view.process(view.to_user(thread)) else {
                continue;
            };
            if is_worker(&process) && (self.unseen.vhost_net || serves_others_than_net(&process)) {
                self.count += 1;
            }
            if self.unseen.sockets
                && let Ok(status) = process.status()
                && self.looked_at.insert(status.tgid)
                && has_ring(&process)
            {
                self.count += 1;
            }
        }
    }
}

/// Whether a process has devices of vhost whose workers are not followed. Which worker is for which, nothing tells.
fn serves_others_than_net(process: &Process) -> bool {
    let Ok(files) = process.fd() else { return true };
    let mut vhosts = files.flatten().filter_map(|file| match file.target {
        FDTarget::Path(path) => path
            .to_str()?
            .strip_prefix("/dev/vhost-")
            .map(str::to_owned),
        _ => None,
    });
    vhosts.any(|name| name != "net")
}

/// Whether a thread works for its process within the kernel, as those of vhost do, and makes no calls.
pub(super) fn is_worker(thread: &Process) -> bool {
    const PF_IO_WORKER: u32 = 0x10;
    const PF_USER_WORKER: u32 = 0x4000;
    let flags = thread.stat().map_or(0, |stat| stat.flags);
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
