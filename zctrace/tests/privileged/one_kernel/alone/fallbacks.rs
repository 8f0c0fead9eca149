//! Programs that silently take another path than the one that is expected of them, and their sound
//! twins. `check --expect` must fail every one of the first kind, with the reason, and none of the
//! second.
//!
//! One child of this test runs them all under one `zctrace stat`, each in a process of its own, and
//! each is judged on the rows of its process.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    net::TcpStream,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::{fs::OpenOptionsExt as _, net::UnixStream},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use io_uring::{IoUring, opcode, squeue, types};
use nix::{
    errno::Errno,
    fcntl::{
        FallocateFlags, OFlag, SpliceFFlags, copy_file_range, fallocate, splice, tee, vmsplice,
    },
    libc,
    sys::{
        resource::{Resource, setrlimit},
        sendfile::sendfile,
        socket::{MsgFlags, send},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Uid, fork, pipe2, setuid},
};
use zctrace::{
    claims::{Circumstances, Claim, Expectation, MIN_BYTES, Verdict, judge},
    ledger::Snapshot,
    workload::{
        scene::mounts::{Fs, Mount},
        stage::{buffer::Buffer, sockets::tcp_pair},
        traffic::{
            ktls::{TLS_TX, encrypt},
            zerocopy::allow,
        },
    },
};

use crate::common::{program_of, zctrace};

const BYTES: usize = 4 << 20;
const CHUNK: usize = 64 << 10;
/// Where the child that runs the programs finds the place for its files.
const PLACE: &str = "ZCTRACE_FALLBACKS";

/// A way to do a job: the one that is expected, or the one that a program falls back on.
type Work = fn(&World) -> Result<()>;

struct Program {
    name: &'static str,
    expected: &'static str,
    sound: Work,
    planted: Work,
    /// The tracepoints backend does not see the calls that are expected.
    is_unseen: bool,
}

const fn program(
    name: &'static str,
    expected: &'static str,
    sound: Work,
    planted: Work,
) -> Program {
    Program {
        name,
        expected,
        sound,
        planted,
        is_unseen: false,
    }
}

const fn unseen(program: Program) -> Program {
    Program {
        is_unseen: true,
        ..program
    }
}

