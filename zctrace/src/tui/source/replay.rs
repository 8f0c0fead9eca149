//! A recording as the source of moments: it plays, pauses, steps and seeks in a thread of its own.
//!
//! The documents of a recording are differences. A first pass over the file notes where each
//! interval ends, what the charts show of it, and here and there a mark with the sums so far, from
//! which any interval is a short way.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    catalog,
    kernel::doctor::ProbeStatus,
    ledger::Snapshot,
    recording::{Beside, Mark, Recording, Whole},
    tui::{
        Error, Incoming,
        moment::{
            HISTORY, SPARK, Sample,
            builder::Builder,
            sample::sample_of,
            sides::{Part, ProbeRow, Sides},
        },
        state::{
            Message,
            position::{Control, Status, When},
        },
    },
};

/// Most marks; beyond them every other one is dropped.
const MARKS: usize = 64;
/// Most bytes of memory for the sums at marks: fewer marks make seeking slower, not wrong.
const MARKED: usize = 256 << 20;
/// The least and the greatest speed, as powers of two.
const SPEEDS: (i8, i8) = (-3, 10);
/// Intervals that follow each other faster than this are not all shown.
const QUICKEST: Duration = Duration::from_millis(33);

/// The replay of a recording, in a thread of its own.
pub(in crate::tui) struct Replay {
    controls: Option<mpsc::Sender<Control>>,
    thread: Option<JoinHandle<()>>,
}

impl Replay {
    /// The number of the only source.
    pub(in crate::tui) const NUMBER: u64 = 1;

    /// Starts it.
    pub(in crate::tui) fn new(recording: Recording, sender: mpsc::Sender<Incoming>) -> Self {
        let (controls, wanted) = mpsc::channel();
        let thread = thread::spawn(move || {
            let result = Player::new(recording).and_then(|player| player.play(&wanted, &sender));
            if let Err(error) = result {
                let _ = sender.send(Incoming::Over(Self::NUMBER, Err(error)));
            }
        });
        Self {
            controls: Some(controls),
            thread: Some(thread),
        }
    }

    /// Moves in it.
    pub(in crate::tui) fn control(&self, control: Control) {
        if let Some(controls) = &self.controls {
            let _ = controls.send(control);
        }
    }

    /// Ends it.
    pub(in crate::tui) fn stop(&mut self) {
        self.controls = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A recording with what the first pass found in it.
pub struct Player {
    recording: Recording,
    /// When each interval ends, as recorded time since the start.
    ends: Vec<Duration>,
    samples: Vec<Sample>,
    marks: Vec<(Mark, Whole, Option<Beside>, usize)>,
    builder: Builder,
    whole: Whole,
    /// What there is beside it; `None` where the recording does not tell.
    beside: Option<Beside>,
    /// The last interval that is in `whole`.
    position: usize,
    started_at: String,
    damage: Option<String>,
    paused: bool,
    speed: i8,
}

impl Player {
    /// Reads a recording once.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or has no interval.
    pub fn new(mut recording: Recording) -> Result<Self, Error> {
        let mut ends = Vec::new();
        let mut samples = Vec::new();
        let mut marks = Vec::new();
        let mut whole = recording.begin();
        let mut beside = None;
        let mut spacing = 16;
        let mut marked = 0;
        let mut at = Duration::ZERO;
        loop {
            if ends.len() % spacing == 0 {
                marks.push((recording.mark(), whole.clone(), beside.clone(), ends.len()));
                marked += whole.memory();
                while marks.len() > MARKS || marks.len() > 1 && marked > MARKED {
                    spacing *= 2;
                    marks.retain(|(.., index)| index % spacing == 0);
                    marked = marks.iter().map(|(_, whole, ..)| whole.memory()).sum();
                }
            }
            let Some(interval) = recording.next().transpose()? else {
                break;
            };
            at += Duration::from_nanos(interval.duration_ns);
            ends.push(at);
            samples.push(sample_of(&interval));
            recording.add_to(&mut whole, &interval)?;
            add(&mut beside, recording.beside());
        }
        if ends.is_empty() {
            return Err(Error::Nothing);
        }
        let damage = recording.damage().map(|damage| damage.to_string());
        let mut player = Self {
            whole: recording.begin(),
            beside: None,
            recording,
            ends,
            samples,
            marks,
            builder: Builder::default(),
            position: 0,
            started_at: String::new(),
            damage,
            paused: false,
            speed: 0,
        };
        player.go_to(0)?;
        Ok(player)
    }

    /// How many intervals there are.
    #[must_use]
    pub const fn intervals(&self) -> usize {
        self.ends.len()
    }

    /// Where it is.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            position: self.position,
            intervals: self.ends.len(),
            at: self.ends[self.position],
            length: self.ends.last().copied().unwrap_or_default(),
            started_at: self.started_at.clone(),
            paused: self.paused,
            speed: self.speed,
            damage: self.damage.clone(),
        }
    }

