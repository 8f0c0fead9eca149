//! How the operations of a row failed: a count for each errno.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use nix::errno::Errno as Known;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What an operation failed with.
///
/// It is written as the kernel's headers name it. One that has no name there is `errno_` and its
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(u32);

/// Errnos that system calls return inside the kernel only: a signal came, and the call is started
/// again or fails with `EINTR`, as the signal's handler wants it.
const RESTARTS: [(u32, &str); 4] = [
    (512, "ERESTARTSYS"),
    (513, "ERESTARTNOINTR"),
    (514, "ERESTARTNOHAND"),
    (516, "ERESTART_RESTARTBLOCK"),
];

/// How [`Errno::OTHER`] is written.
const OTHER: &str = "other";
/// How an errno without a name begins.
const UNNAMED: &str = "errno_";
/// The kernel returns none beyond it (`MAX_ERRNO`).
const MOST: u32 = 4095;

impl Errno {
    /// The map of errnos had no room to tell which.
    pub const OTHER: Self = Self(0);

    /// The errno with a number.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number, 0 for [`Errno::OTHER`].
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(self) -> Option<String> {
        if self == Self::OTHER {
            return Some(OTHER.to_owned());
        }
        let known = i32::try_from(self.0).map_or(Known::UnknownErrno, Known::from_raw);
        if known != Known::UnknownErrno {
            return Some(format!("{known:?}"));
        }
        let mut restarts = RESTARTS.iter();
        let (_, name) = restarts.find(|(number, _)| *number == self.0)?;
        Some((*name).to_owned())
    }

    /// The errno that is written like this.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(number) = text.strip_prefix(UNNAMED) {
            return number.parse().ok().map(Self);
        }
        (0..=MOST)
            .map(Self)
            .find(|errno| errno.name().is_some_and(|name| name == text))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(&name),
            None => write!(f, "{UNNAMED}{}", self.0),
        }
    }
}

impl Serialize for Errno {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Errno {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format_args!("no errno: {text}")))
    }
}

/// How many operations failed with each errno. The sum is the `errors` of the row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Errnos(BTreeMap<Errno, u64>);

impl Errnos {
    /// Whether nothing failed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many operations failed.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0
            .values()
            .fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// How many failed with this errno.
    #[must_use]
    pub fn get(&self, errno: Errno) -> u64 {
        self.0.get(&errno).copied().unwrap_or(0)
    }

    /// Each errno and its count, in the order of the errnos.
    pub fn iter(&self) -> impl Iterator<Item = (Errno, u64)> {
        self.0.iter().map(|(&errno, &count)| (errno, count))
    }

    /// The same, the most frequent first.
    #[must_use]
    pub fn by_count(&self) -> Vec<(Errno, u64)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_by_key(|&(errno, count)| (Reverse(count), errno));
        all
    }

    /// In words, the most frequent first: `EINVAL`, or `12 EAGAIN, 3 EINVAL`; `None` where nothing failed.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.to_string())
    }

    /// Counts more operations that failed with an errno.
    pub fn count(&mut self, errno: Errno, more: u64) {
        if more != 0 {
            let count = self.0.entry(errno).or_default();
            *count = count.saturating_add(more);
        }
    }

    /// Adds another row's.
    pub fn add(&mut self, other: &Self) {
        for (errno, count) in other.iter() {
            self.count(errno, count);
        }
    }

    /// Takes an earlier reading away.
    pub fn subtract(&mut self, other: &Self) {
        for (errno, count) in other.iter() {
            if let Entry::Occupied(mut mine) = self.0.entry(errno) {
                *mine.get_mut() = mine.get().saturating_sub(count);
                if *mine.get() == 0 {
                    mine.remove();
                }
            }
        }
    }
}

impl FromIterator<(Errno, u64)> for Errnos {
    fn from_iter<I: IntoIterator<Item = (Errno, u64)>>(counts: I) -> Self {
        let mut errnos = Self::default();
        for (errno, count) in counts {
            errnos.count(errno, count);
        }
        errnos
    }
}

