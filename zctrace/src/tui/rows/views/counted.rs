//! What several views have: columns of counters, and names.

use std::cmp::Reverse;

use crate::{
    ledger::Totals,
    tui::{
        moment::{Moment, ProcessId, Step, Sym},
        rows::{Tone, Value},
    },
};

/// The ways in which bytes moved, the most first.
pub(super) fn ways(totals: &Totals) -> Vec<String> {
    let mut ways: Vec<_> = totals
        .classes()
        .into_iter()
        .chain(totals.extras())
        .collect();
    ways.retain(|(_, bytes)| *bytes != 0);
    ways.sort_by_key(|(_, bytes)| Reverse(*bytes));
    ways.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// The columns that every view of the ledger has, by their names.
pub(super) fn counted(name: &str, totals: &Totals, step: &Step, moment: &Moment) -> Value<'static> {
    match name {
        "moved" => Value::Bytes(totals.moved),
        "moved/s" => Value::BytesPerSecond(moment.per_second(step.moved)),
        "copied" => Value::Bytes(totals.copies()),
        "copied/s" => Value::BytesPerSecond(moment.per_second(step.copied)),
        "copies/byte" => Value::PerByte(totals.per_byte()),
        "how" => Value::Ways(Box::new(*totals)),
        "ops" => Value::Count(totals.ops),
        "ops/s" => Value::PerSecond(moment.per_second(step.ops)),
        "errors" => Value::Count(totals.errors),
        "filled" => Value::Bytes(totals.filled),
        _ => totals
            .classes()
            .into_iter()
            .chain(totals.extras())
            .find(|(class, _)| *class == name)
            .map_or_else(|| unknown(name), |(_, bytes)| Value::Bytes(bytes)),
    }
}

/// A column that the view names and has no value for: a defect, which the tests find.
pub(super) fn unknown(name: &str) -> Value<'static> {
    debug_assert!(false, "the column {name} has no value");
    Value::None
}

/// The mark of a row by what its numbers rest on.
pub(super) const fn evidence(is_inferred: bool) -> Value<'static> {
    if is_inferred {
        Value::Word("~", Tone::Warning)
    } else {
        Value::text("")
    }
}

/// A process by its name and number; what has ended has none.
#[must_use]
pub fn named(moment: &Moment, comm: Sym, id: ProcessId) -> String {
    match id.pid {
        0 => format!("{} [ended]", moment.name(comm)),
        pid => format!("{} [{pid}]", moment.name(comm)),
    }
}
