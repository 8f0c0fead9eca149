//! What stands against a PASS, whatever the rows say.

use super::{Look, Rule, Seen, State};
use crate::{
    catalog::{self, Family, Role},
    claims::portion::copied,
    ledger::Refused,
};

/// The code of the rule about refused probes.
pub(crate) const PROBES_MISSING: &str = "probes-missing";

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "command-failed",
        says: "The command failed or was left behind: it may not have done what it was to show",
        evidence: "its exit status is not 0",
        remedy: "repair the command, or judge what it did all the same with --ignore-command-status",
        look: Look::State(command_failed),
    },
    Rule {
        code: "zerocopy-pending",
        says: "Bytes sent by reference were still on their way at the end: they may yet be copied",
        evidence: "`pending` bytes two seconds after the end",
        remedy: "let the receivers read everything, or end the load before the measurement ends",
        look: Look::State(pending),
    },
    Rule {
        code: "zerocopy-notified",
        says: "The kernel notified that it copied zero-copy sends; it does not tell how many bytes",
        evidence: "`notifications` in `claims`",
        remedy: "a kernel that lets functions be traced counts the bytes (`zctrace doctor`)",
        look: Look::State(notified),
    },
    Rule {
        code: "operations-open",
        says: "Operations were still open at the end: what they have copied is not in the ledger",
        evidence: "`in_flight` operations two seconds after the end, but for those that only wait for input",
        remedy: "end the load before the measurement ends, or trace a command to its end",
        look: Look::State(in_flight),
    },
    Rule {
        code: "lost-updates",
        says: "zctrace lost updates, so copies may be missing from the ledger",
        evidence: "any of the counters of `loss`",
        remedy: "name a smaller target, or measure for a shorter time",
        look: Look::State(loss),
    },
    Rule {
        code: "unattributed-copies",
        says: "The kernel copied bytes that nobody is known to have caused: maybe the target's",
        evidence: "copies in `unattributed`, more than the limit leaves room for",
        remedy: "measure while nothing else uses the devices and sockets in question",
        look: Look::Numbers,
    },
    Rule {
        code: PROBES_MISSING,
        says: "A place where bytes can be copied was not watched, or calls could end unseen",
        evidence: "refused probes of the kinds copy site, interface and target that this kernel has functions for",
        remedy: "`zctrace doctor` tells how to get them; --path judges one path, which needs fewer of them",
        look: Look::State(probes),
    },
    Rule {
        code: "not-conserved",
        says: "A row's classes do not add up to what it moved, so its numbers cannot be trusted",
        evidence: "`moved` differs from the sum of the nine classes",
        remedy: "this is a defect of zctrace: please report it with the document of --json",
        look: Look::State(conservation),
    },
];

fn command_failed(state: &State<'_>) -> Option<Seen> {
    if !state.circumstances.command_failed(state.snapshot) {
        return None;
    }
    let text = match state.snapshot.exit_status {
        _ if state.circumstances.abandoned => "it still ran when the measurement ended".to_owned(),
        Some(status) => match (status.code, status.signal) {
            (Some(code), _) => format!("it ended with status {code}"),
            (None, Some(signal)) => format!("signal {signal} ended it"),
            (None, None) => "how it ended is not known".to_owned(),
        },
        None => "how it ended is not known".to_owned(),
    };
    Some(Seen { bytes: 0, text })
}

fn pending(state: &State<'_>) -> Option<Seen> {
    let bytes = state
        .snapshot
        .processes
        .iter()
        .fold(0_u64, |sum, process| sum.saturating_add(process.pending));
    Seen::some(bytes, || {
        let names = names(state, |process| process.pending > 0);
        format!("bytes sent by {names} have not been released")
    })
}

fn notified(state: &State<'_>) -> Option<Seen> {
    let mut parts = Vec::new();
    for process in &state.snapshot.processes {
        for part in &process.claims {
            if part.notifications > 0 && state.claim.is_about(&part.op) {
                parts.push(format!(
                    "{} for {} {} of {}",
                    part.notifications, part.op, part.object, process.comm
                ));
            }
        }
    }
    (!parts.is_empty()).then(|| {
        parts.truncate(3);
        let text = format!("notifications that say COPIED: {}", parts.join(", "));
        Seen { bytes: 0, text }
    })
}

fn in_flight(state: &State<'_>) -> Option<Seen> {
    let open = state
        .snapshot
        .processes
        .iter()
        .fold(0_u64, |sum, process| sum.saturating_add(process.in_flight));
    let open = open.saturating_sub(state.circumstances.waiting);
    (open > 0).then(|| {
        let names = names(state, |process| process.in_flight > 0);
        let text = format!("{open} operations of {names} were open");
        Seen { bytes: 0, text }
    })
}