const PROGRAMS: &[Program] = &[
    program(
        "sendfile-off",
        "sendfile>=0.95",
        serve_by_sendfile,
        |world| serve_by_copying(&world.source(Fs::Ext4)?),
    ),
    program(
        "sendfile-refused",
        "sendfile>=0.95",
        serve_by_sendfile,
        |world| {
            let (near, _peer) = drained_connection()?;
            let directory = File::open(world.path(Fs::Ext4))?;
            refused(sendfile(&near, &directory, None, CHUNK))?;
            copy(&world.source(Fs::Ext4)?, &near)
        },
    ),
    program(
        "sendfile-unix",
        "sendfile,unix>=0.95",
        |world| {
            let (near, _peer) = drained_unix()?;
            by_sendfile(&world.source(Fs::Ext4)?, &near)
        },
        |world| {
            let (near, _peer) = drained_unix()?;
            copy(&world.source(Fs::Ext4)?, &near)
        },
    ),
    program(
        "sendfile-append",
        "sendfile,file>=0.9",
        |world| by_sendfile(&world.source(Fs::Ext4)?, &world.sink(Fs::Ext4, 0)?),
        |world| {
            let (source, sink) = (
                world.source(Fs::Ext4)?,
                world.sink(Fs::Ext4, libc::O_APPEND)?,
            );
            refused(sendfile(&sink, &source, None, CHUNK))?;
            copy(&source, &sink)
        },
    ),
    program(
        "splice-proxy",
        "splice,network>=0.95",
        |_| {
            let ((from, _feeder), (to, _drain)) = (fed_connection()?, drained_connection()?);
            let (reader, writer) = pipe()?;
            let mut left = BYTES;
            while left > 0 {
                let moved = splice(
                    &from,
                    None,
                    &writer,
                    None,
                    left.min(CHUNK),
                    SpliceFFlags::empty(),
                )?;
                ensure!(moved > 0, "the feeder ended early");
                by_splice(&reader, &to, moved)?;
                left -= moved;
            }
            Ok(())
        },
        |_| {
            let ((from, _feeder), (to, _drain)) = (fed_connection()?, drained_connection()?);
            copy(&from, &to)
        },
    ),
    program(
        "splice-append",
        "splice,file>=0.9",
        |world| {
            let (reader, _writer) = filled_pipe()?;
            by_splice(&reader, &world.sink(Fs::Ext4, 0)?, BYTES)
        },
        |world| {
            let (reader, _writer) = filled_pipe()?;
            let sink = world.sink(Fs::Ext4, libc::O_APPEND)?;
            let flags = SpliceFFlags::empty();
            refused(splice(&reader, None, &sink, None, CHUNK, flags))?;
            copy(&reader, &sink)
        },
    ),
    program(
        "vmsplice",
        "vmsplice>=0.95",
        |_| {
            let (writer, _peer) = drained_pipe()?;
            let buffer = vec![7; CHUNK];
            for _ in 0..BYTES / CHUNK {
                let mut left = &buffer[..];
                while !left.is_empty() {
                    let pieces = [std::io::IoSlice::new(left)];
                    let moved = vmsplice(&writer, &pieces, SpliceFFlags::empty())?;
                    left = &left[moved..];
                }
            }
            Ok(())
        },
        |_| {
            let (writer, _peer) = drained_pipe()?;
            write_all(&writer, BYTES)
        },
    ),
    program(
        "tee",
        "tee>=0.95",
        |_| {
            let ((reader, _feeder), (writer, _drain)) = (filled_pipe()?, drained_pipe()?);
            let null = File::options().write(true).open("/dev/null")?;
            let mut left = BYTES;
            while left > 0 {
                let moved = tee(&reader, &writer, left.min(CHUNK), SpliceFFlags::empty())?;
                ensure!(moved > 0, "the feeder ended early");
                by_splice(&reader, &null, moved)?;
                left -= moved;
            }
            Ok(())
        },
        |_| {
            let ((reader, _feeder), (writer, _drain)) = (filled_pipe()?, drained_pipe()?);
            copy(&reader, &writer)
        },
    ),
    program(
        "copy-across",
        "copy_file_range>=0.9",
        |world| by_copy_file_range(&world.source(Fs::Ext4)?, &world.sink(Fs::Ext4, 0)?),
        |world| {
            let (source, sink) = (world.source(Fs::Tmpfs)?, world.sink(Fs::Ext4, 0)?);
            refused(copy_file_range(&source, None, &sink, None, BYTES))?;
            copy(&source, &sink)
        },
    ),
    program(
        "copy-not-shared",
        "copy_file_range,cloned>=0.9",
        |world| by_copy_file_range(&world.source(Fs::Xfs)?, &world.sink(Fs::Xfs, 0)?),
        |world| by_copy_file_range(&world.source(Fs::Ext4)?, &world.sink(Fs::Ext4, 0)?),
    ),
    program(
        "clone",
        "clone>=0.9",
        |world| clone(&world.source(Fs::Xfs)?, &world.sink(Fs::Xfs, 0)?).context("FICLONE"),
        |world| {
            let (source, sink) = (world.source(Fs::Ext4)?, world.sink(Fs::Ext4, 0)?);
            refused(clone(&source, &sink))?;
            by_copy_file_range(&source, &sink)
        },
    ),
    program(
        "direct-read",
        "read,direct>=0.99",
        |world| read_all(&world.opened(Fs::Ext4, libc::O_DIRECT)?),
        |world| read_all(&world.opened(Fs::Ext4, 0)?),
    ),
    program(
        "direct-refused",
        "direct>=0.99",
        |world| read_all(&world.opened(Fs::Xfs, libc::O_DIRECT)?),
        |world| {
            // Refused before Linux 6.6, accepted and copied since.
            let source = world
                .opened(Fs::Tmpfs, libc::O_DIRECT)
                .or_else(|_| world.opened(Fs::Tmpfs, 0))?;
            read_all(&source)
        },
    ),
    program(
        "direct-write",
        "write,direct>=0.99",
        |world| write_all(&world.allocated(libc::O_DIRECT)?, BYTES),
        |world| write_all(&world.allocated(0)?, BYTES),
    ),
    program(
        "uring-read",
        "uring.read>=0.95",
        |world| {
            let source = world.source(Fs::Ext4)?;
            uring(
                |fd, buffer, length, offset| {
                    opcode::Read::new(fd, buffer, length).offset(offset).build()
                },
                &source,
            )
        },
        |world| read_all(&world.source(Fs::Ext4)?),
    ),
    program(
        "uring-write",
        "uring.*,file>=0.95",
        |world| {
            uring(
                |fd, buffer, length, offset| {
                    opcode::Write::new(fd, buffer, length)
                        .offset(offset)
                        .build()
                },
                &world.sink(Fs::Ext4, 0)?,
            )
        },
        |world| write_all(&world.sink(Fs::Ext4, 0)?, BYTES),
    ),
    program(
        "uring-send",
        "uring.send>=0.95",
        |_| {
            let (near, _peer) = drained_connection()?;
            uring_send(&near)
        },
        |_| {
            let (near, _peer) = drained_connection()?;
            send_all(&near, MsgFlags::empty())
        },
    ),
    program(
        "uring-send-zc",
        "uring.send_zc>=0.95",
        |_| {
            let (near, _peer) = drained_connection()?;
            uring_send_zc(&near)
        },
        |_| {
            let (near, _peer) = drained_connection()?;
            uring_send(&near)
        },
    ),
    unseen(program(
        "aio",
        "aio.read>=0.95",
        |world| aio_read(&world.opened(Fs::Ext4, libc::O_DIRECT)?),
        |world| read_all(&world.opened(Fs::Ext4, libc::O_DIRECT)?),
    )),
    unseen(program(
        "aio-direct",
        "aio.*,direct>=0.95",
        |world| aio_read(&world.opened(Fs::Ext4, libc::O_DIRECT)?),
        |world| aio_read(&world.opened(Fs::Ext4, 0)?),
    )),
    program(
        "zerocopy-not-asked",
        "send.zerocopy>=0.95",
        zerocopy_sends,
        |_| {
            let (near, _peer) = drained_connection()?;
            send_all(&near, MsgFlags::empty())
        },
    ),
    program(
        "zerocopy-no-buffers",
        "send.zerocopy>=0.95",
        zerocopy_sends,
        |_| {
            // Pinned pages are limited for whoever is not root.
            setrlimit(Resource::RLIMIT_MEMLOCK, 0, 0)?;
            setuid(Uid::from_raw(65_534))?;
            let (near, _peer) = drained_connection()?;
            allow(&near)?;
            let page = vec![7; CHUNK];
            let result = send(
                near.as_raw_fd(),
                &page,
                MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY),
            );
            ensure!(result == Err(Errno::ENOBUFS), "{result:?}");
            send_all(&near, MsgFlags::empty())
        },
    ),
    program(
        "zerocopy-not-allowed",
        "spliced,network>=0.95",
        serve_by_sendfile,
        |_| {
            let (near, _peer) = drained_connection()?;
            send_all(&near, MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY))
        },
    ),
    program(
        "ktls",
        "encrypted>=0.95",
        |world| {
            let (near, _peer) = drained_connection()?;
            encrypt(&near, &[TLS_TX]).context("kernel TLS")?;
            by_sendfile(&world.source(Fs::Ext4)?, &near)
        },
        |world| serve_by_copying(&world.source(Fs::Ext4)?),
    ),
    unseen(program(
        "mapping",
        "fault.map>=0.9",
        |world| {
            let source = world.source(Fs::Ext4)?;
            // SAFETY: nobody cuts the file while it is mapped.
            let start = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    BYTES,
                    libc::PROT_READ,
                    libc::MAP_SHARED,
                    source.as_raw_fd(),
                    0,
                )
            };
            ensure!(start != libc::MAP_FAILED, "mmap");
            // SAFETY: mapped above, and read only.
            let bytes = unsafe { std::slice::from_raw_parts(start.cast::<u8>(), BYTES) };
            let sum: u64 = bytes.iter().step_by(512).map(|byte| u64::from(*byte)).sum();
            ensure!(sum > 0, "the file is empty");
            Ok(())
        },
        |world| read_all(&world.source(Fs::Ext4)?),
    )),
    program(
        "written-too-much",
        "write,network<=0.05",
        serve_by_sendfile,
        |world| serve_by_copying(&world.source(Fs::Ext4)?),
    ),
];

