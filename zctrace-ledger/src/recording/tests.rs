//! Recordings that are whole, cut, changed or something else.

use std::{fs, io::Cursor, path::Path};

use zctrace_common::{Evidence, Op};

use super::*;
use crate::ledger::{Container, Notified, Process, Snapshot, Stack, Ways, samples};

const CONTAINER: &str = "0f3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e0f1a3b5c7d9e1a2b4c6d8e";

/// One of the processes is in a container that has a name.
fn container(pid: u32) -> Option<Container> {
    (pid == 977).then(|| Container {
        id: CONTAINER.into(),
        runtime: Some("docker".into()),
        name: Some("web".into()),
        pod: Some("shop".into()),
        ..Container::default()
    })
}

/// So many sends that waited, half of them for long.
fn notified(sends: u64) -> Notified {
    let mut notified = Notified::default();
    if sends != 0 {
        notified.sends = 2 * sends;
        notified.bytes = 4096 * sends;
        notified.ns = 9_000_000 * sends;
        notified.pinned_byte_us = 18_432_000 * sends;
        notified.histogram = [(1024, sends), (8_388_608, sends)].into();
    }
    notified
}

fn intervals() -> Vec<Snapshot> {
    (0..4_u64)
        .map(|seq| {
            let mut snapshot = samples::normal();
            snapshot.seq = Some(seq);
            snapshot.started_at = format!("2026-11-22T15:00:0{seq}.000000Z");
            snapshot.exit_status = None;
            snapshot.loss.miss("vfs_read", seq);
            snapshot.loss.unfollowed_calls.io_submit = seq;
            snapshot.loss.unfollowed_calls.compat = 2 * seq;
            snapshot.loss.unfollowed_calls.rings = seq;
            snapshot.loss.unfollowed_calls.requests = 3 * seq;
            snapshot.loss.unfollowed_calls.begun = seq;
            snapshot.loss.unfollowed_calls.begun_bytes = 4 * seq;
            // As documents of a run are: sums of their rows.
            let mut total = crate::ledger::Totals::default();
            for process in &mut snapshot.processes {
                let (pending, in_flight) = (process.pending, process.in_flight);
                for (path, number) in process.paths.iter_mut().zip(1..) {
                    path.totals.filled = 4096 * number * seq;
                    path.notified = notified(number * seq);
                }
                process.total.filled = 8192 * seq;
                let claimed = crate::ledger::Claimed {
                    op: "send".into(),
                    object: "tcp".into(),
                    evidence: "measured".into(),
                    claims: vec!["zerocopy".into()],
                    device: Some("lo".into()),
                    notifications: seq,
                    totals: process.total,
                };
                *process = Process::from_paths(
                    process.pid,
                    process.start_time,
                    process.comm.clone(),
                    process.cgroup.clone(),
                    process.paths.clone(),
                );
                process.pending = pending;
                process.in_flight = in_flight;
                process.copy_cpu_seconds = Some(0.25);
                process.cpu_seconds = Some(crate::ledger::CpuTime {
                    user_copying: 99.0 * 4_999_999.0 / 1e9,
                    user_not_known: 2.0 * 4_999_999.0 / 1e9,
                    ..crate::ledger::CpuTime::default()
                });
                process.not_followed = vec![crate::ledger::NotFollowed {
                    call: "keyctl".into(),
                    copy_cpu_seconds: 0.125,
                }];
                process.claims = vec![claimed];
                process.container = container(process.pid);
                if process.container.is_some() {
                    process.cgroup = format!("/docker/{CONTAINER}");
                }
                total.add(&process.total);
            }
            snapshot.total = total;
            for work in &mut snapshot.unattributed {
                work.totals.filled = 4096 * seq;
            }
            let stack = Stack {
                pid: 1,
                start_time: 2,
                comm: "cat".into(),
                class: "copied_to_user".into(),
                frames: vec!["main".into(), format!("read{seq}_[k]").as_str().into()],
            };
            snapshot.stacks.bytes.insert(stack, 4096 + seq);
            snapshot
        })
        .collect()
}

