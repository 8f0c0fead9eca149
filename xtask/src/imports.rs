//! Which part of the code may use which, as a test: it reads the imports of every crate and holds
//! them against the order of its folders. A folder may use those before it in the list. No file may
//! use another that uses it, however long the way.
//!
//! `cargo test -p xtask imports -- --nocapture` prints the graph.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::paths;

/// The crates with folders, the lowest folder first.
const CRATES: &[(&str, &[&str])] = &[
    (
        "zctrace-ledger",
        &["text", "object", "catalog", "ledger", "claims", "recording"],
    ),
    (
        "zctrace",
        &[
            "verbose", "kernel", "target", "tracer", "workload", "run", "bench", "advise", "hunt",
            "explain", "report", "serve", "tui", "cli",
        ],
    ),
    (
        "zctrace-ebpf",
        &[
            "traffic",
            "base",
            "book",
            "site",
            "interface",
            "tracepoint",
            "beside",
        ],
    ),
    ("zctrace-common", &[]),
];

/// A module, or an item in one, by its path below the crate.
type Place = Vec<String>;

/// The modules of a crate, each with its text.
struct Sources {
    modules: BTreeMap<Place, String>,
}

/// What imports what.
struct Graph {
    /// Modules by those that they use.
    uses: BTreeMap<Place, BTreeSet<Place>>,
}

impl Sources {
    fn read(krate: &str) -> Self {
        let root = paths::root().join(krate).join("src");
        let mut modules = BTreeMap::new();
        collect(&root, &mut Vec::new(), &mut modules);
        assert!(!modules.is_empty(), "{} has no files", root.display());
        Self { modules }
    }

    fn of(files: &[(&str, &str)]) -> Self {
        let place = |path: &str| place(path);
        let modules = files
            .iter()
            .map(|(path, text)| (place(path), (*text).into()));
        Self {
            modules: modules.collect(),
        }
    }

    fn graph(&self) -> Graph {
        let imports: BTreeMap<&Place, Vec<(Place, String)>> = self
            .modules
            .iter()
            .map(|(module, text)| (module, self.imports(module, text)))
            .collect();
        // A name that a module only hands on is used where it comes from.
        let handed_on: BTreeMap<Place, &Place> = imports
            .iter()
            .flat_map(|(module, imports)| {
                imports.iter().map(|(from, name)| {
                    let mut here = (*module).clone();
                    here.push(name.clone());
                    (here, from)
                })
            })
            .collect();
        let uses = imports
            .iter()
            .map(|(module, imports)| {
                let used = imports
                    .iter()
                    .filter_map(|(item, _)| self.home(item, &handed_on))
                    // What a folder's own file defines is its files' to use.
                    .filter(|used| !module.starts_with(used))
                    .collect();
                ((*module).clone(), used)
            })
            .collect();
        Graph { uses }
    }

    /// The module that an item is in.
    fn home(&self, item: &Place, handed_on: &BTreeMap<Place, &Place>) -> Option<Place> {
        let mut item = item.clone();
        for _ in 0..8 {
            let known = (0..=item.len())
                .rev()
                .find(|&length| self.modules.contains_key(&item[..length]))?;
            let next = item
                .get(..=known)
                .and_then(|name| handed_on.get(name))
                .filter(|next| !next.starts_with(&item[..(known + 1).min(item.len())]));
            match next {
                Some(next) => {
                    let rest = item.split_off(known + 1);
                    item = [(*next).clone(), rest].concat();
                }
                None => return Some(item[..known].to_vec()),
            }
        }
        None
    }

