//! What the documentation shows is what the program prints.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use zctrace::{
    bench,
    catalog::Kind,
    claims::{self, Circumstances},
    kernel::doctor,
    ledger::{SCHEMA, Snapshot, Totals},
    report::csv,
    workload::technique,
};

const PAGE: &str = include_str!("../../docs/json.md");

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    PAGE.split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .collect()
}

/// Reads an example and checks that nothing is missing or unknown in it.
fn example<T: Serialize + DeserializeOwned>(text: &str) -> T {
    let value: Value = serde_json::from_str(text).unwrap();
    let document: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&document).unwrap(), value);
    assert_documented(&value);
    document
}

/// Every field must be named in the text, outside of the examples.
fn assert_documented(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let prose = PAGE.split("```").step_by(2);
                let named = prose
                    .flat_map(|text| text.split('`').skip(1).step_by(2))
                    .flat_map(|word| word.split('.'))
                    .any(|part| part.trim_end_matches("[]") == name);
                assert!(named, "{name} is not documented");
                assert_documented(value);
            }
        }
        Value::Array(values) => values.iter().for_each(assert_documented),
        _ => {}
    }
}

fn assert_conserved(totals: &Totals) {
    assert_eq!(totals.moved, totals.explained_and_unexplained());
}

#[test]
fn the_stat_example_is_a_document() {
    let snapshot: Snapshot = example(blocks("json")[0]);
    assert_eq!(snapshot.schema, SCHEMA);
    assert_conserved(&snapshot.total);
    let mut total = Totals::default();
    for process in &snapshot.processes {
        let mut sum = Totals::default();
        for path in &process.paths {
            assert_conserved(&path.totals);
            sum.add(&path.totals);
        }
        assert_eq!(process.total, sum);
        total.add(&sum);
    }
    assert_eq!(snapshot.total, total);
}

#[test]
fn the_doctor_example_is_a_document() {
    let document: doctor::Document = example(blocks("json")[1]);
    assert_eq!(document.schema, doctor::SCHEMA);
}

/// The verdict of the documentation follows from its own ledger.
#[test]
fn the_check_example_is_a_document() {
    let text = blocks("json")
        .into_iter()
        .find(|text| text.contains(claims::SCHEMA))
        .expect("there is an example");
    let document: claims::Document = example(text);
    let again = document
        .claims
        .iter()
        .map(|judgement| claims::judge(&judgement.claim, &document.stat, Circumstances::default()))
        .collect();
    let again = claims::Document::new(again, document.stat.clone());
    let value = |document| serde_json::to_value(document).unwrap();
    assert_eq!(value(&again), value(&document));
}

#[test]
fn the_bench_example_is_a_document() {
    let document: bench::Document = example(bench_example());
    assert_eq!(document.schema, bench::document::SCHEMA);
    for entry in &document.workloads {
        assert_conserved(&entry.expected);
        assert_conserved(&entry.measured);
        let mut computed = entry.clone();
        computed.compute();
        assert_eq!(&computed, entry);
    }
}

/// The example of the section about it.
fn bench_example() -> &'static str {
    let section = PAGE
        .split("\n## ")
        .find(|section| section.starts_with("`zctrace bench"));
    let text = section.and_then(|section| section.split("```json\n").nth(1));
    text.and_then(|text| text.split("```").next())
        .expect("an example")
}

#[test]
fn the_list_example_is_what_is_printed() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_zctrace"))
        .args(["bench", "--list", "--json"])
        .output()
        .unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = blocks("json")
        .into_iter()
        .find(|text| text.contains("zctrace.bench-list/"))
        .expect("an example");
    let example: Value = serde_json::from_str(text).unwrap();
    assert_documented(&printed);
    assert_eq!(example["schema"], printed["schema"]);
    let printed = printed["workloads"].as_array().unwrap();
    for workload in example["workloads"].as_array().unwrap() {
        assert!(printed.contains(workload), "{workload}");
    }
}

/// Every document that the program writes is described, but for those of its tests' traffic.
#[test]
fn every_schema_is_described() {
    fn visit(directory: &Path, schemas: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, schemas);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let named = text.split("\"zctrace.").skip(1);
                schemas.extend(named.filter_map(|rest| {
                    let (name, rest) = rest.split_once('/')?;
                    let is_name = name
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
                    let version = rest.split_once('"')?.0;
                    (is_name && version.parse::<u32>().is_ok())
                        .then(|| format!("zctrace.{name}/{version}"))
                }));
            }
        }
    }
    let mut schemas = Vec::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    visit(source.as_ref(), &mut schemas);
    assert!(schemas.len() > 5, "{schemas:?}");
    for schema in schemas.iter().filter(|name| !name.contains(".traffic")) {
        let described = [PAGE, include_str!("../../docs/audit.md")]
            .iter()
            .any(|page| page.contains(&format!("`{schema}`")));
        assert!(described, "{schema}");
    }
}

