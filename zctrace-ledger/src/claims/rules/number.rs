//! What the numbers themselves say.

use super::{Look, Rule, Seen, Sight};
use crate::ledger::{Errnos, Path, refusals};

pub(crate) const ABOVE_LIMIT: Rule = Rule {
    code: "above-limit",
    says: "A CPU copied more of these bytes than the limit allows",
    evidence: "copies over moved bytes of a row, if no other rule explains them",
    remedy: "`zctrace explain OPERATION` names an operation that copies less",
    look: Look::Numbers,
};

pub(crate) const COPIES_WITHOUT_MOVES: Rule = Rule {
    code: "copies-without-moves",
    says: "Bytes were copied, but nothing was moved that they could be divided by",
    evidence: "copies in rows that moved, sent or received nothing",
    remedy: "the row shows what was copied; --path judges another path alone",
    look: Look::Numbers,
};

pub(crate) const DILUTED: Rule = Rule {
    code: "diluted",
    says: "The total looks fine only because rows without copies hide those with copies",
    evidence: "the total is within the limit and a row is not",
    remedy: "judge rows, not totals, as zctrace does here; --path judges one path alone",
    look: Look::Numbers,
};

pub(crate) const UNEXPLAINED: Rule = Rule {
    code: "too-much-unexplained",
    says: "Too many bytes moved in a way that no probe saw: they may have been copied",
    evidence: "copies are within the limit, but copies and `unexplained` together are not",
    remedy: "`zctrace doctor` says which probe is missing and how to get it",
    look: Look::Numbers,
};

pub(crate) const PASSED_ON: Rule = Rule {
    code: "maybe-passed-on",
    says: "The process copied bytes into a place from which the kernel sent as many: they may be the same bytes",
    evidence: "copies are above the limit for the bytes sent from memory, but within it if the bytes also count that the kernel passed on from files or pipes which the process had written; for received bytes the other way round",
    remedy: "the rows do not say which file it was: judge the sending operations with --max-copies-per-byte and --path, or keep the data in memory, or, if the process spills into a temporary file, remove that file once it is open (then nobody else can write to it, and the bytes are known to be the same)",
    look: Look::Numbers,
};

pub(crate) const INFERRED: Rule = Rule {
    code: "only-inferred",
    says: "How these bytes moved was concluded from the call, not seen",
    evidence: "rows with the evidence `inferred` are true only if the conclusion is right",
    remedy: "use a kernel on which functions can be traced (`zctrace doctor`), or accept conclusions with --accept-inferred",
    look: Look::Numbers,
};

pub(crate) const TOO_FEW_BYTES: Rule = Rule {
    code: "too-few-bytes",
    says: "Too few bytes were carried to say anything",
    evidence: "no row has --min-bytes, and neither do all rows together; shared extents count, but mapped libraries and made-up bytes do not",
    remedy: "measure longer or under load, name the target and --path that move the bytes, or lower --min-bytes",
    look: Look::Numbers,
};

pub(crate) const NOTHING_CARRIED: Rule = Rule {
    code: "nothing-carried",
    says: "Only bytes that are made up, dropped or mapped have moved, and a limit of copies says nothing about them",
    evidence: "enough bytes moved, but they are `synthetic` (/dev/null, /dev/zero, holes, MSG_TRUNC) or pages that a fault made visible: no data had to be carried",
    remedy: "measure with the real source and sink instead of /dev/null and /dev/zero, or judge another path with --path",
    look: Look::Numbers,
};

pub(crate) const PATH_NOT_USED: Rule = Rule {
    code: "path-not-used",
    says: "The claim is about an operation that moved nothing, while the same work was done in another way",
    evidence: "the operation of --path moved no bytes, a process moved --min-bytes between the same kinds of places by other operations, and no operation of --path can have gone unseen",
    remedy: "find out why the program did not take this path: an option that is off, a call that failed and was replaced, or a file or socket that does not allow it",
    look: Look::Numbers,
};

pub(crate) const SOURCE_COPIED: Rule = Rule {
    code: "source-was-copied",
    says: "The same process copied bytes into the place from which they were passed on",
    evidence: "copies in rows of the same process that write to the kind of file or pipe that a row of --path reads, more than the limit allows for the path",
    remedy: "judge the process with --max-copies-per-sent-byte and without --path: that counts these copies too",
    look: Look::Numbers,
};

