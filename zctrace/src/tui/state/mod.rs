//! What the dashboard is in, and how messages change it. Pure: whatever reaches outside is an
//! [`Effect`] that the caller carries out.

pub mod filter;
pub mod format;
pub mod keys;
pub(super) mod layout;
mod mouse;
pub mod position;
pub mod reading;
pub mod trial;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crokey::KeyCombination;
use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseEvent};
use tui_input::{Input, backend::crossterm::EventHandler as _};

use self::{
    filter::Filter,
    format::Format,
    keys::{Action, Keymap},
    position::{Control, Status, When},
    trial::{Parameters, Run},
};
use super::{
    moment::{Moment, ProcessRow, Whose},
    rows::{
        RowId, Sort, order,
        views::{Scope, View},
    },
    theme::Theme,
};
use crate::{explain::Entry, ledger::TargetKind};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// A button of the mouse, or its wheel.
    Mouse(MouseEvent),
    /// The terminal has this size now.
    Resize(u16, u16),
    /// New numbers.
    Moment(Arc<Moment>),
    /// No more numbers come, and why.
    Ended(String),
    /// Something to tell the user.
    Notice(String),
    /// Where the replay of a recording is.
    Replay(Status),
    /// A technique was measured.
    Measured(Result<Box<crate::bench::Entry>, String>),
}

/// Something to do outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// End.
    Quit,
    /// Count from zero.
    Rebase,
    /// Trace something else, as the user typed it.
    Switch(String),
    /// Write what is on screen to a file.
    Save(Format),
    /// Measure the technique of this name.
    Start(String, Parameters),
    /// Stop it.
    Stop,
    /// Move in the recording.
    Replay(Control),
}

/// What lies over the view, the last one on top.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The keys; the first line shown.
    Help(u16),
    /// Text for the filter; why it is wrong, and what was in force before.
    Filter(Input, Option<String>, Option<(Filter, String)>),
    /// A name for another target.
    Target(Input),
    /// A place in the recording; why it is none.
    Seek(Input, Option<String>),
    /// Parameters of techniques; why they cannot be so.
    Parameters(Input, Option<String>),
    /// A column to sort by.
    Sort(usize),
    /// Columns to show.
    Columns(usize),
    /// A format to export in.
    Export,
    /// Every number of the chosen row; the first line shown.
    Detail(u16),
    /// What the words of the chosen row mean: all topics, the one on screen, and its first line.
    Explained(Vec<Entry>, usize, u16),
}

/// What each view remembers.
#[derive(Clone, Debug)]
pub struct Pane {
    /// The chosen row.
    pub chosen: Option<RowId>,
    /// Its place in the order.
    pub at: usize,
    /// The first row on screen.
    pub offset: usize,
    /// The chosen row is followed to wherever it goes; otherwise its place stays chosen.
    pub followed: bool,
    /// The order.
    pub sort: Sort,
    /// Which columns are shown.
    pub shown: Vec<bool>,
    /// Which rows, and as the user typed it.
    pub filter: Option<(Filter, String)>,
}

/// Where a row was opened.
#[derive(Clone, Copy, Debug)]
struct Place {
    view: View,
    whose: Option<Whose>,
    chosen: Option<RowId>,
}

/// Everything the screen depends on.
#[derive(Clone, Debug)]
pub struct State {
    /// Colours and characters.
    pub theme: Theme,
    /// Keys.
    pub keymap: Keymap,
    /// Width and height.
    pub size: (u16, u16),
    /// The view.
    pub view: View,
    /// What each view remembers.
    pub panes: Vec<Pane>,
    /// The process or command that was opened.
    pub whose: Option<Whose>,
    /// Processes of one command are one row; as it suits the target unless the user has said so.
    pub grouped: Option<bool>,
    /// The newest numbers.
    pub latest: Option<Arc<Moment>>,
    /// Those on screen.
    pub shown: Option<Arc<Moment>>,
    /// The screen stands still.
    pub frozen: bool,
    /// Why no more numbers come.
    pub ended: Option<String>,
    /// The last thing to tell.
    pub notice: Option<String>,
    /// What lies over the view.
    pub overlays: Vec<Overlay>,
    /// The rows of the view, sorted and filtered.
    pub order: Vec<u32>,
    /// How many rows it has, filtered or not.
    pub rows: usize,
    /// Nodes of the tree of stacks that the user has opened or closed.
    pub folds: HashMap<RowId, bool>,
    /// Every node of the tree is open.
    pub unfolded: bool,
    /// The stacks are drawn as flames.
    pub flames: bool,
    /// The node that the flames are of; all without one.
    pub zoom: Option<RowId>,
    /// Parameters of the next measurement.
    pub parameters: Parameters,
    /// The technique that is measured, or the last one.
    pub run: Option<Run>,
    /// What was measured of each technique last.
    pub results: BTreeMap<String, crate::bench::Entry>,
    /// Where the replay is; `None` where nothing is replayed.
    pub replay: Option<Status>,
    back: Vec<Place>,
}