#[test]
fn the_csv_example_is_the_same_ledger() {
    let snapshot: Snapshot = serde_json::from_str(blocks("json")[0]).unwrap();
    let mut text = Vec::new();
    csv::header(&mut text).unwrap();
    csv::rows(&snapshot, &mut text).unwrap();
    assert_eq!(blocks("csv")[0], String::from_utf8(text).unwrap());
}

/// With `ZCTRACE_WRITE_DOCS` set, writes the page instead: `cargo xtask docs`.
fn assert_fresh(name: &str, refreshed: fn(&str) -> Option<String>) {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(&path).unwrap();
    let fresh = refreshed(&page).expect("the markers are there");
    if std::env::var_os("ZCTRACE_WRITE_DOCS").is_some() {
        fs::write(path, fresh).unwrap();
    } else {
        assert_eq!(page, fresh, "docs/{name} is stale: run `cargo xtask docs`");
    }
}

#[test]
fn the_page_of_probes_is_the_catalog() {
    assert_fresh("probes.md", zctrace::catalog::page::refreshed);
}

#[test]
fn the_page_of_claims_is_the_rules_and_their_table() {
    assert_fresh("claims.md", claims::page::refreshed);
}

#[test]
fn the_page_of_errors_is_the_table_of_refusals() {
    assert_fresh("errors.md", zctrace::ledger::refusals::page::refreshed);
}

#[test]
fn the_policy_in_the_documentation_is_one() {
    let page = include_str!("../../docs/check.md");
    let text = page.split("```toml\n").nth(1).unwrap();
    let policy = claims::Policy::parse(text.split("```").next().unwrap()).unwrap();
    assert_eq!(policy.claims.len(), 2);
}

/// What a page has in backquotes.
fn code_of(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The page has a section for each technique. It names those that have theirs on other pages, in brackets, and `cow`.
#[test]
fn the_page_of_techniques_has_every_technique() {
    let page = fs::read_to_string(root().join("docs/techniques.md")).unwrap();
    let (head, sections) = page.split_once("\n## Techniques\n").unwrap();
    let headings = sections.lines().filter(|line| line.starts_with("### "));
    let mut described: BTreeSet<_> = headings.flat_map(code_of).collect();
    let (_, elsewhere) = head.split_once("one system call (").unwrap();
    let (elsewhere, rest) = elsewhere.split_once(')').unwrap();
    assert!(rest.contains("`cow` with the"), "{rest}");
    for name in code_of(elsewhere).into_iter().chain(["cow"]) {
        assert!(described.insert(name), "{name} has two places");
    }
    let techniques = technique::ALL.iter().map(|technique| technique.name);
    assert_eq!(described, techniques.collect());
}

/// The kinds of probes in the list of `zctrace doctor --json` are those that there are.
#[test]
fn the_page_names_every_kind_of_probe() {
    let row = PAGE
        .lines()
        .find(|line| line.starts_with("| `probes` | the catalog:"));
    let (_, kinds) = row.unwrap().split_once("`kind` (").unwrap();
    let (kinds, _) = kinds.split_once(')').unwrap();
    assert_eq!(
        code_of(kinds),
        Kind::ALL.iter().map(|kind| kind.name()).collect()
    );
}

/// The workspace's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_map_names_places_that_exist() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut places = 0;
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _, file, function, _] = cells[..] else {
            continue;
        };
        let (Some(file), Some(function)) = (in_code(file), in_code(function)) else {
            continue;
        };
        let text =
            fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let name = function.rsplit("::").next().unwrap();
        assert!(text.contains(name), "{file} has no {function}");
        places += 1;
    }
    assert!(places >= 10, "the way of a byte has only {places} steps");
}

/// The text of a table's cell that is nothing but code.
fn in_code(cell: &str) -> Option<&str> {
    let code = cell.strip_prefix('`')?.strip_suffix('`')?;
    (!code.contains('`')).then_some(code)
}

