//! A workload that the user started: expected beside measured.

use std::collections::BTreeMap;

use crate::{
    ledger::{Errnos, Path, Process, Totals},
    tui::moment::Moment,
    workload::{
        ExpectedRow,
        truth::{
            compare::compare,
            report::{Outcome, Status},
            verify,
        },
    },
};

/// What the user can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Bytes of one round.
    pub bytes: u64,
    /// How often it is done.
    pub rounds: u64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            bytes: 8 << 20,
            rounds: 20,
        }
    }
}

impl Parameters {
    /// As [`Parameters::parse`] reads it.
    #[must_use]
    pub fn shown(&self) -> String {
        let bytes = match self.bytes {
            bytes if bytes.is_multiple_of(1 << 20) => format!("{}M", bytes >> 20),
            bytes if bytes.is_multiple_of(1 << 10) => format!("{}K", bytes >> 10),
            bytes => bytes.to_string(),
        };
        format!("bytes {bytes} rounds {}", self.rounds)
    }

    /// Reads `bytes 8M rounds 20`; what is not named stays as it is.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub fn parse(self, text: &str) -> Result<Self, String> {
        const MOST_BYTES: u64 = 1 << 32;
        const MOST_ROUNDS: u64 = 10_000;
        let mut parameters = self;
        let mut words = text.split([' ', '=', ',']).filter(|word| !word.is_empty());
        while let Some(name) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("{name}: a number is missing"))?;
            let wrong = |_| format!("{value} is not a number: write 100, 64K or 8M");
            let (digits, shift) = match value.to_ascii_lowercase() {
                text if text.ends_with('k') => (text[..text.len() - 1].to_owned(), 10),
                text if text.ends_with('m') => (text[..text.len() - 1].to_owned(), 20),
                text if text.ends_with('g') => (text[..text.len() - 1].to_owned(), 30),
                text => (text, 0),
            };
            let number: u64 = digits.parse().map_err(wrong)?;
            let number = number.saturating_mul(1 << shift);
            let (into, most) = match name {
                "bytes" => (&mut parameters.bytes, MOST_BYTES),
                "rounds" => (&mut parameters.rounds, MOST_ROUNDS),
                _ => {
                    return Err(format!(
                        "no parameter {name}: the parameters are bytes and rounds"
                    ));
                }
            };
            if number == 0 || number > most {
                return Err(format!("{name} must be from 1 to {most}"));
            }
            *into = number;
        }
        Ok(parameters)
    }
}

/// What is known of a run, or the last one.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The workload.
    pub name: String,
    /// How it was started.
    pub parameters: Parameters,
    /// How it ended, once it has.
    pub ended: Option<String>,
    /// Rounds that have ended and are not held against the numbers yet.
    waiting: Vec<Outcome>,
    /// Of these, how many had ended before the last numbers were taken.
    ripe: usize,
    /// Rounds that were held against the numbers.
    pub settled: u64,
    /// By operation and object.
    pub rows: BTreeMap<(String, String), Beside>,
    /// What is not as it must be: how many numbers, and the first of them.
    pub differences: (u64, Option<String>),
}

/// A row of the truth beside what was measured for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    /// Of the rounds that are settled.
    pub expected: Totals,
    /// Of the same.
    pub measured: Totals,
}

impl Run {
    /// One that has just been started.
    #[must_use]
    pub fn new(name: String, parameters: Parameters) -> Self {
        Self {
            name,
            parameters,
            ..Self::default()
        }
    }

    /// A round has ended.
    pub fn round(&mut self, outcome: Outcome) {
        if outcome.status == Status::Ok {
            self.waiting.push(outcome);
        } else {
            // As the user wanted.
            if outcome.reason.as_deref() == Some("interrupted") {
                return;
            }
            let what = if outcome.status == Status::Skipped {
                "cannot be done here"
            } else {
                "failed"
            };
            self.ended = Some(match outcome.reason {
                Some(reason) => format!("{what}: {reason}"),
                None => what.to_owned(),
            });
        }
    }

    /// Holds the rounds against new numbers that had ended before these were taken: those that were
    /// known when the numbers before these came.
    pub fn settle(&mut self, moment: &Moment) {
        let ripe = self.ripe.min(self.waiting.len());
        for outcome in self.waiting.drain(..ripe).collect::<Vec<_>>() {
            self.hold(&outcome, moment);
            self.settled += 1;
        }
        self.ripe = self.waiting.len();
    }

    fn hold(&mut self, outcome: &Outcome, moment: &Moment) {
        let strictness = verify::strictness(&moment.about.backend, &moment.about.coverage);
        for member in &outcome.processes {
            let expected = outcome.expected.of_process(&member.process);
            let measured = process(moment, member.pid, &member.comm);
            for row in expected.iter().filter(|row| !row.is_anything_else()) {
                let beside = self.rows.entry((row.op.clone(), row.object.clone()));
                let beside = beside.or_default();
                beside.expected.add(&row.totals);
                for path in measured.paths.iter().filter(|path| is_of(path, row)) {
                    beside.measured.add(&path.totals);
                }
            }
            let differences = compare(&expected, &measured, strictness);
            self.differences.0 += differences.len() as u64;
            if self.differences.1.is_none() {
                self.differences.1 = differences.first().map(ToString::to_string);
            }
        }
    }
}

fn is_of(path: &Path, row: &ExpectedRow) -> bool {
    path.op == row.op && path.object == row.object
}

/// What the ledger says of one process.
fn process(moment: &Moment, pid: u32, comm: &str) -> Process {
    let found = moment
        .processes
        .iter()
        .filter(|row| row.id.pid == pid && moment.name(row.comm) == comm)
        .max_by_key(|row| row.id.start_time);
    let paths = found.into_iter().flat_map(|row| moment.paths_of(row));
    let paths = paths.map(|path| Path {
        op: moment.name(path.op).into(),
        object: moment.name(path.object).into(),
        evidence: if path.inferred {
            "inferred"
        } else {
            "measured"
        }
        .into(),
        by: None,
        errnos: Errnos::default(),
        totals: path.totals,
    });
    Process::from_paths(pid, 0, comm.to_owned(), String::new(), paths.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_as_they_are_shown() {
        let usual = Parameters::default();
        assert_eq!(usual.parse(&usual.shown()), Ok(usual));
        let chosen = usual.parse("rounds 3, bytes=64K").unwrap();
        assert_eq!((chosen.bytes, chosen.rounds), (64 << 10, 3));
        assert_eq!(usual.parse("rounds 5").unwrap().bytes, usual.bytes);
        assert!(usual.parse("rounds").unwrap_err().contains("missing"));
        assert!(usual.parse("rounds 0").unwrap_err().contains("from 1"));
        assert!(
            usual
                .parse("bytes much")
                .unwrap_err()
                .contains("not a number")
        );
        assert!(usual.parse("speed 3").unwrap_err().contains("no parameter"));
    }
}
