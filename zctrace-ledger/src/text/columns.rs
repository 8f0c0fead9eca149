//! Text in columns that fits a width: what does not fit wraps inside its column.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::style::{Surface, paint};

const GAP: usize = 2;
/// A blank at which a cell is not broken; printed as a blank.
const NO_BREAK: &str = "\u{a0}";

/// To which side of its column a cell keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its heading.
    pub header: &'static str,
    /// On which side cells start.
    pub align: Align,
    /// The widths to which it may be narrowed: first all columns are narrowed to where they read
    /// well, from the last to the first, then further. `None` where it must not.
    pub narrow: Option<Narrow>,
}

/// How narrow a column may get.
#[derive(Clone, Copy, Debug)]
pub struct Narrow {
    /// Still reads well.
    pub comfortable: usize,
    /// Still reads.
    pub least: usize,
}

/// The words of a cell, each in its style; wrapping breaks between words.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    words: Vec<(String, Style)>,
}

impl Cell {
    /// A cell in one style, broken at blanks.
    pub fn new(text: &str, style: Style) -> Self {
        let mut cell = Self::default();
        cell.push(text, style);
        cell
    }

    /// A cell whose blanks stay where they are.
    pub fn unbroken(text: &str, style: Style) -> Self {
        Self::new(&unbroken(text), style)
    }

    /// Appends words.
    pub fn push(&mut self, text: &str, style: Style) {
        self.words.extend(
            text.split(' ')
                .filter(|word| !word.is_empty())
                .map(|word| (word.to_owned(), style)),
        );
    }

    fn width(&self) -> usize {
        let words: usize = self.words.iter().map(|(word, _)| word.width()).sum();
        words + self.words.len().saturating_sub(1)
    }

    /// The lines of the cell in a column of `width`, with their visible widths.
    fn lines(&self, width: usize) -> Vec<(String, usize)> {
        let mut lines = vec![Line::default()];
        for (word, style) in &self.words {
            for (index, piece) in pieces(word, width).into_iter().enumerate() {
                let line = lines.last_mut().expect("there is always a line");
                let blank = usize::from(line.width > 0 && index == 0);
                if line.width > 0 && line.width + blank + piece.width() > width {
                    let mut line = Line::default();
                    line.push(piece, 0, *style);
                    lines.push(line);
                } else {
                    line.push(piece, blank, *style);
                }
            }
        }
        lines
            .iter()
            .map(|line| (line.painted(), line.width))
            .collect()
    }
}

/// A line of a cell: stretches of one style each.
#[derive(Debug, Default)]
struct Line {
    stretches: Vec<(String, Style)>,
    width: usize,
}

impl Line {
    fn push(&mut self, text: &str, blank: usize, style: Style) {
        self.width += blank + text.width();
        let blank = " ".repeat(blank);
        match self.stretches.last_mut() {
            Some((stretch, last)) if *last == style => {
                stretch.push_str(&blank);
                stretch.push_str(text);
            }
            Some((stretch, _)) => {
                stretch.push_str(&blank);
                self.stretches.push((text.into(), style));
            }
            None => self.stretches.push((text.into(), style)),
        }
    }

    fn painted(&self) -> String {
        self.stretches
            .iter()
            .map(|(text, style)| paint(*style, text))
            .collect()
    }
}

