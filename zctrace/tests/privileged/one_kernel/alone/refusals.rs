//! Every meaning in the table of refusals is provoked, and told by the errno and the object alone.

use std::{
    ffi::c_void,
    fs::{File, OpenOptions, create_dir},
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
        unix::{fs::OpenOptionsExt as _, net::UnixStream},
    },
    path::Path,
    process::Command,
    ptr,
};

use io_uring::{IoUring, opcode, squeue, types::Fd};
use nix::{
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    libc,
};
use zctrace::{
    kernel,
    ledger::{Errno, Snapshot, refusals},
    workload::{
        Arena,
        scene::{arena::Sizes, mounts::Fs},
    },
};

use crate::common::{program_of, zctrace};

/// Where the child does its work, set by the parent.
const DIRECTORY: &str = "ZCTRACE_REFUSALS";
/// The places in it, and what they are on.
const PLACES: [(&str, Fs); 3] = [
    ("stored", Fs::Ext4),
    ("elsewhere", Fs::Tmpfs),
    ("sharing", Fs::Xfs),
];

/// Size of a page of the running kernel.
fn page() -> usize {
    kernel::page_size() as usize
}

/// What a call returned: its errno, 0 where it went through.
fn errno(result: isize) -> i32 {
    if result < 0 {
        io::Error::last_os_error().raw_os_error().unwrap_or(0)
    } else {
        0
    }
}

/// An errno that must come, and the call that it must come from.
fn refused(told: &mut Vec<(&'static str, i32)>, call: &'static str, wanted: i32, result: isize) {
    assert_eq!(errno(result), wanted, "{call}");
    told.push((call, wanted));
}

fn pipe() -> [OwnedFd; 2] {
    let mut ends = [-1; 2];
    // SAFETY: the array has room for both.
    let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(made, 0);
    // SAFETY: they are new and nobody else's.
    ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) })
}

fn splice(from: RawFd, to: RawFd, length: usize, flags: u32) -> isize {
    // SAFETY: no offsets.
    unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), length, flags) }
}

fn sendfile(to: RawFd, from: RawFd, length: usize) -> isize {
    // SAFETY: no offset.
    unsafe { libc::sendfile(to, from, ptr::null_mut(), length) }
}

fn copy_file_range(from: RawFd, to: RawFd, at: [Option<i64>; 2], length: usize) -> isize {
    let [mut from_at, mut to_at] = at;
    let pointer = |at: &mut Option<i64>| at.as_mut().map_or(ptr::null_mut(), |at| &raw mut *at);
    // SAFETY: the offsets outlive the call.
    unsafe {
        libc::copy_file_range(
            from,
            pointer(&mut from_at),
            to,
            pointer(&mut to_at),
            length,
            0,
        )
    }
}

fn clone(to: RawFd, from: RawFd) -> isize {
    // SAFETY: FICLONE takes a descriptor.
    unsafe { libc::ioctl(to, libc::FICLONE, from) as isize }
}

/// `preadv2` of `length` bytes, from a page on.
fn read_at(file: RawFd, skip: usize, length: usize, at: i64, flags: i32) -> isize {
    let mut pages = vec![0_u8; 3 * page()];
    let start = pages.as_ptr().align_offset(page()) + skip;
    let part = libc::iovec {
        iov_base: pages[start..].as_mut_ptr().cast::<c_void>(),
        iov_len: length,
    };
    // SAFETY: the pages outlive the call.
    unsafe { libc::preadv2(file, &raw const part, 1, at, flags) }
}

fn open(path: &Path, flags: i32) -> File {
    OpenOptions::new()
        .read(flags & libc::O_APPEND == 0)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(flags & !libc::O_APPEND)
        .append(flags & libc::O_APPEND != 0)
        .open(path)
        .expect("a file")
}

/// How a request failed, or the last of several. A zero-copy send has a notification besides.
fn request(ring: &mut IoUring, requests: &[squeue::Entry]) -> isize {
    for request in requests {
        // SAFETY: the callers' buffers outlive the ring's work.
        unsafe { ring.submission().push(request) }.expect("room");
    }
    ring.submit_and_wait(requests.len()).expect("submitted");
    let mut last = 0;
    for completion in ring.completion() {
        if completion.result() < 0 {
            last = completion.result();
        }
    }
    if last < 0 {
        // SAFETY: errno is this thread's own.
        unsafe { *libc::__errno_location() = -last };
        return -1;
    }
    0
}

