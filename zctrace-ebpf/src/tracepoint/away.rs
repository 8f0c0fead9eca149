//! Calls that end before they reach the function that does their work. Nothing was tried, so they are not operations.
//! The functions backend does not see them, because it watches those functions.

use crate::{
    base::{
        abi::{FIDEDUPERANGE, FMODE_PATH, SPLICE_F_ALL},
        global::global,
        kernel::{self, Access as _, Probed},
        maps::offset,
        syscalls,
    },
    book::object,
};

const EBADF: i64 = -9;
const EINVAL: i64 = -22;
const ESPIPE: i64 = -29;
const ENOTSOCK: i64 = -88;

global! {
    /// Whether the call that just ended with `result`, which is not positive, is not an operation.
    pub(crate) fn turned_away(regs: u64, result: i64) -> u32 {
        let regs = regs as *const u8;
        let argument = |offset| Probed::load::<u64>(regs, offset);
        let nr = kernel::current_nr();
        // A destination that fails is reported in its own status; before the first one, the call itself fails.
        let dedupes = nr == syscalls::IOCTL && argument(offset!(regs_arg1)) == FIDEDUPERANGE;
        let away = match result {
            // splice(2) and tee(2) return at once if they are asked for 0 bytes.
            0 => match nr {
                syscalls::SPLICE => argument(offset!(regs_arg4)) == 0,
                syscalls::TEE => argument(offset!(regs_arg2)) == 0,
                _ => false,
            },
            EBADF => match nr {
                syscalls::SPLICE | syscalls::COPY_FILE_RANGE => {
                    is_no_file(argument(offset!(regs_arg0))) || is_no_file(argument(offset!(regs_arg2)))
                }
                syscalls::TEE => {
                    is_no_file(argument(offset!(regs_arg0))) || is_no_file(argument(offset!(regs_arg1)))
                }
                // These look up the descriptor in the function that is watched.
                syscalls::SENDTO | syscalls::RECVFROM | syscalls::SENDFILE | syscalls::VMSPLICE => false,
                _ => is_no_file(argument(offset!(regs_arg0))),
            },
            // For splice(2) this is an offset in a pipe, for the others a position in an object that has none.
            ESPIPE => nr == syscalls::SPLICE || is_positional(nr),
            EINVAL => match nr {
                syscalls::SPLICE => argument(offset!(regs_arg5)) as u32 & !SPLICE_F_ALL != 0,
                syscalls::TEE => argument(offset!(regs_arg3)) as u32 & !SPLICE_F_ALL != 0,
                _ => is_positional(nr) && (argument(offset!(regs_arg3)) as i64) < 0,
            },
            ENOTSOCK => matches!(
                nr,
                syscalls::SENDMSG | syscalls::RECVMSG | syscalls::SENDMMSG | syscalls::RECVMMSG
            ),
            _ => false,
        };
        (away || dedupes && result < 0).into()
    }
}

/// Whether there is no file behind a descriptor that calls can work on.
#[inline(always)]
fn is_no_file(fd: u64) -> bool {
    let file = object::file_of_fd(fd as u32);
    file.is_null() || Probed::load::<u32>(file, offset!(file_mode)) & FMODE_PATH != 0
}

#[inline(always)]
fn is_positional(nr: i32) -> bool {
    matches!(
        nr,
        syscalls::PREAD64
            | syscalls::PWRITE64
            | syscalls::PREADV
            | syscalls::PWRITEV
            | syscalls::PREADV2
            | syscalls::PWRITEV2
    )
}