/// The pages of the book: every Markdown file of docs/.
fn pages() -> Vec<PathBuf> {
    fn visit(directory: &Path, pages: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, pages);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                pages.push(path);
            }
        }
    }
    let mut pages = Vec::new();
    visit(&root().join("docs"), &mut pages);
    pages
}

/// What a page links to, as it names it: a file, and maybe a heading in it. Code blocks have none.
fn links(page: &Path) -> Vec<(String, Option<String>)> {
    let text = fs::read_to_string(page).unwrap();
    let prose = text.split("\n```").step_by(2);
    prose
        .flat_map(|part| part.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://"))
        .map(|target| match target.split_once('#') {
            Some((file, heading)) => (file.to_owned(), Some(heading.to_owned())),
            None => (target.to_owned(), None),
        })
        .collect()
}

/// The name that hosts and mdbook give to a heading.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter_map(|one| match one {
        ' ' => Some('-'),
        one if one.is_alphanumeric() || one == '-' || one == '_' => Some(one),
        _ => None,
    });
    kept.collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut from = pages();
    from.push(root().join("README.md"));
    let mut found = 0;
    for page in &from {
        for (file, heading) in links(page) {
            let to = match file.as_str() {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let page = page.display();
            assert!(to.exists(), "{page} links to {file}");
            if let Some(heading) = heading {
                let text = fs::read_to_string(&to).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#'));
                assert!(
                    headings.any(|line| anchor(line) == heading),
                    "{page} links to {file}#{heading}"
                );
            }
            found += 1;
        }
    }
    assert!(found >= 30, "only {found} links were found");
}

/// `mdbook build` makes pages of what SUMMARY.md lists and knows nothing outside of docs/.
#[test]
fn the_book_has_every_page_and_no_link_leaves_it() {
    let docs = root().join("docs").canonicalize().unwrap();
    let summary = docs.join("SUMMARY.md");
    let listed = links(&summary);
    let mut unlisted = pages();
    unlisted.retain(|page| {
        let name = page.strip_prefix(root().join("docs")).unwrap();
        name != Path::new("SUMMARY.md") && !listed.iter().any(|(one, _)| Path::new(one) == name)
    });
    assert!(unlisted.is_empty(), "not in SUMMARY.md: {unlisted:?}");
    for page in pages() {
        for (file, _) in links(&page).iter().filter(|(file, _)| !file.is_empty()) {
            let to = page.parent().unwrap().join(file).canonicalize().unwrap();
            let page = page.display().to_string();
            assert!(to.starts_with(&docs), "{page} links out of docs/: {file}");
            assert!(to.is_file(), "{page} links to a folder: {file}");
            // A README becomes index.html, and mdbook does not change the links to it.
            let is_renamed = to.ends_with("README.md") && !page.ends_with("SUMMARY.md");
            assert!(!is_renamed, "{page} links to {file}");
        }
    }
}

/// What is kept after attaching is what the table says.
#[test]
fn the_table_of_privileges_is_what_is_given_up() {
    use zctrace::kernel::privileges::Keep;
    let page = fs::read_to_string(root().join("docs/privileges.md")).unwrap();
    let kept = |command: &str, phase: &str| {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {command} | {phase} |")))
            .unwrap_or_else(|| panic!("no row of {command}"));
        let cell = row.split('|').nth(3).unwrap();
        let names = cell.split_whitespace().filter_map(in_code);
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    for (keep, command, phase) in [
        (Keep::Nothing, "`serve`", "after attaching"),
        (
            Keep::Report,
            "`stat`, `check`, `test`, `top` without a terminal",
            "after attaching",
        ),
        (Keep::Stacks, "`record`", "after attaching"),
        (Keep::Dashboard, "`top`", "from its start"),
    ] {
        let all = keep.capabilities();
        let all: Vec<_> = all.map(|capability| capability.to_string()).collect();
        assert_eq!(kept(command, phase), all, "{command}");
    }
}

/// A panel says how to read it, and asks for metrics that exist.
#[test]
fn every_panel_of_the_dashboard_is_described_and_asks_for_known_metrics() {
    let dashboard = include_str!("../../packaging/grafana.json");
    let serve = include_str!("../../docs/serve.md");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = &panel["title"];
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{title}: {description}");
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let words = query.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
            let names: Vec<_> = words.filter(|word| word.starts_with("zctrace_")).collect();
            assert!(!names.is_empty(), "{title}: {query}");
            for name in names {
                assert!(serve.contains(&format!("`{name}`")), "{title}: {name}");
            }
        }
    }
}
