//! Sampled stacks add up to the bytes that the ledger says were copied.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    hint::black_box,
    os::unix::fs::FileExt as _,
    path::Path,
    process::Command,
    sync::OnceLock,
};

use crate::common::{is_emulated, name_of, zctrace};
use zctrace::report::recorded::Document;

/// Bytes between two samples.
const EVERY: u64 = 64 << 10;

/// Calls between the test and the read, for [`chain`].
const LINKS: usize = 12;

/// The file that [`chain`] reads.
const READ: &str = "ZCTRACE_TEST_READ";

/// Two families, recorded at this interval.
fn record(interval: &str) -> Document {
    let traffic = ["traffic", "--bytes", "16777216", "file-tmpfs", "pipe"];
    let options = ["--interval", interval, "--stack-every", "64KiB"];
    recorded(&options, &zctrace(), &traffic, None)
}

/// The same, read at the end only, when every process of them is gone.
fn read_at_the_end() -> &'static Document {
    static RECORDING: OnceLock<Document> = OnceLock::new();
    RECORDING.get_or_init(|| record("100s"))
}

/// What a command does, recorded with these options.
fn recorded(
    options: &[&str],
    program: &Path,
    arguments: &[&str],
    variable: Option<(&str, OsString)>,
) -> Document {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("record.zct");
    let output = Command::new(zctrace())
        .arg("record")
        .args(options)
        .arg("-o")
        .arg(&file)
        .arg("--")
        .arg(program)
        .args(arguments)
        .envs(variable)
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let report = Command::new(zctrace())
        .args(["report", "--json"])
        .arg(&file)
        .output()
        .expect("the program starts");
    let stderr = String::from_utf8_lossy(&report.stderr);
    serde_json::from_slice(&report.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"))
}

#[test]
#[ignore = "needs root and BPF"]
fn stacks_add_up_to_what_was_copied() {
    adds_up(read_at_the_end());
    // Once is enough where attaching takes long.
    if !is_emulated() {
        adds_up(&record("100ms"));
    }
}

fn adds_up(document: &Document) {
    let copied = document.stat.total.copies();
    let sampled: u64 = document.stacks.iter().map(|stack| stack.bytes).sum();
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    assert_eq!(document.stack_bytes_lost, 0);
    assert!(copied > 32 << 20, "{copied}");
    // What remains of a sample on each processor; and what exec reads, which is not an operation.
    assert!(
        sampled + EVERY * processors >= copied,
        "{sampled} of {copied}"
    );
    assert!(sampled <= copied + copied / 20, "{sampled} of {copied}");
    assert!(document.stacks.iter().all(|stack| stack.bytes % EVERY == 0));

    let kernel: u64 = document
        .stacks
        .iter()
        .filter(|stack| stack.frames.iter().any(|frame| frame.ends_with("_[k]")))
        .map(|stack| stack.bytes)
        .sum();
    if document.stat.backend == "functions" {
        assert_eq!(kernel, sampled, "every copy has a kernel stack");
        let names = |name: &str| {
            document
                .stacks
                .iter()
                .any(|stack| stack.frames.iter().any(|frame| frame.contains(name)))
        };
        assert!(names("read") && names("write"), "{:?}", document.stacks);
        assert!(!names("bpf_prog_"), "zctrace's own frames are left out");
    } else {
        assert_eq!(
            kernel, 0,
            "at the exit of a call the kernel's stack says nothing"
        );
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn stacks_of_processes_that_have_ended_have_names() {
    let document = read_at_the_end();
    // Without frame pointers a stack ends in the C library: one name is enough.
    let is_named = |frame: &String| !frame.starts_with('[') && !frame.ends_with("_[k]");
    let has_user_stack = |frames: &[String]| frames.iter().any(|frame| !frame.ends_with("_[k]"));
    let stacks: Vec<_> = document
        .stacks
        .iter()
        .filter(|stack| has_user_stack(&stack.frames))
        .collect();
    assert!(stacks.len() > 2, "{stacks:#?}");
    let sampled: u64 = stacks.iter().map(|stack| stack.bytes).sum();
    let unnamed: u64 = stacks
        .iter()
        .filter(|stack| !stack.frames.iter().any(is_named))
        .map(|stack| stack.bytes)
        .sum();
    // The loader and others copy a little.
    assert!(
        unnamed * 10 < sampled,
        "{unnamed} of {sampled}: {stacks:#?}"
    );
}

/// Reads a file again and again, [`LINKS`] calls down.
#[inline(never)]
fn link(depth: usize, file: &File, buffer: &mut [u8]) -> usize {
    if depth > 1 {
        // What is done with the result keeps this from being a jump.
        return black_box(link(depth - 1, file, buffer)) + 1;
    }
    for _ in 0..4096 {
        file.read_exact_at(black_box(buffer), 0).expect("the file");
    }
    1
}

/// Not a test by itself: the program of the next one.
#[test]
#[ignore = "needs root and BPF"]
fn chain() {
    let Some(path) = env::var_os(READ) else {
        return;
    };
    let file = File::open(path).expect("the file");
    assert_eq!(link(LINKS, &file, &mut vec![0; 16 << 10]), LINKS);
}

/// What of the chain's copied bytes is in a stack that has every call, from the begin of its thread on.
fn share_of_whole_chains(options: &[&str]) -> f64 {
    let dir = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    let path = dir.path().join("file");
    fs::write(&path, vec![1; 16 << 10]).expect("a file");
    let own = env::current_exe().expect("this program");
    let name = name_of(module_path!(), "chain");
    let arguments = ["--include-ignored", "--exact", &name, "--test-threads=1"];
    let options = [&["--stack-every", "64KiB"], options].concat();
    let document = recorded(&options, &own, &arguments, Some((READ, path.into())));
    let (mut whole, mut all) = (0, 0);
    for stack in &document.stacks {
        let has = |name: &str| {
            let is_it = |frame: &&String| {
                let frame = frame.split("::h").next().unwrap_or_default();
                frame == name || frame.ends_with(&format!("::{name}"))
            };
            stack.frames.iter().filter(is_it).count()
        };
        // What the loader and libtest read is little.
        all += stack.bytes;
        if has("link") == LINKS && has("chain") != 0 && !stack.is_truncated() {
            whole += stack.bytes;
        }
    }
    assert!(all > 32 << 20, "{all} bytes: {:#?}", document.stacks);
    whole as f64 / all as f64
}

#[test]
#[ignore = "needs root and BPF"]
fn callers_without_frame_pointers_are_found() {
    // Where attaching takes long, what is known of the program is not found out again.
    if !is_emulated() {
        let without = share_of_whole_chains(&[]);
        assert!(without < 0.05, "this program has frame pointers: {without}");
    }
    let with = share_of_whole_chains(&["--unwind"]);
    assert!(with >= 0.95, "{with}");
}
