//! The one table of keys: help, footer, documentation and remapping come from it.

mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crokey::KeyCombination;
use crossterm::event::{KeyCode, KeyModifiers};

pub use self::table::TABLE;

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
    Small,
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
