//! What stands against a PASS regardless of the rows.

use nix::libc;
use zctrace_common::{Evidence, Flow, Op};

use super::{Look, Rule, Seen, State};
use crate::{
    catalog::{self, Family, Role},
    claims::{
        Claim, Measure,
        operations::matches,
        portion::{Row, carried, copied, within},
    },
    ledger::{Claimed, End, Errno, Loss, Path, Process, Refused, Snapshot, Totals, Unfollowed},
};

/// The code of the rule about refused probes.
pub(crate) const PROBES_MISSING: &str = "probes-missing";

/// The code of the rule about what the kernel notified.
pub(crate) const NOTIFIED: &str = "zerocopy-notified";

/// The codes of the rules that are not about copies.
pub(crate) const ALWAYS: [&str; 2] = [COMMAND_FAILED, NOT_CONSERVED];
const COMMAND_FAILED: &str = "command-failed";
const NOT_CONSERVED: &str = "not-conserved";

/// Bytes that may still be copied.
pub(crate) const PENDING: Rule = Rule {
    code: "zerocopy-pending",
    says: "Bytes sent by reference were still on their way at the end: they may still be copied",
    evidence: "`pending` bytes two seconds after the end, more than the limit leaves room for",
    remedy: "let the receivers read everything, end the load before the measurement ends, or measure longer",
    look: Look::Numbers,
};

