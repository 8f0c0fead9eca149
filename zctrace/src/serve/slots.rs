//! Which data paths have series of their own, where there is no room for all.
//!
//! - Slots go to those that move most now. The weight of a series is what it moved and did, halved at every reading, so a
//!   path that has ended soon weighs nothing.
//! - Each owner, a cgroup near the root, has a fair share. Whoever has more than his share gives the slot, so no number
//!   of processes of one user hides the traffic of another.
//! - A series that loses its slot ends: its numbers are in no other series, and a new one of its name begins at 0. So the
//!   sum of the series is not the whole, which is counted beside them. The series `other` has only what never had a slot.
//!
//! The same readings always make the same series.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use super::key::{Key, Labels, OTHER};
use crate::ledger::Totals;

/// How long a series without traffic stays where nobody else needs its slot.
const IDLE: Duration = Duration::from_secs(3600);

/// What a data path did in an interval.
pub(super) struct News {
    owner: String,
    totals: Totals,
}

impl News {
    pub(super) fn of(owner: String) -> Self {
        Self {
            owner,
            totals: Totals::default(),
        }
    }

    pub(super) fn add(&mut self, totals: &Totals) {
        self.totals.add(totals);
    }

    /// Operations count too: a path that only fails is one.
    fn weight(&self) -> u64 {
        let Totals {
            ops, errors, moved, ..
        } = self.totals;
        moved.saturating_add(ops).saturating_add(errors).max(1)
    }
}

/// Whose share a cgroup is of: the user, the service, the pod or the container. An unprivileged user can only make
/// cgroups below that.
pub(super) fn owner(cgroup: &str) -> String {
    let names: Vec<_> = cgroup.split('/').filter(|name| !name.is_empty()).collect();
    let depth = match names.first() {
        // kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod….slice/…
        Some(first) if first.starts_with("kubepods") => 3,
        _ => 2,
    };
    names[..names.len().min(depth)].join("/")
}

/// A series.
#[derive(Debug)]
struct Slot {
    owner: String,
    totals: Totals,
    weight: u64,
    begun: SystemTime,
    moved_at: Instant,
}

/// The series of data paths, at most so many.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    /// Keys name containers.
    containers: bool,
    slots: BTreeMap<Key, Slot>,
    other: Option<Totals>,
    /// Data paths of an interval that went to the series `other`.
    pub(super) folded: u64,
    /// Series that have ended.
    pub(super) ended: u64,
}

impl Slots {
    pub(super) fn new(most: usize, containers: bool) -> Self {
        Self {
            most,
            containers,
            slots: BTreeMap::new(),
            other: None,
            folded: 0,
            ended: 0,
        }
    }

