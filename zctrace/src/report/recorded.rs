//! Recordings as documents.

use std::{collections::HashMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use super::requested::{Requested, Sum};
use crate::{
    claims::{Circumstances, Claim, Effect, Judged, MIN_BYTES, Reason, Verdict, ZERO_COPY, judge},
    ledger::{Snapshot, Stack, Stacks, Totals},
    recording::{Error, Recording},
    text::{bytes, escape},
};

/// The `schema` of a [`Document`].
pub const SCHEMA: &str = "zctrace.report/1";

/// Operations that are judged: more than there are.
const MOST_FINDINGS: usize = 256;

/// Points that a chart can show; more intervals are added up.
const MOST_POINTS: usize = 600;

/// A whole recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The document of the whole time.
    pub stat: Snapshot,
    /// What happened when; neighbours are added up where there are many.
    pub intervals: Vec<Interval>,
    /// Which operations were zero-copy, and why not; none of a damaged recording, which proves
    /// nothing.
    pub findings: Vec<Finding>,
    /// The sampled stacks, most bytes first.
    pub stacks: Vec<Sampled>,
    /// A stack was sampled whenever this many bytes were copied; 0: never.
    pub stack_bytes: u64,
    /// Bytes whose stack was lost.
    pub stack_bytes_lost: u64,
    /// Bytes whose stack could not be unwound to its beginning, with `--unwind`.
    #[serde(default)]
    pub stack_bytes_truncated: u64,
    /// How asynchronous requests were issued and batched, by command; most requests first.
    #[serde(default)]
    pub requests: Vec<Requested>,
    /// Where the recording stops being readable, or that its end is missing; `None` where it is whole.
    pub damage: Option<String>,
}

/// A time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Start in UTC, RFC 3339.
    pub started_at: String,
    /// Length in nanoseconds.
    pub duration_ns: u64,
    /// The sum of the processes.
    pub total: Totals,
}

/// What `check` says of the claim that an operation is zero-copy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The operation.
    pub op: String,
    /// [`ZERO_COPY`].
    pub max_copies_per_byte: f64,
    /// The answer.
    pub verdict: Verdict,
    /// What was judged, the worst first.
    pub judged: Vec<Judged>,
    /// Why, the weightiest first.
    pub reasons: Vec<Reason>,
}

/// One for each operation with enough bytes to be judged, those with most bytes first.
pub(super) fn findings(stat: &Snapshot) -> Vec<Finding> {
    let mut ops: HashMap<&str, u64> = HashMap::new();
    for path in stat.processes.iter().flat_map(|process| &process.paths) {
        let bytes = path.totals.moved.max(path.totals.copies());
        let sum = ops.entry(path.op.as_str()).or_default();
        *sum = sum.saturating_add(bytes);
    }
    let mut ops: Vec<_> = ops.into_iter().collect();
    ops.retain(|(_, bytes)| *bytes >= MIN_BYTES);
    ops.sort_by_key(|(op, bytes)| (std::cmp::Reverse(*bytes), *op));
    // Each is judged by all the rows, and a file can name as many as it likes.
    ops.truncate(MOST_FINDINGS);
    ops.into_iter()
        .map(|(op, _)| {
            let claim = Claim {
                max_copies_per_byte: Some(ZERO_COPY),
                path: Some(op.to_owned()),
                ..Claim::named("zero-copy")
            };
            let judgement = judge(&claim, stat, Circumstances::recorded(stat));
            Finding {
                op: op.to_owned(),
                max_copies_per_byte: ZERO_COPY,
                verdict: judgement.verdict,
                judged: judgement.judged,
                reasons: judgement.reasons,
            }
        })
        .collect()
}

impl Finding {
    /// What decided: what stands against a PASS does not matter to a FAIL.
    pub(crate) fn deciding(&self) -> impl Iterator<Item = &Reason> {
        let failed = self.verdict == Verdict::Fail;
        self.reasons
            .iter()
            .filter(move |reason| !failed || reason.effect != Effect::Forbids)
    }
}

/// The findings, for people, a line each; empty without any.
#[must_use]
pub fn verdicts(document: &Document) -> String {
    let mut text = String::new();
    if document.findings.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "\nZero-copy (at most {ZERO_COPY} copies per byte), by operation:"
    );
    for finding in &document.findings {
        let why = finding
            .deciding()
            .next()
            .map_or_else(String::new, |reason| {
                format!("  {}: {}", reason.code, escape::printable(&reason.evidence))
            });
        let _ = writeln!(
            text,
            "  {:<12} {}{why}",
            finding.verdict.word(),
            escape::printable(&finding.op)
        );
    }
    text.push_str("  zctrace explain NAME says what a reason means; `zctrace check --from` judges other claims.\n");
    text
}

