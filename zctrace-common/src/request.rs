//! Requests: I/O that is submitted and completes later, by io_uring and Linux AIO.

use crate::{Acc, Cause, Flow, Op, settle::Shape};

/// Slots of the table of requests; a power of two. See `zctrace-ebpf/src/book/request.rs`.
pub const REQUEST_SLOTS: u32 = 16_384;

/// How a request was issued the last time.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// By the thread that submitted it, during the submission.
    Inline = 0,
    /// By a worker thread of the ring, `iou-wrk`.
    Worker = 1,
    /// By the thread that polls the submission queue, `iou-sqp`.
    SqPoll = 2,
    /// Again, by task work of the thread that submitted it, because what it waited for had arrived.
    TaskWork = 3,
}

impl Way {
    /// How many there are.
    pub const COUNT: usize = 4;
    /// All, in the order of [`RequestCounts::completed`].
    pub const ALL: [Self; Self::COUNT] = [Self::Inline, Self::Worker, Self::SqPoll, Self::TaskWork];
}

/// An open request.
///
/// One thread at a time works on a request, so plain adds are enough.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Address of its `io_kiocb` or `kiocb`; 0 in a free slot.
    pub key: u64,
    /// What the application calls it (io_uring).
    pub user_data: u64,
    /// The process it belongs to: an index into the table of processes.
    pub proc_slot: u32,
    /// An [`Op`].
    pub op: u32,
    /// A [`Way`].
    pub way: u32,
    /// [`Request::INDEXED`] and the other flags.
    pub flags: u32,
    /// Which accumulators are not zero, a bit for each [`Acc`].
    pub filled: u32,
    /// What was asked for and seen, as in [`crate::RowKey`].
    pub marks: u32,
    /// The word in which the flags of its completion will be. Until it has a result, this is its descriptor.
    pub descriptor: u32,
    /// Grows with every request that uses the slot.
    pub generation: u32,
    /// A property of the slot: not 0 once a request that belongs here had to go to a later slot.
    pub crowded: u64,
    /// Not 0 once a thread has concluded that a request without a report of success has succeeded. Several threads may
    /// look.
    pub concluded: u64,
    /// Bytes seen by the sites since the last completion, indexed by [`Acc`].
    pub acc: [u64; Acc::COUNT],
    /// What it works on, as in [`crate::RowKey`]; 0 while that is not known.
    pub source: u64,
    /// See [`Request::source`].
    pub sink: u64,
    /// See [`Request::source`].
    pub dimension: u64,
    /// Address of the `struct file` of the source, or 0.
    pub source_file: u64,
    /// Address of the `struct file` of the sink, or 0.
    pub sink_file: u64,
}

impl Request {
    /// It can complete more than once, and is in the index of such requests.
    pub const INDEXED: u32 = 1;
    /// It completes more than once by its nature. A result of 0 is its end, not an operation.
    pub const MULTISHOT: u32 = 2;
    /// It does not report success (`IOSQE_CQE_SKIP_SUCCESS`).
    pub const SILENT: u32 = 4;
    /// The flags of its message do not determine how its bytes move (tracepoints backend).
    pub const UNCERTAIN: u32 = 8;
    /// From this bit on, the flags have the class that was concluded when the request was submitted (tracepoints
    /// backend).
    pub const CLASS_SHIFT: u32 = 8;
}

/// How many requests a process has issued and completed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestCounts {
    /// Requests that were issued, by operation: see [`RequestCounts::index`].
    pub submitted: [u64; Self::OPS],
    /// Requests that have ended, by operation and [`Way`].
    pub completed: [[u64; Way::COUNT]; Self::OPS],
    /// Requests that were taken out of submission queues, of whatever operation (io_uring).
    pub taken: u64,
    /// How often some were taken: by calls, and by threads that poll the submission queue. One whose first request is
    /// refused at once is not seen.
    pub submissions: u64,
    /// How often a thread began to wait for completions.
    pub waits: u64,
}

