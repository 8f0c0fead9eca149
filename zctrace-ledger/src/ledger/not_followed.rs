//! Copying that no row of the ledger tells of: processors were seen copying in a system call, and nothing
//! that the process did there has bytes.

use zctrace_common::{Cause, Op};

use super::{End, NotFollowed, Object, Path, Totals};

/// Less than two samples are chance.
const CHANCE: f64 = 0.009;

/// Calls for which overlayfs copies a file up.
const COPIES_UP: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "truncate",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "utime",
    "utimes",
    "futimesat",
    "utimensat",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "setxattrat",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "removexattrat",
    "file_setattr",
];

/// Bytes that a processor copies in a second, at least, where it does not copy many small pieces. An emulated one may
/// copy fewer: see [`Pace`].
const SLOWEST: f64 = 200e6;

/// Seconds that an operation takes within a copy routine beside that: a few bytes take as long as many.
const PIECE: f64 = 200e-9;

/// Bytes that a processor copies in a second, at most: so much can have been copied in the time.
const SPEED: f64 = 10e9;

/// Bytes that the slowest real machine copies in a second if they are in its cache and nothing is in the way.
const SLOWEST_AT_BEST: f64 = 1e9;

/// How fast a machine copies: 1 for every real one, less for an emulated one.
///
/// It is what zctrace itself was seen to copy at best, and never what a traced process copied in the time of its
/// samples. Those have copies without a row in them (on write where faults are not seen, of other processes' packets in
/// softirq, of a few bytes at a time), so a process would look slow that is not. Its rows would then tell of more time
/// than they took, and hide what copied in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace(f64);

impl Pace {
    /// That of a real machine, or of one that is not known.
    pub const USUAL: Self = Self(1.0);

    /// The slowest that is believed: a row tells of no more than ten times the time.
    const SLOWEST: f64 = 0.1;

    /// That of a machine which copied so many bytes in a second at best.
    #[must_use]
    pub fn of(bytes_per_second: f64) -> Self {
        if bytes_per_second > 0.0 {
            Self((bytes_per_second / SLOWEST_AT_BEST).clamp(Self::SLOWEST, 1.0))
        } else {
            Self::USUAL
        }
    }
}

impl NotFollowed {
    /// The bytes that can have been copied in that time.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate; what does not fit saturates"
    )]
    pub fn most_bytes(&self) -> u64 {
        (self.copy_cpu_seconds * SPEED) as u64
    }
}

/// Which of the calls that are not operations, given with the seconds of copying in each, no row of the
/// process tells of, on a machine of this pace.
#[must_use]
pub fn not_followed(
    calls: impl IntoIterator<Item = (String, f64)>,
    paths: &[Path],
    pace: Pace,
) -> Vec<NotFollowed> {
    let mut all: Vec<_> = calls
        .into_iter()
        .filter(|(call, seconds)| *seconds >= CHANCE + told(call, paths) / pace.0)
        .map(|(call, copy_cpu_seconds)| NotFollowed {
            call,
            copy_cpu_seconds,
        })
        .collect();
    all.sort_by(|a, b| {
        let order = b.copy_cpu_seconds.total_cmp(&a.copy_cpu_seconds);
        order.then_with(|| a.call.cmp(&b.call))
    });
    all
}

/// How many seconds of copying in this call rows tell of on a real machine, at most. Which of several calls it was,
/// some rows do not say. A row without copies tells of none, and bytes that nobody saw may have been copied.
fn told(call: &str, paths: &[Path]) -> f64 {
    let seconds = |totals: &Totals| {
        let bytes = totals.copies().saturating_add(totals.unexplained);
        if bytes == 0 {
            return 0.0;
        }
        bytes as f64 / SLOWEST + totals.ops as f64 * PIECE
    };
    let rows = |is: &dyn Fn(Op, &Object) -> bool| {
        let rows = paths
            .iter()
            .filter(|path| path.op.is(|op| is(op, &path.object)));
        rows.map(|path| seconds(&path.totals)).sum::<f64>()
    };
    let other = |op: Op, object: &Object| op == Op::Other && object.is(End::Syscall(call));
    let by_request = |op: Op, _: &Object| op == Op::Clone || op.cause() == Cause::Uffd;
    let copies_up = |op: Op, _: &Object| op == Op::CopyUp;
    // Of anonymous memory at a fork, of files and memory where pages are made present ahead.
    let faults = |op: Op, _: &Object| op.is_fault();
    // Those of one ring's requests that are operations.
    let requests = |op: Op, _: &Object| op.is_request();
    let in_this_call = match call {
        "ioctl" => rows(&by_request),
        "io_uring_enter" => rows(&requests),
        "clone" | "clone3" | "fork" | "vfork" | "mmap" | "madvise" | "mlock" | "mlock2"
        | "mlockall" | "mremap" => rows(&faults),
        call if COPIES_UP.contains(&call) => rows(&copies_up),
        _ => 0.0,
    };
    rows(&other) + in_this_call
}

#[cfg(test)]
mod tests {
    use zctrace_common::{Class, Counters};