/// Calls every operation of the table in a way that must be refused. `stored` is on a disk,
/// `elsewhere` on another filesystem, and `sharing` on one that shares extents.
fn provoke([stored, elsewhere, sharing]: [&Path; 3]) -> Vec<(&'static str, i32)> {
    let mut told = Vec::new();
    let t = &mut told;
    let mut source = open(&stored.join("source"), 0);
    source.write_all(&vec![1; 1 << 20]).expect("written");
    source.sync_all().expect("synced");
    let source = source.as_raw_fd();
    let append = open(&stored.join("append"), libc::O_APPEND);
    let target = open(&stored.join("target"), 0);
    let other = open(&elsewhere.join("other"), 0);
    let written = OpenOptions::new()
        .write(true)
        .open(stored.join("target"))
        .expect("the target");
    let (append, target, other, written) = (
        append.as_raw_fd(),
        target.as_raw_fd(),
        other.as_raw_fd(),
        written.as_raw_fd(),
    );
    let made_up = File::open("/proc/self/cmdline").expect("procfs");
    let made_up = made_up.as_raw_fd();
    let [reader, writer] = pipe();
    let (reader, writer) = (reader.as_raw_fd(), writer.as_raw_fd());
    let [empty, _keep] = pipe();
    let mut start = 0;
    // SAFETY: the offset outlives the call.
    let filled =
        unsafe { libc::splice(source, &raw mut start, writer, ptr::null_mut(), page(), 0) };
    assert_eq!(filled, page() as isize);
    let mut here = 0_i64;
    let here = &raw mut here;

    refused(t, "splice", libc::EINVAL, splice(reader, append, 100, 0));
    refused(t, "splice", libc::EINVAL, splice(source, target, 100, 0));
    refused(t, "splice", libc::EINVAL, splice(made_up, writer, 100, 0));
    refused(t, "splice", libc::EINVAL, splice(reader, writer, 100, 0));
    // SAFETY: the offset outlives the call.
    let at_pipe = unsafe { libc::splice(reader, here, target, ptr::null_mut(), 100, 0) };
    refused(t, "splice", libc::ESPIPE, at_pipe);
    refused(t, "splice", libc::EBADF, splice(written, writer, 100, 0));
    let nonblock = libc::SPLICE_F_NONBLOCK;
    let result = splice(empty.as_raw_fd(), target, 100, nonblock);
    refused(t, "splice", libc::EAGAIN, result);

    let (unix, peer) = UnixStream::pair().expect("sockets");
    unix.set_nonblocking(true).expect("not blocking");
    let (unix, _peer) = (unix.as_raw_fd(), peer);
    refused(t, "sendfile", libc::EINVAL, sendfile(append, source, 100));
    refused(t, "sendfile", libc::EINVAL, sendfile(target, unix, 100));
    refused(t, "sendfile", libc::EINVAL, sendfile(target, made_up, 100));
    // SAFETY: the offset outlives the call.
    let at_pipe = unsafe { libc::sendfile(target, reader, here, 100) };
    refused(t, "sendfile", libc::ESPIPE, at_pipe);
    // SAFETY: as above.
    while unsafe { libc::lseek(source, 0, libc::SEEK_SET) } == 0 {
        let sent = sendfile(unix, source, 65536);
        if sent < 0 {
            refused(t, "sendfile", libc::EAGAIN, sent);
            break;
        }
    }

    // SAFETY: no memory is passed.
    let same = unsafe { libc::tee(reader, writer, 100, 0) };
    refused(t, "tee", libc::EINVAL, same);
    // SAFETY: no memory is passed.
    let none = unsafe { libc::tee(empty.as_raw_fd(), writer, 100, nonblock) };
    refused(t, "tee", libc::EAGAIN, none);
    let [_full_reader, full] = pipe();
    let bytes = vec![0_u8; 65536];
    let part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    loop {
        // SAFETY: the bytes outlive the pipe.
        let given = unsafe { libc::vmsplice(full.as_raw_fd(), &raw const part, 1, nonblock) };
        if given < 0 {
            refused(t, "vmsplice", libc::EAGAIN, given);
            break;
        }
    }

    let at = [Some(0), Some(0)];
    let copy = |from, to| copy_file_range(from, to, at, 100);
    refused(t, "copy_file_range", libc::EBADF, copy(source, append));
    refused(t, "copy_file_range", libc::EXDEV, copy(made_up, target));
    refused(t, "copy_file_range", libc::EXDEV, copy(source, other));
    let from_pipe = copy_file_range(reader, target, [None, Some(0)], 100);
    refused(t, "copy_file_range", libc::EINVAL, from_pipe);
    let overlapping = copy_file_range(source, source, [Some(0), Some(100)], 8192);
    refused(t, "copy_file_range", libc::EINVAL, overlapping);
    let directory = File::open(stored).expect("a directory");
    let from_directory = copy_file_range(directory.as_raw_fd(), target, [None, Some(0)], 100);
    refused(t, "copy_file_range", libc::EISDIR, from_directory);

    refused(t, "FICLONE", libc::EOPNOTSUPP, clone(target, source));
    refused(t, "FICLONE", libc::EXDEV, clone(other, source));
    refused(t, "FICLONE", libc::EBADF, clone(append, source));

    let from = open(&sharing.join("from"), 0);
    (&from).write_all(&vec![3; 4 * page()]).expect("written");
    let to = open(&sharing.join("to"), 0);
    let range = libc::file_clone_range {
        src_fd: from.as_raw_fd().into(),
        src_offset: 100,
        src_length: page() as u64,
        dest_offset: 0,
    };
    // SAFETY: the range outlives the call.
    let odd = unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONERANGE, &raw const range) };
    refused(t, "FICLONERANGE", libc::EINVAL, odd as isize);

    let direct = open(&stored.join("source"), libc::O_DIRECT);
    let direct = direct.as_raw_fd();
    let call = "read or write with O_DIRECT";
    refused(t, call, libc::EINVAL, read_at(direct, 0, 100, 0, 0));
    refused(t, call, libc::EINVAL, read_at(direct, 0, page(), 7, 0));
    refused(t, call, libc::EINVAL, read_at(direct, 1, page(), 0, 0));
    // SAFETY: the path is a string of C.
    let opened = unsafe { libc::open(c"/proc/self/cmdline".as_ptr(), libc::O_DIRECT) };
    refused(t, "open with O_DIRECT", libc::EINVAL, opened as isize);

    let cold = open(&stored.join("cold"), 0);
    (&cold).write_all(&vec![2; 1 << 20]).expect("written");
    cold.sync_all().expect("synced");
    // A page that a processor is still handling stays in the page cache.
    let absent = (0..100)
        .map(|_| {
            posix_fadvise(&cold, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("dropped");
            read_at(cold.as_raw_fd(), 0, page(), 0, libc::RWF_NOWAIT)
        })
        .find(|result| *result < 0)
        .unwrap_or_default();
    refused(t, "read with RWF_NOWAIT", libc::EAGAIN, absent);
    let flag = read_at(made_up, 0, 100, 0, libc::RWF_NOWAIT);
    refused(t, "read with flags", libc::EOPNOTSUPP, flag);
    let mut byte = [0_u8];
    // SAFETY: the byte outlives the call.
    let nothing = unsafe { libc::read(unix, byte.as_mut_ptr().cast(), 1) };
    let call = "read on a non-blocking descriptor";
    refused(t, call, libc::EAGAIN, nothing);
    // SAFETY: as above. sendfile has filled the socket.
    let no_room = unsafe { libc::write(unix, bytes.as_ptr().cast(), bytes.len()) };
    let call = "write on a non-blocking descriptor";
    refused(t, call, libc::EAGAIN, no_room);

    zero_copy_sends(t, unix);
    requests(t, unix, reader, target);
    told
}