/// What devices transfer, copied.
pub(crate) const BOUNCED: Rule = Rule {
    code: "bounce-buffers",
    says: "A CPU copied bytes that devices transferred through bounce buffers: they may be the target's",
    evidence: "`swiotlb_bounced` in `unattributed`, more than the limit leaves room for",
    remedy: "measure elsewhere: confidential virtual machines (SEV, TDX), swiotlb=force, and devices that cannot reach all memory need bounce buffers and are never zero-copy",
    look: Look::Numbers,
};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: COMMAND_FAILED,
        says: "The command failed or was left behind: it may not have done the work that it was meant to show",
        evidence: "its exit status is not 0",
        remedy: "repair the command, or judge what it did nevertheless with --ignore-command-status",
        look: Look::State(command_failed),
    },
    PENDING,
    Rule {
        code: NOTIFIED,
        says: "The kernel notified that it copied zero-copy sends, but it does not say how many bytes",
        evidence: "`notifications` in `claims` of a row without a copy of every byte",
        remedy: "use a kernel on which functions can be traced, which counts the bytes (`zctrace doctor`)",
        look: Look::State(notified),
    },
    Rule {
        code: "operations-open",
        says: "Operations were still open at the end, or may have been: their copies are not in the ledger",
        evidence: "`in_flight` operations two seconds after the end, except those that only wait for input",
        remedy: "end the load before the measurement ends, or trace a command to its end",
        look: Look::State(in_flight),
    },
    Rule {
        code: "processes-left",
        says: "Processes of the command outlived it: what they do from then on is not in the ledger",
        evidence: "they were alive half a second after the command had ended",
        remedy: "run the server in the foreground, start helpers such as a compiler's cache before, or attach to what stays with -p, --comm or --cgroup",
        look: Look::State(processes_left),
    },
    Rule {
        code: "target-incomplete",
        says: "Threads of the target were not traced, or may not have been: what they did is not in the ledger",
        evidence: "they had joined it unseen, such as those of another process that holds its port; or who holds a socket of the port could not be seen",
        remedy: "measure again, as root or with cap_sys_ptrace: what is seen to belong to the target at the start is traced",
        look: Look::State(untraced),
    },
    Rule {
        code: "lost-updates",
        says: "zctrace lost updates, so copies may be missing from the ledger",
        evidence: "`map_full` or `missed_runs` of `loss`",
        remedy: "name a smaller target, or measure for a shorter time",
        look: Look::State(loss),
    },
    Rule {
        code: "unfollowed-calls",
        says: "There were calls, requests or rings that zctrace cannot follow here: what they moved is in no row",
        evidence: "`unfollowed_calls` of `loss`; `io_submit` if the claim includes Linux AIO, `rings` if it includes sends or receives, `requests` if it includes io_uring, `begun` if `begun_bytes` are --min-bytes and more than the limit leaves room for",
        remedy: "judge one operation with --path, attach before the load begins, or measure on a kernel on which functions can be traced (`zctrace doctor`)",
        look: Look::State(unfollowed),
    },
    Rule {
        code: "unattributed-copies",
        says: "The kernel copied bytes for an unknown process: they may be the target's",
        evidence: "copies in `unattributed`, more than the limit leaves room for",
        remedy: "measure while nothing else uses the devices and sockets in question",
        look: Look::Numbers,
    },
    BOUNCED,
    Rule {
        code: "other-calls-copied",
        says: "Calls that are not operations of the ledger copied bytes that may have gone this path",
        evidence: "bytes in rows `other` of a process with this path, more than the limit leaves room for",
        remedy: "measure the path without these calls",
        look: Look::State(other_calls),
    },
    Rule {
        code: "other-calls-uncounted",
        says: "How often bytes were copied in calls that are not operations of the ledger is not known",
        evidence: "rows `other` of system calls, --min-bytes together, where eight copies of each byte would be above the limit",
        remedy: "judge one operation with --path, or measure without these calls",
        look: Look::State(uncounted_calls),
    },
    Rule {
        code: "copying-not-followed",
        says: "Processors were seen copying in calls for which the ledger has no bytes",
        evidence: "`not_followed` of a process: the time is long enough for more copies than the limit allows",
        remedy: "judge one operation with --path, or measure without these calls",
        look: Look::State(not_followed),
    },
    Rule {
        code: "possible-copies-on-write",
        says: "Pages were written to, or made ready for writing, that others may have had too: each may have been copied",
        evidence: "`fault.write` rows of a process (tracepoints backend): a page each is `min_bytes`, and more than the limit leaves room for",
        remedy: "judge one operation with --path, or measure on a kernel on which functions can be traced (`zctrace doctor`)",
        look: Look::State(possible_copies_on_write),
    },
    Rule {
        code: "failed-calls-uncounted",
        says: "Messages were copied into the kernel by calls that then failed, or may have been: nobody counted these copies",
        evidence: "errors of inferred rows that send messages, --min-bytes together if each message was as long as it may be by default",
        remedy: "judge one operation with --path, or measure on a kernel on which functions can be traced (`zctrace doctor`)",
        look: Look::State(failed_calls),
    },
    Rule {
        code: "commands-uncounted",
        says: "How much commands of io_uring moved or copied for drivers is not known",
        evidence: "rows `uring.cmd` of devices with commands that did not fail, except those of ublk where all its copies are measured; inferred ones of packet sockets and AF_XDP, which can set up rings",
        remedy: "judge one operation with --path, or measure without these commands",
        look: Look::State(commands),
    },
    Rule {
        code: PROBES_MISSING,
        says: "A place where bytes can be copied was not watched, or calls could end unseen",
        evidence: "refused probes whose functions this kernel has; --accept-inferred accepts inferred copies, but not unseen calls or processes",
        remedy: "`zctrace doctor` says how to get them; --path judges one path, which needs fewer of them",
        look: Look::State(probes),
    },
    Rule {
        code: NOT_CONSERVED,
        says: "A row's classes do not add up to what it moved, so its numbers cannot be trusted",
        evidence: "`moved` differs from the sum of the nine classes",
        remedy: "this is a defect of zctrace: please report it with the document of --json",
        look: Look::State(conservation),
    },
];

fn command_failed(state: &State<'_>) -> Option<Seen> {
    if !state.circumstances.command_failed(state.snapshot) {
        return None;
    }
    let text = match state.snapshot.exit_status {
        _ if state.circumstances.abandoned => "it still ran when the measurement ended".to_owned(),
        Some(status) => match (status.code, status.signal) {
            (Some(code), _) => format!("it ended with status {code}"),
            (None, Some(signal)) => format!("signal {signal} ended it"),
            (None, None) => "how it ended is not known".to_owned(),
        },
        None => "how it ended is not known".to_owned(),
    };
    Some(Seen { bytes: 0, text })
}

/// The processes whose bytes may still be copied.
pub(crate) fn pending(snapshot: &Snapshot) -> String {
    let names = names(snapshot, |process| process.pending > 0);
    format!("bytes sent by {names} may still be copied")
}

