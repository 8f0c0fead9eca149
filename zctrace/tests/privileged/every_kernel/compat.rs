//! System calls of 32-bit programs. On x86-64 a 64-bit program can make them; on arm64 none can.

use std::{arch::asm, io::Write as _, num::NonZeroUsize, os::fd::AsRawFd as _};

use crate::common::shared;
use nix::{
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, ProtFlags, mmap_anonymous},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, fork},
};
use zctrace::ledger::Loss;

/// `read` as a 32-bit program calls it.
///
/// # Safety
/// `buffer` is below 4 GiB and has room for `length` bytes.
unsafe fn read_in_32_bits(fd: i32, buffer: *mut u8, length: usize) -> i32 {
    const READ: u64 = 3;
    let mut result = READ;
    // SAFETY: the kernel writes to the buffer only. The compiler keeps rbx for itself.
    unsafe {
        asm!(
            "xchg rbx, {fd}",
            "int 0x80",
            "xchg rbx, {fd}",
            fd = inout(reg) u64::from(fd.cast_unsigned()) => _,
            inout("rax") result,
            in("rcx") buffer,
            in("rdx") length,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    result as i32
}

#[test]
#[ignore = "needs root and BPF"]
fn calls_of_32_bit_programs_are_counted_or_lost() {
    const LENGTH: usize = 4096;
    let file = memfd_create("zct-compat", MFdFlags::empty()).unwrap();
    nix::unistd::write(&file, &[1; 2 * LENGTH]).unwrap();
    nix::unistd::lseek(&file, 0, nix::unistd::Whence::SeekSet).unwrap();
    let length = NonZeroUsize::new(LENGTH).unwrap();
    let (protection, flags) = (
        ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        MapFlags::MAP_PRIVATE | MapFlags::MAP_32BIT,
    );
    // SAFETY: fresh memory.
    let buffer = unsafe { mmap_anonymous(None, length, protection, flags) }.unwrap();
    let (wait, mut go) = std::io::pipe().unwrap();
    // SAFETY: the child makes system calls only, and ends.
    let child = match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let mut byte = [0];
            let _ = nix::unistd::read(&wait, &mut byte);
            // SAFETY: the mapping is that long.
            let some = unsafe { read_in_32_bits(file.as_raw_fd(), buffer.as_ptr().cast(), LENGTH) };
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(some != LENGTH as i32)) }
        }
    };
    let mut session = shared::session();
    let before = session.read().expect("the maps").loss;
    session
        .add_task(child.as_raw().cast_unsigned())
        .expect("a task");
    go.write_all(&[1]).unwrap();
    let status = waitpid(child, None).unwrap();
    if matches!(status, WaitStatus::Signaled(..)) {
        println!("SKIP: calls_of_32_bit_programs_are_counted_or_lost: this kernel has none");
        return;
    }
    assert_eq!(status, WaitStatus::Exited(child, 0));
    let reading = session.read().expect("the maps");
    let read: u64 = reading
        .processes
        .iter()
        .filter(|process| process.pid == child.as_raw().cast_unsigned())
        .flat_map(|process| &process.paths)
        .filter(|path| path.op == "read" && path.object == "file:tmpfs")
        .map(|path| path.totals.copied_to_user)
        .sum();
    let loss = reading.loss.since(&before);
    if session.backend() == "tracepoints" {
        assert_eq!((read, loss.lost(), loss.unfollowed_calls.compat), (0, 0, 1));
    } else {
        assert_eq!((read, loss), (LENGTH as u64, Loss::default()));
    }
}
