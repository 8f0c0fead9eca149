//! zctrace attached to something that runs already.

use std::{
    io::{BufRead as _, BufReader},
    os::fd::AsRawFd as _,
    process::{Child, Command, Output, Stdio},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::zctrace;

/// A command of zctrace that has attached everything.
#[derive(Debug)]
pub(crate) struct Attached(Child);

impl Attached {
    /// Starts it and waits until every probe is attached.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        super::shared::end();
        let (ready, tell) = std::io::pipe().expect("a pipe");
        fcntl(&tell, FcntlArg::F_SETFD(FdFlag::empty())).expect("its flags");
        let fd = tell.as_raw_fd().to_string();
        let child = Command::new(zctrace())
            .args(arguments)
            .args(["--ready-fd", &fd])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        drop(tell);
        let mut line = String::new();
        BufReader::new(ready)
            .read_line(&mut line)
            .expect("a pipe that can be read");
        if line != "ready\n" {
            let output = child.wait_with_output().expect("a child");
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        Self(child)
    }

    /// Judges what those read who hold a port: at most one copy of each byte, concluded or not.
    pub(crate) fn check_of_port(port: u16, options: &[&str]) -> Self {
        let port = port.to_string();
        let mut arguments = vec!["check", "--json", "--accept-inferred", "--path", "read"];
        arguments.extend(["--max-copies-per-byte", "1", "--port", &port]);
        arguments.extend(options);
        Self::start(&arguments)
    }

    /// Ends it as ctrl-c does, and returns what it said.
    pub(crate) fn interrupt(self) -> Output {
        kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT).expect("it runs");
        self.finish()
    }

    /// Waits until it ends by itself, and returns what it said.
    pub(crate) fn finish(self) -> Output {
        self.0.wait_with_output().expect("a child")
    }
}
