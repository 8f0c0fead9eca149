//! What docs/support.md says is seen of each technique on this kernel is what is seen.

use std::collections::BTreeMap;

use crate::common::shared;
use zctrace::{catalog::sight::Sight, kernel};

const PAGE: &str = include_str!("../../../../docs/support.md");

/// The word of the page for it.
const fn word(sight: Sight) -> &'static str {
    match sight {
        Sight::Measured => "measured",
        Sight::Partly => "partly",
        Sight::Inferred => "inferred",
        Sight::NotSeen => "not seen",
    }
}

/// A kernel of a table: the cells below its name.
struct Column<'a> {
    name: &'a str,
    cells: BTreeMap<&'a str, &'a str>,
}

/// The columns of the table of this architecture.
fn columns(arch: &str) -> Vec<Column<'static>> {
    let heading = format!("technique, {arch}");
    let rows = |line: &'static str| -> Vec<&'static str> {
        let cells = line.trim_matches('|').split('|');
        cells.map(str::trim).collect()
    };
    let mut lines = PAGE.lines().map(rows).skip_while(|row| row[0] != heading);
    let Some(names) = lines.next() else {
        return Vec::new();
    };
    let mut columns: Vec<_> = names[1..]
        .iter()
        .map(|name| Column {
            name,
            cells: BTreeMap::new(),
        })
        .collect();
    for row in lines.skip(1).take_while(|row| row.len() == names.len()) {
        for (column, cell) in columns.iter_mut().zip(&row[1..]) {
            column.cells.insert(row[0], cell);
        }
    }
    columns
}

/// Whether a column is about this kernel: `6.12`, `6.12, 16 KiB` or, where functions are refused, `6.18, hardened`.
fn is_this(column: &Column<'_>, backend: &str, has_others: bool) -> bool {
    let (version, rest) = column.name.split_once(", ").unwrap_or((column.name, ""));
    let is_version = kernel::release().starts_with(&format!("{version}."));
    let pages = format!("{} KiB", kernel::page_size() >> 10);
    let is_hardened = backend == "tracepoints";
    let pages_fit = if rest.ends_with("KiB") {
        rest == pages
    } else {
        pages == "4 KiB"
    };
    is_version && pages_fit && (!has_others || is_hardened == (rest == "hardened"))
}

#[test]
#[ignore = "needs root and BPF"]
fn the_page_says_what_is_seen_here() {
    let session = shared::session();
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        "aarch64" => "arm64",
        other => other,
    };
    let seen: BTreeMap<&str, &str> = session
        .coverage()
        .techniques()
        .into_iter()
        .map(|(technique, sight)| (technique.name, word(sight)))
        .collect();
    for (technique, word) in &seen {
        println!("{technique}: {word}");
    }
    let columns = columns(arch);
    let hardened = columns.iter().any(|column| {
        let release = kernel::release();
        let version = column.name.strip_suffix(", hardened");
        version.is_some_and(|version| release.starts_with(&format!("{version}.")))
    });
    let column = columns
        .iter()
        .find(|column| is_this(column, session.backend(), hardened));
    let Some(column) = column else {
        println!(
            "SKIP: the_page_says_what_is_seen_here: docs/support.md has no column for {}",
            kernel::release()
        );
        return;
    };
    assert!(column.cells.len() > 10, "{:?}", column.cells);
    let wrong: Vec<_> = column
        .cells
        .iter()
        .filter_map(|(technique, cell)| {
            // What a kernel does not have is in no report.
            let is = seen.get(technique).copied().unwrap_or("–");
            (is != *cell).then(|| format!("{technique}: {is}, and the page says {cell}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}: {}", column.name, wrong.join("\n"));
    let unknown: Vec<_> = seen
        .keys()
        .filter(|technique| !column.cells.contains_key(*technique))
        .collect();
    assert!(unknown.is_empty(), "not on the page: {unknown:?}");
}