fn written(rotation: Rotation) -> (tempfile::TempDir, Writer) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&dir.path().join("rec"), rotation, 4096).unwrap();
    for interval in intervals() {
        writer.append(&interval).unwrap();
    }
    writer.finish().unwrap();
    (dir, writer)
}

fn bytes() -> Vec<u8> {
    let (dir, _) = written(Rotation::default());
    fs::read(dir.path().join("rec")).unwrap()
}

/// What can be read of it, and whether more was there.
fn read(bytes: &[u8]) -> Result<(Vec<Snapshot>, Option<Damage>), Error> {
    let mut recording = Recording::read(Cursor::new(bytes), Path::new("x"))?;
    let snapshots = recording.by_ref().collect::<Result<_, _>>()?;
    Ok((snapshots, recording.damage()))
}

#[test]
fn what_is_written_is_read() {
    let (read, damage) = read(&bytes()).unwrap();
    assert_eq!(damage, None);
    assert_eq!(read, intervals());
}

/// Each part of a frame stands behind the others, also behind those that have nothing.
#[test]
fn a_part_is_read_behind_parts_that_are_empty() {
    let mut interval = intervals()[1].clone();
    for process in &mut interval.processes {
        process.cpu_seconds = None;
        process.total.filled = 0;
        for path in &mut process.paths {
            path.totals.filled = 0;
        }
        process.claims[0].totals.filled = 0;
    }
    interval.total.filled = 0;
    for work in &mut interval.unattributed {
        work.totals.filled = 0;
    }
    interval.seq = Some(0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rec");
    let mut writer = Writer::create(&path, Rotation::default(), 4096).unwrap();
    writer.append(&interval).unwrap();
    writer.finish().unwrap();
    let (read, damage) = read(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(damage, None);
    assert_eq!(read[0].processes[0].paths[0].notified, notified(1));
    assert_eq!(read, [interval]);
}

#[test]
fn cut_anywhere_it_is_read_up_to_the_last_sound_frame() {
    let bytes = bytes();
    let whole = intervals();
    let mut unended = Vec::new();
    for cut in 0..bytes.len() {
        match read(&bytes[..cut]) {
            Ok((part, damage)) => {
                assert_eq!(part, whole[..part.len()], "cut at {cut}");
                let damage = damage.unwrap_or_else(|| panic!("cut at {cut}: unnoticed"));
                if damage.what.starts_with("it stops without an end") {
                    assert_eq!(damage.at, cut as u64);
                    unended.push(part.len());
                }
            }
            Err(error) => assert_eq!(error.to_string().lines().count(), 1),
        }
    }
    // Between frames nothing but the end is missing.
    assert_eq!(unended, [0, 1, 2, 3, 4]);
    let mut longer = bytes;
    longer.push(0);
    let (part, damage) = read(&longer).unwrap();
    assert_eq!(part, whole);
    assert_eq!(damage.unwrap().what, "something behind its end");
}

#[test]
fn no_flipped_bit_makes_another_number() {
    let bytes = bytes();
    let whole = intervals();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            match read(&bytes) {
                Ok((part, damage)) => {
                    assert!(damage.is_some(), "byte {at}, bit {bit}: unnoticed");
                    assert_eq!(part, whole[..part.len()], "byte {at}, bit {bit}");
                }
                Err(error) => assert_eq!(error.to_string().lines().count(), 1),
            }
        }
    }
}

/// Frames whose checksum is right and whose content is not: nothing panics, nothing is huge.
#[test]
fn payloads_are_not_trusted() {
    let good = bytes();
    let header = Recording::read(Cursor::new(&good), Path::new("x")).unwrap();
    let mut prefix = frame::preamble();
    let payload = postcard::to_stdvec(header.header()).unwrap();
    prefix.extend(frame::encode(frame::Kind::Header, &payload).unwrap());
    let mut seed = 1_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    // The first interval's payload, with bytes changed.
    let sound = frame::decode(&mut &good[prefix.len()..], 0)
        .unwrap()
        .payload;
    for round in 0..3000 {
        let mut payload = sound.clone();
        for _ in 0..=round % 4 {
            let at = random() as usize % payload.len();
            payload[at] = random() as u8;
        }
        let mut bytes = prefix.clone();
        bytes.extend(frame::encode(frame::Kind::Interval, &payload).unwrap());
        let mut recording = Recording::read(Cursor::new(&bytes), Path::new("x")).unwrap();
        let whole = recording.whole().unwrap();
        let _ = whole.snapshot().stacks.folded();
    }
}

