//! The dashboard, `zctrace top`.
//!
//! Data flows one way: the observation runs in a thread of its own and sends each moment; keys,
//! signals and moments are messages to [`state::update`], which is pure; what it wants done
//! outside comes back as effects; [`view::draw`] draws the state.

#[cfg(test)]
mod crowd;
mod event_loop;
pub mod fuzz;
pub mod moment;
pub mod rows;
pub mod source;
pub mod state;
mod terminal;
#[cfg(test)]
mod tests;
pub mod theme;
pub mod view;

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use crossterm::event::{
    self, Event, KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind,
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

pub use self::moment::builder::Builder;

use self::{
    event_loop::Dashboard,
    moment::Moment,
    source::{live::Live, replay::Replay, synthetic::Synthetic, workload::Runner},
    state::{Message, State, keys::Keymap, update},
    terminal::Screen,
    theme::Theme,
};
use crate::{
    ledger::ExitStatus,
    recording::{self, Recording},
    run::{self, Plan},
};

/// Why the dashboard ended without being asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The observation.
    #[error(transparent)]
    Run(#[from] run::Error),
    /// The terminal.
    #[error("cannot {what}: {source}")]
    Terminal {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The recording.
    #[error(transparent)]
    Recording(#[from] recording::Error),
    /// A recording without an interval, or one that became shorter.
    #[error("the recording has no interval to show")]
    Nothing,
    /// A defect.
    #[error("the observation ended unexpectedly")]
    Panicked,
}

fn terminal(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Terminal { what, source }
}

/// How long the dashboard took, in microseconds.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Timings {
    /// To draw, frame by frame.
    pub frames: Vec<u64>,
    /// From a key to the frame that shows what it did.
    pub keys: Vec<u64>,
    /// Resident memory, in KiB, when there was only what is to be shown.
    pub source_kib: u64,
}

/// How the dashboard ended.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// How long everything took; of made-up numbers only.
    pub timings: Option<Timings>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How the traced command ended.
    pub exit_status: Option<ExitStatus>,
}

/// What reaches the loop.
enum Incoming {
    Message(Message),
    /// A key, and when it came.
    Key(KeyEvent, Instant),
    /// New numbers of the observation with this number.
    Moment(u64, Arc<Moment>),
    Signal(i32),
    /// The terminal is gone.
    Gone(io::Error),
    /// The observation with this number is over.
    Over(u64, Result<Box<run::Outcome>, Error>),
}

/// How the dashboard looks, and what its keys are.
#[derive(Clone, Debug)]
pub struct Look {
    /// Colours and characters.
    pub theme: Theme,
    /// Keys.
    pub keymap: Keymap,
    /// Processes of one command are one row; `None` for as it suits the target.
    pub grouped: Option<bool>,
    /// The mouse is for the dashboard, not for the terminal's selection of text.
    pub mouse: bool,
}

impl Look {
    /// With nothing said about grouping.
    #[must_use]
    pub const fn new(theme: Theme, keymap: Keymap) -> Self {
        Self {
            theme,
            keymap,
            grouped: None,
            mouse: true,
        }
    }
}

/// Where the numbers come from.
#[derive(Debug)]
pub enum Input {
    /// The running kernel.
    Live(Box<Plan>),
    /// A recording.
    Replay(Box<Recording>),
    /// Made up.
    Synthetic(source::synthetic::Size),
}

enum Source {
    Live(Box<Live>),
    Replay(Replay),
    Synthetic(Synthetic),
}

impl Source {
    /// Whether a message is of the running observation.
    fn is_current(&self, number: u64) -> bool {
        match self {
            Self::Live(live) => live.is_current(number),
            Self::Replay(_) => number == Replay::NUMBER,
            Self::Synthetic(_) => number == Synthetic::NUMBER,
        }
    }

    /// Counts from zero.
    fn rebase(&self) -> Option<Arc<Moment>> {
        match self {
            Self::Live(live) => live.rebase(),
            Self::Replay(replay) => {
                replay.control(state::position::Control::Rebase);
                None
            }
            Self::Synthetic(_) => None,
        }
    }

    /// What is not detached yet.
    fn detaching(&mut self) -> source::live::Detaching {
        match self {
            Self::Live(live) => live.detaching(),
            Self::Replay(_) | Self::Synthetic(_) => source::live::Detaching::default(),
        }
    }

    fn stop(&mut self) -> Option<ExitStatus> {
        match self {
            Self::Live(live) => live.stop(),
            Self::Replay(replay) => {
                replay.stop();
                None
            }
            Self::Synthetic(synthetic) => {
                synthetic.stop();
                None
            }
        }
    }
}

/// Shows the dashboard until the user, or a signal, ends it.
///
/// # Errors
///
/// When nothing can be measured or the terminal fails; it is restored in any case.
pub fn run(input: Input, look: Look) -> Result<End, Error> {
    run::keep_no_large_pieces();
    let (sender, incoming) = mpsc::channel();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(terminal("catch signals"))?;
    let is_command = match &input {
        Input::Live(plan) => matches!(plan.subject, run::Subject::Command(_)),
        Input::Replay(_) | Input::Synthetic(_) => false,
    };
    let mut screen =
        Screen::open(is_command, look.mouse).map_err(terminal("set up the terminal"))?;
    let to_loop = sender.clone();
    thread::spawn(move || {
        for signal in signals.forever() {
            let _ = to_loop.send(Incoming::Signal(signal));
        }
    });
    let to_loop = sender.clone();
    thread::spawn(move || read_keys(&to_loop));
    let mut state = State::new(
        look.theme,
        look.keymap,
        screen.size().map_err(terminal("ask for its size"))?,
    );
    state.grouped = look.grouped;
    let mut runner = Runner::new(sender.clone());
    let mut source = match input {
        Input::Live(plan) => Source::Live(Box::new(Live::new(*plan, sender))),
        Input::Replay(recording) => {
            // The keys of the replay mean something from the start.
            state.replay = Some(state::position::Status::default());
            Source::Replay(Replay::new(*recording, sender))
        }
        Input::Synthetic(size) => Source::Synthetic(Synthetic::new(size, sender)),
    };
    let end = Dashboard {
        state: &mut state,
        screen: &mut screen,
        incoming: &incoming,
        source: &mut source,
        runner: &mut runner,
    }
    .event_loop();
    runner.stop();
    let last = source.stop();
    let detaching = source.detaching();
    drop(screen);
    run::detach(detaching);
    let mut end = match end {
        // The signal that says so comes a moment later, or not at all.
        Err(error) if is_hangup(&error) => End {
            signal: Some(SIGHUP),
            ..End::default()
        },
        end => end?,
    };
    end.exit_status = end.exit_status.or(last);
    Ok(end)
}

/// One frame as text: what the dashboard shows when the observation of `plan` ends. Nothing is read from a terminal,
/// and nothing is written.
///
/// # Errors
///
/// When nothing can be measured.
pub fn frame(
    plan: Plan,
    look: Look,
    size: (u16, u16),
) -> Result<(String, Option<ExitStatus>), Error> {
    let (sender, incoming) = mpsc::channel();
    let mut state = State::new(look.theme, look.keymap, size);
    state.grouped = look.grouped;
    let mut live = Live::new(plan, sender);
    let outcome = loop {
        match incoming.recv() {
            Ok(Incoming::Moment(_, moment)) => {
                update(&mut state, Message::Moment(moment));
            }
            Ok(Incoming::Message(message)) => {
                update(&mut state, message);
            }
            Ok(Incoming::Over(_, result)) => break result?,
            Ok(_) => {}
            Err(mpsc::RecvError) => return Err(Error::Panicked),
        }
    };
    live.stop();
    run::detach(live.detaching());
    let text = view::export::content(&state, state::format::Format::Text);
    Ok((text, outcome.snapshot.exit_status))
}

/// What fails first when the terminal is gone.
const READ_KEYS: &str = "read keys";

/// Whether the terminal has hung up: it cannot be read from, asked for its size, or written to.
fn is_hangup(error: &Error) -> bool {
    let Error::Terminal { what, source } = error else {
        return false;
    };
    *what == READ_KEYS
        || matches!(
            source.raw_os_error(),
            Some(libc::EIO | libc::ENXIO | libc::ENOTTY)
        )
}

/// Whether it does something: movements do not.
fn is_button_or_wheel(event: &MouseEvent) -> bool {
    matches!(
        event.kind,
        MouseEventKind::Down(MouseButton::Left)
            | MouseEventKind::ScrollUp
            | MouseEventKind::ScrollDown
    )
}

fn read_keys(to_loop: &mpsc::Sender<Incoming>) {
    loop {
        let message = match event::read() {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                Incoming::Key(key, Instant::now())
            }
            Ok(Event::Mouse(event)) if is_button_or_wheel(&event) => {
                Incoming::Message(Message::Mouse(event))
            }
            Ok(Event::Resize(width, height)) => Incoming::Message(Message::Resize(width, height)),
            Ok(_) => continue,
            Err(error) => {
                let _ = to_loop.send(Incoming::Gone(error));
                return;
            }
        };
        if to_loop.send(message).is_err() {
            return;
        }
    }
}
