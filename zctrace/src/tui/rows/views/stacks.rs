//! The view of sampled stacks, as a tree.

use std::{borrow::Cow, sync::Arc};

use super::{Scope, counted::unknown};
use crate::{
    ledger::ratio,
    tui::{
        moment::{
            Moment,
            tree::{Kind, Tree},
        },
        rows::{Column, RowId, Rows, Value},
    },
};

/// Its columns.
pub(super) const COLUMNS: &[Column] = &[
    Column::bytes("bytes", "BYTES", "sampled bytes, copied here and below").rank(1),
    Column::number("share", "SHARE", 6, "of all sampled bytes").rank(1),
    Column::text(
        "function",
        "FUNCTION",
        20,
        400,
        "the function, further in than its caller",
    )
    .identity(),
    Column::text("kind", "KIND", 7, 7, "process, user, kernel, class or note").on_demand(),
    Column::number("depth", "DEPTH", 5, "how many callers it has").on_demand(),
];

pub(super) struct Stacks {
    tree: Arc<Tree>,
    /// The nodes on screen, and what their mark says: open, closed, or nothing below.
    shown: Vec<(usize, Option<bool>)>,
}

impl Stacks {
    pub(super) fn new(moment: &Moment, scope: &Scope<'_>) -> Self {
        let tree = moment.stacks.tree(scope.whose, &moment.names);
        let mut shown = Vec::new();
        let mut index = 0;
        while let Some(node) = tree.nodes.get(index) {
            let open = scope.unfolded
                || scope
                    .folds
                    .get(&node.id)
                    .copied()
                    .unwrap_or_else(|| tree.is_weighty(node));
            shown.push((index, (node.size > 1).then_some(open)));
            index += if open { 1 } else { node.size };
        }
        Self { tree, shown }
    }
}

impl Rows for Stacks {
    fn len(&self) -> usize {
        self.shown.len()
    }

    fn id(&self, row: usize) -> RowId {
        self.tree.nodes[self.shown[row].0].id
    }

    fn topics(&self, row: usize) -> Vec<String> {
        let node = &self.tree.nodes[self.shown[row].0];
        vec![node.name.as_ref().to_owned()]
    }

    fn value(&self, row: usize, column: usize) -> Value<'_> {
        let (node, open) = self.shown[row];
        let node = &self.tree.nodes[node];
        match COLUMNS[column].name {
            "bytes" => Value::Bytes(node.bytes),
            "share" => Value::Percent(ratio(node.bytes, self.tree.total).map(|part| part * 100.0)),
            "function" => {
                let mark = match open {
                    Some(true) => "- ",
                    Some(false) => "+ ",
                    None => "  ",
                };
                let inward = usize::from(node.indent) * 2;
                Value::Text(Cow::Owned(format!("{:inward$}{mark}{}", "", node.name)))
            }
            "kind" => Value::text(kind(node.kind)),
            "depth" => Value::Count(node.depth.into()),
            name => unknown(name),
        }
    }
}

const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Process => "process",
        Kind::User => "user",
        Kind::Kernel => "kernel",
        Kind::Class => "class",
        Kind::Note => "note",
    }
}