#[test]
fn other_files_and_versions_are_refused() {
    let message = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(message(b""), "x is not a recording of zctrace");
    assert_eq!(
        message(b"\x7fELF and so on"),
        "x is not a recording of zctrace"
    );
    let mut other = bytes();
    other[8] = 9;
    let text = "x has version 9 of the format; this zctrace reads versions up to 2";
    assert_eq!(message(&other), text);
    let refused = |path| Recording::open(Path::new(path)).unwrap_err().to_string();
    assert_eq!(refused("/"), "cannot read /: not a regular file");
    assert_eq!(
        refused("/no/such/file"),
        "cannot read /no/such/file: No such file or directory (os error 2)"
    );
    // A pipe is refused, too, and not waited for.
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let error = Recording::open(&pipe).unwrap_err().to_string();
    assert!(error.ends_with("not a regular file"), "{error}");
}

/// Errnos came later, then what is not followed, and names of containers last: a recording without them is read, and one that has more of them than errors
/// is damaged.
#[test]
fn errnos_come_behind_the_rest() {
    let interval = &intervals()[0];
    let errnos = |snapshot: &Snapshot| snapshot.processes[0].paths[0].errnos.clone();
    assert_eq!(errnos(interval).to_string(), "EAGAIN");
    let good = bytes();
    let header = Recording::read(Cursor::new(&good), Path::new("x")).unwrap();
    let mut prefix = frame::preamble();
    let payload = postcard::to_stdvec(header.header()).unwrap();
    prefix.extend(frame::encode(frame::Kind::Header, &payload).unwrap());
    let frame = frame::decode(&mut &good[prefix.len()..], 0).unwrap();
    let (whole, mut budget) = (frame.payload, frame.budget);
    let part = postcard::to_stdvec(&errnos::WireErrnos::new(interval)).unwrap();
    let calls = postcard::to_stdvec(&not_followed::WireNotFollowed::new(interval)).unwrap();
    let (_, rest) = limits::decode::<wire::Interval>(&whole, &mut budget).unwrap();
    let (_, rest) = limits::decode::<beside::WireBeside>(rest, &mut budget).unwrap();
    let (_, rest) = limits::decode::<wire::WireLoss>(rest, &mut budget).unwrap();
    let (_, rest) = limits::decode::<errnos::WireErrnos>(rest, &mut budget).unwrap();
    let (_, names) = limits::decode::<not_followed::WireNotFollowed>(rest, &mut budget).unwrap();
    let with_calls = whole.strip_suffix(names).expect("they are the last");
    let with_errnos = with_calls
        .strip_suffix(&calls[..])
        .expect("they come before");
    let without = with_errnos
        .strip_suffix(&part[..])
        .expect("they come before");
    let read_with = |payload: &[u8]| {
        let mut bytes = prefix.clone();
        bytes.extend(frame::encode(frame::Kind::Interval, payload).unwrap());
        read(&bytes).unwrap().0
    };
    let earlier = read_with(without);
    assert!(errnos(&earlier[0]).is_empty());
    assert_eq!(earlier[0].total, interval.total);
    assert_eq!(read_with(&whole), std::slice::from_ref(interval));
    let unnamed = read_with(with_calls);
    let container = |snapshot: &Snapshot| snapshot.processes[1].container.clone();
    let found = container(&unnamed[0]).expect("its id is in the path of the cgroup");
    assert_eq!((found.id.as_str(), found.name), (CONTAINER, None));
    assert_eq!(unnamed[0].processes[0].container, None);
    // A name for what is no cgroup of a container.
    let mut written = std::collections::HashMap::new();
    let wrong = containers::WireContainers::new(interval, &mut written, |_| 0);
    let wrong = postcard::to_stdvec(&wrong).unwrap();
    assert!(read_with(&[with_calls, &wrong].concat()).is_empty());
    // Names are written once.
    let again = containers::WireContainers::new(interval, &mut written, |_| 0);
    assert!(again.is_empty());
    let before = read_with(with_errnos);
    assert_eq!(errnos(&before[0]), errnos(interval));
    assert!(before[0].processes[0].not_followed.is_empty());
    let mut twice = interval.clone();
    twice.processes[0].paths[0].errnos.add(&errnos(interval));
    let part = postcard::to_stdvec(&errnos::WireErrnos::new(&twice)).unwrap();
    assert!(read_with(&[without, &part].concat()).is_empty());
}

