//! Observations with a made-up meter.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read as _},
    path::Path as FsPath,
    process::Command as Child,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{Error, Meter, Outcome, Plan, Subject, command, noted::Noted, observe};
use crate::{
    ledger::{Coverage, Errnos, Notified, Path, Process, Snapshot, TargetKind, Totals},
    target::{self, Spec},
    text::sink,
    tracer::{self, Config, Reading},
};

/// Moves ten bytes at every reading.
#[derive(Default)]
struct Fake {
    moved: u64,
    coverage: Coverage,
    threads: BTreeSet<u32>,
}

impl Meter for Fake {
    fn add_task(&mut self, _tid: u32) -> Result<(), tracer::Error> {
        Ok(())
    }

    fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    fn backend(&self) -> &str {
        "functions"
    }

    fn live_threads(&mut self) -> Result<BTreeSet<u32>, tracer::Error> {
        Ok(self.threads.clone())
    }

    fn keep_up(&mut self) -> Result<(), tracer::Error> {
        Ok(())
    }

    fn read(&mut self) -> Result<Reading, tracer::Error> {
        self.moved += 10;
        let mut total = Totals::default();
        total.add(&Totals {
            ops: self.moved / 10,
            moved: self.moved,
            copied_to_user: self.moved,
            ..Totals::default()
        });
        let path = Path {
            op: "read".into(),
            object: "pipe".into(),
            evidence: "measured".into(),
            by: None,
            errnos: Errnos::default(),
            notified: Notified::default(),
            totals: total,
        };
        let process = Process::from_paths(u32::MAX, 1, "fake".into(), "/".into(), vec![path]);
        Ok(Reading {
            processes: vec![process],
            total,
            ..Reading::default()
        })
    }
}

fn command(words: &[&str]) -> Plan {
    Plan::of(Subject::Command(words.iter().map(Into::into).collect()))
}

/// Only the outcome.
fn observed(
    plan: Plan,
    attach: impl FnOnce(&Config) -> Result<Fake, Error>,
    each: &mut dyn FnMut(&Snapshot, Duration) -> Result<(), sink::Error>,
) -> Result<Outcome, Error> {
    observe(plan, attach, each).map(|(outcome, _)| outcome)
}

fn watch(plan: Plan) -> (Result<Outcome, Error>, Vec<Snapshot>) {
    let mut intervals = Vec::new();
    let outcome = observed(plan, |_| Ok(Fake::default()), &mut |snapshot, _| {
        intervals.push(snapshot.clone());
        Ok(())
    });
    (outcome, intervals)
}

#[test]
fn the_duration_counts_from_the_attaching() {
    let mut plan = Plan::of(Subject::Target(Spec::System));
    plan.duration = Some(Duration::from_millis(80));
    // It takes longer to attach than to observe.
    let mut attached = None;
    let outcome = observed(
        plan,
        |config| {
            assert!(config.tasks.is_empty());
            thread::sleep(Duration::from_millis(120));
            attached = Some(Instant::now());
            Ok(Fake::default())
        },
        &mut |_, _| Ok(()),
    )
    .unwrap();
    let since = attached.expect("it was attached").elapsed();
    let observed = Duration::from_nanos(outcome.snapshot.duration_ns);
    assert!(observed >= Duration::from_millis(80), "{observed:?}");
    assert!(observed <= since, "{observed:?} in {since:?}");
    // Two readings; the first is where counting starts.
    assert_eq!(outcome.snapshot.total.moved, 10);
    assert_eq!(outcome.snapshot.processes[0].paths[0].totals.moved, 10);
    assert_eq!(outcome.snapshot.target.kind, TargetKind::System);
    assert!(outcome.snapshot.started_at.ends_with('Z'));
}

