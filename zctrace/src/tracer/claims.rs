//! What was asked for, beside the rows: the key of a row has it, the contract's key does not.

use zctrace_common::{Counters, Evidence, Mark, Object, ObjectKind, Op, RowKey};

use crate::ledger::{self, Claimed, MAY_COPY};

/// Whether a row only counts notifications: no operation is behind it.
pub(super) const fn is_notification(key: &RowKey) -> bool {
    key.marks & Mark::Copied as u8 != 0
}

/// The portion of a path that a row with claims, or with a device that copied, is; `None` of others.
pub(super) fn claimed(
    key: &RowKey,
    object: ledger::Object,
    (device, obstacle): (Option<&String>, Option<&String>),
    counters: &Counters,
) -> Option<Claimed> {
    let (op, evidence) = (Op::from_raw(key.op)?, Evidence::from_raw(key.evidence)?);
    let mut mask = key.marks;
    // `O_DIRECT` on a pipe means packets.
    if !on_disk(key.source) && !on_disk(key.sink) {
        mask &= !(Mark::Direct as u8);
    }
    if counters.encrypted != 0 {
        mask |= Mark::Tls as u8;
    }
    // The row for notifications is there before the first of them.
    if (mask == 0 && device.is_none()) || (is_notification(key) && counters.ops == 0) {
        return None;
    }
    let mut claimed = Claimed {
        op: op.into(),
        object,
        evidence: evidence.into(),
        claims: Mark::of(mask)
            .map(|claim| claim.name().to_owned())
            .chain(obstacle.map(|obstacle| format!("{MAY_COPY}{obstacle}")))
            .collect(),
        device: device.cloned(),
        notifications: 0,
        totals: counters.into(),
    };
    if is_notification(key) {
        claimed.notifications = claimed.totals.ops;
        claimed.totals.ops = 0;
    }
    Some(claimed)
}

fn on_disk(packed: u64) -> bool {
    Object::unpack(packed)
        .is_some_and(|object| matches!(object.kind, ObjectKind::File | ObjectKind::Block))
}

/// One entry for each key: two rows can have one name, or differ by their dimension.
pub(super) fn merged(claims: Vec<Claimed>) -> Vec<Claimed> {
    let mut merged: Vec<Claimed> = Vec::with_capacity(claims.len());
    for claimed in claims {
        match merged.iter_mut().find(|other| other.has_key_of(&claimed)) {
            Some(other) => {
                other.add(&claimed);
            }
            None => merged.push(claimed),
        }
    }
    merged.sort_by(|a, b| {
        let key = |claimed: &Claimed| {
            let Claimed {
                op,
                object,
                evidence,
                claims,
                ..
            } = claimed.clone();
            (op, object, evidence, claims)
        };
        key(a).cmp(&key(b))
    });
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(op: Op, kind: ObjectKind, marks: u8) -> RowKey {
        RowKey {
            op: op as u16,
            marks,
            source: Object::pack(kind, 0),
            ..RowKey::default()
        }
    }

    #[test]
    fn a_pipe_of_packets_claims_nothing() {
        let direct = Mark::Direct as u8;
        let of = |kind| {
            claimed(
                &row(Op::Read, kind, direct),
                "x".into(),
                (None, None),
                &Counters::ZERO,
            )
        };
        assert!(of(ObjectKind::Pipe).is_none());
        assert_eq!(
            of(ObjectKind::File).map(|c| c.claims),
            Some(vec!["o_direct".to_owned()])
        );
    }

    #[test]
    fn notifications_are_no_operations() {
        let key = row(Op::SendZerocopy, ObjectKind::Tcp, Mark::Copied as u8);
        let counters = Counters {
            ops: 3,
            ..Counters::ZERO
        };
        let claimed = claimed(&key, "tcp".into(), (None, None), &counters).expect("a claim");
        assert_eq!((claimed.notifications, claimed.totals.ops), (3, 0));
    }
}