    /// What a module uses of its crate: the item, and the name that it has here.
    fn imports(&self, module: &Place, text: &str) -> Vec<(Place, String)> {
        let text = code(text);
        let mut found = Vec::new();
        let mut rest = text.as_str();
        let mut between = String::new();
        while let Some(at) = use_at(rest) {
            between.push_str(&rest[..at]);
            let statement = &rest[at + "use ".len()..];
            let end = statement.find(';').unwrap_or(statement.len());
            for (path, name) in tree(&statement[..end]) {
                found.extend(self.absolute(module, &path).map(|item| (item, name)));
            }
            rest = &statement[end..];
        }
        between.push_str(rest);
        // Paths outside of `use`.
        for start in ["crate::", "super::"] {
            for (at, _) in between.match_indices(start) {
                let path: String = between[at..]
                    .chars()
                    .take_while(|char| char.is_alphanumeric() || matches!(char, '_' | ':'))
                    .collect();
                let path: Place = path
                    .split("::")
                    .filter(|part| !part.is_empty())
                    .map(Into::into)
                    .collect();
                let before = between[..at].chars().next_back();
                if before.is_none_or(|char| !char.is_alphanumeric() && !matches!(char, '_' | ':')) {
                    found.extend(
                        self.absolute(module, &path)
                            .map(|item| (item, String::new())),
                    );
                }
            }
        }
        found
    }

    /// Whether the module above compiles this one for tests only.
    fn is_for_tests(&self, module: &Place) -> bool {
        let Some((name, above)) = module.split_last() else {
            return false;
        };
        let above = self.modules.get(above).map_or("", String::as_str);
        above
            .lines()
            .zip(above.lines().skip(1))
            .filter(|(gate, _)| gate.starts_with("#[cfg(") && gate.contains("test"))
            .any(|(_, line)| line.ends_with(&format!("mod {name};")))
    }

    /// The folders that the files of a folder name, itself aside; those of tests do not count.
    fn used_by(&self, folder: &str) -> BTreeSet<String> {
        let files = self.modules.iter().filter(|(module, _)| {
            module.first().is_some_and(|top| top == folder) && !self.is_for_tests(module)
        });
        let items = files.flat_map(|(module, text)| self.imports(module, text));
        let tops = items.filter_map(|(item, _)| item.first().cloned());
        tops.filter(|top| top != folder).collect()
    }

    /// A path as it is seen from the crate; `None` for another crate's.
    fn absolute(&self, module: &Place, path: &Place) -> Option<Place> {
        let mut base = module.clone();
        let mut rest = path.as_slice();
        match rest.first()?.as_str() {
            "crate" => return Some(rest[1..].to_vec()),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    base.pop()?;
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.into());
                if !self.modules.contains_key(&base) {
                    return None;
                }
                rest = &rest[1..];
            }
        }
        Some([base, rest.to_vec()].concat())
    }
}

impl Graph {
    /// Uses of a folder by one below it.
    fn upward(&self, floors: &[&str]) -> Vec<String> {
        let floor = |place: &Place| {
            let top = place.first()?;
            floors.iter().position(|floor| floor == top)
        };
        let mut upward = Vec::new();
        for (module, used) in &self.uses {
            for used in used {
                if let (Some(from), Some(to)) = (floor(module), floor(used))
                    && to > from
                {
                    upward.push(format!("{} uses {}", module.join("::"), used.join("::")));
                }
            }
        }
        upward
    }

    /// A circle of files that use each other, if there is one.
    fn circle(&self) -> Option<String> {
        let mut left: BTreeMap<&Place, BTreeSet<&Place>> = self
            .uses
            .iter()
            .map(|(module, used)| (module, used.iter().collect()))
            .collect();
        // What uses nothing that is left is in no circle.
        loop {
            let done: Vec<&Place> = left
                .iter()
                .filter(|(_, used)| used.iter().all(|used| !left.contains_key(used)))
                .map(|(module, _)| *module)
                .collect();
            if done.is_empty() {
                break;
            }
            for module in done {
                left.remove(module);
            }
        }
        let mut way: Vec<&Place> = vec![left.keys().next()?];
        loop {
            let used = &left[way[way.len() - 1]];
            let next = used.iter().find(|used| left.contains_key(*used))?;
            if let Some(begin) = way.iter().position(|module| module == next) {
                let names: Vec<String> =
                    way[begin..].iter().map(|place| place.join("::")).collect();
                return Some(names.join(" uses "));
            }
            way.push(next);
        }
    }

