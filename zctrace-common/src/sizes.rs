//! How large operations are, counted by powers of four.

/// Operations of one row by the bytes they moved.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Those that moved nothing; less than 16 bytes, less than 64 and so on, by powers of four; 16
    /// MiB or more.
    pub counts: [u64; Sizes::COUNT],
}

impl Sizes {
    /// How many there are.
    pub const COUNT: usize = 13;
    /// Nothing.
    pub const ZERO: Self = Self {
        counts: [0; Self::COUNT],
    };

    /// The place of an operation that moved `bytes`.
    #[inline(always)]
    #[must_use]
    pub const fn place(bytes: u64) -> usize {
        if bytes == 0 {
            return 0;
        }
        let mut place = 1;
        let mut end = 16;
        while place < Self::COUNT - 1 && bytes >= end {
            place += 1;
            end *= 4;
        }
        place
    }

    /// The least bytes of an operation at a place.
    #[must_use]
    pub const fn least(place: usize) -> u64 {
        match place {
            0 => 0,
            1 => 1,
            _ => 4 << (2 * (place - 1)),
        }
    }
}

const _: () = {
    assert!(Sizes::place(0) == 0 && Sizes::place(1) == 1 && Sizes::place(15) == 1);
    assert!(Sizes::place(u64::MAX) == Sizes::COUNT - 1);
    let mut place = 1;
    while place < Sizes::COUNT {
        assert!(Sizes::place(Sizes::least(place)) == place);
        assert!(Sizes::place(Sizes::least(place) - 1) == place - 1);
        place += 1;
    }
};
