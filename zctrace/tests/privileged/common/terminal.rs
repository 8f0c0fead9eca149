//! The dashboard in a real pseudo-terminal.

use std::{
    fs,
    io::{Read as _, Write as _},
    num::NonZero,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Nothing takes this long; only a broken dashboard makes a test wait for it.
const HANGS: Duration = Duration::from_secs(180);

fn cells(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("a size")
}

/// `zctrace top` with a person's view of it.
pub(crate) struct Top {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn std::io::Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    screen: Arc<Mutex<vt100::Parser>>,
    directory: PathBuf,
}

impl Top {
    pub(crate) fn start(arguments: &[&str], directory: &Path) -> Self {
        let size = PtySize {
            rows: 30,
            cols: 110,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system()
            .openpty(size)
            .expect("a pseudo-terminal");
        super::shared::end();
        let mut command = CommandBuilder::new(super::zctrace());
        command.arg("top");
        command.args(arguments);
        command.cwd(directory);
        command.env("TERM", "xterm-256color");
        command.env("XDG_CONFIG_HOME", directory);
        let child = pair.slave.spawn_command(command).expect("it starts");
        drop(pair.slave);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(30), cells(110), 0)));
        let (mut reader, shown) = (
            pair.master.try_clone_reader().expect("a reader"),
            screen.clone(),
        );
        thread::spawn(move || {
            let mut bytes = [0; 65536];
            while let Ok(length @ 1..) = reader.read(&mut bytes) {
                shown.lock().expect("no panic").process(&bytes[..length]);
            }
        });
        let keys = pair.master.take_writer().expect("a writer");
        Self {
            master: pair.master,
            keys,
            child,
            screen,
            directory: directory.to_owned(),
        }
    }

    pub(crate) fn text(&self) -> String {
        self.screen.lock().expect("no panic").screen().contents()
    }

    /// Waits until the screen is as it should be.
    pub(crate) fn until(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let text = self.text();
            if is(&text) {
                return text;
            }
            assert!(start.elapsed() < HANGS, "never: {what}\n{text}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn shows(&self, wanted: &str) -> String {
        self.until(wanted, |text| text.contains(wanted))
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it reads keys");
    }

    pub(crate) fn resize(&mut self, rows: u16, cols: u16) {
        self.screen
            .lock()
            .expect("no panic")
            .screen_mut()
            .set_size(cells(rows), cells(cols));
        self.master
            .resize(PtySize {
                rows,
                cols,
                pixel_width: 0,
                pixel_height: 0,
            })
            .expect("a size");
    }

    pub(crate) fn pid(&self) -> i32 {
        let pid = self.child.process_id().expect("a process");
        i32::try_from(pid).expect("a process id")
    }

    /// Waits for the end; the terminal must be as it was before.
    pub(crate) fn ends(mut self) -> u32 {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(start.elapsed() < HANGS, "it does not end\n{}", self.text());
            thread::sleep(Duration::from_millis(20));
        };
        self.until("the terminal is given back", |_| {
            let parser = self.screen.lock().expect("no panic");
            !parser.screen().alternate_screen() && !parser.screen().hide_cursor()
        });
        let modes = self.master.get_termios().expect("modes of the terminal");
        let cooked = nix::sys::termios::LocalFlags::ICANON | nix::sys::termios::LocalFlags::ECHO;
        assert!(
            modes.local_flags.bits() & cooked.bits() == cooked.bits(),
            "still raw"
        );
        status.exit_code()
    }

    /// Every row of the view and the totals: `e`, `j`, and what was written.
    pub(crate) fn exported(&mut self) -> serde_json::Value {
        // What was told of an earlier one is gone when this shows.
        self.press("e");
        self.shows("the rows as JSON");
        self.press("j");
        let text = self.shows("written: ");
        let name = text
            .split("written: ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .expect("a name");
        let written = fs::read(self.directory.join(name)).expect("the export");
        serde_json::from_slice(&written).expect("JSON")
    }
}

/// Any command of zctrace in a terminal that goes away while it runs.
pub(crate) struct Dying {
    master: fs::File,
    child: std::process::Child,
}

impl Dying {
    pub(crate) fn start(arguments: &[&str], directory: &Path) -> Self {
        use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
        super::shared::end();
        let size = nix::pty::Winsize {
            ws_row: 30,
            ws_col: 110,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = nix::pty::openpty(&size, None).expect("a pseudo-terminal");
        // Inherited, it would outlive its end here.
        fcntl(&pty.master, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("its flags");
        fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("its flags");
        let slave = || pty.slave.try_clone().expect("a descriptor");
        let mut command = Command::new(super::zctrace());
        command
            .args(arguments)
            .current_dir(directory)
            .env("TERM", "xterm-256color")
            .env("XDG_CONFIG_HOME", directory)
            .stdin(slave())
            .stdout(slave())
            .stderr(slave());
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
        let child = command.spawn().expect("it starts");
        Self {
            master: pty.master.into(),
            child,
        }
    }

    /// Reads what is drawn, until something is so.
    pub(crate) fn until(&mut self, what: &str, mut is: impl FnMut() -> bool) {
        let mut drawn = Vec::new();
        super::eventually(HANGS, what, || {
            let mut some = [0; 65536];
            if let Ok(count) = self.master.read(&mut some) {
                drawn.extend_from_slice(&some[..count]);
            }
            let end = self.child.try_wait().expect("a child");
            let drawn = String::from_utf8_lossy(&drawn);
            assert!(end.is_none(), "{what}: {end:?}: {drawn}");
            is()
        });
    }

    /// Takes the terminal away, and returns how the command ended.
    pub(crate) fn hang_up(mut self, what: &str) -> ExitStatus {
        drop(self.master);
        let mut end = None;
        super::eventually(HANGS, what, || {
            end = self.child.try_wait().expect("a child");
            end.is_some()
        });
        end.expect("it has ended")
    }
}
