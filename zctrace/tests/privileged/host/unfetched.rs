//! Linux AIO whose results no call fetches: where functions cannot be traced, that is said and not guessed.

use std::{fs::File, io::Write as _, os::fd::AsRawFd as _};

use nix::{
    errno::Errno,
    sys::memfd::{MFdFlags, memfd_create},
    unistd::gettid,
};
use zctrace::tracer::{Config, Session};
use zctrace_common::Op;

use crate::common::own_totals;

const LENGTH: usize = 4096;

/// `struct iocb` and `struct io_event` as arrays of words (include/uapi/linux/aio_abi.h).
type ControlBlock = [u64; 8];
type Event = [u64; 4];

struct Context(libc::c_ulong);

impl Context {
    fn new() -> Result<Self, Errno> {
        let mut id = 0;
        // SAFETY: the kernel writes an id.
        Errno::result(unsafe { libc::syscall(libc::SYS_io_setup, 8, &raw mut id) })?;
        Ok(Self(id))
    }

    fn submit(&self, block: &ControlBlock) {
        let list = [&raw const *block];
        // SAFETY: a list of one control block, whose buffer outlives the request.
        let taken = unsafe { libc::syscall(libc::SYS_io_submit, self.0, 1, list.as_ptr()) };
        assert_eq!(taken, 1, "{}", Errno::last());
    }

    fn fetch(&self, least: i64) -> Vec<Event> {
        let mut events = vec![[0; 4]; 8];
        let none = std::ptr::null::<libc::timespec>();
        let room = events.as_mut_ptr();
        // SAFETY: room for eight events.
        let some = unsafe { libc::syscall(libc::SYS_io_getevents, self.0, least, 8, room, none) };
        events.truncate(usize::try_from(some).expect("events"));
        events
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it is not used any more.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.0) };
    }
}

/// Operations, bytes and copied bytes of `aio.read`, and submissions that were not followed.
fn counted(session: &mut Session) -> (u64, u64, u64, u64) {
    let reading = session.read().expect("the maps");
    let totals = own_totals(&reading, Op::AioRead, "file:tmpfs");
    (
        totals.ops,
        totals.moved,
        totals.copied_to_user,
        reading.loss.unfollowed_calls.io_submit,
    )
}

#[test]
#[ignore = "needs root and BPF"]
fn a_request_whose_result_no_call_fetches_is_not_made_up() {
    let context = match Context::new() {
        Ok(context) => context,
        Err(errno) => {
            println!("SKIP: a_request_whose_result_no_call_fetches: io_setup: {errno}");
            return;
        }
    };
    let mut file = File::from(memfd_create("aio", MFdFlags::empty()).expect("a file"));
    file.write_all(&[7; LENGTH]).expect("room");
    let buffer = vec![0_u8; LENGTH];
    let descriptor = u64::from(file.as_raw_fd().cast_unsigned());
    // IOCB_CMD_PREAD is 0; the descriptor is the upper half of its word.
    let block = [
        1,
        0,
        descriptor << 32,
        buffer.as_ptr() as u64,
        LENGTH as u64,
        0,
        0,
        0,
    ];
    let tid = u32::try_from(gettid().as_raw()).expect("an id");
    let mut session = Session::start(&Config {
        tasks: vec![tid],
        ..Config::default()
    })
    .expect("the probes attach");
    let one = LENGTH as u64;
    context.submit(&block);
    let first = counted(&mut session);
    // The same control block again: a program reads the first result from memory.
    context.submit(&block);
    let second = counted(&mut session);
    let events = context.fetch(2);
    let third = counted(&mut session);
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event[2] == one), "{events:?}");
    if session.backend() == "tracepoints" {
        assert_eq!(first, (0, 0, 0, 0));
        assert_eq!(second, (0, 0, 0, 1));
        assert_eq!(third, (1, one, one, 1));
    } else {
        assert_eq!(first, (1, one, one, 0));
        assert_eq!(second, (2, 2 * one, 2 * one, 0));
        assert_eq!(third, second);
    }
}
