//! How long zero-copy sends wait for their notification, by eighths of powers of two.

/// The notified sends of one row.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notified {
    /// Sends by the time from their begin to their notification: see [`Notified::place`]. Sends that share a
    /// notification all count at their mean time.
    pub sends: [u64; Notified::COUNT],
    /// The sum of these times, in nanoseconds.
    pub ns: u64,
    /// The bytes of these sends.
    pub bytes: u64,
    /// The sum of bytes multiplied by the microseconds for which they were pinned.
    pub byte_us: u64,
}

impl Notified {
    /// Shorter times, in powers of two of a nanosecond, are one place: about a microsecond.
    const SHORTEST: u32 = 10;
    /// Times from this power of two on are one place: about a minute.
    const LONGEST: u32 = 36;
    /// Places for each power of two, as a power of two.
    const PARTS: u32 = 3;
    /// How many places there are.
    pub const COUNT: usize = (((Self::LONGEST - Self::SHORTEST) << Self::PARTS) + 2) as usize;
    /// Nothing.
    pub const ZERO: Self = Self {
        sends: [0; Self::COUNT],
        ns: 0,
        bytes: 0,
        byte_us: 0,
    };

    /// The place of a send that waited for `ns`. The least time of the next place is at most an eighth longer than that
    /// of its own.
    #[inline(always)]
    #[must_use]
    pub const fn place(ns: u64) -> usize {
        if ns < 1 << Self::SHORTEST {
            return 0;
        }
        if ns >= 1 << Self::LONGEST {
            return Self::COUNT - 1;
        }
        let power = 63 - ns.leading_zeros();
        // The highest bit is left out: it is always set.
        let part = (ns >> (power - Self::PARTS)) as u32 & ((1 << Self::PARTS) - 1);
        (1 + ((power - Self::SHORTEST) << Self::PARTS) + part) as usize
    }

    /// The least nanoseconds of a send at a place.
    #[must_use]
    pub const fn least(place: usize) -> u64 {
        if place == 0 {
            return 0;
        }
        let place = place as u64 - 1;
        let parts = 1 << Self::PARTS;
        (parts + place % parts) << (place / parts + (Self::SHORTEST - Self::PARTS) as u64)
    }
}

const _: () = {
    assert!(size_of::<Notified>() == 8 * (Notified::COUNT + 3));
    assert!(Notified::place(0) == 0 && Notified::place(u64::MAX) == Notified::COUNT - 1);
    let mut place = 1;
    while place < Notified::COUNT {
        assert!(Notified::place(Notified::least(place)) == place);
        assert!(Notified::place(Notified::least(place) - 1) == place - 1);
        if place > 1 {
            let before = Notified::least(place - 1);
            assert!(Notified::least(place) - before <= before / 8);
        }
        place += 1;
    }
};
