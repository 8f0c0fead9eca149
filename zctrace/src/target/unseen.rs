//! Which processes may belong to a target without being seen.

use std::collections::BTreeSet;

/// How many of a kind are remembered: without privileges, others come and go for as long as zctrace runs.
const MOST: usize = 1 << 12;

/// What may belong to the target and cannot be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Processes whose descriptors cannot be seen, or not all of them, as ids of the view.
    pub hidden: BTreeSet<u32>,
    /// Inodes of sockets of the target that no process seems to hold.
    pub unheld: BTreeSet<u64>,
}

impl Unseen {
    /// Everything was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hidden.is_empty() && self.unheld.is_empty()
    }

    /// Adds what another look left unseen.
    pub fn extend(&mut self, other: &Self) {
        let room = |held: usize| MOST.saturating_sub(held);
        let hidden = other.hidden.iter().take(room(self.hidden.len()));
        self.hidden.extend(hidden);
        let unheld = other.unheld.iter().take(room(self.unheld.len()));
        self.unheld.extend(unheld);
    }

    /// Forgets what another look has seen.
    pub(super) fn keep(&mut self, other: &Self) {
        self.hidden.retain(|pid| other.hidden.contains(pid));
        self.unheld.retain(|inode| other.unheld.contains(inode));
    }

    /// Of what has been left unseen, the kinds of which there was nothing before.
    #[must_use]
    pub fn beyond(&self, before: &Self) -> Self {
        let mut new = self.clone();
        if !before.hidden.is_empty() {
            new.hidden.clear();
        }
        if !before.unheld.is_empty() {
            new.unheld.clear();
        }
        new
    }

    /// What to say of it, a line each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes_of(may_inspect())
    }

    fn notes_of(&self, may_inspect: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.hidden.is_empty() {
            let why = hidden(self.hidden.len(), may_inspect);
            notes.push(format!(
                "note: what others do on this port may be missing: {why}"
            ));
        }
        match self.unheld.len() {
            0 => {}
            1 => notes.push(
                "note: no process is seen to hold 1 socket of this port: what is done with it is not counted".into(),
            ),
            many => notes.push(format!(
                "note: no process is seen to hold {many} sockets of this port: what is done with them is not counted"
            )),
        }
        notes
    }
}

/// Whether zctrace has what it takes to look into the processes of others.
pub(super) fn may_inspect() -> bool {
    caps::has_cap(
        None,
        caps::CapSet::Effective,
        caps::Capability::CAP_SYS_PTRACE,
    )
    .unwrap_or(false)
}

/// How many processes cannot be inspected, and what helps.
pub(super) fn hidden(count: usize, may_inspect: bool) -> String {
    let processes = if count == 1 { "process" } else { "processes" };
    let help = if may_inspect {
        "not even with cap_sys_ptrace; name a process with -p"
    } else {
        "run as root or with cap_sys_ptrace"
    };
    format!("{count} {processes} cannot be inspected: {help}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_what_helps() {
        let unseen = |hidden: &[u32], unheld: &[u64]| Unseen {
            hidden: hidden.iter().copied().collect(),
            unheld: unheld.iter().copied().collect(),
        };
        assert_eq!(unseen(&[], &[]).notes_of(false), [""; 0]);
        let notes = unseen(&[7, 8], &[9]).notes_of(false);
        assert!(notes[0].contains("2 processes cannot be inspected: run as root"));
        assert!(notes[1].contains("1 socket of this port"), "{notes:?}");
        let notes = unseen(&[7], &[]).notes_of(true);
        assert!(!notes[0].contains("run as root"), "{notes:?}");
        assert!(notes[0].contains("1 process cannot"), "{notes:?}");
    }

    #[test]
    fn only_what_no_look_sees_stays_unseen() {
        let mut first = Unseen {
            hidden: BTreeSet::from([1, 2]),
            unheld: BTreeSet::from([3, 4]),
        };
        let second = Unseen {
            hidden: BTreeSet::from([2, 5]),
            unheld: BTreeSet::from([6]),
        };
        first.keep(&second);
        assert_eq!(first.hidden, BTreeSet::from([2]));
        assert!(first.unheld.is_empty());
        let new = second.beyond(&first);
        assert!(new.hidden.is_empty(), "it was told that there are such");
        assert_eq!(new.unheld, second.unheld);
        first.extend(&second);
        assert_eq!(first, second);
    }
}
