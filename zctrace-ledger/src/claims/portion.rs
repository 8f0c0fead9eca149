//! What is judged as one: a row, or rows too small to be judged by themselves.
//!
//! A total hides: a gigabyte of shared extents makes a megabyte of copies look like nothing. So
//! bytes that nothing carried never count towards what copies are compared with, every row with
//! enough bytes stands alone, and rows too small for that are compared both with their like in
//! other processes and all together.

use std::collections::{BTreeMap, BTreeSet};

use zctrace_common::{Evidence, Op};

use super::{Claim, Measure};
use crate::ledger::{Direction, Object, Path, Process, Spills, Totals};

/// A row of the ledger and whose it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) process: &'a Process,
    pub(crate) path: &'a Path,
}

impl Row<'_> {
    pub(crate) fn totals(&self) -> &Totals {
        &self.path.totals
    }

    pub(crate) fn is_inferred(&self) -> bool {
        self.path.evidence != Evidence::Measured
    }

    /// Whether every copy that a notification can tell of is in its numbers: a copy of each byte. A few
    /// copies do not show that the place was seen of which the kernel notified.
    pub(crate) fn counts_late_copies(&self) -> bool {
        !self.is_inferred() && self.path.totals.copies() >= self.path.totals.moved
    }

    /// What notifications say about it beyond what the ledger has. They coalesce, so there were at
    /// least as many copied sends as notifications; of how many bytes is estimated from the
    /// average.
    pub(crate) fn notified(&self) -> Notified {
        let Totals { ops, moved, .. } = self.path.totals;
        let notifications = self
            .process
            .claims
            .iter()
            .filter(|part| part.op == self.path.op && part.object == self.path.object)
            .fold(0_u64, |sum, part| sum.saturating_add(part.notifications));
        // Sites that see such copies have counted them, to the byte.
        let estimated = if self.counts_late_copies() {
            0
        } else {
            notifications.min(ops)
        };
        let share = u128::from(moved) * u128::from(estimated) / u128::from(ops.max(1));
        let bytes = u64::try_from(share).unwrap_or(moved);
        Notified {
            notifications,
            bytes: bytes.saturating_sub(self.path.totals.copies()),
        }
    }
}

/// Copies that only notifications tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notified {
    pub(crate) notifications: u64,
    /// Bytes that the ledger does not have as copies.
    pub(crate) bytes: u64,
}

/// Which rows a portion is made of, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One row.
    Row,
    /// Small rows of one operation and object in several processes.
    Alike,
    /// All rows that are too small.
    Rest,
    /// The shared extents of rows that are too small otherwise.
    Shared,
    /// All of a process, over what it sent or received.
    Process,
    /// What went through the memory of a process, over what it sent from there or received there.
    ThroughUser,
    /// What went from kernel object to kernel object, over what it sent or received so.
    InKernel,
    /// Processes too small to be judged by themselves, together.
    SmallProcesses,
}

/// How often a byte of an ordinary send is copied again at most: when its packet is segmented, made linear, copied and
/// cut into fragments, and all that once more if it is sent again.
const MOST_TIMES_AGAIN: u64 = 8;

/// What is judged as one.
#[derive(Clone, Debug)]
pub(crate) struct Portion<'a> {
    pub(crate) kind: Kind,
    pub(crate) measure: Measure,
    pub(crate) limit: f64,
    pub(crate) rows: Vec<Row<'a>>,
    /// Bytes that copies are compared with.
    pub(crate) carried: u64,
    /// Bytes beyond these that may have come out of the same memory before the kernel passed them on:
    /// see [`passed_through`].
    pub(crate) passed: u64,
    /// Copies that were seen.
    pub(crate) copied: u64,
    /// Bytes that may have been copied.
    pub(crate) unexplained: u64,
}