/// Files on several filesystems.
struct World {
    place: PathBuf,
}

impl World {
    fn path(&self, fs: Fs) -> PathBuf {
        self.place.join(fs.name())
    }

    fn opened(&self, fs: Fs, flags: i32) -> Result<File> {
        let path = self.path(fs).join("source");
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags);
        options
            .open(&path)
            .with_context(|| format!("{}", path.display()))
    }

    fn source(&self, fs: Fs) -> Result<File> {
        self.opened(fs, 0)
    }

    fn sink(&self, fs: Fs, flags: i32) -> Result<File> {
        let path = self.path(fs).join(format!("sink-{}", std::process::id()));
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(flags);
        options
            .open(&path)
            .with_context(|| format!("{}", path.display()))
    }

    /// A file whose blocks are there, so that nothing stands in the way of writing past the cache.
    fn allocated(&self, flags: i32) -> Result<File> {
        let file = self.sink(Fs::Ext4, flags)?;
        fallocate(&file, FallocateFlags::empty(), 0, BYTES as i64)?;
        Ok(file)
    }
}

/// What a peer needs is closed, and its end waited for, when this is dropped.
struct Peer(nix::unistd::Pid);

impl Drop for Peer {
    fn drop(&mut self) {
        // The other end is still open here: it ends at the end of the program.
        let _ = nix::sys::signal::kill(self.0, nix::sys::signal::Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

/// Does something in a process whose rows nobody judges.
fn peer(work: impl FnOnce() -> Result<()>) -> Result<Peer> {
    // SAFETY: this process has one thread that works.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Peer(child)),
        ForkResult::Child => {
            // Whatever becomes of the program, nobody waits for its peer.
            let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
            let _ = work();
            // SAFETY: ends the process without running what the test's own end would.
            unsafe { libc::_exit(0) }
        }
    }
}

fn drain(mut from: impl std::io::Read) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    while from.read(&mut buffer)? > 0 {}
    Ok(())
}

fn drained_connection() -> Result<(TcpStream, Peer)> {
    let (near, far) = tcp_pair()?;
    Ok((near, peer(move || drain(far))?))
}

fn fed_connection() -> Result<(TcpStream, Peer)> {
    let (near, mut far) = tcp_pair()?;
    let feed = move || {
        far.write_all(&vec![7; BYTES])?;
        // Open until the program ends.
        drain(far)
    };
    Ok((near, peer(feed)?))
}

fn drained_unix() -> Result<(UnixStream, Peer)> {
    let (near, far) = UnixStream::pair()?;
    Ok((near, peer(move || drain(far))?))
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    Ok(pipe2(OFlag::O_CLOEXEC)?)
}

fn drained_pipe() -> Result<(OwnedFd, Peer)> {
    let (reader, writer) = pipe()?;
    Ok((writer, peer(move || drain(File::from(reader)))?))
}

fn filled_pipe() -> Result<(OwnedFd, Peer)> {
    let (reader, writer) = pipe()?;
    let fill = move || Ok(File::from(writer).write_all(&vec![7; BYTES])?);
    Ok((reader, peer(fill)?))
}

fn refused<T: std::fmt::Debug>(result: nix::Result<T>) -> Result<()> {
    ensure!(result.is_err(), "this kernel does it after all: {result:?}");
    Ok(())
}

/// [`BYTES`] by `read` and `write`.
fn copy(from: &impl AsFd, to: &impl AsFd) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut left = BYTES;
    while left > 0 {
        let length = nix::unistd::read(from.as_fd(), &mut buffer)?;
        ensure!(length > 0, "{left} bytes are missing");
        let mut rest = &buffer[..length];
        while !rest.is_empty() {
            let written = nix::unistd::write(to.as_fd(), rest)?;
            rest = &rest[written..];
        }
        left = left.saturating_sub(length);
    }
    Ok(())
}

