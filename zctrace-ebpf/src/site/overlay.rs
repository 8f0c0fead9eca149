//! Why overlayfs copies within calls that are no I/O. A function of a module, so a kretprobe.

use crate::book::{account, probe::program, target};

program! {
    /// `ovl_copy_up_flags`, which opening for writing, `chmod`, `chown` and their like pass: what
    /// sites have seen in the call until now was its copying. What its return is not seen of stays
    /// a row of the call.
    kretprobe copy_up(ctx) {
        let _ = ctx;
        // SAFETY: nothing else in this program refers to the thread's record.
        if let Some(task) = unsafe { target::current() } {
            account::copied_up(task);
        }
    }
}
