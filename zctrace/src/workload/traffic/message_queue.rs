//! Message queues, POSIX and System V: a copy in and a copy out, as through a pipe.

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    libc,
    mqueue::{
        MQ_OFlag, MqAttr, mq_attr_member_t, mq_close, mq_open, mq_receive, mq_send, mq_unlink,
    },
    sys::stat::Mode,
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic, stage::buffer::Buffer, truth::exact,
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "mqueue",
        "mq_send and mq_receive, some of them refused",
        posix,
    ),
    Traffic::new(
        "msgqueue",
        "msgsnd and msgrcv, some of them refused",
        system_v,
    ),
    Traffic::new(
        "msgqueue-copy",
        "msgrcv with MSG_COPY, which leaves the message in the queue",
        system_v_copy,
    )
    .tag("msg-copy"),
];

/// Length of a message: what both kinds allow unless they are told otherwise.
const MESSAGE: usize = 8192;
/// Messages that the queue of the POSIX kind has room for.
const ROOM: u64 = 2;

/// The truth: every message goes in and comes out, an empty queue has none more, and one that is too
/// long is refused before it is loaded. A message that a full queue refuses was loaded for nothing.
fn expected(arena: &Arena, object: &str, fill: u64, too_long: i32, empty: i32) -> Expected {
    let bytes = arena.sizes.bytes;
    let calls = exact::calls(bytes, MESSAGE);
    let more = fill * MESSAGE as u64;
    Expected::new()
        .moves(
            Op::Send,
            object,
            Class::CopiedFromUser,
            calls + fill,
            bytes + more,
        )
        .moves(
            Op::Recv,
            object,
            Class::CopiedToUser,
            calls + fill,
            bytes + more,
        )
        .row(ExpectedRow::new(Op::Recv, object).errors(empty, 1))
        .row(ExpectedRow::new(Op::Send, object).errors(too_long, 1))
        .row(
            ExpectedRow::new(Op::Send, object)
                .errors(libc::EAGAIN, 1)
                .wasted(MESSAGE as u64),
        )
}

fn posix(arena: &Arena) -> Result<Prepared> {
    let bytes = arena.sizes.bytes;
    let name = format!("/zctrace-{}", std::process::id());
    let attributes = MqAttr::new(0, ROOM as mq_attr_member_t, MESSAGE as mq_attr_member_t, 0);
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR | MQ_OFlag::O_NONBLOCK;
    let queue = match mq_open(name.as_str(), flags, Mode::S_IRWXU, Some(&attributes)) {
        Err(Errno::ENOSYS) => {
            return Err(Skip("this kernel has no POSIX message queues".into()).into());
        }
        queue => queue.context("mq_open")?,
    };
    mq_unlink(name.as_str())?;
    let expected = expected(arena, "mqueue", ROOM, libc::EMSGSIZE, libc::EAGAIN);
    Ok(Prepared::new(expected, move || {
        let out = Buffer::filled(MESSAGE + 1)?;
        let mut back = Buffer::zeroed(MESSAGE)?;
        let mut priority = 0;
        exact::exactly(bytes, MESSAGE, |_, length| {
            mq_send(&queue, &out[..length], 0)?;
            mq_receive(&queue, &mut back, &mut priority)
        })?;
        for _ in 0..ROOM {
            mq_send(&queue, &out[..MESSAGE], 0)?;
        }
        let full = mq_send(&queue, &out[..MESSAGE], 0);
        ensure!(full == Err(Errno::EAGAIN), "a full queue: {full:?}");
        for _ in 0..ROOM {
            mq_receive(&queue, &mut back, &mut priority)?;
        }
        let empty = mq_receive(&queue, &mut back, &mut priority);
        ensure!(empty == Err(Errno::EAGAIN), "an empty queue: {empty:?}");
        let long = mq_send(&queue, &out[..=MESSAGE], 0);
        ensure!(long == Err(Errno::EMSGSIZE), "a long message: {long:?}");
        mq_close(queue)?;
        Ok(())
    }))
}

/// A System V queue.
#[derive(Clone, Copy)]
struct Queue(libc::c_int);

/// A queue outlives its processes if nobody removes it.
struct Remove(Queue);

/// A message as `msgsnd` takes it.
struct Message(Buffer);

