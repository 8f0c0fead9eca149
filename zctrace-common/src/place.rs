//! Where the kernel copies bytes after the call that sent them.

macro_rules! places {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)+) => {
        /// A place that copies what nobody's call is known to have caused: a slot of what is counted so.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Place {
            $($(#[$doc])* $variant,)+
        }

        impl Place {
            /// Every place.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in reports: that of the kernel's function, or tracepoint.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

places! {
    /// A packet cut into smaller ones.
    Segment => "skb_segment",
    /// Fragments made part of a packet's linear buffer.
    Pull => "__pskb_pull_tail",
    /// A packet copied whole.
    Copy => "skb_copy",
    /// The same, for more room.
    CopyExpand => "skb_copy_expand",
    /// What a packet borrows, copied before it is handed to others.
    CopyBorrowed => "skb_copy_ubufs",
    /// What a device transfers, copied to or from a buffer that it can reach. Machine-wide: of any process.
    Bounce => "swiotlb_bounced",
}

impl Place {
    /// How many there are.
    pub const COUNT: u32 = Self::ALL.len() as u32;
}