/// What stands beside the ledger came later: the first recordings do without it, and the first readers
/// take no notice of it.
#[test]
fn what_is_beside_comes_and_goes() {
    let interval = &intervals()[0];
    let process = &interval.processes[0];
    let path = &process.paths[0];
    let mut sizes = zctrace_common::Sizes::ZERO;
    (sizes.counts[0], sizes.counts[12]) = (1, 1 << 40);
    let beside = Beside {
        sizes: vec![crate::ledger::RowSizes {
            pid: process.pid,
            start_time: process.start_time,
            op: Op::Sendfile,
            object: path.object.clone(),
            evidence: Evidence::Measured,
            by: None,
            sizes,
        }],
        requests: vec![crate::ledger::Requests {
            pid: 9,
            start_time: 1,
            comm: "db".into(),
            op: Op::UringRead,
            ways: Ways {
                submitted: 5,
                worker: 2,
                taken: 12,
                submissions: 3,
                waits: 4,
                ..Ways::default()
            },
        }],
    };
    assert_eq!(
        (path.op.as_str(), path.evidence.as_str()),
        ("sendfile", "measured")
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rec");
    let mut writer = Writer::create(&path, Rotation::default(), 4096).unwrap();
    writer.append_with(interval, &beside).unwrap();
    let mut recording = Recording::open(&path).unwrap();
    assert_eq!(recording.next().unwrap().unwrap(), *interval);
    assert_eq!(recording.beside(), Some(&beside));

    let written = fs::read(&path).unwrap();
    let mut frames = &written[frame::PREAMBLE..];
    let at = frame::decode(&mut frames, 0).unwrap().next;
    let payload = frame::decode(&mut frames, at).unwrap().payload;
    let mut budget = limits::Budget::of_whole(0);
    let (alone, _) = limits::decode::<wire::Interval>(&payload, &mut budget).unwrap();
    assert_eq!(alone.seq, 0);

    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../zctrace/tests/recordings");
    let mut first = Recording::open(&directory.join("sound-version-1")).unwrap();
    first.next().unwrap().unwrap();
    assert_eq!(first.beside(), None);
}

#[test]
fn what_is_beside_adds_up() {
    let row = |count| {
        let mut sizes = zctrace_common::Sizes::ZERO;
        sizes.counts[3] = count;
        crate::ledger::RowSizes {
            pid: 1,
            start_time: 2,
            op: Op::Read,
            object: "pipe".into(),
            evidence: Evidence::Measured,
            by: None,
            sizes,
        }
    };
    let request = |op, submitted, taken| crate::ledger::Requests {
        pid: 1,
        start_time: 1,
        comm: "db".into(),
        op,
        ways: Ways {
            submitted,
            taken,
            ..Ways::default()
        },
    };
    let at = |count| Beside {
        sizes: vec![row(count)],
        requests: vec![request(Op::UringRead, count, count)],
    };
    let mut sum = Beside::default();
    for (earlier, later) in [(Beside::default(), at(3)), (at(3), at(3)), (at(3), at(10))] {
        sum.add(&later.since(&earlier));
    }
    assert_eq!(sum, at(10));
    assert_eq!(at(3).since(&at(3)), Beside::default());
    // How requests are batched is of the process: an operation that is new to it has no more of that than the others.
    let mut later = at(10);
    later.requests.push(request(Op::UringWrite, 4, 10));
    later.requests.push(request(Op::AioRead, 4, 0));
    let gained = later.since(&at(3)).requests;
    let gained: Vec<_> = gained.iter().map(|one| one.ways).collect();
    let numbers = |ways: &Ways| (ways.submitted, ways.taken);
    assert_eq!(
        gained.iter().map(numbers).collect::<Vec<_>>(),
        [(7, 7), (4, 7), (4, 0)]
    );
}

/// Files that older versions wrote stay readable: the corpus only grows. With `ZCTRACE_WRITE_CORPUS`
/// set, the files of this version are written first.
#[test]
fn the_corpus_is_read() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../zctrace/tests/recordings");
    if std::env::var_os("ZCTRACE_WRITE_CORPUS").is_some() {
        write_the_corpus(&directory);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let result = read(&fs::read(&path).unwrap());
        match name.split('-').next().unwrap() {
            "sound" => assert!(matches!(result, Ok((s, None)) if s.len() == 4), "{name}"),
            "damaged" => assert!(matches!(result, Ok((_, Some(_)))), "{name}"),
            "refused" => {
                let error = result.unwrap_err().to_string();
                let part = if name.contains("later-than") {
                    "has version 65535 of the format"
                } else if name.contains("only-magic") {
                    "is damaged from its start"
                } else {
                    "is not a recording of zctrace"
                };
                assert!(error.contains(part), "{name}: {error}");
            }
            _ => panic!("{name}: neither sound, damaged nor refused"),
        }
        names.push(name);
    }
    assert!(names.len() >= 6, "{names:?}");
}

