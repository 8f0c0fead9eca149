//! Recordings that somebody made to do harm: their checksums are right. What they may cost is
//! counted in bytes that were allocated, and not in seconds.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::Cursor,
    path::Path,
};

use super::{
    frame::{self, Kind},
    whole::TooMuch,
    wire::{
        ClaimedRow, Header, Interval, PathKey, ProcessKey, ProcessRows, Sparse, StackKey,
        WireCoverage,
    },
    *,
};
use crate::ledger::{Process, Snapshot, Totals, samples};

/// Counts what each thread holds.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it is; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.get().wrapping_add(layout.size());
        HELD.set(held);
        // What another thread allocated may be freed here, so that the sum can be below 0.
        if held <= isize::MAX as usize {
            MOST.set(MOST.get().max(held));
        }
        // SAFETY: the caller's promises are this function's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most that is held at once beside what was there before.
fn most_held<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = run();
    (result, MOST.get().saturating_sub(before))
}

/// What a small file can make a reader hold.
const BOUND: usize = 72 << 20;

fn header() -> Header {
    Header {
        target_kind: "system".into(),
        ..Default::default()
    }
}

fn file(intervals: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = frame::preamble();
    let header = postcard::to_stdvec(&header()).unwrap();
    bytes.extend(frame::encode(Kind::Header, &header).unwrap());
    for interval in intervals {
        bytes.extend(frame::encode(Kind::Interval, interval).unwrap());
    }
    bytes.extend(frame::encode(Kind::End, &[]).unwrap());
    bytes
}

fn whole(bytes: &[u8]) -> Result<(Snapshot, Option<Damage>), Error> {
    let mut recording = Recording::read(Cursor::new(bytes), Path::new("x"))?;
    let whole = recording.whole()?;
    Ok((whole.snapshot(), recording.damage()))
}

fn payload(interval: &Interval) -> Vec<u8> {
    postcard::to_stdvec(interval).unwrap()
}

fn names(count: usize) -> Vec<String> {
    vec![String::new(); count]
}

fn rows(process: u32, rows: Vec<(u32, Sparse)>, claims: Vec<ClaimedRow>) -> ProcessRows {
    ProcessRows {
        process,
        pending: 0,
        in_flight: 0,
        copy_cpu_seconds: None,
        rows,
        claims,
    }
}

const PROCESS: ProcessKey = ProcessKey {
    pid: 1,
    start_time: 1,
    comm: 0,
    cgroup: 0,
};

const PATH: PathKey = PathKey {
    op: 0,
    object: 0,
    evidence: 0,
    by: Some(0),
};

/// Every list of an interval, as long as a frame of a few kilobytes makes it.
#[test]
fn no_small_file_takes_much_memory() {
    const MANY: usize = 1_000_000;
    let named = |length: usize| Interval {
        new_names: vec!["x".repeat(length)],
        new_processes: vec![PROCESS],
        new_paths: vec![PATH],
        ..Interval::default()
    };
    let claimed = ClaimedRow {
        path: 0,
        claims: vec![0; 100],
        device: Some(0),
        notifications: 0,
        counters: Sparse::default(),
    };
    let stack = StackKey {
        pid: 0,
        start_time: 0,
        comm: 0,
        class: 0,
        frames: vec![0; 1000],
    };
    let cases = [
        (
            "names",
            Interval {
                new_names: names(3 * MANY),
                ..Interval::default()
            },
        ),
        (
            "processes",
            Interval {
                new_processes: vec![PROCESS; 3 * MANY],
                ..Interval::default()
            },
        ),
        (
            "coverage",
            Interval {
                coverage: Some(WireCoverage {
                    attached: names(MANY),
                    refused: Vec::new(),
                }),
                ..Interval::default()
            },
        ),
        (
            "rows",
            Interval {
                processes: vec![rows(0, vec![(0, Sparse::default()); MANY], Vec::new())],
                ..named(1)
            },
        ),
        (
            "rows with a long name",
            Interval {
                processes: vec![rows(0, vec![(0, Sparse::default()); 1000], Vec::new())],
                ..named(1 << 20)
            },
        ),
        (
            "processes with rows",
            Interval {
                processes: vec![rows(0, Vec::new(), Vec::new()); MANY],
                ..named(1)
            },
        ),
        (
            "claims",
            Interval {
                processes: vec![rows(0, Vec::new(), vec![claimed; 10_000])],
                ..named(10_000)
            },
        ),
        (
            "kernel threads",
            Interval {
                unattributed: vec![(0, Sparse::default()); 1000],
                ..named(1 << 20)
            },
        ),
        (
            "stacks",
            Interval {
                new_stacks: vec![stack; 10_000],
                stacks: (0..10_000).map(|number| (number, 1)).collect(),
                ..named(1)
            },
        ),
    ];
    for (case, interval) in cases {
        let bytes = file(&[payload(&interval)]);
        assert!(bytes.len() < 64 << 10, "{case}: {} bytes", bytes.len());
        let (read, most) = most_held(|| whole(&bytes));
        let (_, damage) = read.unwrap();
        assert!(damage.is_some(), "{case}: it was read");
        println!("{case}: {} bytes took {most}", bytes.len());
        assert!(most < BOUND, "{case}: {} bytes took {most}", bytes.len());
    }
}

