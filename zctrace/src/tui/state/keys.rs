//! The one table of keys: help, footer, documentation and remapping come from it.

use std::collections::BTreeMap;

use crokey::KeyCombination;
use crossterm::event::{KeyCode, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the table says what each does")]
pub enum Action {
    Quit,
    Close,
    Help,
    Explain,
    NextView,
    PreviousView,
    View(u8),
    Up,
    Down,
    PageUp,
    PageDown,
    HalfUp,
    HalfDown,
    Top,
    Bottom,
    Open,
    Filter,
    NextMatch,
    PreviousMatch,
    Sort,
    Invert,
    Columns,
    Freeze,
    Reset,
    Target,
    Export,
    Start,
    Stop,
    Parameters,
    Flames,
    Unfold,
    Group,
    Follow,
    StepBack,
    StepOn,
    LeapBack,
    LeapOn,
    Slower,
    Faster,
    Seek,
}

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// In every view.
    Everywhere,
    /// In the view with this number.
    View(u8),
    /// While a recording is replayed.
    Replay,
}

/// Where a key is pressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The number of the view.
    pub view: u8,
    /// A recording is replayed.
    pub replay: bool,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What it does.
    pub action: Action,
    /// Its name in the settings.
    pub name: &'static str,
    /// Its keys, unless the user chooses others.
    pub keys: &'static [&'static str],
    /// Where it means something.
    pub place: Where,
    /// What it does, for people.
    pub help: &'static str,
    /// One or two words for the footer; empty for keys that everybody tries anyway.
    pub short: &'static str,
}

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

/// Ends the dashboard whatever the settings say: there must be a way out.
const ALWAYS_QUITS: &str = "ctrl-c";

/// Which key does what.
#[derive(Clone, Debug)]
pub struct Keymap {
    /// The keys of every line of [`TABLE`].
    keys: Vec<Vec<KeyCombination>>,
}

