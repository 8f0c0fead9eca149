//! How the moved bytes of one operation are explained by what its sites saw: the heart of the ledger.
//!
//! Pure: it knows neither maps nor the kernel. BPF programs run it, and tests hold it to its promises.

use crate::{Acc, Class, Object, ObjectKind, Task, words};

/// Which sites can explain an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Shape {
    /// Bytes go to a buffer in user memory: `read`, `recv`.
    ToUser = 0,
    /// Bytes come from a buffer in user memory: `write`, `send`.
    FromUser,
    /// From a file or socket into a pipe.
    Source,
    /// From a pipe into a file or socket.
    Sink,
    /// Both, with the task's internal pipe between them: `sendfile`, `copy_file_range`.
    Both,
    /// The interface itself moves references, on its only branch: `tee`, `vmsplice` into a pipe.
    Reference,
    /// Like [`Shape::ToUser`], of a stream whose bytes were dropped instead (`MSG_TRUNC` on TCP).
    Dropped,
}

impl Shape {
    /// The shape with a number that was made of one.
    #[inline(always)]
    #[must_use]
    pub const fn numbered(number: u32) -> Self {
        match number {
            0 => Self::ToUser,
            1 => Self::FromUser,
            2 => Self::Source,
            3 => Self::Sink,
            4 => Self::Both,
            5 => Self::Reference,
            _ => Self::Dropped,
        }
    }
}

/// Which legs an operation between two packed [`Object`]s has.
#[inline(always)]
#[must_use]
pub const fn legs(source: u64, sink: u64) -> Shape {
    match (is_pipe(source), is_pipe(sink)) {
        // `splice_pipe_to_pipe` moves references on its only branch.
        (true, true) => Shape::Reference,
        (true, false) => Shape::Sink,
        (false, true) => Shape::Source,
        (false, false) => Shape::Both,
    }
}

#[inline(always)]
const fn is_pipe(object: u64) -> bool {
    Object::is(object, ObjectKind::Pipe)
}

/// The result of a message that failed unreported, because others of the same call had succeeded: no operation, and no
/// error. What was copied for it was wasted.
pub const UNREPORTED: i64 = i64::MIN;

/// Explains an operation into [`Task::delta`] and empties the accumulators. `shape` is a [`Shape`] as a
/// number, `result` what the operation returned: bytes, a negated errno, or [`UNREPORTED`].
///
/// The classes of [`Task::delta`] always sum to its `moved`.
#[inline(always)]
pub fn explain(task: &mut Task, shape: u32, result: i64) {
    const TO_USER: u32 = Shape::ToUser as u32;
    const FROM_USER: u32 = Shape::FromUser as u32;
    const SOURCE: u32 = Shape::Source as u32;
    const SINK: u32 = Shape::Sink as u32;
    const BOTH: u32 = Shape::Both as u32;
    const REFERENCE: u32 = Shape::Reference as u32;
    task.delta = words::no_counts();
    task.delta.ops = 1;
    if result == UNREPORTED {
        task.delta.ops = 0;
        task.rest = 0;
    } else if result < 0 {
        task.delta.errors = result.unsigned_abs();
        task.rest = 0;
    } else {
        task.delta.moved = result as u64;
        task.rest = result as u64;
    }
    // The kernel reads ahead, so this can be more than what moved.
    task.delta.filled = acc(task, Acc::Added);
    if task.flags & Task::FRESH != 0 {
        task.flags &= !Task::FRESH;
        forget_earlier(task);
    }
    task.delta.encrypted = acc(task, Acc::Encrypted);
    match shape {
        TO_USER => {
            take_copies(task, Class::CopiedToUser, Acc::ToUser);
            take_seen(task, Class::Direct, Acc::SourceDirect);
            take_seen(task, Class::Synthetic, Acc::SourceSynthetic);
            take_seen(task, Class::Spliced, Acc::SourceRef);
            task.delta.recopied = acc(task, Acc::SourceCopy);
        }
        FROM_USER => {
            take_copies(task, Class::CopiedFromUser, Acc::FromUser);
            take_seen(task, Class::Direct, Acc::SinkDirect);
            take_seen(task, Class::Synthetic, Acc::SinkSynthetic);
            take_seen(task, Class::Spliced, Acc::SinkRef);
            task.delta.recopied = acc(task, Acc::SinkCopy);
        }
        SOURCE => {
            take_copies(task, Class::CopiedInKernel, Acc::SourceCopy);
            take_seen(task, Class::Direct, Acc::SourceDirect);
            take_seen(task, Class::Synthetic, Acc::SourceSynthetic);
            take_seen(task, Class::Spliced, Acc::SourceRef);
        }
        SINK => {
            take_copies(task, Class::CopiedInKernel, Acc::SinkCopy);
            take_seen(task, Class::Direct, Acc::SinkDirect);
            take_seen(task, Class::Synthetic, Acc::SinkSynthetic);
            take_seen(task, Class::Spliced, Acc::SinkRef);
        }
        BOTH => both(task),
        REFERENCE => {
            take(task, Class::Spliced, u64::MAX);
        }
        // Dropped.
        _ => {
            take_seen(task, Class::CopiedToUser, Acc::ToUser);
            take(task, Class::Synthetic, u64::MAX);
        }
    }
    take(task, Class::Unexplained, u64::MAX);
    task.filled = 0;
    task.acc = words::nothing_seen();
}

