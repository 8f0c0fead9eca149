//! What is missing from the numbers: what zctrace lost, and what it does not follow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text::bytes::bytes;

/// What is missing from the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Document", into = "Document")]
pub struct Loss {
    /// Tasks, processes or rows that did not fit.
    pub map_full: u64,
    /// Runs of probes that the kernel skipped.
    pub missed_runs: u64,
    /// The same by the name of the probe, where it is known.
    pub missed_at: BTreeMap<String, u64>,
    /// Calls that move bytes and that nothing follows on this kernel. They are in no row, so the rows
    /// there are stay true.
    pub unfollowed_calls: Unfollowed,
}

/// Calls that move bytes and that nothing follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unfollowed {
    /// Submissions to Linux AIO.
    pub io_submit: u64,
    /// Calls with 32-bit numbers.
    pub compat: u64,
    /// Receive rings of packet sockets, and rings of AF_XDP: those that were set up, and one for each process that had
    /// some before. What the kernel copies into and out of them is in no call. Those that are gone still count, and so
    /// does each worker of vhost that is not followed: it serves the rings of a virtual machine.
    pub rings: u64,
    /// Requests of io_uring whose end nothing sees (`IOSQE_CQE_SKIP_SUCCESS`), and completions that name no known
    /// request.
    pub requests: u64,
    /// Calls that had begun before their threads were followed, and moved bytes.
    pub begun: u64,
    /// What these calls reported.
    pub begun_bytes: u64,
}

