//! The screen: a pure function of the state.

mod banner;
mod beside;
mod caption;
mod chart;
pub mod export;
mod flame;
mod footer;
mod header;
pub(in crate::tui) mod lines;
mod overlay;
mod summary;
pub(in crate::tui) mod table;
pub(in crate::tui) mod tabs;

use ratatui::{buffer::Buffer, layout::Rect, text::Line, widgets::Widget as _};

use super::{
    rows::views::View,
    state::{State, layout},
};

/// The least size at which there is something to show.
const LEAST: (u16, u16) = (40, 10);

/// Draws everything.
pub fn draw(state: &State, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        Line::raw(format!("needs {}x{}", LEAST.0, LEAST.1)).render(area, buffer);
        return;
    }
    let regions = layout::regions(state.facts(), area);
    header::draw(state, regions.header, buffer);
    tabs::draw(state, regions.tabs, buffer);
    banner::draw(state, regions.banner, buffer);
    match &state.shown {
        None => {
            let text = if state.replay.is_some() {
                "Reading the recording ..."
            } else {
                "Attaching probes ..."
            };
            Line::styled(text, state.theme.faint)
                .centered()
                .render(regions.table, buffer);
        }
        Some(moment) => {
            match state.view {
                _ if state.has_chart() => chart::panel(state, moment, regions.top, buffer),
                View::Workloads => {
                    let line = Rect {
                        height: regions.top.height.min(1),
                        ..regions.top
                    };
                    caption::draw(state, moment, line, buffer);
                    if let Some(run) = &state.run {
                        let rest = Rect {
                            y: regions.top.y + line.height,
                            height: regions.top.height - line.height,
                            ..regions.top
                        };
                        beside::draw(run, &state.theme, rest, buffer);
                    }
                }
                _ => caption::draw(state, moment, regions.top, buffer),
            }
            caption::advice(state, regions.advice, buffer);
            caption::filter(state, regions.filter, buffer);
            if state.view == View::Stacks && state.flames && !state.order.is_empty() {
                flame::draw(state, moment, regions.table, buffer);
            } else {
                table::draw(state, moment, regions.table, buffer);
            }
        }
    }
    footer::draw(state, regions.footer, buffer);
    for over in &state.overlays {
        overlay::draw(state, over, area, buffer);
    }
}
