//! What an application asked for, and what contradicts it: see [`Mark`].

use zctrace_common::Mark;

use crate::base::{
    abi::{O_DIRECT, SPLICE_F_MOVE_OR_GIFT},
    kernel::Access,
    maps::offset,
};

/// What the flags of an open file ask for. (Pipes use `O_DIRECT` for something else, which the user side knows.) There
/// is no branch, so that the verifier has only one path to follow.
#[inline(always)]
pub(crate) fn of_file<A: Access>(file: *const u8) -> u8 {
    let flags: u32 = A::load(file, offset!(file_flags));
    ((flags & O_DIRECT) / (O_DIRECT / Mark::Direct as u32)) as u8
}

/// What the flags of `splice` or `vmsplice` ask for.
#[inline(always)]
pub(crate) fn of_splice(flags: u32) -> u8 {
    if flags & SPLICE_F_MOVE_OR_GIFT != 0 {
        Mark::Gift as u8
    } else {
        0
    }
}
