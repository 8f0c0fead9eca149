//! Programs that traffic puts on network devices. An object of its own: what traces knows nothing of it.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::xdp_action::XDP_PASS,
    macros::{map, xdp},
    maps::XskMap,
    programs::XdpContext,
};
use zctrace_common::EXPERIMENT_ETHER_TYPE;

mod bare;

/// The socket that gets the frames.
#[map]
static SOCKETS: XskMap = XskMap::with_max_entries(1, 0);

/// Hands frames of one type over to the socket. Other frames, which the kernel sends over a new device by
/// itself, go their usual way.
#[xdp]
fn to_socket(ctx: XdpContext) -> u32 {
    /// Where a frame has its type, and where its header ends.
    const TYPE: usize = 12;
    const HEADER: usize = 14;
    let frame = ctx.data();
    if frame + HEADER > ctx.data_end() {
        return XDP_PASS;
    }
    // SAFETY: the frame has a header.
    let kind = unsafe { ((frame + TYPE) as *const u16).read_unaligned() };
    if kind != EXPERIMENT_ETHER_TYPE.to_be() {
        return XDP_PASS;
    }
    SOCKETS
        .redirect(0, XDP_PASS.into())
        .unwrap_or_else(|action| action)
}

/// Lets every frame pass. For such a program the kernel puts each frame into one linear buffer, as simple
/// network cards do.
#[xdp]
fn pass(_ctx: XdpContext) -> u32 {
    XDP_PASS
}
