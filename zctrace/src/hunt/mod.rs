//! The contradiction hunt: random operations are done twice, once under each backend, and what the
//! tracepoints backend concludes is held against what the functions backend measured. It may say less,
//! and never anything else.

mod child;
pub mod operation;
pub mod random;
pub mod verdict;
pub mod world;

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Result, ensure};
use nix::mount::{MsFlags, mount};

use crate::{
    ledger::Process,
    target::View,
    tracer::{Backend, Config},
    workload::{
        Arena, Skip,
        scene::{arena::Sizes, mounts::Fs},
    },
};
use child::{Ended, Notes};
use operation::{Operation, Place, THINGS, Thing};
use random::Random;
use verdict::{Contradiction, Kind};
use world::{Places, available};

/// Operations that one process does: what two rows differ in is looked for among these.
pub const ROUND: usize = 16;

/// Processes between two readings; their rows must have room.
const READING: usize = 64;

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

/// What a hunt came to.
#[derive(Debug, Default)]
pub struct Report {
    /// The backend that measured.
    pub backend: String,
    /// What the operations work on, as far as this machine has it.
    pub things: Vec<Thing>,
    /// Operations that were compared.
    pub compared: usize,
    /// Operations that were answered otherwise the second time: their processes are not compared.
    pub unsteady: Vec<(u64, usize, Operation)>,
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

/// What a run of all processes came to, by their numbers.
#[derive(Default)]
struct Run {
    backend: String,
    processes: BTreeMap<u64, Process>,
    answers: BTreeMap<u64, [u64; ROUND]>,
    lost: Vec<u64>,
    stuck: Vec<(u64, usize)>,
}

/// Hunts.
///
/// # Errors
/// When nothing can be measured, or made.
pub fn hunt(plan: &Plan) -> Result<Report> {
    let arena = Arena::new(Sizes::default())?;
    let places = places(&arena)?;
    let things = available(&places, THINGS)?;
    let notes = Notes::new()?;
    let measured = run(Backend::Auto, plan, &things, &places, &notes)?;
    let concluded = run(Backend::Tracepoints, plan, &things, &places, &notes)?;
    let mut report = Report {
        backend: measured.backend.clone(),
        ..Report::default()
    };
    for number in plan.first..plan.first + plan.count {
        let operations = plan.operations(number, &things);
        let runs = [&measured, &concluded];
        let stuck = runs.iter().flat_map(|run| &run.stuck);
        if let Some(&(_, at)) = stuck.clone().find(|(stuck, _)| *stuck == number) {
            let which = operations.iter().find(|(step, _)| *step == at);
            report
                .stuck
                .extend(which.map(|&(step, operation)| (number, step, operation)));
            continue;
        }
        if runs.iter().any(|run| run.lost.contains(&number)) {
            report.lost += 1;
            continue;
        }
        let [first, second] = runs.map(|run| run.answers[&number]);
        let unsteady = operations
            .iter()
            .filter(|(step, _)| first[*step] != second[*step])
            .map(|&(step, operation)| (number, step, operation));
        let before = report.unsteady.len();
        report.unsteady.extend(unsteady);
        if report.unsteady.len() > before {
            continue;
        }
        let [first, second] = runs.map(|run| run.processes.get(&number));
        let (Some(first), Some(second)) = (first, second) else {
            report.lost += 1;
            continue;
        };
        report.compared += operations.len();
        let (wrong, more) = verdict::compare(first, second);
        for found in wrong {
            note(&mut report.contradictions, number, found);
        }
        for found in more {
            note(&mut report.more, number, found);
        }
    }
    report.things = things;
    Ok(report)
}

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

fn run(
    backend: Backend,
    plan: &Plan,
    things: &[Thing],
    places: &Places,
    notes: &Notes,
) -> Result<Run> {
    let view = View::detect()?;
    let mut session = crate::run::attach(&Config {
        tasks: vec![view.own_pid()],
        faults: false,
        forget_ended: true,
        backend,
        ..Config::default()
    })?;
    let mut run = Run {
        backend: session.backend().to_owned(),
        ..Run::default()
    };
    let mut lost = 0;
    let numbers: Vec<u64> = (plan.first..plan.first + plan.count).collect();
    for part in numbers.chunks(READING) {
        for &number in part {
            let operations = plan.operations(number, things);
            match child::run(number, &operations, places, notes)? {
                Ended::Well => {}
                Ended::Stuck(step) => run.stuck.push((number, step)),
            }
            run.answers.insert(number, notes.answers());
        }
        let reading = session.read()?;
        if reading.loss.lost() != lost {
            lost = reading.loss.lost();
            run.lost.extend(part);
        }
        for process in reading.processes {
            if let Some(number) = child::number(&process.comm) {
                run.processes.insert(number, process);
            }
        }
    }
    crate::run::detach(session);
    Ok(run)
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