/// `btrfs send` splices bytes that an `ioctl` has written into the pipe. Nobody can distinguish the copies of such a
/// call from those of the judged path.
fn other_calls(state: &State<'_>) -> Option<Seen> {
    state.claim.path.as_ref()?;
    let is_about = |path: &&Path| state.claim.is_about(path.op.as_str());
    let is_other = |path: &&Path| path.op == Op::Other && !is_about(path);
    let sum = |paths: &mut dyn Iterator<Item = u64>| paths.fold(0_u64, u64::saturating_add);
    for process in &state.snapshot.processes {
        let of_path = || process.paths.iter().filter(is_about);
        let others = || process.paths.iter().filter(is_other);
        let carried = sum(&mut of_path().map(carried));
        let charge = sum(&mut of_path().map(|path| may_have_copied(&path.totals, state.claim)));
        let copied = sum(&mut others().map(|path| may_have_copied(&path.totals, state.claim)));
        let breaks = |limit| !within(charge.saturating_add(copied), carried, limit);
        if carried == 0 || copied == 0 || !state.claim.limits().any(|(_, limit)| breaks(limit)) {
            continue;
        }
        let calls: Vec<_> = others()
            .filter(|path| !path.totals.is_only_filled())
            .map(|path| path.object.as_str())
            .take(3)
            .collect();
        let text = format!("{} of {}", calls.join(", "), process.comm);
        return Seen::some(copied, || text);
    }
    None
}

/// Some copies of such a call were seen; others may have been made in places without a probe, as `btrfs send` copies
/// into a buffer before it writes. Their rows can be many and small, so they count together.
fn uncounted_calls(state: &State<'_>) -> Option<Seen> {
    /// How often a byte is copied on its way through such a call, at most.
    const MOST_TIMES: u64 = 8;
    if !state.claim.is_about(Op::Other.name()) {
        return None;
    }
    let is_call =
        |path: &&Path| path.op == Op::Other && matches!(path.object.sole(), Some(End::Syscall(_)));
    let of = |process: &Process| {
        let rows = process.paths.iter().filter(is_call);
        rows.fold(0_u64, |sum, path| sum.saturating_add(path.totals.moved))
    };
    let processes = || state.snapshot.processes.iter();
    let moved = processes().map(of).fold(0, u64::saturating_add);
    if moved < state.claim.min_bytes {
        return None;
    }
    let per_byte = state.claim.max_copies_per_byte;
    let breaks = per_byte.is_some_and(|limit| !within(MOST_TIMES, 1, limit));
    let mut some = processes().filter(|process| {
        let most = of(process).saturating_mul(MOST_TIMES);
        most != 0 && (breaks || could_overturn(process, state.claim, most))
    });
    let first = some.next()?;
    let calls = first.paths.iter().filter(is_call);
    let calls: Vec<_> = calls.take(3).map(|path| path.object.as_str()).collect();
    let text = format!("{} of {}", calls.join(", "), first.named());
    Some(Seen { bytes: moved, text })
}

/// A claim about everything a process does includes these calls, and how much they copied is not known.
fn not_followed(state: &State<'_>) -> Option<Seen> {
    if !state.claim.is_about(Op::Other.name()) {
        return None;
    }
    state.snapshot.processes.iter().find_map(|process| {
        let calls = process.not_followed.iter();
        let most = calls.fold(0_u64, |sum, one| sum.saturating_add(one.most_bytes()));
        if most == 0 || !could_overturn(process, state.claim, most) {
            return None;
        }
        let calls: Vec<_> = process
            .not_followed
            .iter()
            .take(3)
            .map(|one| format!("{:.0} ms in {}", one.copy_cpu_seconds * 1e3, one.call))
            .collect();
        let text = format!("copying of {}: {}", process.named(), calls.join(", "));
        Some(Seen { bytes: 0, text })
    })
}

/// Whether as many bytes break the claim on a whole process, if they were copied beside what its rows have.
fn could_overturn(process: &Process, claim: &Claim, bytes: u64) -> bool {
    could_overturn_with(process, claim, bytes, 0)
}

/// The same where some more bytes were moved by that.
fn could_overturn_with(process: &Process, claim: &Claim, bytes: u64, moved: u64) -> bool {
    let sum = |of: &dyn Fn(&Path) -> u64| process.paths.iter().map(of).fold(0, u64::saturating_add);
    let charge = sum(&|path| may_have_copied(&path.totals, claim)).saturating_add(bytes);
    let mut limits = claim.limits();
    limits.any(|(measure, limit)| {
        let over = match measure {
            Measure::CopiesPerByte => sum(&carried).saturating_add(moved),
            // A process that sent nothing is not judged by this.
            Measure::CopiesPerSentByte if process.sent == 0 => return false,
            Measure::CopiesPerReceivedByte if process.received == 0 => return false,
            Measure::CopiesPerSentByte => process.sent,
            Measure::CopiesPerReceivedByte => process.received,
        };
        !within(charge, over, limit)
    })
}

