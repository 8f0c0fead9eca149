//! Both techniques, run here by turns at the target's sizes.

use std::time::Duration;

use crate::{
    bench::{Entry, Options, Status, Tracer, measure},
    workload::{
        Arena,
        stage::runner,
        technique::{Parameters, Workload},
    },
};

/// Bytes of a run: long enough for the processor to reach its speed.
const BYTES: u64 = 256 << 20;

/// How long the technique that the target uses is sampled.
const SAMPLED: Duration = Duration::from_secs(3);

/// A call that need not stop at the size of a buffer moves so much at most.
const LONG: u64 = 1 << 20;

/// Calls are at least this large: the workloads would be nothing but calls.
const LEAST: u64 = 64;

/// Both techniques, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// Seconds of processor time for a GiB of the technique that the target uses.
    pub now: f64,
    /// Of the other one, in calls of the same size and in long ones.
    pub instead: Vec<f64>,
}

/// What both techniques take.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Round by round: what slows the machine down for a while hits both.
    pub rounds: Vec<Round>,
    /// Copies for each byte by the other technique, as the tracer saw them.
    pub copies_instead: Option<f64>,
    /// Seconds of copying in the kernel by the technique that the target uses, from samples, and the bytes that it copied.
    pub copying: Option<(f64, u64)>,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// As the target does it.
    pub now: Workload,
    /// The other way.
    pub instead: Workload,
    /// Bytes of a call of the target.
    pub bytes_per_call: u64,
}

impl Pair {
    /// The two by their names; `None` where there is none of one.
    #[must_use]
    pub fn find(now: &str, instead: &str, bytes_per_call: u64) -> Option<Self> {
        Some(Self {
            now: *Workload::find(now).first()?,
            instead: *Workload::find(instead).first()?,
            bytes_per_call,
        })
    }

    fn sizes(&self) -> [u64; 2] {
        let same = self.bytes_per_call.clamp(LEAST, 16 << 20);
        // Without a buffer of the program's in between, calls can be as long as the file.
        [same, same.max(LONG)]
    }
}

fn options(bytes_per_call: u64, duration: Option<Duration>) -> Options {
    let bytes = BYTES.min(bytes_per_call.saturating_mul(1 << 18));
    Options {
        parameters: Parameters {
            bytes,
            buffer: usize::try_from(bytes_per_call).unwrap_or(1 << 20),
            file: bytes.min(64 << 20),
            ..Parameters::default()
        },
        threads: 1,
        duration,
    }
}

/// Looks at each of the two once with the tracer: what they copy, and how long copying takes.
pub fn look(arena: &Arena, tracer: &mut Tracer, pair: &Pair) -> Result<Measured, String> {
    let [same, _] = pair.sizes();
    let now = measure(
        arena,
        Some(&mut *tracer),
        pair.now,
        &options(same, Some(SAMPLED)),
    );
    usable(&now)?;
    let instead = measure(arena, Some(tracer), pair.instead, &options(same, None));
    usable(&instead)?;
    Ok(Measured {
        rounds: Vec::new(),
        copies_instead: instead.measured_copies_per_carried_byte,
        copying: now.copying,
    })
}

/// Runs both by turns without the tracer, which would cost both something, but not the same.
pub fn rounds(
    arena: &Arena,
    pair: &Pair,
    runs: u32,
    mut progress: impl FnMut(u32),
) -> Result<Vec<Round>, String> {
    let [same, long] = pair.sizes();
    let once = |workload, bytes_per_call| {
        let entry = measure(arena, None, workload, &options(bytes_per_call, None));
        usable(&entry)?;
        entry
            .own_cpu_seconds_per_gib()
            .ok_or_else(|| "nothing was moved".to_owned())
    };
    // Pages that the first run takes from the kernel, later ones find there: it is no measure.
    once(pair.now, same)?;
    let mut rounds = Vec::new();
    for run in 0..runs {
        progress(run);
        let now = once(pair.now, same)?;
        let mut instead = vec![once(pair.instead, same)?];
        if long != same {
            instead.push(once(pair.instead, long)?);
        }
        rounds.push(Round { now, instead });
    }
    Ok(rounds)
}

fn usable(entry: &Entry) -> Result<(), String> {
    if runner::is_interrupted() {
        return Err("interrupted".into());
    }
    match entry.status {
        Status::Ok | Status::Unverified => Ok(()),
        Status::Skipped => Err(entry.reason.clone().unwrap_or_else(|| "skipped".into())),
        Status::Differs => Err(format!(
            "{} did something else than expected here: {}",
            entry.name,
            entry
                .differences
                .first()
                .or(entry.reason.as_ref())
                .map_or("", String::as_str)
        )),
    }
}
