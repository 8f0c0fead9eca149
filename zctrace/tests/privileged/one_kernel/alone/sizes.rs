//! How large operations are: counted exactly, by row, while they live and after they have ended.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
};

use nix::unistd::gettid;
use zctrace::{
    ledger::RowSizes,
    tracer::{Config, Session},
};
use zctrace_common::{Op, Sizes};

/// Reads of this process from files in memory, by size.
fn reads(sizes: &[RowSizes]) -> Sizes {
    let mut sum = Sizes::ZERO;
    let rows = sizes.iter().filter(|row| {
        row.pid == std::process::id() && row.op == Op::Read && row.object == "file:tmpfs"
    });
    for row in rows {
        for (sum, count) in sum.counts.iter_mut().zip(row.sizes.counts) {
            *sum += count;
        }
    }
    sum
}

#[test]
#[ignore = "needs root and BPF"]
fn operations_are_counted_by_their_size() {
    let mut file = File::from(
        nix::sys::memfd::memfd_create("sizes", nix::sys::memfd::MFdFlags::empty())
            .expect("a file in memory"),
    );
    file.write_all(&vec![1; 1 << 20]).expect("room");
    let tid = u32::try_from(gettid().as_raw()).expect("an id");
    let mut session = Session::start(&Config {
        tasks: vec![tid],
        sizes: true,
        // Both are off unless they are asked for: the verifier must take them together.
        stack_bytes: 1 << 16,
        ..Config::default()
    })
    .expect("the probes attach");
    // Attaching itself has read a little, to see whether the probes do.
    let before = session.read().expect("the maps");
    let mut expected = Sizes::ZERO;
    let mut buffer = vec![0; 1 << 20];
    for (length, times) in [
        (1, 5),
        (15, 2),
        (16, 3),
        (4096, 7),
        (65_536, 4),
        (1 << 20, 1),
    ] {
        for _ in 0..times {
            file.seek(SeekFrom::Start(0)).expect("a file");
            assert_eq!(file.read(&mut buffer[..length]).expect("bytes"), length);
        }
        expected.counts[Sizes::place(length as u64)] += times;
    }
    // At the end there is nothing to read.
    file.seek(SeekFrom::End(0)).expect("a file");
    assert_eq!(file.read(&mut buffer).expect("the end"), 0);
    expected.counts[0] += 1;
    let reading = session.read().expect("the maps");
    let own = reading
        .processes
        .iter()
        .find(|process| process.pid == std::process::id())
        .expect("this process has rows");
    let mut counted = reads(&reading.sizes);
    let earlier = reads(&before.sizes);
    for (count, earlier) in counted.counts.iter_mut().zip(earlier.counts) {
        *count -= earlier;
    }
    assert_eq!(counted, expected, "{own:?}");
}