impl RequestCounts {
    /// How many operations are requests.
    pub const OPS: usize = 22;
    /// Nothing.
    pub const ZERO: Self = Self {
        submitted: [0; Self::OPS],
        completed: [[0; Way::COUNT]; Self::OPS],
        taken: 0,
        submissions: 0,
        waits: 0,
    };

    /// Where an operation is counted; at least [`RequestCounts::OPS`] for operations that are not requests.
    ///
    /// It is calculated in 64 bits: what is compared in 32 bits, the verifier forgets.
    #[inline(always)]
    #[must_use]
    pub const fn index(op: u32) -> usize {
        (op as u64).wrapping_sub(Op::UringReadv as u64) as usize
    }
}

/// The requests for which something holds: the numbers of this many operations.
macro_rules! requests {
    ($count:literal, |$op:ident| $holds:expr) => {{
        let mut numbers = [0; $count];
        let (mut i, mut found) = (0, 0);
        while i < Op::ALL.len() {
            let $op = Op::ALL[i];
            if $op.is_request() && $holds {
                numbers[found] = $op as u32;
                found += 1;
            }
            i += 1;
        }
        assert!(found == $count);
        numbers
    }};
}

const LENDING: [u32; 2] = requests!(2, |op| op.lends());
const JOINING: [u32; 2] = requests!(2, |op| matches!(op.flow(), Flow::Passes(..)));
const AIO: [u32; 2] = requests!(2, |op| matches!(op.cause(), Cause::Aio));
/// The requests that take bytes into memory of the application, a bit each by [`RequestCounts::index`]. A command to a
/// driver is none: it can go either way.
const TAKING: u32 = {
    let all: [u32; 10] = requests!(10, |op| {
        matches!(op.flow(), Flow::Takes(_) | Flow::Apart) && !matches!(op, Op::UringCmd)
    });
    let (mut bits, mut i) = (0, 0);
    while i < all.len() {
        bits |= 1 << RequestCounts::index(all[i]);
        i += 1;
    }
    bits
};

/// The requests whose memory was registered beforehand, a bit each by [`RequestCounts::index`].
const REGISTERED: u32 = {
    const ALL: [Op; 4] = [
        Op::UringReadFixed,
        Op::UringWriteFixed,
        Op::UringReadvFixed,
        Op::UringWritevFixed,
    ];
    let (mut bits, mut i) = (0, 0);
    while i < ALL.len() {
        bits |= 1 << RequestCounts::index(ALL[i] as u32);
        i += 1;
    }
    bits
};

/// What the table of operations says of requests, by the number of the operation. BPF programs ask this for each
/// request, so the answers are constants that cost a comparison or two.
impl Request {
    /// Whether they lend the application's pages to packets.
    #[inline(always)]
    #[must_use]
    pub const fn lends(op: u32) -> bool {
        op == LENDING[0] || op == LENDING[1]
    }

    /// Whether they join two objects.
    #[inline(always)]
    #[must_use]
    pub const fn joins(op: u32) -> bool {
        op == JOINING[0] || op == JOINING[1]
    }

    /// Whether they are commands to a driver, whose result says nothing of bytes.
    #[inline(always)]
    #[must_use]
    pub const fn is_command(op: u32) -> bool {
        op == Op::UringCmd as u32
    }

    /// Whether they are requests of Linux AIO.
    #[inline(always)]
    #[must_use]
    pub const fn is_of_aio(op: u32) -> bool {
        op == AIO[0] || op == AIO[1]
    }

    /// Whether they take bytes from an object into memory of the application.
    #[inline(always)]
    #[must_use]
    pub const fn takes(op: u32) -> bool {
        let index = RequestCounts::index(op);
        index < RequestCounts::OPS && TAKING >> index & 1 != 0
    }

