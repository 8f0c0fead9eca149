//! Rings that the kernel and the owner of a socket share: those of packet sockets that receive (`PACKET_RX_RING`), and
//! those of AF_XDP. The copies into and out of them are made in no call of the owner.

use aya_ebpf::{macros::map, maps::LruHashMap};

use crate::{
    base::{
        abi::{S_IFMT, S_IFSOCK},
        global::global,
        kernel::{self, Access as _, Probed},
        maps::offset,
    },
    book::{object, target},
    tracepoint::plan::{NOTHING, OF_RING, PINS, user_u32},
};

/// Sockets whose rings the target set up itself, or that were counted.
#[map]
static RINGS: LruHashMap<u64, u8> = LruHashMap::with_max_entries(1024, 0);

/// Notes a socket. Where there is no room, its ring counts again when it is mapped.
#[inline(always)]
fn note(sock: *const u8) {
    let _ = RINGS.insert(sock as u64, 0, 0);
}

/// The same if a process of the target has it, by its descriptor.
#[inline(always)]
fn note_own(fd: u64) {
    if target::is_current() {
        note(socket(fd));
    }
}

global! {
    /// What the current `setsockopt` sets up: [`OF_RING`], unless it takes one away; [`PINS`] if it pins memory for
    /// AF_XDP.
    pub(crate) fn option_sets() -> u64 {
        const SOL_PACKET: u32 = 263;
        const PACKET_RX_RING: u32 = 5;
        const PACKET_TX_RING: u32 = 13;
        const SOL_XDP: u32 = 283;
        const XDP_RX_RING: u32 = 2;
        const XDP_TX_RING: u32 = 3;
        const XDP_UMEM_REG: u32 = 4;
        /// `tp_block_nr` in `struct tpacket_req`.
        const BLOCKS: u64 = 4;
        let regs = kernel::current_regs();
        let argument = |index| kernel::call_argument(regs, index);
        match (argument(1) as u32, argument(2) as u32) {
            (SOL_XDP, XDP_UMEM_REG) => PINS,
            (SOL_PACKET, PACKET_RX_RING) if user_u32(argument(3) + BLOCKS) == 0 => NOTHING,
            (SOL_PACKET, PACKET_RX_RING) | (SOL_XDP, XDP_RX_RING | XDP_TX_RING) => {
                note_own(argument(0));
                OF_RING
            }
            // What is sent from a ring is in calls.
            (SOL_PACKET, PACKET_TX_RING) => {
                note_own(argument(0));
                NOTHING
            }
            _ => NOTHING,
        }
    }
}

global! {
    /// Whether the current `mmap` maps a ring that another process has set up, and passed on.
    pub(crate) fn call_maps() -> u32 {
        const MAP_SHARED: u64 = 1;
        const MAP_ANONYMOUS: u64 = 0x20;
        const AF_PACKET: u16 = 17;
        const AF_XDP: u16 = 44;
        let regs = kernel::current_regs();
        let flags = kernel::call_argument(regs, 3);
        if flags & (MAP_SHARED | MAP_ANONYMOUS) != MAP_SHARED || !target::is_current() {
            return 0;
        }
        let sock = socket(kernel::call_argument(regs, 4));
        let family: u16 = if sock.is_null() { 0 } else { Probed::load(sock, offset!(sock_family)) };
        if !matches!(family, AF_PACKET | AF_XDP) || RINGS.get_ptr(sock as u64).is_some() {
            return 0;
        }
        note(sock);
        1
    }
}

/// The `struct sock` of a descriptor (any pointer); null if it is no socket.
#[inline(always)]
fn socket(fd: u64) -> *const u8 {
    let file = object::file_of_fd(fd as u32);
    let inode = kernel::pointer::<Probed>(file, offset!(file_inode));
    if Probed::load::<u16>(inode, offset!(inode_mode)) & S_IFMT != S_IFSOCK {
        return core::ptr::null();
    }
    let socket = kernel::pointer::<Probed>(file, offset!(file_private_data));
    kernel::pointer::<Probed>(socket, offset!(socket_sk))
}
