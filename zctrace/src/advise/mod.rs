//! What would another technique save a running target? The rows say what it does, both techniques are run here at its
//! sizes, and what one saves is scaled by the target's own copying time.

pub mod find;
pub mod measure;
pub mod weigh;

use serde::{Deserialize, Serialize};

use self::{
    find::Candidate,
    measure::{Measured, Pair},
    weigh::{Saving, Verdict},
};
use crate::{
    bench::Tracer,
    ledger::{Snapshot, Target},
    workload::Arena,
};

/// The `schema` of a [`Document`].
pub const SCHEMA: &str = "zctrace.advise/1";

/// What was seen, and what it means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// Release of the running kernel.
    pub kernel: String,
    /// `functions`, `tracepoints` or `mixed`.
    pub backend: String,
    /// What was traced.
    pub target: Target,
    /// For how long.
    pub duration_ns: u64,
    /// How often both techniques were run.
    pub runs: u32,
    /// The advice, those paths first that copy longest.
    pub advice: Vec<Advice>,
}

/// About one way of moving bytes of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// The process: its name and id.
    pub process: String,
    /// Its id.
    pub pid: u32,
    /// The rows: operation and object.
    pub paths: Vec<String>,
    /// Bytes that took this way.
    pub bytes: u64,
    /// Bytes of a call.
    pub bytes_per_call: u64,
    /// Copies for each byte.
    pub copies_per_byte: f64,
    /// How some of the bytes moved was not seen, so more may have been copied. Absent where it is not so.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub copies_per_byte_is_lower_bound: bool,
    /// The process's processor time in the kernel's copy routines, from samples.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub copy_cpu_seconds: Option<f64>,
    /// All of its processor time, from samples.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpu_seconds: Option<f64>,
    /// The workload of `zctrace bench` that does as it does.
    pub now: String,
    /// The one that does it the other way; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instead: Option<String>,
    /// `change`, `or-nothing`, `stay` or `not-known`.
    pub verdict: Verdict,
    /// What to do, or why not; the verdict is not said again.
    pub how: String,
    /// What it saves; absent where nothing was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub saving: Option<Saving>,
}

/// What was measured of a candidate, or why not.
type Looked = Result<(Pair, Measured), String>;

/// Candidates, and what the tracer saw of both techniques of each.
pub struct Observed {
    candidates: Vec<(Candidate, Option<Looked>)>,
}

impl Observed {
    /// What can be advised about a snapshot. `tracer` begins a tracer of the workloads, once one is needed.
    ///
    /// # Errors
    ///
    /// When there is no tracer.
    pub fn look<E>(
        snapshot: &Snapshot,
        arena: &Arena,
        tracer: impl FnOnce() -> Result<Tracer, E>,
    ) -> Result<Self, E> {
        let found = find::candidates(snapshot);
        let is_measured = |candidate: &Candidate| candidate.instead.is_some();
        let mut tracer = match found.iter().any(is_measured) {
            true => Some(tracer()?),
            false => None,
        };
        let candidates = found.into_iter().map(|candidate| {
            let looked = candidate.instead.zip(tracer.as_mut());
            let looked = looked.map(|(instead, tracer)| {
                let pair = Pair::find(candidate.now, instead, candidate.bytes_per_call);
                let pair = pair.ok_or_else(|| format!("no workload is called {instead}"))?;
                Ok((pair, measure::look(arena, tracer, &pair)?))
            });
            (candidate, looked)
        });
        Ok(Self {
            candidates: candidates.collect(),
        })
    }

    /// Runs the techniques by turns, and weighs what they take.
    pub fn weigh(
        self,
        arena: &Arena,
        runs: u32,
        mut progress: impl FnMut(&str, u32),
    ) -> Vec<Advice> {
        let all = self.candidates.into_iter().map(|(candidate, looked)| {
            let Some(looked) = looked else {
                let verdict = candidate.verdict.unwrap_or(Verdict::NotKnown);
                return advice(candidate, verdict, None, None);
            };
            let name = candidate.instead.unwrap_or_default();
            let measured = looked.and_then(|(pair, mut measured)| {
                measured.rounds = measure::rounds(arena, &pair, runs, |run| progress(name, run))?;
                Ok(measured)
            });
            match measured {
                Ok(measured) => {
                    let (verdict, saving) = weigh::saving(&measured, &target_of(&candidate));
                    advice(candidate, verdict, saving, None)
                }
                Err(why) => advice(candidate, Verdict::NotKnown, None, Some(why)),
            }
        });
        all.collect()
    }
}

fn target_of(candidate: &Candidate) -> weigh::Target {
    weigh::Target {
        bytes: candidate.bytes,
        copies_per_byte: candidate.copies_per_byte,
        copying: candidate
            .copy_cpu_seconds
            .map(|seconds| (seconds, candidate.copied)),
        cpu_seconds: candidate.cpu_seconds.map(|time| time.total()),
    }
}

fn advice(
    candidate: Candidate,
    verdict: Verdict,
    saving: Option<Saving>,
    why: Option<String>,
) -> Advice {
    Advice {
        process: candidate.process,
        pid: candidate.pid,
        paths: candidate.paths,
        bytes: candidate.bytes,
        bytes_per_call: candidate.bytes_per_call,
        copies_per_byte: candidate.copies_per_byte,
        copies_per_byte_is_lower_bound: candidate.copies_per_byte_is_lower_bound,
        copy_cpu_seconds: candidate.copy_cpu_seconds,
        cpu_seconds: candidate.cpu_seconds.map(|time| time.total()),
        now: candidate.now.to_owned(),
        instead: candidate.instead.map(str::to_owned),
        verdict,
        how: match why {
            Some(why) => format!("it could not be measured: {why}"),
            None => candidate.how,
        },
        saving,
    }
}
