//! What the dashboard is in, and how messages change it. Pure: whatever reaches outside is an
//! [`Effect`] that the caller carries out.

mod act;
pub mod filter;
pub mod format;
pub mod keys;
pub(super) mod layout;
mod mouse;
pub mod overlay;
pub mod position;
pub mod reading;
pub mod trial;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crokey::KeyCombination;
use crossterm::event::{KeyEvent, MouseEvent};

use self::{
    filter::Filter,
    format::Format,
    keys::{Action, Keymap},
    overlay::{Detail, Overlay},
    position::{Control, Status},
    trial::{Parameters, Run},
};
use super::{
    moment::{Moment, ProcessRow, Whose, advice::Advice},
    rows::{
        RowId, Sort, order,
        views::{Scope, View},
    },
    theme::Theme,
};
use crate::ledger::TargetKind;

/// Rows at the top of the overview among which something to change is looked for.
const ADVISED: usize = 8;

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
    /// Rows that moved too few bytes to be judged are shown.
    pub small: bool,
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
            small: false,
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
            small: self.small || self.pane().filter.is_some(),
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

    /// What should change about the chosen row of the overview. On the first row, where a screen begins, it is about the
    /// first row for which something can be done: a client that receives cannot do otherwise, its server may.
    #[must_use]
    pub fn advice(&self) -> Option<Advice> {
        let moment = self.shown.as_ref()?;
        let is_grouped = self.is_grouped();
        let rows = if is_grouped {
            &moment.commands
        } else {
            &moment.processes
        };
        let advice = |row: &u32| moment.advice(rows.get(*row as usize)?, is_grouped);
        let at = self.pane().at;
        let own = advice(self.order.get(at)?);
        if at > 0 {
            return own;
        }
        let mut all = self.order.iter().take(ADVISED).filter_map(advice);
        all.find(|advice| advice.is_specific).or(own)
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
            advice: self.view == View::Overview,
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

    /// Sorts by a column, or the other way round if the view is sorted by it.
    fn sort_by(&mut self, column: usize) {
        let pane = self.pane_mut();
        pane.sort = Sort {
            column: Some(column),
            descending: pane.sort.column != Some(column) || !pane.sort.descending,
        };
        self.arrange();
    }

    /// Goes into the chosen row.
    fn open(&mut self) {
        let Some(moment) = self.shown.clone() else {
            return;
        };
        match self.view {
            View::Stacks => self.open_node(&moment),
            View::Overview => self.open_process(&moment),
            _ if self.order.is_empty() => {}
            _ => self.overlays.push(Overlay::Detail(Detail::default())),
        }
    }

    /// Opens or closes a node of the tree of stacks, or zooms the flames in or out.
    fn open_node(&mut self, moment: &Moment) {
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
    }

    /// Shows the data paths of a process or command.
    fn open_process(&mut self, moment: &Moment) {
        let Some(row) = self.order.get(self.pane().at).map(|row| *row as usize) else {
            return;
        };
        let chosen = Some(self.view.rows(moment, &self.scope()).id(row));
        let Some(whose) = self.whose_row(moment, row) else {
            return;
        };
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

    /// The process or command that a row of the overview is of.
    fn whose_row(&self, moment: &Moment, row: usize) -> Option<Whose> {
        let one = |process: &ProcessRow| Whose::Process(process.id);
        if !self.is_grouped() {
            return moment.processes.get(row).map(one);
        }
        let command = moment.commands.get(row)?;
        Some(match (command.alive, command.ended) {
            (1, 0) => one(command),
            _ => Whose::Command(command.comm),
        })
    }

    /// Goes back to where the row was opened, or ends the filter.
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
        None => action.map_or_else(Vec::new, |action| act::act(state, action)),
        Some(overlay) => overlay::press(state, overlay, key, action),
    }
}
