//! What every view's table is made of: rows of values under named columns. Sorting, filtering,
//! drawing and exporting know nothing else.

pub mod views;

use std::{borrow::Cow, cmp::Ordering, time::Duration};

use zctrace_common::Sizes;

use super::moment::SPARK;
pub use super::moment::{RowId, id_of};
use crate::{
    ledger::{PerByte, Totals},
    text::{
        bytes::{bytes, count, duration},
        escape::printable,
    },
};

/// A value in a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Not known.
    None,
    /// A name.
    Text(Cow<'a, str>),
    /// One of a few words, and what it says of the row.
    Word(&'static str, Tone),
    /// A number of things.
    Count(u64),
    /// A number that names something.
    Number(u32),
    /// An amount of bytes.
    Bytes(u64),
    /// Bytes in a second.
    BytesPerSecond(f64),
    /// Things in a second.
    PerSecond(f64),
    /// Copies per byte.
    PerByte(PerByte),
    /// A plain number.
    Figure(f64),
    /// A part in percent.
    Percent(Option<f64>),
    /// A length of time.
    Time(Duration),
    /// How bytes moved.
    Ways(Box<Totals>),
    /// How many operations there are of each size.
    Sizes(&'a Sizes),
    /// The last steps.
    Spark(&'a [u32; SPARK]),
}

/// What a word says of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    Plain,
    /// It is as it should be.
    Good,
    /// It is to be read with care.
    Warning,
    /// It is not as it should be.
    Alarm,
}

impl<'a> Value<'a> {
    /// A name that is there already.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// As it is shown; bars and lines are drawn instead.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::None | Self::Spark(_) | Self::Ways(_) | Self::Sizes(_) => String::new(),
            Self::Text(text) => printable(text),
            Self::Word(word, _) => (*word).to_owned(),
            Self::Count(value) => count(*value),
            Self::Number(value) => value.to_string(),
            Self::Bytes(value) => bytes(*value),
            Self::BytesPerSecond(rate) if *rate == 0.0 => "-".into(),
            Self::BytesPerSecond(rate) => bytes(whole(*rate)),
            Self::PerSecond(rate) if *rate == 0.0 => "-".into(),
            Self::PerSecond(rate) => count(whole(*rate)),
            Self::PerByte(figure) => figure.to_string(),
            Self::Figure(figure) => format!("{figure:.2}"),
            Self::Percent(None) => "-".into(),
            Self::Percent(Some(part)) => percent(*part),
            Self::Time(time) => duration(*time),
        }
    }

    /// As it is exported.
    #[must_use]
    pub fn exported(&self) -> serde_json::Value {
        match self {
            Self::None => serde_json::Value::Null,
            Self::Text(text) => text.as_ref().into(),
            Self::Word(word, _) => (*word).into(),
            Self::Count(value) | Self::Bytes(value) => (*value).into(),
            Self::Number(value) => (*value).into(),
            Self::BytesPerSecond(rate) | Self::PerSecond(rate) => (*rate).into(),
            Self::PerByte(figure) => figure.ratio().into(),
            Self::Figure(figure) => (*figure).into(),
            Self::Percent(part) => (*part).into(),
            Self::Time(time) => u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).into(),
            Self::Ways(totals) => {
                let ways = totals.classes().into_iter().chain(totals.extras());
                let ways = ways.filter(|(_, bytes)| *bytes != 0);
                ways.map(|(name, bytes)| (name.to_owned(), bytes.into()))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            }
            Self::Sizes(sizes) => (0..)
                .zip(sizes.counts)
                .filter(|(_, count)| *count != 0)
                .map(|(place, count)| (Sizes::least(place).to_string(), count.into()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Self::Spark(values) => values.as_slice().into(),
        }
    }

    /// The number in it, to compare with.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for comparing; 2^53 is exact")]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Count(value) | Self::Bytes(value) => Some(*value as f64),
            Self::Number(value) => Some(f64::from(*value)),
            Self::BytesPerSecond(rate) | Self::PerSecond(rate) => Some(*rate),
            Self::PerByte(figure) => figure.ratio(),
            Self::Figure(figure) => Some(*figure),
            Self::Percent(part) => *part,
            Self::Time(time) => Some(time.as_secs_f64()),
            Self::Ways(totals) => Some(totals.moved as f64),
            Self::Spark(values) => values.last().map(|last| f64::from(*last)),
            Self::None | Self::Text(_) | Self::Word(..) | Self::Sizes(_) => None,
        }
    }

    /// The name or word in it, in lower case.
    #[must_use]
    pub fn lowercase(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.to_lowercase()),
            Self::Word(word, _) => Some(word.to_lowercase()),
            _ => None,
        }
    }

    /// What sorts it.
    #[must_use]
    pub fn key(&self) -> Key {
        match self.lowercase() {
            Some(text) => Key::Text(text),
            None => self.number().map_or(Key::None, Key::Number),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from a float keeps to the bounds"
)]
fn whole(rate: f64) -> u64 {
    rate.round().max(1.0) as u64
}

