//! How the moved bytes of one operation are explained by what its sites saw.

use zctrace_common::{Acc, Class, Counters, Task};

/// Which sites can explain an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Bytes go to a buffer in user memory: `read`, `recv`.
    ToUser,
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

/// What is left to be explained.
struct Remainder<'a> {
    moved: u64,
    delta: &'a mut Counters,
}

impl Remainder<'_> {
    /// Explains up to `bytes` by `class`; returns what was too much.
    #[inline(always)]
    fn take(&mut self, class: Class, bytes: u64) -> u64 {
        let taken = if bytes < self.moved { bytes } else { self.moved };
        self.moved -= taken;
        self.delta.class[class as usize] += taken;
        bytes - taken
    }
}

/// Explains an operation and empties the accumulators.
#[inline(never)]
pub(crate) fn settle(task: &mut Task, shape: Shape, result: i64) -> Counters {
    let mut delta = Counters { ops: 1, ..Counters::default() };
    let moved = if result < 0 {
        delta.errors = 1;
        0
    } else {
        result as u64
    };
    delta.moved = moved;
    if task.flags & Task::FRESH != 0 {
        task.flags &= !Task::FRESH;
        forget_earlier(task, moved);
    }
    let acc = |which: Acc| task.acc[which as usize];
    let mut rest = Remainder { moved, delta: &mut delta };
    match shape {
        Shape::ToUser => {
            let wasted = rest.take(Class::CopiedToUser, acc(Acc::ToUser));
            rest.take(Class::Direct, acc(Acc::SourceDirect));
            rest.take(Class::Synthetic, acc(Acc::SourceSynthetic));
            rest.delta.wasted = wasted;
            rest.delta.recopied = acc(Acc::SourceCopy);
        }
        Shape::FromUser => {
            let wasted = rest.take(Class::CopiedFromUser, acc(Acc::FromUser));
            rest.take(Class::Direct, acc(Acc::SinkDirect));
            rest.take(Class::Synthetic, acc(Acc::SinkSynthetic));
            rest.take(Class::Spliced, acc(Acc::SinkRef));
            rest.delta.wasted = wasted;
            rest.delta.recopied = acc(Acc::SinkCopy);
        }
        Shape::Source => {
            let wasted = rest.take(Class::CopiedInKernel, acc(Acc::SourceCopy));
            rest.take(Class::Direct, acc(Acc::SourceDirect));
            rest.take(Class::Synthetic, acc(Acc::SourceSynthetic));
            rest.take(Class::Spliced, acc(Acc::SourceRef));
            rest.delta.wasted = wasted;
        }
        Shape::Sink => {
            let wasted = rest.take(Class::CopiedInKernel, acc(Acc::SinkCopy));
            rest.take(Class::Direct, acc(Acc::SinkDirect));
            rest.take(Class::Synthetic, acc(Acc::SinkSynthetic));
            rest.take(Class::Spliced, acc(Acc::SinkRef));
            rest.delta.wasted = wasted;
        }
        Shape::Both => both(&mut rest, &task.acc),
        Shape::Reference => {
            rest.take(Class::Spliced, moved);
        }
        Shape::Dropped => {
            rest.take(Class::CopiedToUser, acc(Acc::ToUser));
            let dropped = rest.moved;
            rest.take(Class::Synthetic, dropped);
        }
    }
    let unexplained = rest.moved;
    delta.class[Class::Unexplained as usize] += unexplained;
    task.filled = 0;
    task.acc = [0; Acc::COUNT];
    delta
}

/// Two legs: every byte passes both, so a byte is explained only if both legs are, and its class is
/// that of its first copy. `cloned` bytes pass neither.
#[inline(always)]
fn both(rest: &mut Remainder<'_>, acc: &[u64; Acc::COUNT]) {
    let get = |which: Acc| acc[which as usize];
    rest.take(Class::Cloned, get(Acc::Cloned));
    let source_copy = get(Acc::SourceCopy);
    let sink_copy = get(Acc::SinkCopy);
    let source = source_copy
        + get(Acc::SourceRef)
        + get(Acc::SourceDirect)
        + get(Acc::SourceSynthetic);
    let sink = sink_copy + get(Acc::SinkRef) + get(Acc::SinkDirect) + get(Acc::SinkSynthetic);
    let explained = if source < sink { source } else { sink };
    let unexplained = rest.moved.saturating_sub(explained);
    rest.moved -= unexplained;

    let (most, least) =
        if source_copy > sink_copy { (source_copy, sink_copy) } else { (sink_copy, source_copy) };
    // What is copied too much was put into the internal pipe and thrown away again.
    let wasted = rest.take(Class::CopiedInKernel, most);
    rest.delta.wasted = wasted;
    rest.delta.recopied = least;
    rest.take(Class::Synthetic, get(Acc::SinkSynthetic));
    rest.take(Class::Direct, get(Acc::SourceDirect) + get(Acc::SinkDirect));
    rest.take(Class::Synthetic, get(Acc::SourceSynthetic));
    rest.take(Class::Spliced, get(Acc::SinkRef));
    rest.moved += unexplained;
}

/// The first operation of a thread that was there before the probes: the accumulators can hold
/// parts of the operation that was under way then. Their surplus is not this operation's; where
/// they do not agree among themselves nothing is concluded from them.
#[inline(always)]
fn forget_earlier(task: &mut Task, moved: u64) {
    let mut kinds = 0_u32;
    let mut i = 0;
    while i < Acc::COUNT {
        if task.acc[i] > moved {
            task.acc[i] = moved;
        }
        if task.acc[i] != 0 {
            kinds += 1;
        }
        i += 1;
    }
    if kinds > 2 {
        task.acc = [0; Acc::COUNT];
    }
}
