//! A few known bytes through each family of probes, in zctrace's own process, right after they are
//! attached: a probe that attaches can still never fire, because the compiler has inlined the
//! function where it matters. What stays silent then counts as not there.

use std::{
    fs::{self, File},
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    num::NonZeroUsize,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    thread,
};

use nix::{
    fcntl::{SpliceFFlags, copy_file_range, splice, tee, vmsplice},
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap},
        sendfile::sendfile,
        socket::{MsgFlags, SockaddrStorage, recvmsg, sendmsg},
        uio::{RemoteIoVec, process_vm_readv, process_vm_writev},
    },
    unistd::{Pid, pipe},
};

use crate::{catalog::Exercise, kernel::page_size};

const SIZE: usize = 4096;

/// Does all exercises. Returns those that this machine could do: the probes that they wake must have run.
pub(super) fn run() -> Vec<Exercise> {
    Exercise::ALL
        .into_iter()
        .filter(|exercise| step(*exercise)().is_ok())
        .collect()
}

fn step(exercise: Exercise) -> fn() -> io::Result<()> {
    match exercise {
        Exercise::MemoryFile => memory_file,
        Exercise::Pipes => pipes,
        Exercise::Devices => devices,
        Exercise::UnixSockets => unix,
        Exercise::Udp => udp,
        Exercise::Tcp => tcp,
        Exercise::Zerocopy => zerocopy,
        Exercise::PipeToPipe => pipe_to_pipe,
        Exercise::ProcFile => proc_file,
        Exercise::OwnMemory => own_memory,
        Exercise::Messages => messages,
        Exercise::PosixMessages => posix_messages,
        Exercise::UserFaults => user_faults,
        Exercise::CopyRange => copy_range,
        Exercise::PrivateMapping => private_mapping,
        Exercise::Ring => ring,
        Exercise::SystemCalls => sys_calls,
    }
}

fn file() -> io::Result<File> {
    let mut file = File::from(memfd_create("zctrace", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&[1; SIZE])?;
    Ok(file)
}

fn memory_file() -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let file = file()?;
    let mut buffer = [0; SIZE];
    file.read_exact_at(&mut buffer, 0)?;
    let (mut one, mut two) = ([0; 16], [0; 16]);
    nix::sys::uio::pwritev(&file, &[IoSlice::new(&one), IoSlice::new(&two)], 0)?;
    nix::sys::uio::preadv(
        &file,
        &mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)],
        0,
    )?;
    Ok(())
}

/// In a thread of its own. Where the file cannot be read without waiting, the kernel makes a worker,
/// which stays for as long as the thread that asked lives, with the capabilities that it had then.
fn ring() -> io::Result<()> {
    let thread = thread::spawn(read_by_ring);
    thread
        .join()
        .map_err(|_| io::Error::other("the thread panicked"))?
}

fn read_by_ring() -> io::Result<()> {
    let mut ring = io_uring::IoUring::new(2)?;
    let file = file()?;
    let mut buffer = [0; SIZE];
    let fd = io_uring::types::Fd(file.as_raw_fd());
    let read = io_uring::opcode::Read::new(fd, buffer.as_mut_ptr(), SIZE as u32).build();
    // SAFETY: the buffer outlives the request, which is waited for.
    unsafe { ring.submission().push(&read) }.map_err(io::Error::other)?;
    ring.submit_and_wait(1)?;
    Ok(())
}

fn pipes() -> io::Result<()> {
    let (from, to) = pipe()?;
    File::from(to).write_all(&[1; SIZE])?;
    File::from(from).read_exact(&mut [0; SIZE])
}

fn devices() -> io::Result<()> {
    let mut buffer = [0; SIZE];
    let mut zero = File::open("/dev/zero")?;
    zero.read_exact(&mut buffer)?;
    nix::sys::uio::readv(&zero, &mut [IoSliceMut::new(&mut buffer)])?;
    let mut null = File::options().write(true).open("/dev/null")?;
    null.write_all(&buffer)?;
    nix::sys::uio::writev(&null, &[IoSlice::new(&buffer)])?;
    File::open("/dev/urandom")?.read_exact(&mut buffer[..16])
}

