//! What every word of a report means: the sections of the documentation, by name.

use crate::workload::technique;

/// The pages, in the order in which they are listed.
const PAGES: [&str; 6] = [
    include_str!("../docs/ledger.md"),
    include_str!("../docs/operations.md"),
    include_str!("../docs/techniques.md"),
    include_str!("../docs/probes.md"),
    include_str!("../docs/claims.md"),
    include_str!("../docs/errors.md"),
];

/// How unlike a name may be to be suggested, from 0 to 1.
const LIKENESS: f64 = 0.75;
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
    let exact = |wanted: &str| {
        let is = |entry: &&Entry| entry.names().any(|name| normal(name) == wanted);
        entries.iter().find(is).copied()
    };
    exact(&wanted).or_else(|| {
        if wanted.contains("->") {
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
    let mut alike: Vec<_> = entries()
        .iter()
        .flat_map(Entry::names)
        .map(|name| (strsim::jaro_winkler(&wanted, &normal(name)), name))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.truncate(MAX_SUGGESTIONS);
    alike.into_iter().map(|(_, name)| name).collect()
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
mod tests {
    use std::collections::BTreeSet;

    use zctrace_common::{Claim, Evidence, Op};

    use super::*;
    use crate::ledger::Totals;

    #[test]
    fn marks_are_explained() {
        for (mark, name) in [("~", "inferred"), ("?", "unexplained")] {
            assert_eq!(find(mark), find(name), "{mark}");
            assert!(find(mark).is_some());
        }
    }

    #[test]
    fn everything_in_a_report_is_explained() {
        let totals = Totals::default();
        let fields = totals.classes().into_iter().chain(totals.extras());
        let fields = fields.map(|(name, _)| name);
        let ops = Op::ALL.iter().map(|op| op.name());
        let evidence = [Evidence::Measured, Evidence::Inferred].map(Evidence::name);
        let design = [
            "recv.zerocopy",
            "send.zerocopy",
            "aio.read",
            "aio.write",
            "uring.send_zc",
            "file:ext4",
            "block",
            "pipe",
            "tcp",
            "udp",
            "unix",
            "vsock",
            "socket:16",
            "char:mem",
            "anon",
            "file:ext4->tcp",
            "moved",
            "ops",
            "errors",
            "copies_per_byte",
            "copies_per_sent_byte",
            "copies_per_received_byte",
            "sent",
            "received",
            "pending",
            "in_flight",
            "unattributed",
            "coverage",
            "loss",
            "overhead",
            "backend",
            "evidence",
            "conservation",
            "COPIES/B",
            "COPY/B",
            "C/B",
            "copying",
            "network",
            "open",
            "PASS",
            "FAIL",
            "INCONCLUSIVE",
        ];
        let claims = Claim::ALL.iter().map(|claim| claim.name());
        let techniques = technique::ALL.iter().map(|technique| technique.name);
        for name in fields
            .chain(ops)
            .chain(evidence)
            .chain(design)
            .chain(techniques)
            .chain(claims)
        {
            let entry = find(name);
            assert!(entry.is_some_and(|entry| entry.text.len() > 20), "{name}");
        }
    }

    #[test]
    fn names_are_unique_and_summaries_short() {
        let mut names = BTreeSet::new();
        for entry in entries() {
            for name in entry.names() {
                assert!(names.insert(name), "{name} twice");
            }
            let summary = entry.summary();
            assert!(summary.ends_with('.'), "{}: {summary}", entry.heading);
            assert!(summary.len() <= 110, "{}: {summary}", entry.heading);
        }
    }

    #[test]
    fn names_are_found_as_reports_show_them() {
        let first = |name| find(name).and_then(|entry| entry.names().next());
        assert_eq!(first("file:overlay"), Some("file:<fs>"));
        assert_eq!(first("file"), Some("file:<fs>"));
        assert_eq!(first("uring.recv"), Some("uring.*"));
        assert_eq!(first("uring"), Some("uring.*"));
        assert_eq!(first("copied to user"), Some("copied_to_user"));
        assert_eq!(first("+deferred"), Some("deferred"));
        assert_eq!(first("file:ext4->file:tmpfs"), Some("a->b"));
        assert_eq!(first("aio.write"), Some("aio.read"));
        assert_eq!(first("fault.map"), Some("fault.map"));
        assert_eq!(first("fbufs:pipe"), Some("fbufs"));
        assert_eq!(first("cow:private"), Some("cow"));
        assert_eq!(first("copy-file-range:xfs"), Some("copy_file_range"));
        assert_eq!(first("exdev"), Some("EXDEV"));
        assert_eq!(first("EWOULDBLOCK"), Some("EAGAIN"));
        assert_eq!(first("nonsense"), None);
        assert_eq!(first("fault.nonsense"), None);
    }

    #[test]
    fn a_slip_is_understood() {
        assert_eq!(suggestions("splice_d").first(), Some(&"spliced"));
        assert!(suggestions("sendfil").contains(&"sendfile"));
        assert!(suggestions("copied_user").contains(&"copied_to_user"));
        assert!(suggestions("qqqq").is_empty());
    }
}
