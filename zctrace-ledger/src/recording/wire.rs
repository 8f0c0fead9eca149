//! What the frames hold. postcard writes fields in their order without names, so every change here
//! is another [`VERSION`](super::VERSION). What is new can stand behind an interval in its frame, as
//! [`WireBeside`](super::beside::WireBeside) does: readers take no notice of bytes that they do not know.

use serde::{Deserialize, Serialize};

use super::limits::items;
use crate::ledger::{Coverage, ExitStatus, Loss, Target, TargetKind, Totals, Unfollowed};

/// What was recorded, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the zctrace that wrote it.
    pub writer: String,
    /// Schema of the documents that the intervals stand for.
    pub schema: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
    /// `functions`, `tracepoints` or `mixed`.
    pub backend: String,
    /// How the target was named: a [`TargetKind`] by its name.
    pub target_kind: String,
    /// The name.
    pub target: String,
    /// A stack was sampled whenever this many bytes were copied; 0: never.
    pub stack_bytes: u64,
    /// Which file of a rotated recording this is, from 0.
    pub part: u32,
}

impl Header {
    /// What was traced.
    pub(super) fn target(&self) -> Option<Target> {
        let kind = match self.target_kind.as_str() {
            "command" => TargetKind::Command,
            "pid" => TargetKind::Pid,
            "comm" => TargetKind::Comm,
            "cgroup" => TargetKind::Cgroup,
            "port" => TargetKind::Port,
            "system" => TargetKind::System,
            _ => return None,
        };
        Some(Target {
            kind,
            value: self.target.clone(),
        })
    }
}

pub(super) const fn kind_name(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Command => "command",
        TargetKind::Pid => "pid",
        TargetKind::Comm => "comm",
        TargetKind::Cgroup => "cgroup",
        TargetKind::Port => "port",
        TargetKind::System => "system",
    }
}

/// What happened in an interval. Processes, paths, names and stacks are written when they first
/// occur and by their numbers from then on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Interval {
    /// Numbers start again from 0.
    pub(super) reset: bool,
    pub(super) seq: u64,
    /// Microseconds since the epoch.
    pub(super) started_us: i64,
    pub(super) duration_ns: u64,
    /// Present in the first interval, and when it changes.
    pub(super) coverage: Option<WireCoverage>,
    pub(super) exit: Option<(Option<i32>, Option<i32>)>,
    #[serde(deserialize_with = "items")]
    pub(super) new_names: Vec<String>,
    #[serde(deserialize_with = "items")]
    pub(super) new_processes: Vec<ProcessKey>,
    #[serde(deserialize_with = "items")]
    pub(super) new_paths: Vec<PathKey>,
    #[serde(deserialize_with = "items")]
    pub(super) processes: Vec<ProcessRows>,
    /// Kernel threads: the name's number and the counters.
    #[serde(deserialize_with = "items")]
    pub(super) unattributed: Vec<(u32, Sparse)>,
    /// `map_full`, 0 (there is no ring buffer), `missed_runs`. [`WireLoss`] has the rest.
    pub(super) loss: [u64; 3],
    pub(super) bpf_runs: u64,
    pub(super) bpf_ns: Option<u64>,
    #[serde(deserialize_with = "items")]
    pub(super) new_stacks: Vec<StackKey>,
    /// A stack's number and its bytes.
    #[serde(deserialize_with = "items")]
    pub(super) stacks: Vec<(u32, u64)>,
    pub(super) stacks_lost: u64,
}

/// What else is missing from the numbers of an interval; it stands behind what is beside the interval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireLoss {
    /// `missed_runs` by probe.
    #[serde(deserialize_with = "items")]
    missed_at: Vec<(String, u64)>,
    io_submit: u64,
    compat: u64,
}

impl From<&Loss> for WireLoss {
    fn from(loss: &Loss) -> Self {
        // The others have places of their own ([`WireRings`], [`WireUnfollowed`]).
        let Unfollowed {
            io_submit,
            compat,
            rings: _,
            requests: _,
            begun: _,
            begun_bytes: _,
        } = loss.unfollowed_calls;
        Self {
            missed_at: loss.missed_at.clone().into_iter().collect(),
            io_submit,
            compat,
        }
    }
}

impl WireLoss {
    /// Puts it where it belongs.
    pub(super) fn read(self, loss: &mut Loss) {
        let Self {
            missed_at,
            io_submit,
            compat,
        } = self;
        loss.missed_at = missed_at.into_iter().collect();
        loss.unfollowed_calls.io_submit = io_submit;
        loss.unfollowed_calls.compat = compat;
    }
}

/// How many receive rings there are; it stands behind everything else, and only where there are some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireRings(u64);

impl WireRings {
    /// Of the interval that `snapshot` is.
    pub(super) const fn new(loss: &Loss) -> Self {
        Self(loss.unfollowed_calls.rings)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Puts it where it belongs.
    pub(super) const fn read(self, loss: &mut Loss) {
        loss.unfollowed_calls.rings = self.0;
    }
}

/// What else was not followed; it stands behind everything else, and only where there is some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireUnfollowed {
    requests: u64,
    begun: u64,
    begun_bytes: u64,
}