fn unix() -> io::Result<()> {
    use nix::sys::socket::{recv, send};
    let (one, two) = UnixStream::pair()?;
    let mut buffer = [0; SIZE];
    send(one.as_raw_fd(), &[1; SIZE], MsgFlags::empty())?;
    recv(two.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    let flags = MsgFlags::empty();
    sendmsg::<SockaddrStorage>(
        one.as_raw_fd(),
        &[IoSlice::new(&[1; SIZE])],
        &[],
        flags,
        None,
    )?;
    let mut parts = [IoSliceMut::new(&mut buffer)];
    recvmsg::<SockaddrStorage>(two.as_raw_fd(), &mut parts, None, flags)?;
    Ok(())
}

fn udp() -> io::Result<()> {
    let (one, two) = (
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    );
    one.send_to(&[1; 200], two.local_addr()?)?;
    two.recv(&mut [0; 200])?;
    Ok(())
}

fn tcp() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut one = TcpStream::connect(listener.local_addr()?)?;
    let (mut two, _) = listener.accept()?;
    // Closed at once, without TIME_WAIT: nothing stays behind.
    let now = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    nix::sys::socket::setsockopt(&one, nix::sys::socket::sockopt::Linger, &now)?;
    one.write_all(&[1; SIZE])?;
    two.read_exact(&mut [0; SIZE])?;
    sendfile(&one, file()?, Some(&mut 0), SIZE)?;
    let (_from, to) = pipe()?;
    splice(&two, None, &to, None, SIZE, SpliceFFlags::empty())?;
    Ok(())
}

/// Over loopback, where the kernel copies after all and says so.
fn zerocopy() -> io::Result<()> {
    use nix::sys::socket::{send, setsockopt, sockopt};
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    let (mut two, _) = listener.accept()?;
    let now = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&one, sockopt::Linger, &now)?;
    let on: libc::c_int = 1;
    // SAFETY: the option is an int, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            one.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ZEROCOPY,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    nix::errno::Errno::result(result)?;
    let flags = MsgFlags::from_bits_retain(libc::MSG_ZEROCOPY);
    send(one.as_raw_fd(), &[1; SIZE], flags)?;
    two.read_exact(&mut [0; SIZE])?;
    // The notification comes with the acknowledgement, which can take its time.
    let mut message = [nix::poll::PollFd::new(
        std::os::fd::AsFd::as_fd(&one),
        nix::poll::PollFlags::empty(),
    )];
    let patience = nix::poll::PollTimeout::from(1000_u16);
    if nix::poll::poll(&mut message, patience)? == 0 {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(())
}