/// Only where functions can be traced is it seen whether such a write copied, and then there are no such rows.
fn possible_copies_on_write(state: &State<'_>) -> Option<Seen> {
    if !state.claim.is_about(Op::FaultWrite.name()) {
        return None;
    }
    // Of base pages: documents do not say how large the kernel's are.
    let page = match (state.circumstances.page_size, state.snapshot.arch.as_str()) {
        (Some(size), _) => size,
        (None, "aarch64") => 64 << 10,
        (None, _) => 4 << 10,
    };
    state.snapshot.processes.iter().find_map(|process| {
        let pages = |is: fn(&Path) -> bool| {
            let rows = process.paths.iter();
            let rows = rows.filter(|path| path.op == Op::FaultWrite && is(path));
            let writes = rows.fold(0_u64, |sum, path| sum.saturating_add(path.totals.ops));
            (writes, writes.saturating_mul(page))
        };
        // A page of a file that is copied has become visible with that.
        let (of_files, moved) = pages(|path| matches!(path.object.sole(), Some(End::File(_))));
        let (others, copied) = pages(|path| !matches!(path.object.sole(), Some(End::File(_))));
        let writes = of_files.saturating_add(others);
        let most = moved.saturating_add(copied);
        let claim = state.claim;
        let matters = moved >= claim.min_bytes && could_overturn_with(process, claim, moved, moved)
            || copied >= claim.min_bytes && could_overturn_with(process, claim, most, moved);
        matters.then(|| Seen {
            bytes: most,
            text: format!("{writes} such writes of {}", process.named()),
        })
    })
}

/// A message is copied before it is known whether anybody takes it: nobody listens to the socket, or the queue is full.
/// Sites see these copies (`wasted`); a result says only that the call failed.
fn failed_calls(state: &State<'_>) -> Option<Seen> {
    /// `net.core.wmem_default`, where nobody has changed it.
    const MOST_OF_SOCKET: u64 = 212_992;
    const MOST_OF_UDP: u64 = 65_507;
    /// The default of both kinds of queues (`msgsize_max`, `msgmax`).
    const MOST_OF_QUEUE: u64 = 8192;
    /// The call is refused before it looks at the message.
    const AT_ONCE: [i32; 6] = [
        libc::EBADF,
        libc::EINVAL,
        libc::EMSGSIZE,
        libc::ENOTCONN,
        libc::EDESTADDRREQ,
        libc::ENOTSOCK,
    ];
    let most_of_message = |path: &Path| match path.object.sole() {
        Some(End::Mqueue | End::Msgqueue) => MOST_OF_QUEUE,
        Some(End::Udp) => MOST_OF_UDP,
        Some(End::Unix | End::Vsock | End::Socket(_)) => MOST_OF_SOCKET,
        _ => 0,
    };
    let most = |path: &Path| {
        let gives = path.op.is(|op| matches!(op.flow(), Flow::Gives(_)));
        let is_judged = state.claim.is_about(path.op.as_str());
        if path.evidence != Evidence::Inferred || !gives || !is_judged {
            return 0;
        }
        let refused = AT_ONCE.map(|errno| path.errnos.get(Errno::new(errno.unsigned_abs())));
        let failed = path.totals.errors.saturating_sub(refused.iter().sum());
        failed.saturating_mul(most_of_message(path))
    };
    let of = |process: &Process| process.paths.iter().map(most).fold(0, u64::saturating_add);
    let processes = || state.snapshot.processes.iter();
    if processes().map(of).fold(0, u64::saturating_add) < state.claim.min_bytes {
        return None;
    }
    let first = processes().find(|process| {
        let most = of(process);
        most != 0 && could_overturn(process, state.claim, most)
    })?;
    Some(Seen {
        bytes: 0,
        text: format!("such calls of {}", first.named()),
    })
}

