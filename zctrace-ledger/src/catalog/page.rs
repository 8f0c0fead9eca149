//! The catalog as the page docs/probes.md shows it.

use std::fmt::Write as _;

use super::{Family, Probe, Role, conclusion, probes};
use crate::text::generated::replaced;

/// What stands before the catalog in the page.
pub const BEGIN: &str = "<!-- The catalog: written by `cargo xtask docs`. -->\n";
/// What stands after it.
pub const END: &str = "<!-- End of the catalog. -->\n";

/// The catalog in Markdown: a chapter for each family, a section for each probe.
#[must_use]
pub fn catalog() -> String {
    let mut text = conclusion::table();
    let mut families: Vec<Family> = probes().map(|probe| probe.family).collect();
    families.sort_unstable();
    families.dedup();
    for family in families {
        let _ = write!(text, "\n## Probes: {}\n", family.name());
        for probe in probes().filter(|probe| probe.family == family) {
            text.push_str(&section(probe));
        }
    }
    text.push('\n');
    text
}

fn section(probe: &Probe) -> String {
    let Probe {
        name,
        family: _,
        role,
        ways,
        woken_by: _,
        needs: _,
        always_there: _,
        sign: _,
        proof: _,
        sees,
        lost,
    } = probe;
    let role = match role {
        Role::Target => "Maintains the set of traced tasks".to_owned(),
        Role::Interface(op) => format!("Reports that a `{}` ended and what it moved", op.name()),
        Role::CopySite => "A place where a CPU copies".to_owned(),
        Role::NoCopySite => "A place where bytes move without a copy by a CPU".to_owned(),
        Role::SomeRequests => "Reports requests that take a rare way".to_owned(),
        Role::Requests => "Reports which request a thread works on, and its result".to_owned(),
        Role::Cause => "Reports why copies were made".to_owned(),
        Role::Beside => "Reports what explains no bytes".to_owned(),
        Role::Evidence => "Reports what happens to bytes later".to_owned(),
        Role::Submissions | Role::SystemCalls | Role::Substitute => {
            "Part of the tracepoints backend".to_owned()
        }
    };
    let ways: Vec<_> = ways
        .iter()
        .map(|way| {
            let module = way.module.map(|module| format!(" (module {module})"));
            let (kind, symbol) = (way.kind.name(), way.symbol);
            format!("{kind} of `{symbol}`{}", module.unwrap_or_default())
        })
        .collect();
    format!(
        "\n### `{name}`\n\nSees: {sees}. {role}.\n\nAttached as {}. Lost without it: {lost}.\n",
        ways.join(", else ")
    )
}

/// The page with its catalog replaced by the current one; `None` if the markers are missing.
#[must_use]
pub fn refreshed(page: &str) -> Option<String> {
    replaced(page, BEGIN, END, &catalog())
}
