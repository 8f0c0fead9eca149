//! The strings of moments.

use std::{collections::HashMap, sync::Arc};

use super::{Names, Sym};

/// Strings by their number.
#[derive(Debug)]
pub(super) struct Interner {
    known: HashMap<Arc<str>, Sym>,
    pub(super) names: Arc<Names>,
}

impl Interner {
    pub(super) fn new() -> Self {
        let empty: Arc<str> = "".into();
        Self {
            known: HashMap::from([(empty.clone(), Sym(0))]),
            names: Arc::new(Names(vec![empty])),
        }
    }

    /// The number of a string, which is new where it has not been met.
    pub(super) fn sym(&mut self, name: &str) -> Sym {
        if let Some(sym) = self.known.get(name) {
            return *sym;
        }
        let name: Arc<str> = name.into();
        let names = Arc::make_mut(&mut self.names);
        let sym = Sym(u32::try_from(names.0.len()).unwrap_or(0));
        names.0.push(name.clone());
        self.known.insert(name, sym);
        sym
    }
}
