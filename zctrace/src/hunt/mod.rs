//! The contradiction hunt: both backends watch the same random operations, and what the tracepoints
//! backend concludes is compared with what the functions backend measured. It may say less, and never
//! anything else.
//!
//! They watch at the same time: a second time many an operation is answered otherwise.

mod child;
mod fault;
pub mod operation;
mod queue;
pub mod random;
pub mod verdict;
pub mod world;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use anyhow::{Result, ensure};
use nix::mount::{MsFlags, mount};

use crate::{
    ledger::Process,
    target::View,
    tracer::{Backend, Config, Session},
    workload::{
        Arena, Skip,
        scene::{arena::Sizes, block_device::BlockDevice, mounts::Fs},
    },
};
use child::{Ended, Step};
use operation::{Operation, Place, THINGS, Thing};
use random::Random;
use verdict::{Contradiction, Kind};
use world::{Places, available};

/// Operations that one process does: what two rows differ in is looked for among these.
pub const ROUND: usize = 16;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where the random numbers begin.
    pub seed: u64,
    /// The number of the first process.
    pub first: u64,
    /// How many processes.
    pub count: u64,
    /// Only the operation of this number of each process.
    pub only: Option<usize>,
}

impl Plan {
    /// The operations of one process, by their numbers.
    #[must_use]
    pub fn operations(&self, number: u64, things: &[Thing]) -> Vec<(usize, Operation)> {
        let mut random = Random::new(self.seed).at(number);
        (0..ROUND)
            .map(|step| (step, operation::draw(&mut random, things)))
            .filter(|(step, _)| self.only.is_none_or(|only| only == *step))
            .collect()
    }
}

/// What some processes came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Operations that were compared.
    pub compared: usize,
    /// Processes of which events were lost.
    pub lost: usize,
    /// Operations that did not end.
    pub stuck: Vec<(u64, usize, Operation)>,
    /// What contradicts: for each kind, how often, and where it was seen first.
    pub contradictions: BTreeMap<Kind, Found>,
    /// What tracepoints conclude where functions leave bytes unexplained.
    pub more: BTreeMap<Kind, Found>,
}

/// Where one kind of contradiction was seen.
#[derive(Debug)]
pub struct Found {
    /// How often.
    pub times: usize,
    /// The process in which it was seen first.
    pub number: u64,
    /// What was seen there.
    pub example: Contradiction,
}

fn note(list: &mut BTreeMap<Kind, Found>, number: u64, example: Contradiction) {
    let new = || Found {
        times: 0,
        number,
        example: example.clone(),
    };
    list.entry(example.kind()).or_insert_with(new).times += 1;
}

/// A backend that watches.
struct Watcher {
    session: Session,
    lost: u64,
}

impl Watcher {
    fn new(backend: Backend) -> Result<Self> {
        let session = crate::run::attach(&Config {
            tasks: vec![View::detect()?.own_pid()],
            faults: false,
            ended: crate::tracer::Ended::Forget,
            backend,
            ..Config::default()
        })?;
        Ok(Self { session, lost: 0 })
    }

    /// What it saw of the processes since the last time, by their numbers, and whether that is
    /// everything.
    fn read(&mut self) -> Result<(BTreeMap<u64, Process>, bool)> {
        let reading = self.session.read()?;
        let lost = std::mem::replace(&mut self.lost, reading.loss.lost());
        let processes = reading.processes.into_iter();
        let numbered = processes.filter_map(|one| Some((child::number(&one.comm)?, one)));
        Ok((numbered.collect(), self.lost == lost))
    }
}

/// Both backends, and what there is to work on.
pub struct Hunt {
    functions: Watcher,
    tracepoints: Watcher,
    things: Vec<Thing>,
    places: Places,
    step: Step,
    /// The files go before what lies below them.
    _block: Option<BlockDevice>,
    _arena: Arena,
}

impl Hunt {
    /// Attaches both backends, and makes filesystems.
    ///
    /// # Errors
    /// When nothing can be measured, or made.
    pub fn new() -> Result<Self> {
        let arena = Arena::new(Sizes::default())?;
        let mut places = places(&arena)?;
        let block = BlockDevice::new(&arena.directory().join("block.image"), BLOCK).ok();
        places.extend(block.iter().map(|one| (Place::Block, one.path().into())));
        let functions = Watcher::new(Backend::Auto)?;
        let tracepoints = Watcher::new(Backend::Tracepoints)?;
        // Each process would copy the page tables of it.
        crate::run::give_memory_back();
        Ok(Self {
            functions,
            tracepoints,
            things: available(&places, THINGS)?,
            places,
            step: Step::new()?,
            _block: block,
            _arena: arena,
        })
    }