    /// Adds what happened in an interval.
    pub(super) fn add(&mut self, news: BTreeMap<Key, News>) {
        let now = Instant::now();
        for slot in self.slots.values_mut() {
            slot.weight /= 2;
        }
        let before = self.slots.len();
        self.slots
            .retain(|_, slot| now.duration_since(slot.moved_at) < IDLE);
        self.ended += (before - self.slots.len()) as u64;
        let mut newcomers = Vec::new();
        for (key, news) in news {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.weight = slot.weight.saturating_add(news.weight());
                slot.totals.add(&news.totals);
                slot.moved_at = now;
            } else {
                newcomers.push((key, news));
            }
        }
        // The heaviest first: what comes later has to be heavier than one that has a slot, so none is given twice.
        newcomers.sort_by_key(|(_, news)| Reverse(news.weight()));
        let mut shares = self.shares();
        for (key, news) in newcomers {
            if self.slots.len() >= self.most && !self.make_room(&news, &mut shares) {
                self.folded += 1;
                self.other
                    .get_or_insert_with(Totals::default)
                    .add(&news.totals);
                continue;
            }
            *shares.entry(news.owner.clone()).or_default() += 1;
            let slot = Slot {
                weight: news.weight(),
                owner: news.owner,
                totals: news.totals,
                begun: SystemTime::now(),
                moved_at: now,
            };
            self.slots.insert(key, slot);
        }
    }

    /// How many series each owner has.
    fn shares(&self) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for slot in self.slots.values() {
            *shares.entry(slot.owner.clone()).or_default() += 1;
        }
        shares
    }

    /// Ends a series for another, unless that has less right to a slot than any.
    fn make_room(&mut self, news: &News, shares: &mut BTreeMap<String, usize>) -> bool {
        let mine = shares.get(&news.owner).copied().unwrap_or(0);
        let most = shares.iter().max_by_key(|(_, count)| **count);
        // One more than the newcomer's owner would have: otherwise two owners would take it from each other for ever.
        let giver = match most {
            Some((owner, &count)) if count > mine + 1 => owner.clone(),
            _ => news.owner.clone(),
        };
        let lightest = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.owner == giver)
            .min_by_key(|(_, slot)| slot.weight)
            .map(|(key, slot)| (key.clone(), slot.weight));
        let Some((key, weight)) = lightest else {
            return false;
        };
        if giver == news.owner && weight >= news.weight() {
            return false;
        }
        self.slots.remove(&key);
        self.ended += 1;
        if let Some(count) = shares.get_mut(&giver) {
            *count -= 1;
        }
        true
    }

    /// Every series, and when it began; `None` for the series `other`, which never ends.
    pub(super) fn rows(&self) -> impl Iterator<Item = (Key, &Totals, Option<SystemTime>)> {
        let other = self.other.iter().map(|totals| {
            let other = || OTHER.to_owned();
            let key = Key {
                comm: other(),
                op: other(),
                object: other(),
                evidence: other(),
                container: self.containers.then(Labels::other),
            };
            (key, totals, None)
        });
        self.slots
            .iter()
            .map(|(key, slot)| (key.clone(), &slot.totals, Some(slot.begun)))
            .chain(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(comm: &str, cgroup: &str, moved: u64) -> (Key, News) {
        let key = Key {
            comm: comm.into(),
            op: "read".into(),
            object: "file".into(),
            evidence: "measured".into(),
            container: None,
        };
        let mut news = News::of(owner(cgroup));
        news.add(&Totals {
            ops: 1,
            moved,
            ..Totals::default()
        });
        (key, news)
    }

    fn moved(slots: &Slots, comm: &str) -> Option<u64> {
        let mut rows = slots.rows();
        rows.find(|(key, ..)| key.comm == comm)
            .map(|(_, totals, _)| totals.moved)
    }

    const USER: &str = "/user.slice/user-1000.slice/session-1.scope";
    const NGINX: &str = "/system.slice/nginx.service";

    /// 1500 short processes in 30 intervals, each of another name.
    fn crowd(slots: &mut Slots, cgroup: impl Fn(u32) -> String, moved: u64) {
        for interval in 0..30 {
            let numbers = interval * 50..(interval + 1) * 50;
            let news = numbers.map(|number| news(&format!("x{number}"), &cgroup(number), moved));
            slots.add(news.collect());
        }
    }

    #[test]
    fn nobody_hides_another_owners_traffic() {
        let mut slots = Slots::new(500, false);
        crowd(&mut slots, |_| USER.into(), 1 << 30);
        for interval in 1..=3 {
            slots.add([news("nginx", NGINX, 10)].into());
            assert_eq!(moved(&slots, "nginx"), Some(10 * interval));
        }
        // They go on, with far more bytes.
        crowd(&mut slots, |_| USER.into(), 1 << 40);
        assert_eq!(moved(&slots, "nginx"), Some(30));
    }

    #[test]
    fn cgroups_below_ones_own_are_no_further_shares() {
        let mut slots = Slots::new(500, false);
        let own = |number| format!("/user.slice/user-1000.slice/user@1000.service/x{number}");
        crowd(&mut slots, own, 1 << 30);
        slots.add([news("nginx", NGINX, 10)].into());
        assert_eq!(moved(&slots, "nginx"), Some(10));
        assert_eq!(
            owner("/kubepods.slice/a.slice/pod1.slice/c1"),
            owner("/kubepods.slice/a.slice/pod1.slice/c2")
        );
        assert_ne!(
            owner("/kubepods.slice/a.slice/pod1.slice/c1"),
            owner("/kubepods.slice/a.slice/pod2.slice/c1")
        );
        assert_eq!(owner("/"), owner(""));
    }

    #[test]
    fn within_a_share_slots_go_to_those_that_move_most() {
        let mut slots = Slots::new(500, false);
        crowd(&mut slots, |_| "/".into(), 4096);
        slots.add([news("nginx", "/", 1 << 20), news("tiny", "/", 1)].into());
        assert_eq!(moved(&slots, "nginx"), Some(1 << 20));
        assert_eq!(moved(&slots, "tiny"), None, "others moved more just now");
        // They have ended, so even little is more.
        for _ in 0..5 {
            slots.add(BTreeMap::new());
        }
        slots.add([news("tiny", "/", 1)].into());
        assert_eq!(moved(&slots, "tiny"), Some(1));
        assert_eq!(moved(&slots, "x0"), None);
    }

    #[test]
    fn a_series_that_ends_is_in_no_other() {
        let mut slots = Slots::new(2, false);
        slots.add([news("a", "/", 100), news("b", "/", 200), news("c", "/", 3)].into());
        assert_eq!((slots.folded, slots.ended), (1, 0));
        assert_eq!(moved(&slots, OTHER), Some(3), "it never had a slot");
        slots.add([news("d", "/", 5000)].into());
        assert_eq!((slots.folded, slots.ended), (1, 1));
        assert_eq!(moved(&slots, "a"), None);
        assert_eq!(moved(&slots, OTHER), Some(3));
        // It comes again, and begins at 0.
        slots.add([news("a", "/", 9000)].into());
        assert_eq!(moved(&slots, "a"), Some(9000));
        assert_eq!(moved(&slots, "b"), None);
        assert_eq!(slots.rows().count(), 3, "two, and the others");
    }

    #[test]
    fn two_owners_do_not_take_a_slot_from_each_other() {
        let mut slots = Slots::new(3, false);
        slots.add(
            [
                news("a", "/a/a", 1),
                news("b", "/a/a", 1),
                news("c", "/b/b", 1),
            ]
            .into(),
        );
        for interval in 0..10 {
            slots.add([news("a", "/a/a", 1), news("b", "/a/a", 1)].into());
            slots.add(
                [
                    news("c", "/b/b", 1),
                    news(&format!("d{interval}"), "/b/b", 1),
                ]
                .into(),
            );
        }
        assert_eq!(moved(&slots, "a"), Some(11));
        assert_eq!(moved(&slots, "b"), Some(11));
    }
}
