//! A process that is killed while `sendfile` waits for a receiver that does not receive. The call
//! ends with what the socket had taken by then.

use std::{
    fs,
    io::Read as _,
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::{
        sendfile::sendfile,
        signal::{Signal, kill},
    },
    unistd::Pid,
};
use zctrace_common::{Class, Op};

use crate::workload::{
    Arena, Expected, ExpectedRow, Prepared, Traffic, scene::mounts::Fs, stage::sockets::tcp_pair,
};

pub(super) const TRAFFIC: &[Traffic] = &[Traffic::new(
    "awkward-killed",
    "a process killed in the middle of a sendfile",
    prepare,
)
.tag("aw-killed")];

/// More than the buffers of both sockets hold.
const LENGTH: u64 = 64 << 20;
const OBJECT: &str = "file:tmpfs->tcp";

fn prepare(arena: &Arena) -> Result<Prepared> {
    let file = arena.file(Fs::Tmpfs, LENGTH)?;
    let (near, far) = tcp_pair()?;
    let mut prepared = Prepared::new(Expected::new(), move || {
        let sent = sendfile(&near, &file, None, LENGTH as usize)?;
        bail!("sent {sent} bytes to a receiver that does not receive");
    });
    prepared.meanwhile = Some(Box::new(|pid| {
        wait_until_it_waits(pid)?;
        kill(pid, Signal::SIGKILL).context("kill")
    }));
    prepared.ends_by = Some(Signal::SIGKILL);
    Ok(prepared.finish(move |expected| {
        let sent = received(far)?;
        ensure!(0 < sent && sent < LENGTH, "{sent} bytes were sent");
        expected.add(
            ExpectedRow::new(Op::Sendfile, OBJECT)
                .ops(1)
                .class(Class::Spliced, sent),
        );
        Ok(())
    }))
}

/// Waits until the process sleeps and has not run for a while.
fn wait_until_it_waits(pid: Pid) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = String::new();
    let mut still = 0;
    while still < 5 {
        ensure!(Instant::now() < deadline, "does not come to wait");
        sleep(Duration::from_millis(50));
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let now: String = status
            .lines()
            .filter(|line| line.starts_with("State:") || line.contains("ctxt_switches:"))
            .collect();
        let waits = now.starts_with("State:\tS") && now == last;
        still = if waits { still + 1 } else { 0 };
        last = now;
    }
    Ok(())
}

/// What the socket had taken is delivered even when its owner is dead.
fn received(mut socket: TcpStream) -> Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        match socket.read(&mut buffer).context("receiving")? {
            0 => return Ok(total),
            some => total += some as u64,
        }
    }
}
