//! Colours and characters.

use ratatui::style::{Color, Modifier, Style};

/// Where the colours come from.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// The terminal's own sixteen colours
    #[default]
    Terminal,
    /// For a dark background, from the palette of 256 colours
    Dark,
    /// For a light background, from the palette of 256 colours
    Light,
    /// No colour
    Mono,
}

/// How things look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Colours of the nine classes, in the order of the ledger; `None` without colour.
    pub classes: Option<[Color; 9]>,
    /// A forked copy, which must stand out beside the classes.
    pub storm: Color,
    /// Headings, keys.
    pub accent: Style,
    /// What matters less.
    pub faint: Style,
    /// What matters.
    pub strong: Style,
    /// No copy at all.
    pub good: Style,
    /// Loss, refusal.
    pub warning: Style,
    /// Unexplained bytes, errors.
    pub alarm: Style,
    /// The chosen row.
    pub chosen: Style,
    /// Text on a bar of colour.
    pub on_bar: Color,
    /// Background and text of a picture of the screen; a terminal has its own.
    pub paper: [&'static str; 2],
    /// Only ASCII characters.
    pub ascii: bool,
}

/// The letter of each class, in the order of the ledger.
pub const LETTERS: [char; 9] = ['U', 'F', 'K', 'S', 'D', 'C', 'M', 'Z', '?'];
/// The place of the class that no probe saw.
pub const UNEXPLAINED: usize = 8;
/// A short name of each class.
pub const SHORT: [&str; 9] = [
    "to user",
    "from user",
    "in kernel",
    "spliced",
    "direct",
    "cloned",
    "mapped",
    "synthetic",
    "unexplained",
];

impl Theme {
    /// The theme of this name.
    #[must_use]
    pub fn new(name: Name, ascii: bool) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        let dim = plain.add_modifier(Modifier::DIM);
        let reversed = plain.add_modifier(Modifier::REVERSED);
        let mono = Self {
            classes: None,
            storm: Color::Reset,
            accent: bold,
            faint: dim,
            strong: bold,
            good: plain,
            warning: bold,
            alarm: bold.add_modifier(Modifier::UNDERLINED),
            chosen: reversed,
            on_bar: Color::Reset,
            paper: ["#16181d", "#d7dae0"],
            ascii,
        };
        match name {
            Name::Mono => mono,
            Name::Terminal => Self {
                classes: Some([
                    Color::Yellow,
                    Color::LightYellow,
                    Color::Magenta,
                    Color::Green,
                    Color::Cyan,
                    Color::Blue,
                    Color::LightGreen,
                    Color::DarkGray,
                    Color::Red,
                ]),
                storm: Color::LightMagenta,
                accent: plain.fg(Color::Cyan).add_modifier(Modifier::BOLD),
                good: plain.fg(Color::Green),
                warning: plain.fg(Color::Yellow),
                alarm: plain.fg(Color::Red).add_modifier(Modifier::BOLD),
                on_bar: Color::Black,
                ..mono
            },
            Name::Dark => Self {
                classes: Some([214, 180, 170, 78, 44, 69, 150, 242, 203].map(Color::Indexed)),
                storm: Color::Indexed(199),
                accent: plain.fg(Color::Indexed(80)).add_modifier(Modifier::BOLD),
                faint: plain.fg(Color::Indexed(244)),
                good: plain.fg(Color::Indexed(78)),
                warning: plain.fg(Color::Indexed(220)),
                alarm: plain.fg(Color::Indexed(203)).add_modifier(Modifier::BOLD),
                chosen: plain.bg(Color::Indexed(238)).fg(Color::Indexed(255)),
                on_bar: Color::Indexed(16),
                ..mono
            },
            Name::Light => Self {
                classes: Some([172, 137, 133, 71, 37, 68, 107, 247, 160].map(Color::Indexed)),
                storm: Color::Indexed(163),
                accent: plain.fg(Color::Indexed(25)).add_modifier(Modifier::BOLD),
                faint: plain.fg(Color::Indexed(243)),
                good: plain.fg(Color::Indexed(28)),
                warning: plain.fg(Color::Indexed(130)),
                alarm: plain.fg(Color::Indexed(160)).add_modifier(Modifier::BOLD),
                chosen: plain.bg(Color::Indexed(254)).fg(Color::Indexed(16)),
                on_bar: Color::Indexed(231),
                paper: ["#ffffff", "#24292f"],
                ..mono
            },
        }
    }

    /// The colour of a class.
    #[must_use]
    pub fn class(&self, class: usize) -> Style {
        match self.classes {
            Some(colours) => Style::new().fg(colours[class]),
            None => Style::new(),
        }
    }

    /// One of two characters.
    #[must_use]
    pub const fn glyph<'a>(&self, fine: &'a str, ascii: &'a str) -> &'a str {
        if self.ascii { ascii } else { fine }
    }
}