/// What a command does is its driver's business: NVMe moves blocks, FUSE the requests of its server. Its result says
/// nothing of bytes. Only the copies of ublk are followed.
fn commands(state: &State<'_>) -> Option<Seen> {
    if !state.claim.is_about(Op::UringCmd.name()) {
        return None;
    }
    // The module can have come after zctrace.
    let attached = &state.snapshot.coverage.attached;
    let sees_ublk = attached.iter().any(|probe| probe == catalog::UBLK_COPIES);
    let is_unknown = |path: &&Path| {
        let is_counted = match path.object.sole() {
            // A command can set up a ring, which sites see and system calls do not.
            Some(End::Socket("packet" | "xdp")) => path.evidence == Evidence::Measured,
            Some(End::Tcp | End::Udp | End::Unix | End::Vsock | End::Socket(_)) => true,
            Some(End::Char("ublk-char" | "ublk-control")) => {
                path.evidence == Evidence::Measured && sees_ublk
            }
            _ => false,
        };
        path.op == Op::UringCmd && !is_counted && path.totals.ops > path.totals.errors
    };
    state.snapshot.processes.iter().find_map(|process| {
        let path = process.paths.iter().find(is_unknown)?;
        let commands = match path.totals.ops - path.totals.errors {
            1 => "1 command".to_owned(),
            many => format!("{many} commands"),
        };
        let (who, object) = (process.named(), path.object.as_str());
        Some(Seen {
            bytes: 0,
            text: format!("{commands} of {who} to {object}"),
        })
    })
}

fn notified(state: &State<'_>) -> Option<Seen> {
    let mut parts = Vec::new();
    for process in &state.snapshot.processes {
        for part in &process.claims {
            if part.notifications > 0
                && state.claim.is_about(part.op.as_str())
                && !counts_late_copies(process, part)
            {
                parts.push(format!(
                    "{} for {} {} of {}",
                    part.notifications, part.op, part.object, process.comm
                ));
            }
        }
    }
    (!parts.is_empty()).then(|| {
        parts.truncate(3);
        let text = format!("notifications that say COPIED: {}", parts.join(", "));
        Seen { bytes: 0, text }
    })
}

/// Whether what a part was notified of is in the numbers of its rows.
fn counts_late_copies(process: &Process, part: &Claimed) -> bool {
    let mut rows = process
        .paths
        .iter()
        .filter(|path| path.op == part.op && path.object == part.object)
        .map(|path| Row { process, path })
        .peekable();
    rows.peek().is_some() && rows.all(|row| row.counts_late_copies())
}

fn in_flight(state: &State<'_>) -> Option<Seen> {
    let open = state
        .snapshot
        .processes
        .iter()
        .fold(0_u64, |sum, process| sum.saturating_add(process.in_flight));
    let open = open.saturating_sub(state.circumstances.waiting);
    (open > 0).then(|| {
        let names = names(state.snapshot, |process| process.in_flight > 0);
        let text = format!("{open} operations of {names} were open, or may have been");
        Seen { bytes: 0, text }
    })
}

fn processes_left(state: &State<'_>) -> Option<Seen> {
    let text = match state.circumstances.left_behind {
        0 => return None,
        1 => "1 process was alive".to_owned(),
        many => format!("{many} processes were alive"),
    };
    Some(Seen { bytes: 0, text })
}

fn untraced(state: &State<'_>) -> Option<Seen> {
    let circumstances = state.circumstances;
    let parts = [
        (
            circumstances.untraced,
            "1 process was not traced whole",
            "processes were not traced whole",
        ),
        (
            circumstances.hidden,
            "1 process could not be inspected",
            "processes could not be inspected",
        ),
        (
            circumstances.unheld,
            "nobody was seen to hold 1 socket",
            "sockets were held by nobody that was seen",
        ),
    ];
    let mut text = Vec::new();
    for (count, one, many) in parts {
        match count {
            0 => {}
            1 => text.push(one.to_owned()),
            count => text.push(format!("{count} {many}")),
        }
    }
    (!text.is_empty()).then(|| Seen {
        bytes: 0,
        text: text.join(", "),
    })
}

/// Up to three of the processes for which `is` holds.
fn names(snapshot: &Snapshot, is: impl Fn(&Process) -> bool) -> String {
    let all: Vec<_> = snapshot.processes.iter().filter(|p| is(p)).collect();
    let mut text: Vec<_> = all.iter().take(3).map(|process| process.named()).collect();
    if all.len() > 3 {
        text.push(format!("{} more", all.len() - 3));
    }
    text.join(", ")
}

