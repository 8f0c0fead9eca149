//! What packets meet on their way out of a socket and may be copied by.

use crate::DEVICE_LEN;

macro_rules! obstacles {
    ($($(#[$doc:meta])* $variant:ident = $number:literal => $name:literal,)+) => {
        /// Something on the route of a socket that may copy pages in its packets.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Obstacle {
            $($(#[$doc])* $variant = $number,)+
        }

        impl Obstacle {
            /// Every obstacle.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in reports. `{}` stands for a kind: of device, or of queue.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

obstacles! {
    /// A tunnel, a device that encrypts, one that leads to a program or to another network namespace.
    Device = 1 => "device of kind {}",
    /// A device that cannot gather pages.
    NoScatterGather = 2 => "device without scatter-gather",
    /// A device that cannot sum packets.
    NoChecksums = 3 => "device without checksum offload",
    /// More devices than are looked at, or others that get the same packets.
    Beside = 4 => "devices beside it",
    /// The route encrypts.
    Ipsec = 5 => "IPsec",
    /// The route puts packets into others, or leads through a routing domain's device.
    Encapsulation = 6 => "encapsulation",
    /// A queue that is not known to leave packets alone.
    Queue = 7 => "queue {}",
    /// A queue that hands packets to filters.
    QueueFilters = 8 => "filters of queue {}",
    /// Filters, actions or BPF programs at a device.
    Filters = 9 => "tc filters",
    /// Hooks other than those of connection tracking: rules can queue, duplicate or change packets.
    Netfilter = 10 => "netfilter rules",
    /// A ring into which each packet is copied.
    PacketRing = 11 => "packet socket with a ring",
    /// A program that sees packets on arrival, on a device whose packets arrive on this machine.
    Xdp = 12 => "XDP program",
    /// A connection that is not established, whose first bytes are copied into the packet that asks for it (TCP Fast
    /// Open), or one under repair, whose bytes are copied into the queue of the receiver.
    NotEstablished = 14 => "connection that is not established",
    /// A route that the next packet looks up again, so nobody knows where it leads.
    OldRoute = 15 => "route that has changed",
    /// The kernel does not describe what was to be looked at.
    Unknown = 13 => "unknown",
}

impl Obstacle {
    /// The obstacle of a number.
    #[must_use]
    pub fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| *one as u32 == raw)
    }
}

/// An [`Obstacle`] that the sends of a row met first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnRoute {
    /// The obstacle's number; 0 where there is none.
    pub obstacle: u32,
    /// The kind of device or queue, a C string.
    pub kind: [u8; DEVICE_LEN],
}

const _: () = assert!(size_of::<OnRoute>() == 20);
