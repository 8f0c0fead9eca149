//! Regions that a command marks: a thousand of them, exact while other threads are busy.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{Read as _, Write as _},
    mem::ManuallyDrop,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::{fs::FileExt as _, process::ExitStatusExt as _},
    },
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use zctrace::{
    claims::{Tested, TestedRegion, Verdict, ratchet::Ratchet},
    ledger::Markers,
    run::channel::REGION_FD,
};

use crate::common::{is_emulated, program_of, shared, zctrace};

/// What the child of a test does.
const CHILD: &str = "ZCTRACE_REGIONS_CHILD";
/// How many regions.
const REGIONS: u64 = 1000;
/// The region with a copy too many.
const PLANTED: u64 = 617;
/// Threads that are busy meanwhile.
const BUSY: usize = 3;
/// The same on an emulated machine, where several threads on a processor are interrupted within a program.
const BUSY_EMULATED: usize = 1;

/// Whether a test runs here too that hardly depends on the kernel: each starts a tracer, which takes most of a minute on
/// an emulated machine. The running kernel runs them all.
fn runs_here(name: &str) -> bool {
    let runs = !is_emulated();
    if !runs {
        println!("SKIP: {name}: it hardly depends on the kernel, and the running one runs it");
    }
    runs
}

/// The descriptor for markers.
fn pipe() -> ManuallyDrop<File> {
    let number = env::var(REGION_FD).expect("a number");
    // SAFETY: zctrace has opened it for this process.
    ManuallyDrop::new(unsafe { File::from_raw_fd(number.parse().expect("a number")) })
}

/// One line, in one write.
fn mark(line: &str) {
    let line = format!("{line}\n");
    assert_eq!(pipe().write(line.as_bytes()).expect("a write"), line.len());
}

fn zeros(bytes: usize) {
    let mut zero = File::open("/dev/zero").expect("a device");
    zero.read_exact(&mut vec![0; bytes]).expect("zeros");
}

/// Reads of a region, by its number, and their bytes.
fn truth(number: u64) -> (u64, u64) {
    let reads = 1 + number % 3;
    (reads, reads * (100 + number))
}

fn thousand() {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let busy = if is_emulated() { BUSY_EMULATED } else { BUSY };
        for _ in 0..busy {
            scope.spawn(|| {
                let mut zero = File::open("/dev/zero").expect("a device");
                while !over.load(Ordering::Relaxed) {
                    zero.read_exact(&mut [0; 64]).expect("zeros");
                }
            });
        }
        let plants = env::var(CHILD).is_ok_and(|kind| kind == "planted");
        let mut buffer = vec![0; 100 + REGIONS as usize];
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&buffer, 0).expect("room");
        for number in 0..REGIONS {
            let region = zctrace_region::begin(&format!("region {number}"));
            let (reads, bytes) = truth(number);
            for _ in 0..reads {
                let buffer = &mut buffer[..(bytes / reads) as usize];
                file.read_exact_at(buffer, 0).expect("bytes");
            }
            if plants && number == PLANTED {
                file.read_exact_at(&mut buffer[..1], 0).expect("a byte");
            }
            drop(region);
            // Between regions.
            file.read_exact_at(&mut buffer[..7], 0).expect("bytes");
        }
        over.store(true, Ordering::Relaxed);
    });
}

fn families() {
    mark("begin outer");
    zeros(10);
    mark("begin inner");
    zeros(20);
    mark("end inner");
    // A thread and a child are where their parent is, until it ends the region.
    thread::spawn(|| zeros(40)).join().expect("a thread");
    let child = Command::new("head")
        .args(["-c", "80", "/dev/zero"])
        .output();
    assert_eq!(child.expect("a child").stdout.len(), 80);
    mark("end outer");
    zeros(160);
    // The process's, in another thread, and ended by a third one.
    let whole = zctrace_region::begin_process("whole");
    thread::spawn(|| zeros(320)).join().expect("a thread");
    thread::spawn(|| drop(whole)).join().expect("a thread");
    zeros(640);
    // Another thread does not take part in a region of this one.
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let other = thread::spawn(move || {
        let _ = receive.recv();
        zeros(1280);
    });
    mark("begin own");
    zeros(2560);
    drop(send);
    other.join().expect("a thread");
    mark("end own");
    for _ in 0..2 {
        mark("begin twice");
        zeros(3);
        mark("end twice");
    }
}

