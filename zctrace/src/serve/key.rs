//! The labels of series.

use crate::{ledger::Container, text::escape::printable};

/// The labels of a data path. Neither ids nor names of files: those have no bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Command name.
    pub comm: String,
    /// Operation.
    pub op: String,
    /// Object.
    pub object: String,
    /// `measured` or `inferred`.
    pub evidence: String,
    /// The container, with `--by container`.
    pub container: Option<Labels>,
}

/// The labels of a container. A pod that comes again has another id, so they are only there when they
/// were asked for. All are empty for what is in none, and a name that is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name of its pod.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
}

impl Labels {
    pub(super) fn new(container: Option<&Container>) -> Self {
        let Some(container) = container else {
            return Self::default();
        };
        let text = |name: &Option<String>| name.as_deref().map(printable).unwrap_or_default();
        Self {
            id: container.id.clone(),
            name: text(&container.name),
            pod: text(&container.pod),
            namespace: text(&container.namespace),
        }
    }

    pub(super) fn other() -> Self {
        Self {
            id: OTHER.into(),
            name: OTHER.into(),
            pod: OTHER.into(),
            namespace: OTHER.into(),
        }
    }
}

impl Key {
    /// The labels and their values.
    pub(super) fn labels(&self) -> Vec<(&'static str, String)> {
        let mut labels = vec![
            ("comm", self.comm.clone()),
            ("op", self.op.clone()),
            ("object", self.object.clone()),
            ("evidence", self.evidence.clone()),
        ];
        if let Some(container) = &self.container {
            labels.extend([
                ("container_id", container.id.clone()),
                ("container", container.name.clone()),
                ("pod", container.pod.clone()),
                ("namespace", container.namespace.clone()),
            ]);
        }
        labels
    }
}

/// The value of every label of the series that takes what has no series of its own.
pub const OTHER: &str = "other";