    /// The moment at the end of the interval that [`Player::go_to`] went to.
    #[must_use]
    pub fn moment(&self) -> Option<Arc<crate::tui::moment::Moment>> {
        self.builder.last()
    }

    /// Goes to an interval; beyond the last one to that.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn go_to(&mut self, wanted: usize) -> Result<(), Error> {
        let wanted = wanted.min(self.ends.len() - 1);
        let is_next = self.builder.last().is_some() && wanted == self.position + 1;
        if !is_next {
            // What rows show of the last steps needs these.
            let first_shown = wanted.saturating_sub(SPARK);
            let mark = self.marks.iter().rfind(|(.., index)| *index <= first_shown);
            let Some((mark, whole, beside, index)) = mark else {
                return Err(Error::Nothing);
            };
            self.recording.back_to(mark)?;
            self.whole = whole.clone();
            self.beside.clone_from(beside);
            let first = first_shown.max(*index);
            self.builder.jump(self.ends[first]);
            for index in *index..wanted {
                self.read(index, index >= first)?;
                if index == first {
                    // To the builder this was everything until now; from here on it knows better.
                    let begin = (first + 1).saturating_sub(HISTORY);
                    let past = self.samples[begin..=first].to_vec();
                    self.builder.remember(VecDeque::from(past));
                }
            }
        }
        self.read(wanted, true)
    }

    /// Adds the next interval, which has this number.
    fn read(&mut self, index: usize, show: bool) -> Result<(), Error> {
        let Some(interval) = self.recording.next().transpose()? else {
            // The file has become shorter since the first pass.
            return Err(Error::Nothing);
        };
        self.recording.add_to(&mut self.whole, &interval)?;
        add(&mut self.beside, self.recording.beside());
        self.position = index;
        if show {
            let whole = self.whole.clone().snapshot();
            let sides = sides(&whole, self.beside.as_ref());
            self.builder.build(&whole, self.ends[index], sides);
            self.started_at = interval.started_at;
        }
        Ok(())
    }

    fn seek(&mut self, when: When) -> Result<(), Error> {
        let length = self.ends.last().copied().unwrap_or_default();
        let time = match when {
            When::Number(number) => return self.go_to(number - 1),
            When::Time(time) => time,
            When::Percent(part) => length * u32::from(part) / 100,
        };
        let index = self.ends.partition_point(|end| *end < time);
        self.go_to(index)
    }

    /// How long the interval after the one on screen lasts at this speed.
    fn pace(&self) -> Duration {
        let next = self.ends.get(self.position + 1).copied();
        let length = next.map_or(Duration::ZERO, |next| {
            next.saturating_sub(self.ends[self.position])
        });
        match self.speed {
            0.. => length / (1 << self.speed),
            slower => length * (1 << -slower),
        }
    }

    fn play(
        mut self,
        wanted: &mpsc::Receiver<Control>,
        sender: &mpsc::Sender<Incoming>,
    ) -> Result<(), Error> {
        self.show(sender);
        let mut due = Instant::now() + self.pace();
        loop {
            let control = if self.paused {
                match wanted.recv() {
                    Ok(control) => Some(control),
                    Err(_) => return Ok(()),
                }
            } else {
                match wanted.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Ok(control) => Some(control),
                    Err(mpsc::RecvTimeoutError::Timeout) => None,
                    Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
                }
            };
            let last = self.ends.len() - 1;
            match control {
                None if self.position == last => self.paused = true,
                None => {
                    // Where time runs faster than a screen can follow, intervals are skipped.
                    let mut next = self.position + 1;
                    let mut passed = self.pace();
                    while passed < QUICKEST && next < last {
                        self.go_to(next)?;
                        passed += self.pace();
                        next += 1;
                    }
                    self.go_to(next)?;
                    due += self.pace().max(QUICKEST);
                    due = due.max(Instant::now());
                }
                Some(Control::Pause) => {
                    self.paused = !self.paused;
                    if !self.paused && self.position == last {
                        self.go_to(0)?;
                    }
                    due = Instant::now() + self.pace();
                }
                Some(Control::Step(step)) => {
                    self.paused = true;
                    let step = isize::try_from(step).unwrap_or_default();
                    self.go_to(self.position.saturating_add_signed(step))?;
                }
                Some(Control::Seek(when)) => {
                    self.seek(when)?;
                    due = Instant::now() + self.pace();
                }
                Some(Control::Slower) => {
                    self.speed = (self.speed - 1).max(SPEEDS.0);
                    due = Instant::now() + self.pace();
                }
                Some(Control::Faster) => {
                    self.speed = (self.speed + 1).min(SPEEDS.1);
                    due = Instant::now() + self.pace();
                }
                Some(Control::Rebase) => {
                    self.builder.rebase();
                }
            }
            self.show(sender);
        }
    }

    fn show(&self, sender: &mpsc::Sender<Incoming>) {
        if let Some(moment) = self.builder.last() {
            let _ = sender.send(Incoming::Moment(Replay::NUMBER, moment));
        }
        let _ = sender.send(Incoming::Message(Message::Replay(self.status())));
    }
}