    /// Whether their memory is a buffer that was registered beforehand.
    #[inline(always)]
    #[must_use]
    pub const fn is_registered(op: u32) -> bool {
        let index = RequestCounts::index(op);
        index < RequestCounts::OPS && REGISTERED >> index & 1 != 0
    }

    /// Which sites can explain them. For a splice, its objects say more. No shape explains a command
    /// ([`Request::is_command`]).
    #[inline(always)]
    #[must_use]
    pub const fn shape(op: u32) -> Shape {
        if Self::joins(op) {
            Shape::Reference
        } else if Self::takes(op) {
            Shape::ToUser
        } else {
            Shape::FromUser
        }
    }
}

/// The [`Op`] of each opcode of io_uring; 0 for opcodes that move no bytes, or do not report how many. The second
/// half is for receives that only look ([`Op::UringRecvPeek`]).
pub const OPCODES: [u8; 2 * MOST_OPCODES] = {
    let mut ops = [0; 2 * MOST_OPCODES];
    let mut i = 0;
    while i < Op::ALL.len() {
        if let Cause::Uring(opcode) = Op::ALL[i].cause()
            && ops[opcode as usize] == 0
        {
            ops[opcode as usize] = Op::ALL[i] as u8;
        }
        i += 1;
    }
    ops[MOST_OPCODES + opcode(Op::UringRecv) as usize] = Op::UringRecvPeek as u8;
    ops[MOST_OPCODES + opcode(Op::UringRecvmsg) as usize] = Op::UringRecvPeek as u8;
    ops
};

/// No opcode is so large.
pub const MOST_OPCODES: usize = 64;

/// The opcode of a request to io_uring.
///
/// # Panics
/// For other operations.
#[must_use]
pub const fn opcode(op: Op) -> u8 {
    match op.cause() {
        Cause::Uring(opcode) => opcode,
        _ => panic!("no request to io_uring"),
    }
}

const _: () = {
    assert!(size_of::<Request>() == 24 + 40 + 8 * Acc::COUNT + 40);
    assert!(size_of::<RequestCounts>() == 8 * (RequestCounts::OPS * (1 + Way::COUNT) + 3));
    assert!(RequestCounts::index(Op::UringCmd as u32) == RequestCounts::OPS - 1);
    let mut i = 0;
    while i < Op::ALL.len() {
        let is_counted = RequestCounts::index(Op::ALL[i] as u32) < RequestCounts::OPS;
        assert!(is_counted == Op::ALL[i].is_request());
        i += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_table_says() {
        for op in Op::ALL.iter().copied().filter(|op| op.is_request()) {
            let number = op as u32;
            assert_eq!(Request::is_command(number), op == Op::UringCmd);
            assert_eq!(
                Request::is_registered(number),
                op.name().ends_with("_fixed")
            );
            assert_eq!(Request::lends(number), op.lends(), "{op:?}");
            assert_eq!(Request::is_of_aio(number), op.cause() == Cause::Aio);
            let takes = op.goes_out() == Some(false) || op == Op::UringRecvPeek;
            assert_eq!(Request::takes(number), takes);
            let shape = match op.flow() {
                Flow::Takes(_) => Shape::ToUser,
                Flow::Gives(_) => Shape::FromUser,
                Flow::Passes(..) => Shape::Reference,
                Flow::Apart if op == Op::UringRecvPeek => Shape::ToUser,
                Flow::Apart if op == Op::UringCmd => continue,
                Flow::Shows(_) | Flow::Apart => panic!("{op:?} has no shape"),
            };
            assert_eq!(Request::shape(number), shape, "{op:?}");
        }
    }

    #[test]
    fn other_operations_are_no_requests() {
        for op in Op::ALL.iter().filter(|op| !op.is_request()) {
            let number = *op as u32;
            let is = [
                Request::lends,
                Request::joins,
                Request::is_of_aio,
                Request::takes,
            ];
            assert!(!is.into_iter().any(|is| is(number)), "{op:?}");
        }
    }
}
