//! A server of many connections in one thread: it waits until some can be read, reads what is
//! there, and sends it back. What differs is how it waits.

use std::{
    net::TcpStream,
    os::fd::{AsFd as _, AsRawFd as _},
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        resource::{Resource, getrlimit, setrlimit},
        select::{FD_SETSIZE, FdSet, select},
        socket::{MsgFlags, recv, send},
    },
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared, Skip},
    Job, Ready, Setting, Technique, Variant,
};
use crate::workload::{
    stage::{buffer::Buffer, shared::Shared, sockets::tcp_pair},
    truth::exact::exactly,
};

pub(super) const EPOLL: Technique = Technique::new(
    "epoll-echo",
    "echo on many connections, found with epoll",
    Job::Echo,
    &[Variant::only("epoll-echo", |setting| {
        echo(setting, by_epoll)
    })],
);

pub(super) const POLL: Technique = Technique::new(
    "poll-echo",
    "echo on many connections, found with poll",
    Job::Echo,
    &[Variant::only("poll-echo", |setting| echo(setting, by_poll))],
);

pub(super) const SELECT: Technique = Technique::new(
    "select-echo",
    "echo on many connections, found with select",
    Job::Echo,
    &[Variant::only("select-echo", |setting| {
        ensure!(
            setting.parameters.connections * 2 + 64 < FD_SETSIZE,
            Skip(format!(
                "select cannot watch descriptors beyond {FD_SETSIZE}"
            ))
        );
        echo(setting, by_select)
    })],
);

/// Counters of the server's calls.
const CALLS: usize = 0;

/// Largest message: what a connection takes in without anyone reading.
const MOST: usize = 256 << 10;

/// Serves all connections until they have closed.
type Serve = fn(&[TcpStream], &mut Answer) -> Result<()>;

/// Connected pairs, the near ends and the far ends.
pub(super) fn connections(number: usize) -> Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = (2 * number + 128) as u64;
    if soft < wanted {
        ensure!(
            hard >= wanted,
            Skip(format!(
                "{wanted} descriptors are needed, {hard} are allowed"
            ))
        );
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    let pairs: Result<Vec<_>> = (0..number).map(|_| tcp_pair()).collect();
    Ok(pairs?.into_iter().unzip())
}

fn echo(setting: &Setting<'_>, serve: Serve) -> Result<Ready> {
    let (near, far) = connections(setting.parameters.connections)?;
    let pieces = setting.parameters.pieces(MOST);
    let bytes = pieces.total();
    let shared = setting.shared;
    let row = |op, class| ExpectedRow::new(op, "tcp").class(class, bytes);
    let expected = Expected::new()
        .row(row(Op::Recv, Class::CopiedToUser))
        .row(row(Op::Send, Class::CopiedFromUser))
        .row(
            row(Op::Recv, Class::CopiedToUser)
                .ops(pieces.calls())
                .of(Prepared::PEER),
        )
        .row(
            row(Op::Send, Class::CopiedFromUser)
                .ops(pieces.calls())
                .of(Prepared::PEER),
        );
    let prepared = Prepared::new(expected, move || {
        let mut answer = Answer {
            buffer: Buffer::zeroed(pieces.chunk())?,
            left: bytes,
            shared,
        };
        serve(&near, &mut answer)
    });
    // A message is under way on each connection at a time.
    let prepared = prepared.peer(move || {
        let mut buffer = Buffer::filled(pieces.chunk())?;
        let mut waiting = std::collections::VecDeque::new();
        let mut next = far.iter().cycle();
        pieces.each(|_, length| {
            if waiting.len() == far.len() {
                collect(&mut waiting, &mut buffer)?;
            }
            let connection = next.next().ok_or(Errno::ENOTCONN)?;
            let sent = send(connection.as_raw_fd(), &buffer[..length], MsgFlags::empty())?;
            waiting.push_back((connection, length));
            Ok(sent)
        })?;
        while !waiting.is_empty() {
            collect(&mut waiting, &mut buffer)?;
        }
        Ok(())
    });
    let prepared = prepared.finish(move |expected| {
        for op in [Op::Recv, Op::Send] {
            expected.add(ExpectedRow::new(op, "tcp").ops(shared.counted(CALLS)));
        }
        Ok(())
    });
    Ok(Ready::new(bytes, prepared))
}

/// Receives the answer to the oldest message.
fn collect(
    waiting: &mut std::collections::VecDeque<(&TcpStream, usize)>,
    buffer: &mut [u8],
) -> nix::Result<()> {
    let Some((connection, length)) = waiting.pop_front() else {
        return Ok(());
    };
    let to = &mut buffer[..length];
    let some = recv(connection.as_raw_fd(), to, MsgFlags::MSG_WAITALL)?;
    if some == length {
        Ok(())
    } else {
        Err(Errno::EPIPE)
    }
}

/// Sends back what a connection has.
struct Answer {
    buffer: Buffer,
    left: u64,
    shared: Shared,
}

impl Answer {
    fn to(&mut self, connection: &TcpStream) -> Result<()> {
        let fd = connection.as_raw_fd();
        let some = recv(fd, &mut self.buffer, MsgFlags::empty())?;
        ensure!(some > 0, "a connection ends early");
        exactly(some as u64, some, |_, _| {
            send(fd, &self.buffer[..some], MsgFlags::empty())
        })?;
        self.shared.count(CALLS, 1);
        self.left = self
            .left
            .checked_sub(some as u64)
            .context("more arrives than was sent")?;
        Ok(())
    }

    const fn is_done(&self) -> bool {
        self.left == 0
    }
}

fn by_epoll(connections: &[TcpStream], answer: &mut Answer) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (index, connection) in connections.iter().enumerate() {
        epoll.add(
            connection,
            EpollEvent::new(EpollFlags::EPOLLIN, index as u64),
        )?;
    }
    let mut events = [EpollEvent::empty(); 64];
    while !answer.is_done() {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..ready] {
            answer.to(&connections[event.data() as usize])?;
        }
    }
    Ok(())
}

fn by_poll(connections: &[TcpStream], answer: &mut Answer) -> Result<()> {
    let watch = |connection| PollFd::new(connection, PollFlags::POLLIN);
    let mut watched: Vec<_> = connections.iter().map(|c| watch(c.as_fd())).collect();
    while !answer.is_done() {
        poll(&mut watched, PollTimeout::NONE)?;
        for (connection, watched) in connections.iter().zip(&watched) {
            if watched.any() == Some(true) {
                answer.to(connection)?;
            }
        }
    }
    Ok(())
}

fn by_select(connections: &[TcpStream], answer: &mut Answer) -> Result<()> {
    while !answer.is_done() {
        let mut readable = FdSet::new();
        for connection in connections {
            readable.insert(connection.as_fd());
        }
        select(None, &mut readable, None, None, None)?;
        for connection in connections {
            if readable.contains(connection.as_fd()) {
                answer.to(connection)?;
            }
        }
    }
    Ok(())
}
