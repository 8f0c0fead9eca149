//! The catalog against breakpoints: what the kernel's copy routines were called for, compared with
//! what the ledger says was copied.
//!
//! The comparison is by routine and direction. Breakpoints know the routine and the system call, the
//! ledger knows the operation and its object; [`routines`] and [`calls`] say which belong together.

mod calls;
mod routines;
pub mod syscalls;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zctrace_common::{AuditCount, Evidence};

use super::{Object, Path, Snapshot, Totals};
pub use routines::{CHOICE, ROUTINES, Routine, routine};
use {calls::Caller, routines::Carriers};

/// The `schema` of a [`Document`].
pub const SCHEMA: &str = "zctrace.audit/1";

/// Which way bytes crossed the border of user memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the kernel to user memory.
    ToUser,
    /// From user memory to the kernel.
    FromUser,
    /// Between pages of the kernel: the routine was called with an iterator over its own memory.
    InKernel,
}

/// What a breakpoint counted, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hit {
    /// Name of the routine.
    pub routine: &'static str,
    /// The other end was kernel memory.
    pub kernel_memory: bool,
    /// As in [`zctrace_common::AuditKey::nr`].
    pub nr: i32,
}

/// What all breakpoints counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By routine and caller.
    pub hits: BTreeMap<Hit, AuditCount>,
    /// Hits of any process that were not counted, because the kernel ran no program for them; `None` where the kernel does
    /// not tell.
    pub missed: Option<u64>,
}

impl Counts {
    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let count = |(hit, now): (&Hit, &AuditCount)| {
            let before = earlier.hits.get(hit).copied().unwrap_or_default();
            let count = AuditCount {
                hits: now.hits.saturating_sub(before.hits),
                bytes: now.bytes.saturating_sub(before.bytes),
            };
            (count.hits != 0).then_some((*hit, count))
        };
        let before = earlier.missed.unwrap_or(0);
        Self {
            hits: self.hits.iter().filter_map(count).collect(),
            missed: self.missed.map(|now| now.saturating_sub(before)),
        }
    }
}

/// Which breakpoints there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setup {
    /// The routines that have one.
    pub routines: Vec<&'static Routine>,
    /// Those that were wanted and have none.
    pub left_out: Vec<LeftOut>,
    /// Why there are none at all.
    pub refused: Option<Refusal>,
}

/// A routine without a breakpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub routine: String,
    /// Why.
    pub reason: String,
}

/// Why nothing could be audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The cause.
    pub reason: String,
    /// What helps.
    pub remedy: String,
}

/// The whole document: the ledger and what it was compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The ledger.
    pub stat: Snapshot,
    /// The comparison by routine and direction.
    pub routines: Vec<Comparison>,
    /// Routines that were wanted and could not be watched.
    pub left_out: Vec<LeftOut>,
    /// Why nothing could be audited.
    pub refused: Option<Refusal>,
    /// Hits that the breakpoints did not count, of any process: the figures of the breakpoints are too low by these.
    /// `None` where the kernel does not tell.
    #[serde(default)]
    pub missed_hits: Option<u64>,
}

/// One routine in one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Its name.
    pub routine: String,
    /// The direction.
    pub direction: Direction,
    /// Calls.
    pub hits: u64,
    /// Bytes that it was called for.
    pub breakpoint_bytes: u64,
    /// Those of them for callers that are not operations of the ledger: `execve`, `getrandom` …
    pub other_bytes: u64,
    /// Bytes that the ledger says it copied; `None` where the ledger has no such copies.
    pub catalog_bytes: Option<u64>,
    /// The first less the second.
    pub difference: Option<i64>,
    /// The difference over `breakpoint_bytes`.
    pub difference_share: Option<f64>,
    /// What the difference is made of; their bytes add up to it. Where `catalog_bytes` is `None`,
    /// what `breakpoint_bytes` is made of.
    pub items: Vec<Item>,
}

/// A part of a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub what: String,
    /// Negative where the ledger has more.
    pub bytes: i64,
    /// Calls; `None` where a part of the calls' bytes is meant.
    pub hits: Option<u64>,
}

impl Comparison {
    /// What breakpoint and ledger differ by where both count: the difference without other callers.
    #[must_use]
    pub fn disagreement(&self) -> Option<i64> {
        self.difference
            .map(|difference| difference.saturating_sub(signed(self.other_bytes)))
    }
}

impl Document {
    /// Holds a ledger against the breakpoints of the same run.
    #[must_use]
    pub fn new(stat: Snapshot, counts: &Counts, setup: &Setup) -> Self {
        Self {
            schema: SCHEMA.into(),
            routines: compare(&stat, counts, &setup.routines),
            left_out: setup.left_out.clone(),
            refused: setup.refused.clone(),
            missed_hits: counts.missed,
            stat,
        }
    }
}

