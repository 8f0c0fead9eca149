//! Copies per byte as people are told of them: what they are divided by, and whether more may have
//! been copied than was seen. One place decides, so that no report says less than another.

use std::fmt;

use zctrace_common::Op;

use super::{
    Path, Process, Snapshot,
    totals::{Totals, ratio},
};
use crate::text::bytes::copies_per_byte;

/// A divisor says something where it is at least one part in this many of what was moved: copies of
/// a whole process over the 79 bytes of a request say nothing of the request.
const FAIR_PART: u64 = 20;

/// Copies beside what moved (copy-on-write, a copy-up, retries) that are more than this many times
/// what moved were not made for it: a process that forks moved a few libraries besides.
const FURTHER_AT_MOST: u64 = 4;

/// What was not seen of bytes that moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Bytes of which nobody saw how they moved.
    pub unexplained: u64,
    /// Copies that are a part of what was copied.
    pub in_part: u64,
}

impl Unseen {
    /// Whether copies over so many bytes are only the least. What was seen in part says nothing of the rest, so it
    /// counts where it is a fair part of the bytes itself. A call by the way does not mark the figures of a server.
    const fn matters_to(self, bytes: u64) -> bool {
        self.unexplained != 0
            || self.in_part != 0 && self.in_part.saturating_mul(FAIR_PART) >= bytes
    }
}

/// Copies over bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerByte {
    ratio: Option<f64>,
    at_least: bool,
}

impl PerByte {
    /// Copies over bytes.
    #[must_use]
    pub fn new(copies: u64, bytes: u64, unseen: Unseen) -> Self {
        Self::of(ratio(copies, bytes), unseen.matters_to(bytes))
    }

    /// A quotient that a document has.
    #[must_use]
    pub const fn of(ratio: Option<f64>, at_least: bool) -> Self {
        Self { ratio, at_least }
    }

    /// The quotient; `None` where it would say nothing.
    #[must_use]
    pub const fn ratio(self) -> Option<f64> {
        self.ratio
    }

    /// Whether more may have been copied: how some of the bytes moved was not seen. Such a number
    /// never stands without its mark.
    #[must_use]
    pub const fn is_lower_bound(self) -> bool {
        self.at_least && self.ratio.is_some()
    }

    /// Whether nothing was copied and every byte was seen: the claim that is shown in green.
    #[must_use]
    pub fn is_zero_copy(self) -> bool {
        self.ratio == Some(0.0) && !self.at_least
    }

    /// The figure to three decimals, with its mark.
    #[must_use]
    pub fn exactly(self) -> String {
        self.to_places(3).unwrap_or_else(|| "-".into())
    }

    /// The figure to so many decimals, with its mark; `None` where there is none.
    #[must_use]
    pub fn to_places(self, places: usize) -> Option<String> {
        let number = format!("{:.places$}", self.ratio?);
        Some(self.marked(number))
    }

    /// A number that comes from this figure: with a question mark where more may have been copied
    /// than was seen.
    #[must_use]
    pub fn marked(self, mut number: String) -> String {
        if self.is_lower_bound() {
            number.push('?');
        }
        number
    }
}

impl fmt::Display for PerByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.marked(copies_per_byte(self.ratio)))
    }
}

impl Totals {
    /// Whether `copies_per_byte` is only the least that was copied.
    #[must_use]
    pub const fn is_lower_bound(&self) -> bool {
        self.unseen().matters_to(self.moved)
    }

    const fn unseen(&self) -> Unseen {
        Unseen {
            unexplained: self.unexplained,
            in_part: self.seen_in_part,
        }
    }

    /// Copies per byte of a single row, as `copies_per_byte` has it.
    #[must_use]
    pub fn per_byte(&self) -> PerByte {
        self.over(self.moved)
    }

    /// Copies per byte of a sum of rows. Bytes that were made up or dropped are left out: nothing
    /// was carried there, and they would make copies elsewhere look cheap. So is the number itself
    /// where the copies were not made for what moved.
    #[must_use]
    pub fn per_carried_byte(&self) -> PerByte {
        let carried = self.moved.saturating_sub(self.synthetic);
        let further = [self.deferred, self.recopied, self.wasted, self.cow]
            .into_iter()
            .fold(0, u64::saturating_add);
        let related = further <= carried.saturating_mul(FURTHER_AT_MOST);
        let figure = self.over(carried);
        PerByte {
            ratio: figure.ratio.filter(|_| related),
            ..figure
        }
    }
}

