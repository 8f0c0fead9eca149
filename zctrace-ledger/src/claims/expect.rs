//! What a process is expected to use: `sendfile>=0.95`. Before measuring a path, one wants to know that the program
//! took it.

use std::fmt;

use serde::{Deserialize, Serialize};
use zctrace_common::{Cause, Op};

use super::{
    job::{Job, Place, job},
    operations::{alike, matches},
};
use crate::ledger::Totals;

/// The maximum length of an expectation.
const MOST_TEXT: usize = 200;
/// The maximum number of expectations in a claim.
pub(super) const MOST: usize = 16;

/// The way that bytes are expected to go, beside the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Direct,
    Spliced,
    Cloned,
    Mapped,
    Encrypted,
}

impl Way {
    const ALL: [Self; 5] = [
        Self::Direct,
        Self::Spliced,
        Self::Cloned,
        Self::Mapped,
        Self::Encrypted,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Spliced => "spliced",
            Self::Cloned => "cloned",
            Self::Mapped => "mapped",
            Self::Encrypted => "encrypted",
        }
    }

    /// Bytes of a row that went this way.
    pub(super) fn bytes(self, totals: &Totals) -> u64 {
        match self {
            Self::Direct => totals.direct,
            // Bytes that were copied later were copied after all.
            Self::Spliced => totals.spliced.saturating_sub(totals.deferred),
            Self::Cloned => totals.cloned,
            Self::Mapped => totals.mapped,
            Self::Encrypted => totals.encrypted,
        }
    }

    /// Where bytes can go this way.
    const fn goes(self, flow: Flow, place: Place) -> bool {
        match (self, flow) {
            (Self::Direct, _) | (Self::Cloned, Flow::Given) => matches!(place, Place::Stored),
            (Self::Encrypted, _) => matches!(place, Place::Network),
            (Self::Mapped, Flow::Taken) => matches!(place, Place::Stored | Place::Network),
            (Self::Spliced, _) => true,
            (Self::Cloned, Flow::Taken) | (Self::Mapped, Flow::Given) => false,
        }
    }
}

/// Which way bytes go, seen from the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flow {
    /// Out of a place: into its memory, or on to another place.
    Taken,
    /// Into a place: out of its memory, or from another place.
    Given,
}

/// One kind of work: bytes taken from one kind of place, or given to it.
pub(super) type Work = (Flow, Place);

/// A share of a process's bytes that is expected to go one way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expectation {
    op: Option<String>,
    pub(super) way: Option<Way>,
    pub(super) place: Option<Place>,
    pub(super) is_least: bool,
    pub(super) share: f64,
}

/// Why a text is not an expectation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Too long to be one.
    #[error("an expectation has at most {MOST_TEXT} characters")]
    Long,
    /// No `>=` and no `<=`.
    #[error("{0:?} has neither >= nor <=")]
    Comparison(String),
    /// Not a share.
    #[error("{0:?} is not a share from 0 to 1")]
    Share(String),
    /// Every program meets it.
    #[error("{0} always holds")]
    Always(String),
    /// Neither an operation nor a property.
    #[error("{0:?} is neither an operation nor a property")]
    Word(String),
    /// Two words of the same kind.
    #[error("{0:?} and {1:?} cannot both be expected")]
    Both(String, String),
    /// A place alone.
    #[error("{0:?} names no operation and no way")]
    Nothing(String),
    /// No other operation does this work, so there is no share.
    #[error("no other operation does the work of {0}, so it has no share")]
    Alone(String),
    /// Such bytes never go there.
    #[error("{0} never goes that way")]
    Never(String),
}

impl Flaw {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Long | Self::Comparison(_) | Self::Nothing(_) => {
                "write an operation, maybe properties, and a share: 'sendfile>=0.95', \
                 'read,direct>=0.99', 'uring.*,network>=0.9', 'write<=0.05'"
                    .into()
            }
            Self::Share(_) => "0.95 means 95 % of the bytes".into(),
            Self::Always(_) => "expect more than 0 with >=, or less than 1 with <=".into(),
            Self::Word(word) => format!(
                "operations: {}, ...; ways: {}; places: {}",
                alike(word).join(", "),
                Way::ALL.map(Way::name).join(", "),
                Place::NAMED.map(|(name, _)| name).join(", "),
            ),
            Self::Both(..) => "give each its own --expect".into(),
            Self::Alone(_) => "limit its copies with --max-copies-per-byte and --path".into(),
            Self::Never(_) => {
                "direct and cloned are about files, encrypted about the network, mapped about what \
                 is read or received"
                    .into()
            }
        }
    }
}

