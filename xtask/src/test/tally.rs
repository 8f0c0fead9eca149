//! Counting what libtest says.

use std::time::{Duration, Instant};

/// What came of some tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    /// What failed, by name.
    pub(super) failed: Vec<String>,
    /// What failed and passed when it ran once more, by name.
    pub(super) unsteady: Vec<String>,
    /// What was skipped, with the reason.
    pub(super) skipped: Vec<String>,
    /// How long tests took, where they run one by one.
    pub(super) took: Vec<(String, Duration)>,
}

impl Tally {
    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self {
            skipped: vec![reason.into()],
            ..Self::default()
        }
    }

    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self {
            failed: vec![what.into()],
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        let Self {
            passed,
            failed,
            unsteady,
            skipped,
            took,
        } = other;
        self.passed += passed;
        self.failed.extend(failed);
        self.unsteady.extend(unsteady);
        self.skipped.extend(skipped);
        self.took.extend(took);
    }
}

/// Reads libtest's output line by line.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// From the summary lines: libtest's own count.
    passed: usize,
    failed: usize,
    ignored: usize,
    failures: Vec<String>,
    /// The list of failures that is being read.
    listed: Vec<String>,
    skips: Vec<String>,
    /// How many tests skipped as a whole and returned, which libtest counts as passed.
    skipped_whole: usize,
    /// The test whose output is being read.
    printing: Option<String>,
    ignores: Vec<String>,
    place: Place,
    /// A test binary that began and has not summed up.
    open: bool,
    /// The name of the test that runs, where tests run one by one.
    current: Option<String>,
    /// When the last test ended, and how long each took.
    last: Option<Instant>,
    took: Vec<(String, Duration)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Results,
    /// What passing tests printed, shown for the sake of `SKIP:` lines.
    Successes,
    Failures,
}

impl Reader {
    /// Takes a line in; whether it is worth showing.
    pub(super) fn line(&mut self, line: &str) -> bool {
        if let Some(skip) = line.trim_start().strip_prefix("SKIP: ") {
            self.skip(skip);
            return true;
        }
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            self.printing = Some(name.to_owned());
        }
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, "passed");
            self.failed += count(counts, "failed");
            self.ignored += count(counts, "ignored");
            self.failures.append(&mut self.listed);
            self.open = false;
            self.current = None;
            self.place = Place::Results;
            return true;
        }
        if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
            // One that never summed up has crashed.
            self.close();
            self.last = Some(Instant::now());
            self.open = true;
            self.place = Place::Results;
            return true;
        }
        match line {
            "successes:" => self.place = Place::Successes,
            "failures:" => {
                self.place = Place::Failures;
                // Comes twice: before what they printed, and before their names.
                self.listed.clear();
            }
            _ => {}
        }
        match self.place {
            Place::Results => self.result(line),
            Place::Failures => self
                .listed
                .extend(line.strip_prefix("    ").map(str::to_owned)),
            Place::Successes => {}
        }
        self.place != Place::Successes && !is_progress(line)
    }

    /// `NAME: REASON`: the whole test, if it is its own name, else a part of it.
    fn skip(&mut self, skip: &str) {
        let name = skip.split(':').next().unwrap_or_default();
        let own = self.printing.as_deref().unwrap_or_default();
        let is_own = own == name || own.rsplit("::").next() == Some(name);
        if self.place == Place::Successes && is_own {
            self.skipped_whole += 1;
        }
        if !self.skips.iter().any(|known| known == skip) {
            self.skips.push(skip.to_owned());
        }
    }

    fn result(&mut self, line: &str) {
        let Some((name, result)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.split_once(" ... "))
        else {
            // A test's children printed between its name and its result.
            if matches!(line, "ok" | "FAILED")
                && let Some(name) = self.current.take()
            {
                self.ended(name);
            }
            return;
        };
        // What a test's children print comes between its name and its result.
        let known = ["ok", "FAILED", "ignored"];
        let ended = known.iter().any(|known| result.starts_with(known));
        if ended {
            self.ended(name.to_owned());
        }
        self.current = (!ended).then(|| name.to_owned());
        if let Some(reason) = result.strip_prefix("ignored") {
            let reason = reason.trim_start_matches([',', ' ']);
            let reason = if reason.is_empty() { "ignored" } else { reason };
            self.ignores.push(format!("{name}: {reason}"));
        }
    }

    fn ended(&mut self, name: String) {
        if let Some(last) = self.last.replace(Instant::now()) {
            self.took.push((name, last.elapsed()));
        }
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.failed += 1;
            let running = self.current.take().unwrap_or_else(|| "a test".to_owned());
            self.failures
                .push(format!("{running} (its program ended without a result)"));
        }
    }

    /// What it comes to, given whether the programs succeeded.
    pub(super) fn finish(mut self, how_it_failed: Option<String>) -> Tally {
        self.close();
        // A name can get lost among a test's own output, the count cannot.
        while self.failures.len() < self.failed {
            self.failures.push("a test".to_owned());
        }
        if let Some(how) = how_it_failed
            && self.failures.is_empty()
        {
            self.failures.push(how);
        }
        while self.ignores.len() < self.ignored {
            self.ignores.push("a test: ignored".to_owned());
        }
        let passed = self.passed.saturating_sub(self.skipped_whole);
        let mut skipped = self.skips;
        skipped.extend(self.ignores);
        Tally {
            passed,
            failed: self.failures,
            unsteady: Vec::new(),
            skipped,
            took: self.took,
        }
    }
}

