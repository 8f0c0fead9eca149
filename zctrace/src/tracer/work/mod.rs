//! What processes do in user space, by samples of where they are: copying memory, ciphers, compression.
//!
//! The BPF program counts addresses. Their meaning is looked up here, while the process lives. It is time, and never
//! bytes: nobody knows how much a copy routine copied.

mod code;
mod kind;
mod process;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use aya::Ebpf;
use zctrace_common::{CpuSamples, Proc, UserAddress};

use self::{
    kind::Work,
    process::{Files, Mappings},
};
use super::{Error, batch, map, names::text, sample};
use crate::{kernel::TICK_NS, ledger::CpuTime, target::View};

/// Processes whose code is remembered.
const MOST_PROCESSES: usize = 1024;

/// How long it is believed that a process has not mapped other code at the same place.
const PATIENCE: Duration = Duration::from_secs(10);

/// Processes that are learned before privileges are given up.
const MOST_LEARNED: usize = 64;

/// How long a reading may take files apart, and the beginning.
const READING: Duration = Duration::from_millis(300);
const LEARNING: Duration = Duration::from_secs(3);

/// A process: its id in the initial PID namespace, its start in clock ticks, and its name, which a new program changes.
type Id = (u32, u64, String);

/// Samples of a process by what was done there.
#[derive(Clone, Copy, Default)]
struct Known([u64; Work::COUNT]);

/// What is known of the user space of processes.
#[derive(Default)]
pub(super) struct Meter {
    view: Option<View>,
    files: Files,
    mapped: HashMap<Id, (Instant, Mappings)>,
    known: BTreeMap<u32, Known>,
    samples: BTreeMap<u32, CpuSamples>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            view: View::detect().ok(),
            ..Self::default()
        }
    }

    /// Learns the code of the processes that these threads belong to, as long as that is permitted.
    pub(super) fn learn(&mut self, threads: &[u32]) {
        self.files.allow(LEARNING);
        let Some(view) = &self.view else { return };
        let mut processes = BTreeSet::new();
        for &thread in threads {
            let shown = view.process(view.to_user(thread)).ok();
            let status = shown.and_then(|process| process.status().ok());
            let Some(status) = status else { continue };
            processes.insert(status.tgid.cast_unsigned());
            if processes.len() >= MOST_LEARNED {
                break;
            }
        }
        for pid in processes {
            let _ = self.learn_process(pid);
        }
    }

    fn learn_process(&mut self, pid: u32) -> Option<()> {
        let view = self.view.as_ref()?;
        let stat = view.process(pid).ok()?.stat().ok()?;
        let id = (view.from_user(pid).ok()?, stat.starttime, stat.comm);
        let mappings = self.read(&id)?;
        self.mapped.insert(id, (Instant::now(), mappings));
        Some(())
    }

    /// Takes the samples since the last time.
    pub(super) fn take(
        &mut self,
        ebpf: &mut Ebpf,
        processes: &BTreeMap<u32, Proc>,
    ) -> Result<(), Error> {
        // First: what is counted in between is in the next reading, and not a sample of which nothing is known.
        let samples: Vec<CpuSamples> = batch::values(map(ebpf, "CPU_SAMPLES"))?;
        let slots = processes.keys().filter_map(|&slot| {
            let samples = samples.get(slot as usize)?;
            (*samples != CpuSamples::default()).then_some((slot, *samples))
        });
        self.samples = slots.collect();
        self.files.allow(READING);
        let mut fresh: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
        for (key, count) in batch::take::<UserAddress, u64>(map(ebpf, "USER_SAMPLES"))? {
            let of_process = fresh.entry(key.proc_slot).or_default();
            of_process.push((key.address, count));
        }
        for (slot, addresses) in fresh {
            if let Some(process) = processes.get(&slot) {
                self.classify(slot, process, &addresses);
            }
        }
        Ok(())
    }

    fn classify(&mut self, slot: u32, process: &Proc, addresses: &[(u64, u64)]) {
        let id = (
            process.tgid,
            process.start_ns / TICK_NS,
            text(&process.comm),
        );
        let is_fresh = self.mapped.get(&id).is_some_and(|(at, mappings)| {
            at.elapsed() < PATIENCE && addresses.iter().all(|(at, _)| mappings.has(*at))
        });
        if !is_fresh && let Some(mappings) = self.read(&id) {
            if self.mapped.len() >= MOST_PROCESSES {
                self.mapped.clear();
            }
            self.mapped.insert(id.clone(), (Instant::now(), mappings));
        }
        let Some((_, mappings)) = self.mapped.get(&id) else {
            return;
        };
        let known = self.known.entry(slot).or_default();
        for (address, count) in addresses {
            if let Some(work) = mappings.work(*address) {
                known.0[work as usize] += count;
            }
        }
    }

    /// The code of a process, if it is still that one.
    fn read(&mut self, (tgid, start_time, _): &Id) -> Option<Mappings> {
        let view = self.view.as_ref()?;
        let shown = view.process(view.to_user(*tgid)).ok()?;
        let is_it = || {
            let stat = shown.stat().ok()?;
            (stat.starttime == *start_time).then_some(())
        };
        is_it()?;
        let mappings = Mappings::read(&shown, view.root(), &mut self.files)?;
        // The id may have gone to another process in the meantime.
        is_it()?;
        Some(mappings)
    }

    /// Processes that were seen copying, enciphering or compressing.
    pub(super) fn busy(&self) -> impl Iterator<Item = u32> + '_ {
        let busy = self.known.iter().filter(|(_, known)| {
            let all: u64 = known.0.iter().sum();
            all != known.0[Work::Other as usize]
        });
        busy.map(|(slot, _)| *slot)
    }

    /// Where the time of a process went.
    pub(super) fn time(&self, slot: u32) -> CpuTime {
        let samples = self.samples.get(&slot).copied().unwrap_or_default();
        let known = self.known.get(&slot).copied().unwrap_or_default();
        let all: u64 = known.0.iter().sum();
        let seconds = |work: Work| sample::seconds(known.0[work as usize]);
        CpuTime {
            kernel: sample::seconds(samples.kernel),
            user_copying: seconds(Work::Copying),
            user_ciphers: seconds(Work::Ciphers),
            user_compression: seconds(Work::Compression),
            user_other: seconds(Work::Other),
            // Also those for which there was no room.
            user_not_known: sample::seconds(samples.user.saturating_sub(all)),
        }
    }

    /// Forgets processes that have ended and given their slots back.
    pub(super) fn forget(&mut self, slots: &BTreeSet<u32>) {
        self.known.retain(|slot, _| !slots.contains(slot));
        self.samples.retain(|slot, _| !slots.contains(slot));
    }
}