impl State {
    /// The dashboard before the first numbers.
    #[must_use]
    pub fn new(theme: Theme, keymap: Keymap, size: (u16, u16)) -> Self {
        let pane = |view: View| Pane {
            chosen: None,
            at: 0,
            offset: 0,
            followed: false,
            sort: view.sort(),
            shown: view
                .columns()
                .iter()
                .map(|column| view.shows(column))
                .collect(),
            filter: None,
        };
        Self {
            theme,
            keymap,
            size,
            view: View::Overview,
            panes: View::ALL.map(pane).to_vec(),
            whose: None,
            grouped: None,
            latest: None,
            shown: None,
            frozen: false,
            ended: None,
            notice: None,
            overlays: Vec::new(),
            order: Vec::new(),
            rows: 0,
            folds: HashMap::new(),
            unfolded: false,
            flames: false,
            zoom: None,
            parameters: Parameters::default(),
            run: None,
            results: BTreeMap::new(),
            replay: None,
            back: Vec::new(),
        }
    }

    /// What the view on screen remembers.
    #[must_use]
    pub fn pane(&self) -> &Pane {
        &self.panes[self.view as usize]
    }

    /// What the rows of the view depend on beside the numbers.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            whose: self.whose,
            grouped: self.is_grouped(),
            folds: &self.folds,
            results: &self.results,
            unfolded: self.unfolded || self.flames || self.pane().filter.is_some(),
        }
    }

    fn pane_mut(&mut self) -> &mut Pane {
        &mut self.panes[self.view as usize]
    }

    /// Whether processes of one command are one row: on a whole machine they come and go.
    #[must_use]
    pub fn is_grouped(&self) -> bool {
        let is_machine = |moment: &Arc<Moment>| moment.about.target.kind == TargetKind::System;
        self.grouped
            .unwrap_or_else(|| self.shown.as_ref().is_some_and(is_machine))
    }

    /// Sorts and filters new numbers. The place on screen stays chosen, unless the row is followed:
    /// a row that sinks would take the screen with it.
    fn renew(&mut self) {
        let stays = !matches!(self.view, View::Stacks | View::Workloads | View::Probes);
        let pane = self.pane_mut();
        if stays && !pane.followed && pane.chosen.is_some() {
            let (at, offset) = (pane.at, pane.offset);
            pane.chosen = None;
            self.arrange();
            self.pane_mut().offset = offset;
            self.choose(at);
        } else {
            self.arrange();
        }
    }

    /// Sorts and filters again, and keeps the chosen row where it is.
    fn arrange(&mut self) {
        let Some(moment) = self.shown.clone() else {
            return;
        };
        let rows = self.view.rows(&moment, &self.scope());
        let columns = self.view.columns();
        let pane = &mut self.panes[self.view as usize];
        let filter = pane.filter.as_ref().map(|(filter, _)| filter);
        self.rows = rows.len();
        self.order = order(
            rows.as_ref(),
            |row| filter.is_none_or(|filter| filter.keeps(rows.as_ref(), row, columns)),
            pane.sort,
        );
        let found = pane.chosen.and_then(|id| {
            self.order
                .iter()
                .position(|row| rows.id(*row as usize) == id)
        });
        pane.at = found
            .unwrap_or(pane.at)
            .min(self.order.len().saturating_sub(1));
        // Until the user moves, the first row is chosen, whichever it is.
        pane.chosen = pane
            .chosen
            .and_then(|_| self.order.get(pane.at).map(|row| rows.id(*row as usize)));
        self.scroll();
    }

    /// Whether a key does something in this view; the footer names no others.
    #[must_use]
    pub const fn has(&self, action: Action) -> bool {
        match action {
            Action::Sort | Action::Invert | Action::Columns => !matches!(self.view, View::Stacks),
            Action::Follow => !matches!(self.view, View::Stacks | View::Workloads | View::Probes),
            Action::Reset => !matches!(self.view, View::Workloads | View::Probes),
            _ => true,
        }
    }

    /// Which keys mean something now.
    #[must_use]
    pub fn place(&self) -> keys::Place {
        keys::Place {
            view: self.view.number(),
            replay: self.replay.is_some(),
        }
    }

    /// What the layout depends on.
    pub(super) fn facts(&self) -> layout::Facts {
        layout::Facts {
            view: self.view,
            banner: self.frozen
                || self.ended.is_some()
                || self.notice.is_some()
                || self.replay.is_some(),
            filter: self.pane().filter.is_some(),
            run: self.run.is_some(),
            chart: self.has_chart(),
        }
    }

    /// Whether the view has a chart above its table. One of page faults shows bytes, which only functions tell.
    pub(super) fn has_chart(&self) -> bool {
        match self.view {
            View::Overview => true,
            View::Memory => self
                .shown
                .as_ref()
                .is_none_or(|moment| self.view.unseen(moment).next().is_none()),
            _ => false,
        }
    }

    fn scroll(&mut self) {
        let height = layout::page(self.size, self.facts()).max(1);
        let length = self.order.len();
        let pane = self.pane_mut();
        pane.offset = pane
            .offset
            .min(pane.at)
            .max((pane.at + 1).saturating_sub(height))
            .min(length.saturating_sub(height));
    }

    fn choose(&mut self, at: usize) {
        let at = at.min(self.order.len().saturating_sub(1));
        let id = self.shown.as_ref().and_then(|moment| {
            let rows = self.view.rows(moment, &self.scope());
            self.order.get(at).map(|row| rows.id(*row as usize))
        });
        let pane = self.pane_mut();
        pane.followed &= pane.chosen == id;
        (pane.at, pane.chosen) = (at, id);
        self.scroll();
    }

    fn show(&mut self, view: View) {
        self.view = view;
        self.arrange();
    }

    fn open(&mut self) {
        let Some(moment) = &self.shown else { return };
        if self.view == View::Stacks {
            let rows = self.view.rows(moment, &self.scope());
            let row = self.order.get(self.pane().at);
            let Some(id) = row.map(|row| rows.id(*row as usize)) else {
                return;
            };
            drop(rows);
            if self.flames {
                self.zoom = if self.zoom == Some(id) {
                    None
                } else {
                    Some(id)
                };
            } else {
                let tree = moment.stacks.tree(self.whose, &moment.names);
                if let Some(node) = tree.find(id).and_then(|place| tree.nodes.get(place)) {
                    let open = self.folds.get(&id).copied();
                    let open = open.unwrap_or_else(|| tree.is_weighty(node));
                    self.folds.insert(id, !open);
                }
            }
            // The cursor stays where it is, even on the first row.
            self.pane_mut().chosen = Some(id);
            self.arrange();
            return;
        }
        if self.view != View::Overview {
            if !self.order.is_empty() {
                self.overlays.push(Overlay::Detail(0));
            }
            return;
        }
        let Some(row) = self.order.get(self.pane().at).map(|row| *row as usize) else {
            return;
        };
        let chosen = Some(self.view.rows(moment, &self.scope()).id(row));
        let one = |process: &ProcessRow| Whose::Process(process.id);
        let whose = if self.is_grouped() {
            let command = moment.commands.get(row);
            command.map(|command| match (command.alive, command.ended) {
                (1, 0) => one(command),
                _ => Whose::Command(command.comm),
            })
        } else {
            moment.processes.get(row).map(one)
        };
        let Some(whose) = whose else { return };
        self.back.push(Place {
            view: self.view,
            whose: self.whose,
            chosen,
        });
        self.whose = Some(whose);
        self.panes[View::Paths as usize].chosen = None;
        self.panes[View::Paths as usize].at = 0;
        self.show(View::Paths);
    }

    fn close(&mut self) {
        if self.view == View::Stacks && self.flames && self.zoom.take().is_some() {
            return;
        }
        if let Some(place) = self.back.pop() {
            self.whose = place.whose;
            self.panes[place.view as usize].chosen = place.chosen;
            self.show(place.view);
        } else if self.pane().filter.is_some() {
            self.pane_mut().filter = None;
            self.arrange();
        }
        self.notice = None;
    }
}