    use super::*;

    /// A row with as much as can be copied in 40 ms.
    fn row(op: Op, object: &str) -> Path {
        row_of(op, object, Class::CopiedFromUser, 8 << 20)
    }

    fn row_of(op: Op, object: &str, class: Class, bytes: u64) -> Path {
        let mut counters = Counters {
            ops: 1,
            moved: bytes,
            ..Counters::default()
        };
        counters.class[class as usize] = bytes;
        Path {
            op: op.into(),
            object: object.into(),
            evidence: "measured".into(),
            by: None,
            errnos: crate::ledger::Errnos::default(),
            notified: crate::ledger::Notified::default(),
            totals: (&counters).into(),
        }
    }

    fn calls(names: &[(&str, f64)], paths: &[Path]) -> Vec<String> {
        let calls = names.iter().map(|&(name, s)| (name.to_owned(), s));
        let all = not_followed(calls, paths, Pace::USUAL);
        all.into_iter().map(|one| one.call).collect()
    }

    #[test]
    fn a_call_without_a_row_is_named_and_one_with_a_row_is_not() {
        let sampled = [("keyctl", 0.02), ("ioctl", 0.04)];
        assert_eq!(calls(&sampled, &[]), ["ioctl", "keyctl"]);
        let sendfile = row(Op::Sendfile, "file:ext4->tcp");
        assert_eq!(calls(&sampled, &[sendfile]), ["ioctl", "keyctl"]);
        let other = row(Op::Other, "syscall:ioctl");
        assert_eq!(calls(&sampled, &[other]), ["keyctl"]);
        let uffd = row(Op::UffdCopy, "userfaultfd");
        assert_eq!(calls(&sampled, &[uffd]), ["keyctl"]);
    }

    #[test]
    fn a_row_tells_of_no_more_than_its_copies() {
        let sampled = [("ioctl", 0.2), ("io_uring_enter", 0.2)];
        let both = ["io_uring_enter", "ioctl"];
        let small = [
            row_of(Op::UffdCopy, "userfaultfd", Class::CopiedFromUser, 4096),
            row_of(Op::UringRead, "file:ext4", Class::CopiedToUser, 4096),
        ];
        assert_eq!(calls(&sampled, &small), both);
        let without_copies = [
            row_of(Op::Clone, "file:xfs->file:xfs", Class::Cloned, 1 << 40),
            row_of(Op::UringRead, "file:ext4", Class::Direct, 1 << 40),
        ];
        assert_eq!(calls(&sampled, &without_copies), both);
        let large = [
            row_of(Op::UffdCopy, "userfaultfd", Class::CopiedFromUser, 64 << 20),
            row_of(Op::UringRead, "file:ext4", Class::Unexplained, 64 << 20),
        ];
        assert!(calls(&sampled, &large).is_empty());
    }

    #[test]
    fn small_copies_take_longer() {
        let mut path = row_of(Op::UringRead, "file:tmpfs", Class::CopiedToUser, 1 << 20);
        assert_eq!(calls(&[("io_uring_enter", 0.1)], &[path.clone()]).len(), 1);
        path.totals.ops = 1 << 20;
        assert!(calls(&[("io_uring_enter", 0.1)], &[path]).is_empty());
    }

    /// Emulation can take longer for a row than any real machine, but not for ever.
    #[test]
    fn a_slow_machine_takes_longer() {
        let named = |seconds: f64, bytes_per_second: f64| {
            let uffd = row(Op::UffdCopy, "userfaultfd");
            let calls = [("ioctl".to_owned(), seconds)];
            !not_followed(calls, &[uffd], Pace::of(bytes_per_second)).is_empty()
        };
        assert!(named(0.1, 10e9));
        assert!(named(0.1, 1e9));
        assert!(!named(0.1, 300e6));
        assert!(named(0.2, 300e6));
        assert!(named(0.5, 1.0));
        for unknown in [0.0, -1.0, f64::NAN] {
            assert_eq!(Pace::of(unknown), Pace::USUAL);
        }
        assert_eq!(Pace::of(f64::INFINITY), Pace::USUAL);
    }

    #[test]
    fn one_sample_is_chance() {
        assert!(calls(&[("ioctl", 0.005)], &[]).is_empty());
    }

    #[test]
    fn pages_copied_at_a_fork_have_rows_of_their_own() {
        let sampled = [("clone3", 0.02)];
        assert_eq!(calls(&sampled, &[]), ["clone3"]);
        assert!(calls(&sampled, &[row(Op::ForkCow, "anon")]).is_empty());
        let fault = row(Op::FaultMap, "file:ext4");
        assert_eq!(calls(&[("keyctl", 0.02)], &[fault]), ["keyctl"]);
    }

    #[test]
    fn a_copy_up_is_told_by_its_row() {
        let rows = [row(Op::CopyUp, "file:overlay")];
        assert!(calls(&[("fchmodat", 0.02)], &rows).is_empty());
        assert_eq!(calls(&[("ioctl", 0.02)], &rows), ["ioctl"]);
    }
}
