//! The built-in workloads, each started as a process of its own.

use std::{
    env,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Incoming, state::Message};

/// The workload that runs, if one does.
pub(super) struct Runner {
    running: Arc<Mutex<Option<u32>>>,
    to_loop: mpsc::Sender<Incoming>,
}

impl Runner {
    pub(super) fn new(to_loop: mpsc::Sender<Incoming>) -> Self {
        Self {
            running: Arc::default(),
            to_loop,
        }
    }

    /// Starts one; the text says what became of it.
    pub(super) fn start(&self, name: &str) -> String {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return "a workload runs already".into();
        }
        let spawned = env::current_exe().and_then(|program| {
            Command::new(program)
                .args(["traffic", "--json", name])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
        });
        let child = match spawned {
            Ok(child) => child,
            Err(error) => return format!("{name}: {error}"),
        };
        *running = Some(child.id());
        let (slot, name) = (self.running.clone(), name.to_owned());
        let to_loop = self.to_loop.clone();
        let started = format!("{name} runs as process {}", child.id());
        thread::spawn(move || {
            let text = wait(child, &name);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let _ = to_loop.send(Incoming::Message(Message::Notice(text)));
        });
        started
    }

    /// Asks it to end; whether there was one.
    pub(super) fn stop(&self) -> bool {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pid) = running.and_then(|pid| i32::try_from(pid).ok()) else {
            return false;
        };
        kill(Pid::from_raw(pid), Signal::SIGTERM).is_ok()
    }
}

fn wait(child: Child, name: &str) -> String {
    let Ok(output) = child.wait_with_output() else {
        return format!("{name}: lost");
    };
    let report: Option<crate::workload::report::Report> =
        serde_json::from_slice(&output.stdout).ok();
    let outcome = report.and_then(|report| report.traffic.into_iter().next());
    match outcome {
        Some(outcome) => {
            let reason = outcome
                .reason
                .map_or_else(String::new, |reason| format!(": {reason}"));
            format!("{name} ended: {:?}{reason}", outcome.status)
        }
        None => format!("{name} was stopped"),
    }
}
