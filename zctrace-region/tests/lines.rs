//! What a region writes, where a pipe is open for it: one line in one write for its beginning, and one for its end.

use std::{
    env,
    io::{Read as _, pipe},
    os::fd::AsRawFd as _,
    thread,
};

use zctrace_region::{VARIABLE, begin, begin_process};

/// The only test of this program, because it changes the environment.
#[test]
fn regions_write_their_lines() {
    let (mut reader, writer) = pipe().unwrap();
    // SAFETY: no other thread reads the environment.
    unsafe { env::set_var(VARIABLE, writer.as_raw_fd().to_string()) };
    let outer = begin_process("the whole");
    let inner = begin("a part");
    drop(inner);
    // A region of the process ends in any thread.
    thread::spawn(|| drop(outer)).join().unwrap();
    drop(writer);
    let mut lines = String::new();
    reader.read_to_string(&mut lines).unwrap();
    assert_eq!(
        lines,
        "process begin the whole\nbegin a part\nend a part\nprocess end the whole\n"
    );
}