impl Portion<'_> {
    /// What it weighs against `min_bytes`: copies with nothing moved weigh too, bytes that nothing
    /// carried do not.
    pub(crate) fn size(&self) -> u64 {
        self.carried.max(self.charge())
    }

    /// Copies, and bytes that may have been.
    pub(crate) fn charge(&self) -> u64 {
        self.copied.saturating_add(self.unexplained)
    }

    /// Bytes that are enough to say something about: what was carried, and extents that were shared
    /// because that was asked for.
    pub(crate) fn substance(&self) -> u64 {
        let shared = match (self.measure, self.kind) {
            (Measure::CopiesPerByte, Kind::Row) => cloned(&self.rows),
            _ => 0,
        };
        self.carried.saturating_add(shared)
    }

    /// Whether it is judged.
    pub(crate) fn is_weighty(&self, min_bytes: u64) -> bool {
        self.kind == Kind::Shared || self.size() >= min_bytes
    }

    /// Whether the copies that were seen are within the limit.
    pub(crate) fn copies_hold(&self) -> bool {
        within(self.copied, self.carried, self.limit)
    }

    /// Whether they would be if every byte that may have come out of the same memory did.
    pub(crate) fn copies_may_hold(&self) -> bool {
        within(
            self.copied,
            self.carried.saturating_add(self.passed),
            self.limit,
        )
    }

    /// Whether it holds even if every unexplained byte, and `more`, was copied.
    pub(crate) fn holds_with(&self, more: u64) -> bool {
        within(self.charge().saturating_add(more), self.carried, self.limit)
    }

    /// Bytes of these rows that can still be copied: at most the `pending` of their processes.
    pub(crate) fn pending(&self) -> u64 {
        let mut processes = BTreeMap::new();
        for row in &self.rows {
            let process = row.process;
            let (_, sent) = processes
                .entry((process.pid, process.start_time))
                .or_insert((process.pending, 0_u64));
            *sent = sent.saturating_add(row.path.can_be_pending());
        }
        processes.values().fold(0, |sum, &(pending, sent)| {
            sum.saturating_add(sent.min(pending))
        })
    }

    /// What [`sent_again`] says of its rows.
    pub(crate) fn sent_again(&self, all: u64) -> u64 {
        sent_again(self.rows.iter().map(|row| row.path), all)
    }

    /// Of the copies those that are a part of what was copied.
    pub(crate) fn seen_in_part(&self) -> u64 {
        let rows = self.rows.iter();
        rows.fold(0, |sum: u64, row| {
            sum.saturating_add(row.totals().seen_in_part)
        })
    }

    /// The processes whose rows these are.
    pub(crate) fn pids(&self) -> BTreeSet<u32> {
        self.rows.iter().map(|row| row.process.pid).collect()
    }

    pub(crate) fn is_inferred(&self) -> bool {
        self.rows.iter().any(Row::is_inferred)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a limit is a ratio; 2^53 bytes are exact"
)]
pub(crate) fn within(copies: u64, carried: u64, limit: f64) -> bool {
    copies as f64 <= limit * carried as f64
}

/// Bytes of shared extents.
fn cloned(rows: &[Row<'_>]) -> u64 {
    rows.iter()
        .fold(0, |sum, row| sum.saturating_add(row.totals().cloned))
}

/// Bytes of a row that something had to carry: not shared extents, made-up bytes or pages of
/// libraries that became visible.
pub(crate) fn carried(path: &Path) -> u64 {
    let Totals { moved, cloned, .. } = path.totals;
    moved
        .saturating_sub(cloned)
        .saturating_sub(not_carried(path))
}

/// Bytes of a row that were made up or dropped, and pages of libraries that became visible.
pub(crate) fn not_carried(path: &Path) -> u64 {
    let Totals {
        synthetic, mapped, ..
    } = path.totals;
    let visible = if path.op == Op::FaultMap { mapped } else { 0 };
    synthetic.saturating_add(visible)
}

/// Of bytes that ordinary sends of unknown processes had copied again on their way: those that may be of these paths.
pub(crate) fn sent_again<'a>(paths: impl Iterator<Item = &'a Path>, all: u64) -> u64 {
    let sent = paths
        .filter(|path| path.direction() == Some(Direction::Sent))
        .map(|path| {
            let Totals {
                copied_from_user,
                encrypted,
                ..
            } = path.totals;
            copied_from_user.saturating_add(encrypted)
        })
        .fold(0, u64::saturating_add);
    all.min(sent.saturating_mul(MOST_TIMES_AGAIN))
}

/// Copies of a row as the claim counts them.
pub(crate) fn copied(totals: &Totals, claim: &Claim) -> u64 {
    let encrypted = if claim.allow_encryption {
        0
    } else {
        totals.encrypted
    };
    totals.copies().saturating_add(encrypted)
}

