//! The line above a table.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget as _,
};

use super::{
    header,
    lines::{ascii, both_ends, cut, wrapped},
};
use crate::{
    claims::ZERO_COPY,
    text::{
        bytes::{bytes, count},
        escape::printable,
    },
    tui::{
        moment::{Moment, ProcessRow, Whose, sides::Part},
        rows::views::{Scope, View, named},
        state::{State, keys::Action},
    },
};

/// Whose rows these are, and how many.
pub(super) fn draw(state: &State, moment: &Moment, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let whose = match state.whose {
        None => format!(" {}", header::target(moment)),
        Some(Whose::Command(comm)) => match moment.command(comm) {
            Some(row) => format!(" {}, {}", printable(moment.name(comm)), processes(row)),
            None => format!(" {}, nothing since the base", printable(moment.name(comm))),
        },
        Some(Whose::Process(id)) => match moment.process(id) {
            Some(process) => format!(" {}", printable(&named(moment, process.comm, id))),
            None => " a process that has ended".into(),
        },
    };
    let mut left = vec![Span::styled(
        if matches!(state.view, View::Probes | View::Workloads) {
            String::new()
        } else {
            whose
        },
        theme.strong,
    )];
    if matches!(state.view, View::Paths | View::Claims)
        && let Some(names) = moment.not_seen()
    {
        left.push(Span::styled(format!("  {names}"), theme.warning));
    }
    for (what, _) in state.view.unseen(moment) {
        left.push(Span::styled(format!("  {what}"), theme.warning));
    }
    if state.view == View::Stacks {
        left.push(Span::styled(sampled(moment), theme.faint));
    }
    if state.view == View::Workloads {
        let text = format!(" next run: {}", state.parameters.shown());
        left.push(Span::styled(text, theme.faint));
    }
    if state.view == View::Claims {
        let text = format!("  verdicts: at most {ZERO_COPY} copies per byte");
        left.push(Span::styled(text, theme.faint));
    }
    let rows = match state.order.len() {
        1 => "1 row ".into(),
        rows => format!("{rows} rows "),
    };
    let folded = folded(state, moment).unwrap_or_default();
    let right = Line::from_iter([
        Span::styled(folded, theme.warning),
        Span::styled(rows, theme.faint),
    ]);
    both_ends(Line::from(left), &right, area, buffer);
}

/// How many rows of the claims are left out because they moved too few bytes.
fn folded(state: &State, moment: &Moment) -> Option<String> {
    let scope = state.scope();
    if state.view != View::Claims || scope.small {
        return None;
    }
    let rows = |small| View::Claims.rows(moment, &Scope { small, ..scope }).len();
    let number = rows(true) - rows(false);
    let key = state.keymap.hint(Action::Small);
    let number = count(number.try_into().unwrap_or(u64::MAX));
    (number != "0").then(|| format!("{number} too small to judge: {key}  "))
}

/// Which rows are shown, and whether what is above them is of these rows alone.
pub(super) fn filter(state: &State, area: Rect, buffer: &mut Buffer) {
    let Some((_, filter)) = &state.pane().filter else {
        return;
    };
    let rest = match state.view {
        View::Overview | View::Memory if state.has_chart() => "; chart and totals are of all rows",
        _ => "",
    };
    let rows = |number: usize| count(number.try_into().unwrap_or(u64::MAX));
    let numbers = format!(
        ", {} of {} rows{rest}",
        rows(state.order.len()),
        rows(state.rows)
    );
    let room = usize::from(area.width).saturating_sub(numbers.len() + " filter: ".len());
    let text = format!(" filter: {}{numbers}", cut(&printable(filter), room));
    Line::styled(text, state.theme.warning).render(area, buffer);
}

/// What should change about the chosen row. What is in parentheses goes first if there is no room.
pub(super) fn advice(state: &State, area: Rect, buffer: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let Some(advice) = state.advice() else {
        return;
    };
    let text = if state.theme.ascii {
        ascii(&advice.text)
    } else {
        advice.text
    };
    let (width, height) = (usize::from(area.width) - 2, usize::from(area.height));
    let mut lines = wrapped(&text, width);
    if lines.len() > height {
        lines = wrapped(&without_asides(&text), width);
    }
    if lines.len() > height {
        let rest = lines.split_off(height - 1).join(" ");
        lines.push(cut(&rest, width));
    }
    for (line, row) in lines.into_iter().zip(area.rows()) {
        Line::styled(format!(" {line}"), state.theme.accent).render(row, buffer);
    }
}

/// A text without what is in parentheses between its words.
fn without_asides(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" (") {
        let Some((_, after)) = after.split_once(')') else {
            break;
        };
        kept.push_str(before);
        rest = after;
    }
    kept + rest
}

/// How many processes a row is of.
fn processes(row: &ProcessRow) -> String {
    let of = |number: u64, what: &str| match number {
        0 => String::new(),
        1 => format!("1 process{what}"),
        several => format!("{} processes{what}", count(several)),
    };
    match (row.alive, row.ended) {
        (alive, 0) => of(alive, ""),
        (0, ended) => of(ended, ", ended"),
        (alive, ended) => format!("{}, {} more ended", of(alive, ""), count(ended)),
    }
}

/// How stacks are sampled, and what of it was lost.
fn sampled(moment: &Moment) -> String {
    let stacks = &moment.stacks.stacks;
    let mut text = match &moment.sides.stacks {
        Part::Here(0) => "  sampled by copied bytes".to_owned(),
        Part::Here(every) => format!("  a stack every {} copied", bytes(*every)),
        Part::Missing(why) => format!("  {why}"),
    };
    if stacks.lost != 0 {
        text.push_str(&format!(", LOST {}", bytes(stacks.lost)));
    }
    text
}