impl Unfollowed {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.io_submit
            .saturating_add(self.compat)
            .saturating_add(self.rings)
            .saturating_add(self.requests)
            .saturating_add(self.begun)
    }

    /// How many of what, for people; `None` without any.
    #[must_use]
    pub fn named(self, count: impl Fn(u64) -> String) -> Option<String> {
        let calls = |number| if number == 1 { "call" } else { "calls" };
        let mut parts = Vec::new();
        if self.io_submit != 0 {
            parts.push(format!(
                "Linux AIO, {} {} of io_submit",
                count(self.io_submit),
                calls(self.io_submit)
            ));
        }
        if self.compat != 0 {
            parts.push(format!(
                "32-bit programs, {} {}",
                count(self.compat),
                calls(self.compat)
            ));
        }
        if self.rings != 0 {
            parts.push(format!(
                "packets of sockets or virtual machines, {} {}",
                count(self.rings),
                if self.rings == 1 { "ring" } else { "rings" }
            ));
        }
        if self.requests != 0 {
            parts.push(format!(
                "io_uring, {} {}",
                count(self.requests),
                if self.requests == 1 {
                    "request"
                } else {
                    "requests"
                }
            ));
        }
        if self.begun != 0 {
            parts.push(format!(
                "{} {} of {} that had begun before tracing",
                count(self.begun),
                calls(self.begun),
                bytes(self.begun_bytes)
            ));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

impl Loss {
    /// What was lost. Calls that are not followed were not: no row was to have them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.map_full.saturating_add(self.missed_runs)
    }

    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.lost() == 0 && self.unfollowed_calls.total() == 0
    }

    /// Adds what was lost in another time.
    pub fn add(&mut self, more: &Self) {
        // Destructured whole, here and below, so that a new counter cannot be forgotten.
        let Self {
            map_full,
            missed_runs,
            missed_at,
            unfollowed_calls:
                Unfollowed {
                    io_submit,
                    compat,
                    rings,
                    requests,
                    begun,
                    begun_bytes,
                },
        } = more;
        let add = |sum: &mut u64, more: &u64| *sum = sum.saturating_add(*more);
        add(&mut self.map_full, map_full);
        add(&mut self.missed_runs, missed_runs);
        for (probe, runs) in missed_at {
            add(self.missed_at.entry(probe.clone()).or_default(), runs);
        }
        add(&mut self.unfollowed_calls.io_submit, io_submit);
        add(&mut self.unfollowed_calls.compat, compat);
        add(&mut self.unfollowed_calls.requests, requests);
        add(&mut self.unfollowed_calls.begun, begun);
        add(&mut self.unfollowed_calls.begun_bytes, begun_bytes);
        let most = &mut self.unfollowed_calls.rings;
        *most = (*most).max(*rings);
    }

    /// What came after `earlier`.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        let Self {
            map_full,
            missed_runs,
            missed_at,
            unfollowed_calls:
                Unfollowed {
                    io_submit,
                    compat,
                    // It is a state, not a count of calls.
                    rings: _,
                    requests,
                    begun,
                    begun_bytes,
                },
        } = earlier;
        let less = |sum: &mut u64, earlier: &u64| *sum = sum.saturating_sub(*earlier);
        less(&mut self.map_full, map_full);
        less(&mut self.missed_runs, missed_runs);
        for (probe, runs) in missed_at {
            if let Some(now) = self.missed_at.get_mut(probe) {
                less(now, runs);
            }
        }
        self.missed_at.retain(|_, runs| *runs != 0);
        less(&mut self.unfollowed_calls.io_submit, io_submit);
        less(&mut self.unfollowed_calls.compat, compat);
        less(&mut self.unfollowed_calls.requests, requests);
        less(&mut self.unfollowed_calls.begun, begun);
        less(&mut self.unfollowed_calls.begun_bytes, begun_bytes);
        self
    }

    /// Notes runs of a probe that the kernel skipped.
    pub fn miss(&mut self, probe: &str, runs: u64) {
        if runs != 0 {
            self.missed_runs = self.missed_runs.saturating_add(runs);
            let sum = self.missed_at.entry(probe.to_owned()).or_default();
            *sum = sum.saturating_add(runs);
        }
    }

    /// The probes whose runs were skipped, most first, at most three by name.
    #[must_use]
    pub fn places(&self) -> Option<String> {
        let mut places: Vec<_> = self.missed_at.iter().collect();
        places.sort_by_key(|(_, runs)| std::cmp::Reverse(**runs));
        let more = places.len().saturating_sub(3);
        let mut names: Vec<_> = places
            .iter()
            .take(3)
            .map(|(name, _)| (*name).clone())
            .collect();
        if more != 0 {
            names.push(format!("{more} more"));
        }
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// [`Loss`] in documents.
#[derive(Serialize, Deserialize)]
struct Document {
    map_full: u64,
    /// There is no ring buffer: the contract has the field.
    #[serde(default)]
    ring_dropped: u64,
    missed_runs: u64,
    #[serde(default)]
    missed_at: BTreeMap<String, u64>,
    #[serde(default)]
    unfollowed_calls: Unfollowed,
}

impl From<Loss> for Document {
    fn from(loss: Loss) -> Self {
        let Loss {
            map_full,
            missed_runs,
            missed_at,
            unfollowed_calls,
        } = loss;
        Self {
            map_full,
            ring_dropped: 0,
            missed_runs,
            missed_at,
            unfollowed_calls,
        }
    }
}

impl From<Document> for Loss {
    fn from(document: Document) -> Self {
        let Document {
            map_full,
            ring_dropped: _,
            missed_runs,
            missed_at,
            unfollowed_calls,
        } = document;
        Self {
            map_full,
            missed_runs,
            missed_at,
            unfollowed_calls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(map_full: u64, probe: &str, runs: u64, io_submit: u64) -> Loss {
        let mut loss = Loss {
            map_full,
            unfollowed_calls: Unfollowed {
                io_submit,
                compat: 2 * io_submit,
                ..Unfollowed::default()
            },
            ..Loss::default()
        };
        loss.miss(probe, runs);
        loss
    }

    #[test]
    fn what_is_taken_away_is_what_was_added() {
        let (first, second) = (loss(1, "tls_sw_recvmsg", 2, 3), loss(4, "vfs_read", 5, 6));
        let mut sum = first.clone();
        sum.add(&second);
        assert_eq!((sum.missed_runs, sum.lost()), (7, 12));
        assert_eq!(sum.places().as_deref(), Some("vfs_read, tls_sw_recvmsg"));
        assert_eq!(sum.since(&first), second);
    }

    #[test]
    fn calls_that_are_not_followed_are_no_loss() {
        let unfollowed = loss(0, "", 0, 1);
        assert_eq!(unfollowed.lost(), 0);
        assert!(!unfollowed.is_nothing() && Loss::default().is_nothing());
        assert_eq!(
            unfollowed
                .unfollowed_calls
                .named(|count| count.to_string())
                .as_deref(),
            Some("Linux AIO, 1 call of io_submit; 32-bit programs, 2 calls")
        );
    }

    #[test]
    fn rings_stay() {
        let with = |rings| {
            let mut loss = Loss::default();
            loss.unfollowed_calls.rings = rings;
            loss
        };
        let mut sum = with(1);
        sum.add(&with(2));
        assert_eq!(sum.unfollowed_calls.rings, 2);
        assert_eq!(sum.clone().since(&with(2)), sum);
        let text = sum.unfollowed_calls.named(|count| count.to_string());
        assert_eq!(
            text.as_deref(),
            Some("packets of sockets or virtual machines, 2 rings")
        );
        let document = serde_json::to_value(&sum).unwrap();
        assert_eq!(document["unfollowed_calls"]["rings"], 2);
        let others = Unfollowed {
            requests: 1,
            begun: 2,
            begun_bytes: 3 << 20,
            ..Unfollowed::default()
        };
        assert_eq!(
            others.named(|count| count.to_string()).as_deref(),
            Some("io_uring, 1 request; 2 calls of 3.00 MiB that had begun before tracing")
        );
    }

    #[test]
    fn documents_of_earlier_versions_are_read() {
        let old = r#"{"map_full": 1, "ring_dropped": 0, "missed_runs": 2}"#;
        let old: Loss = serde_json::from_str(old).unwrap();
        assert_eq!((old.map_full, old.missed_runs), (1, 2));
        let new = serde_json::to_value(loss(1, "vfs_read", 2, 3)).unwrap();
        let expected = serde_json::json!({
            "map_full": 1, "ring_dropped": 0, "missed_runs": 2, "missed_at": {"vfs_read": 2},
            "unfollowed_calls": {"io_submit": 3, "compat": 6, "rings": 0, "requests": 0, "begun": 0, "begun_bytes": 0},
        });
        assert_eq!(new, expected);
    }
}