#[test]
fn who_outlives_a_command_and_who_is_not_traced_are_named() {
    let own = format!("({})", std::process::id());
    let with = |threads: BTreeSet<u32>, plan: Plan| {
        let fake = Fake {
            threads,
            ..Fake::default()
        };
        // Through what `record` puts around its meter.
        let attach = |_: &Config| Ok(Noted::new(fake, Arc::default()));
        let outcome = observe(plan, attach, &mut |_, _| Ok(()));
        outcome.map(|(outcome, _)| outcome).unwrap()
    };
    let left = with(BTreeSet::from([std::process::id()]), command(&["true"]));
    assert_eq!(left.left_behind.len(), 1);
    assert!(left.left_behind[0].ends_with(&own), "{left:?}");
    assert_eq!(left.notes().len(), 1);
    let nobody = with(BTreeSet::new(), command(&["true"]));
    assert_eq!(nobody.notes(), [""; 0]);

    let mut child = Child::new("sleep").arg("60").spawn().unwrap();
    let attached = || {
        let mut plan = Plan::of(Subject::Target(Spec::Pids(vec![child.id()])));
        plan.duration = Some(Duration::from_millis(20));
        plan
    };
    let traced = with(BTreeSet::from([child.id()]), attached());
    assert_eq!(traced.notes(), [""; 0]);
    let untraced = with(BTreeSet::new(), attached());
    assert_eq!(untraced.untraced.len(), 1, "{untraced:?}");
    assert!(untraced.notes()[0].contains(&format!("({})", child.id())));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn intervals_add_up_to_the_whole() {
    let directory = tempfile::tempdir().unwrap();
    let enough = directory.path().join("enough");
    let script = "until [ -e \"$0\" ]; do sleep 0.01; done";
    let mut plan = command(&["sh", "-c", script, &enough.display().to_string()]);
    plan.interval = Some(Duration::from_millis(20));
    let mut intervals = Vec::new();
    let outcome = observed(plan, |_| Ok(Fake::default()), &mut |snapshot, _| {
        intervals.push(snapshot.clone());
        if intervals.len() == 3 {
            File::create(&enough).expect("a file that ends the command");
        }
        Ok(())
    })
    .unwrap();
    let seqs: Vec<_> = intervals
        .iter()
        .filter_map(|interval| interval.seq)
        .collect();
    assert_eq!(seqs, (0..intervals.len() as u64).collect::<Vec<_>>());
    // The last one ends with the command.
    assert!(intervals.len() > 3, "{}", intervals.len());
    let sum = |f: fn(&Snapshot) -> u64| intervals.iter().map(f).sum::<u64>();
    assert_eq!(sum(|s| s.total.moved), outcome.snapshot.total.moved);
    assert_eq!(sum(|s| s.duration_ns), outcome.snapshot.duration_ns);
    assert_eq!(outcome.snapshot.seq, None);
}

#[test]
fn a_command_is_traced_to_its_end() {
    let (outcome, _) = watch(command(&["sh", "-c", "exit 3"]));
    let snapshot = outcome.unwrap().snapshot;
    assert_eq!(snapshot.exit_status.unwrap().code, Some(3));
    assert_eq!(snapshot.target.kind, TargetKind::Command);
    assert_eq!(snapshot.target.value, "sh -c 'exit 3'");
    assert_eq!(snapshot.total.moved, 10, "nothing was subtracted");
}

#[test]
fn a_command_outlives_no_duration() {
    let mut plan = command(&["sleep", "60"]);
    plan.duration = Some(Duration::from_millis(50));
    let (outcome, _) = watch(plan);
    let snapshot = outcome.unwrap().snapshot;
    assert_eq!(snapshot.exit_status.unwrap().signal, Some(15));
}

#[test]
fn a_command_runs_to_its_end_when_a_report_fails() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("done");
    let script = format!("sleep 0.3; echo > {}", file.display());
    let mut plan = command(&["sh", "-c", &script]);
    plan.interval = Some(Duration::from_millis(20));
    let mut reports = 0;
    let outcome = observed(plan, |_| Ok(Fake::default()), &mut |_, _| {
        reports += 1;
        Err(sink::Error::Closed)
    });
    assert!(matches!(outcome, Err(Error::Output(sink::Error::Closed))));
    assert!(file.exists(), "the command was left alone");
    assert_eq!(reports, 1);
}

#[test]
fn a_command_that_is_not_there_runs_no_tracer() {
    let outcome = observed(
        command(&["no-such-command-here"]),
        |_| -> Result<Fake, _> { panic!("attached") },
        &mut |_, _| Ok(()),
    );
    assert!(matches!(
        outcome,
        Err(Error::Command(command::Error::NotFound { .. }))
    ));
}

#[test]
fn a_signal_while_attaching_lets_no_command_begin() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ran");
    let outcome = observed(
        command(&["touch", file.to_str().unwrap()]),
        |_| {
            // To this thread alone.
            nix::sys::signal::raise(Signal::SIGTERM).unwrap();
            Ok(Fake::default())
        },
        &mut |_, _| Ok(()),
    );
    assert!(matches!(outcome, Err(Error::Interrupted { signal: 15 })));
    assert!(!file.exists());
}

