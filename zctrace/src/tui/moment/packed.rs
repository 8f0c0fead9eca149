//! Rows of the ledger in few bytes. Most numbers of a row are 0, and a hundred thousand rows are there
//! twice while the next moment is put together.

use std::slice::Iter;

use super::{PathKey, PathRow, Step, Sym};
use crate::ledger::Totals;

/// Numbers of a row that can be present.
const NUMBERS: usize = Totals::NUMBERS + STEPS;
/// Of which these are the step's.
const STEPS: usize = 4;
/// The mark of a row that was concluded and not measured.
const INFERRED: u32 = 1 << NUMBERS;

/// Rows in their order.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    heads: Vec<Head>,
    /// The numbers that are not 0, row by row: seven bits a byte, the lowest first, all but the last
    /// with the eighth bit.
    numbers: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    process: u32,
    op: Sym,
    object: Sym,
    by: Sym,
    asked: Sym,
    sizes: u32,
    verdict: u32,
    errnos: u32,
    notified: u32,
    /// A bit for each number that is there, and [`INFERRED`].
    present: u32,
    /// Place of the first of them.
    first: u32,
}

impl Packed {
    /// None, with room for as many as there are in `other`.
    #[must_use]
    pub fn like(other: Option<&Self>) -> Self {
        other.map_or_else(Self::default, |other| Self {
            heads: Vec::with_capacity(other.heads.len()),
            numbers: Vec::with_capacity(other.numbers.len()),
        })
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// One more.
    pub fn push(&mut self, row: &PathRow) {
        let first = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        let mut present = if row.inferred { INFERRED } else { 0 };
        for (place, number) in numbers(row).into_iter().enumerate() {
            if number != 0 {
                present |= 1 << place;
                put(number, &mut self.numbers);
            }
        }
        self.heads.push(Head {
            process: row.process,
            op: row.op,
            object: row.object,
            by: row.by,
            asked: row.asked,
            sizes: row.sizes,
            verdict: row.verdict,
            errnos: row.errnos,
            notified: row.notified,
            present,
            first,
        });
    }

    /// The row at a place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<PathRow> {
        let head = self.heads.get(place)?;
        let mut bytes = self.numbers.get(head.first as usize..)?.iter();
        let numbers = std::array::from_fn(|bit| match head.present >> bit & 1 {
            1 => take(&mut bytes),
            _ => 0,
        });
        Some(row(head, numbers))
    }

    /// The rows at these places.
    pub fn iter(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = PathRow> {
        places.map_while(|place| self.get(place))
    }

    /// The operation of the row at a place.
    #[must_use]
    pub fn op(&self, place: usize) -> Sym {
        self.heads[place].op
    }

    /// What distinguishes the row at a place from the others of its process.
    #[must_use]
    pub fn key(&self, place: usize) -> PathKey {
        let head = &self.heads[place];
        let inferred = head.present & INFERRED != 0;
        (head.op, head.object, head.by, inferred)
    }

    /// Whether there is a verdict on the row at a place.
    #[must_use]
    pub fn is_judged(&self, place: usize) -> bool {
        self.heads[place].verdict != 0
    }

    /// Tells the row at a place where its verdict is.
    pub(in crate::tui) fn set_verdict(&mut self, place: usize, verdict: u32) {
        self.heads[place].verdict = verdict;
    }

    /// Tells the row at a place where its sizes are.
    pub(in crate::tui) fn set_sizes(&mut self, place: usize, sizes: u32) {
        self.heads[place].sizes = sizes;
    }
}

fn put(mut number: u64, bytes: &mut Vec<u8>) {
    while number > 0x7f {
        bytes.push(0x80 | number.to_le_bytes()[0]);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take(bytes: &mut Iter<'_, u8>) -> u64 {
    let mut number = 0;
    for (byte, shift) in bytes.zip((0..u64::BITS).step_by(7)) {
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// All numbers of a row: those of its totals, and of its step.
fn numbers(row: &PathRow) -> [u64; NUMBERS] {
    let Step {
        ops,
        moved,
        copied,
        cow,
    } = row.step;
    let mut numbers = [0; NUMBERS];
    let (totals, step) = numbers.split_at_mut(Totals::NUMBERS);
    totals.copy_from_slice(&row.totals.numbers());
    step.copy_from_slice(&[ops, moved, copied, cow]);
    numbers
}

/// The row of a head and of [`numbers`].
fn row(head: &Head, numbers: [u64; NUMBERS]) -> PathRow {
    let [ops, moved, copied, cow]: [u64; STEPS] =
        std::array::from_fn(|place| numbers[Totals::NUMBERS + place]);
    PathRow {
        process: head.process,
        op: head.op,
        object: head.object,
        by: head.by,
        asked: head.asked,
        inferred: head.present & INFERRED != 0,
        sizes: head.sizes,
        verdict: head.verdict,
        errnos: head.errnos,
        notified: head.notified,
        totals: Totals::of_numbers(std::array::from_fn(|place| numbers[place])),
        step: Step {
            ops,
            moved,
            copied,
            cow,
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(
            rows in prop::collection::vec(
                (any::<[u32; 9]>(), any::<bool>(), any::<[Option<u64>; NUMBERS]>()),
                0..20,
            )
        ) {
            let rows: Vec<PathRow> = rows
                .into_iter()
                .map(|([process, op, object, by, asked, sizes, verdict, errnos, notified], inferred, numbers)| {
                    let head = Head {
                        process,
                        op: Sym(op),
                        object: Sym(object),
                        by: Sym(by),
                        asked: Sym(asked),
                        sizes,
                        verdict,
                        errnos,
                        notified,
                        present: if inferred { INFERRED } else { 0 },
                        first: 0,
                    };
                    row(&head, numbers.map(Option::unwrap_or_default))
                })
                .collect();
            let mut packed = Packed::default();
            rows.iter().for_each(|row| packed.push(row));
            prop_assert_eq!(packed.len(), rows.len());
            for (place, row) in rows.iter().enumerate() {
                prop_assert_eq!(packed.get(place), Some(*row));
                prop_assert_eq!(packed.key(place), row.key());
            }
            prop_assert_eq!(packed.get(rows.len()), None);
        }
    }
}
