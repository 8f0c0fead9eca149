//! Bounce buffers: if a device may not reach the pages themselves, as in confidential virtual machines and with
//! `swiotlb=force`, a CPU copies everything that the device transfers.
//!
//! A transfer is mapped by whoever gives it to the device: the thread that asked, a worker or an interrupt, for its own
//! bytes or for queued bytes of others. So the owner of the bytes is not known, and they are counted for the [`Place`].

use zctrace_common::Place;

use crate::{
    book::{probe::program, twin},
    site::late::count_unowned,
};

program! {
    /// A transfer goes through a bounce buffer.
    tp_btf anywhere swiotlb_bounced(ctx, id, second) {
        let address: u64 = ctx.arg(1);
        let bytes: u64 = ctx.arg(2);
        if twin::take_turn(id, second, address) {
            count_unowned(Place::Bounce as u32, bytes);
        }
    }
}
