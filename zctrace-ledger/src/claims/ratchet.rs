//! The figures that each region of a test may have, in a file. They only ever go down.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt::Write as _,
};

use serde::{Deserialize, Serialize};

use super::policy;
use crate::ledger::Totals;

/// Bytes that count as copies. Where a file does not name one, none are allowed.
const COPIES: [&str; 7] = [
    "copied_to_user",
    "copied_from_user",
    "copied_in_kernel",
    "deferred",
    "recopied",
    "wasted",
    "cow",
];

/// Bytes that may be copies.
const UNEXPLAINED: &str = "unexplained";

/// The number of operations.
const OPS: &str = "ops";

/// The figures that a region may have at most, by name.
pub type Allowed = BTreeMap<String, u64>;

/// A file of figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratchet {
    /// By name of the region.
    #[serde(default)]
    pub region: BTreeMap<String, Allowed>,
}

/// A figure above what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excess {
    /// Its name.
    pub figure: String,
    /// What is allowed.
    pub allowed: u64,
    /// What was counted.
    pub counted: u64,
}

impl Excess {
    /// Whether these bytes may not have been copies.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.figure == UNEXPLAINED
    }
}

/// The figures of a region that can be in a file.
fn figures(totals: &Totals) -> impl Iterator<Item = (&'static str, u64)> {
    let bytes = totals.fields().into_iter();
    [(OPS, totals.ops)].into_iter().chain(bytes)
}

/// Whether a figure is allowed to be anything if the file does not name it.
fn is_free(figure: &str) -> bool {
    !COPIES.contains(&figure) && figure != UNEXPLAINED
}

impl Ratchet {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let ratchet: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let known = |name: &str| figures(&Totals::default()).any(|(figure, _)| figure == name);
        for (region, allowed) in &ratchet.region {
            if let Some(name) = allowed.keys().find(|name| !known(name)) {
                return Err(format!("region {region:?}: there is no figure {name:?}"));
            }
        }
        Ok(ratchet)
    }

    /// The file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::from(
            "# What each region may copy at most. `zctrace test --update` lowers figures and adds regions. It raises\n\
             # none. Copies that are not named are 0.\n",
        );
        for (name, allowed) in &self.region {
            let _ = writeln!(text, "\n[region.{}]", policy::text(name));
            for (figure, most) in allowed {
                let _ = writeln!(text, "{figure} = {most}");
            }
        }
        text
    }

    /// The figures of a region that are above what is allowed; `None` if the file does not have the region.
    #[must_use]
    pub fn excess(&self, name: &str, totals: &Totals) -> Option<Vec<Excess>> {
        let allowed = self.region.get(name)?;
        let excess = figures(totals).filter_map(|(figure, counted)| {
            let most = match allowed.get(figure) {
                Some(most) => *most,
                None if is_free(figure) => return None,
                None => 0,
            };
            (counted > most).then(|| Excess {
                figure: figure.into(),
                allowed: most,
                counted,
            })
        });
        Some(excess.collect())
    }

    /// Whether the file has a region.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.region.contains_key(name)
    }

    /// Whether the file says that there is no operation in a region.
    #[must_use]
    pub fn expects_nothing(&self, name: &str) -> bool {
        let allowed = self.region.get(name);
        allowed.is_some_and(|allowed| allowed.get(OPS) == Some(&0))
    }

    /// Lowers the figures of a region to what was counted, or adds the region with them. A region without operations says
    /// so. Returns whether anything changed.
    pub fn tighten(&mut self, name: &str, totals: &Totals) -> bool {
        let counted = |figure: &str| {
            let found = figures(totals).find(|(name, _)| *name == figure);
            found.map_or(0, |(_, counted)| counted)
        };
        match self.region.entry(name.into()) {
            Entry::Vacant(entry) => {
                let new = figures(totals)
                    .filter(|(figure, counted)| match *figure {
                        OPS => *counted == 0,
                        figure => !is_free(figure) && *counted != 0,
                    })
                    .map(|(figure, counted)| (figure.to_owned(), counted));
                entry.insert(new.collect());
                true
            }
            Entry::Occupied(mut entry) => {
                let mut changed = false;
                for (figure, most) in entry.get_mut() {
                    let now = counted(figure);
                    changed |= now < *most;
                    *most = now.min(*most);
                }
                changed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(copied: u64, spliced: u64, unexplained: u64) -> Totals {
        Totals {
            ops: 3,
            moved: copied + spliced + unexplained,
            copied_to_user: copied,
            spliced,
            unexplained,
            ..Totals::default()
        }
    }

    #[test]
    fn figures_only_go_down() {
        let mut ratchet = Ratchet::default();
        assert!(ratchet.tighten("a", &totals(100, 50, 0)));
        assert_eq!(
            ratchet.region["a"],
            Allowed::from([("copied_to_user".into(), 100)])
        );
        assert!(!ratchet.tighten("a", &totals(200, 50, 7)));
        assert_eq!(ratchet.region["a"]["copied_to_user"], 100);
        assert!(ratchet.tighten("a", &totals(60, 50, 0)));
        assert_eq!(ratchet.region["a"]["copied_to_user"], 60);
    }

    #[test]
    fn copies_that_are_not_named_are_not_allowed() {
        let mut ratchet = Ratchet::default();
        ratchet.tighten("a", &totals(0, 50, 0));
        assert_eq!(ratchet.excess("a", &totals(0, 5000, 0)), Some(Vec::new()));
        let excess = ratchet.excess("a", &totals(1, 0, 2)).expect("a region");
        let names: Vec<_> = excess
            .iter()
            .map(|one| (&*one.figure, one.counted))
            .collect();
        assert_eq!(names, [("copied_to_user", 1), ("unexplained", 2)]);
        assert_eq!(ratchet.excess("b", &totals(0, 0, 0)), None);
    }

    #[test]
    fn a_figure_that_is_named_holds() {
        let ratchet = Ratchet::parse("[region.\"a\"]\nops = 2\nmoved = 10\n").expect("a file");
        let excess = ratchet.excess("a", &totals(0, 10, 0)).expect("a region");
        assert_eq!(excess.len(), 1, "{excess:?}");
        assert_eq!(
            (&*excess[0].figure, excess[0].allowed, excess[0].counted),
            ("ops", 2, 3)
        );
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let mut ratchet = Ratchet::default();
        for name in ["a", "t.py::test[\"x\"]", "two\nlines \u{7f}", "b.c"] {
            ratchet.tighten(name, &totals(1, 2, 3));
        }
        assert_eq!(Ratchet::parse(&ratchet.text()), Ok(ratchet));
    }

    #[test]
    fn a_figure_that_does_not_exist_is_refused() {
        let error = Ratchet::parse("[region.a]\ncopies = 1\n").expect_err("no such figure");
        assert_eq!(error, "region \"a\": there is no figure \"copies\"");
        let error = Ratchet::parse("[regions.a]\n").expect_err("no such table");
        assert!(error.contains("unknown field `regions`"), "{error}");
    }
}