fn zero_copy_sends(t: &mut Vec<(&'static str, i32)>, unix: RawFd) {
    let set = |socket: RawFd| {
        let one = 1_i32;
        // SAFETY: the number outlives the call.
        unsafe {
            libc::setsockopt(
                socket,
                libc::SOL_SOCKET,
                libc::SO_ZEROCOPY,
                (&raw const one).cast(),
                4,
            ) as isize
        }
    };
    let call = "setsockopt(SO_ZEROCOPY) on a unix socket";
    refused(t, call, libc::EOPNOTSUPP, set(unix));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let socket = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let _peer = listener.accept().expect("accepted");
    assert_eq!(set(socket.as_raw_fd()), 0);
    let pages = vec![0_u8; 1 << 18];
    // The limit does not hold for those who may lock memory, so it is another user who sends.
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| {
            let limit = libc::rlimit {
                rlim_cur: 65536,
                rlim_max: 65536,
            };
            // SAFETY: the system call itself changes this thread alone, and the pages outlive it.
            unsafe {
                assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit), 0);
                assert_eq!(libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534), 0);
                let (from, length) = (pages.as_ptr().cast(), pages.len());
                let result = libc::send(socket.as_raw_fd(), from, length, libc::MSG_ZEROCOPY);
                (result, io::Error::last_os_error().raw_os_error())
            }
        });
        let (result, errno) = sent.join().expect("sent");
        assert_eq!((result, errno), (-1, Some(libc::ENOBUFS)));
        t.push(("send with MSG_ZEROCOPY", libc::ENOBUFS));
    });
}