impl Expectation {
    /// Reads an expectation.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        if text.chars().count() > MOST_TEXT {
            return Err(Flaw::Long);
        }
        let (words, is_least, share) = match (text.split_once(">="), text.split_once("<=")) {
            (Some((words, share)), None) => (words, true, share),
            (None, Some((words, share))) => (words, false, share),
            _ => return Err(Flaw::Comparison(text.trim().to_owned())),
        };
        let number = share.trim();
        let share: f64 = number
            .parse()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
            .ok_or_else(|| Flaw::Share(number.to_owned()))?;
        let mut expectation = Self {
            op: None,
            way: None,
            place: None,
            is_least,
            share,
        };
        for word in words.split(',').map(str::trim) {
            expectation.take(word)?;
        }
        if expectation.op.is_none() && expectation.way.is_none() {
            return Err(Flaw::Nothing(words.trim().to_owned()));
        }
        if share == if is_least { 0.0 } else { 1.0 } {
            return Err(Flaw::Always(expectation.to_string()));
        }
        if let Some(op) = &expectation.op
            && expectation.jobs().next().is_none()
        {
            return Err(Flaw::Alone(op.clone()));
        }
        if expectation.works().is_empty() {
            return Err(Flaw::Never(expectation.subject()));
        }
        Ok(expectation)
    }

    fn take(&mut self, word: &str) -> Result<(), Flaw> {
        let before = if let Some(way) = Way::ALL.into_iter().find(|way| way.name() == word) {
            self.way.replace(way).map(|way| way.name().to_owned())
        } else if let Some((_, place)) = Place::NAMED.into_iter().find(|(name, _)| *name == word) {
            self.place
                .replace(place)
                .map(|place| place.words().to_owned())
        } else if is_operation(word) {
            self.op.replace(word.to_owned())
        } else {
            return Err(Flaw::Word(word.to_owned()));
        };
        match before {
            Some(before) => Err(Flaw::Both(before, word.to_owned())),
            None => Ok(()),
        }
    }

    /// What is expected, without how much of it.
    pub(super) fn subject(&self) -> String {
        let place = self.place.and_then(|place| {
            let mut named = Place::NAMED.into_iter();
            named
                .find(|(_, other)| *other == place)
                .map(|(name, _)| name)
        });
        let words: Vec<_> = [self.op.as_deref(), self.way.map(Way::name), place]
            .into_iter()
            .flatten()
            .collect();
        words.join(",")
    }

    /// The operation, or the family.
    pub(super) fn path(&self) -> Option<&str> {
        self.op.as_deref()
    }

    /// Whether rows of this operation are expected.
    pub(super) fn is_about(&self, op: &str) -> bool {
        self.op.as_deref().is_none_or(|path| matches(path, op))
    }

    /// Whether pages that a fault made visible are bytes of this kind. The libraries of a program are not its payload.
    pub(super) fn counts_faults(&self) -> bool {
        self.way == Some(Way::Mapped)
            || self
                .op
                .as_deref()
                .is_some_and(|op| matches(op, Op::FaultMap.name()))
    }

    fn jobs(&self) -> impl Iterator<Item = Job> {
        Op::ALL
            .iter()
            .copied()
            .filter(|op| self.is_about(op.name()))
            .filter_map(job)
    }

    /// The kinds of work that it is about.
    pub(super) fn works(&self) -> Vec<Work> {
        let of_op = |flow, place| {
            self.op.is_none()
                || self.jobs().any(|job| match (job, flow) {
                    (Job::Take(is), Flow::Taken)
                    | (Job::Give(is) | Job::Pass(_, is), Flow::Given) => is(place),
                    _ => false,
                })
        };
        let mut works = Vec::new();
        for flow in [Flow::Taken, Flow::Given] {
            for (_, place) in Place::NAMED {
                let is_meant = self.place.is_none_or(|only| only == place)
                    && of_op(flow, place)
                    && self.way.is_none_or(|way| way.goes(flow, place));
                if is_meant {
                    works.push((flow, place));
                }
            }
        }
        works
    }

    /// The kinds of work that it is primarily about, if these are enough to judge by.
    pub(super) fn natural(&self) -> Option<fn(Place) -> bool> {
        if self.op.is_none() || self.place.is_some() {
            return None;
        }
        let all = |is: fn(&Op) -> bool| {
            let mut ops = Op::ALL.iter().filter(|op| self.is_about(op.name()));
            ops.all(is)
        };
        if all(|op| *op == Op::Sendfile) {
            Some(Place::is_socket)
        } else if all(|op| op.cause() == Cause::Aio) {
            Some(|place| place == Place::Stored)
        } else {
            None
        }
    }
}

