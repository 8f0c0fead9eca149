//! Every key, with its action, its name in the settings and what it does.

use super::{Action, Binding, Where};

const fn binding(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        action,
        name,
        keys,
        place: Where::Everywhere,
        help,
        short,
    }
}

const fn only(place: Where, binding: Binding) -> Binding {
    Binding { place, ..binding }
}

/// Every key.
pub const TABLE: &[Binding] = &[
    binding(
        Action::Explain,
        "explain",
        &["x", "f1"],
        "explain",
        "explain the chosen row, its classes and verdict, and the columns, as `zctrace explain` does",
    ),
    binding(
        Action::Help,
        "help",
        &["?"],
        "help",
        "show the keys of this view first, then the others, and what the marks mean",
    ),
    binding(
        Action::Quit,
        "quit",
        &["q", "ctrl-c"],
        "quit",
        "end zctrace",
    ),
    binding(
        Action::Open,
        "open",
        &["enter"],
        "open",
        "go into the row: a process's data paths, or every number of a row",
    ),
    binding(
        Action::Close,
        "close",
        &["esc"],
        "back",
        "close what is open, or go back to where the row was opened",
    ),
    binding(
        Action::Filter,
        "filter",
        &["/"],
        "filter",
        "show only some rows, as in: copied > 1M and comm ~ nginx",
    ),
    binding(
        Action::Sort,
        "sort",
        &["s"],
        "sort",
        "choose the column to sort by",
    ),
    binding(
        Action::Invert,
        "invert",
        &["S"],
        "",
        "sort the other way round",
    ),
    binding(
        Action::Freeze,
        "freeze",
        &["space"],
        "freeze",
        "freeze the screen; counting goes on",
    ),
    binding(
        Action::Columns,
        "columns",
        &["c"],
        "columns",
        "choose columns",
    ),
    binding(
        Action::Reset,
        "reset",
        &["r"],
        "reset",
        "count from zero again",
    ),
    binding(
        Action::Target,
        "target",
        &["t"],
        "target",
        "trace something else",
    ),
    binding(
        Action::Export,
        "export",
        &["e"],
        "export",
        "write what is on screen to a file: text, CSV, JSON or SVG",
    ),
    binding(
        Action::NextView,
        "next-view",
        &["tab", "right", "l"],
        "",
        "next view",
    ),
    binding(
        Action::PreviousView,
        "previous-view",
        &["shift-tab", "left", "h"],
        "",
        "previous view",
    ),
    binding(Action::View(1), "view-1", &["1"], "", "overview"),
    binding(Action::View(2), "view-2", &["2"], "", "data paths"),
    binding(Action::View(3), "view-3", &["3"], "", "memory"),
    binding(Action::View(4), "view-4", &["4"], "", "asynchronous"),
    binding(Action::View(5), "view-5", &["5"], "", "claims"),
    binding(Action::View(6), "view-6", &["6"], "", "stacks"),
    binding(Action::View(7), "view-7", &["7"], "", "workloads"),
    binding(Action::View(8), "view-8", &["8"], "", "probes"),
    binding(Action::Up, "up", &["up", "k"], "", "a row up"),
    binding(Action::Down, "down", &["down", "j"], "", "a row down"),
    binding(
        Action::PageUp,
        "page-up",
        &["pageup", "ctrl-b"],
        "",
        "a page up",
    ),
    binding(
        Action::PageDown,
        "page-down",
        &["pagedown", "ctrl-f"],
        "",
        "a page down",
    ),
    binding(
        Action::HalfUp,
        "half-page-up",
        &["ctrl-u"],
        "",
        "half a page up",
    ),
    binding(
        Action::HalfDown,
        "half-page-down",
        &["ctrl-d"],
        "",
        "half a page down",
    ),
    binding(Action::Top, "top", &["g", "home"], "", "the first row"),
    binding(Action::Bottom, "bottom", &["G", "end"], "", "the last row"),
    binding(
        Action::NextMatch,
        "next-match",
        &["n"],
        "",
        "the next row that the filter keeps, from the last to the first",
    ),
    binding(
        Action::PreviousMatch,
        "previous-match",
        &["N"],
        "",
        "the row before, from the first to the last",
    ),
    binding(
        Action::Follow,
        "follow",
        &["F"],
        "follow",
        "follow the chosen row to wherever it goes; otherwise its place on screen stays chosen",
    ),
    only(
        Where::View(1),
        binding(
            Action::Group,
            "group",
            &["z"],
            "group",
            "one row for the processes of a command, or a row for each process",
        ),
    ),
    only(
        Where::View(7),
        binding(
            Action::Start,
            "start",
            &["w"],
            "measure",
            "measure the chosen technique, as `zctrace bench` does",
        ),
    ),
    only(
        Where::View(7),
        binding(Action::Stop, "stop", &["X"], "stop", "stop the measurement"),
    ),
    only(
        Where::View(7),
        binding(
            Action::Parameters,
            "parameters",
            &["p"],
            "parameters",
            "set how many bytes a technique carries, and how many in a call",
        ),
    ),
    only(
        Where::View(6),
        binding(
            Action::Flames,
            "flames",
            &["f"],
            "flames",
            "the tree of stacks, or flames; enter opens a node or zooms in",
        ),
    ),
    only(
        Where::View(6),
        binding(
            Action::Unfold,
            "unfold",
            &["z"],
            "unfold",
            "open every node of the tree, or only the weighty ones",
        ),
    ),
    only(
        Where::View(5),
        binding(
            Action::Small,
            "small",
            &["z"],
            "small",
            "show the rows that moved too few bytes to be judged, or fold them",
        ),
    ),
    only(
        Where::Replay,
        binding(
            Action::StepBack,
            "step-back",
            &["["],
            "back",
            "an interval back",
        ),
    ),
    only(
        Where::Replay,
        binding(Action::StepOn, "step-on", &["]"], "on", "an interval on"),
    ),
    only(
        Where::Replay,
        binding(
            Action::LeapBack,
            "leap-back",
            &["{"],
            "",
            "ten intervals back",
        ),
    ),
    only(
        Where::Replay,
        binding(Action::LeapOn, "leap-on", &["}"], "", "ten intervals on"),
    ),
    only(
        Where::Replay,
        binding(Action::Slower, "slower", &["<"], "slower", "play slower"),
    ),
    only(
        Where::Replay,
        binding(Action::Faster, "faster", &[">"], "faster", "play faster"),
    ),
    only(
        Where::Replay,
        binding(
            Action::Seek,
            "seek",
            &[":"],
            "seek",
            "go to a time, as in: 90s, 1m30s, 50%, #12",
        ),
    ),
];
