//! Sampled stacks as a tree, for the view that folds and for the flame view.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Names, RowId, Whose, id_of};
use crate::ledger::Stacks;

/// What a node stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A command name.
    Process,
    /// A function of the program or its libraries.
    User,
    /// A function of the kernel.
    Kernel,
    /// The ledger's name for the copy.
    Class,
    /// No function: why there is none.
    Note,
}

/// A node; its bytes are those of everything below it.
#[derive(Clone, Debug)]
pub struct Node {
    /// From all names on the way to it.
    pub id: RowId,
    /// Its name.
    pub name: Arc<str>,
    /// What it stands for.
    pub kind: Kind,
    /// Sampled bytes.
    pub bytes: u64,
    /// Where its bytes begin among all bytes.
    pub start: u64,
    /// How many nodes are above it.
    pub depth: u16,
    /// How far it is moved in: only where its parent has more than one child.
    pub indent: u16,
    /// Nodes of it and below it.
    pub size: usize,
}

/// The nodes, each before those below it, siblings with the most bytes first.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// All sampled bytes.
    pub total: u64,
}

#[derive(Debug)]
struct Growing {
    name: Arc<str>,
    kind: Kind,
    bytes: u64,
    children: Vec<usize>,
}

impl Tree {
    /// The tree of all stacks, or of those of one process or command.
    #[must_use]
    pub fn new(stacks: &Stacks, whose: Option<Whose>, names: &Names) -> Self {
        let mut growing: Vec<Growing> = Vec::new();
        let mut places: HashMap<(usize, Arc<str>, bool), usize> = HashMap::new();
        let mut roots: Vec<usize> = Vec::new();
        let mut total = 0_u64;
        for (stack, &bytes) in &stacks.bytes {
            let wanted = |whose: Whose| match whose {
                Whose::Process(id) => id.pid == stack.pid && id.start_time == stack.start_time,
                Whose::Command(comm) => *names.get(comm) == *stack.comm,
            };
            if !whose.is_none_or(wanted) {
                continue;
            }
            total = total.saturating_add(bytes);
            let names = std::iter::once((&stack.comm, Kind::Process))
                .chain(stack.frames.iter().map(|frame| (frame, kind(frame))))
                .chain([(&stack.class, Kind::Class)]);
            let mut parent = usize::MAX;
            for (name, kind) in names {
                let key = (parent, name.clone(), kind == Kind::Class);
                let place = *places.entry(key).or_insert_with(|| {
                    growing.push(Growing {
                        name: name.clone(),
                        kind,
                        bytes: 0,
                        children: Vec::new(),
                    });
                    let place = growing.len() - 1;
                    match growing.get_mut(parent) {
                        Some(parent) => parent.children.push(place),
                        None => roots.push(place),
                    }
                    place
                });
                growing[place].bytes = growing[place].bytes.saturating_add(bytes);
                parent = place;
            }
        }
        let mut tree = Self {
            nodes: Vec::with_capacity(growing.len()),
            total,
        };
        tree.flatten(&growing, roots);
        tree
    }

    /// Puts the nodes into their order. No recursion: a stack of frames can be deep.
    fn flatten(&mut self, growing: &[Growing], mut roots: Vec<usize>) {
        let heaviest_last = |places: &mut Vec<usize>| {
            places.sort_by(|a, b| {
                let (a, b) = (&growing[*a], &growing[*b]);
                a.bytes.cmp(&b.bytes).then_with(|| b.name.cmp(&a.name))
            });
        };
        heaviest_last(&mut roots);
        // A node to come: its place, its parent in the result, and how far it is moved in.
        let mut coming: Vec<(usize, Option<usize>, u16)> =
            roots.into_iter().map(|root| (root, None, 0)).collect();
        // Where the next child of each level begins.
        let mut begin: Vec<u64> = vec![0];
        while let Some((place, parent, indent)) = coming.pop() {
            let node = &growing[place];
            let depth = parent.map_or(0, |parent| self.nodes[parent].depth + 1);
            let level = usize::from(depth);
            begin.resize(level + 2, 0);
            let start = begin[level];
            begin[level] = start.saturating_add(node.bytes);
            begin[level + 1] = start;
            let above = parent.map_or(0, |parent| self.nodes[parent].id);
            self.nodes.push(Node {
                id: id_of((above, &node.name, node.kind == Kind::Class)),
                name: node.name.clone(),
                kind: node.kind,
                bytes: node.bytes,
                start,
                depth,
                indent,
                size: 1,
            });
            let own = self.nodes.len() - 1;
            let mut children = node.children.clone();
            heaviest_last(&mut children);
            let indent = indent + u16::from(children.len() > 1 || parent.is_none());
            coming.extend(children.into_iter().map(|child| (child, Some(own), indent)));
        }
        // Sizes, from the last node back: those above a node are before it.
        let mut above: Vec<usize> = Vec::new();
        for index in 0..self.nodes.len() {
            above.truncate(self.nodes[index].depth.into());
            for parent in &above {
                self.nodes[*parent].size += 1;
            }
            above.push(index);
        }
    }