#[test]
fn rotation_loses_nothing_and_each_file_stands_alone() {
    let rotation = Rotation {
        size: Some(1),
        ..Rotation::default()
    };
    let (dir, writer) = written(rotation);
    let files: Vec<_> = writer.files().map(Path::to_owned).collect();
    assert_eq!(files.len(), 4);
    assert_eq!(files[3], dir.path().join("rec.3"));
    let mut all = Vec::new();
    for file in &files {
        all.extend(read(&fs::read(file).unwrap()).unwrap().0);
    }
    assert_eq!(all, intervals());
    let (dir, _) = written(Rotation {
        time: Some(std::time::Duration::from_nanos(1)),
        keep: Some(2),
        ..Rotation::default()
    });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_rotated_recording_goes_on_behind_an_earlier_one() {
    let rotation = |keep| Rotation {
        size: Some(1),
        keep,
        ..Rotation::default()
    };
    let (dir, _) = written(rotation(None));
    let path = dir.path().join("rec");
    let content = |number| fs::read(part::name(&path, number)).unwrap();
    let earlier: Vec<_> = (0..4).map(content).collect();
    // A trace that cannot begin takes no name.
    for _ in 0..2 {
        let writer = Writer::create(&path, rotation(None), 4096).unwrap();
        assert_eq!(writer.next_file(), part::name(&path, 4));
    }
    let mut writer = Writer::create(&path, rotation(Some(5)), 4096).unwrap();
    assert_eq!(writer.earlier().count(), 4);
    for interval in &intervals()[..2] {
        writer.append(interval).unwrap();
    }
    writer.finish().unwrap();
    // The oldest of the six had to go; the others are as they were.
    assert!(!path.exists());
    assert_eq!((1..4).map(content).collect::<Vec<_>>(), earlier[1..]);
    let files: Vec<_> = [4, 5].iter().map(|&n| part::name(&path, n)).collect();
    assert_eq!(writer.files().collect::<Vec<_>>(), files);
    assert_eq!(writer.earlier().count(), 3);
    assert_eq!(
        read(&content(5)).unwrap(),
        (intervals()[1..2].to_vec(), None)
    );

    // Without rotation it would look like the first of them.
    let error = Writer::create(&path, Rotation::default(), 4096).unwrap_err();
    assert!(matches!(error, Error::InTheWay(_)), "{error}");
    assert!(!path.exists());
}

#[test]
fn it_can_be_read_from_any_interval() {
    let bytes = bytes();
    let mut recording = Recording::read(Cursor::new(&bytes), Path::new("x")).unwrap();
    for index in [3, 0, 2, 1] {
        assert_eq!(recording.seek(index).unwrap(), index);
        assert_eq!(recording.next().unwrap().unwrap(), intervals()[index]);
    }
    assert_eq!(recording.seek(100).unwrap(), 4);
    assert!(recording.next().is_none());
    assert!(recording.next().is_none());
    assert_eq!(recording.damage(), None);
    assert_eq!(recording.seek(2).unwrap(), 2);
}

#[test]
fn the_whole_is_the_sum() {
    let bytes = bytes();
    let mut recording = Recording::read(Cursor::new(&bytes), Path::new("x")).unwrap();
    let whole = recording.whole().unwrap();
    assert_eq!(whole.intervals(), 4);
    let whole = whole.snapshot();
    let one = &intervals()[0];
    assert_eq!(whole.total.moved, 4 * one.total.moved);
    assert_eq!(whole.total.copies_per_byte, one.total.copies_per_byte);
    assert_eq!(whole.duration_ns, 4 * one.duration_ns);
    assert_eq!(whole.processes.len(), one.processes.len());
    assert_eq!(whole.processes[0].pending, one.processes[0].pending);
    assert_eq!(whole.processes[0].claims[0].notifications, 6);
    assert_eq!(whole.processes[0].copy_cpu_seconds, Some(1.0));
    let time = whole.processes[0].cpu_seconds.unwrap();
    assert!((time.user_copying - 1.98).abs() < 1e-4 && (time.user_not_known - 0.04).abs() < 1e-4);
    assert_eq!(whole.stacks.bytes.values().sum::<u64>(), 4 * 4096 + 6);
}

#[test]
fn an_earlier_recording_stays_until_there_is_a_new_one() {
    let (dir, _) = written(Rotation::default());
    let path = dir.path().join("rec");
    let earlier = fs::read(&path).unwrap();
    let mut writer = Writer::create(&path, Rotation::default(), 4096).unwrap();
    assert_eq!(fs::read(&path).unwrap(), earlier);
    writer.append(&intervals()[0]).unwrap();
    let (snapshots, damage) = read(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(snapshots, intervals()[..1]);
    assert!(damage.is_some());
    writer.finish().unwrap();
    assert_eq!(read(&fs::read(&path).unwrap()).unwrap().1, None);
}

#[test]
fn a_full_disk_is_named() {
    let mut writer = Writer::create(Path::new("/dev/full"), Rotation::default(), 0).unwrap();
    let error = writer.append(&intervals()[0]).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot write /dev/full"),
        "{error}"
    );
}

/// What the format is for: an hour of a machine that does little, and of a busy one.
#[test]
fn an_hour_is_small() {
    let hour = |processes: u32| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rec");
        let mut writer = Writer::create(&path, Rotation::default(), 0).unwrap();
        let template = intervals().remove(0);
        let mut seed = 1_u64;
        for second in 0..3600_i64 {
            let mut snapshot = template.clone();
            let start = jiff::Timestamp::from_second(1_800_000_000 + second).unwrap();
            snapshot.started_at = format!("{start:.6}");
            let mut beside = Beside::default();
            snapshot.processes = (0..processes)
                .map(|pid| {
                    let mut process =
                        template.processes[pid as usize % template.processes.len()].clone();
                    process.pid = pid;
                    // Rare, and not what an idle machine does.
                    process.not_followed.clear();
                    // A sample is a two hundredth of a second: most processes of an idle machine have none.
                    process.cpu_seconds = process.cpu_seconds.filter(|_| processes > 3);
                    for path in &mut process.paths {
                        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        path.totals.ops = seed >> 48;
                        path.totals.moved = seed >> 28;
                        path.totals.copied_to_user = seed >> 28;
                        let mut sizes = zctrace_common::Sizes::ZERO;
                        (sizes.counts[4], sizes.counts[8]) = (seed >> 48, seed >> 52);
                        beside.sizes.push(crate::ledger::RowSizes {
                            pid,
                            start_time: process.start_time,
                            op: path.op.known().unwrap(),
                            object: path.object.clone(),
                            evidence: Evidence::Measured,
                            by: None,
                            sizes,
                        });
                    }
                    process
                })
                .collect();
            writer.append_with(&snapshot, &beside).unwrap();
        }
        fs::metadata(&path).unwrap().len()
    };
    let (idle, busy) = (hour(3), hour(100));
    println!("idle: {idle} bytes an hour, busy: {busy}");
    assert!(idle < 1 << 20, "{idle}");
    assert!(busy < 50 << 20, "{busy}");
}