fn loss(state: &State<'_>) -> Option<Seen> {
    // Destructured whole, so that a new counter cannot be forgotten.
    let Loss {
        map_full,
        missed_runs,
        missed_at: _,
        // `unfollowed` looks at them.
        unfollowed_calls: _,
    } = state.snapshot.loss;
    (map_full != 0 || missed_runs != 0).then(|| {
        let places = state.snapshot.loss.places();
        let places = places.map_or_else(String::new, |places| format!(" ({places})"));
        let text = format!(
            "{map_full} entries that did not fit, {missed_runs} missed runs of probes{places}"
        );
        Seen { bytes: 0, text }
    })
}

fn unfollowed(state: &State<'_>) -> Option<Seen> {
    let Unfollowed {
        io_submit,
        compat,
        rings,
        requests,
        begun,
        begun_bytes,
    } = state.snapshot.loss.unfollowed_calls;
    let where_about = |ops: &[Op], count| {
        let is_concerned = ops.iter().any(|op| state.claim.is_about(op.name()));
        if is_concerned { count } else { 0 }
    };
    let mut ops = Op::ALL
        .iter()
        .filter(|op| !op.is_request() && !op.is_fault());
    let is_call = ops.any(|op| state.claim.is_about(op.name()));
    // Shares have no such limit: there each byte is one of many.
    let is_share = state.claim.limits().next().is_none();
    let matters = |bytes: u64| {
        let processes = &state.snapshot.processes;
        // Such a call copied each byte twice, at most, that it moved.
        let twice = bytes.saturating_mul(2);
        let overturns = |process| could_overturn_with(process, state.claim, twice, bytes);
        bytes >= state.claim.min_bytes
            && (is_share || processes.is_empty() || processes.iter().any(overturns))
    };
    let concerned = Unfollowed {
        io_submit: where_about(&[Op::AioRead, Op::AioWrite], io_submit),
        rings: where_about(&[Op::Recv, Op::Send], rings),
        requests: if state.claim.is_about_requests("uring") {
            requests
        } else {
            0
        },
        // Such a call can be any of them.
        compat,
        begun: if is_call && matters(begun_bytes) {
            begun
        } else {
            0
        },
        begun_bytes,
    };
    let text = concerned.named(|count| count.to_string())?;
    Some(Seen { bytes: 0, text })
}

fn probes(state: &State<'_>) -> Option<Seen> {
    not_attached(state, |refused| {
        let gap = gap(refused, state);
        gap == Gap::Unseen || gap == Gap::Concluded && !state.claim.accept_inferred
    })
}

/// Why operations that the claim is about may have gone unseen.
pub(crate) fn unseen(state: &State<'_>) -> Option<(&'static Rule, Seen)> {
    let is_fault = state.claim.path.as_deref().is_some_and(is_fault);
    let hides = |refused: &Refused| match gap(refused, state) {
        Gap::Unseen => true,
        // Only its sites report that a page fault happened.
        Gap::Concluded => {
            is_fault
                && catalog::find(&refused.probe).is_some_and(|probe| probe.family == Family::Fault)
        }
        Gap::None => false,
    };
    let seen: [(&str, Option<Seen>); 6] = [
        ("lost-updates", loss(state)),
        ("unfollowed-calls", unfollowed(state)),
        ("operations-open", in_flight(state)),
        ("processes-left", processes_left(state)),
        ("target-incomplete", untraced(state)),
        (PROBES_MISSING, not_attached(state, hides)),
    ];
    seen.into_iter()
        .find_map(|(code, seen)| Some((super::find(code)?, seen?)))
}

fn is_fault(path: &str) -> bool {
    let mut faults = Op::ALL.iter().filter(|op| op.is_fault());
    faults.any(|op| matches(path, op.name()))
}

/// Probes whose bytes are accepted as concluded.
pub(crate) fn accepted(state: &State<'_>) -> Option<Seen> {
    not_attached(state, |refused| {
        state.claim.accept_inferred && gap(refused, state) == Gap::Concluded
    })
}

fn not_attached(state: &State<'_>, is: impl Fn(&Refused) -> bool) -> Option<Seen> {
    let missing: Vec<_> = state
        .snapshot
        .coverage
        .refused
        .iter()
        .filter(|refused| is(refused))
        .map(|refused| refused.probe.as_str())
        .collect();
    (!missing.is_empty()).then(|| {
        let mut text = missing[..missing.len().min(5)].join(", ");
        if missing.len() > 5 {
            text = format!("{text} and {} more", missing.len() - 5);
        }
        let text = format!("not attached: {text}");
        Seen { bytes: 0, text }
    })
}

