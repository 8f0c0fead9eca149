//! Which layers a change can break.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use super::{LAYERS, Layer};
use crate::{job::Job, paths};

use Layer::{Cli, Lint, Package, Running, Unit, Vm};

/// Where files lie, and the layers that a change of them can break: the first line that is the
/// beginning of a file's path counts. What is in no line can break everything.
const BROKEN_BY: &[(&str, &[Layer])] = &[
    ("docs/", &[Lint, Unit, Cli]),
    ("book.toml", &[Lint]),
    ("README.md", &[Cli]),
    ("CHANGELOG.md", &[Cli]),
    ("LICENSE", &[Package]),
    ("packaging/", &[Unit, Cli, Package]),
    ("deny.toml", &[Lint]),
    ("rustfmt.toml", &[Lint]),
    ("xtask/src/test/", &[Lint, Unit]),
    ("xtask/src/bench/", &[Lint, Unit]),
    ("xtask/src/vm/", &[Lint, Unit, Vm]),
    ("xtask/src/dist/", &[Lint, Unit, Package]),
    ("xtask/", &[Lint, Unit]),
    ("zctrace/tests/privileged/host/", &[Lint, Running]),
    ("zctrace/tests/privileged/", &[Lint, Running, Vm]),
    ("zctrace/tests/recordings/", &[Unit]),
    ("zctrace/tests/", &[Lint, Cli]),
    ("fuzz/", &[Unit]),
    // Which probes are attached, what they prove, and what is judged of that.
    (
        "zctrace-ledger/src/catalog/",
        &[Lint, Unit, Cli, Running, Vm],
    ),
    (
        "zctrace-ledger/src/claims/",
        &[Lint, Unit, Cli, Running, Vm],
    ),
    // What is shown is the same on every kernel.
    ("zctrace/src/cli/", &[Lint, Unit, Cli, Running]),
    ("zctrace/src/tui/", &[Lint, Unit, Running]),
    ("zctrace/src/serve/", &[Lint, Unit, Running]),
    ("zctrace/src/report/", &[Lint, Unit, Cli, Running]),
    ("zctrace-ledger/", &[Lint, Unit, Cli, Running]),
    ("zctrace-region/", &[Lint, Unit, Running]),
    ("zctrace/src/bench/", &[Lint, Unit, Cli, Running]),
];

/// The layers that what was changed since `revision` can break, what is not committed included.
pub(super) fn layers(revision: &str) -> Result<BTreeSet<Layer>> {
    let git = |arguments: &[&str]| {
        Job::new("git")
            .args(arguments)
            .current_dir(paths::root())
            .read()
            .with_context(|| format!("git {} fails", arguments.join(" ")))
    };
    let base = git(&["merge-base", revision, "HEAD"])?;
    let changed = git(&["diff", "--name-only", base.trim()])?;
    let new = git(&["ls-files", "--others", "--exclude-standard"])?;
    let mut broken = BTreeSet::new();
    for path in changed.lines().chain(new.lines()) {
        let layers = broken_by(path);
        let names: Vec<_> = layers.iter().map(Layer::to_string).collect();
        println!("changed: {path}: {}", names.join(", "));
        broken.extend(layers);
    }
    Ok(broken)
}

fn broken_by(path: &str) -> &'static [Layer] {
    BROKEN_BY
        .iter()
        .find(|(begin, _)| path.starts_with(begin))
        .map_or(&LAYERS, |(_, layers)| layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_breaks_everything() {
        for path in [
            "zctrace-ebpf/src/main.rs",
            "zctrace/src/tracer/mod.rs",
            "Cargo.lock",
        ] {
            assert_eq!(broken_by(path), LAYERS, "{path}");
        }
        assert_eq!(
            broken_by("zctrace/tests/privileged/host/top.rs"),
            [Lint, Running]
        );
        assert_eq!(broken_by("docs/json.md"), [Lint, Unit, Cli]);
        // They decide on which probes are attached, and on verdicts that only functions allow.
        for path in [
            "zctrace-ledger/src/catalog/vm.rs",
            "zctrace-ledger/src/claims/table.rs",
        ] {
            assert!(broken_by(path).contains(&Vm), "{path}");
        }
    }

    /// A line behind one that begins like it would never count.
    #[test]
    fn every_line_counts() {
        for (index, (begin, _)) in BROKEN_BY.iter().enumerate() {
            let first = BROKEN_BY.iter().position(|(one, _)| begin.starts_with(one));
            assert_eq!(first, Some(index), "{begin}");
        }
    }
}