/// For people: `EAGAIN`, or with several of them `12 EAGAIN, 3 EINVAL`, the most frequent first.
impl fmt::Display for Errnos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.by_count();
        if let [(errno, _)] = all[..] {
            return write!(f, "{errno}");
        }
        for (place, (errno, count)) in all.into_iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {errno}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::{Counted, Path, Process, Totals};

    #[test]
    fn the_most_frequent_is_named_first() {
        let mut errnos = Errnos::default();
        assert_eq!(errnos.words(), None);
        errnos.count(Errno(22), 3);
        assert_eq!(errnos.words().as_deref(), Some("EINVAL"));
        errnos.count(Errno(11), 12);
        assert_eq!(errnos.words().as_deref(), Some("12 EAGAIN, 3 EINVAL"));
    }

    #[test]
    fn errnos_are_written_as_in_the_headers() {
        for (number, name) in [
            (libc::EAGAIN, "EAGAIN"),
            (libc::EXDEV, "EXDEV"),
            (libc::EOPNOTSUPP, "EOPNOTSUPP"),
            (libc::ENOBUFS, "ENOBUFS"),
            (512, "ERESTARTSYS"),
            (0, "other"),
            (4000, "errno_4000"),
        ] {
            let errno = Errno::new(number.unsigned_abs());
            assert_eq!(errno.to_string(), name);
            assert_eq!(Errno::parse(name), Some(errno));
        }
        assert_eq!(Errno::parse("EWHATEVER"), None);
    }

    #[test]
    fn people_read_the_most_frequent_first() {
        let errnos: Errnos = [(Errno::new(11), 3)].into_iter().collect();
        assert_eq!(errnos.to_string(), "EAGAIN");
        let errnos: Errnos = [(Errno::new(11), 3), (Errno::new(22), 12), (Errno::OTHER, 3)]
            .into_iter()
            .collect();
        assert_eq!(errnos.to_string(), "12 EINVAL, 3 other, 3 EAGAIN");
    }

    fn errnos() -> impl Strategy<Value = Errnos> {
        prop::collection::vec((0_u32..600, 1_u64..1 << 40), 0..4).prop_map(|counts| {
            counts
                .into_iter()
                .map(|(errno, count)| (Errno::new(errno), count))
                .collect()
        })
    }

    /// A row whose errors are those of its errnos.
    fn path(op: usize, errnos: Errnos) -> Path {
        Path {
            op: ["read", "splice", "sendfile"][op].into(),
            object: "pipe".into(),
            evidence: "measured".into(),
            by: None,
            totals: Totals {
                ops: errnos.total(),
                errors: errnos.total(),
                ..Totals::default()
            },
            errnos,
            notified: crate::ledger::Notified::default(),
        }
    }

    fn paths() -> impl Strategy<Value = Vec<Path>> {
        prop::collection::vec(errnos(), 0..4).prop_map(|all| {
            let rows = all.into_iter().enumerate();
            rows.map(|(op, errnos)| path(op % 3, errnos)).collect()
        })
    }

    fn counted(paths: Vec<Path>) -> Counted {
        let mut merged: Vec<Path> = Vec::new();
        for path in paths {
            match merged.iter_mut().find(|other| other.op == path.op) {
                Some(other) => other.add(&path),
                None => merged.push(path),
            }
        }
        let process = Process::from_paths(1, 1, "x".into(), "/".into(), merged);
        Counted {
            processes: vec![process],
            ..Counted::default()
        }
    }

    proptest! {
        #[test]
        fn a_document_says_them_and_reads_them(errnos in errnos()) {
            let row = path(0, errnos);
            let json = serde_json::to_string(&row).unwrap();
            prop_assert_eq!(json.contains("errnos"), row.totals.errors != 0);
            prop_assert_eq!(serde_json::from_str::<Path>(&json).unwrap(), row);
        }

        /// However rows are added up and taken from one another.
        #[test]
        fn the_sum_is_the_errors_of_the_row(before in paths(), later in paths()) {
            let earlier = counted(before.clone());
            let now = counted([before, later.clone()].concat());
            let gained = now.since(&earlier);
            for counted in [&earlier, &now, &gained] {
                for process in &counted.processes {
                    let errors: u64 = process.paths.iter().map(|path| path.errnos.total()).sum();
                    prop_assert_eq!(process.total.errors, errors);
                    for path in &process.paths {
                        prop_assert_eq!(path.totals.errors, path.errnos.total());
                    }
                }
            }
            // What is gained is what came later.
            let mut sum = Errnos::default();
            gained.processes.iter().flat_map(|p| &p.paths).for_each(|path| sum.add(&path.errnos));
            let mut wanted = Errnos::default();
            later.iter().for_each(|path| wanted.add(&path.errnos));
            prop_assert_eq!(sum, wanted);
        }
    }
}
