//! Writes the parts of the documentation that come out of the code.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::Args;

/// Write the generated parts of docs/ anew.
///
/// The layer `cli` of the tests fails while they are stale.
#[derive(Args)]
pub(crate) struct Options {}

pub(crate) fn run(_: &Options) -> Result<ExitCode> {
    let status = Command::new("cargo")
        .args(["test", "--quiet", "--package=zctrace", "--test=docs"])
        .args(["the_page_of"])
        .env("ZCTRACE_WRITE_DOCS", "1")
        .status()
        .context("running cargo")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::paths;

    /// Each row of the table in docs/architecture.md that follows a byte: the file, and what is in it.
    fn steps(page: &str) -> Vec<(&str, Vec<&str>)> {
        page.lines()
            .filter_map(|line| {
                let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
                let [_, file, names] = cells[..] else {
                    return None;
                };
                let file = file.trim().strip_prefix('`')?.strip_suffix('`')?;
                let names = names.split('`').skip(1).step_by(2).collect();
                file.ends_with(".rs").then_some((file, names))
            })
            .collect()
    }

    #[test]
    fn the_way_of_a_byte_leads_to_what_is_there() {
        let root = paths::root();
        let page = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
        let steps = steps(&page);
        assert!(steps.len() > 10, "{steps:?}");
        for (file, names) in steps {
            let text = fs::read_to_string(root.join(file)).unwrap_or_else(|_| panic!("no {file}"));
            assert!(!names.is_empty(), "{file}");
            for name in names.iter().flat_map(|name| name.split("::")) {
                assert!(text.contains(name), "no {name} in {file}");
            }
        }
    }
}
