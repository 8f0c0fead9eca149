//! Whether and how to use colour.

use std::{env, io::IsTerminal, os::fd::AsFd};

use anstyle::{AnsiColor, Color, Effects, Style};

/// Width where there is no terminal to ask.
const DEFAULT_WIDTH: usize = 80;
/// Narrower than this, lines are left to the terminal to wrap.
const MIN_WIDTH: usize = 40;

/// The colours of reports. The terminal's own palette: it fits its background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Headings and processes.
    pub strong: Style,
    /// What matters less.
    pub faint: Style,
    /// No copies at all.
    pub good: Style,
    /// Loss, and conclusions that were not measured.
    pub warning: Style,
    /// Unexplained bytes.
    pub alarm: Style,
}

impl Palette {
    /// No colour.
    pub const PLAIN: Self = Self {
        strong: Style::new(),
        faint: Style::new(),
        good: Style::new(),
        warning: Style::new(),
        alarm: Style::new(),
    };
    /// The terminal's colours.
    pub const COLOUR: Self = Self {
        strong: Style::new().effects(Effects::BOLD),
        faint: Style::new().effects(Effects::DIMMED),
        good: foreground(AnsiColor::Green),
        warning: foreground(AnsiColor::Yellow),
        alarm: foreground(AnsiColor::Red).effects(Effects::BOLD),
    };
}

const fn foreground(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// `text` in a style; unchanged in the plain one.
#[must_use]
pub fn paint(style: Style, text: &str) -> String {
    if style == Style::new() {
        text.into()
    } else {
        format!("{style}{text}{style:#}")
    }
}

/// How a stream wants its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surface {
    /// Width in columns.
    pub width: usize,
    /// Its colours.
    pub palette: Palette,
}

impl Surface {
    /// What a file gets.
    pub const FILE: Self = Self {
        width: DEFAULT_WIDTH,
        palette: Palette::PLAIN,
    };

    /// What fits `stream`: colours on a terminal only, and not with `NO_COLOR` or on a dumb one;
    /// the width of the terminal, else of `COLUMNS`, else 80.
    pub fn of(stream: &(impl AsFd + IsTerminal)) -> Self {
        let var = |name| env::var_os(name).filter(|value| !value.is_empty());
        let terminal = stream.is_terminal();
        let colour =
            terminal && var("NO_COLOR").is_none() && var("TERM").is_none_or(|term| term != "dumb");
        let width = terminal_size::terminal_size_of(stream)
            .map(|(width, _)| usize::from(width.0))
            .filter(|width| terminal && *width != 0)
            .or_else(|| var("COLUMNS")?.to_str()?.parse().ok())
            .unwrap_or(DEFAULT_WIDTH);
        Self {
            width: width.max(MIN_WIDTH),
            palette: if colour {
                Palette::COLOUR
            } else {
                Palette::PLAIN
            },
        }
    }
}