impl WireUnfollowed {
    /// Of the interval that `snapshot` is.
    pub(super) const fn new(loss: &Loss) -> Self {
        let Unfollowed {
            requests,
            begun,
            begun_bytes,
            ..
        } = loss.unfollowed_calls;
        Self {
            requests,
            begun,
            begun_bytes,
        }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.requests == 0 && self.begun == 0
    }

    /// Puts it where it belongs.
    pub(super) const fn read(self, loss: &mut Loss) {
        loss.unfollowed_calls.requests = self.requests;
        loss.unfollowed_calls.begun = self.begun;
        loss.unfollowed_calls.begun_bytes = self.begun_bytes;
    }
}

/// Attached probes; refused ones with reason, loss, and whether the kernel has nothing to lose there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireCoverage {
    #[serde(deserialize_with = "items")]
    pub(super) attached: Vec<String>,
    #[serde(deserialize_with = "items")]
    pub(super) refused: Vec<(String, String, String, bool)>,
}

impl From<&Coverage> for WireCoverage {
    fn from(coverage: &Coverage) -> Self {
        let refused = coverage.refused.iter();
        Self {
            attached: coverage.attached.clone(),
            refused: refused
                .map(|r| (r.probe.clone(), r.reason.clone(), r.lost.clone(), r.absent))
                .collect(),
        }
    }
}

/// A process. The strings are numbers of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct ProcessKey {
    pub(super) pid: u32,
    pub(super) start_time: u64,
    pub(super) comm: u32,
    pub(super) cgroup: u32,
}

/// A data path. The strings are numbers of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct PathKey {
    pub(super) op: u32,
    pub(super) object: u32,
    pub(super) evidence: u32,
    pub(super) by: Option<u32>,
}

/// What a process did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ProcessRows {
    pub(super) process: u32,
    pub(super) pending: u64,
    pub(super) in_flight: u64,
    pub(super) copy_cpu_seconds: Option<f64>,
    /// A path's number and its counters.
    #[serde(deserialize_with = "items")]
    pub(super) rows: Vec<(u32, Sparse)>,
    #[serde(deserialize_with = "items")]
    pub(super) claims: Vec<ClaimedRow>,
}

/// What was asked for at a path. The strings are numbers of names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ClaimedRow {
    pub(super) path: u32,
    #[serde(deserialize_with = "items")]
    pub(super) claims: Vec<u32>,
    pub(super) device: Option<u32>,
    pub(super) notifications: u64,
    pub(super) counters: Sparse,
}

/// A sampled stack. The strings are numbers of names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct StackKey {
    pub(super) pid: u32,
    pub(super) start_time: u64,
    pub(super) comm: u32,
    pub(super) class: u32,
    #[serde(deserialize_with = "items")]
    pub(super) frames: Vec<u32>,
}

/// The counters that are not 0: a bit for each, and their values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sparse {
    mask: u32,
    #[serde(deserialize_with = "items")]
    values: Vec<u64>,
}

/// Lists every counter of [`Totals`] in the order of the format.
macro_rules! counters {
    ($($field:ident)+) => {
        impl From<&Totals> for Sparse {
            fn from(totals: &Totals) -> Self {
                // Destructured whole, so that a new field cannot be forgotten.
                let Totals {
                    $($field,)+ filled: _, seen_in_part: _, copies_per_byte: _, copies_per_byte_is_lower_bound: _,
                } = *totals;
                let mut sparse = Self::default();
                for (bit, value) in [$($field),+].into_iter().enumerate() {
                    if value != 0 {
                        sparse.mask |= 1 << bit;
                        sparse.values.push(value);
                    }
                }
                sparse
            }
        }

        impl Sparse {
            /// `None` where bits and values do not match.
            pub(super) fn totals(&self) -> Option<Totals> {
                let mut values = self.values.iter().copied();
                let mut bit = 0..;
                let mut next = || -> Option<u64> {
                    match self.mask >> bit.next()? & 1 {
                        1 => values.next(),
                        _ => Some(0),
                    }
                };
                let read = Totals {
                    $($field: next()?,)+
                    // It stands behind the interval.
                    filled: 0,
                    // It follows from the row.
                    seen_in_part: 0,
                    copies_per_byte: None, copies_per_byte_is_lower_bound: false,
                };
                const COUNT: usize = [$(stringify!($field)),+].len();
                if values.next().is_some() || self.mask >> COUNT != 0 {
                    return None;
                }
                // Adding works the ratio out.
                let mut totals = Totals::default();
                totals.add(&read);
                Some(totals)
            }
        }
    };
}

counters! {
    ops errors moved
    copied_to_user copied_from_user copied_in_kernel spliced direct cloned mapped synthetic unexplained
    deferred recopied wasted cow encrypted
}

pub(super) fn exit(status: ExitStatus) -> (Option<i32>, Option<i32>) {
    (status.code, status.signal)
}
