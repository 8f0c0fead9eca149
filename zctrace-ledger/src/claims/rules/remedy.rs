//! Remedies that depend on what was asked for or on where the bytes went. A remedy that was already tried, or that is
//! impossible there, helps nobody.

use super::{
    LEFT_TO_SERVER, Matter, NOTIFIED, PROBES_MISSING, Role, Rule, direct, number, relay, send,
};
use crate::{
    catalog,
    claims::{Claim, operations::matches, portion::Row},
    ledger::{End, Object, Path, refusals},
};

/// The remedy for what `rule` saw.
pub(super) fn of(rule: &Rule, matter: Matter<'_>, row: Option<&Row<'_>>) -> String {
    let claim = matter.claim;
    let object = row.map(|row| &row.path.object);
    let text = match rule.code {
        NOTIFIED if matter.snapshot.backend == "functions" => {
            "none here: functions are traced, but not the one that copied; `zctrace doctor` lists what is missing"
        }
        PROBES_MISSING if claim.path.is_some() => "`zctrace doctor` says how to get them",
        code if code == number::INFERRED.code && claim.accept_inferred => {
            "use a kernel on which functions can be traced (`zctrace doctor`)"
        }
        code if code == number::DILUTED.code && claim.path.is_some() => {
            "judge rows, not totals, as zctrace does here"
        }
        code if code == number::COPIES_WITHOUT_MOVES.code && claim.path.is_some() => {
            "the row shows what was copied"
        }
        code if code == number::UNEXPLAINED.code => unexplained(matter, row),
        code if code == number::EXPECTATION_UNCLEAR.code && names_every_place(claim) => {
            "name an operation of one direction, or the process that is meant (-p, --comm)"
        }
        code if code == number::REFUSED.code => return refused(matter, row),
        code if code == number::TOO_FEW_BYTES.code => return too_few(matter),
        code if code == number::ABOVE_LIMIT.code => match row {
            Some(row) => {
                if let Some(remedy) = relay::remedy(matter, row) {
                    return remedy;
                }
                return format!(
                    "`zctrace explain {}` names an operation that copies less",
                    row.path.op
                );
            }
            None => rule.remedy,
        },
        send::FLAG_IGNORED => zero_copy_send(object, rule.remedy),
        direct::FELL_BACK => direct_io(object),
        _ => rule.remedy,
    };
    text.to_owned()
}

/// The remedies for the errors that were seen, each once. Where an errno has none of its own, the operation's text
/// says what it needs.
fn refused(matter: Matter<'_>, row: Option<&Row<'_>>) -> String {
    let all = matter
        .snapshot
        .processes
        .iter()
        .flat_map(|process| &process.paths);
    let claim = matter.claim;
    let is_about = |op: &str| match claim.path.as_deref() {
        Some(name) => matches(name, op),
        None => claim.expect.is_empty() || claim.expect.iter().any(|expect| expect.is_about(op)),
    };
    let judged = |path: &&Path| match row {
        Some(row) => std::ptr::eq(*path, row.path),
        None => is_about(path.op.as_str()),
    };
    let (mut helps, mut texts): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let add = |list: &mut Vec<String>, text: String| {
        if !list.contains(&text) {
            list.push(text);
        }
    };
    for path in all.filter(judged).filter(|path| path.totals.errors > 0) {
        add(&mut texts, format!("`zctrace explain {}`", path.op));
        for (errno, _) in path.errnos.by_count() {
            let Some(op) = path.op.known() else {
                continue;
            };
            for refusal in refusals::of(op, &path.object, errno) {
                add(&mut helps, format!("{errno}: {}", refusal.helps));
            }
        }
    }
    if helps.is_empty() {
        format!("see what the call needs: {}", texts.join(", "))
    } else {
        helps.join("; ")
    }
}

fn names_every_place(claim: &Claim) -> bool {
    claim.expect.iter().all(|expect| expect.place.is_some())
}

fn too_few(matter: Matter<'_>) -> String {
    let claim = matter.claim;
    let target = match &claim.path {
        None => "name the target and --path that move the bytes".to_owned(),
        Some(path) => format!("name the target that moves bytes by {path}"),
    };
    let least = if claim.min_bytes > 1 {
        ", or lower --min-bytes"
    } else {
        ""
    };
    format!("measure longer or under load, {target}{least}")
}

fn unexplained(matter: Matter<'_>, row: Option<&Row<'_>>) -> &'static str {
    let server =
        super::find(LEFT_TO_SERVER).filter(|_| row.is_some_and(|row| row.path.is_left_to_server()));
    if let Some(rule) = server {
        return rule.remedy;
    }
    let coverage = &matter.snapshot.coverage;
    let is_missing = coverage.refused.iter().any(|refused| {
        let role = catalog::find(&refused.probe).map(|probe| probe.role);
        !refused.absent && matches!(role, Some(Role::CopySite | Role::NoCopySite))
    });
    if is_missing {
        number::UNEXPLAINED.remedy
    } else {
        "none here: no probe of these bytes is missing, but zctrace does not follow this path yet; --path judges the \
            other operations without it"
    }
}

/// The kinds of sockets that have zero-copy sends.
fn zero_copy_send(object: Option<&Object>, usual: &'static str) -> &'static str {
    if object.is_some_and(|object| object.ends()[0] == End::Unix) {
        "unix sockets have no zero-copy send, and setsockopt(SO_ZEROCOPY) fails on them: share memory, or pass pages \
            with vmsplice and splice"
    } else {
        usual
    }
}

/// What each filesystem requires for `O_DIRECT`.
fn direct_io(object: Option<&Object>) -> &'static str {
    let is_on = |names: &[&str]| {
        let is_one = |end: End<'_>| matches!(end, End::File(name) if names.contains(&name));
        object.is_some_and(|object| object.has(is_one))
    };
    if is_on(&["btrfs"]) {
        "use chattr +C on the empty file, which gives up its checksums and compression, and align offsets and lengths"
    } else if is_on(&["vfat", "msdos", "exfat"]) {
        "write the file to its full size once and then rewrite it in place: a direct write that \
         extends a file goes through the page cache here"
    } else if is_on(&["ext4", "ext3", "ext2"]) {
        "mount without data=journal, align offsets and lengths, and leave no holes in a file that is not made of \
            extents"
    } else {
        "align offsets and lengths as the filesystem and its device require"
    }
}
