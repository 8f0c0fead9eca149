//! What the numbers themselves say.

use super::{Look, Rule, Seen, Sight};
use crate::ledger::{Errnos, Path, refusals};

pub(crate) const ABOVE_LIMIT: Rule = Rule {
    code: "above-limit",
    says: "A CPU copied more of these bytes than the limit allows",
    evidence: "copies over moved bytes of a row, where no other rule knows how they came about",
    remedy: "`zctrace explain` of the operation tells which other one copies less",
    look: Look::Numbers,
};

pub(crate) const COPIES_WITHOUT_MOVES: Rule = Rule {
    code: "copies-without-moves",
    says: "Bytes were copied and nothing was moved that they could be counted over",
    evidence: "copies in rows that moved, sent or received nothing",
    remedy: "what was copied is in the row; --path judges another path alone",
    look: Look::Numbers,
};

pub(crate) const DILUTED: Rule = Rule {
    code: "diluted",
    says: "The total looks fine only because rows without copies hide those with copies",
    evidence: "the total is within the limit and a row is not",
    remedy: "judge rows, not totals, as is done here; --path judges one path alone",
    look: Look::Numbers,
};

pub(crate) const UNEXPLAINED: Rule = Rule {
    code: "too-much-unexplained",
    says: "Too many bytes were moved in a way that no probe saw: they may have been copied",
    evidence: "copies are within the limit, copies and `unexplained` together are not",
    remedy: "`zctrace doctor` tells which probe is missing and how to get it",
    look: Look::Numbers,
};

pub(crate) const PASSED_ON: Rule = Rule {
    code: "maybe-passed-on",
    says: "The process copied bytes into a place from which the kernel sent as many: maybe the same ones",
    evidence: "copies are above the limit for the bytes sent from memory, and within it when the bytes that the kernel passed on from files or pipes, which the process had written, count too; for received bytes the other way round",
    remedy: "the rows do not tell which file it was: judge the sending operations with --max-copies-per-byte and --path, or, if it spills into a temporary file, remove that file when it is open (then nobody else can write to it, and the bytes are known to be the same), or keep the data in memory",
    look: Look::Numbers,
};

pub(crate) const INFERRED: Rule = Rule {
    code: "only-inferred",
    says: "What became of these bytes was concluded from the call, not seen",
    evidence: "rows with the evidence `inferred` hold only if the conclusion is right",
    remedy: "use a kernel that lets functions be traced (`zctrace doctor`), or accept conclusions with --accept-inferred",
    look: Look::Numbers,
};

pub(crate) const TOO_FEW_BYTES: Rule = Rule {
    code: "too-few-bytes",
    says: "Too few bytes were carried to say anything",
    evidence: "no row has --min-bytes, and all of them together have not either; shared extents count, mapped libraries and made-up bytes do not",
    remedy: "measure longer or under load, name the target and --path that move the bytes, or lower --min-bytes",
    look: Look::Numbers,
};

pub(crate) const NOTHING_CARRIED: Rule = Rule {
    code: "nothing-carried",
    says: "Bytes that are made up, dropped or only mapped are nothing that copies could be compared with",
    evidence: "enough bytes moved, but they are `synthetic` (/dev/null, /dev/zero, holes, MSG_TRUNC) or pages that a fault made visible: no data had to be carried, so no limit of copies says anything about them",
    remedy: "measure with the real source and sink instead of /dev/null and /dev/zero, or judge another path with --path",
    look: Look::Numbers,
};

pub(crate) const PATH_NOT_USED: Rule = Rule {
    code: "path-not-used",
    says: "The claim is about an operation that moved nothing, while the same work was done in another way",
    evidence: "--path names an operation without a byte, a process moved --min-bytes between the same kinds of places by others, and no operation of that kind can have gone by unseen",
    remedy: "find out why the program did not take this path: an option that is off, a call that failed and was replaced, or a file or socket that does not allow it",
    look: Look::Numbers,
};

pub(crate) const SOURCE_COPIED: Rule = Rule {
    code: "source-was-copied",
    says: "The process itself copied bytes into the place from which they were passed on",
    evidence: "copies in rows that write to the kind of file or pipe that a row of --path reads, in the same process, more of them than the limit allows for the path",
    remedy: "judge the process with --max-copies-per-sent-byte and without --path, which counts these copies too",
    look: Look::Numbers,
};

pub(crate) const EXPECTATION_MISSED: Rule = Rule {
    code: "expectation-missed",
    says: "Another share of the bytes went the expected way than was expected",
    evidence: "the share of an operation or a class in all bytes that a process took from one kind of place, or gave to it; what went otherwise, and which calls failed",
    remedy: "find out why the program did not take this path: an option that is off, a call that failed and was replaced, or a file or socket that does not allow it",
    look: Look::Numbers,
};

pub(crate) const EXPECTATION_UNCLEAR: Rule = Rule {
    code: "expectation-unclear",
    says: "What is expected holds for bytes of one kind of place, and not for those of another",
    evidence: "the share for each kind of place and each direction with --min-bytes",
    remedy: "name the place that is meant, as in 'uring.*,network>=0.9' (network, unix, file, pipe), or the operation of one direction",
    look: Look::Numbers,
};

pub(crate) const REFUSED: Rule = Rule {
    code: "refused",
    says: "Calls of this operation were refused, and what they should have moved went another way or not at all",
    evidence: "a row with `errnos` that moved nothing, or one with an errno that a program need not expect; no load will change that",
    remedy: "`zctrace explain ERRNO` says what it means for each call, and `zctrace explain OPERATION` what the operation needs",
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
    REFUSED,
];