    /// The folders and what each uses.
    fn print(&self, krate: &str, floors: &[&str]) {
        println!("{krate}");
        for floor in floors {
            let mut used: BTreeSet<&str> = self
                .uses
                .iter()
                .filter(|(module, _)| module.first().is_some_and(|top| top == floor))
                .flat_map(|(_, used)| used)
                .filter_map(|used| used.first().map(String::as_str))
                .collect();
            used.remove(floor);
            let used: Vec<&str> = used.into_iter().collect();
            println!("    {floor:<12} -> {}", used.join(", "));
        }
    }
}

/// A file without its tests and comments.
fn code(text: &str) -> String {
    let gates = text.match_indices("#[cfg(test)]\n");
    let tests = gates.map(|(at, gate)| (at, text[at + gate.len()..].lines().next()));
    let end = tests
        .filter(|(_, line)| line.is_some_and(|line| line.ends_with("mod tests {")))
        .map(|(at, _)| at)
        .next();
    text[..end.unwrap_or(text.len())]
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn collect(folder: &Path, above: &mut Vec<String>, modules: &mut BTreeMap<Place, String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of it").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        if path.is_dir() {
            above.push(name.into());
            collect(&path, above, modules);
            above.pop();
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let path_below = [above.as_slice(), &[name.to_owned()]].concat().join("/");
            let text = fs::read_to_string(&path).expect("a file of text");
            modules.insert(place(&path_below), text);
        }
    }
}

/// The module in a file.
fn place(path: &str) -> Place {
    let path = path.trim_end_matches(".rs");
    let mut place: Place = path.split('/').map(Into::into).collect();
    if matches!(
        place.last().map(String::as_str),
        Some("mod" | "lib" | "main")
    ) {
        place.pop();
    }
    place
}

/// Where the next `use` is.
fn use_at(text: &str) -> Option<usize> {
    let is_first = |at: usize| {
        let line = text[..at].rsplit('\n').next().unwrap_or_default().trim();
        line.is_empty() || line == "pub" || (line.starts_with("pub(") && line.ends_with(')'))
    };
    text.match_indices("use ")
        .map(|(at, _)| at)
        .find(|&at| is_first(at))
}

