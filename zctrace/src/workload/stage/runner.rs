//! Runs a family: set-up here, operations in children that do nothing else.

use std::{any::Any, thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

pub use super::{
    child::exit,
    interrupt::{catch_interrupts, is_interrupted},
};
use super::{
    child::start,
    shared::{Shared, cpu_now},
};
use crate::workload::{
    Arena, Expected, Finish, Prepared, Skip, Traffic, comm, is_skip,
    truth::report::{Member, Outcome, Status},
};

/// How often children are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Runs one family.
pub fn run(traffic: &Traffic, arena: &Arena) -> Outcome {
    arena.shared.reset();
    let result = traffic
        .prepare(arena)
        .and_then(|prepared| Running::start(traffic.name(), traffic.tag, arena.shared, prepared))
        .and_then(Running::wait);
    result.unwrap_or_else(|error| failed(traffic.name(), traffic.tag, &error))
}

/// The outcome of what could not be done, or went wrong.
pub(crate) fn failed(name: &str, tag: &str, error: &anyhow::Error) -> Outcome {
    Outcome {
        status: if is_skip(error) {
            Status::Skipped
        } else {
            Status::Failed
        },
        reason: Some(format!("{error:#}")),
        ..outcome(name, tag, Expected::new())
    }
}

fn outcome(name: &str, tag: &str, expected: Expected) -> Outcome {
    Outcome {
        name: name.to_owned(),
        status: Status::Ok,
        reason: None,
        comm: comm(tag, ""),
        pid: None,
        processes: Vec::new(),
        expected,
    }
}

/// A family whose processes run.
pub(crate) struct Running {
    shared: Shared,
    children: Children,
    descendant: Option<Member>,
    finish: Option<Finish>,
    keep: Vec<Box<dyn Any>>,
    outcome: Outcome,
}

impl Running {
    /// Starts the processes.
    pub(crate) fn start(name: &str, tag: &str, shared: Shared, prepared: Prepared) -> Result<Self> {
        let Prepared {
            expected,
            run,
            peers,
            descendant,
            meanwhile,
            ends_by,
            finish,
            seconds,
            keep,
        } = prepared;
        let member = |role: &str, pid: u32| Member {
            process: role.to_owned(),
            comm: comm(tag, role),
            pid,
        };
        let mut outcome = outcome(name, tag, expected);
        let mut children = Children::default();
        let timed = Box::new(move || {
            shared.begin();
            let before = cpu_now();
            let done = run();
            shared.spend(cpu_now() - before);
            shared.end();
            done
        });
        let main = start(comm(tag, ""), timed, seconds, shared)?;
        children.0.push((main, ends_by));
        outcome.pid = Some(main.as_raw().cast_unsigned());
        outcome
            .processes
            .push(member("", main.as_raw().cast_unsigned()));
        for (role, peer) in peers {
            let timed = Box::new(move || {
                let done = peer();
                shared.end();
                done
            });
            let pid = start(comm(tag, role), timed, seconds, shared)?;
            children.0.push((pid, None));
            outcome
                .processes
                .push(member(role, pid.as_raw().cast_unsigned()));
        }
        if let Some(meanwhile) = meanwhile {
            meanwhile(main)?;
        }
        Ok(Self {
            shared,
            children,
            descendant: descendant.map(|role| member(role, 0)),
            finish,
            keep,
            outcome,
        })
    }

    /// Waits for their end, and completes the truth.
    pub(crate) fn wait(self) -> Result<Outcome> {
        let mut outcome = self.outcome;
        self.children.wait(self.shared)?;
        if let Some(member) = self.descendant {
            outcome.processes.push(Member {
                pid: self.shared.descendant(),
                ..member
            });
        }
        if let Some(finish) = self.finish {
            finish(&mut outcome.expected)?;
        }
        drop(self.keep);
        Ok(outcome)
    }
}

/// Children with the signal that is to end each, killed if they still run when this is dropped.
#[derive(Default)]
struct Children(Vec<(Pid, Option<Signal>)>);

impl Children {
    /// Waits until all have ended as they should. The first that fails ends the others, which may
    /// wait for it.
    fn wait(mut self, shared: Shared) -> Result<()> {
        while !self.0.is_empty() {
            if is_interrupted() {
                bail!("interrupted");
            }
            let mut index = 0;
            while let Some((pid, ends_by)) = self.0.get(index).copied() {
                let status = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                match status.context("waiting for a child")? {
                    WaitStatus::StillAlive => index += 1,
                    status => {
                        self.0.remove(index);
                        ended(status, ends_by, shared)?;
                    }
                }
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

/// How a child ended, if not as it should.
fn ended(status: WaitStatus, ends_by: Option<Signal>, shared: Shared) -> Result<()> {
    match (status, ends_by) {
        (WaitStatus::Exited(_, 0), None) => Ok(()),
        (WaitStatus::Signaled(_, signal, _), Some(wanted)) if signal == wanted => Ok(()),
        _ if is_interrupted() => bail!("interrupted"),
        (WaitStatus::Signaled(_, Signal::SIGALRM, _), _) => bail!("hangs"),
        (status, _) => {
            let why = shared.failure().unwrap_or_else(|| format!("{status:?}"));
            if shared.is_skip() {
                bail!(Skip(why));
            }
            bail!("{why}")
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for (pid, _) in &self.0 {
            let _ = kill(*pid, Signal::SIGKILL);
            let _ = waitpid(*pid, None);
        }
    }
}