pub(crate) const EXPECTATION_MISSED: Rule = Rule {
    code: "expectation-missed",
    says: "The share of bytes that went the expected way is not the expected share",
    evidence: "the share of an operation or a class in all bytes that a process took from one kind of place, or gave to it; which way the other bytes went, and which calls failed",
    remedy: "find out why the program did not take this path: an option that is off, a call that failed and was replaced, or a file or socket that does not allow it",
    look: Look::Numbers,
};

pub(crate) const EXPECTATION_UNCLEAR: Rule = Rule {
    code: "expectation-unclear",
    says: "The expectation has one answer for bytes of one kind of place or direction, and another for the rest",
    evidence: "the share for each kind of place and each direction with --min-bytes",
    remedy: "name the place, as in 'uring.*,network>=0.9' (network, unix, file, pipe), or an operation of one direction",
    look: Look::Numbers,
};

pub(crate) const SLOW_NOTIFICATION: Rule = Rule {
    code: "zerocopy-slow-notification",
    says: "Zero-copy sends waited for their notification for longer than the limit allows, with their memory pinned",
    evidence: "`notified` of a send row: the time within which 99% of its sends were notified is more than --max-notification-ms",
    remedy: "send in smaller calls or over a connection with less in its queue, let the receiver read sooner, or send without MSG_ZEROCOPY: an ordinary send copies, and its memory is free at once",
    look: Look::Numbers,
};

pub(crate) const NOTIFICATION_UNKNOWN: Rule = Rule {
    code: "notification-not-measured",
    says: "How long zero-copy sends wait for their notification is not known, or not of enough of them",
    evidence: "a limit of that time, and `notified` of fewer bytes than --min-bytes, more than a hundredth of them still `pending`, or calls of which only tracepoints are seen",
    remedy: "use a kernel on which functions can be traced (`zctrace doctor`), measure longer, or let the receivers read everything",
    look: Look::Numbers,
};

pub(crate) const REFUSED: Rule = Rule {
    code: "refused",
    says: "Calls of this operation were refused, so their bytes went another way or not at all",
    evidence: "a row with `errnos` that moved nothing, or a row with an errno that is not part of normal operation; more load does not change that",
    remedy: "`zctrace explain ERRNO` says what the errno means for each call, and `zctrace explain OPERATION` what the operation needs",
    look: Look::Notes(in_part),
};

/// Calls that were refused beside others that were not.
fn in_part(sight: &Sight<'_>) -> Option<Seen> {
    let path = sight.row.path;
    (path.totals.moved > 0 && !refusals::words(path).is_empty()).then(|| Seen {
        bytes: 0,
        text: refused_words(path.errnos.total(), path.totals.ops, [path]),
    })
}

/// How many calls failed, with what, and what that means.
pub(crate) fn refused_words<'a>(
    errors: u64,
    calls: u64,
    paths: impl IntoIterator<Item = &'a Path>,
) -> String {
    let (mut errnos, mut means) = (Errnos::default(), Vec::new());
    for path in paths {
        errnos.add(&path.errnos);
        for text in refusals::words(path) {
            if !means.contains(&text) {
                means.push(text);
            }
        }
    }
    let why = errnos
        .words()
        .map_or_else(String::new, |words| format!(" with {words}"));
    let means: String = means.iter().map(|text| format!("; {text}")).collect();
    format!("{errors} of {calls} calls failed{why}{means}")
}

pub(super) const RULES: &[Rule] = &[
    ABOVE_LIMIT,
    COPIES_WITHOUT_MOVES,
    DILUTED,
    UNEXPLAINED,
    PASSED_ON,
    INFERRED,
    TOO_FEW_BYTES,
    NOTHING_CARRIED,
    PATH_NOT_USED,
    EXPECTATION_MISSED,
    EXPECTATION_UNCLEAR,
    SOURCE_COPIED,
    SLOW_NOTIFICATION,
    NOTIFICATION_UNKNOWN,
    REFUSED,
];