/// The paths of a `use`, each with the name that it gives.
fn tree(text: &str) -> Vec<(Place, String)> {
    let text = text.trim();
    let Some(open) = text.find('{') else {
        let (path, name) = text.split_once(" as ").unwrap_or((text, ""));
        let mut path: Place = path.split("::").map(|part| part.trim().into()).collect();
        if path.len() > 1
            && path
                .last()
                .is_some_and(|last| last == "self" || last == "*")
        {
            path.pop();
        }
        let last = path.last().cloned().unwrap_or_default();
        let name = if name.is_empty() {
            last
        } else {
            name.trim().into()
        };
        return vec![(path, name)];
    };
    let above = &text[..open];
    let inner = text[open + 1..].trim_end().trim_end_matches('}');
    let inner = &text[open + 1..open + 1 + balanced(&text[open + 1..]).unwrap_or(inner.len())];
    let mut depth = 0;
    inner
        .split(|char| {
            match char {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            char == ',' && depth == 0
        })
        .filter(|part| !part.trim().is_empty())
        .flat_map(|part| tree(&format!("{above}{}", part.trim())))
        .collect()
}

/// Where the brace that is open is closed.
fn balanced(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.char_indices().find_map(|(at, char)| {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

#[test]
fn every_import_leads_down() {
    for (krate, floors) in CRATES {
        let graph = Sources::read(krate).graph();
        graph.print(krate, floors);
        assert_eq!(graph.upward(floors), Vec::<String>::new(), "{krate}");
        assert_eq!(graph.circle(), None, "{krate}");
    }
}

#[test]
fn every_folder_has_a_floor() {
    for (krate, floors) in CRATES.iter().filter(|(_, floors)| !floors.is_empty()) {
        let sources = Sources::read(krate);
        let tops: BTreeSet<&str> = sources
            .modules
            .keys()
            .filter_map(|module| module.first().map(String::as_str))
            .collect();
        assert_eq!(tops, floors.iter().copied().collect(), "{krate}");
    }
}

#[test]
fn the_page_of_the_architecture_says_what_each_folder_uses() {
    let page = fs::read_to_string(paths::root().join("docs/architecture.md")).unwrap();
    let all: BTreeSet<&str> = CRATES[..2]
        .iter()
        .flat_map(|(_, floors)| *floors)
        .copied()
        .collect();
    // The heading of the column leaves these out.
    for (krate, floors, left_out) in [
        (CRATES[0].0, CRATES[0].1, &[][..]),
        (CRATES[1].0, CRATES[1].1, &["text", "ledger"][..]),
    ] {
        let sources = Sources::read(krate);
        let (_, section) = page.split_once(&format!("\n### `{krate}`")).unwrap();
        let section = section.split("\n### ").next().unwrap();
        for floor in floors {
            let names = [format!("| `{floor}/` |"), format!("| `{floor}.rs` |")];
            let row = section
                .lines()
                .find(|line| names.iter().any(|name| line.starts_with(name)))
                .unwrap_or_else(|| panic!("no row of {floor}"));
            let cell = row.split('|').nth(3).unwrap();
            let said: BTreeSet<&str> = cell
                .split('`')
                .skip(1)
                .step_by(2)
                .filter(|name| all.contains(name))
                .collect();
            let used = sources.used_by(floor);
            let used = used
                .iter()
                .map(String::as_str)
                .filter(|name| all.contains(name) && !left_out.contains(name));
            assert_eq!(said, used.collect(), "docs/architecture.md, {floor}");
        }
    }
}

/// Where such words are not the name of an object.
const OTHER_WORDS: [(&str, &str, &str); 7] = [
    // Headings of a page, and links to them.
    ("zctrace", "explain::other_names", "\"file:"),
    ("zctrace", "explain", "\"->"),
    ("zctrace", "explain::other_names", "\"socket:"),
    ("zctrace", "explain::other_names", "\"syscall:"),
    // A link in /proc/PID/fd.
    ("zctrace", "run::in_flight", "\"socket:"),
    // A mapping in /proc/PID/maps.
    ("zctrace", "tracer::rings", "\"socket:"),
    // A place where a long line is broken.
    ("zctrace-ledger", "text::columns", "\"->"),
];

#[test]
fn one_file_takes_the_names_of_objects_apart() {
    let words = ["\"->", "\"file:", "\"socket:", "\"char:", "\"syscall:"];
    let mut found = BTreeSet::new();
    for krate in ["zctrace-ledger", "zctrace"] {
        let sources = Sources::read(krate);
        for (module, text) in &sources.modules {
            // Traffic says as text what must be seen of it.
            let is_exempt = *module == ["object"] || module.starts_with(&["workload".into()]);
            if is_exempt || sources.is_for_tests(module) {
                continue;
            }
            let text = code(text);
            for word in words.into_iter().filter(|word| text.contains(word)) {
                found.insert((krate, module.join("::"), word));
            }
        }
    }
    let allowed = OTHER_WORDS.map(|(krate, module, word)| (krate, module.to_owned(), word));
    assert_eq!(found, BTreeSet::from(allowed));
}

#[test]
fn a_planted_import_is_found() {
    let floors = ["text", "cli"];
    let down = Sources::of(&[
        ("lib.rs", "pub mod text;\npub mod cli;\n"),
        ("text/mod.rs", "mod bytes;\n\npub use bytes::shown;\n"),
        ("text/bytes.rs", "use std::fmt;\n"),
        ("cli/mod.rs", "use crate::{\n    text::{self, shown},\n};\n"),
    ]);
    let graph = down.graph();
    assert_eq!(graph.upward(&floors), Vec::<String>::new());
    assert_eq!(graph.circle(), None);
    for planted in [
        "use crate::cli;\n",
        "pub(crate) use crate::{cli::run};\n",
        "fn f() {\n    crate::cli::run();\n}\n",
        "use super::super::cli::run;\n",
    ] {
        let mut up = Sources::of(&[("text/bytes.rs", planted)]).modules;
        up.extend(
            down.modules
                .iter()
                .filter(|(place, _)| place.len() < 2)
                .map(|(place, text)| (place.clone(), text.clone())),
        );
        let graph = Sources { modules: up }.graph();
        assert_eq!(graph.upward(&floors), ["text::bytes uses cli"], "{planted}");
        assert!(graph.circle().is_some(), "{planted}");
    }
}