fn wrong() {
    mark("begin a");
    mark("end b");
    mark("nonsense");
    mark("end a");
    mark(&format!("begin {}", "x".repeat(189)));
    for number in 0..10 {
        mark(&format!("begin depth {number}"));
    }
}

/// Threads of the crowd, and how many times each enters the region.
const CROWD: (u64, u64) = (8, 20);

/// Many threads in one region, each for itself, and one that is in none.
fn crowd() {
    thread::scope(|scope| {
        for _ in 0..CROWD.0 {
            scope.spawn(|| {
                for _ in 0..CROWD.1 {
                    let region = zctrace_region::begin("crowd");
                    zeros(11);
                    drop(region);
                    zeros(5);
                }
            });
        }
        scope.spawn(|| zeros(1000));
    });
}

/// A process that is killed in a region, and what comes after.
fn killed() {
    let script = "printf 'begin cut\\n' >&$ZCTRACE_REGION_FD; head -c 1 /dev/zero; kill -9 $$";
    let child = Command::new("sh").args(["-c", script]).output();
    assert_eq!(child.expect("a shell").status.signal(), Some(9));
    mark("begin whole");
    zeros(9);
    mark("end whole");
    mark("begin idle");
    mark("end idle");
}

/// Garbage in every form, and regions with odd names between it, whose figures stay exact.
fn hostile() {
    let mut pipe = pipe();
    for line in 0..500 {
        pipe.write_all(format!("{line}\n").as_bytes())
            .expect("a line");
    }
    pipe.write_all(&vec![b'x'; 1 << 20])
        .expect("a million bytes without an end");
    for line in [
        &b"\n"[..],
        b"begin \n",
        b"begin a\0b\n",
        b"begin \xff\n",
        b"end",
    ] {
        pipe.write_all(line).expect("a line");
    }
    for name in ODD_NAMES {
        // Within what the names that nobody can read have begun.
        mark(&format!("process begin {name}"));
        mark(&format!("process end {name}"));
        thread::spawn(move || {
            let region = zctrace_region::begin(name);
            zeros(13);
            drop(region);
        })
        .join()
        .expect("a thread");
    }
    mark("begin closed");
    // SAFETY: nobody uses it any more.
    drop(unsafe { OwnedFd::from_raw_fd(pipe.as_raw_fd()) });
    zeros(17);
    // There may be another file by now.
    drop(zctrace_region::begin("nowhere"));
}

/// Names that are text of one line, and longer than any screen.
const ODD_NAMES: [&str; 4] = [
    "tab\tand \u{1b}[31mred",
    "a > b",
    "(io_uring)",
    "ä012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\
     01234567890123456789012345678901234567890123456789012345678901234567890123456789012345",
];

/// A thread stays in its region after that of the process around it has ended.
fn outlived() {
    mark("process begin around");
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let (begun, is_begun) = std::sync::mpsc::channel::<()>();
    let other = thread::spawn(move || {
        mark("begin inside");
        drop(begun);
        let _ = receive.recv();
        zeros(3);
        mark("end inside");
    });
    let _ = is_begun.recv();
    mark("process end around");
    drop(send);
    other.join().expect("a thread");
}

#[test]
#[ignore = "run by the tests of regions"]
fn marked_by_the_next_tests() {
    match env::var(CHILD).as_deref() {
        Ok("thousand" | "planted") => thousand(),
        Ok("families") => families(),
        Ok("wrong") => wrong(),
        Ok("crowd") => crowd(),
        Ok("killed") => killed(),
        Ok("hostile") => hostile(),
        Ok("outlived") => outlived(),
        _ => println!("SKIP: marked_by_the_next_tests: it is the child of other tests"),
    }
}

