//! Transforms.

use super::{Look, Rule, Seen, Sight};

/// The code of the rule that `--allow-encryption` silences.
pub(crate) const KTLS: &str = "ktls-software";

pub(super) const RULES: &[Rule] = &[Rule {
    code: KTLS,
    says: "Kernel TLS in software copies no plaintext, but a CPU reads every byte and writes it again",
    evidence: "`encrypted` in a row; it counts as a pass over the data unless --allow-encryption is given",
    remedy: "a device with TLS offload (ethtool -K DEV tls-hw-tx-offload on), or --allow-encryption if that pass is accepted",
    look: Look::Copies(encrypted),
}];

fn encrypted(sight: &Sight<'_>) -> Option<Seen> {
    Seen::some(sight.row.totals().encrypted, || {
        "read and rewritten by the cipher".to_owned()
    })
}
