//! One line of what there is to say.

use ratatui::{buffer::Buffer, layout::Rect, style::Modifier, text::Line, widgets::Widget as _};
use unicode_width::UnicodeWidthStr as _;

use crate::{
    text::{bytes::duration, escape::printable},
    tui::state::{State, keys::Action, position::Status},
};

pub(super) fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let text = if let Some(notice) = &state.notice {
        printable(notice)
    } else if let Some(ended) = &state.ended {
        format!(
            "{}; final numbers shown, {} quits",
            printable(ended),
            state.keymap.hint(Action::Quit)
        )
    } else if let Some(replay) = &state.replay {
        replayed(state, replay)
    } else {
        format!(
            "Display frozen, still counting; {} resumes",
            state.keymap.hint(Action::Freeze)
        )
    };
    let style = state.theme.warning.add_modifier(Modifier::REVERSED);
    if area.height > 0 {
        buffer.set_style(area, style);
        Line::styled(format!(" {text}"), style).render(area, buffer);
    }
}

/// Where the replay is.
fn replayed(state: &State, replay: &Status) -> String {
    let mark = if replay.paused {
        state.theme.glyph("⏸", "||")
    } else {
        state.theme.glyph("▶", ">")
    };
    let place = format!(
        "{mark} {}  interval {} of {}, {} of {}",
        replay.speed(),
        replay.position + 1,
        replay.intervals,
        duration(replay.at),
        duration(replay.length),
    );
    let recorded = match &replay.started_at {
        at if at.is_empty() => String::new(),
        at => format!("; recorded {}", printable(at)),
    };
    let (flaw, why) = match &replay.damage {
        Some(damage) => ("; incomplete", format!(": {damage}")),
        None => ("", String::new()),
    };
    // As much as there is room for. That it is incomplete is always said.
    let room = usize::from(state.size.0).saturating_sub(2);
    [(&*why, &*recorded), (&why, ""), ("", &recorded)]
        .into_iter()
        .map(|(why, recorded)| format!("{place}{flaw}{why}{recorded}"))
        .find(|text| text.width() <= room)
        .unwrap_or_else(|| format!("{place}{flaw}"))
}
