//! What can be read over a view: its keys and marks, every number of a row, and what the words of a
//! row mean. Text only: where it is broken and drawn is the view's business.

use super::{State, keys::Where};
use crate::{
    explain::{self, Entry},
    report::prose,
    text::style::{Palette, Surface},
    tui::{
        rows::{Holds, Value},
        theme::{LETTERS, SHORT},
    },
};

/// A line: what it is about, and what there is to say; a heading has nothing to say.
pub type Line = (String, String);

/// Columns of an overlay's border and the room inside it.
pub const FRAME: u16 = 4;

/// What the marks of a row mean.
pub const MARKS: [(&str, &str); 5] = [
    (
        "!",
        "bytes of this row are unexplained, or its verdict is FAIL",
    ),
    ("~", "concluded from the call, not measured"),
    ("0.50?", "some bytes were not seen: it can be more"),
    (">", "the chosen place; F in its place: the row is followed"),
    ("ended", "none of these processes runs any more"),
];

/// The keys, this view's first, then what the marks and columns of this view mean.
#[must_use]
pub fn help(state: &State) -> Vec<Line> {
    let keys = |own: bool| {
        let lines = state.keymap.lines(state.place());
        lines
            .filter(move |(binding, _)| (binding.place != Where::Everywhere) == own)
            .map(|(binding, keys)| (keys, binding.help.to_owned()))
    };
    let heading = |text: &str| (text.to_owned(), String::new());
    let (name, _) = state.view.titles();
    let own: Vec<Line> = keys(true).collect();
    let mut lines = Vec::new();
    if !own.is_empty() {
        lines.push(heading(&format!("Keys of {name}")));
        lines.extend(own);
    }
    lines.push(heading("Keys everywhere"));
    lines.extend(keys(false));
    lines.push(heading("Marks"));
    for (mark, means) in MARKS {
        lines.push((mark.to_owned(), means.to_owned()));
    }
    lines.push(heading("Letters of the bars"));
    for (letter, class) in LETTERS.iter().zip(SHORT) {
        lines.push((letter.to_string(), class.to_owned()));
    }
    lines.push(heading(&format!("Columns of {name}")));
    let pane = state.pane();
    let columns = state.view.columns().iter().enumerate();
    for (_, column) in columns.filter(|(index, _)| pane.shown[*index]) {
        lines.push((column.title.to_owned(), column.help.to_owned()));
    }
    lines
}

/// Every number of the chosen row, exactly.
#[must_use]
pub fn detail(state: &State) -> Vec<Line> {
    let Some(moment) = &state.shown else {
        return Vec::new();
    };
    let rows = state.view.rows(moment, &state.scope());
    let Some(row) = state.order.get(state.pane().at) else {
        return Vec::new();
    };
    let columns = state.view.columns().iter().enumerate();
    columns
        .filter(|(_, column)| column.holds != Holds::Drawing)
        .map(|(index, column)| {
            let value = rows.value(*row as usize, index);
            let exact = match &value {
                Value::Bytes(amount) if *amount >= 1024 => format!("{} ({amount})", value.shown()),
                _ => value.shown(),
            };
            (column.name.to_owned(), exact)
        })
        .collect()
}

/// What `zctrace explain` has to say about the chosen row, the weightiest first, and about the
/// columns on screen.
#[must_use]
pub fn topics(state: &State) -> Vec<Entry> {
    let mut names: Vec<String> = Vec::new();
    if let Some(moment) = &state.shown {
        let rows = state.view.rows(moment, &state.scope());
        if let Some(row) = state.order.get(state.pane().at) {
            names = rows.topics(*row as usize);
        }
    }
    let pane = state.pane();
    let columns = state.view.columns().iter().enumerate();
    for (_, column) in columns.filter(|(index, _)| pane.shown[*index]) {
        names.push(column.title.to_owned());
        names.push(column.name.to_owned());
    }
    let mut entries: Vec<Entry> = Vec::new();
    for name in names {
        if let Some(entry) = explain::find(&name)
            && !entries.contains(&entry)
        {
            entries.push(entry);
        }
    }
    entries
}

/// A topic's text in lines that fit.
#[must_use]
pub fn explained(entry: &Entry, width: u16) -> Vec<String> {
    let surface = Surface {
        width: usize::from(width.saturating_sub(FRAME)),
        palette: Palette::PLAIN,
    };
    let text = prose::section(entry, surface);
    text.lines().map(ToOwned::to_owned).collect()
}

/// The last line that a text of so many can begin with without room being left.
#[must_use]
pub fn last_beginning(state: &State, lines: usize) -> usize {
    lines.saturating_sub(usize::from(state.size.1.saturating_sub(2)))
}