/// Adds what there is beside the next interval.
fn add(sum: &mut Option<Beside>, interval: Option<&Beside>) {
    if let Some(interval) = interval {
        sum.get_or_insert_default().add(interval);
    }
}

/// What a recording tells beside the ledger: which probes took part.
fn sides(whole: &Snapshot, beside: Option<&Beside>) -> Sides {
    let row = |name: &str, state, reason: &str, lost: &str| {
        let known = catalog::find(name);
        ProbeRow {
            name: name.to_owned().into(),
            family: known.map_or("", |probe| probe.family.name()),
            kind: "",
            state,
            runs: None,
            ns: None,
            runs_step: 0,
            missed: 0,
            reason: reason.to_owned(),
            lost: lost.to_owned().into(),
        }
    };
    let attached = whole.coverage.attached.iter().map(|name| {
        let lost = catalog::find(name).map_or("", |probe| probe.lost);
        row(name, ProbeStatus::Attached, "", lost)
    });
    let refused = whole.coverage.refused.iter().map(|refused| {
        row(
            &refused.probe,
            ProbeStatus::Refused,
            &refused.reason,
            &refused.lost,
        )
    });
    Sides {
        probes: Part::Here(Arc::new(attached.chain(refused).collect())),
        requests: beside.map_or(
            Part::Missing("this recording does not say how requests were issued"),
            |beside| Part::Here(Arc::new(beside.requests.clone())),
        ),
        sizes: beside.map_or(
            Part::Missing("this recording does not say how large operations were"),
            |beside| Part::Here(Arc::new(beside.sizes.clone())),
        ),
        stacks: if whole.stacks.bytes.is_empty() {
            Part::Missing("no stack has been recorded so far")
        } else {
            Part::Here(0)
        },
        own_cpu: None,
    }
}
