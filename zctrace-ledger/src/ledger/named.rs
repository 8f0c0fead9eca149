//! Words of the ledger: known ones as the types of `zctrace-common`, and those of later versions.
//!
//! A document says an operation by its name. Here the name is read once, and what follows from it
//! is asked of the type. A recording by a later version may have words that this one does not know:
//! they are kept as they are, and nothing follows from them.

use std::{cmp::Ordering, fmt};

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zctrace_common::{Evidence, Op};

/// A type each of whose values has a name in reports.
pub trait Word: Copy + Eq {
    /// The name.
    fn name(self) -> &'static str;

    /// The value with this name.
    fn of_name(name: &str) -> Option<Self>;
}

impl Word for Op {
    fn name(self) -> &'static str {
        Self::name(self)
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::of_name(name)
    }
}

impl Word for Evidence {
    fn name(self) -> &'static str {
        Self::name(self)
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::of_name(name)
    }
}

/// A [`Word`], or a name that this version does not know.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Named<T>(Either<T>);

/// Apart from [`Named`], so that nobody makes a known name an unknown one.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Either<T> {
    Known(T),
    Unknown(CompactString),
}

impl<T: Word> Named<T> {
    /// A known word.
    pub const fn new(word: T) -> Self {
        Self(Either::Known(word))
    }

    /// The word; `None` where this version does not know it.
    pub const fn known(&self) -> Option<T> {
        match self.0 {
            Either::Known(word) => Some(word),
            Either::Unknown(_) => None,
        }
    }

    /// Whether it is known, and this holds for it.
    pub fn is(&self, holds: impl FnOnce(T) -> bool) -> bool {
        self.known().is_some_and(holds)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Either::Known(word) => word.name(),
            Either::Unknown(name) => name,
        }
    }
}

/// What the first word of a name says, even of an operation that this version does not know.
impl Named<Op> {
    /// Whether it is a request that completes later: one of io_uring or Linux AIO.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.begins_like(Op::is_request)
    }

    /// Whether it is a page fault, or a fork that had to copy.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.begins_like(Op::is_fault)
    }

    fn begins_like(&self, is: fn(Op) -> bool) -> bool {
        let Either::Unknown(name) = &self.0 else {
            return self.is(is);
        };
        let first = |name: &str| name.split_once('.').map(|(first, _)| first.len());
        let mut alike = Op::ALL.iter().filter(|op| is(**op)).map(|op| op.name());
        alike.any(|known| first(known).is_some_and(|end| name.get(..=end) == known.get(..=end)))
    }
}

impl<T: Word> From<T> for Named<T> {
    fn from(word: T) -> Self {
        Self::new(word)
    }
}

/// Reads a name.
impl<T: Word> From<&str> for Named<T> {
    fn from(name: &str) -> Self {
        Self(T::of_name(name).map_or_else(|| Either::Unknown(name.into()), Either::Known))
    }
}

impl<T: Word> PartialEq<T> for Named<T> {
    fn eq(&self, word: &T) -> bool {
        self.known() == Some(*word)
    }
}

/// For tests only: elsewhere a name that is compared with a literal does not compile.
#[cfg(any(test, feature = "samples"))]
impl<T: Word> PartialEq<&str> for Named<T> {
    fn eq(&self, name: &&str) -> bool {
        self.as_str() == *name
    }
}

/// By name, as in reports.
impl<T: Word> Ord for Named<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<T: Word> PartialOrd for Named<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Word> fmt::Display for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<T: Word> fmt::Debug for Named<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<T: Word> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Word> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&*CompactString::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returns<T: Word + fmt::Debug>(all: &[T]) {
        for word in all {
            let named = Named::<T>::from(word.name());
            assert_eq!(named.known(), Some(*word));
            assert_eq!(named, *word);
            let json = serde_json::to_string(&named).unwrap();
            assert_eq!(json, format!("\"{}\"", word.name()));
            assert_eq!(serde_json::from_str::<Named<T>>(&json).unwrap(), named);
        }
    }

    #[test]
    fn each_name_is_that_of_one_word() {
        returns(Op::ALL);
        returns(Evidence::ALL);
    }

    #[test]
    fn an_unknown_name_is_kept_as_it_is() {
        for name in ["", "guessed", "Measured", "measured ", "a\u{1b}[2J\"->\0"] {
            let named = Named::<Evidence>::from(name);
            assert_eq!(named.known(), None);
            assert_eq!(named.as_str(), name);
            assert!(!named.is(|_| true));
            let json = serde_json::to_string(&named).unwrap();
            assert_eq!(json, serde_json::to_string(name).unwrap());
            assert_eq!(
                serde_json::from_str::<Named<Evidence>>(&json).unwrap(),
                named
            );
        }
    }

    #[test]
    fn the_first_word_is_enough_for_a_request_or_a_fault() {
        let is = |name: &str| {
            let op = Named::<Op>::from(name);
            (op.is_request(), op.is_fault())
        };
        for op in Op::ALL {
            assert_eq!(is(op.name()), (op.is_request(), op.is_fault()));
        }
        assert_eq!(is("uring.later"), (true, false));
        assert_eq!(is("aio."), (true, false));
        assert_eq!(is("fault.later"), (false, true));
        for other in [
            "uring",
            "uringer.read",
            "Aio.read",
            "fault",
            "",
            ".",
            "later",
        ] {
            assert_eq!(is(other), (false, false), "{other}");
        }
    }

    #[test]
    fn names_are_sorted_as_text() {
        let mut all: Vec<Named<Op>> = ["write", "tea", "read", "tee"].map(Named::from).into();
        all.sort();
        assert_eq!(all, ["read", "tea", "tee", "write"]);
    }
}
