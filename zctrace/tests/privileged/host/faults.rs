//! Page faults, counted one by one: where functions cannot be traced there is only their number.

use std::{
    fs::File,
    io::Write as _,
    num::NonZeroUsize,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    ptr::NonNull,
};

use nix::{
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap},
        resource::{UsageWho, getrusage},
    },
    unistd::gettid,
};
use zctrace::{
    ledger::Totals,
    tracer::{Config, Session},
};
use zctrace_common::Op;

use crate::common::own_totals;

const PAGES: usize = 200;

struct Pages(NonNull<u8>, usize);

impl Pages {
    fn new(file: Option<&File>) -> Self {
        Self::of(file, MapFlags::MAP_PRIVATE)
    }

    fn of(file: Option<&File>, kind: MapFlags) -> Self {
        let size = page_size();
        let length = NonZeroUsize::new(PAGES * size).expect("some");
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: new mappings, at addresses that the kernel chooses.
        let address = unsafe {
            match file {
                Some(file) => mmap(None, length, access, kind, file, 0),
                None => mmap_anonymous(None, length, access, kind),
            }
        };
        let address = address.expect("a mapping");
        // One fault for each page.
        // SAFETY: the advice changes no contents.
        let _ = unsafe { madvise(address, length.get(), MmapAdvise::MADV_NOHUGEPAGE) };
        Self(address.cast(), size)
    }

    fn each(&self, mut touch: impl FnMut(*mut u8)) {
        for page in 0..PAGES {
            // SAFETY: within the mapping.
            touch(unsafe { self.0.as_ptr().add(page * self.1) });
        }
    }

    fn read(&self) {
        self.each(|at| {
            // SAFETY: `each` passes addresses within the mapping.
            let _: u8 = unsafe { at.read_volatile() };
        });
    }

    fn write(&self) {
        // SAFETY: `each` passes addresses within the mapping.
        self.each(|at| unsafe { at.write_volatile(1) });
    }

    /// Lets the kernel make them present for writing.
    fn populate(&self) {
        let length = PAGES * self.1;
        // SAFETY: the advice changes no contents.
        let done =
            unsafe { libc::madvise(self.0.as_ptr().cast(), length, libc::MADV_POPULATE_WRITE) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: nobody has a reference into the mapping.
        let _ = unsafe { munmap(self.0.cast(), PAGES * self.1) };
    }
}

fn page_size() -> usize {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    usize::try_from(size.expect("a size").expect("a size")).expect("a size")
}

/// Faults of this thread so far.
fn faults() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("usage");
    (usage.minor_page_faults() + usage.major_page_faults()).cast_unsigned()
}

/// How many page faults `touch` takes.
fn counted(touch: impl FnOnce()) -> u64 {
    let before = faults();
    touch();
    faults() - before
}

/// Traces this thread.
fn own_session() -> Session {
    let tid = u32::try_from(gettid().as_raw()).expect("an id");
    Session::start(&Config {
        tasks: vec![tid],
        ..Config::default()
    })
    .expect("the probes attach")
}

/// A file in memory with as many pages.
fn file_of_pages(name: &str) -> File {
    let mut file = File::from(memfd_create(name, MFdFlags::empty()).expect("a file"));
    file.write_all(&vec![7; PAGES * page_size()]).expect("room");
    file
}

/// Whether faults are counted that may have copied: where their copies are not seen.
fn counts_faults(session: &Session) -> bool {
    let mut attempts = session.attempts().iter();
    attempts.any(|attempt| attempt.is_attached() && attempt.probe.name == "page_fault_user")
}

/// What this process has of an operation on an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    ops: u64,
    moved: u64,
    cow: u64,
}

fn row(session: &mut Session, op: Op, object: &str) -> Row {
    let reading = session.read().expect("the maps");
    let Totals {
        ops, moved, cow, ..
    } = own_totals(&reading, op, object);
    Row { ops, moved, cow }
}

