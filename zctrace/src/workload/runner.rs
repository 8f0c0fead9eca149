//! Runs a family: set-up here, operations in children that do nothing else.

use std::{
    ffi::CString,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::{
    errno::Errno,
    libc,
    sys::{
        prctl,
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, alarm, fork},
};

use super::{
    Arena, Expected, Prepared, Run, Skip, Traffic,
    report::{Member, Outcome, Status},
    shared::Shared,
};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupted(_signal: libc::c_int) {
    INTERRUPTED.store(true, SeqCst);
}

/// Lets ctrl-c and SIGTERM end the run in order, so that everything is cleaned up.
pub fn catch_interrupts() -> Result<()> {
    // No SA_RESTART: waiting for a child must end.
    let action = SigAction::new(
        SigHandler::Handler(interrupted),
        SaFlags::empty(),
        SigSet::empty(),
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        unsafe { sigaction(signal, &action) }.context("sigaction")?;
    }
    Ok(())
}

/// Whether the user wants it to end.
#[must_use]
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(SeqCst)
}

/// Runs one family.
pub fn run(traffic: &Traffic, arena: &Arena) -> Outcome {
    let mut outcome = Outcome {
        name: traffic.name().to_owned(),
        status: Status::Ok,
        reason: None,
        comm: traffic.comm(""),
        pid: None,
        processes: Vec::new(),
        expected: Expected::new(),
    };
    arena.shared.reset();
    let result = traffic
        .prepare(arena)
        .and_then(|prepared| run_prepared(traffic, arena.shared, prepared, &mut outcome));
    if let Err(error) = result {
        outcome.status = match error.downcast_ref::<Skip>() {
            Some(_) => Status::Skipped,
            None => Status::Failed,
        };
        outcome.reason = Some(format!("{error:#}"));
    }
    outcome
}

fn run_prepared(
    traffic: &Traffic,
    shared: Shared,
    prepared: Prepared,
    outcome: &mut Outcome,
) -> Result<()> {
    let Prepared {
        expected,
        run,
        peer,
        descendant,
        meanwhile,
        ends_by,
        finish,
        seconds,
        keep,
    } = prepared;
    outcome.expected = expected;

    let mut children = Children::default();
    let main = start(traffic.comm(""), run, seconds, shared)?;
    children.0.push((main, ends_by));
    outcome.pid = Some(main.as_raw().cast_unsigned());
    let mut member = |role: &str, pid: u32| {
        outcome.processes.push(Member {
            process: role.to_owned(),
            comm: traffic.comm(role),
            pid,
        });
    };
    member("", main.as_raw().cast_unsigned());
    if let Some(peer) = peer {
        let pid = start(traffic.comm(Prepared::PEER), peer, seconds, shared)?;
        children.0.push((pid, None));
        member(Prepared::PEER, pid.as_raw().cast_unsigned());
    }
    if let Some(meanwhile) = meanwhile {
        meanwhile(main)?;
    }
    children.wait(shared)?;
    if let Some(role) = descendant {
        member(role, shared.descendant());
    }
    if let Some(finish) = finish {
        finish(&mut outcome.expected)?;
    }
    drop(keep);
    Ok(())
}

/// Children with the signal that is to end each, killed if they still run when this is dropped.
#[derive(Default)]
struct Children(Vec<(Pid, Option<Signal>)>);

impl Children {
    /// Waits until all have ended as they should.
    fn wait(mut self, shared: Shared) -> Result<()> {
        while let Some((pid, ends_by)) = self.0.first().copied() {
            let status = match waitpid(pid, None) {
                Err(Errno::EINTR) if is_interrupted() => bail!("interrupted"),
                Err(Errno::EINTR) => continue,
                status => status.context("waiting for a child")?,
            };
            self.0.remove(0);
            match (status, ends_by) {
                (WaitStatus::Exited(_, 0), None) => {}
                (WaitStatus::Signaled(_, signal, _), Some(wanted)) if signal == wanted => {}
                (WaitStatus::Signaled(_, Signal::SIGALRM, _), _) => bail!("hangs"),
                (status, _) => {
                    let why = shared.failure().unwrap_or_else(|| format!("{status:?}"));
                    bail!("{why}");
                }
            }
        }
        Ok(())
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

/// Forks a child that does `run` and ends.
pub(super) fn start(comm: String, run: Run, seconds: u32, shared: Shared) -> Result<Pid> {
    let comm = CString::new(comm)?;
    // SAFETY: the command has one thread, and the child ends without returning.
    match unsafe { fork() }.context("fork")? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let done = catch_unwind(AssertUnwindSafe(|| {
                become_child(&comm, seconds)?;
                run()
            }))
            .unwrap_or_else(|_| Err(anyhow!("panicked")));
            exit(done, shared)
        }
    }
}

fn become_child(comm: &CString, seconds: u32) -> Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the default action replaces a handler.
        unsafe { sigaction(signal, &default) }?;
    }
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    prctl::set_name(comm)?;
    alarm::set(seconds);
    Ok(())
}

/// Ends a child without running the parent's destructors, or flushing its output, a second time.
pub fn exit(done: Result<()>, shared: Shared) -> ! {
    let code = match done {
        Ok(()) => 0,
        Err(error) => {
            shared.fail(&format!("{error:#}"));
            1
        }
    };
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}