/// A sampled stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// Process id.
    pub pid: u32,
    /// Its command name.
    pub comm: String,
    /// What kind of copy.
    pub class: String,
    /// The frames, outermost first; those of the kernel end in `_[k]`.
    pub frames: Vec<String>,
    /// Bytes copied there.
    pub bytes: u64,
}

impl Sampled {
    /// Whether its outermost frames are missing. Without `--unwind` nobody knows.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        let outermost = self.frames.first();
        outermost.is_some_and(|frame| frame == Stack::TRUNCATED)
    }
}

impl Document {
    /// Reads a recording to its end.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(recording: &mut Recording) -> Result<Self, Error> {
        recording.seek(0)?;
        let mut intervals: Vec<Interval> = Vec::new();
        let mut together = 1;
        let mut count = 0;
        let mut requests = Sum::default();
        while let Some(snapshot) = recording.next() {
            let snapshot = snapshot?;
            if let Some(beside) = recording.beside() {
                requests.add(beside);
            }
            match intervals.last_mut() {
                Some(last) if count % together != 0 => {
                    last.duration_ns = last.duration_ns.saturating_add(snapshot.duration_ns);
                    last.total.add(&snapshot.total);
                }
                _ => intervals.push(Interval {
                    started_at: snapshot.started_at,
                    duration_ns: snapshot.duration_ns,
                    total: snapshot.total,
                }),
            }
            count += 1;
            if intervals.len() > MOST_POINTS && count % (together * 2) == 0 {
                together *= 2;
                intervals = intervals.chunks(2).map(added_up).collect();
            }
        }
        recording.seek(0)?;
        let stat = recording.whole()?.snapshot();
        let mut stacks: Vec<_> = stat
            .stacks
            .bytes
            .iter()
            .map(|(stack, &bytes)| Sampled {
                pid: stack.pid,
                comm: stack.comm.to_string(),
                class: stack.class.to_string(),
                frames: stack.frames.iter().map(ToString::to_string).collect(),
                bytes,
            })
            .collect();
        let truncated = stacks
            .iter()
            .filter(|stack: &&Sampled| stack.is_truncated())
            .fold(0, |sum: u64, stack| sum.saturating_add(stack.bytes));
        stacks.sort_by_key(|stack| std::cmp::Reverse(stack.bytes));
        let findings = if recording.damage().is_none() {
            findings(&stat)
        } else {
            Vec::new()
        };
        Ok(Self {
            schema: SCHEMA.into(),
            intervals,
            findings,
            stacks,
            stack_bytes: recording.header().stack_bytes,
            stack_bytes_lost: stat.stacks.lost,
            stack_bytes_truncated: truncated,
            requests: requests.requests(&stat),
            damage: recording.damage().map(|damage| damage.to_string()),
            stat,
        })
    }

    /// The stacks as the ledger has them.
    #[must_use]
    pub const fn stacks(&self) -> &Stacks {
        &self.stat.stacks
    }
}

fn added_up(intervals: &[Interval]) -> Interval {
    let mut sum = intervals[0].clone();
    for interval in &intervals[1..] {
        sum.duration_ns = sum.duration_ns.saturating_add(interval.duration_ns);
        sum.total.add(&interval.total);
    }
    sum
}

/// The largest stacks, for people; empty without any.
#[must_use]
pub fn stacks(document: &Document) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    if document.stacks.is_empty() {
        return text;
    }
    let _ = writeln!(
        text,
        "\nStacks that copied most (sampled every {}):",
        bytes::bytes(document.stack_bytes)
    );
    for stack in document.stacks.iter().take(SHOWN) {
        let _ = writeln!(
            text,
            "\n  {} {} by {} [{}]",
            bytes::bytes(stack.bytes),
            escape::printable(&stack.class),
            escape::printable(&stack.comm),
            stack.pid
        );
        for frame in stack.frames.iter().rev() {
            let _ = writeln!(text, "      {}", escape::printable(frame));
        }
    }
    let more = document.stacks.len().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(
            text,
            "\n  and {more} more: --folded, --flame FILE, --html FILE"
        );
    }
    if document.stack_bytes_lost > 0 {
        let lost = bytes::bytes(document.stack_bytes_lost);
        let _ = writeln!(text, "\n  the stack of {lost} was lost");
    }
    if document.stack_bytes_truncated > 0 {
        let truncated = bytes::bytes(document.stack_bytes_truncated);
        let _ = writeln!(
            text,
            "\n  the stack of {truncated} could not be unwound to its beginning"
        );
    }
    text
}
