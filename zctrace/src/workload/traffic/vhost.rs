//! vhost-net: a thread of the kernel copies packets out of the memory of a process and into it, as for a virtual machine.

use std::{
    ffi::CStr,
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
};

use anyhow::{Context as _, Result, ensure};
use nix::{errno::Errno, libc};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Skip, Traffic,
    scene::{
        interface::FAR,
        macvtap, packet_socket,
        tun::Tun,
        vhost::{self, ENTRIES, HEADER, Kicks, Vhost, Way},
    },
    stage::{buffer::Buffer, shared::Shared},
};

pub(in crate::workload) const TRAFFIC: &[Traffic] = &[
    Traffic::new(
        "vhost-net",
        "a worker of vhost, which carries packets of a process to a tap device and back",
        |arena| {
            let tap = Tun::tap(TAP, HEADER as libc::c_int)?;
            prepare(arena, tap, TAP)
        },
    ),
    Traffic::new("vhost-tap", "the same with a macvtap", |arena| {
        let (tap, veth) = macvtap::made(TAP, HEADER as libc::c_int)?;
        let mut prepared = prepare(arena, tap, FAR)?;
        prepared.keep.push(Box::new(veth));
        Ok(prepared)
    }),
];

const TAP: &CStr = c"zcttap";
/// Length of a packet. It fits into a page with what the kernel puts around it.
const PACKET: usize = 1400;
/// Packets to the device, in so many batches.
const SENT: u64 = 4 * ENTRIES as u64;
/// Packets from the device. The kernel sends a few of its own.
const RECEIVED: u64 = ENTRIES as u64 / 2;

/// Counters of the shared memory.
const READY: usize = 0;
const BATCHES: usize = 1;
const PACKETS_TAKEN: usize = 2;
const BYTES_TAKEN: usize = 3;

/// What is sent to the other side of the tap device arrives there.
fn prepare(arena: &Arena, tap: Tun, other_side: &'static CStr) -> Result<Prepared> {
    let device = vhost::opened()?;
    let kicks = Kicks::new()?;
    let kicked = kicks.try_clone()?;
    let shared = arena.shared;
    let mut prepared = Prepared::new(Expected::new(), move || {
        let vhost = Vhost::start(device, tap.as_fd(), &kicks)?;
        ensure_worker()?;
        carry(&vhost, shared)
    });
    prepared.meanwhile = Some(Box::new(move |_| {
        let done = use_device(other_side, &kicked, shared);
        // Its own word is the better one.
        done.or_else(|error| shared.failure().map_or(Err(error), |_| Ok(())))
    }));
    Ok(prepared.finish(move |expected| {
        let row = ExpectedRow::new(Op::Other, "worker")
            .ops(SENT + shared.counted(PACKETS_TAKEN))
            .class(Class::CopiedFromUser, SENT * PACKET as u64)
            .class(Class::CopiedToUser, shared.counted(BYTES_TAKEN));
        expected.add(row.needs_functions());
        Ok(())
    }))
}

/// Before Linux 6.4 a thread of the kernel does the work, which belongs to no process.
fn ensure_worker() -> Result<()> {
    let threads = fs::read_dir("/proc/self/task").context("/proc/self/task")?;
    if threads.count() == 1 {
        return Err(Skip("this kernel's vhost works in kernel threads".into()).into());
    }
    Ok(())
}

/// Gives packets and takes some.
fn carry(vhost: &Vhost, shared: Shared) -> Result<()> {
    let mut packet = Buffer::filled(PACKET)?;
    packet[..12].fill(0xff);
    packet[12..14].copy_from_slice(&packet_socket::ETHER_TYPE.to_be_bytes());
    for number in 0..ENTRIES as u16 {
        vhost.put(Way::Receive, number, 0);
    }
    shared.count(READY, 1);
    let mut given = 0_u16;
    while u64::from(given) < SENT {
        for _ in 0..ENTRIES {
            vhost.fill(given, &packet);
            vhost.put(Way::Send, given, PACKET);
            given += 1;
        }
        shared.count(BATCHES, 1);
        vhost.wait(Way::Send, given)?;
    }
    let mut wanted = RECEIVED as u16;
    loop {
        vhost.wait(Way::Receive, wanted)?;
        let used = vhost.used(Way::Receive);
        let lengths = (0..used).map(|number| vhost.written(Way::Receive, number) - HEADER);
        let whole = lengths.clone().filter(|length| *length == PACKET).count();
        if whole as u64 == RECEIVED {
            shared.count(PACKETS_TAKEN, used.into());
            shared.count(BYTES_TAKEN, lengths.sum::<usize>() as u64);
            return Ok(());
        }
        ensure!(usize::from(used) < ENTRIES, "other packets");
        wanted = used + 1;
    }
}

/// Sends packets to the device, and tells vhost of those to take.
fn use_device(device: &CStr, kicks: &Kicks, shared: Shared) -> Result<()> {
    shared.wait_for(READY, 1)?;
    kicks.kick(Way::Receive)?;
    let socket = packet_socket::open(libc::SOCK_RAW, 0)?;
    let address = packet_socket::address_on(device, packet_socket::ETHER_TYPE)?;
    let mut packet = Buffer::filled(PACKET)?;
    packet[..12].fill(0xff);
    packet[12..14].copy_from_slice(&packet_socket::ETHER_TYPE.to_be_bytes());
    for _ in 0..RECEIVED {
        // SAFETY: both outlive the call, which only reads them.
        let sent = unsafe {
            libc::sendto(
                socket.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                0,
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        let sent = Errno::result(sent).context("sending to a tap device")?;
        ensure!(sent as usize == packet.len(), "{sent} bytes");
    }
    for batch in 1..=SENT / ENTRIES as u64 {
        shared.wait_for(BATCHES, batch)?;
        kicks.kick(Way::Send)?;
    }
    Ok(())
}
