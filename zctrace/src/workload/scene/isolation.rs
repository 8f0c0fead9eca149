//! Namespaces of our own, so that nothing of a run outlives it, however it ends, and no firewall
//! or packet capture of the machine changes what happens to the bytes.

use std::path::Path;

use anyhow::{Context as _, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::interface::Interfaces;
use crate::workload::Skip;

/// What the calling thread has to itself.
#[derive(Debug)]
pub struct Isolation {
    refused: Option<String>,
}

impl Isolation {
    /// Enters the namespaces and mounts a tmpfs on `directory`, or notes why not.
    pub fn new(directory: &Path) -> Result<Self> {
        if let Err(errno) = unshare(CloneFlags::CLONE_NEWNS) {
            let refused = Some(format!("cannot mount, needs root: unshare: {errno}"));
            return Ok(Self { refused });
        }
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .context("making the mounts private")?;
        mount(
            Some("zctrace-traffic"),
            directory,
            Some("tmpfs"),
            MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Some("mode=700"),
        )
        .with_context(|| format!("mounting a tmpfs on {}", directory.display()))?;
        // Without one of our own, the machine's loopback serves as well.
        if unshare(CloneFlags::CLONE_NEWNET).is_ok() {
            // A new one has a loopback device, but it is down.
            Interfaces::new()
                .and_then(|interfaces| interfaces.raise(c"lo", 0))
                .context("raising the loopback device")?;
        }
        Ok(Self { refused: None })
    }

    /// Whether mounting leaves no trace; [`Skip`] otherwise.
    pub fn mounts_allowed(&self) -> Result<()> {
        match &self.refused {
            None => Ok(()),
            Some(reason) => Err(Skip(reason.clone()).into()),
        }
    }
}