/// Everything that is judged, for one limit of the claim.
pub(crate) fn portions<'a>(
    processes: &'a [Process],
    spills: &Spills,
    claim: &Claim,
    measure: Measure,
    limit: f64,
) -> Vec<Portion<'a>> {
    let make = |kind, rows: Vec<Row<'a>>| portion(kind, rows, claim, measure, limit);
    let rows_of = |process: &'a Process| {
        process
            .paths
            .iter()
            .filter(|path| claim.is_about(path.op.as_str()))
            .map(move |path| Row { process, path })
    };
    let direction = match measure {
        Measure::CopiesPerByte => {
            let rows: Vec<_> = processes.iter().flat_map(rows_of).collect();
            let mut portions = alone_or_together(rows.clone(), claim.min_bytes, &make);
            portions.extend(shared(rows, claim.min_bytes, &make));
            return portions;
        }
        Measure::CopiesPerSentByte => Direction::Sent,
        Measure::CopiesPerReceivedByte => Direction::Received,
    };
    let mut portions = Vec::new();
    let mut small = Vec::new();
    for process in processes {
        let rows: Vec<_> = rows_of(process).collect();
        let whole = make(Kind::Process, rows.clone());
        if whole.size() < claim.min_bytes {
            small.extend(rows);
            continue;
        }
        portions.extend(parts(&rows, spills, direction, claim.min_bytes, &make));
        portions.push(whole);
    }
    if !small.is_empty() {
        portions.extend(parts(&small, spills, direction, claim.min_bytes, &make));
        portions.push(make(Kind::SmallProcesses, small));
    }
    portions
}

/// Every row by itself, or with its like, or with the rest.
fn alone_or_together<'a>(
    rows: Vec<Row<'a>>,
    min_bytes: u64,
    make: &impl Fn(Kind, Vec<Row<'a>>) -> Portion<'a>,
) -> Vec<Portion<'a>> {
    let mut portions = Vec::new();
    let mut rest = Vec::new();
    for row in rows {
        let alone = make(Kind::Row, vec![row]);
        if alone.size() >= min_bytes {
            portions.push(alone);
        } else {
            rest.push(row);
        }
    }
    let mut alike: BTreeMap<(&str, &Object), Vec<Row<'_>>> = BTreeMap::new();
    for row in &rest {
        let key = (row.path.op.as_str(), &row.path.object);
        alike.entry(key).or_default().push(*row);
    }
    portions.extend(
        alike
            .into_values()
            .filter(|rows| rows.len() > 1)
            .map(|rows| make(Kind::Alike, rows))
            .filter(|alike| alike.size() >= min_bytes),
    );
    if !rest.is_empty() {
        portions.push(make(Kind::Rest, rest));
    }
    portions
}

/// The extents that rows have shared whose other bytes are too few to be judged alone. The few count
/// over all of the row: they would be within the limit if the extents had been carried.
fn shared<'a>(
    mut rows: Vec<Row<'a>>,
    min_bytes: u64,
    make: &impl Fn(Kind, Vec<Row<'a>>) -> Portion<'a>,
) -> Vec<Portion<'a>> {
    rows.retain(|row| row.totals().cloned > 0 && make(Kind::Row, vec![*row]).size() < min_bytes);
    let (alone, together): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| row.totals().cloned >= min_bytes);
    let mut groups: Vec<_> = alone.into_iter().map(|row| vec![row]).collect();
    if cloned(&together) >= min_bytes {
        groups.push(together);
    }
    groups
        .into_iter()
        .map(|rows| {
            let extents = cloned(&rows);
            let shared = make(Kind::Shared, rows);
            Portion {
                carried: shared.carried.saturating_add(extents),
                ..shared
            }
        })
        .collect()
}

/// The ways by which a process can have sent, or received. Bytes that go through its memory are
/// copied by calls that send nothing, so those count with them, and bytes that went another way
/// do not make up for it.
fn parts<'a>(
    rows: &[Row<'a>],
    spills: &Spills,
    direction: Direction,
    min_bytes: u64,
    make: &impl Fn(Kind, Vec<Row<'a>>) -> Portion<'a>,
) -> Vec<Portion<'a>> {
    let crossing = rows
        .iter()
        .filter(|row| row.path.direction() == Some(direction))
        .copied()
        .collect();
    let mut portions = alone_or_together(crossing, min_bytes, make);
    let (in_kernel, through_user): (Vec<_>, Vec<_>) = rows
        .iter()
        .partition(|row| row.path.object.joined().is_some());
    if !in_kernel.is_empty() {
        portions.push(make(Kind::InKernel, in_kernel));
    }
    if !through_user.is_empty() {
        let passed = passed_through(rows, spills, direction);
        let through_user = make(Kind::ThroughUser, through_user);
        let carried = through_user.carried.saturating_add(passed.surely);
        // Where nothing was sent from memory, what a program reads for itself, such as its own parts when it starts, is
        // judged with the whole process.
        if carried.saturating_add(passed.maybe) > 0 || portions.is_empty() {
            portions.push(Portion {
                carried,
                passed: passed.maybe,
                ..through_user
            });
        }
    }
    portions
}

