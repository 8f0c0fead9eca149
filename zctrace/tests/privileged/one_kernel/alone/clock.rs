//! A clock that is set forth and back by hours while zctrace records: no number changes, and time goes on.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::time::TimeSpec,
    time::{ClockId, clock_gettime, clock_settime},
};
use zctrace::report::recorded::Document;

use crate::common::{
    eventually, is_emulated,
    serve::{run, worker, written},
    zctrace,
};

/// Sets the machine's clock.
fn jump(seconds: i64) {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("a clock");
    let then = TimeSpec::new(now.tv_sec() + seconds, now.tv_nsec());
    clock_settime(ClockId::CLOCK_REALTIME, then).expect("setting the clock");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_clock_that_jumps_changes_no_number() {
    if !is_emulated() {
        println!("SKIP: a_clock_that_jumps_changes_no_number: it would set this machine's clock");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let worker = worker(dir.path(), "zcserve-clock");
    let file = dir.path().join("clock.zct");
    let begin = Instant::now();
    let mut recorder = Command::new(zctrace())
        .args(["record", "--no-faults", "--comm", "zcserve-clock"])
        .args(["--interval", "200ms", "-o"])
        .arg(&file)
        .spawn()
        .expect("the program starts");
    eventually(Duration::from_secs(120), "begun", || {
        fs::metadata(&file).is_ok_and(|file| file.len() > 0)
    });
    for seconds in [7200, -14_400, 7200] {
        jump(seconds);
        run(&worker);
        thread::sleep(Duration::from_millis(700));
    }
    // As with Ctrl-C.
    let interrupt = Command::new("kill")
        .args(["-INT", &recorder.id().to_string()])
        .status();
    assert!(interrupt.expect("kill starts").success());
    assert!(recorder.wait().expect("an end").success());
    let took = u64::try_from(begin.elapsed().as_nanos()).expect("not that long");
    let output = crate::common::run(&["report", "--json", &file.display().to_string()]);
    let document: Document = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(document.damage, None);
    assert_eq!(written(&document.stat), 3 * (200 << 16));
    // Three times 700 ms at least, and no hours.
    assert!((2_000_000_000..took).contains(&document.stat.duration_ns));
    let starts: Vec<_> = document.intervals.iter().map(|i| &i.started_at).collect();
    // The start is the clock's; what follows is counted from there.
    assert!(starts.is_sorted(), "{starts:?}");
}
