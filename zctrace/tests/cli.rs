//! The command line as a user types it. Nothing here needs privileges or attaches a probe.

use std::{
    fs,
    io::Read as _,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn zctrace(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zctrace"))
        .args(arguments)
        // Help is wrapped to the terminal, or this.
        .env("COLUMNS", "100")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Checks an error: its code, that nothing else was printed, and that it has a cause and a remedy.
fn error(arguments: &[&str], code: i32) -> String {
    let output = zctrace(arguments);
    let stderr = text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert_eq!(text(&output.stdout), "", "{arguments:?}");
    assert!(stderr.starts_with("error: "), "{arguments:?}: {stderr}");
    stderr
}

/// An error of zctrace's own: exactly two lines.
fn two_lines(arguments: &[&str], code: i32) -> String {
    let stderr = error(arguments, code);
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(lines[1].starts_with(" help: "), "{stderr}");
    stderr
}

fn recording(name: &str) -> String {
    format!("{}/tests/recordings/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_recording_is_read_in_every_form() {
    let file = recording("sound-version-1");
    let json = |arguments: &[&str]| -> Value {
        let output = zctrace(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let report = json(&["report", &file, "--json"]);
    assert_eq!(report["schema"], "zctrace.report/1");
    // One ledger, whoever prints it.
    assert_eq!(json(&["stat", "--from", &file, "--json"]), report["stat"]);
    let sum: u64 = report["intervals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|interval| interval["total"]["moved"].as_u64().unwrap())
        .sum();
    assert_eq!(Some(sum), report["stat"]["total"]["moved"].as_u64());
    let folded = zctrace(&["report", &file, "--folded"]);
    assert!(text(&folded.stdout).starts_with("cat;main;read0_[k];[copied_to_user] 4096\n"));
    // Compressed by gzip, as pprof expects it. What is in it is tested where it is made.
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("copied.pb.gz");
    let made = zctrace(&["report", &file, "--pprof", profile.to_str().unwrap()]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    assert!(fs::read(profile).unwrap().starts_with(&[0x1f, 0x8b]));
    let comparison = json(&["report", &file, &file, "--json"]);
    assert_eq!(comparison["before"], comparison["after"]);
    assert!(comparison.get("judged").is_none());
    let rows = report["stat"]["processes"][0]["paths"].as_array().unwrap();
    for row in rows {
        let change = comparison["changes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|change| change["op"] == row["op"] && change["object"] == row["object"]);
        assert_eq!(change.unwrap()["before"]["moved"], row["moved"]);
    }
    // This one has operations that were open at its end.
    let judged = zctrace(&["report", &file, &file, "--json", "--max-increase", "5%"]);
    assert_eq!(judged.status.code(), Some(3), "{}", text(&judged.stderr));
    let judged: Value = serde_json::from_slice(&judged.stdout).unwrap();
    assert_eq!(judged["judged"]["verdict"], "inconclusive");
    assert_eq!(judged["judged"]["measures"][0]["outcome"], "holds");
}

#[test]
fn options_of_a_comparison_need_two_recordings() {
    let file = recording("sound-version-1");
    for options in [
        &["--max-increase", "5%"][..],
        &["--markdown"],
        &["--accept-inferred"],
    ] {
        let arguments = [&["report", file.as_str()][..], options].concat();
        assert_eq!(zctrace(&arguments).status.code(), Some(2), "{options:?}");
    }
    let output = zctrace(&["report", &file, &file, "--max-increase", "5"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("write 5%"));
}

#[test]
fn a_damaged_recording_says_so_and_shows_the_rest() {
    let output = zctrace(&["report", &recording("damaged-flipped")]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("wrong checksum"));
    assert!(text(&output.stdout).contains("nginx"));
}

#[test]
fn a_warning_that_cannot_be_written_changes_nothing() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_zctrace"))
        .args(["report", &recording("damaged-flipped")])
        .stderr(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("nginx"));
}

#[test]
fn a_verdict_comes_from_whole_recordings_only() {
    let check = |name: &str| {
        let from = recording(name);
        zctrace(&[
            "check",
            "--json",
            "--max-copies-per-byte",
            "0.5",
            "--from",
            &from,
        ])
    };
    let output = check("sound-version-1");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["verdict"], "fail");
    assert_eq!(check("damaged-flipped").status.code(), Some(3));
}

#[test]
fn a_recording_takes_no_options_of_a_measurement() {
    let file = recording("sound-version-1");
    let check = ["check", "--max-copies-per-byte", "1", "--from", &file];
    let stat = ["stat", "--from", &file];
    let refused = |command: &[&str], option: &[&str]| {
        let stderr = error(&[command, option].concat(), 2);
        assert!(stderr.contains("cannot be used with"), "{stderr}");
    };
    for option in [
        ["--without-probe", "x"].as_slice(),
        &["--no-follow"],
        &["--duration", "1s"],
        &["-p", "1"],
    ] {
        refused(&check, option);
        refused(&stat, option);
    }
    for option in [
        ["--no-faults"].as_slice(),
        &["--own-cost"],
        &["--by", "file"],
    ] {
        refused(&stat, option);
    }
}

#[test]
fn one_file_is_not_written_over_another() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("a.zct");
    fs::copy(recording("sound-version-1"), &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    let file = copy.to_str().unwrap();
    let other = format!("{}/./a.zct", directory.path().display());
    let new = format!("{}/new", directory.path().display());
    let claim = ["check", "--max-copies-per-byte", "1"];
    for arguments in [
        &["stat", "--from", file, "-o", &other][..],
        &["report", file, "--html", &other],
        &[&claim[..], &["--from", file, "-o", &other]].concat(),
        &[&claim[..], &["--from", file, "-o", &new, "--junit", &new]].concat(),
    ] {
        let stderr = two_lines(arguments, 2);
        assert!(stderr.contains("name the same file"), "{stderr}");
    }
    assert!(fs::read(&copy).unwrap() == before);
    let null = zctrace(
        &[
            &claim[..],
            &["--from", file, "-o", "/dev/null", "--junit", "/dev/null"],
        ]
        .concat(),
    );
    assert_ne!(null.status.code(), Some(2), "{}", text(&null.stderr));
}

#[test]
fn the_list_of_workloads_goes_to_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("list");
    let output = zctrace(&["bench", "--list", "-o", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "");
    assert!(fs::read_to_string(&file).unwrap().contains("sendfile"));
}

#[test]
fn what_is_no_recording_is_refused_in_two_lines() {
    for (name, part) in [
        ("refused-later-than-version-2", "versions up to 2"),
        ("refused-text", "not a recording"),
        ("refused-only-magic", "damaged"),
        ("none", "No such file"),
    ] {
        let stderr = two_lines(&["report", &recording(name)], 2);
        assert!(stderr.contains(part), "{stderr}");
        two_lines(&["stat", "--from", &recording(name)], 2);
        let check = [
            "check",
            "--max-copies-per-byte",
            "1",
            "--from",
            &recording(name),
        ];
        two_lines(&check, 2);
    }
}

#[test]
fn a_password_in_a_wrong_url_is_not_repeated() {
    for url in ["https://me:secret@collector:4318", "me:secret@collector"] {
        let stderr = two_lines(&["serve", "--otlp", url], 2);
        assert!(stderr.contains("--otlp"), "{stderr}");
        assert!(!stderr.contains("secret"), "{stderr}");
    }
}

#[test]
fn tls_needs_a_certificate_and_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certificate = file("certificate", made.cert.pem());
    let key = file("key", rcgen::KeyPair::generate().unwrap().serialize_pem());
    for (certificate, key) in [
        (&certificate, &key),
        (&key, &key),
        (&certificate, &"/none".into()),
    ] {
        two_lines(&["serve", "--tls-cert", certificate, "--tls-key", key], 2);
    }
    let stderr = error(&["serve", "--tls-cert", &certificate], 2);
    assert!(stderr.contains("--tls-key <FILE>"), "{stderr}");
}

#[test]
fn help_texts() {
    for arguments in [
        vec!["--help"],
        vec!["-h"],
        vec!["stat", "--help"],
        vec!["check", "--help"],
        vec!["test", "--help"],
        vec!["bench", "--help"],
        vec!["record", "--help"],
        vec!["report", "--help"],
        vec!["serve", "--help"],
        vec!["top", "--help"],
        vec!["advise", "--help"],
        vec!["doctor", "--help"],
        vec!["explain", "--help"],
    ] {
        let output = zctrace(&arguments);
        assert_eq!(output.status.code(), Some(0));
        let name = arguments.join("_").replace('-', "");
        insta::assert_snapshot!(name, text(&output.stdout));
    }
}

#[test]
fn no_command_is_a_usage_error_with_help() {
    let output = zctrace(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Usage: zctrace"));
    assert!(text(&output.stdout).is_empty());
}

#[test]
fn the_version_is_printed() {
    let output = zctrace(&["--version"]);
    let expected = format!("zctrace {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn usage_errors() {
    for arguments in [
        vec!["frobnicate"],
        vec!["stat", "--frobnicate"],
        vec!["stat", "-p", "0"],
        vec!["stat", "-p", "-1"],
        vec!["stat", "-p", "abc"],
        vec!["stat", "-p", ""],
        vec!["stat", "--port", "0"],
        vec!["stat", "--port", "65536"],
        vec!["stat", "--by", "colour"],
        vec!["stat", "--json", "--csv"],
        vec!["stat", "--comm", ""],
        vec!["stat", "--ready-fd", "-1"],
        vec!["stat", "--ready-fd", "987"],
        vec!["explain"],
        vec!["explain", "--list", "spliced"],
    ] {
        let output = zctrace(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stdout).is_empty(), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn contradictory_targets() {
    let targets: [&[&str]; 5] = [
        &["-p", "1"],
        &["--comm", "x"],
        &["--cgroup", "/"],
        &["--port", "80"],
        &["--", "true"],
    ];
    for (index, first) in targets.iter().enumerate() {
        for second in &targets[index + 1..] {
            let arguments = [&["stat"], *first, *second].concat();
            let stderr = error(&arguments, 2);
            assert!(stderr.contains("cannot be used with"), "{stderr}");
        }
    }
}

#[test]
fn bad_durations_say_what_is_wrong() {
    for (duration, part) in [
        ("10", "write 10s for seconds"),
        ("0s", "more than zero"),
        ("-5s", "positive"),
        ("soon", "as in 10s"),
        ("1000000h", "ten years"),
    ] {
        for option in ["--duration", "--interval"] {
            let stderr = error(&["stat", option, duration], 2);
            assert!(stderr.contains(part), "{option} {duration}: {stderr}");
        }
    }
    assert!(error(&["stat", "--interval", "1ms"], 2).contains("10ms"));
}

#[test]
fn a_command_without_dashes_is_understood() {
    let stderr = error(&["stat", "cat", "file"], 2);
    assert!(stderr.contains("put -- before it: -- cat"), "{stderr}");
}

#[test]
fn commands_that_cannot_run() {
    assert!(two_lines(&["stat", "--", "no-such-command-here"], 127).contains("not found"));
    assert!(two_lines(&["stat", "--", "1234567"], 127).contains("-p 1234567"));
    assert!(two_lines(&["stat", "--", "/no/such/path"], 127).contains("not found"));
    assert!(two_lines(&["stat", "--", "/etc/passwd"], 126).contains("Permission denied"));
}

#[test]
fn targets_that_are_not_there() {
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let stderr = two_lines(&["stat", "-p", &gone.id().to_string()], 3);
    assert!(stderr.contains("no process"), "{stderr}");
    two_lines(&["stat", "--cgroup", "no/such/cgroup"], 3);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let stderr = two_lines(&["stat", "--port", &port.to_string()], 3);
    assert!(stderr.contains("listens"), "{stderr}");
}

#[test]
fn a_report_that_cannot_be_written_is_known_before_the_trace() {
    let path = "/no/such/directory/report.json";
    let stderr = two_lines(&["stat", "-o", path, "--", "no-such-command-here"], 3);
    assert!(stderr.contains(path), "{stderr}");
}

#[test]
fn explanations() {
    let output = zctrace(&["explain", "deferred"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("deferred (beside the classes"));
    let list = zctrace(&["explain", "--list"]);
    for name in ["spliced", "copies_per_byte", "sendfile", "file:<fs>"] {
        assert!(text(&list.stdout).contains(name));
    }
    let stderr = two_lines(&["explain", "sendfiel"], 2);
    assert!(stderr.contains("did you mean sendfile"), "{stderr}");
    assert!(two_lines(&["explain", "qqqq"], 2).contains("--list"));
}

#[test]
fn a_reader_that_leaves_is_no_error_message() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = Command::new(env!("CARGO_BIN_EXE_zctrace"))
        .args(["explain", "--list"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().unwrap();
    pipe.read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(141));
    assert_eq!(stderr, "");
}

#[test]
fn a_full_disk_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_zctrace"))
        .args(["explain", "--list"])
        .stdout(
            fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap(),
        )
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("No space left on device"));
}

#[test]
fn doctor_says_the_same_in_every_way() {
    let output = zctrace(&["doctor", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], "zctrace.doctor/1");
    let can_measure = document["can_measure"].as_bool().unwrap();
    let code = if can_measure { 0 } else { 3 };
    assert_eq!(output.status.code(), Some(code));
    assert_eq!(document["cause"].is_null(), can_measure);
    let output = zctrace(&["doctor"]);
    assert_eq!(output.status.code(), Some(code));
    let verdict = if can_measure {
        "zctrace can measure here"
    } else {
        "Nothing can be measured here"
    };
    assert!(text(&output.stdout).contains(verdict));
    assert!(!text(&output.stdout).contains('\u{1b}'), "colour in a pipe");
}

#[test]
fn without_privileges_the_remedy_can_be_typed() {
    // As nobody, where that can be done; otherwise as whoever runs the tests.
    let is_root = nix::unistd::geteuid().is_root();
    let directory = tempfile::tempdir().unwrap();
    let mut command = if is_root {
        // The build directory may be closed to nobody.
        let copy = directory.path().join("zctrace");
        fs::copy(env!("CARGO_BIN_EXE_zctrace"), &copy).unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(directory.path(), open).unwrap();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--clear-groups", "--inh-caps=-all"]);
        command.arg(copy);
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_zctrace"))
    };
    let output = command
        .args(["stat", "--duration", "10ms"])
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: no setpriv");
        return;
    };
    if output.status.success() {
        eprintln!("skipped: these tests run with the capabilities that zctrace needs");
        return;
    }
    assert_eq!(output.status.code(), Some(3));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("missing"), "{stderr}");
    assert!(
        stderr.contains("sudo setcap cap_bpf,cap_perfmon"),
        "{stderr}"
    );
    assert!(stderr.trim_end().ends_with("/zctrace"), "{stderr}");
}

/// A claim that nothing can be compared with is refused before anything is attached or run.
#[test]
fn claims_that_make_no_sense_are_usage_errors() {
    fn check<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
        [&["check"], arguments, &["--", "false"]].concat()
    }
    for (arguments, part) in [
        (&[][..], "no limit is set"),
        (
            &["--max-copies-per-byte", "1", "--path", "sendfil"],
            "no operation is called \"sendfil\"",
        ),
        (
            &["--max-copies-per-sent-byte", "1", "--path", "recv"],
            "recv never moves bytes for which copies per sent byte can be computed",
        ),
        (
            &["--policy", "/no/such/policy.toml"],
            "cannot read the policy /no/such/policy.toml: No such file or directory",
        ),
    ] {
        let stderr = two_lines(&check(arguments), 2);
        assert!(stderr.contains(part), "{stderr}");
    }
    for (arguments, part) in [
        (&["--max-copies-per-byte", "nan"][..], "a finite number"),
        (&["--max-copies-per-byte", "inf"], "a finite number"),
        (&["--max-copies-per-byte", "-1"], "negative"),
        (&["--max-copies-per-byte=-0.5"], "negative"),
        (&["--max-copies-per-byte", "some"], "0.02"),
        (
            &["--max-copies-per-byte", "1", "--max-copies-per-byte", "2"],
            "cannot be used multiple times",
        ),
        (
            &["--max-copies-per-byte", "1", "--min-bytes", "0"],
            "more than zero",
        ),
        (
            &["--max-copies-per-byte", "1", "--policy", "x.toml"],
            "cannot be used with",
        ),
        (
            &["--max-copies-per-byte", "1", "--duration", "10"],
            "a unit is missing",
        ),
    ] {
        let stderr = error(&check(arguments), 2);
        assert!(stderr.contains(part), "{stderr}");
    }
    let stderr = two_lines(
        &[
            "check",
            "--max-copies-per-byte",
            "1",
            "--ignore-command-status",
        ],
        2,
    );
    assert!(stderr.contains("needs a command"), "{stderr}");
}

#[test]
fn a_policy_with_a_mistake_is_a_usage_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    let path = file.to_str().unwrap();
    for (policy, part) in [
        ("", "it contains no claim"),
        (
            "[[claim]]\nname = 'a'\nmax-copies-per-byte = 1\ncolour = 'red'",
            "line 4: unknown field `colour`",
        ),
        (
            "[[claim]]\nname = 'a'\nmax-copies-per-byte = nan",
            "NaN copies per byte is not a limit",
        ),
        ("[[claim]]\nname = 'a'", "no limit is set"),
    ] {
        fs::write(&file, policy).unwrap();
        let stderr = two_lines(&["check", "--policy", path, "--", "false"], 2);
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[test]
fn a_policy_is_printed_without_a_limit_and_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("policy.toml");
    for (options, expected) in [
        (&[][..], "max-copies-per-byte = 0.02"),
        (&["--path", "sendfile"], "max-copies-per-byte = 0.02"),
        (
            &["--max-copies-per-sent-byte", "1"],
            "max-copies-per-sent-byte = 1.0",
        ),
        (
            &["--expect", "sendfile>=0.95"],
            "expect = [\"sendfile>=0.95\"]",
        ),
    ] {
        let printed = zctrace(&[&["check", "--print-policy"][..], options].concat());
        assert_eq!(printed.status.code(), Some(0), "{}", text(&printed.stderr));
        let policy = text(&printed.stdout);
        assert!(policy.contains(expected), "{policy}");
        // Only what was asked for is claimed.
        assert_eq!(
            policy.contains("max-copies-per-byte"),
            expected.contains("per-byte")
        );
        fs::write(&file, policy).unwrap();
        let again = zctrace(&[
            "check",
            "--print-policy",
            "--policy",
            file.to_str().unwrap(),
        ]);
        assert_eq!(text(&again.stdout), policy);
    }
}

#[test]
fn every_reason_is_explained() {
    for rule in zctrace::claims::rules::all() {
        let output = zctrace(&["explain", rule.code]);
        assert_eq!(output.status.code(), Some(0), "{}", rule.code);
        let stdout = text(&output.stdout);
        assert!(stdout.starts_with(rule.code), "{stdout}");
        assert!(stdout.contains("Remedy: "), "{stdout}");
    }
}

/// Starts a replay in a terminal of its own, on its standard streams; returns the terminal's other end
/// once something was drawn.
fn replay_in_a_terminal() -> (std::process::Child, fs::File) {
    use std::os::unix::process::CommandExt as _;
    let size = nix::pty::Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = nix::pty::openpty(&size, None).unwrap();
    // Inherited, it would outlive its end here.
    let close = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC);
    nix::fcntl::fcntl(&pty.master, close).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zctrace"));
    command
        .args(["top", "--replay", &recording("sound-version-2")])
        .env("TERM", "xterm")
        .stdin(pty.slave.try_clone().unwrap())
        .stdout(pty.slave.try_clone().unwrap())
        .stderr(pty.slave);
    // SAFETY: both are system calls, which may be made between fork and exec.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            match libc::ioctl(0, libc::TIOCSCTTY, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let child = command.spawn().unwrap();
    // It holds copies of the terminal, which would keep it alive.
    drop(command);
    let mut master = fs::File::from(pty.master);
    let mut seen = Vec::new();
    let mut some = [0; 4096];
    // The alternate screen, and something on it.
    let drawn = |seen: &[u8]| {
        let text = String::from_utf8_lossy(seen);
        text.split_once("\x1b[?1049h")
            .is_some_and(|(_, screen)| screen.len() > 200)
    };
    while !drawn(&seen) {
        let count = master.read(&mut some).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&some[..count]);
    }
    (child, master)
}

#[test]
fn a_terminal_that_dies_is_a_hangup_and_no_panic() {
    for _ in 0..5 {
        let (mut child, master) = replay_in_a_terminal();
        drop(master);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(129), "{status}");
    }
}

#[test]
fn policies_and_settings_are_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pipe = pipe.to_str().unwrap();
    let refused = two_lines(&["check", "--policy", pipe, "--", "true"], 2);
    assert!(refused.contains("not a regular file"), "{refused}");
    let replay = recording("sound-version-2");
    let refused = two_lines(&["top", "--config", pipe, "--replay", &replay], 2);
    assert!(refused.contains("not a regular file"), "{refused}");
}

#[test]
fn a_report_gets_the_mode_that_is_asked_for() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let file = recording("sound-version-2");
    for (options, mode) in [(&[][..], 0o600), (&["--file-mode", "644"][..], 0o644)] {
        let path = directory.path().join(mode.to_string());
        let path = path.to_str().unwrap();
        let arguments = [&["report", &file, "--json", "-o", path], options].concat();
        let output = zctrace(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let found = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(found & 0o7777, mode);
    }
}