/// `word` cut into pieces no wider than `width`, before an arrow where that helps.
pub fn pieces(word: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while rest.width() > width.max(1) {
        let mut end = 0;
        let mut used = 0;
        for char in rest.chars() {
            let next = used + char.width().unwrap_or(0);
            if next > width && end > 0 {
                break;
            }
            used = next;
            end += char.len_utf8();
        }
        // Up to and including the byte where the arrow could start.
        if let Some(arrow) = rest.find("->").filter(|arrow| (1..=end).contains(arrow)) {
            end = arrow;
        }
        let (piece, tail) = rest.split_at(end);
        pieces.push(piece);
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

/// `text` as one word.
pub fn unbroken(text: &str) -> String {
    text.replace(' ', NO_BREAK)
}

/// One line of a table, or several where something wraps.
#[derive(Clone, Debug)]
enum Row {
    /// A cell for each column.
    Cells(Vec<Cell>),
    /// Text across the first columns, then cells for the others.
    Spanning(String, Style, Vec<Cell>),
    /// Text across all columns, wrapped, indented.
    Text(Cell, usize),
    Blank,
}

/// Rows under headings.
#[derive(Clone, Debug)]
pub struct Columns {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

impl Columns {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: Vec<Column>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// A row with a cell for each column.
    pub fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len());
        self.rows.push(Row::Cells(cells));
    }

    /// Text across the columns for which `cells` has none; cut where it does not fit.
    pub fn spanning(&mut self, text: String, style: Style, cells: Vec<Cell>) {
        self.rows.push(Row::Spanning(text, style, cells));
    }

    /// Text across the whole width, wrapped and indented.
    pub fn text(&mut self, cell: Cell, indent: usize) {
        self.rows.push(Row::Text(cell, indent));
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.rows.push(Row::Blank);
    }

    /// The table, each line ended by a newline.
    pub fn render(&self, surface: Surface) -> String {
        let widths = self.widths(surface.width);
        let mut out = String::new();
        if self.columns.iter().any(|column| !column.header.is_empty()) {
            let headers: Vec<_> = self
                .columns
                .iter()
                .map(|column| Cell::new(column.header, surface.palette.faint))
                .collect();
            self.cells(&headers, &widths, 0, &mut out);
        }
        for row in &self.rows {
            match row {
                Row::Cells(cells) => self.cells(cells, &widths, 0, &mut out),
                Row::Spanning(text, style, cells) => {
                    let spanned = widths.len() - cells.len();
                    let room = total(&widths[..spanned]);
                    let text = cut(text, room);
                    let pad = room - text.width();
                    let mut line = String::new();
                    self.cells(cells, &widths[spanned..], spanned, &mut line);
                    let (first, rest) = line.split_once('\n').unwrap_or((&line, ""));
                    let mut text = paint(*style, &text);
                    if !first.is_empty() {
                        text.push_str(&" ".repeat(pad + GAP));
                        text.push_str(first);
                    }
                    out.push_str(text.trim_end());
                    out.push('\n');
                    for line in rest.lines() {
                        out.push_str(&" ".repeat(room + GAP));
                        out.push_str(line);
                        out.push('\n');
                    }
                }
                Row::Text(cell, indent) => {
                    for (line, _) in cell.lines(surface.width.saturating_sub(*indent)) {
                        out.push_str(&" ".repeat(*indent));
                        out.push_str(&line);
                        out.push('\n');
                    }
                }
                Row::Blank => out.push('\n'),
            }
        }
        out.replace(NO_BREAK, " ")
    }

    /// Writes cells for the columns from `first` on; `widths` begins there too.
    fn cells(&self, cells: &[Cell], widths: &[usize], first: usize, out: &mut String) {
        let wrapped: Vec<_> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| cell.lines(*width))
            .collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
        for index in 0..height {
            let mut line = String::new();
            // Blanks are written only before something, so that no line ends in them.
            let mut owed = 0;
            for ((cell, width), column) in wrapped.iter().zip(widths).zip(&self.columns[first..]) {
                let (text, used) = cell
                    .get(index)
                    .map_or(("", 0), |(text, used)| (text, *used));
                let pad = width.saturating_sub(used);
                if used == 0 {
                    owed += width;
                } else if column.align == Align::Right {
                    line.push_str(&" ".repeat(owed + pad));
                    line.push_str(text);
                    owed = 0;
                } else {
                    line.push_str(&" ".repeat(owed));
                    line.push_str(text);
                    owed = pad;
                }
                owed += GAP;
            }
            out.push_str(&line);
            out.push('\n');
        }
    }

    /// Natural widths, narrowed until they fit.
    fn widths(&self, available: usize) -> Vec<usize> {
        let mut widths: Vec<_> = self.columns.iter().map(|c| c.header.width()).collect();
        for row in &self.rows {
            let (first, cells) = match row {
                Row::Cells(cells) => (0, cells),
                Row::Spanning(_, _, cells) => (self.columns.len() - cells.len(), cells),
                Row::Text(..) | Row::Blank => continue,
            };
            for (width, cell) in widths[first..].iter_mut().zip(cells) {
                *width = cell.width().max(*width);
            }
        }
        for row in &self.rows {
            if let Row::Spanning(text, _, cells) = row {
                let spanned = &mut widths[..self.columns.len() - cells.len()];
                let missing = text.width().saturating_sub(total(spanned));
                if let Some(last) = spanned.last_mut() {
                    *last += missing;
                }
            }
        }
        for stage in [
            |narrow: Narrow| narrow.comfortable,
            |narrow: Narrow| narrow.least,
        ] {
            for (index, column) in self.columns.iter().enumerate().rev() {
                let excess = total(&widths).saturating_sub(available);
                if let Some(narrow) = column.narrow {
                    let least = stage(narrow).max(column.header.width());
                    let narrowed = widths[index].saturating_sub(excess).max(least);
                    widths[index] = widths[index].min(narrowed);
                }
            }
        }
        widths
    }
}

