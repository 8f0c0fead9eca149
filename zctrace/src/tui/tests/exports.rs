//! What is written to files.

use crossterm::event::KeyCode;

use super::{normal, press, shown, state};
use crate::{
    text::escape::xml,
    tui::{
        state::{Effect, format::Format},
        theme::{Name, Theme},
        view::export,
    },
};

#[test]
fn exports_are_whole() {
    let mut state = state(&normal(), Theme::new(Name::Dark, false), (100, 30));
    press(&mut state, KeyCode::Char('e'));
    let effects = press(&mut state, KeyCode::Char('c'));
    assert_eq!(effects, [Effect::Save(Format::Csv)]);
    assert_eq!(
        export::content(&state, Format::Csv).lines().count(),
        1 + state.order.len()
    );
    assert_eq!(export::content(&state, Format::Text), shown(&state));
    let svg = export::content(&state, Format::Svg);
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    let lines = shown(&state).lines().map(letters).collect::<Vec<_>>();
    assert_eq!(lines.len(), 30);
    assert_eq!(drawn(&svg, lines.len()), lines);
    // Dark letters need light paper.
    state.theme = Theme::new(Name::Light, false);
    let light = export::content(&state, Format::Svg);
    assert!(svg.contains("#16181d") && !light.contains("#16181d") && light.contains("#ffffff"));
}

/// A line of the screen without spaces, and without the blocks, which are drawn as rectangles.
fn letters(line: &str) -> String {
    let is_letter = |char: &char| !char.is_whitespace() && !"▁▂▃▄▅▆▇█▀▌▏".contains(*char);
    xml(&line.chars().filter(is_letter).collect::<String>())
}

/// The words of each line of a drawing.
fn drawn(svg: &str, lines: usize) -> Vec<String> {
    let mut drawn = vec![String::new(); lines];
    for element in svg.lines().filter(|line| line.starts_with("<text ")) {
        let (_, y) = element.split_once(" y=\"").unwrap();
        let y: usize = y.split('"').next().unwrap().parse().unwrap();
        let (_, word) = element.split_once('>').unwrap();
        drawn[y / 17].push_str(word.strip_suffix("</text>").unwrap());
    }
    drawn
}