fn run(kind: &str, options: &[&str]) -> (Output, String) {
    shared::end();
    let output = Command::new(zctrace())
        .args(["test", "--json", "--accept-inferred"])
        .args(options)
        .arg("--")
        .args(program_of(module_path!(), "marked_by_the_next_tests"))
        .env(CHILD, kind)
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// Runs a child under `zctrace test`. A run in which the kernel skipped a program says nothing of the truth, and is
/// repeated: one of three must be whole.
fn tested(kind: &str, options: &[&str], directory: &Path) -> (Tested, Option<i32>) {
    tested_until(kind, options, directory, |_| true)
}

/// The same, and a run in which something else on the machine stood against a PASS is repeated, too: packets of an
/// earlier test may still be on their way.
fn undisturbed(kind: &str, options: &[&str], directory: &Path) -> (Tested, Option<i32>) {
    tested_until(kind, options, directory, |document| {
        document.reasons.is_empty()
    })
}

fn tested_until(
    kind: &str,
    options: &[&str],
    directory: &Path,
    is_whole: impl Fn(&Tested) -> bool,
) -> (Tested, Option<i32>) {
    let mut attempts = 3;
    loop {
        attempts -= 1;
        let (document, code) = tested_once(kind, options, directory);
        if attempts == 0 || (document.stat.loss.missed_runs == 0 && is_whole(&document)) {
            return (document, code);
        }
        let (loss, reasons) = (&document.stat.loss, &document.reasons);
        println!("again, because of {loss:?}, {reasons:?}");
    }
}

fn tested_once(kind: &str, options: &[&str], directory: &Path) -> (Tested, Option<i32>) {
    let file = directory.join("test.json");
    let file = file.to_str().expect("a path");
    let (output, said) = run(kind, &[options, &["-o", file]].concat());
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{error}: {said}"));
    let document = serde_json::from_str(&text).expect("a document");
    (document, output.status.code())
}

fn region<'a>(document: &'a Tested, name: &str) -> &'a TestedRegion {
    let mut regions = document.regions.iter();
    regions
        .find(|region| region.region.name == name)
        .unwrap_or_else(|| panic!("no region {name}"))
}

/// Reads, and their bytes.
fn reads_of(region: &TestedRegion, object: Option<&str>) -> (u64, u64) {
    let paths = region.region.paths.iter();
    let reads =
        paths.filter(|path| path.op == "read" && object.is_none_or(|object| path.object == object));
    reads.fold((0, 0), |(ops, moved), path| {
        (ops + path.totals.ops, moved + path.totals.moved)
    })
}