fn is_operation(word: &str) -> bool {
    Op::ALL
        .iter()
        .any(|op| *op != Op::Kernel && matches(word, op.name()))
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = if self.is_least { ">=" } else { "<=" };
        write!(f, "{}{comparison}{}", self.subject(), self.share)
    }
}

impl TryFrom<String> for Expectation {
    type Error = Flaw;

    fn try_from(text: String) -> Result<Self, Flaw> {
        Self::parse(&text)
    }
}

impl From<Expectation> for String {
    fn from(expectation: Expectation) -> Self {
        expectation.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_can_be_expected() {
        for (text, written) in [
            ("sendfile>=0.95", "sendfile>=0.95"),
            (" read , direct >= 0.99 ", "read,direct>=0.99"),
            ("direct,read>=.99", "read,direct>=0.99"),
            ("uring.*>=1", "uring.*>=1"),
            ("uring.*,network>=0.5", "uring.*,network>=0.5"),
            ("direct>=0.5", "direct>=0.5"),
            ("encrypted>=0.99", "encrypted>=0.99"),
            ("send.zerocopy,spliced>=0.9", "send.zerocopy,spliced>=0.9"),
            ("write,file<=0", "write,file<=0"),
            ("aio.read>=0.5", "aio.read>=0.5"),
            ("clone>=0.5", "clone>=0.5"),
            ("copy_file_range,cloned>=0.5", "copy_file_range,cloned>=0.5"),
            ("fault.map>=0.5", "fault.map>=0.5"),
            ("uring.send_zc>=0.5", "uring.send_zc>=0.5"),
        ] {
            let expectation = Expectation::parse(text).expect(text);
            assert_eq!(expectation.to_string(), written);
            assert_eq!(Expectation::parse(written), Ok(expectation));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("", "neither >= nor <="),
            ("sendfile", "neither >= nor <="),
            ("sendfile=0.9", "neither >= nor <="),
            ("sendfile>=0.9<=1", "neither >= nor <="),
            ("sendfile>=", "not a share"),
            ("sendfile>=95", "not a share"),
            ("sendfile>=nan", "not a share"),
            ("sendfile>=-0.1", "not a share"),
            ("sendfile>=0", "always holds"),
            ("sendfile<=1", "always holds"),
            (">=0.9", "neither an operation nor"),
            ("sendfil>=0.9", "neither an operation nor"),
            ("kernel>=0.9", "neither an operation nor"),
            ("sendfile,splice>=0.9", "cannot both"),
            ("direct,spliced>=0.9", "cannot both"),
            ("read,file,network>=0.9", "cannot both"),
            ("network>=0.9", "no operation"),
            ("fault.cow>=0.9", "no share"),
            ("process_vm>=0.9", "no share"),
            ("send,direct>=0.9", "never goes"),
            ("copy_file_range,network>=0.9", "never goes"),
            ("write,mapped>=0.9", "never goes"),
        ] {
            let flaw = Expectation::parse(text).expect_err(text);
            assert!(flaw.to_string().contains(part), "{text}: {flaw}");
            assert!(!flaw.remedy().is_empty());
        }
        let flaw = Expectation::parse("sendfil>=0.9").expect_err("no such operation");
        assert!(flaw.remedy().contains("sendfile"), "{}", flaw.remedy());
        let long = format!("sendfile>=0.9{}", "0".repeat(300));
        assert_eq!(Expectation::parse(&long), Err(Flaw::Long));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,40}") {
            if let Ok(expectation) = Expectation::parse(&text) {
                prop_assert_eq!(Expectation::parse(&expectation.to_string()), Ok(expectation));
            }
        }
    }
}