/// What is compared: copies of one kind of caller in one direction.
type Group = (Caller, Direction);

/// What the ledger says of a group.
#[derive(Default)]
struct Ledger {
    /// Copies, by the routines that can have made them.
    copies: BTreeMap<Carriers, u64>,
    /// Copies that were concluded, not measured.
    inferred: u64,
    /// Moved bytes without an explanation.
    unexplained: u64,
}

fn compare(stat: &Snapshot, counts: &Counts, routines: &[&'static Routine]) -> Vec<Comparison> {
    let mut ledger: BTreeMap<Group, Ledger> = BTreeMap::new();
    for path in stat.processes.iter().flat_map(|process| &process.paths) {
        enter_path(&mut ledger, path);
    }
    for work in &stat.unattributed {
        enter_copies(&mut ledger, Caller::KernelThread, &work.totals, None, true);
    }
    let mut rows: BTreeMap<(usize, Direction), Row> = BTreeMap::new();
    for (hit, count) in &counts.hits {
        let Some(index) = routines.iter().position(|r| r.name == hit.routine) else {
            continue;
        };
        let direction = match hit.kernel_memory {
            true => Direction::InKernel,
            false => routines[index].direction,
        };
        rows.entry((index, direction)).or_default().hit(hit, *count);
    }
    for (index, routine) in routines.iter().enumerate() {
        rows.entry((index, routine.direction)).or_default();
    }
    for (&group, entry) in &mut ledger {
        distribute(&mut rows, routines, group, entry);
    }
    rows.into_iter()
        .map(|((index, direction), row)| row.finish(routines[index], direction, &mut ledger))
        .collect()
}

/// One comparison in the making.
#[derive(Default)]
struct Row {
    /// What the breakpoint counted for callers whose operations are in the ledger.
    seen: BTreeMap<Caller, AuditCount>,
    /// What the ledger has of them.
    catalog: BTreeMap<Caller, u64>,
    /// What it counted for others, by what they are.
    others: BTreeMap<String, AuditCount>,
    /// Names of the calls behind [`Caller::Other`].
    calls: BTreeSet<String>,
}

impl Row {
    fn hit(&mut self, hit: &Hit, count: AuditCount) {
        let into = match Caller::of(hit.nr) {
            Ok(caller) => {
                if caller == Caller::Other {
                    self.calls.insert(syscalls::name(hit.nr).into_owned());
                }
                self.seen.entry(caller).or_default()
            }
            Err(name) => self.others.entry(name).or_default(),
        };
        into.hits += count.hits;
        into.bytes += count.bytes;
    }

    /// What the ledger has not accounted for yet.
    fn room(&self, caller: Caller) -> u64 {
        let seen = self.seen.get(&caller).map_or(0, |count| count.bytes);
        let catalog = self.catalog.get(&caller).copied().unwrap_or(0);
        seen.saturating_sub(catalog)
    }

    fn finish(
        mut self,
        routine: &Routine,
        direction: Direction,
        ledger: &mut BTreeMap<Group, Ledger>,
    ) -> Comparison {
        let all = || self.seen.values().chain(self.others.values());
        let hits = all().map(|count| count.hits).sum();
        let breakpoint_bytes: u64 = all().map(|count| count.bytes).sum();
        let catalog_bytes: u64 = self.catalog.values().sum();
        let other_bytes = self.others.values().map(|count| count.bytes).sum();
        let mut items = Vec::new();
        if routine.iterator.is_none() {
            for (caller, count) in std::mem::take(&mut self.seen) {
                self.others.insert(caller.name().into(), count);
            }
        }
        for (what, count) in &self.others {
            items.push(Item {
                what: what.clone(),
                bytes: signed(count.bytes),
                hits: Some(count.hits),
            });
        }
        let callers: Vec<_> = self.seen.keys().chain(self.catalog.keys()).collect();
        let mut callers: Vec<_> = callers.into_iter().copied().collect();
        callers.sort_unstable();
        callers.dedup();
        for caller in callers {
            let seen = self.seen.get(&caller).map_or(0, |count| count.bytes);
            let catalog = self.catalog.get(&caller).copied().unwrap_or(0);
            let entry = ledger.entry((caller, direction)).or_default();
            let name = match caller {
                Caller::Other if !self.calls.is_empty() => {
                    let calls: Vec<_> = self.calls.iter().map(String::as_str).collect();
                    format!("{} ({})", caller.name(), calls.join(", "))
                }
                _ => caller.name().to_owned(),
            };
            explain(caller, &name, seen, catalog, entry, &mut items);
        }
        items.sort_by_key(|item| std::cmp::Reverse(item.bytes.unsigned_abs()));
        let compared = routine.iterator.is_some();
        let difference = signed(breakpoint_bytes).saturating_sub(signed(catalog_bytes));
        Comparison {
            routine: routine.name.into(),
            direction,
            hits,
            breakpoint_bytes,
            other_bytes,
            catalog_bytes: compared.then_some(catalog_bytes),
            difference: compared.then_some(difference),
            difference_share: share(difference, breakpoint_bytes).filter(|_| compared),
            items,
        }
    }
}

/// Says why a breakpoint and the ledger differ over one kind of caller.
fn explain(
    caller: Caller,
    name: &str,
    seen: u64,
    catalog: u64,
    entry: &mut Ledger,
    items: &mut Vec<Item>,
) {
    let mut item = |what: String, bytes: i64| {
        if bytes != 0 {
            items.push(Item {
                what,
                bytes,
                hits: None,
            });
        }
    };
    if catalog > seen {
        item(
            format!(
                "{name}: in the ledger only; copied by a routine without a breakpoint, or not at all"
            ),
            -signed(catalog - seen),
        );
        return;
    }
    let mut rest = seen - catalog;
    let mut take = |from: &mut u64| {
        let taken = rest.min(*from);
        *from -= taken;
        rest -= taken;
        signed(taken)
    };
    let inferred = take(&mut entry.inferred);
    item(
        format!("{name}: inferred by the ledger, not measured"),
        inferred,
    );
    let unexplained = take(&mut entry.unexplained);
    item(format!("{name}: unexplained in the ledger"), unexplained);
    if caller == Caller::Other {
        item(format!("{name}: no site saw them copy"), signed(rest));
        return;
    }
    item(
        format!("{name}: copied again after a page fault, or for calls that failed or did not end"),
        signed(rest),
    );
}

/// Puts one row of the ledger into the groups.
fn enter_path(ledger: &mut BTreeMap<Group, Ledger>, path: &Path) {
    let Some(caller) = path.op.known().and_then(Caller::of_op) else {
        return;
    };
    enter_copies(
        ledger,
        caller,
        &path.totals,
        Some(&path.object),
        path.evidence == Evidence::Measured,
    );
}

fn enter_copies(
    ledger: &mut BTreeMap<Group, Ledger>,
    caller: Caller,
    totals: &Totals,
    object: Option<&Object>,
    is_measured: bool,
) {
    let home = caller.direction();
    for direction in [Direction::ToUser, Direction::FromUser, Direction::InKernel] {
        let copies = match direction {
            Direction::ToUser => totals.copied_to_user,
            Direction::FromUser => totals.copied_from_user,
            Direction::InKernel => totals.copied_in_kernel.saturating_add(totals.recopied),
        };
        let at_home = direction == home;
        let copies = copies.saturating_add(if at_home { totals.wasted } else { 0 });
        let unexplained = if at_home { totals.unexplained } else { 0 };
        if copies == 0 && unexplained == 0 {
            continue;
        }
        let entry = ledger.entry((caller, direction)).or_default();
        entry.unexplained += unexplained;
        if is_measured {
            let carriers = Carriers::of(direction, object);
            *entry.copies.entry(carriers).or_default() += copies;
        } else {
            entry.inferred += copies;
        }
    }
}

/// Puts a group's copies to the routines that can have made them: where there are several, to each
/// as much as its breakpoint saw, and what is left to the usual one. If that has no breakpoint, the
/// rest is not compared with anything.
fn distribute(
    rows: &mut BTreeMap<(usize, Direction), Row>,
    routines: &[&'static Routine],
    (caller, direction): Group,
    entry: &Ledger,
) {
    for (carriers, &bytes) in &entry.copies {
        let mut rest = bytes;
        let able: Vec<usize> = (0..routines.len())
            .filter(|&index| carriers.include(routines[index].name))
            .collect();
        for &index in &able {
            let row = rows.entry((index, direction)).or_default();
            let taken = row.room(caller).min(rest);
            *row.catalog.entry(caller).or_default() += taken;
            rest -= taken;
        }
        let usual = able
            .iter()
            .find(|&&index| carriers.usually(routines[index].name));
        if let Some(&usual) = usual
            && rest != 0
        {
            let row = rows.entry((usual, direction)).or_default();
            *row.catalog.entry(caller).or_default() += rest;
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a ratio for people; 2^53 bytes are exact"
)]
fn share(part: i64, whole: u64) -> Option<f64> {
    (whole != 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests;