fn read_all(from: &impl AsFd) -> Result<()> {
    let mut buffer = Buffer::zeroed(CHUNK)?;
    let mut left = BYTES;
    while left > 0 {
        let length = nix::unistd::read(from.as_fd(), &mut buffer)?;
        ensure!(length > 0, "{left} bytes are missing");
        left -= length;
    }
    Ok(())
}

fn write_all(to: &impl AsFd, bytes: usize) -> Result<()> {
    let buffer = Buffer::zeroed(CHUNK)?;
    let mut left = bytes;
    while left > 0 {
        let length = left.min(CHUNK);
        left -= nix::unistd::write(to.as_fd(), &buffer[..length])?;
    }
    Ok(())
}

fn send_all(to: &impl AsFd, flags: MsgFlags) -> Result<()> {
    let buffer = vec![7; CHUNK];
    let mut left = BYTES;
    while left > 0 {
        match send(to.as_fd().as_raw_fd(), &buffer[..left.min(CHUNK)], flags) {
            Ok(sent) => left -= sent,
            // Notifications that nobody reads fill the room for them.
            Err(Errno::ENOBUFS) => bail!("no room for notifications"),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

fn zerocopy_sends(_: &World) -> Result<()> {
    let (near, _peer) = drained_connection()?;
    allow(&near)?;
    send_all(&near, MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY))
}

fn by_sendfile(from: &File, to: &impl AsFd) -> Result<()> {
    let mut left = BYTES;
    while left > 0 {
        let moved = sendfile(to, from, None, left.min(CHUNK))?;
        ensure!(moved > 0, "{left} bytes are missing");
        left -= moved;
    }
    Ok(())
}

fn serve_by_sendfile(world: &World) -> Result<()> {
    let (near, _peer) = drained_connection()?;
    by_sendfile(&world.source(Fs::Ext4)?, &near)
}

fn serve_by_copying(source: &File) -> Result<()> {
    let (near, _peer) = drained_connection()?;
    copy(source, &near)
}

fn by_splice(from: &impl AsFd, to: &impl AsFd, bytes: usize) -> Result<()> {
    let mut left = bytes;
    while left > 0 {
        let moved = splice(from, None, to, None, left.min(CHUNK), SpliceFFlags::empty())?;
        ensure!(moved > 0, "{left} bytes are missing");
        left -= moved;
    }
    Ok(())
}

fn by_copy_file_range(from: &File, to: &File) -> Result<()> {
    let mut left = BYTES;
    while left > 0 {
        let moved = copy_file_range(from, None, to, None, left)?;
        ensure!(moved > 0, "{left} bytes are missing");
        left -= moved;
    }
    Ok(())
}

fn clone(from: &File, to: &File) -> nix::Result<()> {
    // SAFETY: two open files.
    let result = unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONE, from.as_raw_fd()) };
    Errno::result(result).map(drop)
}

