//! What zctrace says where the kernel, or a sandbox, refuses it everything.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, Output},
};

use crate::common::zctrace;

/// The two lines of an error: cause and remedy.
fn two_lines(output: &Output) -> (String, String) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut lines = stderr.lines().map(str::to_owned);
    let cause = lines.next().unwrap_or_default();
    let remedy = lines.next().unwrap_or_default();
    assert_eq!(lines.next(), None, "{stderr}");
    assert!(cause.starts_with("error: "), "{stderr}");
    assert!(remedy.starts_with(" help: "), "{stderr}");
    (cause, remedy)
}

/// `stat -- touch FILE` must not run the command that it cannot trace.
fn refused(mut command: Command) -> (String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("ran");
    let output = command.arg(&file).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(output.stdout.is_empty());
    assert!(!file.exists(), "the command ran untraced");
    two_lines(&output)
}

#[test]
#[ignore = "needs root and BPF"]
fn without_type_information_the_kernel_cannot_be_read() {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs none /sys/kernel/btf && exec \"$@\"")
        .arg("sh")
        .arg(zctrace())
        .args(["stat", "--", "touch"]);
    let (cause, remedy) = refused(command);
    assert!(cause.contains("type information"), "{cause}");
    assert!(remedy.contains("CONFIG_DEBUG_INFO_BTF"), "{remedy}");
}

/// Makes `bpf` fail with `EPERM` in this process and what it executes, as a container runtime's
/// profile does.
fn refuse_bpf() -> std::io::Result<()> {
    let load_number = libc::sock_filter {
        code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let is_bpf = libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k: libc::SYS_bpf as u32,
    };
    let answer = |k| libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let mut filter = [
        load_number,
        is_bpf,
        answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: `program` describes `filter`, and both live until the call is over.
    let done = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ) == 0
    };
    if done {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

#[test]
#[ignore = "needs root and BPF"]
fn where_bpf_is_refused_altogether_the_cause_is_named() {
    let mut command = Command::new(zctrace());
    command.args(["stat", "--", "touch"]);
    // SAFETY: only system calls, on memory of this function's own.
    unsafe { command.pre_exec(refuse_bpf) };
    let (cause, _) = refused(command);
    assert!(cause.contains("not permitted"), "{cause}");

    let mut doctor = Command::new(zctrace());
    doctor.args(["doctor", "--json"]);
    // SAFETY: as above.
    unsafe { doctor.pre_exec(refuse_bpf) };
    let output = doctor.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(3));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(document["can_measure"], false);
    assert!(document["cause"].is_string(), "{document:#}");
}