impl Path {
    /// Says which of the row's copies are a part of what was copied: those in a call that is no operation, and in a
    /// command to a driver. These report no bytes that the copies could be held against, and have routines of their own
    /// (btrfs fills what it sends by memcpy).
    pub(super) fn say_what_is_a_part(&mut self) {
        let is_part = matches!(self.op.known(), Some(Op::Other | Op::UringCmd));
        self.totals.seen_in_part = if is_part { self.totals.copies() } else { 0 };
        self.totals.divide();
    }
}

impl Process {
    /// All its copies over what it sent, where that is a fair part of what it moved.
    #[must_use]
    pub fn per_sent_byte(&self) -> PerByte {
        self.over(self.sent)
    }

    /// All its copies over what it received, where that is a fair part of what it moved.
    #[must_use]
    pub fn per_received_byte(&self) -> PerByte {
        self.over(self.received)
    }

    fn over(&self, part: u64) -> PerByte {
        self.total.over_fair(part)
    }
}

impl Totals {
    /// Whether `part` is so large a part of what moved that copies divided by it say something.
    #[must_use]
    pub const fn is_fair(&self, part: u64) -> bool {
        part.saturating_mul(FAIR_PART) >= self.moved.saturating_sub(self.synthetic)
    }

    /// All copies over a part of what moved.
    pub(super) fn over(&self, part: u64) -> PerByte {
        PerByte::new(self.copies(), part, self.unseen())
    }

    /// The same where that is a fair part.
    fn over_fair(&self, part: u64) -> PerByte {
        let figure = self.over(part);
        let says = self.is_fair(part) && self.per_carried_byte().ratio.is_some();
        PerByte {
            ratio: figure.ratio.filter(|_| says),
            ..figure
        }
    }
}

impl Snapshot {
    /// Bytes that all processes sent to the network, and received from it.
    #[must_use]
    pub fn over_the_network(&self) -> (u64, u64) {
        let sum = |bytes: fn(&Process) -> u64| {
            let all = self.processes.iter().map(bytes);
            all.fold(0, u64::saturating_add)
        };
        (sum(|process| process.sent), sum(|process| process.received))
    }

    /// All copies over what all processes sent, as [`Process::per_sent_byte`].
    #[must_use]
    pub fn per_sent_byte(&self) -> PerByte {
        self.total.over_fair(self.over_the_network().0)
    }

