//! What enters the page cache while an operation runs, to the page. The witness is `mincore`, which tells the pages of
//! a file that are there.

use std::{
    fs::{self, File, OpenOptions},
    io::{IoSliceMut, Write as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, OpenOptionsExt as _},
    },
    path::Path,
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{PosixFadviseAdvice, posix_fadvise},
    libc,
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::sendfile::sendfile,
};
use zctrace::{
    ledger::{Path as Row, Process, Totals},
    tracer::Session,
    workload::{
        Skip,
        scene::{
            arena::evict,
            mounts::{Fs, Mount},
        },
    },
};

use crate::common::{eventually, shared};

/// No whole number of pages.
const LENGTH: usize = (2 << 20) + 223;
const CHUNK: usize = 65_543;

fn page() -> u64 {
    // SAFETY: it only asks.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.cast_unsigned()
}

/// Bytes of the pages of a file that are in the page cache.
fn resident(file: &File) -> u64 {
    let length = file.metadata().expect("a length").len() as usize;
    let mut pages = vec![0_u8; length.div_ceil(page() as usize)];
    // SAFETY: a new mapping, of which nothing is touched; the vector has a byte for each of its pages.
    unsafe {
        let address = libc::mmap(
            std::ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        assert_ne!(address, libc::MAP_FAILED);
        assert_eq!(libc::mincore(address, length, pages.as_mut_ptr()), 0);
        assert_eq!(libc::munmap(address, length), 0);
    }
    pages.iter().map(|page| u64::from(page & 1)).sum::<u64>() * page()
}

/// The pages that were `told` to enter are there, and no others. Those that are read ahead are there once their device
/// has brought them.
fn assert_resident(file: &File, told: Totals, which: &str) {
    let what = format!("{which} of {told:?}");
    eventually(Duration::from_secs(20), &what, || {
        resident(file) == told.filled
    });
}

/// The sum of the rows of this process that `which` chooses.
fn sum(session: &mut Session, which: &impl Fn(&Row) -> bool) -> Totals {
    let reading = session.read().expect("the maps");
    let own = |process: &&Process| process.pid == std::process::id();
    let mut totals = Totals::default();
    for process in reading.processes.iter().filter(own) {
        for path in process.paths.iter().filter(|path| which(path)) {
            totals.add(&path.totals);
        }
    }
    totals
}

/// What `work` adds to the rows that `which` chooses.
fn added(session: &mut Session, which: impl Fn(&Row) -> bool, work: impl FnOnce()) -> Totals {
    let before = sum(session, &which);
    work();
    let mut after = sum(session, &which);
    after.subtract(&before);
    after
}

fn of(op: &'static str, object: &'static str) -> impl Fn(&Row) -> bool {
    move |path| path.op == op && path.object.as_str().starts_with(object)
}

fn read(file: &File, from: usize, to: usize) {
    let mut buffer = vec![0; CHUNK];
    let mut at = from;
    while at < to {
        let length = CHUNK.min(to - at);
        at += file
            .read_at(&mut buffer[..length], at as u64)
            .expect("reading");
    }
}

fn map_and_touch(file: &File) {
    // SAFETY: a new mapping of the file's length, of which each page is read.
    unsafe {
        let address = libc::mmap(
            std::ptr::null_mut(),
            LENGTH,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        assert_ne!(address, libc::MAP_FAILED);
        for at in (0..LENGTH).step_by(page() as usize) {
            address.cast::<u8>().add(at).read_volatile();
        }
        assert_eq!(libc::munmap(address, LENGTH), 0);
    }
}

/// Reads all of it through io_uring; false where this kernel refuses it.
fn read_by_ring(file: &File) -> bool {
    let Ok(mut ring) = io_uring::IoUring::new(2) else {
        return false;
    };
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < LENGTH {
        let fd = io_uring::types::Fd(file.as_raw_fd());
        let read = io_uring::opcode::Read::new(fd, buffer.as_mut_ptr(), CHUNK as u32);
        let read = read.offset(at as u64).build();
        // SAFETY: the file and the buffer are there until it has completed.
        unsafe { ring.submission().push(&read) }.expect("room");
        ring.submit_and_wait(1).expect("submitting");
        let done = ring.completion().next().expect("a completion").result();
        assert!(done > 0, "{done}");
        at += done as usize;
    }
    true
}

/// Reads the first bytes with `RWF_DONTCACHE`; false where the kernel has no such flag.
fn read_uncached(file: &File) -> bool {
    const RWF_DONTCACHE: libc::c_int = 0x80;
    let mut buffer = vec![0; CHUNK];
    let mut pieces = [IoSliceMut::new(&mut buffer)];
    // SAFETY: an `IoSliceMut` is an `iovec` of memory that is borrowed mutably.
    let read = unsafe {
        libc::preadv2(
            file.as_raw_fd(),
            pieces.as_mut_ptr().cast(),
            1,
            0,
            RWF_DONTCACHE,
        )
    };
    match Errno::result(read) {
        Ok(bytes) => bytes as usize == CHUNK,
        Err(Errno::EOPNOTSUPP) => false,
        Err(error) => panic!("{error}"),
    }
}

/// A new file, on its device and not in the page cache. What writing it added is told first.
fn cold_file(session: &mut Session, object: &'static str, path: &Path) -> File {
    let open = || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .custom_flags(libc::O_CLOEXEC)
            .open(path)
    };
    let mut file = open().expect("a file");
    let written = added(session, of("write", object), || {
        file.write_all(&vec![7; LENGTH]).expect("writing");
    });
    assert_resident(&file, written, "what is written");
    file.sync_all().expect("writing it out");
    evict(&file).expect("evicting");
    assert_eq!(resident(&file), 0, "nothing else uses it");
    file
}

fn on(session: &mut Session, fs: Fs, directory: &Path) {
    let object = fs.object();
    let file = cold_file(session, object, &directory.join("file"));
    let whole = (LENGTH as u64).next_multiple_of(page());
    // By half, with what the kernel reads ahead.
    let first = added(session, of("read", object), || read(&file, 0, LENGTH / 2));
    assert_resident(&file, first, "the first half");
    let half = first.filled;
    assert!(half >= LENGTH as u64 / 2);
    let second = added(session, of("read", object), || read(&file, 0, LENGTH));
    assert_eq!(second.filled, whole - half, "{fs:?}: {second:?}");
    assert_eq!(resident(&file), whole);
    let warm = added(session, of("read", object), || read(&file, 0, LENGTH));
    assert_eq!((warm.filled, warm.moved), (0, LENGTH as u64), "{fs:?}");

    evict(&file).expect("evicting");
    let mut null = OpenOptions::new()
        .write(true)
        .open("/dev/null")
        .expect("a device");
    let sent = added(session, of("sendfile", object), || {
        let mut at = 0;
        while sendfile(&null, &file, Some(&mut at), CHUNK).expect("sending") != 0 {}
    });
    assert_resident(&file, sent, "what is sent");
    assert_eq!(sent.filled, whole, "{fs:?}");

    // Another call reads ahead, and the read finds its bytes there.
    evict(&file).expect("evicting");
    let other = |path: &Row| path.op == "other" && path.object.as_str().contains("fadvise");
    let advised = added(session, other, || {
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_WILLNEED).expect("advice");
        // Its row is made when the thread does something else.
        null.write_all(&[7]).expect("writing");
    });
    // The device bounds what is read ahead.
    assert_resident(&file, advised, "what is advised");
    assert!(advised.filled >= CHUNK as u64);
    let warm = added(session, of("read", object), || read(&file, 0, CHUNK));
    assert_eq!(warm.filled, 0, "{fs:?}: {warm:?}");

    evict(&file).expect("evicting");
    let fault = |path: &Row| {
        path.op == "fault.map" && path.object.as_str().starts_with(object)
            || path.op == "other" && path.object == "exception"
    };
    let mapped = added(session, fault, || {
        map_and_touch(&file);
        null.write_all(&[7]).expect("writing");
    });
    assert_resident(&file, mapped, "what is mapped");
    assert_eq!(mapped.filled, whole, "{fs:?}");

    evict(&file).expect("evicting");
    let is_measured = session.backend() == "functions";
    let mut has_rings = false;
    let asked = added(session, of("uring.read", object), || {
        has_rings = read_by_ring(&file);
    });
    if has_rings && is_measured {
        assert_resident(&file, asked, "what is asked for");
        assert_eq!(asked.filled, whole, "{fs:?}");
    } else {
        // Which request the pages are for is not known.
        assert_eq!(asked.filled, 0, "{fs:?}");
    }

    evict(&file).expect("evicting");
    if read_uncached(&file) {
        for _ in 0..2 {
            let uncached = added(session, of("read", object), || {
                assert!(read_uncached(&file));
            });
            let least = (CHUNK as u64).next_multiple_of(page());
            assert!(uncached.filled >= least, "{fs:?}: {uncached:?}");
        }
    } else {
        println!("{fs:?} has no RWF_DONTCACHE here");
    }
}