fn requests(t: &mut Vec<(&'static str, i32)>, unix: RawFd, pipe: RawFd, file: RawFd) {
    let mut ring = IoUring::new(4).expect("a ring");
    let mut buffer = [0_u8; 64];
    let (into, length) = (buffer.as_mut_ptr(), 64);
    let send = opcode::SendZc::new(Fd(unix), into, length).build();
    let call = "IORING_OP_SEND_ZC";
    refused(t, call, libc::EOPNOTSUPP, request(&mut ring, &[send]));
    let fixed = opcode::ReadFixed::new(Fd(file), into, length, 0).build();
    let call = "IORING_OP_READ_FIXED or WRITE_FIXED";
    refused(t, call, libc::EFAULT, request(&mut ring, &[fixed]));
    let (here, there) = UnixStream::pair().expect("sockets");
    (&there).write_all(b"x").expect("written");
    let receive = opcode::Recv::new(Fd(here.as_raw_fd()), ptr::null_mut(), 1)
        .buf_group(7)
        .build()
        .flags(squeue::Flags::BUFFER_SELECT);
    let call = "IORING_OP_RECV";
    refused(t, call, libc::ENOBUFS, request(&mut ring, &[receive]));
    // A splice of the ring is refused as the call is.
    let splice = opcode::Splice::new(Fd(pipe), 0, Fd(file), -1, 100).build();
    let result = request(&mut ring, &[splice]);
    refused(t, "splice", libc::ESPIPE, result);
    let first = opcode::ReadFixed::new(Fd(file), into, length, 0)
        .build()
        .flags(squeue::Flags::IO_LINK);
    let second = opcode::Read::new(Fd(file), into, length).build();
    let call = "a linked request of io_uring";
    let cancelled = request(&mut ring, &[first, second]);
    refused(t, call, libc::ECANCELED, cancelled);
}

/// The calls, in the process that is traced. It does nothing unless the test below runs it.
#[test]
#[ignore = "needs root and BPF"]
fn provoked_by_the_next_test() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let directory = Path::new(&directory);
    let places = PLACES.map(|(name, _)| directory.join(name));
    let told = provoke(places.each_ref().map(|place| place.as_path()));
    for refusal in refusals::ALL {
        let is_there = told.contains(&(refusal.call, refusal.errno));
        assert!(is_there, "nothing provokes {refusal:?}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn every_refusal_is_provoked_and_explained() {
    let arena = Arena::new(Sizes::default()).expect("an arena");
    let directory = arena.directory();
    for (name, fs) in PLACES {
        let work = arena.fs(fs).expect("a filesystem").join("refusals");
        create_dir(&work).expect("a directory");
        std::os::unix::fs::symlink(work, directory.join(name)).expect("a link");
    }
    let file = directory.join("stat.json");
    let output = Command::new(zctrace())
        .args(["stat", "--json", "-o"])
        .arg(&file)
        .arg("--")
        .args(program_of(module_path!(), "provoked_by_the_next_test"))
        .env(DIRECTORY, directory)
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{out}{said}"
    );
    let text = std::fs::read_to_string(&file).expect("a document");
    let document: Snapshot = serde_json::from_str(&text).expect("a stat document");
    let rows: Vec<_> = document
        .processes
        .iter()
        .flat_map(|process| &process.paths)
        .collect();
    for refusal in refusals::ALL
        .iter()
        .filter(|refusal| !refusal.ops.is_empty())
    {
        // What the document has of it: an errno in a row from which this meaning follows.
        let is_told = rows.iter().any(|row| {
            let errno: Errno = refusal.errno();
            row.errnos.get(errno) > 0
                && refusals::of(row.op.known().unwrap(), &row.object, errno)
                    .any(|found| found.call == refusal.call && found.means == refusal.means)
        });
        // A function sees a request when it is issued. Some are refused before: one with a bad buffer, up to
        // Linux 6.14, and one behind another that failed.
        let may_be_refused_before = [
            ("IORING_OP_READ_FIXED or WRITE_FIXED", libc::EFAULT),
            ("a linked request of io_uring", libc::ECANCELED),
        ]
        .contains(&(refusal.call, refusal.errno));
        if !is_told && document.backend == "functions" && may_be_refused_before {
            println!(
                "SKIP: {} is refused before it is issued, and in no row",
                refusal.call
            );
            continue;
        }
        assert!(is_told, "no row tells of {refusal:?}");
    }
    // Nor does a row fail in a way that the table does not know.
    for row in rows
        .iter()
        .filter(|row| row.op != "read" && row.op != "write")
    {
        for (errno, _) in row.errnos.iter() {
            let known = refusals::of(row.op.known().unwrap(), &row.object, errno).count();
            assert!(known > 0, "{} {} {errno}", row.op, row.object);
        }
    }
}
