//! A process that gets another name, and another cgroup, while it is traced with the whole machine.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
};

use zctrace::ledger::Snapshot;

use crate::common::attached::Attached;

/// A cgroup of its own, where cgroups of version 2 are mounted.
fn cgroup(name: &str) -> Option<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    let mount = mountinfo
        .lines()
        .find(|line| line.contains(" - cgroup2 "))
        .and_then(|line| line.split(' ').nth(4));
    let Some(mount) = mount else {
        println!("SKIP: cgroup v2 is not mounted: only names are tried");
        return None;
    };
    let cgroup = PathBuf::from(mount).join(name);
    fs::create_dir(&cgroup).expect("a cgroup");
    Some(cgroup)
}

#[test]
#[ignore = "needs root and BPF"]
fn a_process_has_its_last_name_and_cgroup() {
    let name = format!("zct-test-{}", std::process::id());
    let cgroup = cgroup(&name);
    let stat = Attached::start(&["stat", "--json"]);
    let mut child = Command::new("/bin/sh")
        .args([
            "-c",
            "echo first; read a; printf zct-renamed > /proc/$$/comm; echo second; read b; echo third; read c",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let pid = child.id();
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut said = || {
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        line
    };
    assert_eq!(said(), "first\n");
    input.write_all(b"\n").expect("it reads");
    assert_eq!(said(), "second\n");
    if let Some(cgroup) = &cgroup {
        fs::write(cgroup.join("cgroup.procs"), pid.to_string()).expect("it moves");
    }
    input.write_all(b"\n").expect("it reads");
    assert_eq!(said(), "third\n");
    let result = stat.interrupt();
    drop(input);
    child.wait().expect("a child");
    let snapshot: Snapshot = serde_json::from_slice(&result.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&result.stderr)));
    let process = snapshot
        .processes
        .iter()
        .find(|process| process.pid == pid)
        .expect("the shell");
    assert_eq!(process.comm, "zct-renamed");
    let written = process.paths.iter().filter(|path| path.op == "write");
    let written: u64 = written.map(|path| path.totals.moved).sum();
    let text = "first\nsecond\nthird\n".len() + "zct-renamed".len();
    assert_eq!(written, text as u64, "{process:#?}");
    if let Some(cgroup) = cgroup {
        fs::remove_dir(cgroup).expect("an empty cgroup");
        assert_eq!(process.cgroup, format!("/{name}"));
    }
}