/// Whether cargo only says what it compiles; the build of the BPF programs says it as warnings.
pub(super) fn is_progress(line: &str) -> bool {
    let line = line
        .strip_prefix("warning: zctrace@")
        .and_then(|rest| rest.split_once(": "))
        .map_or(line, |(_, rest)| rest);
    [
        "Compiling ",
        "Finished ",
        "Downloaded ",
        "Downloading ",
        "Blocking ",
    ]
    .iter()
    .any(|word| line.trim_start().starts_with(word))
}

/// The number before `what` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, what: &str) -> usize {
    counts
        .split([';', '.'])
        .find_map(|part| part.trim().strip_suffix(what)?.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, how_it_failed: Option<&str>) -> (Tally, Vec<String>) {
        let mut reader = Reader::default();
        let shown = text
            .lines()
            .filter(|line| reader.line(line))
            .map(str::to_owned)
            .collect();
        (reader.finish(how_it_failed.map(str::to_owned)), shown)
    }

    #[test]
    fn a_skipped_test_has_not_passed_but_one_with_a_skipped_part_has() {
        let text = "running 3 tests\ntest a ... ok\ntest b ... ok\ntest c ... ignored, root\n\n\
                    successes:\n\n---- a stdout ----\nSKIP: part: not here\n\n\
                    ---- b stdout ----\nSKIP: b: no xfs\nnoise\n\n\nsuccesses:\n    \
                    a\n    b\n\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 \
                    filtered out; finished in 0.00s\n";
        let (mut tally, shown) = read(text, None);
        let took: Vec<_> = tally.took.drain(..).map(|(name, _)| name).collect();
        assert_eq!(took, ["a", "b", "c"]);
        assert_eq!(
            tally,
            Tally {
                passed: 1,
                failed: vec![],
                unsteady: vec![],
                skipped: ["part: not here", "b: no xfs", "c: root"]
                    .map(str::to_owned)
                    .to_vec(),
                took: vec![],
            }
        );
        assert!(!shown.iter().any(|line| line == "noise"));
        assert!(shown.iter().any(|line| line == "SKIP: b: no xfs"));
    }

    #[test]
    fn names_what_failed_and_shows_why() {
        let text = "running 2 tests\ntest a ... FAILED\ntest b ... ok\n\nfailures:\n\n\
                    ---- a stdout ----\npanicked\n\n\nfailures:\n    a\n\ntest result: FAILED. 1 \
                    passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let (tally, shown) = read(text, Some("exit status: 101"));
        assert_eq!((tally.passed, tally.failed), (1, vec!["a".to_owned()]));
        assert!(shown.iter().any(|line| line == "panicked"));
    }

    #[test]
    fn a_program_that_dies_has_failed() {
        let text = "running 2 tests\ntest a ... ok\ntest b ... \n";
        let (tally, _) = read(text, Some("signal: 6"));
        assert_eq!(tally.failed, ["b (its program ended without a result)"]);
    }

    #[test]
    fn compiling_is_no_news() {
        assert!(is_progress("   Compiling zctrace v0.1.0"));
        assert!(is_progress(
            "warning: zctrace@0.1.0:    Compiling aya-ebpf v0.2.1"
        ));
        assert!(!is_progress(
            "warning: zctrace@0.1.0: built without BPF programs"
        ));
        assert!(!is_progress("     Running tests/cli.rs"));
    }

    #[test]
    fn a_failure_without_any_test_is_one() {
        let (tally, _) = read("error: could not compile\n", Some("exit status: 101"));
        assert_eq!(tally, Tally::failed("exit status: 101"));
    }
}