/// What `touch` adds to a row.
fn added(session: &mut Session, (op, object): (Op, &str), touch: impl FnOnce()) -> Row {
    let before = row(session, op, object);
    touch();
    let after = row(session, op, object);
    Row {
        ops: after.ops - before.ops,
        moved: after.moved - before.moved,
        cow: after.cow - before.cow,
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn faults_are_counted_and_copies_on_write_are_not_made_up() {
    let file = file_of_pages("faults");
    let mut session = own_session();
    let attached: Vec<_> = session
        .attempts()
        .iter()
        .filter(|attempt| attempt.is_attached())
        .map(|attempt| attempt.probe.name)
        .collect();
    let is = |name: &str| attached.contains(&name);
    // The code that is about to run has to be faulted in too.
    let warm = Pages::new(Some(&file));
    warm.read();
    warm.write();
    counted(|| warm.read());
    row(&mut session, Op::FaultWrite, "unknown");

    let pages = Pages::new(Some(&file));
    let mut taken = 0;
    let mapped = (Op::FaultMap, "file:tmpfs");
    let map = added(&mut session, mapped, || taken = counted(|| pages.read()));
    assert!(taken > 0 && taken <= PAGES as u64, "{taken}");
    let bytes = (PAGES * page_size()) as u64;
    if is("file_fault_exit") {
        assert_eq!((map.ops, map.moved), (taken, bytes));
    } else if is("mm_filemap_map_pages") {
        assert_eq!((map.ops, map.moved, map.cow), (taken, 0, 0));
    } else {
        println!(
            "SKIP: faults of files: this kernel has neither functions nor tracepoints for them"
        );
        assert_eq!(map, Row::default());
    }

    let possible = (Op::FaultWrite, "unknown");
    let write = added(&mut session, possible, || taken = counted(|| pages.write()));
    assert_eq!(taken, PAGES as u64);
    if is("page_fault_user") {
        // Reading the maps writes to pages of its own.
        let beside = write.ops - taken;
        assert!(beside < 20, "{write:?}");
        assert_eq!((write.moved, write.cow), (0, 0));
    } else {
        assert_eq!(write, Row::default());
    }

    // Memory that is touched for the first time is no copy, and was no file's.
    let fresh = Pages::new(None);
    let write = added(&mut session, possible, || taken = counted(|| fresh.write()));
    assert_eq!(taken, PAGES as u64);
    assert!(write.ops < 20, "{write:?}");
    assert_eq!((write.moved, write.cow), (0, 0));
}

/// The first write to a page copies it where the mapping is private and of a file, whoever makes the page present.
#[test]
#[ignore = "needs root and BPF"]
fn first_writes_to_private_files_may_have_copied() {
    let file = file_of_pages("writes");
    let mut session = own_session();
    let is_counted = counts_faults(&session);
    let mut writes = |pages: &Pages, touch: fn(&Pages)| {
        let possible = |session: &mut Session| {
            let rows = ["unknown", "file:tmpfs"];
            let ops = rows.map(|object| row(session, Op::FaultWrite, object).ops);
            ops.iter().sum::<u64>()
        };
        let before = possible(&mut session);
        touch(pages);
        let ops = possible(&mut session) - before;
        // Reading the maps writes to pages of its own.
        (ops / PAGES as u64, ops % (PAGES as u64) < 20)
    };
    let each = u64::from(is_counted);
    let private = MapFlags::MAP_PRIVATE;
    let cases = [
        (Some(&file), private, each),
        (Some(&file), MapFlags::MAP_SHARED, 0),
        (None, private, 0),
    ];
    for (file, kind, times) in cases {
        for touch in [Pages::write, Pages::populate] {
            let pages = Pages::of(file, kind);
            assert_eq!(writes(&pages, touch), (times, true), "{file:?} {kind:?}");
        }
    }
    // Anonymous pages that are there already may be common with a child.
    let used = Pages::new(None);
    used.write();
    assert_eq!(writes(&used, Pages::populate), (0, true));
}

/// Registers the pages as a buffer of io_uring.
fn register(pages: &Pages) {
    const REGISTER_BUFFERS: libc::c_uint = 0;
    let mut parameters = [0_u8; 120];
    // SAFETY: the call fills a structure of that size.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, parameters.as_mut_ptr()) };
    assert!(ring >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: a descriptor of this function.
    let ring = unsafe { OwnedFd::from_raw_fd(i32::try_from(ring).expect("a descriptor")) };
    let buffer = libc::iovec {
        iov_base: pages.0.as_ptr().cast(),
        iov_len: PAGES * pages.1,
    };
    // SAFETY: the buffer is mapped as long as the ring is open.
    let done = unsafe {
        let ring = ring.as_raw_fd();
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            REGISTER_BUFFERS,
            &raw const buffer,
            1,
        )
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Locks them while they can only be read.
fn lock_and_allow(pages: &Pages) {
    let length = PAGES * pages.1;
    let at = pages.0.as_ptr().cast();
    // SAFETY: no reference points into the mapping.
    let done = unsafe {
        libc::mprotect(at, length, libc::PROT_READ)
            | libc::mlock(at, length)
            | libc::mprotect(at, length, libc::PROT_READ | libc::PROT_WRITE)
    };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

fn write_as_debuggers_do(pages: &Pages) {
    let memory = File::options()
        .write(true)
        .open("/proc/self/mem")
        .expect("the memory");
    pages.each(|at| {
        memory.write_all_at(&[2], at.addr() as u64).expect("a byte");
    });
}

/// The first page of what is populated is a shared mapping.
fn populate_behind_another(pages: &Pages) {
    let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: it replaces a page of the mapping, to which there is no reference.
    let first = unsafe { libc::mmap(pages.0.as_ptr().cast(), pages.1, access, kind, -1, 0) };
    assert_eq!(first, pages.0.as_ptr().cast());
    pages.populate();
}

/// Many calls have the kernel write to pages, or make them ready for that.
#[test]
#[ignore = "needs root and BPF"]
fn calls_that_make_pages_present_may_copy_them() {
    let file = file_of_pages("calls");
    let mut session = own_session();
    let is_counted = counts_faults(&session);
    let each = u64::from(is_counted);
    type Touch = fn(&Pages);
    let ways: [(&str, Touch); 4] = [
        ("io_uring_register", register),
        ("mprotect", lock_and_allow),
        ("/proc/self/mem", write_as_debuggers_do),
        ("madvise", populate_behind_another),
    ];
    for (name, touch) in ways {
        for (file, times) in [(Some(&file), each), (None, 0)] {
            if file.is_none() && name != "io_uring_register" {
                // Only there is it looked at whether the memory was ever used.
                continue;
            }
            let pages = Pages::new(file);
            let write = added(&mut session, (Op::FaultWrite, "unknown"), || touch(&pages));
            let beside = write.ops.abs_diff(times * PAGES as u64);
            assert!(beside < 20, "{name}: {write:?}");
        }
    }
}
