//! What processes do in user space: samples against a program that measures itself.

use std::{
    env, fs,
    hint::black_box,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use zctrace::ledger::{CpuTime, Process, Snapshot};

use crate::common::{is_emulated, name_of, shared, zctrace};

/// How much of its time a program copies memory, in percent, for [`program`].
const SHARE: &str = "ZCTRACE_TEST_COPYING";

const SHARES: [u32; 3] = [0, 20, 60];

/// Bytes that are copied at once: so many that what is around the copy takes no part of the time that counts.
const LENGTH: usize = 256 << 10;

/// How far a share may be from the truth.
const TOLERANCE: f64 = 0.05;

/// Processor time that the program takes: some twelve hundred samples.
const TIME: Duration = Duration::from_secs(6);

/// Processor time of this thread.
fn now() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock");
    now.into()
}

/// Copies memory for a time, and returns how long that was.
fn copy(time: Duration, from: &[u8], to: &mut [u8]) -> Duration {
    let begin = now();
    while now() - begin < time {
        // The clock is a call of the kernel, whose time is no copying.
        for _ in 0..32 {
            black_box(&mut *to).copy_from_slice(black_box(from));
        }
    }
    now() - begin
}

/// Computes for a time.
fn compute(time: Duration) {
    let begin = now();
    let mut number = 1_u64;
    while now() - begin < time {
        for _ in 0..20_000 {
            number = black_box(number).wrapping_mul(6_364_136_223_846_793_005) ^ number >> 7;
        }
    }
}

/// Not a test by itself: the program of the next ones.
#[test]
#[ignore = "needs root and BPF"]
fn program() {
    let Some(share) = env::var_os(SHARE) else {
        return;
    };
    let share: u32 = share.to_str().expect("a number").parse().expect("a number");
    let (from, mut to) = (vec![1_u8; LENGTH], vec![0_u8; LENGTH]);
    let begin = now();
    let mut copied = Duration::ZERO;
    // Never in step with the samples.
    let mut round = 0_u32;
    while now() - begin < TIME {
        round = (round + 7) % 32;
        let slice = Duration::from_micros(400 + u64::from(round) * 25);
        if share > 0 {
            copied += copy(slice * share / 100, &from, &mut to);
        }
        // What a call took longer than its part is made up for.
        let all = (now() - begin).as_secs_f64();
        let wanted = copied.as_secs_f64() * 100.0 / f64::from(share.max(1)) - all;
        let rest = if share == 0 {
            slice
        } else {
            Duration::from_secs_f64(wanted.max(0.0))
        };
        compute(rest);
    }
    let share = copied.as_secs_f64() / (now() - begin).as_secs_f64();
    println!("\nTRUTH {} {share}", std::process::id());
}

/// Runs programs under `zctrace stat`, and returns the truth of each with what was measured.
fn traced(program: &str, shares: &[u32]) -> Vec<(f64, Process)> {
    if is_emulated() {
        println!(
            "SKIP: one_kernel::alone::work: these programs end before zctrace has read their names here"
        );
        return Vec::new();
    }
    shared::end();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("stat.json");
    let name = name_of(module_path!(), "program");
    let script = "for share in $1; do \
        ZCTRACE_TEST_COPYING=$share \"$0\" --ignored --exact \"$2\" --nocapture & \
        done; wait";
    let shares: Vec<_> = shares.iter().map(u32::to_string).collect();
    let output = Command::new(zctrace())
        .args(["stat", "--json", "-o"])
        .arg(&file)
        .args(["--", "sh", "-c", script, program, &shares.join(" "), &name])
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let out = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}{said}");
    let text = fs::read_to_string(&file).expect("a document");
    let document: Snapshot = serde_json::from_str(&text).expect("a stat document");
    if let Some(refused) = document
        .coverage
        .refused
        .iter()
        .find(|r| r.probe == "copy_sample")
    {
        println!("SKIP: one_kernel::alone::work: {}", refused.reason);
        return Vec::new();
    }
    let truths = out.lines().filter_map(|line| {
        let (pid, share) = line.strip_prefix("TRUTH ")?.split_once(' ')?;
        Some((pid.parse::<u32>().ok()?, share.parse::<f64>().ok()?))
    });
    let found = |pid| {
        let mut processes = document.processes.iter();
        let process = processes.find(|process| process.pid == pid);
        process
            .unwrap_or_else(|| panic!("no process {pid}: {text}"))
            .clone()
    };
    truths.map(|(pid, share)| (share, found(pid))).collect()
}

fn time_of(process: &Process) -> CpuTime {
    process.cpu_seconds.expect("samples")
}

#[test]
#[ignore = "needs root and BPF"]
fn the_share_of_copying_is_what_the_program_measured() {
    let own = env::current_exe().expect("this program");
    let own = own.to_str().expect("a path of the build");
    // A machine that does something else for seconds interrupts one program more than another, and samples with it.
    let is_off = |(truth, process): &(f64, Process)| {
        let time = time_of(process);
        (time.share(time.user_copying).expect("some time") - truth).abs() >= TOLERANCE
    };
    let mut all = traced(own, &SHARES);
    if all.iter().any(is_off) {
        let times: Vec<_> = all
            .iter()
            .map(|(truth, process)| (truth, time_of(process)))
            .collect();
        println!("once more, after {times:?}");
        all = traced(own, &SHARES);
    }
    if all.is_empty() {
        return;
    }
    assert_eq!(all.len(), SHARES.len());
    for (truth, process) in all {
        let time = time_of(&process);
        let share = time.share(time.user_copying).expect("some time");
        println!("copied {truth:.3} of its time, measured {share:.3}: {time:?}");
        assert!((share - truth).abs() < TOLERANCE, "{truth}: {time:?}");
        // The first samples can come before the program was looked at, the last ones after its end.
        let not_known = time.share(time.user_not_known).expect("some time");
        assert!(not_known < TOLERANCE, "{time:?}");
        assert!(time.total() > TIME.as_secs_f64() * 0.8, "{time:?}");
        assert!(time.total() < TIME.as_secs_f64() * 1.3, "{time:?}");
    }
}

/// This program without its table of sections, where names of functions are: as `strip` leaves it, and less.
fn without_names(directory: &std::path::Path) -> std::path::PathBuf {
    let mut bytes = fs::read(env::current_exe().expect("this program")).expect("readable");
    // e_shoff; e_shnum and e_shstrndx.
    bytes[0x28..0x30].fill(0);
    bytes[0x3c..0x40].fill(0);
    let path = directory.join("without-names");
    fs::write(&path, bytes).expect("room");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file");
    path
}

#[test]
#[ignore = "needs root and BPF"]
fn a_program_without_names_is_not_known() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = without_names(directory.path());
    let all = traced(program.to_str().expect("a path"), &[60]);
    let Some((truth, process)) = all.first() else {
        return;
    };
    let time = time_of(process);
    let share = |seconds| time.share(seconds).expect("some time");
    println!("copied {truth:.3} of its time: {time:?}");
    let copying = share(time.user_copying);
    if cfg!(target_feature = "crt-static") {
        // Its memcpy has no name either.
        assert!(copying < 0.01, "{time:?}");
    } else {
        // The C library's variant of memcpy is known all the same.
        assert!((copying - truth).abs() < TOLERANCE, "{truth}: {time:?}");
    }
    let known = share(time.user_other);
    assert!(known < TOLERANCE, "its own code is not known: {time:?}");
    assert!(share(time.user_not_known) > 0.25, "{time:?}");
}