/// [`BYTES`] by requests that `entry` makes, one at a time, each of a chunk.
fn uring(
    entry: impl Fn(types::Fd, *mut u8, u32, u64) -> squeue::Entry,
    file: &impl AsFd,
) -> Result<()> {
    let mut ring = IoUring::new(8).context("io_uring_setup")?;
    let mut buffer = Buffer::zeroed(CHUNK)?;
    let fd = types::Fd(file.as_fd().as_raw_fd());
    let mut done = 0;
    while done < BYTES {
        let length = CHUNK.min(BYTES - done) as u32;
        let entry = entry(fd, buffer.as_mut_ptr(), length, done as u64);
        // SAFETY: the buffer lives until the request has completed, which is waited for.
        unsafe { ring.submission().push(&entry) }?;
        ring.submit_and_wait(1)?;
        let mut moved = None;
        while moved.is_none() {
            for completion in ring.completion() {
                // A notification follows the end of a zero-copy send, and says nothing of its bytes.
                if !io_uring::cqueue::notif(completion.flags()) {
                    moved = Some(completion.result());
                }
            }
            if moved.is_none() {
                ring.submit_and_wait(1)?;
            }
        }
        let moved = moved.unwrap_or_default();
        ensure!(moved > 0, "a request ended with {moved}");
        done += moved as usize;
    }
    Ok(())
}

