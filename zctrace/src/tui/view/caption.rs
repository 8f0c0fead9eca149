//! The line above a table.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
};

use super::lines::both_ends;
use crate::{
    text::{bytes::bytes, escape::printable},
    tui::{
        moment::{Moment, sides::Part, verdicts::LIMIT},
        rows::views::View,
        state::State,
    },
};

/// Whose rows these are, and how many.
pub(super) fn draw(state: &State, moment: &Moment, area: Rect, buffer: &mut Buffer) {
    let theme = &state.theme;
    let whose = match state.process.and_then(|id| moment.process(id)) {
        Some(process) => format!(
            " {} [{}]",
            printable(moment.name(process.comm)),
            process.id.pid
        ),
        None if state.process.is_some() => " a process that is gone".into(),
        None => " all processes".into(),
    };
    let mut left = vec![Span::styled(
        if matches!(state.view, View::Probes | View::Workloads) {
            String::new()
        } else {
            whose
        },
        theme.strong,
    )];
    if let Some((_, filter)) = &state.pane().filter {
        left.push(Span::styled(
            format!("  filter: {}", printable(filter)),
            theme.warning,
        ));
    }
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
        let text = format!("  verdicts: at most {LIMIT} copies per byte");
        left.push(Span::styled(text, theme.faint));
    }
    let rows = match state.order.len() {
        1 => "1 row ".into(),
        rows => format!("{rows} rows "),
    };
    let right = Line::styled(rows, theme.faint);
    both_ends(Line::from(left), &right, area, buffer);
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