#[test]
fn a_refused_attachment_leaves_no_process() {
    let mut pid = 0;
    let outcome = observed(
        command(&["sleep", "60"]),
        |config| {
            pid = config.tasks[0];
            let missing = Vec::new();
            Err::<Fake, _>(Error::NotPermitted { missing })
        },
        &mut |_, _| Ok(()),
    );
    assert!(matches!(outcome, Err(Error::NotPermitted { .. })));
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn the_trace_ends_with_its_processes() {
    let mut child = Child::new("sleep").arg("60").spawn().unwrap();
    let pid = child.id();
    let ender = thread::spawn(move || {
        thread::sleep(Duration::from_millis(60));
        child.kill().unwrap();
        child.wait().unwrap();
    });
    let (outcome, _) = watch(Plan::of(Subject::Target(Spec::Pids(vec![pid]))));
    let snapshot = outcome.unwrap().snapshot;
    assert_eq!(snapshot.exit_status, None);
    ender.join().unwrap();
}

#[test]
fn processes_that_end_during_the_attaching_were_not_measured() {
    let mut child = Child::new("sleep").arg("60").spawn().unwrap();
    let plan = Plan::of(Subject::Target(Spec::Pids(vec![child.id()])));
    let attach = |_: &Config| {
        child.kill().unwrap();
        child.wait().unwrap();
        Ok(Fake::default())
    };
    let outcome = observed(plan, attach, &mut |_, _| Ok(()));
    assert!(matches!(outcome, Err(Error::Target(target::Error::Ended))));
}

#[test]
fn a_reader_that_is_gone_ends_it() {
    let mut plan = Plan::of(Subject::Target(Spec::System));
    plan.interval = Some(Duration::from_millis(10));
    let outcome = observed(plan, |_| Ok(Fake::default()), &mut |_, _| {
        Err(sink::Error::Closed)
    });
    assert!(matches!(outcome, Err(Error::Output(sink::Error::Closed))));
}

/// Observes in a thread of its own, which is the one that signals are sent to.
fn in_thread(mut plan: Plan) -> (JoinHandle<Result<Outcome, Error>>, impl Fn(Signal)) {
    let (mut told, teller) = io::pipe().unwrap();
    plan.ready = Some(teller.into());
    let (tids, tid) = mpsc::channel();
    let thread = thread::spawn(move || {
        tids.send(nix::unistd::gettid().as_raw()).unwrap();
        watch(plan).0
    });
    let mut text = String::new();
    told.read_to_string(&mut text).unwrap();
    assert_eq!(text, "ready\n");
    let tid = tid.recv().unwrap();
    let send = move |signal: Signal| {
        let own = std::process::id();
        // SAFETY: tgkill takes three integers.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, own, tid, signal as i32) };
        assert_eq!(sent, 0);
    };
    (thread, send)
}

#[test]
fn an_interrupt_ends_the_trace_with_its_result() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (thread, send) = in_thread(Plan::of(Subject::Target(Spec::System)));
        send(signal);
        let outcome = thread.join().unwrap().unwrap();
        assert_eq!(outcome.snapshot.total.moved, 10);
        assert_eq!(outcome.abandoned_by, None);
    }
}

#[test]
fn a_signal_is_passed_on_to_the_command() {
    let (thread, send) = in_thread(command(&["sleep", "60"]));
    send(Signal::SIGTERM);
    let outcome = thread.join().unwrap().unwrap();
    assert_eq!(outcome.snapshot.exit_status.unwrap().signal, Some(15));
}

#[test]
fn the_second_interrupt_waits_for_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (ready, heard) = (
        directory.path().join("ready"),
        directory.path().join("heard"),
    );
    let stubborn = "trap ': > \"$2\"' INT; : > \"$1\"; while [ -e \"$1\" ]; do sleep 0.1; done";
    let names = [&ready, &heard].map(|name| name.to_str().unwrap());
    let (thread, send) = in_thread(command(&["sh", "-c", stubborn, "sh", names[0], names[1]]));
    let wait_for = |file: &FsPath| {
        let begun = Instant::now();
        while !file.exists() {
            assert!(begun.elapsed() < Duration::from_secs(30), "{file:?}");
            assert!(!thread.is_finished());
            thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for(&ready);
    send(Signal::SIGINT);
    wait_for(&heard);
    assert!(!thread.is_finished());
    send(Signal::SIGINT);
    let begun = Instant::now();
    while !thread.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it waits");
        thread::sleep(Duration::from_millis(5));
    }
    let outcome = thread.join().unwrap().unwrap();
    assert_eq!(outcome.abandoned_by, Some(2));
    assert_eq!(outcome.snapshot.exit_status, None);
}