/// What a message changes, and what is to be done about it.
pub fn update(state: &mut State, message: Message) -> Vec<Effect> {
    match message {
        Message::Resize(width, height) => {
            state.size = (width, height);
            state.scroll();
        }
        Message::Moment(moment) => {
            state.latest = Some(moment.clone());
            if !state.frozen {
                state.shown = Some(moment);
                state.renew();
            }
        }
        Message::Ended(why) => state.ended = Some(why),
        Message::Notice(text) => state.notice = Some(text),
        Message::Measured(result) => {
            if let Some(run) = &mut state.run {
                if let Ok(entry) = &result {
                    state.results.insert(run.name.clone(), (**entry).clone());
                }
                run.result = Some(result);
                state.arrange();
            }
        }
        Message::Replay(status) => state.replay = Some(status),
        Message::Key(key) => return pressed(state, key),
        Message::Mouse(event) => return mouse::update(state, event),
    }
    Vec::new()
}

fn pressed(state: &mut State, key: KeyEvent) -> Vec<Effect> {
    // It has been read.
    state.notice = None;
    let action = state
        .keymap
        .action(KeyCombination::from(key), state.place());
    match state.overlays.pop() {
        None => action.map_or_else(Vec::new, |action| act(state, action)),
        Some(overlay) => over(state, overlay, key, action),
    }
}

