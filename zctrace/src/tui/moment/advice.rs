//! What should change about a process, as `zctrace check` says it.

use super::{Moment, PathRow, ProcessRow, packed::Packed};
use crate::{
    claims::{Circumstances, Claim, Effect, Reason, Verdict, ZERO_COPY, judge},
    ledger::{Errnos, Overhead, Path, Process, Snapshot, Stacks},
    text::escape::printable,
};

/// What should change, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The sentence.
    pub text: String,
    /// It names something to do: another call, an option, a setting.
    pub is_specific: bool,
}

/// How a remedy begins that only says where to read on.
const GENERAL: &str = "`zctrace explain ";

impl Moment {
    /// What a process, or the processes of a command together, copy most, and what should change.
    /// `None` where too little has moved to say so.
    #[must_use]
    pub fn advice(&self, row: &ProcessRow, is_command: bool) -> Option<Advice> {
        let rows = if is_command {
            &self.by_command
        } else {
            &self.paths
        };
        let process = self.ledger_of(row, rows);
        let who = printable(&process.comm);
        let sent = process.per_sent_byte();
        let per_sent_byte = match sent.ratio() {
            Some(_) => format!("{sent} copies per sent byte; "),
            None => String::new(),
        };
        // The circumstances of each call are not known here, and conclusions have to do.
        let claim = Claim {
            max_copies_per_byte: Some(ZERO_COPY),
            accept_inferred: true,
            ..Claim::named("zero-copy")
        };
        let judgement = judge(&claim, &self.docket(process), Circumstances::default());
        let (what, is_specific) = match judgement.verdict {
            Verdict::Pass => ("nothing to change".to_owned(), false),
            Verdict::Inconclusive => return None,
            Verdict::Fail => {
                let reason = weightiest(&judgement.reasons)?;
                (words(reason), !reason.remedy.starts_with(GENERAL))
            }
        };
        Some(Advice {
            text: format!("{who}: {per_sent_byte}{what}"),
            is_specific,
        })
    }

    /// These rows as the ledger has them.
    fn ledger_of(&self, row: &ProcessRow, rows: &Packed) -> Process {
        let path = |path: PathRow| Path {
            errnos: self
                .errnos(&path)
                .map_or_else(Errnos::default, Clone::clone),
            ..self.names.ledger_of(&path)
        };
        let mut process = Process::from_paths(
            row.id.pid,
            row.id.start_time,
            self.name(row.comm).to_owned(),
            self.name(row.cgroup).to_owned(),
            rows.iter(row.places()).map(path).collect(),
        );
        process.pending = row.pending;
        process
    }

    /// A measurement of nothing but this process.
    fn docket(&self, process: Process) -> Snapshot {
        let about = &self.about;
        Snapshot {
            schema: String::new(),
            seq: None,
            kernel: about.kernel.clone(),
            arch: String::new(),
            backend: about.backend.clone(),
            target: about.target.clone(),
            exit_status: None,
            started_at: String::new(),
            duration_ns: 0,
            total: process.total,
            processes: vec![process],
            unattributed: Vec::new(),
            coverage: about.coverage.clone(),
            loss: self.loss.clone(),
            overhead: Overhead::default(),
            stacks: Stacks::default(),
        }
    }
}

/// The reason whose remedy is about the most bytes: one remedy can help several rows.
fn weightiest(reasons: &[Reason]) -> Option<&Reason> {
    let refutes = || {
        reasons
            .iter()
            .filter(|reason| reason.effect == Effect::Refutes)
    };
    let weight = |remedy: &str| {
        let same = refutes().filter(|reason| reason.remedy == remedy);
        same.map(|reason| reason.bytes).fold(0, u64::saturating_add)
    };
    // Of several with the same weight the first, so that it stays the same.
    refutes().rev().max_by_key(|reason| weight(&reason.remedy))
}

/// What to change, and in which row unless that is said already.
fn words(reason: &Reason) -> String {
    let remedy = &reason.remedy;
    let row = reason.row.as_ref();
    let row = row.map(|row| format!("`{} {}`", row.op, printable(row.object.as_str())));
    match row.filter(|row| !remedy.contains(row.as_str())) {
        Some(row) => format!("{row}: {remedy}"),
        None => remedy.clone(),
    }
}
