//! One session for all tests that want no other: on an emulated machine, attaching takes most of a
//! test's time.
//!
//! The target is this process with its children. The session ends before a test starts a tracer of
//! its own, which would otherwise be measured beside it.

use std::{
    collections::BTreeSet,
    ops::{Deref, DerefMut},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::unistd::gettid;
use zctrace::{
    ledger::{Coverage, Loss, Snapshot, Totals, Unattributed},
    run::{self, Meter, Plan, Subject},
    tracer::{Config, Error, Reading, RequestId, Session},
    workload::truth::report::Report,
};

use super::{only, zctrace};

/// The session, if there is one. It samples no stacks.
struct Slot(Option<Session>);

// SAFETY: what of a session belongs to a thread is what gives stacks their names. There is none
// where no stacks are sampled.
unsafe impl Send for Slot {}

static SESSION: Mutex<Slot> = Mutex::new(Slot(None));

/// The session, for as long as a test uses it.
pub(crate) struct Shared(MutexGuard<'static, Slot>);

/// The session that is there, or a new one.
pub(crate) fn session() -> Shared {
    let mut session = SESSION.lock().unwrap_or_else(|poisoned| {
        // The test that failed may have left a probe unplugged.
        SESSION.clear_poison();
        let mut session = poisoned.into_inner();
        session.0 = None;
        session
    });
    let tid = gettid().as_raw().cast_unsigned();
    match session.0.as_mut() {
        // The thread of a test is a child of the process that is the target.
        Some(session) => session.add_task(tid).expect("a task"),
        None => {
            let config = Config {
                tasks: vec![std::process::id(), tid],
                batches: true,
                ..Config::default()
            };
            session.0 = Some(Session::start(&config).expect("a session"));
        }
    }
    Shared(session)
}

/// Ends the session, if there is one.
pub(crate) fn end() {
    SESSION.lock().unwrap_or_else(PoisonError::into_inner).0 = None;
}

impl Deref for Shared {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.0.0.as_ref().expect("there is one since the beginning")
    }
}

impl DerefMut for Shared {
    fn deref_mut(&mut self) -> &mut Session {
        self.0.0.as_mut().expect("there is one since the beginning")
    }
}

impl Shared {
    /// What `zctrace stat -- zctrace traffic ARGS` measures, and the truth; with these variables set
    /// or, without a value, unset.
    pub(crate) fn trace_traffic(
        &mut self,
        variables: &[(&str, Option<&str>)],
        traffic: &[&str],
    ) -> (Snapshot, Report) {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("traffic.json");
        let (snapshot, ()) = self.of_new_processes(|| (), command(&file, variables, traffic));
        let text = std::fs::read_to_string(&file).expect("what the traffic said");
        let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        (snapshot, report)
    }

    /// What `work` makes processes do that were not there before.
    pub(crate) fn trace_new_processes<R>(&mut self, work: impl FnOnce() -> R) -> (Snapshot, R) {
        self.of_new_processes(work, vec!["true".to_owned()])
    }

    /// What this command makes processes do, and the kernel in nobody's name meanwhile.
    pub(crate) fn trace_command(&mut self, words: &[&str]) -> Snapshot {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        let (snapshot, ()) = self.of_new_processes(|| (), words);
        snapshot
    }

    /// What `work` and then this command make processes do that were not there before. What
    /// earlier tests ran is still in the maps, and this process only waits.
    fn of_new_processes<R>(
        &mut self,
        work: impl FnOnce() -> R,
        words: Vec<String>,
    ) -> (Snapshot, R) {
        let reading = self.read().expect("the maps");
        let mut before: BTreeSet<u32> = reading.processes.iter().map(|one| one.pid).collect();
        before.insert(std::process::id());
        let done = work();
        let snapshot = self.observe(words);
        (only(&snapshot, |one| !before.contains(&one.pid)), done)
    }

    /// Everything that was counted so far, after this command.
    fn observe(&mut self, words: Vec<String>) -> Snapshot {
        let plan = Plan {
            settle: Duration::from_secs(5),
            ..Plan::of(Subject::Command(
                words.into_iter().map(Into::into).collect(),
            ))
        };
        let session = &mut **self;
        let (outcome, _) = run::observe(
            plan,
            |config| {
                for tid in &config.tasks {
                    session.add_task(*tid)?;
                }
                let Reading {
                    loss, unattributed, ..
                } = session.read()?;
                Ok(Lent {
                    session,
                    loss,
                    unattributed,
                })
            },
            &mut |_, _| Ok(()),
        )
        .expect("an observation");
        outcome.snapshot
    }
}

/// The words of a command that writes the truth to `file`.
fn command(file: &Path, variables: &[(&str, Option<&str>)], traffic: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = vec!["env".into()];
    for (name, value) in variables {
        match value {
            Some(value) => words.push(format!("{name}={value}")),
            None => words.extend(["-u".into(), (*name).into()]),
        }
    }
    let script = "out=$1; shift; exec \"$@\" > \"$out\"";
    words.extend(["sh", "-c", script, "sh"].map(str::to_owned));
    words.push(file.display().to_string());
    words.push(zctrace().display().to_string());
    words.extend(["traffic", "--json"].map(str::to_owned));
    words.extend(traffic.iter().map(|&word| word.to_owned()));
    words
}

/// The session as an observation of its own: what was lost before, and what nobody did, is not
/// this one's. Processes that were there before have ids of their own.
struct Lent<'a> {
    session: &'a mut Session,
    loss: Loss,
    unattributed: Vec<Unattributed>,
}

impl Meter for Lent<'_> {
    fn add_task(&mut self, tid: u32) -> Result<(), Error> {
        self.session.add_task(tid)
    }

    fn coverage(&self) -> &Coverage {
        self.session.coverage()
    }

    fn backend(&self) -> &str {
        self.session.backend()
    }

    fn idle_requests(&mut self) -> Result<BTreeSet<RequestId>, Error> {
        self.session.idle_requests()
    }

    fn live_threads(&mut self) -> Result<BTreeSet<u32>, Error> {
        self.session.live_threads()
    }

    fn keep_up(&mut self) -> Result<(), Error> {
        self.session.keep_up()
    }

    fn read(&mut self) -> Result<Reading, Error> {
        let mut reading = self.session.read()?;
        reading.loss = reading.loss.since(&self.loss);
        for work in &mut reading.unattributed {
            let mut earlier = self.unattributed.iter();
            if let Some(earlier) = earlier.find(|earlier| earlier.thread == work.thread) {
                work.totals.subtract(&earlier.totals);
            }
        }
        reading
            .unattributed
            .retain(|work| work.totals != Totals::default());
        Ok(reading)
    }
}