#[test]
#[ignore = "needs root and BPF"]
fn a_thousand_regions_are_exact_and_a_planted_copy_fails_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let ratchet = directory.path().join("ratchet.toml");
    // Without page faults: which one of them copies a page is not planned.
    let options = [
        "--no-faults",
        "--ratchet",
        ratchet.to_str().expect("a path"),
    ];
    let update = [&options[..], &["--update"]].concat();
    let (document, code) = undisturbed("thousand", &update, directory.path());
    assert_eq!(document.markers, Default::default());
    assert_eq!(document.regions.len() as u64, REGIONS);
    let mut wrong = String::new();
    for number in 0..REGIONS {
        let region = region(&document, &format!("region {number}"));
        assert_eq!((region.region.begun, region.region.unended), (1, 0));
        let counted = reads_of(region, None);
        if counted != truth(number) {
            let _ = writeln!(
                wrong,
                "region {number}: {counted:?}, not {:?}",
                truth(number)
            );
        }
        assert_eq!(region.region.totals.unexplained, 0, "{region:?}");
    }
    assert_eq!(wrong, "");
    // The markers themselves are in no row. The harness writes a few lines.
    let paths = document
        .stat
        .processes
        .iter()
        .flat_map(|process| &process.paths);
    let written = paths.filter(|path| path.op == "write" && path.object == "pipe");
    let written: u64 = written.map(|path| path.totals.ops).sum();
    assert!(written < REGIONS, "{written} writes to pipes");
    // What is between them, and what other threads do, is outside.
    assert!(
        document.outside.moved > 7 * REGIONS,
        "{:?}",
        document.outside
    );
    assert_eq!(
        (document.verdict, code),
        (Some(Verdict::Pass), Some(0)),
        "{:?}",
        document.reasons
    );

    let (document, code) = undisturbed("planted", &options, directory.path());
    assert_eq!(
        (document.verdict, code),
        (Some(Verdict::Fail), Some(1)),
        "{:?}",
        document.reasons
    );
    let failed: Vec<_> = document
        .regions
        .iter()
        .filter(|region| region.verdict != Some(Verdict::Pass))
        .map(|region| (&*region.region.name, region.verdict, region.excess.len()))
        .collect();
    let name = format!("region {PLANTED}");
    let reasons = &document.reasons;
    assert_eq!(failed, [(&*name, Some(Verdict::Fail), 1)], "{reasons:?}");
    let excess = &region(&document, &name).excess[0];
    assert_eq!(excess.counted, excess.allowed + 1, "{excess:?}");
}

#[test]
#[ignore = "needs root and BPF"]
fn threads_and_children_are_where_their_parent_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let (document, code) = tested("families", &[], directory.path());
    assert_eq!((document.verdict, code), (None, Some(0)), "{document:?}");
    assert_eq!(document.markers, Default::default());
    // Not what the loader of a program reads.
    let bytes = |name| reads_of(region(&document, name), Some("char:mem")).1;
    // What is within a region is in the one around it as well. `head` reads a whole buffer.
    assert_eq!(bytes("inner"), 20);
    let of_head = bytes("outer") - (10 + 20 + 40);
    assert!(
        of_head >= 80 && of_head % 1024 == 0 || of_head == 80,
        "{of_head}"
    );
    assert_eq!(bytes("whole"), 320);
    assert_eq!(bytes("own"), 2560);
    assert_eq!(bytes("twice"), 6);
    assert_eq!(region(&document, "twice").region.begun, 2);
}

#[test]
#[ignore = "needs root and BPF"]
fn markers_that_are_wrong_are_told() {
    if !runs_here("markers_that_are_wrong_are_told") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (document, code) = tested("wrong", &[], directory.path());
    let markers = document.markers;
    assert_eq!(markers.malformed, 2, "{markers:?}");
    assert_eq!(markers.mismatched, 1, "{markers:?}");
    assert_eq!(markers.refused, 2, "{markers:?}");
    assert_eq!(markers.unseen, 0, "{markers:?}");
    let unended: u64 = document.regions.iter().map(|one| one.region.unended).sum();
    assert_eq!(unended, 8);
    assert_eq!(code, Some(3), "not exact, so not a success");
}

#[test]
#[ignore = "needs root and BPF"]
fn many_threads_can_be_in_one_region() {
    if !runs_here("many_threads_can_be_in_one_region") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (document, code) = tested("crowd", &["--no-faults"], directory.path());
    assert_eq!(code, Some(0), "{document:?}");
    assert_eq!(document.markers, Default::default());
    let region = region(&document, "crowd");
    let times = CROWD.0 * CROWD.1;
    assert_eq!((region.region.begun, region.region.unended), (times, 0));
    assert_eq!(reads_of(region, Some("char:mem")), (times, 11 * times));
    assert_eq!(reads_of(region, None), (times, 11 * times));
}

