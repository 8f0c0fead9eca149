//! Where the parts of the screen are. The state scrolls by it, and the view draws by it.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::tui::rows::views::View;

/// What the layout depends on beside the size.
#[derive(Clone, Copy)]
pub(in crate::tui) struct Facts {
    /// Which table is shown.
    pub(in crate::tui) view: View,
    /// There is something to say above the table.
    pub(in crate::tui) banner: bool,
    /// A filter is in force, or being typed.
    pub(in crate::tui) filter: bool,
    /// A technique is or was measured.
    pub(in crate::tui) run: bool,
    /// The view has a chart.
    pub(in crate::tui) chart: bool,
    /// The view says what should change.
    pub(in crate::tui) advice: bool,
}

/// Where things are.
#[derive(Clone, Copy)]
pub(in crate::tui) struct Regions {
    pub(in crate::tui) header: Rect,
    pub(in crate::tui) tabs: Rect,
    pub(in crate::tui) banner: Rect,
    pub(in crate::tui) filter: Rect,
    pub(in crate::tui) top: Rect,
    pub(in crate::tui) advice: Rect,
    pub(in crate::tui) table: Rect,
    pub(in crate::tui) footer: Rect,
}

pub(in crate::tui) fn regions(facts: Facts, area: Rect) -> Regions {
    let (banner, filter) = (u16::from(facts.banner), u16::from(facts.filter));
    let body = area.height.saturating_sub(4 + banner + filter);
    let top = match facts.view {
        _ if facts.chart && body >= 24 => (body * 2 / 5).min(16),
        _ if facts.chart && body >= 14 => 7,
        _ if facts.chart => 3,
        View::Workloads if facts.run => 4.min(body / 2),
        _ => 1,
    };
    // As much as a sentence takes, and always the same, so that rows stay where they are.
    let advice = match area.width {
        _ if !facts.advice || body < 18 => 0,
        ..110 => 3,
        _ => 2,
    };
    let parts = [
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Length(banner),
        Constraint::Length(top.min(body.saturating_sub(3))),
        Constraint::Length(advice),
        Constraint::Length(filter),
        Constraint::Min(0),
        Constraint::Length(1),
    ];
    let [header, tabs, banner, top, advice, filter, table, footer] =
        Layout::vertical(parts).areas(area);
    Regions {
        header,
        tabs,
        banner,
        filter,
        top,
        advice,
        table,
        footer,
    }
}

/// How many rows the table shows.
#[must_use]
pub(in crate::tui) fn page(size: (u16, u16), facts: Facts) -> usize {
    let area = Rect::new(0, 0, size.0, size.1);
    regions(facts, area).table.height.saturating_sub(1).into()
}
