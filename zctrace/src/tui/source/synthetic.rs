//! Made-up numbers of any size, to measure the dashboard itself (`cargo xtask bench tui`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use zctrace_common::{Evidence, Op};

use crate::{
    ledger::{
        Coverage, End, Errnos, Loss, Notified, Overhead, Path, Process, SCHEMA, Snapshot, Stacks,
        Target, TargetKind, Totals,
    },
    tui::{
        Incoming,
        moment::{builder::Builder, sides::Sides},
    },
};

/// How much there is to show.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Processes.
    pub processes: u32,
    /// Rows, of all of them.
    pub rows: u32,
    /// Time between two moments.
    pub refresh: Duration,
    /// Panic while the screen is drawn: for the test that the terminal is given back.
    pub panics: bool,
}

/// A source of made-up numbers.
pub(in crate::tui) struct Synthetic {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    source_kib: u64,
    panics: bool,
}

impl Synthetic {
    pub(in crate::tui) const NUMBER: u64 = 1;

    pub(in crate::tui) fn new(size: Size, sender: mpsc::Sender<Incoming>) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let asked = ends.clone();
        let mut snapshot = snapshot(size);
        let source_kib = resident();
        let thread = thread::spawn(move || {
            let mut builder = Builder::default();
            let start = Instant::now();
            while !asked.load(Ordering::Relaxed) {
                let next = Instant::now() + size.refresh;
                grow(&mut snapshot);
                let moment = builder.build(&snapshot, start.elapsed(), Sides::default());
                let _ = sender.send(Incoming::Moment(Self::NUMBER, moment));
                while Instant::now() < next && !asked.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Self {
            ends,
            thread: Some(thread),
            source_kib,
            panics: size.panics,
        }
    }

    /// Resident memory when there was only the document.
    pub(in crate::tui) const fn source_kib(&self) -> u64 {
        self.source_kib
    }

    /// Panics if it is to.
    pub(in crate::tui) fn panic(&self) {
        assert!(!self.panics, "as it was asked to");
    }

    pub(in crate::tui) fn stop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Resident memory of this process in KiB.
fn resident() -> u64 {
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    status.ok().and_then(|status| status.vmrss).unwrap_or(0)
}

/// Rows of many kinds, all different within their process.
fn snapshot(size: Size) -> Snapshot {
    const OPS: [Op; 6] = [
        Op::Read,
        Op::Write,
        Op::Send,
        Op::Recv,
        Op::Sendfile,
        Op::FaultMap,
    ];
    let each = size.rows.div_ceil(size.processes.max(1));
    let processes = (0..size.processes).map(|pid| {
        let paths = (0..each).map(|row| Path {
            op: OPS[row as usize % OPS.len()].into(),
            object: End::File(&format!("fs{}", row as usize / OPS.len())).into(),
            evidence: Evidence::Measured.into(),
            by: None,
            errnos: Errnos::default(),
            notified: Notified::default(),
            totals: Totals::default(),
        });
        let comm = format!("worker-{}", pid % 97);
        Process::from_paths(pid + 1, 1, comm, "/system.slice".into(), paths.collect())
    });
    Snapshot {
        schema: SCHEMA.into(),
        seq: None,
        kernel: crate::kernel::release(),
        arch: std::env::consts::ARCH.into(),
        backend: "synthetic".into(),
        target: Target {
            kind: TargetKind::System,
            value: String::new(),
        },
        exit_status: None,
        started_at: String::new(),
        duration_ns: 0,
        total: Totals::default(),
        processes: processes.collect(),
        unattributed: Vec::new(),
        coverage: Coverage::default(),
        loss: Loss::default(),
        overhead: Overhead::default(),
        stacks: Stacks::default(),
    }
}

/// Every row moves bytes.
fn grow(snapshot: &mut Snapshot) {
    for process in &mut snapshot.processes {
        let mut gained = Totals::default();
        for (row, path) in (1..).zip(&mut process.paths) {
            let bytes = u64::from(process.pid % 1009 + 1) * row * 512;
            let mut totals = Totals {
                ops: 1,
                moved: bytes,
                ..Totals::default()
            };
            match path.op.known() {
                Some(Op::Sendfile) => totals.spliced = bytes,
                Some(Op::FaultMap) => totals.mapped = bytes,
                Some(Op::Write | Op::Send) => totals.copied_from_user = bytes,
                _ => totals.copied_to_user = bytes,
            }
            path.totals.add(&totals);
            gained.add(&totals);
        }
        process.total.add(&gained);
        snapshot.total.add(&gained);
    }
}
