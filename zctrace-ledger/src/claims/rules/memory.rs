//! Page tables: mappings and fork.

use super::{Look, Rule, Seen, Sight};

pub(super) const RULES: &[Rule] = &[Rule {
    code: "copy-on-write",
    says: "Memory shared by MAP_PRIVATE or fork is copied at the first write, page by page",
    evidence: "`cow` in a row",
    remedy: "map with MAP_SHARED or only read, fork when little will be written, or use MADV_DONTFORK",
    look: Look::Copies(cow),
}];

fn cow(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    Seen::some(path.totals.cow, || {
        format!("copied in {} pages or parts of calls", path.totals.ops)
    })
}
