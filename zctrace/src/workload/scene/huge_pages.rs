//! Huge pages of 2 MiB, reserved for a run.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use anyhow::{Context as _, Result};
use nix::unistd::Pid;

use super::stale::stale_of;
use crate::{text::message::say, workload::Skip};

/// Size of a huge page.
pub(in crate::workload) const HUGE: usize = 2 << 20;

const DIRECTORY: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// Whether the kernel gives transparent huge pages to who asks for them.
pub(in crate::workload) fn are_given() -> bool {
    let setting = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    setting.is_ok_and(|setting| !setting.contains("[never]"))
}

/// Bytes of anonymous memory that a process has in huge pages now. 0 if that cannot be read.
pub(in crate::workload) fn of_process(pid: Pid) -> u64 {
    let rollup =
        procfs::process::Process::new(pid.as_raw()).and_then(|process| process.smaps_rollup());
    let maps = rollup
        .map(|rollup| rollup.memory_map_rollup.0)
        .unwrap_or_default();
    let huge = maps
        .iter()
        .filter_map(|map| map.extension.map.get("AnonHugePages"));
    huge.sum()
}

/// Huge pages, given back on drop if the machine had none to spare; if the process is killed before,
/// by the next run.
pub(in crate::workload) struct Reservation {
    pages: u64,
    taken: Option<(u64, PathBuf)>,
}

/// What all reservations of this process need: pages that are free now may be another one's.
static NEEDED: AtomicU64 = AtomicU64::new(0);
impl Reservation {
    pub(in crate::workload) fn of(pages: u64) -> Result<Self> {
        let needed = NEEDED.fetch_add(pages, SeqCst) + pages;
        let mut reservation = Self { pages, taken: None };
        if number("free_hugepages")? >= needed {
            return Ok(reservation);
        }
        let before = number("nr_hugepages")?;
        // Noted first: the end can come at any time.
        let parent = std::env::temp_dir();
        let (mut file, note) = tempfile::Builder::new()
            .prefix(&format!("{NOTE}{}.", std::process::id()))
            .tempfile_in(&parent)
            .with_context(|| format!("making a file in {}", parent.display()))?
            .keep()?;
        file.write_all(pages.to_string().as_bytes())?;
        reservation.taken = Some((pages, note));
        set(before + pages).map_err(|error| Skip(format!("cannot reserve huge pages: {error}")))?;
        if number("free_hugepages")? < needed {
            return Err(Skip("no memory for huge pages".to_owned()).into());
        }
        Ok(reservation)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        NEEDED.fetch_sub(self.pages, SeqCst);
        if let Some((pages, note)) = &self.taken {
            give_back(*pages, note);
        }
    }
}

/// Prefix of the file that says how many huge pages a process has reserved.
const NOTE: &str = "zctrace-hugepages-";

fn give_back(pages: u64, note: &Path) {
    let given = number("nr_hugepages").and_then(|now| Ok(set(now.saturating_sub(pages))?));
    match given {
        Ok(()) => drop(fs::remove_file(note)),
        Err(error) => say(&format!("warning: huge pages stay reserved: {error:#}")),
    }
}

/// Gives back what processes that are gone had reserved.
pub(in crate::workload) fn give_back_stale(parent: &Path) {
    for (path, metadata) in stale_of(parent, NOTE) {
        let pages = metadata
            .is_file()
            .then(|| fs::read_to_string(&path).ok()?.parse().ok());
        if let Some(Some(pages)) = pages {
            give_back(pages, &path);
        }
    }
}

fn set(pages: u64) -> std::io::Result<()> {
    fs::write(format!("{DIRECTORY}/nr_hugepages"), pages.to_string())
}

fn number(name: &str) -> Result<u64> {
    let path = format!("{DIRECTORY}/{name}");
    fs::read_to_string(&path)
        .map_err(|error| Skip(format!("no huge pages of 2 MiB: {path}: {error}")))?
        .trim()
        .parse()
        .with_context(|| path.clone())
}
