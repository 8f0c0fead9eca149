//! What every word of a report means: the sections of the documentation, by name.

mod other_names;

use other_names::OTHER_NAMES;

use crate::{
    ledger::{Errno, Object},
    workload::technique,
};

/// The pages, in the order in which they are listed.
const PAGES: [&str; 8] = [
    include_str!("../../docs/ledger.md"),
    include_str!("../../docs/operations.md"),
    include_str!("../../docs/techniques.md"),
    include_str!("../../docs/probes.md"),
    include_str!("../../docs/claims.md"),
    include_str!("../../docs/errors.md"),
    include_str!("../../docs/words.md"),
    include_str!("../../docs/advise.md"),
];

/// How unlike a name may be to be suggested, from 0 to 1.
const LIKENESS: f64 = 0.75;
/// How much more alike the name of a probe must be than others, which people rather ask for.
const BEHIND: f64 = 0.1;
/// Most suggestions at once.
const MAX_SUGGESTIONS: usize = 3;

/// A section under a heading such as ``### `spliced` ``.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The heading above it.
    pub group: &'static str,
    /// Its heading: one name in backticks, or several with commas in between.
    heading: &'static str,
    /// Its text, in Markdown.
    pub text: &'static str,
}

impl Entry {
    /// Its names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.heading.split('`').skip(1).step_by(2)
    }

    /// Its first sentence, without markup.
    #[must_use]
    pub fn summary(&self) -> String {
        let paragraph = self.text.split("\n\n").next().unwrap_or_default();
        let words: Vec<_> = paragraph.split_whitespace().collect();
        let text = words.join(" ").replace('`', "");
        match text.find(". ") {
            Some(end) => text[..=end].into(),
            None => text,
        }
    }
}

/// Every section, in the order of the pages.
#[must_use]
pub fn entries() -> Vec<Entry> {
    PAGES.iter().flat_map(|page| parse(page)).collect()
}

fn parse(page: &'static str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for chapter in page.split("\n## ").skip(1) {
        let group = chapter.lines().next().unwrap_or_default();
        for section in chapter.split("\n### ").skip(1) {
            let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
            if heading.starts_with('`') {
                entries.push(Entry {
                    group,
                    heading,
                    text: text.split("<!--").next().unwrap_or_default().trim(),
                });
            }
        }
    }
    entries
}

/// The section about `name`, as a report shows it: `file:ext4` finds `file:<fs>`, `uring.read` finds
/// `uring.*`, `copied to user` finds `copied_to_user`.
#[must_use]
pub fn find(name: &str) -> Option<Entry> {
    let wanted = match name.trim() {
        // The marks of a table.
        "~" => "inferred".to_owned(),
        "?" => "unexplained".to_owned(),
        name => normal(name),
    };
    let entries = entries();
    // What people call something comes before a probe of the same name.
    let exact_among = |wanted: &str, internal: bool| {
        let is = |entry: &&Entry| {
            is_internal(entry) == internal && entry.names().any(|name| normal(name) == wanted)
        };
        entries.iter().find(is).copied()
    };
    let exact = |wanted: &str| exact_among(wanted, false).or_else(|| exact_among(wanted, true));
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == wanted);
    let other = || exact(&normal(other?.1));
    // An errno that no call gives a meaning of its own.
    let errno = || {
        Errno::parse(&wanted.to_ascii_uppercase())
            .or_else(|| Errno::parse(&wanted))
            .and_then(|_| exact("errors"))
    };
    let probe = || exact_among(&wanted, true);
    let named = exact_among(&wanted, false).or_else(other).or_else(probe);
    named.or_else(errno).or_else(|| {
        if name.contains("->") && Object::from(&*wanted).joined().is_some() {
            return exact("a->b");
        }
        // A workload with its variant.
        if let Some(technique) = wanted
            .split_once(':')
            .and_then(|(technique, _)| exact(technique))
            .filter(|_| technique::Workload::find(name).len() == 1)
        {
            return Some(technique);
        }
        let (family, separator) = match (wanted.split_once(':'), wanted.split_once('.')) {
            (Some((family, _)), _) => (family, ":"),
            (None, Some((family, _))) => (family, "."),
            (None, None) => (wanted.as_str(), ""),
        };
        let of_family = |entry: &&Entry| {
            entry.names().any(|name| {
                name.strip_prefix(family).is_some_and(|rest| {
                    rest.starts_with([':', '.'])
                        && rest.starts_with(separator)
                        && rest.ends_with(['*', '>'])
                })
            })
        };
        entries.iter().find(of_family).copied()
    })
}

/// Names like `name`, the most alike first.
#[must_use]
pub fn suggestions(name: &str) -> Vec<&'static str> {
    let wanted = normal(name);
    let entries = entries();
    let own = entries
        .iter()
        .flat_map(|entry| entry.names().map(|name| (is_internal(entry), name)));
    let other = OTHER_NAMES.iter().map(|(name, _)| (false, *name));
    let mut alike: Vec<_> = own
        .chain(other)
        .map(|(is_internal, name)| {
            let likeness = strsim::jaro_winkler(&wanted, &normal(name));
            let behind = if is_internal { BEHIND } else { 0.0 };
            (likeness, likeness - behind, name)
        })
        .filter(|(likeness, ..)| *likeness >= LIKENESS)
        // The letters of bars are like every word that begins with them.
        .filter(|(.., name)| name.len() > 1)
        .collect();
    alike.sort_by(|a, b| b.1.total_cmp(&a.1));
    alike.truncate(MAX_SUGGESTIONS);
    alike.into_iter().map(|(.., name)| name).collect()
}

/// Whether it is a name of zctrace's own, which nobody asks for by mistake.
fn is_internal(entry: &Entry) -> bool {
    entry.group.starts_with("Probes:")
}

/// Sections whose topic has `topic` in its name.
#[must_use]
pub fn of_topic(topic: &str) -> Vec<Entry> {
    let topic = topic.to_lowercase();
    let mut all = entries();
    all.retain(|entry| entry.group.to_lowercase().contains(&topic));
    all
}

/// Sections with `word` in their names or their text; those with it in a name first.
#[must_use]
pub fn search(word: &str) -> Vec<Entry> {
    let word = word.to_lowercase();
    let mut all = entries();
    all.retain(|entry| {
        format!("{} {}", entry.heading, entry.text)
            .to_lowercase()
            .contains(&word)
    });
    all.sort_by_key(|entry| !entry.heading.to_lowercase().contains(&word));
    all
}

/// A name however it is written.
fn normal(name: &str) -> String {
    name.trim()
        .trim_start_matches(['+', '~'])
        .to_ascii_lowercase()
        .replace([' ', '-'], "_")
        .replace("_>", "->")
}

#[cfg(test)]
mod tests;
