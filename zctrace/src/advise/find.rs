//! What a process does that another technique could do, from its rows alone.

use std::time::Duration;

use zctrace_common::Op;

use super::weigh::Verdict;
use crate::{
    claims::rules::relay::setting,
    ledger::{CpuTime, End, Notified, Path, Process, Snapshot, Totals},
    text::bytes::{bytes, duration},
};

/// Fewer bytes than this are not worth a change.
pub const LEAST_BYTES: u64 = 1 << 20;

/// Processes and paths that are looked at, those that copy longest first.
pub const MOST: usize = 8;

/// More than this share of its processor time in ciphers or compression means that the bytes are changed on their way.
const CHANGED: f64 = 0.1;

/// So many of the bytes that are read must leave again to be the same ones.
const SAME: u64 = 2;

/// Bytes that a processor copies in a second, at the least: a processor of ten years ago copies as many.
const COPIED_IN_A_SECOND: u64 = 4 << 30;

/// A notification that takes so many times as long as the copy pins memory for long.
const LONG: u32 = 100;

/// Something that could be done otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The process's title.
    pub process: String,
    /// Its id.
    pub pid: u32,
    /// The rows that it rests on: operation and object.
    pub paths: Vec<String>,
    /// Bytes that took this way.
    pub bytes: u64,
    /// Bytes of a call.
    pub bytes_per_call: u64,
    /// How it is done.
    pub now: &'static str,
    /// How it could be done, unless it is right as it is.
    pub instead: Option<&'static str>,
    /// The verdict, where there is nothing to run for it.
    pub verdict: Option<Verdict>,
    /// What to do, or why nothing is to be done.
    pub how: String,
    /// Copies for each of the bytes.
    pub copies_per_byte: f64,
    /// How some of the bytes moved was not seen, so more may have been copied.
    pub copies_per_byte_is_lower_bound: bool,
    /// Seconds of processor time in the kernel's copy routines, from samples.
    pub copy_cpu_seconds: Option<f64>,
    /// Bytes that were copied in that time.
    pub copied: u64,
    /// Where all of the process's time went.
    pub cpu_seconds: Option<CpuTime>,
}

/// What can be advised about a snapshot, those that copy longest first.
#[must_use]
pub fn candidates(snapshot: &Snapshot) -> Vec<Candidate> {
    let mut processes: Vec<_> = snapshot.processes.iter().collect();
    let cost = |process: &Process| process.copy_cpu_seconds.unwrap_or(0.0);
    processes.sort_by(|a, b| {
        let order = cost(b).total_cmp(&cost(a));
        order.then(b.total.copies().cmp(&a.total.copies()))
    });
    let watched = Duration::from_nanos(snapshot.duration_ns);
    let found = processes
        .into_iter()
        .flat_map(|process| of_process(process, watched));
    found.take(MOST).collect()
}

/// Rows of one kind, taken together.
struct Side {
    names: Vec<String>,
    totals: Totals,
}

impl Side {
    fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Self {
        let mut side = Self {
            names: Vec::new(),
            totals: Totals::default(),
        };
        for path in paths {
            side.names
                .push(format!("{} {}", path.op.as_str(), path.object.as_str()));
            side.totals.add(&path.totals);
        }
        side
    }

    const fn bytes(&self) -> u64 {
        self.totals.moved
    }

    fn per_call(&self) -> u64 {
        // A call that ends at the end of a file moved nothing.
        self.totals.moved / (self.totals.ops - self.totals.errors.min(self.totals.ops)).max(1)
    }
}

fn of_process(process: &Process, watched: Duration) -> Vec<Candidate> {
    let reads = |op: Op| matches!(op, Op::Read | Op::UringRead);
    let stores = |end: Option<End<'_>>| end.is_some_and(|end| matches!(end, End::File(_)));
    let is = |path: &&Path, op: &dyn Fn(Op) -> bool| path.op.is(op);
    let all = || process.paths.iter().filter(|path| path.totals.moved > 0);
    let read = Side::of(all().filter(|path| {
        is(path, &reads) && stores(path.object.sole()) && path.totals.copied_to_user > 0
    }));
    let sends = |op: Op| matches!(op, Op::Write | Op::Send | Op::UringWrite | Op::UringSend);
    let sent = Side::of(all().filter(|path| {
        is(path, &sends)
            && path.object.sole().is_some_and(|end| end == End::Tcp)
            && path.totals.copied_from_user > 0
    }));
    let writes = |op: Op| matches!(op, Op::Write | Op::UringWrite);
    let written = Side::of(all().filter(|path| {
        is(path, &writes) && stores(path.object.sole()) && path.totals.copied_from_user > 0
    }));
    let direct =
        Side::of(all().filter(|path| {
            is(path, &reads) && stores(path.object.sole()) && path.totals.direct > 0
        }));
    let mut found = Vec::new();
    if let Some(candidate) = served(process, &read, &sent) {
        found.push(candidate);
    } else if let Some(candidate) = copied(process, &read, &written) {
        found.push(candidate);
    } else if let Some(candidate) = sent_from_memory(process, &sent) {
        found.push(candidate);
    }
    if found.is_empty() {
        found.extend(cached(process, &read));
    }
    found.extend(bypassed(process, &direct));
    found.extend(pinned(process, watched));
    found
}

