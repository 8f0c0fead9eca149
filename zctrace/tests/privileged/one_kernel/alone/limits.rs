//! Where counting gets hard: ids that are used again, full maps.

use std::{
    fs,
    io::{Read as _, Write as _},
};

use nix::{
    sys::wait::{WaitStatus, waitpid},
    unistd::{Pid, gettid},
};
use zctrace::{
    ledger::Process,
    tracer::{Config, Session},
};

use crate::common::shared;

/// `struct clone_args` of `include/uapi/linux/sched.h`, up to what Linux 5.5 added.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Forks a child that is called `zct-reuse` and reads `bytes` of /dev/zero. With the id `wanted`
/// if there is one.
fn child(wanted: Option<i32>, bytes: usize) -> Pid {
    let ids = [wanted.unwrap_or(0)];
    let args = CloneArgs {
        exit_signal: libc::SIGCHLD as u64,
        set_tid: wanted.map_or(0, |_| ids.as_ptr() as u64),
        set_tid_size: wanted.map_or(0, |_| 1),
        ..CloneArgs::default()
    };
    let mut buffer = [0_u8; 4096];
    assert!(bytes <= buffer.len());
    // SAFETY: a plain fork; the child makes system calls on its own copy of this frame, and ends.
    unsafe {
        let pid = libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>());
        if pid == 0 {
            libc::prctl(libc::PR_SET_NAME, c"zct-reuse".as_ptr());
            let zero = libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY);
            let read = libc::read(zero, buffer.as_mut_ptr().cast(), bytes);
            libc::_exit(i32::from(read != bytes as isize));
        }
        assert!(pid > 0, "clone3: {}", std::io::Error::last_os_error());
        Pid::from_raw(pid as i32)
    }
}

fn ended_well(pid: Pid) {
    assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 0));
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_id_that_is_used_again_is_another_process() {
    let (snapshot, first) = shared::session().trace_new_processes(|| {
        let first = child(None, 1000);
        ended_well(first);
        // Start times are told in hundredths of a second.
        std::thread::sleep(std::time::Duration::from_millis(30));
        let second = child(Some(first.as_raw()), 4000);
        assert_eq!(first, second);
        ended_well(second);
        first
    });
    let mine = snapshot
        .processes
        .iter()
        .filter(|process| process.pid == first.as_raw() as u32);
    // A child of this program has page faults too.
    let read = |process: &Process| {
        let reads = process.paths.iter().filter(|path| path.op == "read");
        reads.map(|path| path.totals.moved).sum::<u64>()
    };
    let mut told: Vec<_> = mine
        .map(|process| (process.start_time, read(process)))
        .collect();
    told.sort_unstable();
    let moved: Vec<_> = told.iter().map(|(_, moved)| *moved).collect();
    assert_eq!(moved, [1000, 4000], "{snapshot:#?}");
    assert!(told[0].0 < told[1].0, "{told:?}");
}

/// Three operations on three objects, where there is room for two rows.
#[test]
#[ignore = "needs root and BPF"]
fn what_does_not_fit_is_counted_as_lost() {
    let mut zero = fs::File::open("/dev/zero").unwrap();
    let mut null = fs::File::create("/dev/null").unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let mut byte = [0_u8];
    let mut session = Session::start(&Config {
        tasks: vec![gettid().as_raw() as u32],
        faults: false,
        max_rows: 3,
        ..Config::default()
    })
    .unwrap();
    // The first operation of a thread that was there before may be one to leave out.
    for _ in 0..3 {
        zero.read_exact(&mut byte).unwrap();
        null.write_all(&byte).unwrap();
        writer.write_all(&byte).unwrap();
        reader.read_exact(&mut byte).unwrap();
    }
    let reading = session.read().unwrap();
    let ops = reading.total.ops;
    assert!(reading.loss.map_full > 0, "{reading:#?}");
    assert!(reading.processes[0].paths.len() <= 2);
    // Nothing vanishes: 12 operations, counted or lost.
    assert!(ops > 0 && ops + reading.loss.map_full >= 12, "{reading:#?}");
}