/// What ext4 knows of its files goes through the page cache of its device, also while a file is read. It is no part of
/// the file, but part of the device for who reads that.
fn metadata(session: &mut Session, directory: &Path) {
    let path = directory.join("fragmented");
    let file = File::create(&path).expect("a file");
    // More extents than fit into the inode.
    let block = vec![7; page() as usize];
    for at in (0..64).map(|number| number * 2 * page()) {
        file.write_all_at(&block, at).expect("writing");
    }
    file.sync_all().expect("writing it out");
    drop(file);
    let mounts = fs::read_to_string("/proc/self/mounts").expect("a list");
    let device = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| Path::new(fields[1]) == directory)
        .map(|fields| fields[0].to_owned())
        .expect("it is mounted");
    umount2(directory, MntFlags::empty()).expect("unmounting");
    mount(
        Some(device.as_str()),
        directory,
        Some("ext4"),
        MsFlags::empty(),
        None::<&str>,
    )
    .expect("mounting");
    let file = File::open(&path).expect("the file");
    let length = file.metadata().expect("a length").len() as usize;
    assert_eq!(resident(&file), 0);
    let whole = added(session, of("read", "file:ext4"), || read(&file, 0, length));
    assert_resident(&file, whole, "the fragments");
    drop(file);
    umount2(directory, MntFlags::empty()).expect("unmounting");

    let device = File::open(device).expect("a device");
    evict(&device).expect("evicting");
    let mut pages = 0;
    let raw = added(session, of("read", "block"), || {
        let mut buffer = vec![0; CHUNK];
        for at in 0..4 {
            device
                .read_exact_at(&mut buffer, at * CHUNK as u64)
                .expect("reading");
        }
        pages = 4 * CHUNK as u64 / page();
    });
    assert!(raw.filled >= pages * page(), "{raw:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn what_enters_the_page_cache_is_known_to_the_page() {
    let mut session = shared::session();
    for fs in [Fs::Ext4, Fs::Xfs] {
        let directory = tempfile::tempdir().expect("a directory");
        let mount = match Mount::new(fs, directory.path()) {
            Ok(mount) => mount,
            Err(error) if error.is::<Skip>() => {
                println!("SKIP: {error}");
                continue;
            }
            Err(error) => panic!("{error:#}"),
        };
        on(&mut session, fs, mount.path());
        if fs == Fs::Ext4 {
            metadata(&mut session, mount.path());
        }
    }
}
