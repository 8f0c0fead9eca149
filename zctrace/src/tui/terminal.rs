//! The terminal: taken over at the start, given back whatever happens.

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Seek as _, Write as _},
    os::fd::OwnedFd,
    panic,
    sync::{
        Arc, Once,
        atomic::{AtomicI32, Ordering},
    },
};

use crossterm::{
    cursor::Show,
    execute,
    style::Print,
    terminal::{
        self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode,
    },
};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout};
use ratatui::{Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};

use super::{state::State, view};

/// Reports of buttons and the wheel, with coordinates of any size. Not of movements: each would wake the dashboard.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1006h";
/// The end of them, harmless where there are none.
const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1000l";

static HOOK: Once = Once::new();

/// Buffered: a frame is thousands of short sequences, and each would be a system call.
type Output = BufWriter<Lasting>;

/// A terminal that takes everything, even when it is gone. When ratatui's terminal is dropped, it prints
/// an error to standard error, which is gone as well, and that would be a panic. So errors are kept here
/// and asked for by [`Screen::draw`].
struct Lasting {
    file: File,
    /// The first error's number, 0 without one.
    failed: Arc<AtomicI32>,
}

impl io::Write for Lasting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let number = error.raw_os_error().unwrap_or(libc::EIO);
                let _ =
                    self.failed
                        .compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
                Ok(bytes.len())
            }
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The terminal while the dashboard has it. Dropping it gives it back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Output>>,
    own: File,
    failed: Arc<AtomicI32>,
    size: (u16, u16),
    aside: Option<Aside>,
}

/// The standard streams while a command, which inherits them, writes elsewhere.
struct Aside {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    written: File,
}

impl Screen {
    /// Takes the terminal over, and the mouse too if it is asked for; `aside` keeps what is written to the standard
    /// streams for later.
    pub(super) fn open(aside: bool, mouse: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                // The message is to be read.
                let _ = give_back(&mut io::stdout());
                before(info);
            }));
        });
        let own = File::from(duplicate(&io::stdout())?);
        let failed = Arc::default();
        let mut screen = Self {
            size: terminal::size()?,
            terminal: fixed(lasting(&own, &failed)?, terminal::size()?)?,
            own,
            failed,
            aside: None,
        };
        enable_raw_mode()?;
        execute!(screen.terminal.backend_mut(), EnterAlternateScreen)?;
        if mouse {
            execute!(screen.terminal.backend_mut(), Print(MOUSE_ON))?;
        }
        screen.written()?;
        if aside {
            let kept = Aside {
                stdin: duplicate(&io::stdin())?,
                stdout: duplicate(&io::stdout())?,
                stderr: duplicate(&io::stderr())?,
                written: tempfile::tempfile()?,
            };
            dup2_stdin(File::open("/dev/null")?)?;
            dup2_stdout(&kept.written)?;
            dup2_stderr(&kept.written)?;
            screen.aside = Some(kept);
        }
        Ok(screen)
    }

    /// Its width and height.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        terminal::size()
    }

    /// Shows the state.
    pub(super) fn draw(&mut self, state: &State) -> io::Result<()> {
        if state.size != self.size {
            self.size = state.size;
            self.terminal = fixed(lasting(&self.own, &self.failed)?, self.size)?;
            execute!(self.terminal.backend_mut(), Clear(ClearType::All))?;
        }
        self.terminal.draw(|frame| {
            let area = frame.area();
            view::draw(state, area, frame.buffer_mut());
        })?;
        self.written()
    }

    /// Whether the terminal has taken everything so far.
    fn written(&self) -> io::Result<()> {
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            number => Err(io::Error::from_raw_os_error(number)),
        }
    }
}

fn lasting(own: &File, failed: &Arc<AtomicI32>) -> io::Result<Lasting> {
    Ok(Lasting {
        file: own.try_clone()?,
        failed: failed.clone(),
    })
}

/// A terminal whose size is told by the state. Of a size of its own accord ratatui would ask the
/// terminal where the cursor is, and the thread that reads keys would take the answer for keys.
fn fixed(
    own: Lasting,
    (width, height): (u16, u16),
) -> io::Result<Terminal<CrosstermBackend<Output>>> {
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    Terminal::with_options(
        CrosstermBackend::new(BufWriter::with_capacity(1 << 16, own)),
        TerminalOptions { viewport },
    )
}

fn duplicate(fd: &impl std::os::fd::AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

fn give_back(out: &mut impl io::Write) -> io::Result<()> {
    disable_raw_mode()?;
    execute!(out, Print(MOUSE_OFF), LeaveAlternateScreen, Show)
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to do where the terminal is gone.
        let _ = give_back(self.terminal.backend_mut());
        if let Some(mut aside) = self.aside.take() {
            let _ = dup2_stdin(&aside.stdin);
            let _ = dup2_stdout(&aside.stdout);
            let _ = dup2_stderr(&aside.stderr);
            let mut text = Vec::new();
            if aside.written.rewind().is_ok() && aside.written.read_to_end(&mut text).is_ok() {
                let _ = io::stdout().write_all(&text);
            }
        }
    }
}
