//! Tests of the table of keys.

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
    let page = include_str!("../../../../docs/top.md");
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
    let action = |code, modifiers| keymap.action(KeyCombination::new(code, modifiers), WORKLOADS);
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
    let chosen = |name: &str, key: &str| BTreeMap::from([(name.to_owned(), vec![key.to_owned()])]);
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
