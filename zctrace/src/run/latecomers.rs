//! Who belongs to the target and is not traced.

use std::{
    collections::BTreeSet,
    mem,
    time::{Duration, Instant},
};

use super::{error::Error, meter::Meter, owners};
use crate::target::{Resolved, Unseen, View, view::PF_EXITING};

/// How often to look during the measurement, at most.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A look reads the descriptors of every process. It takes at most this part of the time.
const PART: u32 = 50;
/// How many are remembered.
const MAX_NAMES: usize = 1 << 10;

/// Processes of which threads belong to the target and are not traced: another process may hold its port, or have got
/// its name when it had several threads.
pub(super) struct Latecomers {
    names: BTreeSet<String>,
    /// What may belong to the target, as it was at the start.
    at_start: Unseen,
    /// When to look next, from the start.
    due: Option<Duration>,
    /// Children are the target too, so what is not traced has come from elsewhere.
    follow: bool,
}

impl Latecomers {
    /// `often` is whether to look during the measurement too, where processes can come and go again.
    pub(super) fn of(resolved: &Resolved, follow: bool, often: bool) -> Self {
        Self {
            names: BTreeSet::new(),
            at_start: resolved.unseen.clone(),
            due: (follow && often && resolved.changes_hands()).then_some(LOOK_EVERY),
            follow,
        }
    }

    /// When to look, from the start of the measurement.
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// Looks, and says when to do so again.
    pub(super) fn look_again(
        &mut self,
        view: &View,
        resolved: &mut Resolved,
        meter: &mut impl Meter,
        started: Instant,
    ) -> Result<(), Error> {
        let begin = Instant::now();
        self.look(view, resolved, meter)?;
        let pause = LOOK_EVERY.max(begin.elapsed() * PART);
        self.due = Some(started.elapsed() + pause);
        Ok(())
    }

    /// Looks who is here now.
    pub(super) fn look(
        &mut self,
        view: &View,
        resolved: &mut Resolved,
        meter: &mut impl Meter,
    ) -> Result<(), Error> {
        if !self.follow || !view.knows_machine_ids() {
            return Ok(());
        }
        let mut untraced = resolved.members(view);
        if !untraced.is_empty() {
            let traced = meter.live_threads()?;
            untraced.retain(|tid| !traced.contains(tid));
        }
        if !untraced.is_empty() {
            // What has just ended is no member any more.
            let still = resolved.members(view);
            untraced.retain(|tid| still.contains(tid) && !is_ending(view, *tid));
        }
        let names = owners::names(view, &untraced);
        let room = MAX_NAMES.saturating_sub(self.names.len());
        self.names.extend(names.into_iter().take(room));
        Ok(())
    }

    /// The processes that were found, as `name (id)`; what may belong to the target and could not be seen; and what of
    /// that is new since the start.
    pub(super) fn end(&mut self, resolved: &Resolved) -> (Vec<String>, Unseen, Unseen) {
        let unseen = resolved.unseen.clone();
        let since = unseen.beyond(&self.at_start);
        let names = mem::take(&mut self.names);
        (names.into_iter().collect(), unseen, since)
    }
}

/// Whether a thread has begun to end. It is not traced any more then, and may take a while to give back its memory.
fn is_ending(view: &View, tid: u32) -> bool {
    let stat = view.process(tid).and_then(|thread| thread.stat());
    stat.is_ok_and(|stat| stat.flags & PF_EXITING != 0)
}
