//! Running other programs: as root where that is needed, never for ever, and with their output
//! kept until somebody wants to see it.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{BufReader, IsTerminal as _, Read, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::{prctl, signal::Signal},
    unistd::geteuid,
};

/// What timeout(1) exits with when it had to end the program, in either of its ways.
const TIMED_OUT: [i32; 2] = [124, 137];

/// How much of a failed program's output is shown.
const LAST_LINES: usize = 25;

/// The last lines that a program printed.
#[derive(Debug, Default)]
pub(crate) struct Tail(VecDeque<String>);

impl Tail {
    pub(crate) fn push(&mut self, line: &str) {
        if self.0.len() == LAST_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A program to run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    words: Vec<OsString>,
    variables: Vec<(String, OsString)>,
    directory: Option<OsString>,
    root: bool,
    limit: Duration,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) timed_out: bool,
    pub(crate) took: Duration,
}

/// Whether we may do what only root may.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}

impl Job {
    pub(crate) fn new(program: impl Into<OsString>) -> Self {
        Self {
            words: vec![program.into()],
            variables: Vec::new(),
            directory: None,
            root: false,
            limit: Duration::from_mins(10),
        }
    }

    pub(crate) fn arg(mut self, word: impl Into<OsString>) -> Self {
        self.words.push(word.into());
        self
    }

    pub(crate) fn args(mut self, words: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn current_dir(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Runs it as root, through sudo if need be.
    pub(crate) fn root(mut self) -> Self {
        self.root = true;
        self
    }

    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    fn command(&self) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if self.root && !is_root() {
            words.push("sudo".into());
            if !std::io::stdin().is_terminal() {
                // Nobody could type a password.
                words.push("--non-interactive".into());
            }
        }
        // env inside sudo, which clears the environment; timeout inside sudo, because only root
        // can end what root runs.
        words.push("env".into());
        for (name, value) in &self.variables {
            let mut word = OsString::from(format!("{name}="));
            word.push(value);
            words.push(word);
        }
        words.extend(["timeout".into(), "--kill-after=10".into()]);
        words.push(format!("{}", self.limit.as_secs()).into());
        words.extend(self.words.iter().cloned());

        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        // timeout ends its whole process group when it is told to end.
        let arm = || prctl::set_pdeathsig(Signal::SIGTERM).map_err(std::io::Error::from);
        // SAFETY: between fork and exec it makes one system call and allocates nothing.
        unsafe { command.pre_exec(arm) };
        command
    }

    fn name(&self) -> String {
        self.words[0].to_string_lossy().into_owned()
    }

    /// Runs it, handing each line it prints, on either output, to `on_line`.
    pub(crate) fn lines(&self, mut on_line: impl FnMut(&str)) -> Result<Ended> {
        let begin = Instant::now();
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("running {}", self.name()))?;
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            forward(stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            forward(stderr, sender);
        }
        for line in lines {
            on_line(&line);
        }
        let status = child.wait()?;
        Ok(self.ended(status, begin))
    }

    /// Runs it with our own outputs.
    pub(crate) fn shown(&self) -> Result<Ended> {
        let begin = Instant::now();
        let status = self
            .command()
            .status()
            .with_context(|| format!("running {}", self.name()))?;
        Ok(self.ended(status, begin))
    }

    fn ended(&self, status: ExitStatus, begin: Instant) -> Ended {
        let took = begin.elapsed();
        let stopped = status.code().is_some_and(|code| TIMED_OUT.contains(&code));
        Ended {
            status,
            timed_out: stopped && took >= self.limit,
            took,
        }
    }

    /// Runs it silently; what it printed to its standard output, if it succeeded.
    pub(crate) fn read(&self) -> Option<String> {
        let output = self.command().stderr(Stdio::null()).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs it with our own standard error; what it printed to its standard output.
    pub(crate) fn output(&self) -> Result<Vec<u8>> {
        let name = self.name();
        let output = self
            .command()
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("running {name}"))?;
        if !output.status.success() {
            bail!("{name}: {}", output.status);
        }
        Ok(output.stdout)
    }

    /// Runs it as a step of a longer task: one line that says what is going on and how long it
    /// took, and the end of its output if it fails.
    pub(crate) fn step(&self, title: &str) -> Result<()> {
        eprint!("{title} …");
        std::io::stderr().flush().ok();
        let mut last = Tail::default();
        let ended = self.lines(|line| last.push(line))?;
        let seconds = ended.took.as_secs_f64();
        if ended.status.success() {
            eprintln!(" done ({seconds:.1} s)");
            return Ok(());
        }
        eprintln!(" failed ({seconds:.1} s)");
        for line in last.lines() {
            eprintln!("    {line}");
        }
        if ended.timed_out {
            bail!("{title}: gave up after {} s", self.limit.as_secs());
        }
        bail!("{title}: {}: {}", self.name(), ended.status)
    }
}

fn forward(mut from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(&mut from);
        let mut line = Vec::new();
        while std::io::BufRead::read_until(&mut reader, b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line);
            if to
                .send(text.trim_end_matches(['\n', '\r']).to_owned())
                .is_err()
            {
                return;
            }
            line.clear();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_what_takes_too_long() {
        let job = Job::new("sleep").arg("30").limit(Duration::from_secs(1));
        let ended = job.lines(|_| {}).unwrap();
        assert!(ended.timed_out);
        assert!(!ended.status.success());
    }

    #[test]
    fn hands_over_lines_of_both_outputs() {
        let mut lines = Vec::new();
        let job = Job::new("sh")
            .args(["-c", "echo out $X; echo err >&2; exit 3"])
            .env("X", "a b");
        let ended = job.lines(|line| lines.push(line.to_owned())).unwrap();
        lines.sort();
        assert_eq!(lines, ["err", "out a b"]);
        assert_eq!(ended.status.code(), Some(3));
        assert!(!ended.timed_out);
    }
}
