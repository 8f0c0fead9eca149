//! Settling an operation: see [`zctrace_common::explain`].

use zctrace_common::{Task, explain};

use crate::{base::global::global, book::object::Ends};

pub(crate) use zctrace_common::Shape;

/// Explains an operation into [`Task::delta`] and empties the accumulators.
#[inline(always)]
pub(crate) fn settle(task: &mut Task, shape: Shape, result: i64) {
    settle_operation(task, shape as u32, result);
}

global! {
    /// `shape` is a [`Shape`].
    fn settle_operation(task: *mut Task, shape: u32, result: i64) -> u32 {
        // SAFETY: the only caller passes its own `&mut Task` and does not use it until this returns.
        if let Some(task) = unsafe { task.as_mut() } {
            explain(task, shape, result);
        }
        0
    }
}

/// Which legs an operation has.
#[inline(always)]
pub(crate) fn legs(ends: &Ends) -> Shape {
    zctrace_common::legs(ends.source, ends.sink)
}
