//! Sites of shared extents, in modules.

use zctrace_common::Acc;

use crate::book::{account, probe::program};

macro_rules! cloner {
    ($($name:ident)+) => {
        $(program! {
            at_return $name(bytes: i64) {
                if bytes > 0 {
                    account::saw(Acc::Cloned, bytes as u64);
                }
            }
        })+
    };
}

cloner! { xfs_remap btrfs_remap }
