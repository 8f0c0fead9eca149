//! Marks regions of a test for `zctrace test`, which reports how the kernel moved bytes in each of them.
//!
//! ```
//! let region = zctrace_region::begin("send a file");
//! // ... what is to be measured, in this thread and in those that it starts ...
//! drop(region);
//! ```
//!
//! Without `zctrace test` it does nothing. It needs no privilege and nothing but the standard library.
//!
//! A marker is one line in one write to the descriptor whose number is in the environment variable
//! `ZCTRACE_REGION_FD`. The write is the boundary: what the thread did before it is outside, what it does after it is
//! inside.

use std::{
    env,
    fs::{File, Metadata},
    io::Write as _,
    marker::PhantomData,
    mem::ManuallyDrop,
    os::{fd::FromRawFd as _, unix::fs::FileTypeExt as _},
    sync::OnceLock,
};

/// The environment variable with the number of the descriptor.
pub const VARIABLE: &str = "ZCTRACE_REGION_FD";

/// A region of a thread, which ends when this is dropped. It stays in its thread.
#[derive(Debug)]
#[must_use = "the region ends when this is dropped"]
pub struct Region {
    name: String,
    stays: PhantomData<*const ()>,
}

/// A region of the process, which ends when this is dropped, in any thread.
#[derive(Debug)]
#[must_use = "the region ends when this is dropped"]
pub struct ProcessRegion {
    name: String,
}

/// Begins a region of the calling thread, and of the threads and processes that it starts meanwhile.
///
/// The name has at most 188 bytes and no newline. Regions within one another end in the reverse order, which is that of
/// drops.
pub fn begin(name: &str) -> Region {
    mark("begin", name);
    Region {
        name: name.to_owned(),
        stays: PhantomData,
    }
}

/// Begins a region of the whole process. Threads that are in a region of their own stay there.
pub fn begin_process(name: &str) -> ProcessRegion {
    mark("process begin", name);
    ProcessRegion {
        name: name.to_owned(),
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        mark("end", &self.name);
    }
}

impl Drop for ProcessRegion {
    fn drop(&mut self) {
        mark("process end", &self.name);
    }
}

fn mark(word: &str, name: &str) {
    let Some(descriptor) = descriptor() else {
        return;
    };
    let line = format!("{word} {name}\n");
    // SAFETY: zctrace has opened it for this process and its children, and it stays open.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor) });
    // A program that was started with its descriptors closed can have something else there.
    let is_pipe = |metadata: Metadata| metadata.file_type().is_fifo();
    if !file.metadata().is_ok_and(is_pipe) {
        return;
    }
    // One write: two would be two lines. If zctrace has ended there is nobody to tell.
    let _ = file.write(line.as_bytes());
}

/// The descriptor, where the test runs under `zctrace test`.
fn descriptor() -> Option<i32> {
    static DESCRIPTOR: OnceLock<Option<i32>> = OnceLock::new();
    *DESCRIPTOR.get_or_init(|| {
        env::var(VARIABLE)
            .ok()?
            .parse()
            .ok()
            .filter(|number| *number > 2)
    })
}
