//! What lies over the view.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Block, BorderType, Clear, Widget as _},
};
use unicode_width::UnicodeWidthStr as _;

use super::lines::{ASCII_BORDER, ascii};
use crate::{
    text::escape::printable,
    tui::{
        rows::Column,
        state::{Overlay, State, keys::Action, reading},
    },
};

pub(super) fn draw(state: &State, overlay: &Overlay, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let columns = state.view.columns();
    let key = |name: &str, text: &str| {
        Line::from(vec![
            Span::styled(format!("{name:<18} "), theme.accent),
            text.to_owned().into(),
        ])
    };
    let typed = |text: &str| {
        Line::from(vec![
            "> ".into(),
            printable(text).into(),
            Span::styled(" ", Style::new().add_modifier(Modifier::REVERSED)),
        ])
    };
    let longest = columns.iter().map(|column| column.name.len()).max();
    let list = |mark: &dyn Fn(usize) -> &'static str| -> Vec<Line<'_>> {
        let line = |(index, column): (usize, &Column)| {
            let name = format!("{}{:2$}", mark(index), column.name, longest.unwrap_or(0));
            key(&name, column.help)
        };
        columns.iter().enumerate().map(line).collect()
    };
    let (title, lines, at): (&str, Vec<Line<'_>>, Option<usize>) = match overlay {
        Overlay::Help(line) => {
            let lines = reading::help(state).into_iter();
            let lines = lines.map(|(name, text)| match &*text {
                "" => Line::styled(name, theme.strong),
                text => key(&printable(&name), text),
            });
            ("Help", lines.skip((*line).into()).collect(), None)
        }
        Overlay::Filter(input, error, _) => {
            let names: Vec<_> = columns.iter().map(|column| column.name).collect();
            let mut lines = vec![typed(input.value())];
            match error {
                Some(error) => lines.push(Line::styled(error.clone(), theme.warning)),
                None => lines.push(Line::styled(
                    "FIELD OP VALUE, joined by and, or, not; OP is = != < <= > >= ~ !~",
                    theme.faint,
                )),
            }
            let width = usize::from(area.width).saturating_sub(4);
            for line in wrapped(&format!("fields: {}", names.join(" ")), width) {
                lines.push(Line::styled(line, theme.faint));
            }
            ("Filter", lines, None)
        }
        Overlay::Target(input) => {
            let help = Line::styled(
                "pid 1234 | comm nginx | port 8080 | cgroup /path | system",
                theme.faint,
            );
            ("Target", vec![typed(input.value()), help], None)
        }
        Overlay::Seek(input, error) => {
            let help = match error {
                Some(error) => Line::styled(printable(error), theme.alarm),
                None => Line::styled("90s | 1m30s | 50% | #12", theme.faint),
            };
            ("Go to", vec![typed(input.value()), help], None)
        }
        Overlay::Parameters(input, error) => {
            let help = match error {
                Some(error) => Line::styled(printable(error), theme.alarm),
                None => Line::styled("bytes to carry, and bytes in a call", theme.faint),
            };
            ("Parameters", vec![typed(input.value()), help], None)
        }
        Overlay::Sort(at) => ("Sort by", list(&|_| ""), Some(*at)),
        Overlay::Columns(at) => {
            let shown = state.pane().shown.clone();
            (
                "Columns: space chooses",
                list(&move |index| if shown[index] { "[x] " } else { "[ ] " }),
                Some(*at),
            )
        }
        Overlay::Export => (
            "Export",
            vec![
                key("t", "the screen as text"),
                key("s", "the screen as SVG"),
                key("c", "the rows as CSV"),
                key("j", "the rows as JSON"),
            ],
            None,
        ),
        Overlay::Detail(line) => {
            let lines = reading::detail(state).into_iter();
            let lines = lines.map(|(name, text)| key(&name, &text));
            ("Row", lines.skip((*line).into()).collect(), None)
        }
        Overlay::Explained(topics, at, line) => {
            let lines = reading::explained(&topics[*at], area.width).into_iter();
            let lines = lines.map(|line| Line::raw(if theme.ascii { ascii(&line) } else { line }));
            ("Explained", lines.skip((*line).into()).collect(), None)
        }
    };
    let widest = lines.iter().map(Line::width).max().unwrap_or(0).max(30);
    let width = u16::try_from(widest + 4)
        .unwrap_or(u16::MAX)
        .min(area.width);
    let height = u16::try_from(lines.len() + 2)
        .unwrap_or(u16::MAX)
        .min(area.height);
    let free = area.height - height;
    let place = Rect::new(
        area.x + (area.width - width) / 2,
        area.y
            + match overlay {
                // The rows that it keeps stay in sight.
                Overlay::Filter(..) => free,
                _ => free / 2,
            },
        width,
        height,
    );
    Clear.render(place, buffer);
    let border = if theme.ascii {
        ASCII_BORDER
    } else {
        BorderType::Rounded.to_border_set()
    };
    let block = Block::bordered()
        .border_set(border)
        .border_style(theme.faint)
        .title(Span::styled(format!(" {title} "), theme.accent));
    let inner = block.inner(place);
    let below = lines.len().saturating_sub(inner.height.into());
    let block = match overlay {
        // The others move with what is chosen in them.
        Overlay::Help(_) | Overlay::Detail(_) | Overlay::Explained(..) if below > 0 => {
            let more = format!(" {below} more: {} ", state.keymap.hint(Action::Down));
            block.title_bottom(Line::styled(more, theme.warning).right_aligned())
        }
        _ => block,
    };
    let block = match overlay {
        Overlay::Explained(topics, at, _) if topics.len() > 1 => {
            let next = topics[(at + 1) % topics.len()]
                .names()
                .next()
                .unwrap_or_default();
            let text = format!(
                " {} of {}; {}: {next} ",
                at + 1,
                topics.len(),
                state.keymap.hint(Action::NextView)
            );
            block.title_bottom(Line::styled(text, theme.faint).left_aligned())
        }
        _ => block,
    };
    block.render(place, buffer);
    let offset = at.map_or(0, |at| (at + 1).saturating_sub(inner.height.into()));
    for (index, line) in lines
        .into_iter()
        .enumerate()
        .skip(offset)
        .take(inner.height.into())
    {
        let row = Rect::new(
            inner.x + 1,
            inner.y + u16::try_from(index - offset).unwrap_or(0),
            inner.width.saturating_sub(2),
            1,
        );
        line.render(row.intersection(inner), buffer);
        if at == Some(index) {
            buffer.set_style(row.intersection(inner), theme.chosen);
        }
    }
}

/// A text in lines of this width, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines
            .last_mut()
            .filter(|last| last.is_empty() || last.width() + 1 + word.width() <= width);
        match last {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) => {
                last.push(' ');
                last.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