fn percent(part: f64) -> String {
    match part {
        0.0 => "0%".into(),
        part if part < 1.0 => "<1%".into(),
        part if part < 100.0 && part > 99.0 => ">99%".into(),
        part => format!("{part:.0}%"),
    }
}

/// What a row is sorted by.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
pub enum Key {
    /// Nothing: always last.
    None,
    /// A number.
    Number(f64),
    /// A name, in lower case.
    Text(String),
}

impl Key {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::None, Self::None) => Ordering::Equal,
            (Self::None, _) => Ordering::Less,
            (_, Self::None) => Ordering::Greater,
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

/// What a column holds; says how a filter's number is read and to which side it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Names.
    Text,
    /// Amounts or rates of bytes.
    Bytes,
    /// Other numbers.
    Number,
    /// Something drawn.
    Drawing,
}

/// A column of a view's table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in filters, settings and exports.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What it says, for people.
    pub help: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// Its least width.
    pub width: u16,
    /// Its greatest width: more than `width` for one that takes what is left.
    pub most: u16,
    /// Shown unless the user chooses otherwise.
    pub shown: bool,
    /// How soon it gives way where there is no room for all, the greatest first. Those with 0 say
    /// which row it is, and stay.
    pub rank: u8,
}

/// The rank of a column of which nothing is said.
const USUAL: u8 = 5;

impl Column {
    const fn new(
        name: &'static str,
        title: &'static str,
        holds: Holds,
        width: u16,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            title,
            help,
            holds,
            width,
            most: width,
            shown: true,
            rank: USUAL,
        }
    }

    /// A column of names.
    #[must_use]
    pub const fn text(
        name: &'static str,
        title: &'static str,
        width: u16,
        most: u16,
        help: &'static str,
    ) -> Self {
        Self {
            most,
            ..Self::new(name, title, Holds::Text, width, help)
        }
    }

    /// A column of bytes.
    #[must_use]
    pub const fn bytes(name: &'static str, title: &'static str, help: &'static str) -> Self {
        Self::new(name, title, Holds::Bytes, 9, help)
    }

    /// A column of numbers.
    #[must_use]
    pub const fn number(
        name: &'static str,
        title: &'static str,
        width: u16,
        help: &'static str,
    ) -> Self {
        Self::new(name, title, Holds::Number, width, help)
    }

    /// A column of drawings.
    #[must_use]
    pub const fn drawing(
        name: &'static str,
        title: &'static str,
        width: u16,
        most: u16,
        help: &'static str,
    ) -> Self {
        Self {
            most,
            ..Self::new(name, title, Holds::Drawing, width, help)
        }
    }

    /// One that says which row it is.
    #[must_use]
    pub const fn identity(self) -> Self {
        self.rank(0)
    }

    /// One that gives way after those with a greater rank.
    #[must_use]
    pub const fn rank(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }

    /// One that is shown only if the user chooses it.
    #[must_use]
    pub const fn on_demand(mut self) -> Self {
        self.shown = false;
        self
    }
}

/// The rows of a view.
pub trait Rows {
    /// How many.
    fn len(&self) -> usize;
    /// What distinguishes this one from the others.
    fn id(&self, row: usize) -> RowId;
    /// Its value in the column with this index.
    fn value(&self, row: usize, column: usize) -> Value<'_>;
    /// Whether it is worth a second look: unexplained bytes, a refused probe.
    fn is_alarming(&self, _row: usize) -> bool {
        false
    }
    /// Whether what it is of has ended.
    fn is_over(&self, _row: usize) -> bool {
        false
    }
    /// Names in it that can be explained, the weightiest first.
    fn topics(&self, _row: usize) -> Vec<String> {
        Vec::new()
    }
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// No rows.
#[derive(Debug)]
pub struct NoRows;

impl Rows for NoRows {
    fn len(&self) -> usize {
        0
    }

    fn id(&self, _row: usize) -> RowId {
        0
    }

    fn value(&self, _row: usize, _column: usize) -> Value<'_> {
        Value::None
    }
}

/// How a table is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// Index of the column; `None` for the order in which the rows come.
    pub column: Option<usize>,
    /// Greatest first.
    pub descending: bool,
}

/// The rows that `keep` keeps, in order. Equal rows stay in the order in which they come.
pub fn order(rows: &dyn Rows, keep: impl Fn(usize) -> bool, sort: Sort) -> Vec<u32> {
    let kept = (0..rows.len()).filter(|row| keep(*row));
    let as_index = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
    let Some(column) = sort.column else {
        return kept.map(as_index).collect();
    };
    let mut keyed: Vec<_> = kept
        .map(|row| (rows.value(row, column).key(), as_index(row)))
        .collect();
    keyed.sort_by(|(a, _), (b, _)| {
        let order = a.compare(b);
        if sort.descending {
            order.reverse()
        } else {
            order
        }
    });
    keyed.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_rests_on_unseen_bytes_has_its_mark() {
        let unseen = Totals {
            moved: 1,
            unexplained: 1,
            ..Totals::default()
        };
        assert_eq!(Value::PerByte(unseen.per_byte()).shown(), "0.00?");
    }
}