/// Up to three of the processes for which `is` holds.
fn names(state: &State<'_>, is: impl Fn(&crate::ledger::Process) -> bool) -> String {
    let all: Vec<_> = state.snapshot.processes.iter().filter(|p| is(p)).collect();
    let mut text: Vec<_> = all
        .iter()
        .take(3)
        .map(|process| format!("{} ({})", process.comm, process.pid))
        .collect();
    if all.len() > 3 {
        text.push(format!("{} more", all.len() - 3));
    }
    text.join(", ")
}

fn loss(state: &State<'_>) -> Option<Seen> {
    // Destructured whole, so that a new counter cannot be forgotten.
    let crate::ledger::Loss {
        map_full,
        ring_dropped,
        missed_runs,
    } = state.snapshot.loss;
    (map_full != 0 || ring_dropped != 0 || missed_runs != 0).then(|| Seen {
        bytes: 0,
        text: format!(
            "{map_full} entries that did not fit, {ring_dropped} dropped records, \
             {missed_runs} missed runs"
        ),
    })
}

fn probes(state: &State<'_>) -> Option<Seen> {
    if state.claim.accept_inferred {
        return None;
    }
    let system_calls = state
        .snapshot
        .coverage
        .attached
        .iter()
        .any(|probe| probe == "sys_exit");
    let missing: Vec<_> = state
        .snapshot
        .coverage
        .refused
        .iter()
        .filter(|refused| matters(refused, state, system_calls))
        .map(|refused| refused.probe.as_str())
        .collect();
    (!missing.is_empty()).then(|| {
        let mut text = missing[..missing.len().min(5)].join(", ");
        if missing.len() > 5 {
            text = format!("{text} and {} more", missing.len() - 5);
        }
        let text = format!("not attached: {text}");
        Seen { bytes: 0, text }
    })
}

/// Whether a copy can have gone by unseen without this probe. What a row's own sites are is known
/// to its evidence; this is about rows that were never made.
fn matters(refused: &Refused, state: &State<'_>, system_calls: bool) -> bool {
    if refused.absent {
        return false;
    }
    let Some(probe) = catalog::find(&refused.probe) else {
        return true;
    };
    match (probe.role, &state.claim.path) {
        (Role::Target, _) => true,
        // Bytes that it would have seen are unexplained without it.
        (Role::NoCopySite | Role::SystemCalls, _) => false,
        (Role::CopySite, None) => true,
        (Role::CopySite, Some(path)) => {
            let faults = path.starts_with("fault.") || path.starts_with("fork.");
            probe.family != Family::Fault || faults
        }
        // Without it, pages that are still borrowed may look as if they were back.
        (Role::Evidence, _) => !system_calls && probe.family != Family::Sample,
        (Role::Interface(op), _) => !system_calls && state.claim.is_about(op.name()),
        // Where functions are refused, submissions tell instead; of AIO nothing does.
        (Role::Requests, _) => {
            let op = match probe.family {
                Family::Aio => "aio",
                _ => "uring",
            };
            !attached(state, "io_uring_complete_inferred", probe.family)
                && state.claim.is_about_requests(op)
        }
        (Role::SomeRequests | Role::Submissions, _) => state.claim.is_about_requests("uring"),
    }
}

/// Whether io_uring is seen by this probe in place of functions.
fn attached(state: &State<'_>, name: &str, family: Family) -> bool {
    let attached = &state.snapshot.coverage.attached;
    family == Family::Uring && attached.iter().any(|probe| probe == name)
}

fn conservation(state: &State<'_>) -> Option<Seen> {
    let process = state.snapshot.processes.iter().find_map(|process| {
        let path = process
            .paths
            .iter()
            .find(|path| path.totals.moved != path.totals.explained_and_unexplained())?;
        Some((process, path))
    });
    process.map(|(process, path)| Seen {
        bytes: path
            .totals
            .moved
            .abs_diff(path.totals.explained_and_unexplained()),
        text: format!("{} {} of {}", path.op, path.object, process.comm),
    })
}

/// Copies that nobody is known to have caused.
pub(crate) fn unattributed(state: &State<'_>) -> u64 {
    state.snapshot.unattributed.iter().fold(0_u64, |sum, work| {
        sum.saturating_add(copied(&work.totals, state.claim))
            .saturating_add(work.totals.unexplained)
    })
}
