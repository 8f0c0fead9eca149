//! The techniques of `zctrace bench`, each measured by a process of its own: expected beside measured.

use std::{
    env,
    io::Read as _,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    bench::{Document, Entry},
    tui::{
        Incoming,
        state::{Message, trial::Parameters},
    },
};

/// The measurement that runs, if one does.
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

    /// Starts one.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub(in crate::tui) fn start(&self, name: &str, parameters: Parameters) -> Result<(), String> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return Err("a technique is being measured already".into());
        }
        let spawned = env::current_exe().and_then(|program| {
            Command::new(program)
                .args(["bench", "--json", name])
                .args(["--bytes", &parameters.bytes.to_string()])
                .args(["--buffer", &parameters.buffer.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        });
        let child = spawned.map_err(|error| format!("{name}: {error}"))?;
        *running = Some(child.id());
        let (slot, to_loop) = (self.running.clone(), self.to_loop.clone());
        thread::spawn(move || {
            let result = wait(child);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
            let _ = to_loop.send(Incoming::Message(Message::Measured(result)));
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

fn wait(mut child: Child) -> Result<Box<Entry>, String> {
    let stderr = child.stderr.take();
    let said = thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.map(|mut stderr| stderr.read_to_string(&mut text));
        text
    });
    let mut text = String::new();
    let _ = child
        .stdout
        .take()
        .map(|mut stdout| stdout.read_to_string(&mut text));
    let status = child.wait().map_err(|error| error.to_string())?;
    let said = said.join().unwrap_or_default();
    let document = serde_json::from_str::<Document>(&text).ok();
    match document.and_then(|document| document.workloads.into_iter().next()) {
        Some(entry) => Ok(Box::new(entry)),
        None => Err(said
            .lines()
            .find_map(|line| line.strip_prefix("error: "))
            .map_or_else(|| format!("no result: {status}"), ToOwned::to_owned)),
    }
}