fn uring_send(to: &TcpStream) -> Result<()> {
    uring(
        |fd, buffer, length, _| opcode::Send::new(fd, buffer, length).build(),
        to,
    )
}

fn uring_send_zc(to: &TcpStream) -> Result<()> {
    uring(
        |fd, buffer, length, _| opcode::SendZc::new(fd, buffer, length).build(),
        to,
    )
}

/// `struct iocb` and `struct io_event` as arrays of words (include/uapi/linux/aio_abi.h).
fn aio_read(file: &File) -> Result<()> {
    let mut context: libc::c_ulong = 0;
    // SAFETY: the kernel writes an id.
    Errno::result(unsafe { libc::syscall(libc::SYS_io_setup, 8, &raw mut context) })
        .context("io_setup")?;
    let mut buffer = Buffer::zeroed(CHUNK)?;
    for offset in (0..BYTES).step_by(CHUNK) {
        let mut request = [0_u64; 8];
        // Operation 0 is IOCB_CMD_PREAD; the descriptor is the upper half of its word.
        request[2] = (file.as_raw_fd() as u64) << 32;
        request[3] = buffer.as_mut_ptr() as u64;
        request[4] = CHUNK as u64;
        request[5] = offset as u64;
        let mut requests = [request.as_mut_ptr()];
        // SAFETY: request and buffer live until its end, which is waited for.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_io_submit, context, 1_usize, requests.as_mut_ptr())
        })
        .context("io_submit")?;
        let mut event = [0_u64; 4];
        let none = std::ptr::null::<libc::timespec>();
        // SAFETY: there is room for an event.
        Errno::result(unsafe {
            libc::syscall(
                libc::SYS_io_getevents,
                context,
                1_usize,
                1_usize,
                event.as_mut_ptr(),
                none,
            )
        })
        .context("io_getevents")?;
        ensure!(
            event[2] == CHUNK as u64,
            "a request ended with {}",
            event[2]
        );
    }
    Ok(())
}

/// Which process did what, as its parent says it: `NAME sound|planted PID ok` or the reason why not.
struct Ran {
    name: String,
    is_planted: bool,
    pid: u32,
    reason: String,
}

fn run(world: &World, program: &Program, is_planted: bool) -> Result<String> {
    let work = if is_planted {
        program.planted
    } else {
        program.sound
    };
    let (mut reader, writer) = {
        let (reader, writer) = pipe()?;
        (File::from(reader), writer)
    };
    // SAFETY: this process has one thread that works; the harness's only waits.
    let child = match unsafe { fork() }? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let error = work(world).err().map(|error| format!("{error:#}"));
            let failed = error.is_some();
            let _ = File::from(writer).write_all(error.unwrap_or_default().as_bytes());
            // SAFETY: ends the process without running what the test's own end would.
            unsafe { libc::_exit(failed.into()) }
        }
    };
    drop(writer);
    let mut reason = String::new();
    reader.read_to_string(&mut reason)?;
    let status = waitpid(child, None)?;
    if status == WaitStatus::Exited(child, 0) {
        reason = "ok".to_owned();
    } else if reason.is_empty() {
        reason = format!("{status:?}");
    }
    let kind = if is_planted { "planted" } else { "sound" };
    Ok(format!("RAN {} {kind} {child} {reason}", program.name))
}

/// Not a test by itself: what [`every_silent_fallback_fails_and_no_sound_twin_does`] traces.
#[test]
#[ignore = "started by another test"]
fn programs() {
    let Some(place) = env::var_os(PLACE) else {
        println!("SKIP: runs as the child of another test");
        return;
    };
    let threads = fs::read_dir("/proc/self/task").expect("procfs").count();
    assert!(threads <= 2, "forking needs one thread that works");
    let world = World {
        place: place.into(),
    };
    for program in PROGRAMS {
        for is_planted in [false, true] {
            println!("{}", run(&world, program, is_planted).expect("a process"));
        }
    }
}