/// Bytes that processes copied into an object from which the kernel then sent them, as a proxy does
/// that spills into a temporary file; or out of one into which it received them.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    /// Those of files that nobody else can have written to.
    surely: u64,
    /// Most of the others. An object of the ledger is a kind, such as all files of ext4, so nobody can
    /// tell whether the bytes were the same: this many may, and no more.
    maybe: u64,
}

fn passed_through(rows: &[Row<'_>], spills: &Spills, direction: Direction) -> Passed {
    let mut processes: BTreeMap<(u32, u64), Vec<&Path>> = BTreeMap::new();
    for row in rows {
        let key = (row.process.pid, row.process.start_time);
        processes.entry(key).or_default().push(row.path);
    }
    let mut passed = Passed::default();
    for (process, paths) in processes {
        let most = passed_by_one(&paths, direction);
        let unnamed: Vec<_> = spills.of(process).iter().collect();
        let surely = passed_by_one(&unnamed, direction).min(most);
        passed.surely = passed.surely.saturating_add(surely);
        passed.maybe = passed.maybe.saturating_add(most - surely);
    }
    passed
}

fn passed_by_one(paths: &[&Path], direction: Direction) -> u64 {
    // What is in memory comes first, what crosses the network last, or the other way round.
    let hop = |path: &Path| -> Option<(Object, Object)> {
        let (source, sink) = path.object.joined()?;
        let (near, far) = match direction {
            Direction::Sent => (source, sink),
            Direction::Received => (sink, source),
        };
        Some((near.into(), far.into()))
    };
    let mut copied: BTreeMap<Object, u64> = BTreeMap::new();
    let mut between: Vec<(Object, Object, u64)> = Vec::new();
    let mut crossing: BTreeMap<Object, u64> = BTreeMap::new();
    for path in paths {
        let crosses = path.direction() == Some(direction);
        match hop(path) {
            Some((near, _)) if crosses => {
                let sum = crossing.entry(near).or_default();
                *sum = sum.saturating_add(carried(path));
            }
            Some((near, far)) => between.push((near, far, carried(path))),
            None if path.goes_out() == Some(direction == Direction::Sent) => {
                let sum = copied.entry(path.object.clone()).or_default();
                *sum = sum.saturating_add(carried(path));
            }
            None => {}
        }
    }
    // On the way from a file to a socket there can be a pipe.
    let on_the_way: Vec<_> = between
        .iter()
        .filter(|(near, far, _)| near != far)
        .map(|(near, far, bytes)| {
            let there = copied.get(near).copied().unwrap_or_default();
            (far.clone(), there.min(*bytes))
        })
        .collect();
    for (object, bytes) in on_the_way {
        let sum = copied.entry(object).or_default();
        *sum = sum.saturating_add(bytes);
    }
    crossing
        .iter()
        .map(|(object, bytes)| copied.get(object).copied().unwrap_or_default().min(*bytes))
        .fold(0, u64::saturating_add)
}

fn portion<'a>(
    kind: Kind,
    rows: Vec<Row<'a>>,
    claim: &Claim,
    measure: Measure,
    limit: f64,
) -> Portion<'a> {
    let counts = |path: &Path| match measure {
        Measure::CopiesPerByte => true,
        Measure::CopiesPerSentByte => path.direction() == Some(Direction::Sent),
        Measure::CopiesPerReceivedByte => path.direction() == Some(Direction::Received),
    };
    let (mut over, mut copies, mut unexplained) = (0_u64, 0_u64, 0_u64);
    for row in &rows {
        let path = row.path;
        let notified = row.notified().bytes;
        if counts(path) {
            over = over.saturating_add(carried(path));
        }
        copies = copies.saturating_add(copied(&path.totals, claim));
        if row.is_inferred() {
            copies = copies.saturating_add(notified);
            unexplained =
                unexplained.saturating_add(path.totals.unexplained.saturating_sub(notified));
        } else {
            // No site has seen these copies: something is wrong.
            unexplained = unexplained
                .saturating_add(path.totals.unexplained)
                .saturating_add(notified);
        }
    }
    Portion {
        kind,
        measure,
        limit,
        rows,
        carried: over,
        passed: 0,
        copied: copies,
        unexplained,
    }
}
