//! The eight views: the columns of each, and where its rows come from.

mod counted;
mod paths;
mod probes;
mod processes;
mod requests;
mod stacks;
mod techniques;

use std::collections::{BTreeMap, HashMap};

pub use self::{counted::named, paths::promises};

use self::{
    paths::Paths, probes::Probes, processes::Processes, requests::Requests, stacks::Stacks,
    techniques::Techniques,
};
use super::{Column, NoRows, RowId, Rows, Sort};
use crate::{
    bench::Entry,
    catalog::{Family, sight},
    text::escape::printable,
    tui::moment::{Moment, Whose, sides::Part},
    workload::technique::Workload,
};

/// A view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the titles say it")]
pub enum View {
    Overview,
    Paths,
    Memory,
    Asynchronous,
    Claims,
    Stacks,
    Workloads,
    Probes,
}

impl View {
    /// Every view, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Overview,
        Self::Paths,
        Self::Memory,
        Self::Asynchronous,
        Self::Claims,
        Self::Stacks,
        Self::Workloads,
        Self::Probes,
    ];

    /// Its number, from 1.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Its name, and a short one for narrow terminals.
    #[must_use]
    pub const fn titles(self) -> (&'static str, &'static str) {
        match self {
            Self::Overview => ("Overview", "Over"),
            Self::Paths => ("Paths", "Path"),
            Self::Memory => ("Memory", "Mem"),
            Self::Asynchronous => ("Async", "Asyn"),
            Self::Claims => ("Claims", "Clai"),
            Self::Stacks => ("Stacks", "Stac"),
            Self::Workloads => ("Workloads", "Work"),
            Self::Probes => ("Probes", "Prob"),
        }
    }

    /// Its columns.
    #[must_use]
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::Overview => processes::COLUMNS,
            Self::Paths | Self::Memory | Self::Claims => paths::COLUMNS,
            Self::Asynchronous => requests::COLUMNS,
            Self::Stacks => stacks::COLUMNS,
            Self::Workloads => techniques::COLUMNS,
            Self::Probes => probes::COLUMNS,
        }
    }

    /// How it is sorted at first.
    #[must_use]
    pub fn sort(self) -> Sort {
        let name = match self {
            Self::Overview => "copied/s",
            Self::Probes => "runs/s",
            Self::Workloads | Self::Stacks => "",
            Self::Memory => "cow",
            _ => "moved",
        };
        Sort {
            column: self.columns().iter().position(|column| column.name == name),
            descending: true,
        }
    }

    /// Whether a column is shown at first: the views of paths each show what matters there.
    #[must_use]
    pub fn shows(self, column: &Column) -> bool {
        let only: &[&str] = match self {
            Self::Memory => &[
                "evidence", "process", "op", "object", "ops/s", "ops", "moved/s", "mapped", "cow",
            ],
            Self::Claims => &[
                "evidence",
                "process",
                "op",
                "object",
                "asked",
                "moved",
                "zero-copy",
                "copied",
                "verdict",
                "reason",
            ],
            _ => return column.shown,
        };
        only.contains(&column.name)
    }

    /// What it shows that can be out of sight, as the beginning of a sentence.
    const fn techniques(self) -> &'static [(&'static str, Family, &'static str)] {
        match self {
            Self::Memory => &[
                (sight::FAULTS, Family::Fault, "Page faults are"),
                (sight::COPY_ON_WRITE, Family::Fault, "Copies on write are"),
            ],
            Self::Asynchronous => &[
                (sight::IO_URING, Family::Uring, "io_uring is"),
                (sight::AIO, Family::Aio, "Linux AIO is"),
            ],
            _ => &[],
        }
    }

    /// Which of it is out of sight, and why.
    pub fn unseen(self, moment: &Moment) -> impl Iterator<Item = (String, &str)> {
        let techniques = self.techniques().iter();
        techniques.filter_map(|(technique, family, what)| {
            let why = moment.unseen(technique, *family)?;
            Some((format!("{what} not seen here"), why))
        })
    }

    /// What to say where there are no rows. What is out of sight is not called nothing.
    #[must_use]
    pub fn empty(self, moment: &Moment) -> String {
        let unseen: Vec<_> = self.unseen(moment).collect();
        if let Some((_, why)) = unseen.first() {
            let rest = if unseen.len() == self.techniques().len() {
                ""
            } else if self == Self::Asynchronous {
                " No other request was submitted."
            } else {
                " No page fault of a mapped file, and no write that may have copied a page."
            };
            let what: Vec<_> = unseen.iter().map(|(what, _)| what.as_str()).collect();
            return format!("{}: {}.{rest}", what.join(", "), printable(why));
        }
        match (self, &moment.sides.stacks) {
            (Self::Overview | Self::Paths, _) => "No I/O of the target has completed yet.",
            (Self::Memory, _) => "No fault has brought in file data or copied a page.",
            (Self::Asynchronous, _) => "No io_uring or AIO request was submitted.",
            (Self::Claims, _) if (0..moment.paths.len()).any(|at| moment.paths.is_judged(at)) => {
                "What zero-copy operations moved is too little to be judged."
            }
            (Self::Claims, _) => {
                "No zero-copy operation was used (sendfile, splice, MSG_ZEROCOPY, O_DIRECT, reflink)."
            }
            (Self::Stacks, Part::Missing(why)) => why,
            (Self::Stacks, Part::Here(_)) => {
                "No samples yet: the target has not copied enough."
            }
            (Self::Workloads, _) => "No technique.",
            (Self::Probes, _) => "This source does not say which probes are attached.",
        }
        .to_owned()
    }

    /// Its rows.
    #[must_use]
    pub fn rows<'a>(self, moment: &'a Moment, scope: &Scope<'_>) -> Box<dyn Rows + 'a> {
        let whose = scope.whose;
        match self {
            Self::Overview => Box::new(Processes {
                moment,
                rows: if scope.grouped {
                    &moment.commands
                } else {
                    &moment.processes
                },
                grouped: scope.grouped,
            }),
            Self::Paths => Box::new(Paths::of(moment, whose)),
            Self::Memory => {
                let is_fault = |at| moment.names.op(moment.paths.op(at)).is_fault();
                // Rows without bytes are equal to the order by bytes that is chosen for this view.
                Box::new(Paths::kept(moment, whose, is_fault).by_operations())
            }
            Self::Asynchronous => Box::new(Requests::of(moment, whose)),
            Self::Claims => {
                let is_shown =
                    |at| moment.paths.is_judged(at) && (scope.small || !moment.is_small(at));
                Box::new(Paths::kept(moment, whose, is_shown))
            }
            Self::Stacks => Box::new(Stacks::new(moment, scope)),
            Self::Workloads => Box::new(Techniques {
                rows: Workload::by_job(),
                results: scope.results.clone(),
            }),
            Self::Probes => match &moment.sides.probes {
                Part::Here(probes) => Box::new(Probes { moment, probes }),
                Part::Missing(_) => Box::new(NoRows),
            },
        }
    }
}

/// What the rows of a view depend on beside the numbers.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Only of this process or command.
    pub whose: Option<Whose>,
    /// Processes of one command are one row.
    pub grouped: bool,
    /// What was measured of each technique.
    pub results: &'a BTreeMap<String, Entry>,
    /// Nodes of the tree that the user has opened or closed.
    pub folds: &'a HashMap<RowId, bool>,
    /// Every node is open.
    pub unfolded: bool,
    /// Rows that moved too few bytes to be judged are among them.
    pub small: bool,
}
