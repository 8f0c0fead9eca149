//! The dashboard, `zctrace top`.
//!
//! Data flows one way: the observation runs in a thread of its own and sends each moment; keys,
//! signals and moments are messages to [`state::update`], which is pure; what it wants done
//! outside comes back as effects; [`view::draw`] draws the state.

#[cfg(test)]
mod crowd;
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
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use crossterm::event::{
    self, Event, KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind,
};
use jiff::Zoned;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};

pub use self::moment::builder::Builder;

use self::{
    moment::Moment,
    source::{live::Live, replay::Replay, synthetic::Synthetic, workload::Runner},
    state::{Effect, Message, State, keys::Keymap, trial::Run, update},
    terminal::Screen,
    theme::Theme,
};
use crate::{
    ledger::ExitStatus,
    recording::{self, Recording},
    run::{self, Plan},
    target::Spec,
    text::named_file,
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
    let end = turn(&mut state, &mut screen, &incoming, &mut source, &mut runner);
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

/// The loop: everything that has come, then one drawing.
fn turn(
    state: &mut State,
    screen: &mut Screen,
    incoming: &mpsc::Receiver<Incoming>,
    source: &mut Source,
    runner: &mut Runner,
) -> Result<End, Error> {
    let mut end = End {
        timings: match source {
            Source::Synthetic(synthetic) => Some(Timings {
                source_kib: synthetic.source_kib(),
                ..Timings::default()
            }),
            Source::Live(_) | Source::Replay(_) => None,
        },
        ..End::default()
    };
    // When the keys came that the next frame answers.
    let mut pressed: Vec<Instant> = Vec::new();
    loop {
        // A change of size can come without its event.
        if let Ok((width, height)) = screen.size()
            && (width, height) != state.size
        {
            update(state, Message::Resize(width, height));
        }
        let start = Instant::now();
        screen.draw(state).map_err(terminal("draw"))?;
        if let Source::Synthetic(synthetic) = source
            && state.shown.is_some()
        {
            synthetic.panic();
        }
        if let Some(timings) = &mut end.timings {
            let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            timings.frames.push(micros(start.elapsed()));
            let keys = pressed.iter().map(|pressed| micros(pressed.elapsed()));
            timings.keys.extend(keys);
        }
        pressed.clear();
        let Ok(first) = incoming.recv() else {
            return Ok(end);
        };
        let mut next = Some(first);
        while let Some(message) = next {
            let message = match message {
                Incoming::Message(message) => message,
                Incoming::Key(key, at) => {
                    pressed.push(at);
                    Message::Key(key)
                }
                Incoming::Signal(signal) => {
                    end.signal = Some(signal);
                    return Ok(end);
                }
                Incoming::Gone(source) => {
                    return Err(Error::Terminal {
                        what: READ_KEYS,
                        source,
                    });
                }
                Incoming::Over(number, result) if source.is_current(number) => {
                    let outcome = result?;
                    end.exit_status = outcome.snapshot.exit_status;
                    if let Some(signal) = outcome.asked {
                        end.signal = Some(signal);
                        return Ok(end);
                    }
                    Message::Ended(how_it_ended(&outcome))
                }
                Incoming::Moment(number, moment) if source.is_current(number) => {
                    Message::Moment(moment)
                }
                Incoming::Moment(..) | Incoming::Over(..) => {
                    next = incoming.try_recv().ok();
                    continue;
                }
            };
            for effect in update(state, message) {
                match effect {
                    Effect::Quit => return Ok(end),
                    Effect::Rebase => {
                        if let Some(moment) = source.rebase() {
                            update(state, Message::Moment(moment));
                        }
                    }
                    Effect::Switch(text) => {
                        let notice = match (spec(&text), &mut *source) {
                            (Ok(spec), Source::Live(live)) => match live.switch(spec) {
                                Ok(()) => {
                                    state.shown = None;
                                    state.ended = None;
                                    state.whose = None;
                                    state.frozen = false;
                                    format!("tracing {text}")
                                }
                                Err(error) => error.to_string(),
                            },
                            (Ok(_), _) => "this has one target".into(),
                            (Err(error), _) => error,
                        };
                        update(state, Message::Notice(notice));
                    }
                    Effect::Save(format) => {
                        let content = view::export::content(state, format);
                        let text = match save(state.view.titles().0, format.ending(), &content) {
                            Ok(name) => format!("written: {name}"),
                            Err(error) => format!("cannot write here: {error}"),
                        };
                        update(state, Message::Notice(text));
                    }
                    Effect::Start(name, parameters) => {
                        let text = match runner.start(&name, parameters) {
                            Ok(()) => {
                                let text = format!("{name}: {}", parameters.shown());
                                state.run = Some(Run::new(name, parameters));
                                text
                            }
                            Err(error) => error,
                        };
                        update(state, Message::Notice(text));
                    }
                    Effect::Replay(control) => {
                        if let Source::Replay(replay) = source {
                            replay.control(control);
                        }
                    }
                    Effect::Stop => {
                        let text = if runner.stop() {
                            "stopped"
                        } else {
                            "nothing is being measured"
                        };
                        update(state, Message::Notice(text.into()));
                    }
                }
            }
            next = incoming.try_recv().ok();
        }
    }
}

fn how_it_ended(outcome: &run::Outcome) -> String {
    match outcome.snapshot.exit_status {
        Some(ExitStatus {
            code: Some(code), ..
        }) => format!("the command ended with status {code}"),
        Some(_) if outcome.cut_short => "the time is up, and the command was ended".into(),
        Some(_) => "the command was ended by a signal".into(),
        None if outcome.time_is_up => "the time is up".into(),
        None => "the target has ended".into(),
    }
}

/// What the user typed as another target.
fn spec(text: &str) -> Result<Spec, String> {
    let (kind, value) = text.split_once(' ').unwrap_or((text, ""));
    let value = value.trim();
    let wrong = || format!("{text}: write pid 1234, comm NAME, port 8080, cgroup /path or system");
    match (kind, value) {
        ("system", "") => Ok(Spec::System),
        (_, "") => Err(wrong()),
        ("pid", pid) => pid
            .parse()
            .map(|pid| Spec::Pids(vec![pid]))
            .map_err(|_| wrong()),
        ("comm", names) => Ok(Spec::of_comms(names.split(',').map(Into::into).collect())),
        ("port", ports) => {
            let ports: Result<Vec<u16>, _> = ports.split(',').map(str::parse).collect();
            ports.map(Spec::Ports).map_err(|_| wrong())
        }
        ("cgroup", path) => Ok(Spec::Cgroup(path.into())),
        _ => Err(wrong()),
    }
}

/// Writes a new file here; one that is there already is left alone.
fn save(view: &str, ending: &str, content: &str) -> io::Result<String> {
    let time = Zoned::now().strftime("%Y%m%d-%H%M%S%.3f").to_string();
    let view = view.to_lowercase().replace(' ', "-");
    let name = format!("zctrace-{view}-{time}.{ending}");
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(named_file::mode())
        .open(&name)?;
    file.write_all(content.as_bytes())?;
    Ok(name)
}
