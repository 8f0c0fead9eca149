//! How much memory a recording may ask for. A recording can come from anyone, and one byte of it
//! can stand for much: an empty name takes one byte in a frame and 24 in memory, a row names a text of
//! any length by a number. So whatever a frame makes is charged to a budget before it is made.

use std::{cell::Cell, fmt, marker::PhantomData, mem::size_of};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, SeqAccess, Visitor},
};

/// Numbers are given out again from 0 beyond this many: it bounds what writer and reader remember.
pub(super) const MOST_NUMBERS: usize = 1 << 16;

/// The same for the bytes of all that has a number.
pub(super) const MOST_NUMBERED_BYTES: usize = 32 << 20;

/// What a reader holds: earlier recorders counted numbers only.
pub(super) const MOST_HELD: usize = 4 * MOST_NUMBERED_BYTES;

/// What any frame and any document may take.
const FREE: usize = 32 << 20;

/// Bytes of memory for each packed byte. Of what zctrace writes, many processes that all do the same
/// take most, 700.
const FOR_EACH_BYTE: usize = 4096;

/// What a frame may take at most, and the tables that it refers to.
const MOST_OF_FRAME: usize = 256 << 20;

/// What the document of a whole recording may take at most.
const MOST_OF_WHOLE: usize = 1 << 30;

/// The header is in the document of every interval. Its longest field by far is a command line, of
/// which [`MOST_TARGET`] is written.
pub(super) const MOST_HEADER: usize = 256 << 10;

/// Bytes of the name of a target.
pub(super) const MOST_TARGET: usize = 128 << 10;

/// So is the coverage: a few hundred probes, each with a reason and what is lost.
pub(super) const MOST_COVERAGE: usize = 1 << 20;

/// Memory that may still be asked for.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    left: usize,
    all: usize,
}

impl Budget {
    /// For a frame of this many packed bytes.
    pub(super) fn of_frame(packed: u64) -> Self {
        Self::new(packed, MOST_OF_FRAME)
    }

    /// For the document of a file of this many bytes.
    pub(super) fn of_whole(file: u64) -> Self {
        Self::new(file, MOST_OF_WHOLE)
    }

    /// `None` where there is not so much left.
    #[must_use]
    pub(super) fn take(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }

    /// What was taken.
    pub(super) const fn taken(&self) -> usize {
        self.all - self.left
    }

    fn new(packed: u64, most: usize) -> Self {
        let packed = usize::try_from(packed).unwrap_or(usize::MAX);
        let all = packed.saturating_mul(FOR_EACH_BYTE).saturating_add(FREE);
        let all = all.min(most);
        Self { left: all, all }
    }
}

thread_local! {
    /// The budget of the payload that this thread decodes: serde hands nothing to the fields of a
    /// structure.
    static DECODING: Cell<usize> = const { Cell::new(0) };
}

/// The value at the start of a payload, and what is behind it; its lists are charged.
pub(super) fn decode<'a, T: DeserializeOwned>(
    payload: &'a [u8],
    budget: &mut Budget,
) -> Option<(T, &'a [u8])> {
    DECODING.set(budget.left);
    let decoded = postcard::take_from_bytes(payload).ok();
    budget.left = DECODING.replace(0);
    decoded
}

/// `#[serde(deserialize_with = "items")]` of a list: each item is charged before there is room for
/// it. The count that stands before them is believed by nobody.
pub(super) fn items<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    struct Items<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
            let mut items: Vec<T> = Vec::new();
            while let Some(item) = from.next_element()? {
                if items.len() == items.capacity() {
                    // A list grows by as much again, and has both while it moves.
                    let more = items.len().max(4);
                    let left = DECODING.get().checked_sub(2 * more * size_of::<T>());
                    DECODING.set(left.ok_or_else(|| A::Error::custom("too long a list"))?);
                    items.reserve_exact(more);
                }
                items.push(item);
            }
            Ok(items)
        }
    }

    from.deserialize_seq(Items(PhantomData))
}

/// What something with a number takes that has a length of its own: where it is, and what it holds.
pub(super) const fn numbered_bytes(length: usize) -> usize {
    const PLACE: usize = 48;
    PLACE + length
}
