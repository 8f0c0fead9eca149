//! Verdicts on made-up ledgers, and what those are made of.

use zctrace_common::Mark;

use crate::{
    claims::{Circumstances, Claim, Judgement, judge},
    ledger::{Claimed, Errnos, Notified, Path, Process, Refused, Snapshot, Totals, samples},
};

#[cfg(test)]
mod beside;
#[cfg(test)]
mod doubts;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod passed_on;
#[cfg(test)]
mod unused;

const M: &str = "measured";
const MIB: u64 = 1 << 20;

pub(crate) fn claim() -> Claim {
    Claim {
        max_copies_per_byte: Some(0.02),
        ..Claim::named("check")
    }
}

/// A row: bytes by the names of the ledger's fields.
pub(crate) fn path(op: &str, object: &str, evidence: &str, numbers: &[(&str, u64)]) -> Path {
    let mut totals = Totals {
        ops: 16,
        ..Totals::default()
    };
    for (name, bytes) in numbers {
        let field = match *name {
            "copied_to_user" => &mut totals.copied_to_user,
            "copied_from_user" => &mut totals.copied_from_user,
            "copied_in_kernel" => &mut totals.copied_in_kernel,
            "spliced" => &mut totals.spliced,
            "direct" => &mut totals.direct,
            "cloned" => &mut totals.cloned,
            "mapped" => &mut totals.mapped,
            "synthetic" => &mut totals.synthetic,
            "deferred" => &mut totals.deferred,
            "recopied" => &mut totals.recopied,
            "cow" => &mut totals.cow,
            "encrypted" => &mut totals.encrypted,
            "unexplained" => &mut totals.unexplained,
            _ => panic!("{name}"),
        };
        *field = *bytes;
    }
    totals.moved = totals.explained_and_unexplained();
    Path {
        op: op.into(),
        object: object.into(),
        evidence: evidence.into(),
        by: None,
        errnos: Errnos::default(),
        notified: Notified::default(),
        totals,
    }
}

pub(crate) fn process(paths: Vec<Path>, asked: &[Mark], device: Option<&str>) -> Process {
    let claims = paths
        .iter()
        .filter(|_| !asked.is_empty() || device.is_some())
        .map(|path| Claimed {
            op: path.op.clone(),
            object: path.object.clone(),
            evidence: path.evidence.clone(),
            claims: asked.iter().map(|claim| claim.name().into()).collect(),
            device: device.map(str::to_owned),
            notifications: 0,
            totals: path.totals,
        })
        .collect();
    let mut process = Process::from_paths(1, 1, "server".into(), "/".into(), paths);
    process.claims = claims;
    process
}

fn judged(claim: &Claim, processes: Vec<Process>) -> Judgement {
    let snapshot: Snapshot = samples::with(processes);
    judge(claim, &snapshot, Circumstances::default())
}

fn refused(probe: &str, absent: bool) -> Refused {
    Refused {
        probe: probe.into(),
        reason: "refused".into(),
        lost: "something".into(),
        absent,
    }
}