fn ran(line: &str) -> Option<Ran> {
    // The harness may have begun the line.
    let (_, line) = line.split_once("RAN ")?;
    let mut words = line.splitn(4, ' ');
    Some(Ran {
        name: words.next()?.to_owned(),
        is_planted: words.next()? == "planted",
        pid: words.next()?.parse().ok()?,
        reason: words.next()?.to_owned(),
    })
}

fn traced(place: &Path) -> (Snapshot, Vec<Ran>) {
    let file = place.join("stat.json");
    let output = Command::new(zctrace())
        .args(["stat", "--json", "-o"])
        .arg(&file)
        .arg("--")
        .args(program_of(module_path!(), "programs"))
        .env(PLACE, place)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{told}");
    let snapshot = serde_json::from_str(&fs::read_to_string(&file).expect("a document"));
    (
        snapshot.expect("a stat document"),
        text.lines().filter_map(ran).collect(),
    )
}

fn wrong(program: &Program, is_planted: bool, snapshot: &Snapshot, pid: u32) -> Option<String> {
    let claim = Claim {
        name: program.name.into(),
        max_copies_per_byte: None,
        max_copies_per_sent_byte: None,
        max_copies_per_received_byte: None,
        max_notification_ms: None,
        min_bytes: MIN_BYTES,
        path: None,
        accept_inferred: true,
        allow_encryption: false,
        expect: vec![Expectation::parse(program.expected).expect(program.expected)],
    };
    assert_eq!(claim.check(), Ok(()));
    let mut own = snapshot.clone();
    own.processes.retain(|process| process.pid == pid);
    let judgement = judge(&claim, &own, Circumstances::default());
    let sees = snapshot.backend == "functions";
    let is_right = match (is_planted, judgement.verdict) {
        (true, Verdict::Fail) => judgement.reasons[0].code == "expectation-missed",
        (false, Verdict::Pass) => true,
        // What was not seen decides nothing.
        (true, Verdict::Inconclusive) => !sees && program.is_unseen,
        (false, Verdict::Inconclusive) => !sees,
        _ => false,
    };
    let kind = if is_planted { "planted" } else { "sound" };
    let why: Vec<_> = judgement
        .reasons
        .iter()
        .map(|reason| format!("{}: {}", reason.code, reason.evidence))
        .collect();
    let line = format!(
        "{} {kind}: {} {}: {}",
        program.name,
        judgement.verdict.word(),
        program.expected,
        why.join("; ")
    );
    println!("{line}");
    (!is_right).then_some(line)
}

fn all_wrong(snapshot: &Snapshot, all: &[Ran]) -> Vec<String> {
    let mut lines = Vec::new();
    for ran in all {
        if ran.reason != "ok" {
            println!("SKIP: {}: {}", ran.name, ran.reason);
            continue;
        }
        let program = PROGRAMS
            .iter()
            .find(|program| program.name == ran.name)
            .expect("a program");
        lines.extend(wrong(program, ran.is_planted, snapshot, ran.pid));
    }
    lines
}

#[test]
#[ignore = "needs root and BPF"]
fn every_silent_fallback_fails_and_no_sound_twin_does() {
    assert!(PROGRAMS.len() >= 20);
    let place = tempfile::tempdir().expect("a directory");
    let mut mounts = Vec::new();
    for fs in [Fs::Tmpfs, Fs::Ext4, Fs::Xfs] {
        match Mount::new(fs, place.path()) {
            Ok(mount) => {
                fs::write(mount.path().join("source"), vec![7; BYTES]).expect("a file");
                mounts.push(mount);
            }
            Err(error) => println!("SKIP: {}: {error:#}", fs.name()),
        }
    }
    nix::unistd::sync();
    let (snapshot, all) = traced(place.path());
    let lines = all_wrong(&snapshot, &all);
    drop(mounts);
    assert!(lines.is_empty(), "{}", lines.join("\n"));
}
