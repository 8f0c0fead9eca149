//! Makes files, pipes and devices.

use std::{ffi::CString, fs, os::fd::AsRawFd as _, path::Path};

use anyhow::Result;
use nix::{
    errno::Errno,
    libc::{self, c_int, c_void},
};

use super::ends::{Ends, of, owned};
use crate::hunt::operation::{Make, Place};

/// A file in a directory, its first end to write to and the second to read from. It begins with this pattern, which is
/// longer.
pub(super) fn file(
    directory: &Path,
    place: Place,
    make: Make,
    pattern: *const c_void,
) -> Result<Ends> {
    let text = |path: &Path| CString::new(path.as_os_str().as_encoded_bytes());
    let (name, plain, made) = match place {
        Place::Memory => {
            // SAFETY: a string that outlives the call.
            let plain = owned(unsafe { libc::memfd_create(c"hunted".as_ptr(), 0) })?;
            let name = directory.join(plain.as_raw_fd().to_string());
            (text(&name)?, plain, None)
        }
        Place::Block => {
            let name = text(directory)?;
            // SAFETY: a string that outlives the call.
            let plain = unsafe { libc::open(name.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) };
            (name, owned(plain)?, None)
        }
        _ => {
            let path = directory.join("hunted");
            let name = text(&path)?;
            let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
            // SAFETY: a string that outlives the call.
            let plain = owned(unsafe { libc::open(name.as_ptr(), flags, 0o600) })?;
            (name, plain, Some(path))
        }
    };
    let fd = plain.as_raw_fd();
    // SAFETY: the file is ours, and the mapping is longer than what is written.
    unsafe {
        libc::ftruncate(fd, make.bytes as i64);
        let pieces: &[(usize, usize)] = if make.holes && make.bytes > 8192 {
            &[(0, 4096), (make.bytes - 100, 100)]
        } else {
            &[(0, make.bytes)]
        };
        for &(offset, length) in pieces {
            libc::pwrite(fd, pattern, length, offset as i64);
        }
        libc::fsync(fd);
    }
    let with = |flags: c_int| {
        let flags = libc::O_RDWR | libc::O_CLOEXEC | flags;
        // SAFETY: as above.
        let result = unsafe { libc::open(name.as_ptr(), flags) };
        // Not every filesystem takes O_DIRECT.
        owned(result)
    };
    let ends = with(make.flags).or_else(|_| with(0)).and_then(|into| {
        Ok(of(
            into,
            with(make.flags & libc::O_DIRECT).or_else(|_| with(0))?,
        ))
    });
    if let Some(path) = made {
        fs::remove_file(&path)?;
    }
    ends
}

pub(super) fn pipe() -> Result<Ends> {
    let mut ends = [0; 2];
    // SAFETY: two ints, which outlive the call.
    Errno::result(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    let [out_of, into] = ends;
    let ends = of(owned(into)?, owned(out_of)?);
    // SAFETY: no memory is passed.
    unsafe { libc::fcntl(into, libc::F_SETPIPE_SZ, 1 << 18) };
    Ok(ends)
}

pub(super) fn opened(name: &str, flags: c_int) -> Result<Ends> {
    let name = CString::new(name)?;
    let flags = flags | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: a string that outlives the call.
    let fd = owned(unsafe { libc::open(name.as_ptr(), flags) })?;
    let other = fd.try_clone()?;
    Ok(of(fd, other))
}

/// A timer that has run out.
pub(super) fn timer() -> Result<Ends> {
    // SAFETY: no memory is passed.
    let fd = owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) })?;
    // SAFETY: integers, for which zero is fine.
    let mut when: libc::itimerspec = unsafe { std::mem::zeroed() };
    when.it_value.tv_nsec = 1;
    // SAFETY: a time that outlives the call.
    Errno::result(unsafe {
        libc::timerfd_settime(fd.as_raw_fd(), 0, &raw const when, std::ptr::null_mut())
    })?;
    let other = fd.try_clone()?;
    Ok(of(fd, other))
}