/// A candidate of these rows, for which another technique is to be run, or whose verdict is known.
fn candidate(
    process: &Process,
    sides: &[&Side],
    bytes: u64,
    now: &'static str,
    instead: Result<&'static str, Verdict>,
    how: String,
) -> Candidate {
    let copies: u64 = sides.iter().map(|side| side.totals.copies()).sum();
    let moved: u64 = sides.iter().map(|side| side.bytes()).sum();
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    // Each byte passes every side once.
    let copies_per_byte = copies as f64 * sides.len() as f64 / moved.max(1) as f64;
    Candidate {
        process: process.title(),
        pid: process.pid,
        paths: sides.iter().flat_map(|side| side.names.clone()).collect(),
        bytes,
        bytes_per_call: sides[0].per_call(),
        now,
        instead: instead.ok(),
        verdict: instead.err(),
        how,
        copies_per_byte,
        copies_per_byte_is_lower_bound: sides.iter().any(|side| side.totals.is_lower_bound()),
        copy_cpu_seconds: process.copy_cpu_seconds,
        copied: process.total.copies(),
        cpu_seconds: process.cpu_seconds,
    }
}

/// Why the bytes that leave are not those that came, if user space works on them.
fn changed(process: &Process) -> Option<String> {
    let time = process.cpu_seconds?;
    let share = |seconds| time.share(seconds).filter(|share| *share >= CHANGED);
    let words = |share: f64, what: &str| {
        format!(
            "{:.0}% of its processor time is {what} in user space, so the bytes that it sends are not those that it read",
            share * 100.0
        )
    };
    let ciphers = share(time.user_ciphers).map(|share| {
        words(share, "TLS or another cipher")
            + ". Kernel TLS (ktls) lets it use sendfile all the same"
    });
    ciphers.or_else(|| share(time.user_compression).map(|share| words(share, "compression")))
}

/// Files are read and sent: sendfile.
fn served(process: &Process, read: &Side, sent: &Side) -> Option<Candidate> {
    let bytes = read.bytes().min(sent.bytes());
    if bytes < LEAST_BYTES || bytes < sent.bytes() / SAME {
        return None;
    }
    let (instead, how) = match changed(process) {
        Some(why) => (Err(Verdict::Stay), why),
        None => {
            let setting = setting(&process.comm, false);
            let how = format!("send from the file with sendfile(2){setting}");
            (Ok("sendfile"), how)
        }
    };
    Some(candidate(
        process,
        &[read, sent],
        bytes,
        "read-write",
        instead,
        how,
    ))
}

/// Files are read and written to other files: copy_file_range.
fn copied(process: &Process, read: &Side, written: &Side) -> Option<Candidate> {
    let bytes = read.bytes().min(written.bytes());
    if bytes < LEAST_BYTES || bytes < read.bytes().max(written.bytes()) / SAME {
        return None;
    }
    let technique = |name: &str| match End::of(name) {
        End::File("tmpfs") => Some(("read-write-file:tmpfs", "copy-file-range:tmpfs")),
        End::File("ext4") => Some(("read-write-file:ext4", "copy-file-range:ext4")),
        End::File("xfs") => Some(("read-write-file:xfs", "copy-file-range:xfs")),
        End::File("btrfs") => Some(("read-write-file:btrfs", "copy-file-range:btrfs")),
        _ => None,
    };
    let object = |side: &Side| {
        side.names[0]
            .split_once(' ')
            .map(|(_, object)| object.to_owned())
    };
    let (from, to) = (object(read)?, object(written)?);
    let known = (from == to).then(|| technique(&to)).flatten();
    let (now, instead, how) = match (changed(process), known) {
        (Some(why), _) => ("read-write-file:tmpfs", Err(Verdict::Stay), why),
        (None, Some((now, instead))) => (
            now,
            Ok(instead),
            "copy with copy_file_range(2): coreutils' cp and std::fs::copy use it".into(),
        ),
        (None, None) => (
            "read-write-file:tmpfs",
            Err(Verdict::NotKnown),
            format!("{from} to {to} cannot be measured here"),
        ),
    };
    Some(candidate(
        process,
        &[read, written],
        bytes,
        now,
        instead,
        how,
    ))
}