/// A file that allows the regions any copies.
fn generous(names: &[&str], directory: &Path) -> String {
    let mut text = String::new();
    for name in names {
        let _ = writeln!(text, "[region.{name:?}]");
        for figure in [
            "copied_to_user",
            "copied_from_user",
            "wasted",
            "unexplained",
        ] {
            let _ = writeln!(text, "{figure} = {}", 1_u64 << 40);
        }
    }
    let file = directory.join("generous.toml");
    fs::write(&file, &text).expect("a file");
    file.to_str().expect("a path").to_owned()
}

#[test]
#[ignore = "needs root and BPF"]
fn what_was_not_seen_whole_does_not_pass() {
    if !runs_here("what_was_not_seen_whole_does_not_pass") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = generous(&["cut", "whole", "idle"], directory.path());
    let options = ["--no-faults", "--update", "--ratchet", &file];
    let (document, code) = tested("killed", &options, directory.path());
    assert_eq!(document.markers, Default::default(), "{document:?}");
    let verdict = |name| region(&document, name).verdict;
    assert_eq!(verdict("whole"), Some(Verdict::Pass), "{document:?}");
    assert_eq!(region(&document, "cut").region.unended, 1);
    assert_eq!(verdict("cut"), Some(Verdict::Inconclusive));
    assert_eq!(region(&document, "idle").region.totals.ops, 0);
    assert_eq!(verdict("idle"), Some(Verdict::Inconclusive));
    assert_eq!(code, Some(3));
    let text = fs::read_to_string(file).expect("a file");
    let ratchet = Ratchet::parse(&text).expect("a file");
    let allowed = |name: &str| ratchet.region[name]["copied_to_user"];
    assert!(allowed("whole") < 1 << 40, "lowered");
    assert_eq!((allowed("cut"), allowed("idle")), (1 << 40, 1 << 40));
}

#[test]
#[ignore = "needs root and BPF"]
fn nothing_passes_after_a_loss() {
    if !runs_here("nothing_passes_after_a_loss") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let names: Vec<_> = (0..REGIONS)
        .map(|number| format!("region {number}"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let file = generous(&names, directory.path());
    let options = ["--no-faults", "--max-rows", "64", "--ratchet", &file];
    let (document, code) = tested("thousand", &options, directory.path());
    assert!(document.stat.loss.map_full > 0, "{:?}", document.stat.loss);
    let passed = document
        .regions
        .iter()
        .filter(|region| region.verdict != Some(Verdict::Inconclusive));
    assert_eq!(passed.count(), 0);
    assert_eq!(code, Some(3), "{:?}", document.reasons);
}

#[test]
#[ignore = "needs root and BPF"]
fn garbage_changes_no_figure() {
    if !runs_here("garbage_changes_no_figure") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (document, code) = tested("hostile", &["--no-faults"], directory.path());
    let markers = document.markers;
    // Lines, a million bytes, four lines with flaws of their own, and the beginning of one.
    assert_eq!(markers.malformed, 500 + 1 + 5, "{markers:?}");
    assert!(markers.unseen > 0, "{markers:?}");
    for name in ODD_NAMES {
        let region = region(&document, name);
        assert_eq!(
            (region.region.begun, region.region.unended),
            (2, 0),
            "{name}"
        );
        assert_eq!(reads_of(region, None), (1, 13), "{name}");
    }
    let closed = &region(&document, "closed").region;
    assert_eq!((closed.begun, closed.unended), (1, 1));
    assert!(reads_of(region(&document, "closed"), Some("char:mem")).1 == 17);
    assert!(
        document
            .regions
            .iter()
            .all(|one| one.region.name != "nowhere")
    );
    assert_eq!(code, Some(3), "not exact, so not a success");
}

#[test]
#[ignore = "needs root and BPF"]
fn a_region_that_outlives_the_one_around_it_is_told() {
    if !runs_here("a_region_that_outlives_the_one_around_it_is_told") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let (document, code) = tested("outlived", &["--no-faults"], directory.path());
    let expected = Markers {
        outlived: 1,
        ..Markers::default()
    };
    assert_eq!(document.markers, expected);
    assert_eq!(code, Some(3), "not exact, so not a success");
}
