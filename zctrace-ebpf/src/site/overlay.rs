//! Why overlayfs copies within calls that are not I/O operations. The function belongs to a module, so this is a
//! kretprobe.

use crate::book::{account, probe::program, target};

program! {
    /// Opening for writing, `chmod`, `chown` and similar calls pass `ovl_copy_up_flags`: all that sites have seen in
    /// the call so far was its copying. If its return is not seen, the copies stay in a row of the call.
    kretprobe copy_up(ctx) {
        let _ = ctx;
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current_or_adopt() } {
            account::copied_up(task);
        }
    }
}