/// A recording by a later version has words that this one does not know, and a hostile one has any.
#[test]
fn unknown_words_stay_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("later.rec");
    let mut snapshot = intervals().remove(0);
    let long = "x".repeat(4000);
    let words = [
        ("uring.teleport", "file:later->socket:martian", "guessed"),
        ("", "->", ""),
        ("\u{1b}[2J", "file:\u{202e}->\0->", "Measured"),
        (long.as_str(), long.as_str(), long.as_str()),
    ];
    for (op, object, evidence) in words {
        let mut row = snapshot.processes[0].paths[0].clone();
        (row.op, row.object, row.evidence) = (op.into(), object.into(), evidence.into());
        assert_eq!((row.op.known(), row.evidence.known()), (None, None));
        snapshot.processes[0].paths.push(row);
    }
    // In the order of a document.
    let process = snapshot.processes[0].clone();
    let (comm, cgroup) = (process.comm, process.cgroup);
    snapshot.processes[0] =
        Process::from_paths(process.pid, process.start_time, comm, cgroup, process.paths);
    let mut writer = Writer::create(&path, Rotation::default(), 4096).unwrap();
    writer.append(&snapshot).unwrap();
    writer.finish().unwrap();
    let (read, damage) = read(&fs::read(&path).unwrap()).unwrap();
    assert_eq!((read.len(), damage), (1, None));
    let rows = &read[0].processes;
    for (op, object, evidence) in words {
        let mut same = rows.iter().flat_map(|process| &process.paths);
        let row = same.find(|row| row.op.as_str() == op).unwrap();
        assert_eq!(
            (row.object.as_str(), row.evidence.as_str()),
            (object, evidence)
        );
        let json = serde_json::to_value(row).unwrap();
        assert_eq!(
            [&json["op"], &json["object"], &json["evidence"]],
            [op, object, evidence]
        );
        // Nothing follows from what is not known.
        assert_eq!((row.goes_out(), row.direction()), (None, None));
    }
}

/// Writes the corpus anew, for a new version of the format.
fn write_the_corpus(directory: &Path) {
    fs::create_dir_all(directory).unwrap();
    let bytes = bytes();
    let half = bytes.len() * 3 / 4;
    let mut flipped = bytes.clone();
    flipped[half] ^= 0x10;
    let mut long = bytes[..half].to_vec();
    long.extend([0xff; 64]);
    let mut later = bytes.clone();
    later[8..10].fill(0xff);
    // Everything but the last frame.
    let end = frame::encode(frame::Kind::End, &[]).unwrap().len();
    let files: [(&str, &[u8]); 8] = [
        ("sound", &bytes),
        ("damaged-cut", &bytes[..half]),
        ("damaged-unended", &bytes[..bytes.len() - end]),
        ("damaged-flipped", &flipped),
        ("damaged-impossible-length", &long),
        ("refused-later-than", &later),
        ("refused-only-magic", &bytes[..10]),
        ("refused-text", b"not a recording\n"),
    ];
    for (name, content) in files {
        let name = format!("{name}-version-{VERSION}");
        fs::write(directory.join(name), content).unwrap();
    }
}
