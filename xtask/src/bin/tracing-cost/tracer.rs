//! Tracers that run beside us.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// How long one may take to end: an emulated kernel detaches for half a minute.
const PATIENCE: Duration = Duration::from_mins(2);

/// A tracer that is attached, or what else runs beside us.
pub(crate) struct Tracer {
    pub(crate) child: Child,
    /// Where it writes what it saw.
    report: Option<PathBuf>,
}

impl Tracer {
    pub(crate) fn new(child: Child) -> Self {
        Self {
            child,
            report: None,
        }
    }

    /// What zctrace saw, once it has ended.
    pub(crate) fn report(&self) -> Result<Value> {
        let Some(path) = &self.report else {
            return Ok(Value::Null);
        };
        let text = fs::read(path).context("reading zctrace's report")?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Interrupts it and waits for its end.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, Signal::SIGINT)?;
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > PATIENCE {
                self.child.kill()?;
                bail!("it did not end within {} s", PATIENCE.as_secs());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Ends it and waits until the kernel has let go of all that was attached.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.stop()?;
        // Programs are freed after a grace period.
        thread::sleep(Duration::from_secs(1));
        Ok(())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // Fails only for a child that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts zctrace, and returns when it has attached its probes. Its report goes to a file in the directory.
pub(crate) fn zctrace(program: &Path, directory: &Path, arguments: &[&str]) -> Result<Tracer> {
    let report = directory.join("report");
    let mut child = Command::new(program)
        .arg("stat")
        .args(arguments)
        // The report goes to a file, which leaves standard output for the news.
        .args(["--json", "--ready-fd", "1", "-o"])
        .arg(&report)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("running zctrace")?;
    let stdout = child.stdout.take().context("its output")?;
    let mut line = String::new();
    if BufReader::new(stdout).read_line(&mut line)? == 0 {
        let mut why = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut why)?;
        }
        let status = child.wait()?;
        bail!("{status}: {}", why.trim());
    }
    Ok(Tracer {
        child,
        report: Some(report),
    })
}

/// Starts bpftrace with a script that traces `shmem_file_read_iter`.
pub(crate) fn bpftrace(program: &Path, script: &str) -> Result<Tracer> {
    let mut tracer = Tracer::new(
        Command::new(program)
            .args(["-e", script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("running bpftrace")?,
    );
    let begin = Instant::now();
    // It does not say when it has attached; the kernel does.
    while begin.elapsed() < Duration::from_mins(2) {
        if let Some(status) = tracer.child.try_wait()? {
            bail!("{status}");
        }
        if fs::read_to_string("/sys/kernel/tracing/enabled_functions")?
            .contains("shmem_file_read_iter")
        {
            thread::sleep(Duration::from_secs(1));
            return Ok(tracer);
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("it did not attach within two minutes")
}
