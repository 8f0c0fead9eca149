//! The second run of a test that failed: it tells a fault that is always there from one that needs luck.

use super::{Tally, artifacts::Address};

/// How many tests of a whole run may fail and then pass. More of them are no accident.
pub(super) const MOST_UNSTEADY: usize = 2;

/// What comes of the tests of which `first` came, after those that are [`wanted`] have run once more, with these
/// arguments of the test program.
pub(super) fn settled(first: Tally, run: impl FnOnce(Vec<String>) -> Tally) -> Tally {
    let wanted = wanted(&first);
    if wanted.is_empty() {
        return first;
    }
    let second = run(Address::exactly(&wanted));
    combined(first, &second)
}

/// The tests to run once more. None if nothing failed, if more failed than may, or if what failed is not a test that
/// can be named, such as a program that ended in the middle of one.
fn wanted(tally: &Tally) -> Vec<&str> {
    let names: Vec<_> = tally.failed.iter().map(String::as_str).collect();
    let are_tests = names.iter().all(|name| Address::of(name).is_some());
    if are_tests && names.len() <= MOST_UNSTEADY {
        names
    } else {
        Vec::new()
    }
}

/// What comes of the first run and of the second one, which had only what [`wanted`] says. A test that passed in the
/// second is no longer a failure but unsteady.
fn combined(mut first: Tally, second: &Tally) -> Tally {
    let has_run = |name: &String| second.took.iter().any(|(ran, _)| ran == name);
    let is_foreign = second
        .failed
        .iter()
        .any(|name| !first.failed.contains(name));
    if is_foreign {
        return first;
    }
    let (unsteady, failed) = first
        .failed
        .into_iter()
        .partition(|name| has_run(name) && !second.failed.contains(name));
    first.failed = failed;
    first.unsteady = unsteady;
    first
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NAMES: [&str; 2] = ["host::top::one", "host::top::two"];

    fn tally(failed: &[&str], ran: &[&str]) -> Tally {
        Tally {
            failed: failed.iter().map(|&name| name.to_owned()).collect(),
            took: ran
                .iter()
                .map(|&name| (name.to_owned(), Duration::ZERO))
                .collect(),
            ..Tally::default()
        }
    }

    #[test]
    fn only_a_few_named_tests_run_again() {
        assert!(wanted(&tally(&[], &[])).is_empty());
        assert_eq!(wanted(&tally(&NAMES, &[])), NAMES);
        let many = ["host::a", "host::b", "host::c"];
        assert!(wanted(&tally(&many, &[])).is_empty());
        assert!(wanted(&tally(&["the guest died"], &[])).is_empty());
        let crashed = "host::a (its program ended without a result)";
        assert!(wanted(&tally(&[crashed], &[])).is_empty());
    }

    #[test]
    fn only_what_ran_again_and_passed_is_unsteady() {
        let [one, two] = NAMES;
        let first = || tally(&NAMES, &[]);
        let judged = combined(first(), &tally(&[two], &NAMES));
        assert_eq!(
            (judged.failed, judged.unsteady),
            (vec![two.into()], vec![one.into()])
        );
        // It never ran: the guest did not start.
        let judged = combined(first(), &tally(&[], &[]));
        assert_eq!(judged.failed, NAMES);
        let judged = combined(first(), &tally(&["the guest died"], &NAMES));
        assert_eq!(judged.failed, NAMES);
    }
}
