//! Where the kernel copies bytes after the call that sent them.

macro_rules! places {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)+) => {
        /// A place that copies bytes for an unknown call: a slot of the counters for such copies.
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
    /// A packet copied whole into a larger buffer.
    CopyExpand => "skb_copy_expand",
    /// Pages that a packet borrows, copied before the packet is passed to others.
    CopyBorrowed => "skb_copy_ubufs",
    /// A fragment of an IP packet, copied out of it.
    Fragment => "ip_frag_next",
    /// A packet copied for an XDP program.
    CopyForXdp => "skb_pp_cow_data",
    /// Pages passed by reference to a socket, and copied later. No send of the target to that socket is known, or none
    /// has ended yet.
    UnknownSender => "unknown_sender",
    /// Bytes that ordinary sends had copied into packets, copied again on their way. Machine-wide: of any process.
    SentAgain => "sent_again",
    /// Bytes that a device transfers, copied to or from a buffer that the device can reach. Machine-wide, for any
    /// process.
    Bounce => "swiotlb_bounced",
    /// Packets copied into the rings of packet sockets. Machine-wide: of any process.
    PacketRing => "tpacket_rcv",
    /// Samples of packets, copied for programs (psample). Machine-wide: of any process.
    Sampled => "psample_sample_packet",
    /// Packets copied for programs that keep a log (NFLOG). Machine-wide: of any process.
    Logged => "nfulnl_log_packet",
    /// Packets of vsock, copied for a capture (vsockmon). Machine-wide: of any process.
    CapturedVsock => "virtio_transport_build_skb",
}

impl Place {
    /// How many there are.
    pub const COUNT: u32 = Self::ALL.len() as u32;
}
