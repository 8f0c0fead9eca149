//! What an application asked for, and what was seen that contradicts it.

macro_rules! marks {
    ($($(#[$doc:meta])* $variant:ident = $bit:literal => $name:literal,)+) => {
        /// What was asked for, or seen, at an operation: a bit of [`RowKey::marks`](crate::RowKey).
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Mark {
            $($(#[$doc])* $variant = 1 << $bit,)+
        }

        impl Mark {
            /// Every mark.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

marks! {
    /// Asked: pages by reference (`MSG_ZEROCOPY`, io_uring's `SEND_ZC`).
    Zerocopy = 0 => "zerocopy",
    /// Seen: `MSG_ZEROCOPY` on a socket without `SO_ZEROCOPY`, so the flag is ignored.
    NoSoZerocopy = 1 => "no_so_zerocopy",
    /// Seen: a notification with `SO_EE_CODE_ZEROCOPY_COPIED`.
    Copied = 2 => "copied_notification",
    /// Seen: the route's device cannot gather pages (`NETIF_F_SG` off), so sends copy at once.
    NoScatterGather = 3 => "no_scatter_gather",
    /// Asked: the file was opened with `O_DIRECT`.
    Direct = 4 => "o_direct",
    /// Asked: `SPLICE_F_GIFT` of `vmsplice`, `SPLICE_F_MOVE` of `splice`.
    Gift = 5 => "splice_gift_or_move",
    /// Seen: kernel TLS on the socket.
    Tls = 6 => "tls",
    /// Seen: the route's device is a tunnel or encrypts, so it is not known what it does with pages.
    CopyingRoute = 7 => "copying_route",
}

impl Mark {
    /// The marks in a row's bit mask.
    pub fn of(mask: u8) -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(move |mark| mask & *mark as u8 != 0)
    }
}