    /// The place of a node.
    #[must_use]
    pub fn find(&self, id: RowId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }

    /// Whether a node is open unless the user decides: where a tenth of all bytes went.
    #[must_use]
    pub fn is_weighty(&self, node: &Node) -> bool {
        node.bytes >= self.total / 10
    }
}

fn kind(frame: &str) -> Kind {
    if frame.ends_with("_[k]") {
        Kind::Kernel
    } else if frame.starts_with('[') {
        Kind::Note
    } else {
        Kind::User
    }
}

type Cached = (Option<Whose>, Arc<Tree>);

/// The stacks of a moment, and the tree that was last asked for: most moments are never asked.
#[derive(Debug, Default)]
pub struct Sampled {
    /// The stacks since the base.
    pub stacks: Stacks,
    tree: Mutex<Option<Cached>>,
}

impl Sampled {
    /// These stacks.
    #[must_use]
    pub fn new(stacks: Stacks) -> Self {
        Self {
            stacks,
            tree: Mutex::default(),
        }
    }

    /// Their tree.
    #[must_use]
    pub fn tree(&self, whose: Option<Whose>, names: &Names) -> Arc<Tree> {
        let mut cached = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, tree)) = &*cached
            && *of == whose
        {
            return tree.clone();
        }
        let tree = Arc::new(Tree::new(&self.stacks, whose, names));
        *cached = Some((whose, tree.clone()));
        tree
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::Stack, tui::moment::ProcessId};

    fn stacks(all: &[(u32, &[&str], u64)]) -> Stacks {
        let mut stacks = Stacks::default();
        for (pid, frames, bytes) in all {
            let stack = Stack {
                pid: *pid,
                start_time: 1,
                comm: "server".into(),
                class: "copied_to_user".into(),
                frames: frames.iter().map(|&frame| frame.into()).collect(),
            };
            stacks.bytes.insert(stack, *bytes);
        }
        stacks
    }

    #[test]
    fn a_tree_keeps_every_byte() {
        let stacks = stacks(&[
            (1, &["main", "read", "copy_[k]"], 10),
            (1, &["main", "write", "copy_[k]"], 30),
            (2, &["main", "read", "copy_[k]"], 5),
        ]);
        let tree = Tree::new(&stacks, None, &Names::default());
        let shown: Vec<_> = tree
            .nodes
            .iter()
            .map(|node| (node.depth, &*node.name, node.bytes, node.start, node.size))
            .collect();
        assert_eq!(
            shown,
            [
                (0, "server", 45, 0, 8),
                (1, "main", 45, 0, 7),
                (2, "write", 30, 0, 3),
                (3, "copy_[k]", 30, 0, 2),
                (4, "copied_to_user", 30, 0, 1),
                (2, "read", 15, 30, 3),
                (3, "copy_[k]", 15, 30, 2),
                (4, "copied_to_user", 15, 30, 1),
            ]
        );
        let one = ProcessId {
            pid: 2,
            start_time: 1,
        };
        assert_eq!(
            Tree::new(&stacks, Some(Whose::Process(one)), &Names::default()).total,
            5
        );
    }
}