/// A key while something lies over the view. What stays open is pushed again.
fn over(state: &mut State, overlay: Overlay, key: KeyEvent, action: Option<Action>) -> Vec<Effect> {
    let typing = matches!(
        overlay,
        Overlay::Filter(..) | Overlay::Target(_) | Overlay::Seek(..) | Overlay::Parameters(..)
    );
    let ends = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    if ends || (action == Some(Action::Quit) && !typing) {
        return vec![Effect::Quit];
    }
    if key.code == KeyCode::Esc {
        if let Overlay::Filter(_, _, before) = overlay {
            state.pane_mut().filter = before;
            state.arrange();
        }
        return Vec::new();
    }
    let columns = state.view.columns();
    let moved = |at: usize, last: usize| match action {
        Some(Action::Up) => at.saturating_sub(1),
        Some(Action::Down) => (at + 1).min(last),
        Some(Action::Top) => 0,
        Some(Action::Bottom) => last,
        Some(Action::PageDown | Action::HalfDown) => (at + 10).min(last),
        Some(Action::PageUp | Action::HalfUp) => at.saturating_sub(10),
        _ => at,
    };
    match overlay {
        Overlay::Help(line) => {
            if action != Some(Action::Help) {
                let last = reading::last_beginning(state, reading::help(state).len());
                let line = moved(line.into(), last).try_into().unwrap_or(0);
                state.overlays.push(Overlay::Help(line));
            }
        }
        Overlay::Detail(line) => {
            if action == Some(Action::Explain) {
                state.overlays.push(Overlay::Detail(line));
                explain(state);
            } else if action != Some(Action::Open) {
                let last = reading::last_beginning(state, reading::detail(state).len());
                let line = moved(line.into(), last).try_into().unwrap_or(0);
                state.overlays.push(Overlay::Detail(line));
            }
        }
        Overlay::Explained(topics, at, line) => {
            let count = topics.len();
            let (at, line) = match action {
                Some(Action::Explain | Action::Open) => return Vec::new(),
                Some(Action::NextView) => ((at + 1) % count, 0),
                Some(Action::PreviousView) => ((at + count - 1) % count, 0),
                _ => {
                    let lines = reading::explained(&topics[at], state.size.0).len();
                    let last = reading::last_beginning(state, lines);
                    (at, moved(line.into(), last).try_into().unwrap_or(0))
                }
            };
            state.overlays.push(Overlay::Explained(topics, at, line));
        }
        Overlay::Filter(mut input, wrong, before) => {
            let done = key.code == KeyCode::Enter;
            if done && wrong.is_none() {
                return Vec::new();
            }
            input.handle_event(&Event::Key(key));
            let text = input.value().trim().to_owned();
            // It applies as it is typed; half a word changes nothing yet.
            let wrong = if text.is_empty() {
                state.pane_mut().filter = None;
                None
            } else {
                match Filter::parse(&text, columns) {
                    Ok(filter) => {
                        state.pane_mut().filter = Some((filter, text));
                        None
                    }
                    Err(error) => Some(error),
                }
            };
            state.overlays.push(Overlay::Filter(input, wrong, before));
            state.arrange();
        }
        Overlay::Target(mut input) => {
            if key.code == KeyCode::Enter {
                return vec![Effect::Switch(input.value().trim().to_owned())];
            }
            input.handle_event(&Event::Key(key));
            state.overlays.push(Overlay::Target(input));
        }
        Overlay::Seek(mut input, _) => {
            if key.code == KeyCode::Enter {
                match When::parse(input.value()) {
                    Ok(when) => return vec![Effect::Replay(Control::Seek(when))],
                    Err(error) => state.overlays.push(Overlay::Seek(input, Some(error))),
                }
            } else {
                input.handle_event(&Event::Key(key));
                state.overlays.push(Overlay::Seek(input, None));
            }
        }
        Overlay::Parameters(mut input, _) => {
            if key.code == KeyCode::Enter {
                match state.parameters.parse(input.value()) {
                    Ok(parameters) => state.parameters = parameters,
                    Err(error) => state.overlays.push(Overlay::Parameters(input, Some(error))),
                }
            } else {
                input.handle_event(&Event::Key(key));
                state.overlays.push(Overlay::Parameters(input, None));
            }
        }
        Overlay::Sort(at) => {
            if key.code == KeyCode::Enter {
                let pane = state.pane_mut();
                pane.sort = Sort {
                    column: Some(at),
                    descending: pane.sort.column != Some(at) || !pane.sort.descending,
                };
                state.arrange();
            } else {
                state
                    .overlays
                    .push(Overlay::Sort(moved(at, columns.len() - 1)));
            }
        }
        Overlay::Columns(at) => {
            if key.code == KeyCode::Char(' ') {
                let shown = &mut state.pane_mut().shown[at];
                *shown = !*shown;
            }
            if key.code != KeyCode::Enter {
                state
                    .overlays
                    .push(Overlay::Columns(moved(at, columns.len() - 1)));
            }
        }
        Overlay::Export => {
            let format = match key.code {
                KeyCode::Char('t') => Format::Text,
                KeyCode::Char('c') => Format::Csv,
                KeyCode::Char('j') => Format::Json,
                KeyCode::Char('s') => Format::Svg,
                _ => {
                    state.overlays.push(Overlay::Export);
                    return Vec::new();
                }
            };
            return vec![Effect::Save(format)];
        }
    }
    Vec::new()
}

