//! Sampled stacks: which code paths copied the bytes.

use std::{collections::BTreeMap, sync::Arc};

/// One stack of a process, from its outermost frame to the innermost. Frames of the kernel end in
/// `_[k]`; what is in brackets is no function but says why there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stack {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
    /// Command name at the time of the sample's reading.
    pub comm: Arc<str>,
    /// The ledger's name for the bytes that it copied.
    pub class: Arc<str>,
    /// The frames.
    pub frames: Vec<Arc<str>>,
}

impl Stack {
    /// The outermost frame of a stack that could not be unwound to where its thread begins.
    pub const TRUNCATED: &str = "[truncated]";
}

/// Stacks and the bytes that were copied there, sampled: one sample every so many bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stacks {
    /// Bytes by stack.
    pub bytes: BTreeMap<Stack, u64>,
    /// Bytes whose sample had no room.
    pub lost: u64,
}

impl Stacks {
    /// What was sampled after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let bytes = self
            .bytes
            .iter()
            .filter_map(|(stack, &now)| {
                let before = earlier.bytes.get(stack).copied().unwrap_or(0);
                (now > before).then(|| (stack.clone(), now - before))
            })
            .collect();
        Self {
            bytes,
            lost: self.lost.saturating_sub(earlier.lost),
        }
    }

    /// Adds what was sampled in another time.
    pub fn add(&mut self, other: &Self) {
        for (stack, bytes) in &other.bytes {
            let sum = self.bytes.entry(stack.clone()).or_default();
            *sum = sum.saturating_add(*bytes);
        }
        self.lost = self.lost.saturating_add(other.lost);
    }

    /// In the format of flame graph tools: frames joined by `;`, then the bytes. Equal stacks of
    /// processes with one name are one line.
    #[must_use]
    pub fn folded(&self) -> String {
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        for (stack, bytes) in &self.bytes {
            let mut line = frame(&stack.comm);
            for name in &stack.frames {
                line.push(';');
                line.push_str(&frame(name));
            }
            line.push(';');
            line.push_str(&frame(&format!("[{}]", stack.class)));
            let sum = lines.entry(line).or_default();
            *sum = sum.saturating_add(*bytes);
        }
        lines
            .iter()
            .map(|(line, bytes)| format!("{line} {bytes}\n"))
            .collect()
    }
}

/// A name without what means something in the format.
fn frame(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            ';' => ':',
            c if c.is_control() => '?',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(pid: u32, frames: &[&str]) -> Stack {
        Stack {
            pid,
            start_time: 1,
            comm: "a;b".into(),
            class: "copied_to_user".into(),
            frames: frames.iter().map(|&frame| frame.into()).collect(),
        }
    }

    #[test]
    fn differences_and_sums_are_opposites() {
        let mut earlier = Stacks::default();
        earlier.bytes.insert(stack(1, &["main"]), 10);
        let mut now = earlier.clone();
        now.bytes.insert(stack(1, &["main"]), 30);
        now.bytes.insert(stack(2, &["main"]), 5);
        now.lost = 7;
        let difference = now.since(&earlier);
        assert_eq!(difference.bytes[&stack(1, &["main"])], 20);
        earlier.add(&difference);
        assert_eq!(earlier, now);
    }

    #[test]
    fn folded_lines_are_by_name_and_hold_no_separators() {
        let mut stacks = Stacks::default();
        stacks.bytes.insert(stack(1, &["main", "x\ny_[k]"]), 10);
        stacks.bytes.insert(stack(2, &["main", "x\ny_[k]"]), 5);
        assert_eq!(stacks.folded(), "a:b;main;x?y_[k];[copied_to_user] 15\n");
    }
}
