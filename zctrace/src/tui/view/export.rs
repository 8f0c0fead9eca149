//! What is on screen, as a file.

use std::fmt::Write as _;

use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
};

use crate::{
    text::escape::xml,
    tui::{
        state::{State, format::Format},
        view,
    },
};

/// The screen, or all rows of its view.
#[must_use]
pub fn content(state: &State, format: Format) -> String {
    match format {
        Format::Text => text(&screen(state)),
        Format::Svg => svg(&screen(state), state.theme.paper),
        Format::Csv => csv(state),
        Format::Json => json(state),
    }
}

/// What is on screen.
pub(in crate::tui) fn screen(state: &State) -> Buffer {
    let area = Rect::new(0, 0, state.size.0, state.size.1);
    let mut buffer = Buffer::empty(area);
    view::draw(state, area, &mut buffer);
    buffer
}

/// The characters of a screen, line by line.
#[must_use]
pub fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in buffer.area.rows() {
        let mut line = String::new();
        let mut covered = 0;
        for cell in y.columns().filter_map(|at| buffer.cell((at.x, at.y))) {
            // A wide character covers the cell after it.
            if covered == 0 {
                line.push_str(cell.symbol());
                covered = unicode_width::UnicodeWidthStr::width(cell.symbol()).max(1);
            }
            covered -= 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn fields(state: &State) -> (Vec<&'static str>, Vec<Vec<serde_json::Value>>) {
    let columns = state.view.columns();
    let names = columns.iter().map(|column| column.name).collect();
    let Some(moment) = &state.shown else {
        return (names, Vec::new());
    };
    let rows = state.view.rows(moment, &state.scope());
    let values = |row: &u32| {
        (0..columns.len())
            .map(|column| rows.value(*row as usize, column).exported())
            .collect()
    };
    (names, state.order.iter().map(values).collect())
}

fn json(state: &State) -> String {
    let (names, rows) = fields(state);
    let rows: Vec<serde_json::Map<_, _>> = rows
        .into_iter()
        .map(|row| names.iter().map(ToString::to_string).zip(row).collect())
        .collect();
    let total = state.shown.as_ref().map(|moment| moment.total);
    let document = serde_json::json!({
        "schema": "zctrace.view/1", "view": state.view.titles().0, "total": total, "rows": rows,
    });
    format!("{document:#}\n")
}

fn csv(state: &State) -> String {
    let (names, rows) = fields(state);
    let mut text = names.join(",");
    text.push('\n');
    for row in rows {
        let fields: Vec<_> = row
            .iter()
            .map(|value| match value {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => crate::report::csv::quote(text),
                other => crate::report::csv::quote(&other.to_string()),
            })
            .collect();
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

fn svg(buffer: &Buffer, paper: [&str; 2]) -> String {
    let (width, height) = (
        u32::from(buffer.area.width) * 8,
        u32::from(buffer.area.height) * 17,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"monospace\" font-size=\"13.3\" xml:space=\"preserve\">\n<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>\n",
        paper[0]
    );
    for y in 0..buffer.area.height {
        let cells: Vec<&Cell> = (0..buffer.area.width)
            .filter_map(|x| buffer.cell((x, y)))
            .collect();
        let mut start = 0;
        while start < cells.len() {
            let look = |cell: &Cell| (cell.fg, cell.bg, cell.modifier);
            let same = cells[start..]
                .iter()
                .take_while(|cell| look(cell) == look(cells[start]))
                .count();
            stretch(&cells[start..start + same], start, y, paper, &mut svg);
            start += same;
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// A stretch of cells that look the same.
fn stretch(cells: &[&Cell], x: usize, y: u16, paper: [&str; 2], svg: &mut String) {
    let look = cells[0];
    let (mut fg, mut bg) = (hex(look.fg, paper[1]), hex(look.bg, ""));
    if look.modifier.contains(Modifier::REVERSED) {
        (fg, bg) = (if bg.is_empty() { paper[0].into() } else { bg }, fg);
    }
    let (x, y, width) = (x * 8, u32::from(y) * 17, cells.len() * 8);
    if !bg.is_empty() {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"17\" fill=\"{bg}\"/>"
        );
    }
    // Blocks are drawn: fonts leave gaps between them.
    for (place, cell) in cells.iter().enumerate() {
        if let Some((left, top, width, height)) = block(cell.symbol()) {
            let (x, y) = (
                f64::from(u32::try_from(x + place * 8).unwrap_or(0)),
                f64::from(y),
            );
            let _ = writeln!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{fg}\"/>",
                x + left * 8.0,
                y + top * 17.0,
                width * 8.0,
                height * 17.0
            );
        }
    }
    let weight = if look.modifier.contains(Modifier::BOLD) {
        " font-weight=\"bold\""
    } else {
        ""
    };
    let dim = if look.modifier.contains(Modifier::DIM) {
        " opacity=\"0.6\""
    } else {
        ""
    };
    // A word for each element: its place is that of its first cell, whatever the font.
    let is_word = |cell: &&Cell| !cell.symbol().trim().is_empty() && block(cell.symbol()).is_none();
    let mut start = 0;
    while start < cells.len() {
        let length = cells[start..]
            .iter()
            .take_while(|cell| is_word(cell))
            .count();
        if length == 0 {
            start += 1;
            continue;
        }
        let word: String = cells[start..start + length]
            .iter()
            .map(|cell| cell.symbol())
            .collect();
        let word = xml(&word);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" textLength=\"{}\" fill=\"{fg}\"{weight}{dim}>{word}</text>",
            x + start * 8,
            y + 13,
            length * 8
        );
        start += length;
    }
}

/// Where a block character is filled, in parts of its cell: left, top, width, height.
fn block(symbol: &str) -> Option<(f64, f64, f64, f64)> {
    const LOWER: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    const PARTS: [f64; 8] = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0];
    match symbol {
        "▀" => Some((0.0, 0.0, 1.0, 0.5)),
        "▌" => Some((0.0, 0.0, 0.5, 1.0)),
        "▏" => Some((0.0, 0.0, 0.125, 1.0)),
        _ => {
            let index = LOWER.iter().position(|block| *block == symbol)?;
            Some((0.0, 1.0 - PARTS[index], 1.0, PARTS[index]))
        }
    }
}

fn hex(colour: Color, default: &str) -> String {
    const SIXTEEN: [&str; 16] = [
        "#1d1f21", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
        "#5c6370", "#ff8b92", "#b5e08f", "#ffd68a", "#8cc8ff", "#e29bf0", "#7fd6e0", "#ffffff",
    ];
    let index: u8 = match colour {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
        Color::Indexed(index) if index >= 232 => {
            let grey = 8 + (index - 232) * 10;
            return format!("#{grey:02x}{grey:02x}{grey:02x}");
        }
        Color::Indexed(index) if index >= 16 => {
            let part = |value: u8| if value == 0 { 0 } else { 55 + value * 40 };
            let cube = index - 16;
            return format!(
                "#{:02x}{:02x}{:02x}",
                part(cube / 36),
                part(cube / 6 % 6),
                part(cube % 6)
            );
        }
        Color::Indexed(index) => index,
        _ => return default.into(),
    };
    SIXTEEN
        .get(usize::from(index))
        .map_or_else(String::new, ToString::to_string)
}
