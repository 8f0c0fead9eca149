//! vhost: threads of the kernel that carry what virtual machines send and receive, for the process that runs them.
//!
//! A worker of vhost-net takes packets out of the memory of its process, each by `copy_page_from_iter` or, later,
//! `copy_from_iter` in `vhost_net_build_xdp`, and hands many over together, to a tap device or a macvtap. There they are
//! counted; no site may count them at those functions as well. What it sends alone, `skb_copy_datagram_from_iter` copies;
//! what it receives, `skb_copy_datagram_iter`. These sites see that.
//!
//! Before Linux 6.4 workers are kernel threads. Their copies are nobody's, and only seen where the whole machine is the
//! target.

use aya_ebpf::programs::FEntryContext;
use zctrace_common::{ABSENT, Acc, FOLLOWS_VHOST, Task};

use crate::{
    base::{
        kernel::{self, Access as _, Probed, Typed},
        maps::{offset, reports},
    },
    book::{account, object, probe::program, target},
};

/// Whether nothing sees what the worker will copy that the current thread makes. It does so by a request to a device
/// (`VHOST_SET_OWNER`). Of vhost's other devices (vsock, SCSI) nothing is seen. KVM has such threads too, which copy
/// nothing for their process.
#[inline(always)]
pub(crate) fn makes_unseen_worker() -> bool {
    /// `VHOST_VIRTIO`, the type of vhost's requests.
    const VHOST: u64 = 0xaf;
    /// The device number of `/dev/vhost-net`: 10 is that of miscellaneous devices, 238 is `VHOST_NET_MINOR`.
    const VHOST_NET: u32 = 10 << 20 | 238;
    let regs = kernel::current_regs();
    if kernel::call_argument(regs, 1) >> 8 & 0xff != VHOST {
        return false;
    }
    let file = object::file_of_fd(kernel::call_argument(regs, 0) as u32);
    let inode = kernel::pointer::<Probed>(file, offset!(file_inode));
    !reports(FOLLOWS_VHOST as u16) || Probed::load::<u32>(inode, offset!(inode_rdev)) != VHOST_NET
}

program! {
    /// `tun_sendmsg(sock, msg, …)`.
    fentry marked tun_sendmsg(ctx) { handed_over(ctx); }
}

program! {
    /// `tap_sendmsg(sock, msg, …)`: the same for macvtap and ipvtap.
    fentry marked tap_sendmsg(ctx) { handed_over(ctx); }
}

/// A worker hands packets over, as a `struct tun_msg_ctl` that its message points at.
#[inline(always)]
fn handed_over(ctx: &FEntryContext) {
    // SAFETY: nothing else in this program refers to the thread's record.
    let Some(task) = (unsafe { target::current_or_adopt() }) else {
        return;
    };
    if task.flags & (Task::WORKER | Task::KTHREAD) == 0 {
        return;
    }
    let message: *const u8 = ctx.arg(1);
    let (packets, bytes) = packets_of(kernel::pointer::<Typed>(message, offset!(msghdr_control)));
    if packets > 0 {
        account::outside_calls(task, Acc::FromUser, bytes, packets);
    }
}

/// How many packets a `struct tun_msg_ctl` (any pointer) has, and their bytes without headers.
#[inline(always)]
fn packets_of(control: *const u8) -> (u64, u64) {
    /// `VHOST_NET_BATCH`.
    const MOST: u64 = 64;
    /// An array of `xdp_buff`.
    const TUN_MSG_PTR: u16 = 2;
    const NUM: u32 = 2;
    const PTR: u32 = 8;
    if control.is_null()
        || Probed::load::<u16>(control, 0) != TUN_MSG_PTR
        || offset!(xdp_flags) == ABSENT
    {
        return (0, 0);
    }
    let packets = u64::from(Probed::load::<u16>(control, NUM));
    let size = (u64::from(offset!(xdp_flags)) + 4).next_multiple_of(8);
    let mut at = Probed::load::<u64>(control, PTR);
    let (mut i, mut bytes) = (0, 0);
    while i < MOST && i < packets {
        let buff = at as *const u8;
        let begin: u64 = Probed::load(buff, offset!(xdp_data));
        bytes += Probed::load::<u64>(buff, offset!(xdp_data_end)).wrapping_sub(begin);
        at += size;
        i += 1;
    }
    (i, bytes)
}