    /// The backend that measures.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.functions.session.backend()
    }

    /// What the operations work on, as far as this machine has it.
    #[must_use]
    pub fn things(&self) -> &[Thing] {
        &self.things
    }

    /// Does what is planned, and compares.
    ///
    /// # Errors
    /// When a process cannot be made, or a backend not be read.
    pub fn run(&mut self, plan: &Plan) -> Result<Report> {
        let mut report = Report::default();
        let mut done = BTreeMap::new();
        for number in plan.first..plan.first + plan.count {
            let operations = plan.operations(number, &self.things);
            match child::run(number, &operations, &self.places, &self.step)? {
                Ended::Well => {
                    done.insert(number, operations.len());
                }
                Ended::Stuck(at) => {
                    let which = operations.iter().find(|(step, _)| *step == at);
                    let stuck = which.map(|&(step, operation)| (number, step, operation));
                    report.stuck.extend(stuck);
                }
            }
        }
        let (measured, whole) = self.functions.read()?;
        let (concluded, all) = self.tracepoints.read()?;
        for (number, operations) in done {
            let both = measured.get(&number).zip(concluded.get(&number));
            let Some((measured, concluded)) = both.filter(|_| whole && all) else {
                report.lost += 1;
                continue;
            };
            report.compared += operations;
            let (wrong, more) = verdict::compare(measured, concluded);
            for found in wrong {
                note(&mut report.contradictions, number, found);
            }
            for found in more {
                note(&mut report.more, number, found);
            }
        }
        Ok(report)
    }

    /// Detaches.
    pub fn end(self) {
        crate::run::detach(self.functions.session);
        crate::run::detach(self.tracepoints.session);
    }
}

/// Bytes of the block device.
const BLOCK: u64 = 64 << 20;

/// Directories on every filesystem that can be had.
fn places(arena: &Arena) -> Result<Places> {
    let mut places = Places::new();
    for (place, fs) in [
        (Place::Tmpfs, Fs::Tmpfs),
        (Place::Ext4, Fs::Ext4),
        (Place::Xfs, Fs::Xfs),
        (Place::Btrfs, Fs::Btrfs),
        (Place::Overlay, Fs::Overlay),
    ] {
        match arena.fs(fs) {
            Ok(directory) => places.push((place, directory)),
            Err(error) if error.is::<Skip>() => {}
            Err(error) => return Err(error),
        }
    }
    if let Ok(directory) = ramfs(arena) {
        places.push((Place::Ramfs, directory));
    }
    if let Ok(directory) = vfat(arena) {
        places.push((Place::Vfat, directory));
    }
    places.push((Place::Memory, "/proc/self/fd".into()));
    ensure!(!places.is_empty(), "no filesystem can be mounted");
    Ok(places)
}

/// Goes with the mount namespace.
fn ramfs(arena: &Arena) -> Result<PathBuf> {
    let directory = arena.directory().join("ramfs");
    fs::create_dir(&directory)?;
    let none: Option<&str> = None;
    mount(
        Some("zctrace-hunt"),
        &directory,
        Some("ramfs"),
        MsFlags::empty(),
        none,
    )?;
    Ok(directory)
}

/// Goes as well; mount(8) makes the loop device, which goes with it.
fn vfat(arena: &Arena) -> Result<PathBuf> {
    let directory = arena.directory().join("vfat");
    let image = arena.directory().join("vfat.image");
    fs::create_dir(&directory)?;
    fs::File::create(&image)?.set_len(BLOCK)?;
    let quiet = |command: &mut Command| -> Result<()> {
        let output = command.output()?;
        ensure!(output.status.success(), "{command:?}: {output:?}");
        Ok(())
    };
    quiet(Command::new("mkfs.vfat").arg(&image))?;
    quiet(
        Command::new("mount")
            .args(["-t", "vfat", "-o", "loop"])
            .args([&image, &directory]),
    )?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_conclusion_has_traffic() {
        for row in crate::catalog::conclusion::ALL {
            assert!(!row.tests.is_empty(), "{row:?}");
            for name in row.tests {
                assert!(!crate::workload::find(name).is_empty(), "{name}");
            }
        }
    }

    #[test]
    fn a_process_can_be_had_again() {
        let operations = |seed, only| {
            let plan = Plan {
                seed,
                first: 0,
                count: 1,
                only,
            };
            plan.operations(3, THINGS)
        };
        let print = |seed| format!("{:?}", operations(seed, None));
        assert_eq!(print(5), print(5));
        assert_ne!(print(5), print(6));
        let one = format!("{:?}", operations(5, Some(7))[0]);
        assert!(print(5).contains(&one), "{one}");
    }
}
