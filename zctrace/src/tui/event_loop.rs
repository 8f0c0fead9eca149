//! The loop: everything that has come, then one drawing.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    sync::mpsc,
    time::{Duration, Instant},
};

use jiff::Zoned;

use super::{
    End, Error, Incoming, READ_KEYS, Source, Timings,
    source::workload::Runner,
    state::{
        Effect, Message, State,
        format::Format,
        trial::{Parameters, Run},
        update,
    },
    terminal::Screen,
    view,
};
use crate::{ledger::ExitStatus, run, target::Spec, text::named_file};

/// What the loop is about.
pub(super) struct Dashboard<'a> {
    pub(super) state: &'a mut State,
    pub(super) screen: &'a mut Screen,
    pub(super) incoming: &'a mpsc::Receiver<Incoming>,
    pub(super) source: &'a mut Source,
    pub(super) runner: &'a mut Runner,
}

/// What something that came means.
enum Step {
    /// It changes the state.
    Change(Message),
    /// It is of an observation that is no longer shown.
    Nothing,
    /// The dashboard ends.
    End,
}

impl Dashboard<'_> {
    /// Shows what comes until something ends it.
    pub(super) fn event_loop(mut self) -> Result<End, Error> {
        let mut end = End {
            timings: match self.source {
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
            self.draw(&mut end, &mut pressed)?;
            let Ok(first) = self.incoming.recv() else {
                return Ok(end);
            };
            let mut next = Some(first);
            while let Some(incoming) = next {
                match self.receive(incoming, &mut end, &mut pressed)? {
                    Step::Change(message) => {
                        for effect in update(self.state, message) {
                            if effect == Effect::Quit {
                                return Ok(end);
                            }
                            self.carry_out(effect);
                        }
                    }
                    Step::Nothing => {}
                    Step::End => return Ok(end),
                }
                next = self.incoming.try_recv().ok();
            }
        }
    }

    /// Draws the state, and notes how long that took.
    fn draw(&mut self, end: &mut End, pressed: &mut Vec<Instant>) -> Result<(), Error> {
        // A change of size can come without its event.
        if let Ok((width, height)) = self.screen.size()
            && (width, height) != self.state.size
        {
            update(self.state, Message::Resize(width, height));
        }
        let start = Instant::now();
        self.screen
            .draw(self.state)
            .map_err(super::terminal("draw"))?;
        if let Source::Synthetic(synthetic) = self.source
            && self.state.shown.is_some()
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
        Ok(())
    }

    /// What is to be done about something that came.
    fn receive(
        &self,
        incoming: Incoming,
        end: &mut End,
        pressed: &mut Vec<Instant>,
    ) -> Result<Step, Error> {
        Ok(Step::Change(match incoming {
            Incoming::Message(message) => message,
            Incoming::Key(key, at) => {
                pressed.push(at);
                Message::Key(key)
            }
            Incoming::Signal(signal) => {
                end.signal = Some(signal);
                return Ok(Step::End);
            }
            Incoming::Gone(source) => {
                return Err(Error::Terminal {
                    what: READ_KEYS,
                    source,
                });
            }
            Incoming::Over(number, result) if self.source.is_current(number) => {
                let outcome = result?;
                end.exit_status = outcome.snapshot.exit_status;
                if let Some(signal) = outcome.asked {
                    end.signal = Some(signal);
                    return Ok(Step::End);
                }
                Message::Ended(how_it_ended(&outcome))
            }
            Incoming::Moment(number, moment) if self.source.is_current(number) => {
                Message::Moment(moment)
            }
            Incoming::Moment(..) | Incoming::Over(..) => return Ok(Step::Nothing),
        }))
    }

    /// Does what the state wants done outside.
    fn carry_out(&mut self, effect: Effect) {
        let notice = match effect {
            // The loop ends before this.
            Effect::Quit => return,
            Effect::Rebase => {
                if let Some(moment) = self.source.rebase() {
                    update(self.state, Message::Moment(moment));
                }
                return;
            }
            Effect::Replay(control) => {
                if let Source::Replay(replay) = self.source {
                    replay.control(control);
                }
                return;
            }
            Effect::Switch(text) => self.switch(&text),
            Effect::Save(format) => self.export(format),
            Effect::Start(name, parameters) => self.start(name, parameters),
            Effect::Stop if self.runner.stop() => "stopped".into(),
            Effect::Stop => "nothing is being measured".into(),
        };
        update(self.state, Message::Notice(notice));
    }

    /// Traces something else; what came of that.
    fn switch(&mut self, text: &str) -> String {
        match (spec(text), &mut *self.source) {
            (Ok(spec), Source::Live(live)) => match live.switch(spec) {
                Ok(()) => {
                    self.state.shown = None;
                    self.state.ended = None;
                    self.state.whose = None;
                    self.state.frozen = false;
                    format!("tracing {text}")
                }
                Err(error) => error.to_string(),
            },
            (Ok(_), _) => "the target of this source cannot be changed".into(),
            (Err(error), _) => error,
        }
    }

    /// Writes what is on screen to a file; what came of that.
    fn export(&self, format: Format) -> String {
        let content = view::export::content(self.state, format);
        match save(self.state.view.titles().0, format.ending(), &content) {
            Ok(name) => format!("written: {name}"),
            Err(error) => format!("cannot write here: {error}"),
        }
    }

    /// Measures a technique; what came of that.
    fn start(&mut self, name: String, parameters: Parameters) -> String {
        match self.runner.start(&name, parameters) {
            Ok(()) => {
                let text = format!("{name}: {}", parameters.shown());
                self.state.run = Some(Run::new(name, parameters));
                text
            }
            Err(error) => error,
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
