//! The documentation's Markdown as text for a terminal.

use anstyle::Style;

use crate::{
    explain::Entry,
    text::{
        columns::{Align, Cell, Column, Columns, Narrow},
        style::{Surface, paint},
    },
};

/// Wider lines are hard to read.
const MAX_WIDTH: usize = 88;

/// One section with its heading.
#[must_use]
pub fn section(entry: &Entry, surface: Surface) -> String {
    let names: Vec<_> = entry.names().collect();
    let heading = format!("{} ({})", names.join(", "), entry.group.to_lowercase());
    let mut text = paint(surface.palette.strong, &heading);
    text.push_str("\n\n");
    text.push_str(&paragraphs(entry.text, surface));
    text
}

/// Paragraphs wrapped anew; indented ones are kept as they are.
fn paragraphs(markdown: &str, surface: Surface) -> String {
    let surface = Surface {
        width: surface.width.min(MAX_WIDTH),
        ..surface
    };
    let mut text = String::new();
    for (index, paragraph) in markdown.split("\n\n").enumerate() {
        if index > 0 {
            text.push('\n');
        }
        if paragraph.starts_with("    ") {
            text.push_str(paragraph.trim_end());
            text.push('\n');
            continue;
        }
        let mut lines = Columns::new(Vec::new());
        lines.text(marked(paragraph, surface.palette.strong), 0);
        text.push_str(&lines.render(surface));
    }
    text
}

/// Names in backticks in a style of their own; the marks of emphasis are dropped.
fn marked(paragraph: &str, strong: Style) -> Cell {
    let mut cell = Cell::default();
    for word in paragraph.split_whitespace() {
        let style = if word.contains('`') {
            strong
        } else {
            Style::new()
        };
        cell.push(&word.replace(['`', '*'], ""), style);
    }
    cell
}

/// Every section's names and first sentence.
#[must_use]
pub fn list(entries: &[Entry], surface: Surface) -> String {
    let column = |comfortable, least| Column {
        header: "",
        align: Align::Left,
        narrow: Some(Narrow { comfortable, least }),
    };
    let mut table = Columns::new(vec![column(26, 14), column(30, 14)]);
    let mut group = "";
    for entry in entries {
        if entry.group != group {
            if !group.is_empty() {
                table.blank();
            }
            group = entry.group;
            table.text(Cell::new(group, surface.palette.strong), 0);
        }
        let names: Vec<_> = entry.names().collect();
        table.row(vec![
            Cell::unbroken(&format!("  {}", names.join(", ")), Style::new()),
            Cell::new(&entry.summary(), surface.palette.faint),
        ]);
    }
    table.render(surface)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::{entries, find};

    #[test]
    fn a_section_is_readable_without_markup() {
        let text = section(&find("copies_per_byte").unwrap(), Surface::FILE);
        assert!(text.starts_with("copies_per_byte, COPIES/B, COPY/B, C/B (what is computed"));
        assert!(text.contains("\n    (copied_to_user + "));
        assert!(!text.contains('`'));
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }

    #[test]
    fn the_list_has_every_entry() {
        let text = list(&entries(), Surface::FILE);
        assert!(text.contains("aio.read, aio.write"));
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}
