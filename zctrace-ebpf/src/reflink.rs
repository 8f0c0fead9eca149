//! Sites of shared extents. Functions of modules, so kretprobes.

use zctrace_common::Acc;

use crate::{account, probe::kretprobe};

macro_rules! cloner {
    ($($name:ident)+) => {
        $(kretprobe! {
            $name(ctx) {
                let bytes: i64 = ctx.ret();
                if bytes > 0 {
                    account::saw(Acc::Cloned, bytes as u64);
                }
            }
        })+
    };
}

cloner! { xfs_remap btrfs_remap }