/// Why keys cannot be as the user wants them.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No such line in the table.
    #[error("no function of the dashboard is called {0}")]
    NoSuchAction(String),
    /// Not a key.
    #[error("{name}: {key} is not a key")]
    NotAKey {
        /// The line.
        name: String,
        /// The text.
        key: String,
    },
    /// There must be a key.
    #[error("{0} needs a key")]
    NoKey(&'static str),
    /// One key, two meanings.
    #[error("{key} is assigned to both {first} and {second}")]
    Twice {
        /// The key.
        key: String,
        /// A line.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
}

/// Letters carry their case, whatever the terminal says of the shift key.
#[must_use]
pub fn normal(key: KeyCombination) -> KeyCombination {
    let mut key = key.normalized();
    if let crokey::OneToThree::One(code) = key.codes {
        if let KeyCode::Char(char) = code
            && !char.is_ascii_alphanumeric()
        {
            key.modifiers.remove(KeyModifiers::SHIFT);
        }
        // Terminals and people have two names for it.
        if code == KeyCode::BackTab
            || (code == KeyCode::Tab && key.modifiers.contains(KeyModifiers::SHIFT))
        {
            return KeyCombination::new(KeyCode::BackTab, KeyModifiers::SHIFT);
        }
    }
    key
}

fn parse(text: &str) -> Option<KeyCombination> {
    // A capital letter alone, as everybody writes it.
    let mut chars = text.chars();
    if let (Some(char), None) = (chars.next(), chars.next()) {
        let modifiers = if char.is_ascii_uppercase() {
            KeyModifiers::SHIFT
        } else {
            KeyModifiers::NONE
        };
        return Some(normal(KeyCombination::new(KeyCode::Char(char), modifiers)));
    }
    crokey::parse(text).ok().map(normal)
}

impl Default for Keymap {
    fn default() -> Self {
        Self::new(&BTreeMap::new()).unwrap_or_else(|error| unreachable!("the table: {error}"))
    }
}

impl Keymap {
    /// The table, with the user's keys in place of the usual ones.
    ///
    /// # Errors
    ///
    /// When a name or a key is unknown, or a key has two meanings in one place.
    pub fn new(chosen: &BTreeMap<String, Vec<String>>) -> Result<Self, Error> {
        if let Some(name) = chosen
            .keys()
            .find(|name| !TABLE.iter().any(|binding| binding.name == **name))
        {
            return Err(Error::NoSuchAction(name.clone()));
        }
        let mut keys: Vec<Vec<KeyCombination>> = Vec::new();
        for binding in TABLE {
            let mut texts: Vec<&str> = match chosen.get(binding.name) {
                Some(texts) => texts.iter().map(String::as_str).collect(),
                None => binding.keys.to_vec(),
            };
            if binding.action == Action::Quit {
                if texts.is_empty() {
                    return Err(Error::NoKey(binding.name));
                }
                if !texts.contains(&ALWAYS_QUITS) {
                    texts.push(ALWAYS_QUITS);
                }
            }
            let mut own = Vec::new();
            for text in texts {
                let key = parse(text).ok_or_else(|| Error::NotAKey {
                    name: binding.name.into(),
                    key: text.into(),
                })?;
                let clash = TABLE
                    .iter()
                    .zip(&keys)
                    .find(|(other, keys)| keys.contains(&key) && meets(other.place, binding.place));
                if let Some((other, _)) = clash {
                    return Err(Error::Twice {
                        key: text.into(),
                        first: other.name,
                        second: binding.name,
                    });
                }
                own.push(key);
            }
            keys.push(own);
        }
        Ok(Self { keys })
    }

    /// What a key asks for in a place.
    #[must_use]
    pub fn action(&self, key: KeyCombination, place: Place) -> Option<Action> {
        let key = normal(key);
        TABLE
            .iter()
            .zip(&self.keys)
            .find(|(binding, keys)| applies(binding.place, place) && keys.contains(&key))
            .map(|(binding, _)| binding.action)
    }

    /// The lines that mean something in a place, with their keys.
    pub fn lines(&self, place: Place) -> impl Iterator<Item = (&'static Binding, String)> {
        TABLE
            .iter()
            .zip(&self.keys)
            .filter(move |(binding, _)| applies(binding.place, place))
            .map(|(binding, keys)| (binding, shown(keys)))
    }

    /// The first key of an action, to name it in a hint.
    #[must_use]
    pub fn hint(&self, action: Action) -> String {
        let place = TABLE.iter().position(|binding| binding.action == action);
        let keys = place.and_then(|place| self.keys.get(place));
        keys.map_or_else(String::new, |keys| shown(keys.get(..1).unwrap_or_default()))
    }
}

fn applies(needed: Where, place: Place) -> bool {
    match needed {
        Where::Everywhere => true,
        Where::View(only) => only == place.view,
        Where::Replay => place.replay,
    }
}

fn meets(a: Where, b: Where) -> bool {
    match (a, b) {
        (Where::View(a), Where::View(b)) => a == b,
        _ => true,
    }
}

fn shown(keys: &[KeyCombination]) -> String {
    let names: Vec<_> = keys.iter().map(|key| name(*key)).collect();
    names.join(" ")
}

/// A key as the table writes it.
fn name(key: KeyCombination) -> String {
    if let crokey::OneToThree::One(KeyCode::Char(char)) = key.codes
        && char != ' '
        && (key.modifiers - KeyModifiers::SHIFT).is_empty()
    {
        return if key.modifiers.is_empty() {
            char.to_string()
        } else {
            char.to_uppercase().to_string()
        };
    }
    let format = crokey::KeyCombinationFormat::default();
    let text = format.to_string(key).to_lowercase();
    match text.as_str() {
        "shift-backtab" | "backtab" => "shift-tab".into(),
        _ => text,
    }
}

/// The table as a page of documentation.
#[must_use]
pub fn documentation() -> String {
    use std::fmt::Write as _;
    let mut text = String::from("| key | name | what it does |\n|---|---|---|\n");
    for binding in TABLE {
        let keys: Vec<_> = binding.keys.iter().map(|key| format!("`{key}`")).collect();
        let place = match binding.place {
            Where::Everywhere => String::new(),
            Where::View(view) => format!(" (view {view})"),
            Where::Replay => " (replay)".into(),
        };
        let _ = writeln!(
            text,
            "| {} | `{}` | {}{place} |",
            keys.join(" "),
            binding.name,
            binding.help
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const WORKLOADS: Place = Place {
        view: 7,
        replay: true,
    };

    #[test]
    fn no_key_has_two_meanings() {
        // Building the table refuses that.
        let keymap = Keymap::default();
        assert_eq!(keymap.keys.len(), TABLE.len());
        let names: BTreeSet<_> = TABLE.iter().map(|binding| binding.name).collect();
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn the_documentation_has_this_table() {
        let page = include_str!("../../../docs/top.md");
        let table = documentation();
        assert!(page.contains(&table), "put this into docs/top.md:\n{table}");
    }

    #[test]
    fn keys_are_named_as_they_are_written() {
        let keymap = Keymap::default();
        for ((binding, shown), keys) in keymap
            .lines(WORKLOADS)
            .zip(TABLE.iter().filter(|b| applies(b.place, WORKLOADS)))
        {
            assert_eq!(
                shown.to_lowercase(),
                keys.keys.join(" ").to_lowercase(),
                "{}",
                binding.name
            );
        }
    }

    #[test]
    fn a_terminal_s_keys_are_found() {
        let keymap = Keymap::default();
        let action =
            |code, modifiers| keymap.action(KeyCombination::new(code, modifiers), WORKLOADS);
        assert_eq!(
            action(KeyCode::Char('q'), KeyModifiers::NONE),
            Some(Action::Quit)
        );
        assert_eq!(
            action(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Some(Action::Quit)
        );
        assert_eq!(
            action(KeyCode::Char('S'), KeyModifiers::SHIFT),
            Some(Action::Invert)
        );
        assert_eq!(
            action(KeyCode::Char('S'), KeyModifiers::NONE),
            Some(Action::Invert)
        );
        assert_eq!(
            action(KeyCode::Char('s'), KeyModifiers::NONE),
            Some(Action::Sort)
        );
        assert_eq!(
            action(KeyCode::Char('?'), KeyModifiers::SHIFT),
            Some(Action::Help)
        );
        assert_eq!(
            action(KeyCode::Char('?'), KeyModifiers::NONE),
            Some(Action::Help)
        );
        assert_eq!(
            action(KeyCode::Char(' '), KeyModifiers::NONE),
            Some(Action::Freeze)
        );
        assert_eq!(
            action(KeyCode::BackTab, KeyModifiers::SHIFT),
            Some(Action::PreviousView)
        );
        assert_eq!(
            action(KeyCode::PageDown, KeyModifiers::NONE),
            Some(Action::PageDown)
        );
    }

    #[test]
    fn keys_can_be_chosen() {
        let chosen =
            |name: &str, key: &str| BTreeMap::from([(name.to_owned(), vec![key.to_owned()])]);
        let keymap = Keymap::new(&chosen("quit", "ctrl-q")).unwrap();
        let key = KeyCombination::new(KeyCode::Char('q'), KeyModifiers::CONTROL);
        assert_eq!(keymap.action(key, WORKLOADS), Some(Action::Quit));
        let old = KeyCombination::new(KeyCode::Char('q'), KeyModifiers::NONE);
        assert_eq!(keymap.action(old, WORKLOADS), None);
        let ctrl_c = KeyCombination::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(keymap.action(ctrl_c, WORKLOADS), Some(Action::Quit));
        for other in ["help", "sort"] {
            assert!(matches!(
                Keymap::new(&chosen(other, "ctrl-c")),
                Err(Error::Twice { .. })
            ));
        }
        let none = BTreeMap::from([("quit".to_owned(), Vec::new())]);
        assert_eq!(Keymap::new(&none).unwrap_err(), Error::NoKey("quit"));
        assert_eq!(
            Keymap::new(&chosen("fly", "x")).unwrap_err(),
            Error::NoSuchAction("fly".into())
        );
        assert!(matches!(
            Keymap::new(&chosen("quit", "hyper-q")),
            Err(Error::NotAKey { .. })
        ));
        assert!(matches!(
            Keymap::new(&chosen("quit", "s")),
            Err(Error::Twice { .. })
        ));
    }
}