/// Memory is sent: without a copy only from a page on.
fn sent_from_memory(process: &Process, sent: &Side) -> Option<Candidate> {
    const PAGE: u64 = 4096;
    if sent.bytes() < LEAST_BYTES {
        return None;
    }
    let (instead, how) = if sent.per_call() < PAGE {
        let why = "calls of less than a page cost more without the copy (MSG_ZEROCOPY, SEND_ZC) than with it";
        (Err(Verdict::Stay), why.to_owned())
    } else {
        let how = "send with MSG_ZEROCOPY or io_uring's SEND_ZC. Measured over loopback, where the kernel copies after all; \
            to another machine it may save more";
        (Ok("zerocopy-send:loopback"), how.to_owned())
    };
    Some(candidate(
        process,
        &[sent],
        sent.bytes(),
        "zerocopy-send:off",
        instead,
        how,
    ))
}

/// Files are read into memory through the page cache.
fn cached(process: &Process, read: &Side) -> Option<Candidate> {
    if read.bytes() < LEAST_BYTES {
        return None;
    }
    let cold = read.totals.filled;
    // What is in memory needs no device.
    let how = if cold < read.bytes() / SAME {
        "most of it was in the page cache already, and O_DIRECT would read it from the device"
    } else {
        "it was not in the page cache, and how fast the device is cannot be measured here. Try O_DIRECT if nothing reads \
         it twice"
    };
    Some(candidate(
        process,
        &[read],
        read.bytes(),
        "read",
        Err(Verdict::Stay),
        how.into(),
    ))
}

/// Files are read past the page cache.
fn bypassed(process: &Process, direct: &Side) -> Option<Candidate> {
    if direct.bytes() < LEAST_BYTES {
        return None;
    }
    let how =
        "O_DIRECT copies nothing. The page cache would only help if the same bytes are read again";
    Some(candidate(
        process,
        &[direct],
        direct.bytes(),
        "direct-read",
        Err(Verdict::Stay),
        how.into(),
    ))
}

