//! Operations by what people write for them.

use zctrace_common::Op;

/// Whether a claim's path means this operation.
pub(super) fn matches(path: &str, op: &str) -> bool {
    match path.strip_suffix(".*") {
        Some(family) => op
            .strip_prefix(family)
            .is_some_and(|rest| rest.starts_with('.')),
        None => path == op,
    }
}

/// The operations whose names are most like this.
pub(super) fn alike(name: &str) -> Vec<&'static str> {
    let mut alike: Vec<_> = Op::ALL
        .iter()
        .filter(|op| **op != Op::Kernel)
        .map(|op| (strsim::jaro_winkler(name, op.name()), op.name()))
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.iter().take(3).map(|(_, name)| *name).collect()
}
