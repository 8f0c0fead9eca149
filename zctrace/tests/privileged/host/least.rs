//! What zctrace keeps of root's capabilities while it traces, and what its command has.

use std::{collections::BTreeMap, fs, process::Command};

use zctrace::kernel::privileges::Keep;

use crate::common::{shared, zctrace};

/// Prints the status of every thread of zctrace, then its own.
const SCRIPT: &str =
    "for t in /proc/$PPID/task/*; do cat $t/status; done; echo ====; cat /proc/self/status";

type Status = BTreeMap<String, u64>;

/// The capabilities of a thread, and whether it can gain some.
fn statuses(text: &str) -> Vec<Status> {
    let mut all = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name == "Name" {
            all.push(Status::new());
        }
        if name.starts_with("Cap") || name == "NoNewPrivs" {
            let value = u64::from_str_radix(value.trim(), 16).expect("a number");
            all.last_mut().expect("a name").insert(name.into(), value);
        }
    }
    all
}

fn own() -> Status {
    statuses(&fs::read_to_string("/proc/self/status").unwrap()).remove(0)
}

fn mask(keep: Keep) -> u64 {
    keep.capabilities()
        .fold(0, |mask, one| mask | one.bitmask())
}

/// What each command keeps, and that its child is as it was started.
#[test]
#[ignore = "needs root and BPF"]
fn only_what_is_needed_is_kept() {
    shared::end();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rec").display().to_string();
    let own = own();
    for (arguments, keep) in [
        (&["stat"][..], Keep::Report),
        (&["check", "--max-copies-per-byte", "9"], Keep::Report),
        (&["top"], Keep::Report),
        (&["record", "-o", &file], Keep::Stacks),
        // With a thread of its own.
        (&["record", "--unwind", "-o", &file], Keep::Stacks),
    ] {
        let output = Command::new(zctrace())
            .args(arguments)
            .args(["--", "sh", "-c", SCRIPT])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let (theirs, child) = text.split_once("====").unwrap_or_else(|| panic!("{said}"));
        let threads = statuses(theirs);
        assert!(!threads.is_empty(), "{said}");
        for thread in threads {
            let kept = mask(keep) & own["CapPrm"];
            let of = |set: &str| (set.to_owned(), thread[set]);
            assert_eq!(of("CapEff"), ("CapEff".into(), kept), "{arguments:?}");
            assert_eq!(of("CapPrm"), ("CapPrm".into(), kept), "{arguments:?}");
            assert_eq!(of("CapBnd"), ("CapBnd".into(), mask(keep) & own["CapBnd"]));
            assert_eq!((thread["CapInh"], thread["CapAmb"]), (0, 0));
            assert_eq!(thread["NoNewPrivs"], 1, "{arguments:?}");
        }
        assert_eq!(statuses(child), std::slice::from_ref(&own), "{arguments:?}");
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn a_command_can_run_as_somebody_else() {
    shared::end();
    let stat = |user: &str, script: &str| {
        Command::new(zctrace())
            .args(["stat", "--json", "--user", user, "--", "sh", "-c", script])
            .output()
            .unwrap()
    };
    let output = stat(
        "nobody",
        "id -un; id -G; echo $HOME $USER; grep CapEff /proc/self/status",
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(lines.len(), 4, "{text}{said}");
    assert_eq!(lines[0], "nobody");
    assert_eq!(lines[1].split(' ').count(), 1, "{text}");
    assert!(lines[2].ends_with(" nobody"), "{text}");
    assert!(lines[3].ends_with("0000000000000000"), "{text}");
    // It is traced all the same.
    assert!(said.contains("\"comm\": \"id\""), "{said}");
    let refused = stat("no-such-user", "true");
    assert_eq!(refused.status.code(), Some(2));
    // A signal reaches it, which takes a capability.
    let ended = Command::new(zctrace())
        .args([
            "stat",
            "--user",
            "nobody",
            "--duration",
            "1s",
            "--",
            "sleep",
            "60",
        ])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(128 + 15), "{ended:?}");
}