/// Memory is sent without a copy, and is pinned for long beside the time of the copy.
fn pinned(process: &Process, watched: Duration) -> Option<Candidate> {
    let sends = process
        .paths
        .iter()
        .filter(|path| !path.notified.is_empty());
    let side = Side::of(sends.clone());
    let mut notified = Notified::default();
    sends.for_each(|path| notified.add(&path.notified));
    let median = notified.within(500)?;
    let size = notified.bytes / notified.sends.max(1);
    let copy = Duration::from_nanos(size.saturating_mul(1_000_000_000) / COPIED_IN_A_SECOND);
    if side.bytes() < LEAST_BYTES || median < copy * LONG {
        return None;
    }
    let how = format!(
        "sends are notified after {} (median) and have {} pinned on average. Without MSG_ZEROCOPY or SEND_ZC their \
         memory is free at once, for a copy of {}: about {}",
        duration(median),
        bytes(notified.pinned(watched)),
        bytes(size),
        duration(copy)
    );
    Some(candidate(
        process,
        &[&side],
        side.bytes(),
        "zerocopy-send:loopback",
        Err(Verdict::OrNothing),
        how,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples;

    const MIB: u64 = 1 << 20;

    fn calls(totals: Totals, ops: u64) -> Totals {
        Totals { ops, ..totals }
    }

    fn process(paths: Vec<Path>) -> Process {
        let mut process = Process::from_paths(7, 1, "server".into(), "/".into(), paths);
        process.copy_cpu_seconds = Some(1.0);
        process.cpu_seconds = Some(CpuTime {
            kernel: 8.0,
            user_other: 2.0,
            ..CpuTime::default()
        });
        process
    }

    fn advice(process: Process) -> Vec<Candidate> {
        candidates(&samples::with(vec![process]))
    }

    fn server(sent: u64) -> Process {
        process(vec![
            samples::path("read", "file:ext4", calls(samples::to_user(64 * MIB), 2048)),
            samples::path("write", "tcp", calls(samples::from_user(sent), 2048)),
        ])
    }

    #[test]
    fn a_file_that_is_read_and_sent_can_be_sent_by_sendfile() {
        let found = advice(server(65 * MIB));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].instead, Some("sendfile"));
        assert_eq!(found[0].bytes, 64 * MIB);
        assert_eq!(found[0].bytes_per_call, 32 << 10);
        assert!((found[0].copies_per_byte - 2.0).abs() < 1e-9);
        assert!(!found[0].copies_per_byte_is_lower_bound);
        let mut unseen = server(65 * MIB);
        let totals = &mut unseen.paths[0].totals;
        totals.unexplained = MIB;
        totals.copied_from_user -= MIB;
        assert!(advice(unseen)[0].copies_per_byte_is_lower_bound);
        // Other bytes than those that were read.
        let found = advice(server(500 * MIB));
        assert_eq!(found[0].instead, Some("zerocopy-send:loopback"));
    }

    #[test]
    fn a_known_server_is_told_what_to_set() {
        let how = |comm: &str| {
            let mut server = server(64 * MIB);
            server.comm = comm.into();
            advice(server).swap_remove(0).how
        };
        assert_eq!(how("own"), "send from the file with sendfile(2)");
        let nginx = how("nginx");
        assert!(nginx.contains("nginx: `sendfile on;`"), "{nginx}");
    }

    #[test]
    fn bytes_that_are_changed_cannot_be_sent_from_the_file() {
        let mut server = server(64 * MIB);
        server.cpu_seconds.as_mut().expect("samples").user_ciphers = 5.0;
        let found = advice(server);
        assert_eq!(found[0].instead, None);
        assert!(found[0].how.contains("cipher"), "{}", found[0].how);
    }

    #[test]
    fn small_sends_stay_as_they_are() {
        let send = samples::path("send", "tcp", calls(samples::from_user(2 * MIB), 4096));
        let found = advice(process(vec![send]));
        assert_eq!(found[0].instead, None);
        assert_eq!(found[0].verdict, Some(Verdict::Stay));
    }

    #[test]
    fn a_copy_of_a_file_is_one_on_the_same_filesystem() {
        let copy = |to: &str| {
            process(vec![
                samples::path("read", "file:ext4", calls(samples::to_user(8 * MIB), 64)),
                samples::path("write", to, calls(samples::from_user(8 * MIB), 64)),
            ])
        };
        assert_eq!(
            advice(copy("file:ext4"))[0].instead,
            Some("copy-file-range:ext4")
        );
        let other = &advice(copy("file:nfs4"))[0];
        assert_eq!(
            (other.instead, other.verdict),
            (None, Some(Verdict::NotKnown))
        );
    }

    #[test]
    fn a_warm_cache_is_no_reason_to_go_past_it() {
        let read = |filled| {
            let totals = Totals {
                filled,
                ..calls(samples::to_user(8 * MIB), 64)
            };
            process(vec![samples::path("read", "file:ext4", totals)])
        };
        let warm = &advice(read(0))[0];
        assert!(warm.how.contains("page cache already"), "{}", warm.how);
        let cold = &advice(read(8 * MIB))[0];
        assert!(cold.how.contains("O_DIRECT if"), "{}", cold.how);
    }

    #[test]
    fn a_late_notification_is_worth_a_word() {
        let sends = |ns: u64| {
            let mut path = samples::path("send.zerocopy", "tcp", samples::spliced(MIB));
            path.notified = Notified {
                sends: 16,
                bytes: MIB,
                ns: 16 * ns,
                pinned_byte_us: MIB * ns / 1000,
                histogram: [(ns, 16)].into(),
            };
            process(vec![path])
        };
        let late = &advice(sends(10 << 20))[0];
        assert_eq!(
            (late.verdict, late.instead),
            (Some(Verdict::OrNothing), None)
        );
        assert!(late.how.contains("notified after 11.0 ms"), "{}", late.how);
        assert!(late.how.contains("64.0 KiB: about 15.3 us"), "{}", late.how);
        // A copy of 64 KiB takes 15 microseconds.
        assert!(advice(sends(1 << 20)).is_empty());
    }

    #[test]
    fn little_is_not_worth_a_word() {
        let read = samples::path("read", "file:ext4", samples::to_user(4096));
        assert!(advice(process(vec![read])).is_empty());
    }
}
