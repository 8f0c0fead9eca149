//! The program that traffic attaches to a map of sockets. An object of its own: a kernel can do without
//! AF_XDP, or without this.
#![no_std]
#![no_main]

use aya_ebpf::{
    bindings::{BPF_F_INGRESS, sk_action::SK_PASS},
    helpers::bpf_msg_pull_data,
    macros::{map, sk_msg},
    maps::SockMap,
    programs::SkMsgContext,
};

mod bare;

/// The sender, and the receiver behind it.
#[map]
static SOCKETS: SockMap = SockMap::with_max_entries(2, 0);

/// Puts a message into the queue of its receiver: past the network stack.
#[sk_msg]
fn to_receiver(ctx: SkMsgContext) -> u32 {
    // SAFETY: the context is that of the running program.
    unsafe { SOCKETS.redirect_msg(&ctx, 1, u64::from(BPF_F_INGRESS)) as u32 }
}

/// Makes one piece of a message, which the kernel copies for that, and lets it go its way.
#[sk_msg]
fn pulled(ctx: SkMsgContext) -> u32 {
    // SAFETY: the context is that of the running program.
    unsafe { bpf_msg_pull_data(ctx.msg, 0, ctx.size(), 0) };
    SK_PASS
}