/// Opens what there is to say about the chosen row.
fn explain(state: &mut State) {
    let topics = reading::topics(state);
    if topics.is_empty() {
        state.notice = Some("nothing here has a name that is explained".into());
    } else {
        state.overlays.push(Overlay::Explained(topics, 0, 0));
    }
}

fn act(state: &mut State, action: Action) -> Vec<Effect> {
    let page = layout::page(state.size, state.facts()).max(1);
    let at = state.pane().at;
    let last = state.order.len().saturating_sub(1);
    let count = View::ALL.len();
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Help => state.overlays.push(Overlay::Help(0)),
        Action::Explain => explain(state),
        Action::Close => state.close(),
        Action::NextView => state.show(View::ALL[(state.view as usize + 1) % count]),
        Action::PreviousView => state.show(View::ALL[(state.view as usize + count - 1) % count]),
        Action::View(number) => {
            if let Some(view) = View::ALL.get(usize::from(number) - 1) {
                state.show(*view);
            }
        }
        Action::Follow => {
            let followed = !state.pane().followed;
            state.choose(at);
            state.pane_mut().followed = followed;
            state.notice = Some(
                if followed {
                    "the row is followed to wherever it goes, until another is chosen"
                } else {
                    "the row is not followed any more"
                }
                .into(),
            );
        }
        Action::Group => {
            state.grouped = Some(!state.is_grouped());
            let pane = &mut state.panes[View::Overview as usize];
            (pane.chosen, pane.at, pane.followed) = (None, 0, false);
            state.arrange();
        }
        Action::Up => state.choose(at.saturating_sub(1)),
        Action::Down => state.choose(at + 1),
        Action::PageUp => state.choose(at.saturating_sub(page)),
        Action::PageDown => state.choose(at + page),
        Action::HalfUp => state.choose(at.saturating_sub(page / 2)),
        Action::HalfDown => state.choose(at + page / 2),
        Action::Top => state.choose(0),
        Action::Bottom => state.choose(last),
        Action::NextMatch => state.choose(if at >= last { 0 } else { at + 1 }),
        Action::PreviousMatch => state.choose(if at == 0 { last } else { at - 1 }),
        Action::Open => state.open(),
        Action::Filter => {
            let before = state.pane().filter.clone();
            let text = before.as_ref().map(|(_, text)| text.clone());
            let input = Input::new(text.unwrap_or_default());
            state.overlays.push(Overlay::Filter(input, None, before));
        }
        Action::Sort if state.view == View::Stacks => {
            state.notice = Some("the tree is sorted by bytes".into());
        }
        Action::Sort => state
            .overlays
            .push(Overlay::Sort(state.pane().sort.column.unwrap_or(0))),
        Action::Invert if state.view == View::Stacks => {}
        Action::Invert => {
            let sort = &mut state.pane_mut().sort;
            sort.descending = !sort.descending;
            state.arrange();
        }
        Action::Columns => state.overlays.push(Overlay::Columns(0)),
        Action::Freeze if state.replay.is_some() => return vec![Effect::Replay(Control::Pause)],
        Action::Freeze => {
            state.frozen = !state.frozen;
            if !state.frozen {
                state.shown.clone_from(&state.latest);
                state.arrange();
            }
        }
        Action::Reset => {
            state.notice = Some("counting from zero".into());
            return vec![Effect::Rebase];
        }
        Action::Target if state.replay.is_some() => {
            state.notice = Some("a recording has one target; narrow it with a filter".into());
        }
        Action::Target => state.overlays.push(Overlay::Target(Input::default())),
        Action::Export => state.overlays.push(Overlay::Export),
        Action::Start => {
            let rows = state
                .shown
                .as_ref()
                .map(|moment| state.view.rows(moment, &state.scope()));
            let row = state.order.get(at).copied();
            if let (Some(rows), Some(row)) = (rows, row) {
                let name = rows.topics(row as usize).into_iter().next();
                return vec![Effect::Start(name.unwrap_or_default(), state.parameters)];
            }
            let why = match &state.shown {
                None => "the probes are being attached: wait for the first numbers",
                Some(_) => "no technique is chosen",
            };
            state.notice = Some(why.into());
        }
        Action::Stop => return vec![Effect::Stop],
        Action::Parameters => {
            let text = state.parameters.shown();
            let overlay = Overlay::Parameters(Input::new(text), None);
            state.overlays.push(overlay);
        }
        Action::Flames => {
            state.flames = !state.flames;
            state.arrange();
        }
        Action::Unfold => {
            state.unfolded = !state.unfolded;
            state.folds.clear();
            state.arrange();
        }
        Action::StepBack => return vec![Effect::Replay(Control::Step(-1))],
        Action::StepOn => return vec![Effect::Replay(Control::Step(1))],
        Action::LeapBack => return vec![Effect::Replay(Control::Step(-10))],
        Action::LeapOn => return vec![Effect::Replay(Control::Step(10))],
        Action::Slower => return vec![Effect::Replay(Control::Slower)],
        Action::Faster => return vec![Effect::Replay(Control::Faster)],
        Action::Seek => state.overlays.push(Overlay::Seek(Input::default(), None)),
    }
    Vec::new()
}