fn pipe_to_pipe() -> io::Result<()> {
    let (one, into_one) = pipe()?;
    let (two, into_two) = pipe()?;
    let mut buffer = [0; SIZE];
    vmsplice(
        &into_one,
        &[IoSlice::new(&[1; SIZE])],
        SpliceFFlags::empty(),
    )?;
    tee(&one, &into_two, SIZE, SpliceFFlags::empty())?;
    let out = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: SIZE,
    };
    // SAFETY: the vector names a buffer of this function; the pipe holds the bytes already.
    if unsafe { libc::vmsplice(one.as_raw_fd(), &raw const out, 1, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let null = File::options().write(true).open("/dev/null")?;
    splice(&two, None, &null, None, SIZE, SpliceFFlags::empty())?;
    Ok(())
}

fn proc_file() -> io::Result<()> {
    fs::read("/proc/self/status").map(drop)
}

fn own_memory() -> io::Result<()> {
    let mut source = [1_u8; 16];
    let mut sink = [0_u8; 16];
    let remote = [RemoteIoVec {
        base: source.as_mut_ptr() as usize,
        len: 16,
    }];
    process_vm_readv(Pid::this(), &mut [IoSliceMut::new(&mut sink)], &remote)?;
    process_vm_writev(Pid::this(), &[IoSlice::new(&sink)], &remote)?;
    Ok(())
}

/// Through a System V queue that nobody else can find.
fn messages() -> io::Result<()> {
    use nix::errno::Errno;
    let mut message = [1 as libc::c_long; 2];
    let length = size_of::<libc::c_long>();
    // SAFETY: no memory is passed.
    let id = Errno::result(unsafe { libc::msgget(libc::IPC_PRIVATE, 0o600) })?;
    // SAFETY: a message is its kind and as many bytes as are told.
    let result = unsafe {
        let sent = libc::msgsnd(id, (&raw const message).cast(), length, libc::IPC_NOWAIT);
        let out = (&raw mut message).cast();
        let received = libc::msgrcv(id, out, length, 0, libc::IPC_NOWAIT);
        let result = Errno::result(sent).and(Errno::result(received));
        libc::msgctl(id, libc::IPC_RMID, std::ptr::null_mut());
        result
    };
    result?;
    Ok(())
}

/// Through a POSIX queue whose name goes at once.
fn posix_messages() -> io::Result<()> {
    use nix::{
        mqueue::{MQ_OFlag, MqAttr, mq_close, mq_open, mq_receive, mq_send, mq_unlink},
        sys::stat::Mode,
    };
    let name = format!("/zctrace-{}", std::process::id());
    let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR | MQ_OFlag::O_NONBLOCK;
    let queue = mq_open(
        name.as_str(),
        flags,
        Mode::S_IRWXU,
        Some(&MqAttr::new(0, 1, 16, 0)),
    )?;
    mq_unlink(name.as_str())?;
    mq_send(&queue, &[1; 16], 0)?;
    mq_receive(&queue, &mut [0; 16], &mut 0)?;
    mq_close(queue)?;
    Ok(())
}

/// Fills a page with a copy and another with zeros.
fn user_faults() -> io::Result<()> {
    use nix::errno::Errno;
    const USER_MODE_ONLY: libc::c_int = 1;
    let (api, register, fill, zero) = (0xc018_aa3f, 0xc020_aa00, 0xc028_aa03, 0xc020_aa04);
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | USER_MODE_ONLY) };
    let fd = i32::try_from(Errno::result(fd)?).map_err(io::Error::other)?;
    // SAFETY: a descriptor that nobody else has.
    let faults = unsafe { OwnedFd::from_raw_fd(fd) };
    let ask = |request: u32, mut argument: [u64; 5]| {
        let argument = argument.as_mut_ptr();
        // SAFETY: the longest argument of these requests has five numbers.
        let result = unsafe { libc::ioctl(faults.as_raw_fd(), request.into(), argument) };
        Errno::result(result)
    };
    ask(api, [0xaa, 0, 0, 0, 0])?;
    let page = page_size() as usize;
    let source = vec![1_u8; page];
    let length = NonZeroUsize::MIN.saturating_add(2 * page - 1);
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let target = unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE)? };
    let (first, size) = (target.as_ptr() as u64, page as u64);
    let filled = ask(register, [first, 2 * size, 1, 0, 0])
        .and_then(|_| ask(fill, [first, source.as_ptr() as u64, size, 0, 0]))
        .and_then(|_| ask(zero, [first + size, size, 0, 0, 0]));
    // SAFETY: the mapping is that of this function.
    unsafe { munmap(target, length.get())? };
    filled?;
    Ok(())
}

fn copy_range() -> io::Result<()> {
    copy_file_range(file()?, Some(&mut 0), file()?, Some(&mut 0), SIZE)?;
    Ok(())
}

fn private_mapping() -> io::Result<()> {
    let page = page_size() as usize;
    let length = NonZeroUsize::MIN.saturating_add(2 * page - 1);
    let mut file = file()?;
    file.write_all(&vec![1; 2 * page])?;
    // SAFETY: a new mapping, at an address of the kernel's choice, of a file of this function.
    let address = unsafe {
        mmap(
            None,
            length,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_PRIVATE,
            &file,
            0,
        )?
    };
    let bytes = address.as_ptr().cast::<u8>();
    // SAFETY: within the mapping. Volatile, so that the reads happen, before the writes.
    unsafe {
        bytes.read_volatile();
        bytes.write_volatile(2);
        bytes.add(page).read_volatile();
        bytes.add(page).write_volatile(2);
        munmap(address, length.get())?;
    }
    Ok(())
}

fn sys_calls() -> io::Result<()> {
    nix::unistd::getppid();
    Ok(())
}
