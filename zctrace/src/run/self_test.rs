//! `zctrace doctor --self-test`: known bytes through every family, compared with the ledger.
//!
//! The families run in children of this process, which is the target. A probe that attaches can
//! still never fire, and one that fires can count something else: neither shows until the truth is
//! known.

use nix::unistd::gettid;

use crate::{
    kernel::doctor::{FamilyReport, FamilyStatus, SelfTest, Survey},
    tracer::{Config, Error, Session},
    workload::{
        self, Arena, Traffic,
        scene::arena::Sizes,
        stage::runner,
        truth::{report, verify},
    },
};

/// Enough for every kind of call to be made more than once, and quick.
const BYTES: u64 = 256 * 1024 + 224;

/// Attaches everything, runs every family, and says which the ledger gets right. `progress` is told
/// the name of each before it starts.
///
/// # Errors
/// When nothing can be attached at all, or the maps cannot be read.
pub fn self_test(progress: &mut dyn FnMut(&str)) -> Result<Survey, Error> {
    // A family's own process must be known before it runs: the arena's namespaces and signal
    // handlers come first, so that the kernel work they cause is nobody's.
    let arena = match runner::catch_interrupts().and_then(|()| {
        Arena::new(Sizes {
            bytes: BYTES,
            ..Sizes::default()
        })
    }) {
        Ok(arena) => arena,
        Err(error) => {
            let mut survey = Session::start(&Config::default())?.survey();
            survey.self_test = Some(SelfTest::refused(format!("{error:#}")));
            return Ok(survey);
        }
    };
    let mut session = Session::start(&Config {
        tasks: vec![gettid().as_raw().cast_unsigned()],
        ..Config::default()
    })?;
    let mut outcomes = Vec::new();
    for family in workload::all().filter(|family| family.is_ordinary()) {
        if runner::is_interrupted() {
            break;
        }
        progress(Traffic::name(family));
        outcomes.push(runner::run(family, &arena));
    }
    drop(arena);
    let reading = session.read()?;
    let strictness = verify::strictness(session.backend(), session.coverage());
    let lost = reading.loss.lost();
    let families = outcomes
        .iter()
        .map(|outcome| {
            let (status, details) = match outcome.status {
                report::Status::Skipped => (FamilyStatus::Skipped, reason(outcome)),
                report::Status::Failed => (FamilyStatus::Failed, reason(outcome)),
                report::Status::Ok => {
                    let lines = verify::differences(outcome, &reading.processes, strictness);
                    if lines.is_empty() {
                        (FamilyStatus::Ok, lines)
                    } else {
                        (FamilyStatus::Differs, lines)
                    }
                }
            };
            FamilyReport {
                name: outcome.name.clone(),
                status,
                details,
            }
        })
        .collect();
    let mut survey = session.survey();
    survey.self_test = Some(SelfTest {
        refused: None,
        interrupted: runner::is_interrupted(),
        lost,
        families,
    });
    Ok(survey)
}

fn reason(outcome: &report::Outcome) -> Vec<String> {
    outcome.reason.iter().cloned().collect()
}