impl Queue {
    fn new() -> Result<Self> {
        // SAFETY: no memory is passed.
        match Errno::result(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) }) {
            Err(Errno::ENOSYS) => {
                Err(Skip("this kernel has no System V message queues".into()).into())
            }
            id => Ok(Self(id.context("msgget")?)),
        }
    }

    fn send(&self, message: &mut Message, length: usize) -> nix::Result<libc::c_int> {
        let message = message.0.as_mut_ptr().cast();
        // SAFETY: the kernel reads at most the message; it refuses lengths beyond its limit, which
        // is what the message has room for.
        Errno::result(unsafe { libc::msgsnd(self.0, message, length, libc::IPC_NOWAIT) })
    }

    fn receive(&self, message: &mut Message, flags: libc::c_int) -> nix::Result<usize> {
        let message = message.0.as_mut_ptr().cast();
        let flags = flags | libc::IPC_NOWAIT;
        // SAFETY: the kernel writes at most the message, which is this long.
        let length = unsafe { libc::msgrcv(self.0, message, MESSAGE, 0, flags) };
        Errno::result(length).map(isize::unsigned_abs)
    }

    /// How many messages of the full length it has room for.
    fn room(&self) -> Result<u64> {
        // SAFETY: a structure of integers.
        let mut state: libc::msqid_ds = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills the structure.
        let result = unsafe { libc::msgctl(self.0, libc::IPC_STAT, &raw mut state) };
        Errno::result(result).context("IPC_STAT")?;
        Ok(state.msg_qbytes / MESSAGE as u64)
    }
}

impl Drop for Remove {
    fn drop(&mut self) {
        // SAFETY: no memory is passed.
        let _ = unsafe { libc::msgctl(self.0.0, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

impl Message {
    fn new() -> Result<Self> {
        const HEAD: usize = size_of::<libc::c_long>();
        let mut memory = Buffer::filled(HEAD + MESSAGE)?;
        memory[..HEAD].copy_from_slice(&(1 as libc::c_long).to_ne_bytes());
        Ok(Self(memory))
    }
}

fn system_v(arena: &Arena) -> Result<Prepared> {
    /// More than any queue takes.
    const TOO_LONG: usize = 1 << 30;
    let bytes = arena.sizes.bytes;
    let queue = Queue::new()?;
    let remove = Remove(queue);
    let room = queue.room()?;
    let expected = expected(arena, "msgqueue", room, libc::EINVAL, libc::ENOMSG);
    let mut prepared = Prepared::new(expected, move || {
        let mut message = Message::new()?;
        exact::exactly(bytes, MESSAGE, |_, length| {
            queue.send(&mut message, length)?;
            queue.receive(&mut message, 0)
        })?;
        for _ in 0..room {
            queue.send(&mut message, MESSAGE)?;
        }
        let full = queue.send(&mut message, MESSAGE);
        ensure!(full == Err(Errno::EAGAIN), "a full queue: {full:?}");
        for _ in 0..room {
            queue.receive(&mut message, 0)?;
        }
        let empty = queue.receive(&mut message, 0);
        ensure!(empty == Err(Errno::ENOMSG), "an empty queue: {empty:?}");
        let long = queue.send(&mut message, TOO_LONG);
        ensure!(long == Err(Errno::EINVAL), "a long message: {long:?}");
        Ok(())
    });
    prepared.keep.push(Box::new(remove));
    Ok(prepared)
}

/// The kernel makes room for the copy by loading the receiver's buffer, copies the message there, and
/// hands that out.
fn system_v_copy(arena: &Arena) -> Result<Prepared> {
    /// Of the message that is looked at.
    const LENGTH: usize = MESSAGE / 2;
    const MSG_COPY: libc::c_int = 0o40_000;
    let calls = exact::calls(arena.sizes.bytes, LENGTH);
    let queue = Queue::new()?;
    let remove = Remove(queue);
    let mut message = Message::new()?;
    queue.send(&mut message, LENGTH).context("msgsnd")?;
    match queue.receive(&mut message, MSG_COPY) {
        Err(Errno::ENOSYS) => return Err(Skip("this kernel has no MSG_COPY".into()).into()),
        looked => looked.context("MSG_COPY")?,
    };
    let (bytes, loaded) = (calls * LENGTH as u64, calls * MESSAGE as u64);
    let row = ExpectedRow::new(Op::RecvPeek, "msgqueue").ops(calls);
    let row = row.class(Class::CopiedToUser, bytes);
    let expected = Expected::new().row(row.recopied(bytes + loaded));
    let mut prepared = Prepared::new(expected, move || {
        for _ in 0..calls {
            let length = queue.receive(&mut message, MSG_COPY)?;
            ensure!(length == LENGTH, "{length} bytes");
        }
        Ok(())
    });
    prepared.keep.push(Box::new(remove));
    Ok(prepared)
}
