//! `zctrace top` in a pseudo-terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result};
use nix::pty::{Winsize, openpty};

/// One that runs, in a terminal of 200x50.
pub(crate) struct Top {
    pub(crate) child: Child,
    keys: File,
}

impl Top {
    pub(crate) fn start(zctrace: &Path, arguments: &[&str], stderr: Stdio) -> Result<Self> {
        let size = Winsize {
            ws_row: 50,
            ws_col: 200,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).context("a pseudo-terminal")?;
        let slave: OwnedFd = pty.slave;
        let child = Command::new(zctrace)
            .arg("top")
            .args(arguments)
            .env("TERM", "xterm-256color")
            .stdin(slave.try_clone()?)
            .stdout(slave)
            .stderr(stderr)
            .spawn()
            .context("running zctrace")?;
        let keys = File::from(pty.master);
        let mut screen = keys.try_clone()?;
        // A terminal reads what is written to it.
        thread::spawn(move || {
            let mut bytes = [0; 65536];
            while matches!(screen.read(&mut bytes), Ok(1..)) {}
        });
        Ok(Self { child, keys })
    }

    pub(crate) fn press(&mut self, keys: &str) -> Result<()> {
        self.keys.write_all(keys.as_bytes()).context("a key")
    }
}
