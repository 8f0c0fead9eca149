//! Names of containers, as they stand behind [`WireNotFollowed`](super::not_followed::WireNotFollowed)
//! in the frame of an interval: earlier readers take no notice of them. The ids are in the paths of the
//! cgroups, so earlier recordings have them too.
//!
//! A container has its names once, for every interval from then on, and an interval without new ones
//! takes no more room than before.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::limits::{Budget, items};
use crate::ledger::{Container, Snapshot};

/// Those that an interval is the first to have: the numbers of a cgroup's path, and of the name that
/// [`joined`] makes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct WireContainers(#[serde(deserialize_with = "items")] Vec<(u32, u32)>);

impl WireContainers {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of the interval that `snapshot` is; `number` gives names their numbers, and `written` are those
    /// that earlier intervals had.
    pub(super) fn new(
        snapshot: &Snapshot,
        written: &mut HashMap<u32, u32>,
        mut number: impl FnMut(String) -> u32,
    ) -> Self {
        let mut new = Vec::new();
        for process in &snapshot.processes {
            let Some(container) = &process.container else {
                continue;
            };
            let is_told = Container::of_cgroup(&process.cgroup).as_ref() == Some(container);
            let cgroup = number(process.cgroup.clone());
            if is_told && !written.contains_key(&cgroup) {
                continue;
            }
            let names = number(joined(container));
            if written.insert(cgroup, names) != Some(names) {
                new.push((cgroup, names));
            }
        }
        Self(new)
    }
}

/// Names of containers by the paths of their cgroups, as a reader knows them.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(HashMap<Arc<str>, Arc<str>>);

impl Known {
    /// Takes those that are new; `None` where they make no sense or take too much.
    pub(super) fn add<'a>(
        &mut self,
        new: WireContainers,
        name: impl Fn(u32) -> Option<&'a Arc<str>>,
        budget: &mut Budget,
    ) -> Option<()> {
        for (cgroup, names) in new.0 {
            let (cgroup, names) = (name(cgroup)?, name(names)?);
            Container::of_cgroup(cgroup)?;
            split(names)?;
            match self.0.entry(cgroup.clone()) {
                Entry::Occupied(mut known) => {
                    known.insert(names.clone());
                }
                Entry::Vacant(vacant) => {
                    budget.take(4 * size_of::<Arc<str>>())?;
                    vacant.insert(names.clone());
                }
            }
        }
        Some(())
    }

    /// Puts them into the document of an interval; `None` where that takes too much.
    pub(super) fn name(&self, snapshot: &mut Snapshot, budget: &mut Budget) -> Option<()> {
        if self.0.is_empty() {
            return Some(());
        }
        for process in &mut snapshot.processes {
            if let Some(container) = &mut process.container
                && let Some(names) = self.0.get(process.cgroup.as_str())
            {
                budget.take(names.len())?;
                let names = split(names)?;
                let names = names.map(|name| (!name.is_empty()).then(|| name.to_owned()));
                let [runtime, name, pod, pod_id, namespace] = names;
                *container = Container {
                    id: std::mem::take(&mut container.id),
                    runtime,
                    name,
                    pod,
                    pod_id,
                    namespace,
                };
            }
        }
        Some(())
    }
}

/// Stands between names, and in none.
const SEPARATOR: char = '\0';

/// What is known of a container beside its id, as one name.
fn joined(container: &Container) -> String {
    let Container {
        id: _,
        runtime,
        name,
        pod,
        pod_id,
        namespace,
    } = container;
    let names = [runtime, name, pod, pod_id, namespace];
    let names = names.map(|name| name.as_deref().unwrap_or_default().replace(SEPARATOR, ""));
    names.join(&SEPARATOR.to_string())
}

fn split(names: &str) -> Option<[&str; 5]> {
    let names: Vec<_> = names.split(SEPARATOR).collect();
    names.try_into().ok()
}