/// The class of an operation whose sites saw exactly what it moved, each byte once on each leg: everything was copied,
/// or everything was passed on by reference. [`explain`] gives the same answer in more instructions.
///
/// Empties the accumulators except [`Acc::Added`], which says nothing about the class. If the answer is `None`, it has
/// changed nothing.
#[inline(always)]
pub fn take_usual(task: &mut Task, shape: Shape, result: i64) -> Option<Class> {
    match shape {
        Shape::ToUser => take_exactly(task, Acc::ToUser, Acc::ToUser, result, Class::CopiedToUser),
        Shape::FromUser => take_exactly(
            task,
            Acc::FromUser,
            Acc::FromUser,
            result,
            Class::CopiedFromUser,
        ),
        Shape::Source => take_exactly(task, Acc::SourceRef, Acc::SourceRef, result, Class::Spliced),
        Shape::Sink => take_exactly(task, Acc::SinkRef, Acc::SinkRef, result, Class::Spliced),
        Shape::Both => take_exactly(task, Acc::SourceRef, Acc::SinkRef, result, Class::Spliced),
        Shape::Reference | Shape::Dropped => None,
    }
}

/// `class`, if these two accumulators, or this one, hold `result` and no other holds anything.
#[inline(always)]
fn take_exactly(task: &mut Task, one: Acc, other: Acc, result: i64, class: Class) -> Option<Class> {
    const ADDED: u32 = 1 << Acc::Added as u32;
    if task.filled & !ADDED != 1 << one as u32 | 1 << other as u32
        || task.acc[one as usize] != result as u64
        || one as u32 != other as u32 && task.acc[other as usize] != result as u64
        || task.flags & Task::FRESH != 0
    {
        return None;
    }
    task.filled &= ADDED;
    task.acc[one as usize] = 0;
    task.acc[other as usize] = 0;
    Some(class)
}

/// Two legs: every byte passes both, so a byte is explained only if both legs are, and its class is
/// that of its first copy. `cloned` bytes pass neither.
#[inline(always)]
fn both(task: &mut Task) {
    take_seen(task, Class::Cloned, Acc::Cloned);
    let source_copy = acc(task, Acc::SourceCopy);
    let sink_copy = acc(task, Acc::SinkCopy);
    let source = source_copy
        + acc(task, Acc::SourceRef)
        + acc(task, Acc::SourceDirect)
        + acc(task, Acc::SourceSynthetic);
    let sink = sink_copy
        + acc(task, Acc::SinkRef)
        + acc(task, Acc::SinkDirect)
        + acc(task, Acc::SinkSynthetic);
    let explained = words::opaque(task, if source < sink { source } else { sink });
    let left = acc_rest(task);
    if left > explained {
        task.delta.class[Class::Unexplained as usize] = left - explained;
        task.rest = explained;
    }
    let most = words::opaque(task, source_copy.max(sink_copy));
    take(task, Class::CopiedInKernel, most);
    // What is copied too much was put into the internal pipe and thrown away again.
    task.delta.wasted = most.saturating_sub(task.delta.moved);
    task.delta.recopied = source_copy + sink_copy - most;
    take_seen(task, Class::Synthetic, Acc::SinkSynthetic);
    take_seen(task, Class::Direct, Acc::SourceDirect);
    take_seen(task, Class::Direct, Acc::SinkDirect);
    take_seen(task, Class::Synthetic, Acc::SourceSynthetic);
    take_seen(task, Class::Spliced, Acc::SinkRef);
}

#[inline(always)]
fn acc_rest(task: &mut Task) -> u64 {
    // SAFETY: derived from a unique reference.
    unsafe { (&raw const task.rest).read_volatile() }
}

/// The first operation of a thread that was there before the probes: the accumulators can hold
/// parts of the operation that was under way then. Their surplus is not this operation's; where
/// more than two of them hold something, nothing is concluded from them.
#[inline(always)]
fn forget_earlier(task: &mut Task) {
    let moved = task.delta.moved;
    let filled = task.filled & !(1 << Acc::Asked as u32 | 1 << Acc::Added as u32);
    if filled.count_ones() > 2 {
        task.acc = words::nothing_seen();
    }
    let mut i = 0;
    while i < Acc::COUNT {
        let which = &raw mut task.acc[i];
        // SAFETY: derived from a unique reference.
        unsafe {
            if which.read_volatile() > moved {
                which.write_volatile(moved);
            }
        }
        i += 1;
    }
}

/// Explains up to `bytes` of what is left by `class`; returns what was too much.
///
/// Volatile, so that the values live in the map and the verifier's states meet again.
#[inline(always)]
fn take(task: &mut Task, class: Class, bytes: u64) -> u64 {
    let rest = &raw mut task.rest;
    let counter = &raw mut task.delta.class[class as usize];
    // SAFETY: both are derived from one unique reference, and are different fields.
    unsafe {
        let left = rest.read_volatile();
        if bytes > left {
            rest.write_volatile(0);
            counter.write_volatile(counter.read_volatile() + left);
            bytes - left
        } else {
            rest.write_volatile(left - bytes);
            counter.write_volatile(counter.read_volatile() + bytes);
            0
        }
    }
}

/// What the sites saw of one kind.
#[inline(always)]
fn acc(task: &mut Task, which: Acc) -> u64 {
    // SAFETY: derived from a unique reference.
    unsafe { (&raw const task.acc[which as usize]).read_volatile() }
}

/// Explains up to what the sites saw of one kind by `class`; the surplus was copied for nothing.
#[inline(always)]
fn take_copies(task: &mut Task, class: Class, which: Acc) {
    let bytes = acc(task, which);
    if bytes != 0 {
        task.delta.wasted += take(task, class, bytes);
    }
}

/// Explains up to what the sites saw of one kind by `class`. A surplus was not copied: no harm.
#[inline(always)]
fn take_seen(task: &mut Task, class: Class, which: Acc) {
    let bytes = acc(task, which);
    if bytes != 0 {
        take(task, class, bytes);
    }
}