    /// All copies over what all processes received, as [`Process::per_received_byte`].
    #[must_use]
    pub fn per_received_byte(&self) -> PerByte {
        self.total.over_fair(self.over_the_network().1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples::{from_user, in_kernel, row, to_user};

    const MIB: u64 = 1 << 20;

    fn process(rows: &[(&str, &str, Totals)]) -> Process {
        let paths = rows
            .iter()
            .map(|(op, object, totals)| row(op, object, "inferred", *totals));
        Process::from_paths(1, 0, "x".into(), "/".into(), paths.collect())
    }

    #[test]
    fn what_nobody_saw_is_never_zero_copy() {
        let unseen = Totals {
            moved: MIB,
            unexplained: MIB,
            ..Totals::default()
        };
        for figure in [unseen.per_byte(), unseen.per_carried_byte()] {
            assert_eq!(figure.ratio(), Some(0.0));
            assert!(figure.is_lower_bound() && !figure.is_zero_copy());
        }
        let process = process(&[
            ("sendfile", "file:ext4->tcp", unseen),
            ("recv", "tcp", to_user(MIB)),
        ]);
        assert!(process.per_sent_byte().is_lower_bound());
        // Which copies belong to what was received cannot be known: all of the process count.
        assert!(process.per_received_byte().is_lower_bound());
        assert!(process.copies_per_sent_byte_is_lower_bound);
        assert!(process.copies_per_received_byte_is_lower_bound);
        assert!(process.total.copies_per_byte_is_lower_bound);
        // Where there is no number there is nothing to mark.
        assert!(!Totals::default().per_byte().is_lower_bound());
        let seen = self::process(&[("send", "tcp", from_user(MIB))]);
        assert!(!seen.copies_per_sent_byte_is_lower_bound);
        assert!(!seen.per_sent_byte().is_lower_bound());
    }

    #[test]
    fn a_request_is_no_divisor_for_the_answer() {
        let server = process(&[
            ("read", "file:ext4", to_user(16 * MIB)),
            ("send", "tcp", from_user(16 * MIB)),
            ("recv", "tcp", to_user(79)),
        ]);
        assert_eq!(server.per_received_byte().ratio(), None);
        assert!(server.per_sent_byte().ratio().unwrap() > 2.0);
        // The document keeps its definition.
        assert!(server.copies_per_received_byte.unwrap() > 9999.0);
        // What a compressor sent is worth dividing by, and so is what a proxy received.
        let compressor = process(&[
            ("read", "file:ext4", to_user(16 * MIB)),
            ("send", "tcp", from_user(2 * MIB)),
        ]);
        assert_eq!(compressor.per_sent_byte().ratio(), Some(9.0));
    }

    #[test]
    fn copies_made_for_something_else_have_no_divisor() {
        let copied_up = process(&[
            (
                "kernel",
                "unknown",
                Totals {
                    recopied: 16 * MIB,
                    ..Totals::default()
                },
            ),
            ("read", "file:ext4", to_user(2_396)),
        ]);
        assert_eq!(copied_up.total.per_carried_byte().ratio(), None);
        assert!(copied_up.total.copies_per_byte.unwrap() > 6_000.0);
        let written = Totals {
            moved: MIB,
            mapped: MIB,
            cow: MIB,
            ..Totals::default()
        };
        assert_eq!(written.per_carried_byte().ratio(), Some(1.0));
    }

    #[test]
    fn made_up_bytes_do_not_dilute_a_sum() {
        let total = process(&[
            ("read", "file:ext4", to_user(MIB)),
            (
                "write",
                "char:mem",
                Totals {
                    moved: MIB,
                    synthetic: MIB,
                    ..Totals::default()
                },
            ),
        ])
        .total;
        assert_eq!(total.per_carried_byte().ratio(), Some(1.0));
        assert_eq!(total.copies_per_byte, Some(0.5));
        let only = Totals {
            moved: MIB,
            synthetic: MIB,
            ..Totals::default()
        };
        assert_eq!(only.per_carried_byte().ratio(), None);
    }

    /// `btrfs send`: half of what the ioctl copies is a memcpy that no probe sees.
    #[test]
    fn copies_in_a_call_that_is_no_operation_are_the_least() {
        let other = || ("other", "syscall:ioctl", in_kernel(MIB));
        let alone = process(&[other()]);
        let row = &alone.paths[0].totals;
        assert_eq!(row.per_byte().to_string(), "1.00?");
        assert!(row.copies_per_byte_is_lower_bound);
        assert_eq!(alone.total.per_carried_byte().to_string(), "1.00?");
        assert!(alone.total.copies_per_byte_is_lower_bound);
        // An operation that copies the same is seen whole.
        let seen = process(&[("sendfile", "file:ext4->file:ext4", in_kernel(MIB))]);
        assert_eq!(seen.paths[0].totals.per_byte().to_string(), "1.00");
        assert_eq!(seen.total.per_carried_byte().to_string(), "1.00");
    }

    #[test]
    fn a_call_by_the_way_marks_no_sum() {
        let sender = |sent| {
            process(&[
                ("other", "syscall:ioctl", in_kernel(MIB)),
                ("send", "tcp", from_user(sent)),
            ])
        };
        let (much, little) = (sender(64 * MIB), sender(16 * MIB));
        assert!(!much.total.per_carried_byte().is_lower_bound());
        assert!(!much.per_sent_byte().is_lower_bound());
        assert!(!much.copies_per_sent_byte_is_lower_bound);
        assert!(much.paths[1].totals.per_byte().is_lower_bound());
        assert!(little.total.per_carried_byte().is_lower_bound());
        assert!(little.per_sent_byte().is_lower_bound());
        assert!(little.copies_per_sent_byte_is_lower_bound);
        // What was seen in part is known of sums and differences.
        let mut both = much.total;
        both.add(&little.total);
        assert_eq!(both.seen_in_part, 2 * MIB);
        both.subtract(&little.total);
        assert_eq!(both, much.total);
    }
}