/// Each frame is small, and all of them together are much.
#[test]
fn what_adds_up_is_bounded_too() {
    let processes: Vec<Vec<u8>> = (0..8)
        .map(|number| {
            let first = number * 10_000;
            let interval = Interval {
                reset: true,
                new_names: names(1),
                new_processes: (first..first + 10_000)
                    .map(|pid| ProcessKey { pid, ..PROCESS })
                    .collect(),
                processes: (0..10_000).map(|n| rows(n, vec![], vec![])).collect(),
                ..Interval::default()
            };
            payload(&interval)
        })
        .collect();
    // So that what is tried is the bound of a small file.
    let mut recording = Recording::read(Cursor::new(file(&processes)), Path::new("x")).unwrap();
    let mut sum = Whole::new(recording.header(), &samples::normal().target, 0);
    let (result, most) = most_held(|| {
        recording
            .by_ref()
            .try_for_each(|interval| sum.add(&interval.unwrap()))
    });
    // It is the sum that is too much: every interval was read.
    assert_eq!(result, Err(TooMuch));
    assert!(most < BOUND, "{most}");

    // Names that nothing refers to any more are held as well, until they are given out again.
    let long = Interval {
        new_names: vec!["x".repeat(1 << 20)],
        ..Interval::default()
    };
    let long = vec![payload(&long); 200];
    let (read, most) = most_held(|| whole(&file(&long)));
    assert_eq!(read.unwrap().1.unwrap().what, "an unreadable interval");
    assert!(most < 2 * limits::MOST_HELD, "{most}");
}

/// A recorder begins again beyond so many numbers.
#[test]
fn a_reader_holds_the_limit_of_the_writer() {
    let many = |reset| Interval {
        reset,
        new_names: names(limits::MOST_NUMBERS),
        ..Interval::default()
    };
    let one = |reset| Interval {
        reset,
        new_names: names(1),
        ..Interval::default()
    };
    let damage = |intervals: &[Interval]| {
        let payloads: Vec<_> = intervals.iter().map(payload).collect();
        whole(&file(&payloads)).unwrap().1
    };
    assert_eq!(damage(&[many(false), one(false), one(true)]), None);
    assert!(damage(&[many(false), one(false), one(false)]).is_some());
}

/// What takes a step for each pair of rows would not end here.
#[test]
fn many_rows_are_added_up_one_by_one() {
    const MANY: u64 = 100_000;
    let mut interval = samples::normal();
    let sample = interval.processes[0].clone();
    let paths = (0..MANY).map(|number| {
        let mut path = sample.paths[0].clone();
        path.by = Some(number.to_string());
        path
    });
    let claims = (0..MANY).map(|number| crate::ledger::Claimed {
        op: "send".into(),
        object: (*number.to_string()).into(),
        evidence: "measured".into(),
        claims: Vec::new(),
        device: None,
        notifications: 1,
        totals: Totals::default(),
    });
    let mut process = Process::from_paths(1, 1, "x".into(), "/".into(), paths.collect());
    process.claims = claims.collect();
    interval.processes = vec![process];
    let mut sum = Whole::new(&header(), &interval.target, u64::MAX);
    for _ in 0..2 {
        sum.add(&interval).unwrap();
    }
    let document = sum.snapshot();
    let process = &document.processes[0];
    assert_eq!(process.paths.len() as u64, MANY);
    assert_eq!(process.claims.len() as u64, MANY);
    assert!(process.claims.iter().all(|c| c.notifications == 2));
    let moved = interval.processes[0].paths[0].totals.moved;
    assert!(process.paths.iter().all(|p| p.totals.moved == 2 * moved));
}

/// What zctrace writes stays far below what it may: many processes that all do the same are packed
/// best.
#[test]
fn what_is_written_is_within_the_limits() {
    let mut interval = samples::normal();
    let sample = interval.processes[0].clone();
    interval.processes = (0..10_000)
        .map(|pid| {
            let mut process = sample.clone();
            process.pid = pid;
            process
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rec");
    let mut writer = Writer::create(&path, Rotation::default(), 4096).unwrap();
    for _ in 0..3 {
        writer.append(&interval).unwrap();
        for process in &mut interval.processes {
            process.start_time += 1;
        }
    }
    writer.finish().unwrap();
    let mut recording = Recording::open(&path).unwrap();
    let whole = recording.whole().unwrap();
    assert_eq!(recording.damage(), None);
    let length = usize::try_from(std::fs::metadata(&path).unwrap().len()).unwrap();
    assert!(
        whole.memory() < length * 1024,
        "{} of {length}",
        whole.memory()
    );
    assert_eq!(whole.snapshot().processes.len(), 30_000);
}

/// What the fuzzer found to lead somewhere new.
#[test]
fn the_fuzzers_corpus_is_harmless() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let all = |name: &str, run: fn(&[u8])| {
        let entries = std::fs::read_dir(corpus.join(name)).unwrap();
        let count = entries
            .map(|entry| run(&std::fs::read(entry.unwrap().path()).unwrap()))
            .count();
        assert!(count > 10, "{name}: {count}");
    };
    all("recording", fuzz::file);
    all("interval", fuzz::payload);
}
