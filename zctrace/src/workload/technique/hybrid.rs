//! A server as real ones are built: it finds requests with epoll, and answers large ones with
//! sendfile, slightly modified ones from a private mapping, small ones from a buffer.

use std::{net::TcpStream, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        mman::MapFlags,
        sendfile::sendfile,
        socket::{MsgFlags, recv, send},
    },
    unistd::write,
};
use zctrace_common::{Class, Op};

use super::{
    super::{Expected, ExpectedRow, Prepared},
    Job, Ready, Setting, Technique, Variant,
    cow::spread,
    echo::connections,
    receiver::receive,
};
use crate::workload::{
    scene::mounts::Fs,
    stage::{
        buffer::Buffer,
        mapping::{Mapping, page_size},
        sockets::tcp_pair,
    },
    truth::exact::exactly,
};

pub(super) const TECHNIQUE: Technique = Technique::new(
    "hybrid",
    "serve large, modified and small bodies, each in its way",
    Job::Server,
    &[Variant::only("hybrid", prepare)],
)
.modifying();

/// What a client asks for, in one byte.
const SMALL: u8 = 0;
const MODIFIED: u8 = 1;
const LARGE: u8 = 2;

/// What clients ask for, over and over.
const MIX: [u8; 10] = [
    SMALL, SMALL, MODIFIED, SMALL, SMALL, LARGE, SMALL, MODIFIED, SMALL, MODIFIED,
];

/// How long the bodies are.
#[derive(Clone, Copy)]
struct Bodies {
    small: usize,
    modified: usize,
    large: usize,
}

impl Bodies {
    const fn length(self, kind: u8) -> usize {
        match kind {
            SMALL => self.small,
            MODIFIED => self.modified,
            _ => self.large,
        }
    }
}

/// How many of the first `requests` are of a kind.
fn number_of(kind: u8, requests: u64) -> u64 {
    let in_mix = |mix: &[u8]| mix.iter().filter(|k| **k == kind).count() as u64;
    let length = MIX.len() as u64;
    requests / length * in_mix(&MIX) + in_mix(&MIX[..(requests % length) as usize])
}

fn prepare(setting: &Setting<'_>) -> Result<Ready> {
    let parameters = setting.parameters;
    let buffer = parameters.buffer.min(1 << 20);
    let bodies = Bodies {
        small: buffer.min(512),
        modified: buffer,
        large: 2 * buffer,
    };
    let mix: u64 = MIX.iter().map(|kind| bodies.length(*kind) as u64).sum();
    // Whole rounds, as many as are needed for the bytes.
    let requests = parameters.bytes.div_ceil(mix) * MIX.len() as u64;
    let sent = |kind| number_of(kind, requests) * bodies.length(kind) as u64;
    let pages = bodies.modified.div_ceil(page_size());
    let modified = parameters.modified(pages);
    let file = setting.arena.common_file(
        Fs::Tmpfs,
        bodies.large.next_multiple_of(page_size()) as u64,
        0,
    )?;
    let copied = number_of(MODIFIED, requests) * (modified * page_size()) as u64;
    let plain = number_of(SMALL, requests) + number_of(MODIFIED, requests);
    let payload = sent(SMALL) + sent(MODIFIED) + sent(LARGE);
    let expected = Expected::new()
        .moves(Op::Recv, "tcp", Class::CopiedToUser, requests, requests)
        .moves(
            Op::Write,
            "tcp",
            Class::CopiedFromUser,
            plain,
            sent(SMALL) + sent(MODIFIED),
        )
        .moves(
            Op::Sendfile,
            "file:tmpfs->tcp",
            Class::Spliced,
            number_of(LARGE, requests),
            sent(LARGE),
        )
        .row(
            ExpectedRow::new(Op::FaultCow, "file:tmpfs")
                .ops(number_of(MODIFIED, requests) * modified as u64)
                .class(Class::Mapped, copied)
                .cow(copied),
        )
        .row(
            ExpectedRow::new(Op::Send, "tcp")
                .ops(requests)
                .class(Class::CopiedFromUser, requests)
                .of(Prepared::PEER),
        )
        .row(
            ExpectedRow::new(Op::Recv, "tcp")
                .ops(requests)
                .class(Class::CopiedToUser, payload)
                .of(Prepared::PEER),
        );
    let number = parameters.connections.max(1);
    let (near, far) = if number == 1 {
        let (near, far) = tcp_pair()?;
        (vec![near], vec![far])
    } else {
        connections(number)?
    };
    let prepared = Prepared::new(expected, move || {
        let small = Buffer::filled(bodies.small)?;
        let mut private = Mapping::of_file(&file, pages, MapFlags::MAP_PRIVATE)?;
        serve(&near, requests, |connection, kind| match kind {
            SMALL => exactly(bodies.small as u64, bodies.small, |_, _| {
                write(connection, &small)
            }),
            MODIFIED => {
                private.write_some(spread(pages, modified));
                let body = &private.bytes_mut()[..bodies.modified];
                exactly(body.len() as u64, body.len(), |_, _| {
                    write(connection, body)
                })?;
                private.forget().context("MADV_DONTNEED")
            }
            _ => exactly(bodies.large as u64, bodies.large, |_, length| {
                sendfile(connection, &file, Some(&mut 0), length)
            }),
        })
    });
    let prepared = prepared.peer(move || {
        let mut to = Buffer::zeroed(bodies.large)?;
        let mut kinds = MIX.iter().copied().cycle();
        let mut left = requests;
        while left > 0 {
            let round: Vec<_> = far.iter().zip(kinds.by_ref()).take(left as usize).collect();
            for (connection, kind) in &round {
                let some = send(connection.as_raw_fd(), &[*kind], MsgFlags::empty())?;
                ensure!(some == 1, "a short request");
            }
            for (connection, kind) in &round {
                let length = bodies.length(*kind);
                receive(connection, &mut to[..length], length as u64)?;
            }
            left -= round.len() as u64;
        }
        Ok(())
    });
    Ok(Ready::new(payload, prepared))
}

/// Answers as many requests as will come.
fn serve(
    connections: &[TcpStream],
    requests: u64,
    mut answer: impl FnMut(&TcpStream, u8) -> Result<()>,
) -> Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (index, connection) in connections.iter().enumerate() {
        epoll.add(
            connection,
            EpollEvent::new(EpollFlags::EPOLLIN, index as u64),
        )?;
    }
    let mut events = [EpollEvent::empty(); 64];
    let mut left = requests;
    while left > 0 {
        let ready = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..ready] {
            let connection = &connections[event.data() as usize];
            let mut kind = [0];
            let some = recv(connection.as_raw_fd(), &mut kind, MsgFlags::empty())?;
            ensure!(some == 1, "a connection ends early");
            answer(connection, kind[0])?;
            left -= 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_of_a_kind() {
        for requests in [0, 1, 9, 10, 23] {
            let sum: u64 = [SMALL, MODIFIED, LARGE]
                .map(|kind| number_of(kind, requests))
                .iter()
                .sum();
            assert_eq!(sum, requests);
        }
        assert_eq!(number_of(LARGE, 16), 2);
    }
}
