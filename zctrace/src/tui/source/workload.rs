//! The built-in workloads, each started as a process of its own: expected beside measured.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    tui::{
        Incoming,
        state::{Message, trial::Parameters},
    },
    workload::truth::report::Outcome,
};

/// The workload that runs, if one does.
pub(in crate::tui) struct Runner {
    running: Arc<Mutex<Option<u32>>>,
    to_loop: mpsc::Sender<Incoming>,
}

impl Runner {
    pub(in crate::tui) fn new(to_loop: mpsc::Sender<Incoming>) -> Self {
        Self {
            running: Arc::default(),
            to_loop,
        }
    }

    /// Starts one, which waits for a line before it does anything: until it is traced. `adopt` gets
    /// its process id and where that line goes.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub(in crate::tui) fn start(
        &self,
        name: &str,
        parameters: Parameters,
        adopt: impl FnOnce(u32, ChildStdin),
    ) -> Result<(), String> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return Err("a workload is already running".into());
        }
        let spawned = env::current_exe().and_then(|program| {
            Command::new(program)
                .args(["traffic", "--lines", name])
                .args(["--bytes", &parameters.bytes.to_string()])
                .args(["--rounds", &parameters.rounds.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
        });
        let mut child = spawned.map_err(|error| format!("{name}: {error}"))?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{name}: no pipe"));
        };
        *running = Some(child.id());
        adopt(child.id(), stdin);
        let (slot, to_loop) = (self.running.clone(), self.to_loop.clone());
        thread::spawn(move || {
            let text = wait(child, stdout, &to_loop);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let _ = to_loop.send(Incoming::Message(Message::RunEnded(text)));
        });
        Ok(())
    }

    /// Asks it to end; whether there was one.
    pub(in crate::tui) fn stop(&self) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pid) = running.and_then(|pid| i32::try_from(pid).ok()) else {
            return false;
        };
        kill(Pid::from_raw(pid), Signal::SIGTERM).is_ok()
    }
}

/// Lets a workload that waits begin.
pub(in crate::tui) fn go(mut stdin: ChildStdin) {
    // Where it has ended meanwhile, that is seen elsewhere.
    let _ = stdin.write_all(b"go\n");
}

fn wait(mut child: Child, stdout: ChildStdout, to_loop: &mpsc::Sender<Incoming>) -> String {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if let Ok(outcome) = serde_json::from_str::<Outcome>(&line) {
            let round = Message::Round(Box::new(outcome));
            let _ = to_loop.send(Incoming::Message(round));
        }
    }
    match child.wait() {
        Ok(status) if status.success() => "done".into(),
        Ok(_) => "stopped".into(),
        Err(error) => format!("lost: {error}"),
    }
}