fn total(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// `text` cut to `width`, with two dots where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.into();
    }
    let mut kept = String::new();
    let mut used = 0;
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        if used + 2 > width {
            break;
        }
        kept.push(char);
    }
    kept.push_str("..");
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        let column = |header, align, narrow: Option<(usize, usize)>| Column {
            header,
            align,
            narrow: narrow.map(|(comfortable, least)| Narrow { comfortable, least }),
        };
        Columns::new(vec![
            column("NAME", Align::Left, Some((9, 6))),
            column("BYTES", Align::Right, None),
            column("HOW", Align::Left, Some((10, 6))),
        ])
    }

    fn plain(text: &str) -> Cell {
        Cell::new(text, Style::new())
    }

    fn render(columns: &Columns, width: usize) -> String {
        columns.render(Surface {
            width,
            ..Surface::FILE
        })
    }

    #[test]
    fn columns_take_what_they_need() {
        let mut table = columns();
        table.row(vec![plain("a"), plain("12"), plain("copied")]);
        table.spanning("all of it".into(), Style::new(), vec![plain("nothing")]);
        assert_eq!(
            render(&table, 80),
            "NAME  BYTES  HOW\na        12  copied\nall of it    nothing\n"
        );
    }

    #[test]
    fn what_does_not_fit_wraps_in_its_column() {
        let mut table = columns();
        table.row(vec![
            plain("file:ext4->tcp"),
            plain("12"),
            plain("copied to user, spliced"),
        ]);
        for width in [24, 30, 40] {
            let text = render(&table, width);
            for line in text.lines() {
                assert!(line.width() <= width, "{width}: {line:?}");
                assert_eq!(line.trim_end(), line);
            }
        }
        assert_eq!(
            render(&table, 30),
            "NAME         BYTES  HOW\n\
             file:ext4       12  copied to\n\
             ->tcp               user,\n\
             \x20                   spliced\n"
        );
    }

    #[test]
    fn a_style_is_switched_only_where_it_changes() {
        let bold = Style::new().bold();
        let mut cell = Cell::new("one two", bold);
        cell.push("three", Style::new());
        assert_eq!(
            cell.lines(80),
            [(
                format!("{} three", paint(bold, "one two"))
                    .replace("two\u{1b}[0m ", "two \u{1b}[0m"),
                13
            )]
        );
    }

    #[test]
    fn words_are_cut_by_width_not_by_bytes() {
        assert_eq!(pieces("日本語", 4), ["日本", "語"]);
        assert_eq!(pieces("file:ext4->tcp", 11), ["file:ext4", "->tcp"]);
        assert_eq!(pieces("->tcp", 3), ["->t", "cp"]);
        assert_eq!(cut("日本語", 5), "日..");
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "lon..");
    }
}