/// What a missing probe means for a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    /// Nothing: there is nothing to see, or other probes see it.
    None,
    /// Copies are concluded from the calls, not seen.
    Concluded,
    /// Whole operations, or processes, can go unseen.
    Unseen,
}

/// Whether a copy may have gone unseen without this probe. The evidence of a row covers its own sites; this is about
/// rows that were never made.
fn gap(refused: &Refused, state: &State<'_>) -> Gap {
    let (claim, coverage) = (state.claim, &state.snapshot.coverage);
    let Some(probe) = catalog::find(&refused.probe) else {
        return Gap::Unseen;
    };
    let is_attached = |name: &str| coverage.attached.iter().any(|probe| probe == name);
    let concluded = |is: bool| if is { Gap::Concluded } else { Gap::None };
    let unseen = |is: bool| if is { Gap::Unseen } else { Gap::None };
    let submissions = || is_attached(catalog::IO_URING_COMPLETE_INFERRED);
    match (probe.role, &claim.path) {
        // A kernel without the function does not have the operation.
        (Role::Interface(_), _) if refused.absent && probe.is_optional_interface() => Gap::None,
        (Role::Interface(op), _) => {
            let about = catalog::reported_by(op).any(|op| claim.is_about(op.name()));
            unseen(about && !refused.is_replaced())
        }
        _ if refused.absent => Gap::None,
        (Role::Target, _) => Gap::Unseen,
        // The bytes that a cipher rewrites stand beside the classes.
        (Role::NoCopySite, _) if probe.family == Family::Tls => concluded(!claim.allow_encryption),
        // Bytes that it would have seen are unexplained without it.
        (
            Role::NoCopySite | Role::SystemCalls | Role::Substitute | Role::Cause | Role::Beside,
            _,
        ) => Gap::None,
        (Role::CopySite, None) => Gap::Concluded,
        (Role::CopySite, Some(path)) => concluded(probe.family != Family::Fault || is_fault(path)),
        // Without it, pages that are still borrowed may look as if they had been given back.
        (Role::Evidence, _) => {
            concluded(!is_attached(catalog::SYS_EXIT) && probe.family != Family::Sample)
        }
        // Where functions are refused, requests of AIO are followed from call to call.
        (Role::Requests, _) if probe.family == Family::Aio => {
            unseen(!is_attached(catalog::SYS_ENTER) && claim.is_about_requests("aio"))
        }
        // Submissions report them instead.
        (Role::Requests | Role::SomeRequests, _) => {
            unseen(!submissions() && claim.is_about_requests("uring"))
        }
        (Role::Submissions, _) => unseen(claim.is_about_requests("uring")),
    }
}

fn conservation(state: &State<'_>) -> Option<Seen> {
    let process = state.snapshot.processes.iter().find_map(|process| {
        let path = process
            .paths
            .iter()
            .find(|path| path.totals.moved != path.totals.explained_and_unexplained())?;
        Some((process, path))
    });
    process.map(|(process, path)| Seen {
        bytes: path
            .totals
            .moved
            .abs_diff(path.totals.explained_and_unexplained()),
        text: format!("{} {} of {}", path.op, path.object, process.comm),
    })
}

/// Copies that nobody is known to have caused, except those of [`sent_again`].
pub(crate) fn unattributed(state: &State<'_>) -> u64 {
    state
        .snapshot
        .unattributed
        .iter()
        .filter(|work| !work.is_sent_again())
        .fold(0, |sum: u64, work| {
            sum.saturating_add(may_have_copied(&work.totals, state.claim))
        })
}

/// Bytes of ordinary sends of unknown processes that were copied again on their way.
pub(crate) fn sent_again(snapshot: &Snapshot) -> u64 {
    snapshot
        .unattributed
        .iter()
        .filter(|work| work.is_sent_again())
        .fold(0, |sum: u64, work| sum.saturating_add(work.totals.deferred))
}

/// Copies, and bytes that may have been.
pub(crate) fn may_have_copied(totals: &Totals, claim: &Claim) -> u64 {
    copied(totals, claim).saturating_add(totals.unexplained)
}
