//! Where a process's processor time went, in words.

use std::time::Duration;

use crate::{
    ledger::{CpuTime, Process},
    text::bytes::duration,
};

/// Less time than this has so few samples that shares of it mean nothing.
const LEAST: f64 = 0.1;

/// The parts of a process's processor time as people call them, in the order of [`CpuTime::parts`].
pub(super) const NAMES: [&str; CpuTime::PARTS] = [
    "kernel",
    "user copying",
    "ciphers",
    "compression",
    "other",
    "not known",
];

/// A line; `None` where too little is known for one.
pub(super) fn line(process: &Process) -> Option<String> {
    let time = process.cpu_seconds.filter(CpuTime::is_sound)?;
    let total = time.total();
    if total < LEAST {
        return None;
    }
    let all = Duration::try_from_secs_f64(total).ok()?;
    let parts = time.parts().into_iter().zip(NAMES);
    let parts = parts.filter(|((_, seconds), _)| *seconds > 0.0);
    let parts: Vec<_> = parts
        .filter_map(|((part, seconds), name)| {
            let mut words = format!("{name} {}", percent(time.share(seconds)?));
            if part == "kernel"
                && let Some(copying) = process.copy_cpu_seconds.filter(|copying| *copying > 0.0)
                && let Some(share) = time.share(copying)
            {
                words.push_str(&format!(" (copying {})", percent(share)));
            }
            Some(words)
        })
        .collect();
    Some(format!(
        "CPU: {}, from samples: {}",
        duration(all),
        parts.join(", ")
    ))
}

/// A share as people read it.
pub(super) fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.005 {
        "<1%".into()
    } else if (0.995..1.0).contains(&share) {
        ">99%".into()
    } else {
        format!("{:.0}%", share * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::samples;

    fn line_of(parts: [f64; CpuTime::PARTS]) -> Option<String> {
        let mut process = samples::normal().processes.remove(0);
        process.copy_cpu_seconds = Some(0.5);
        process.cpu_seconds = Some(CpuTime::of_parts(parts));
        line(&process)
    }

    #[test]
    fn parts_are_shares_of_all_processor_time() {
        assert_eq!(
            line_of([1.0, 6.0, 0.01, 0.0, 2.0, 1.0]).as_deref(),
            Some(
                "CPU: 10.0 s, from samples: kernel 10% (copying 5%), user copying 60%, ciphers <1%, other 20%, \
                 not known 10%"
            )
        );
    }

    #[test]
    fn of_little_time_nothing_is_said() {
        assert_eq!(line_of([0.0, 0.05, 0.0, 0.0, 0.0, 0.0]), None);
        assert_eq!(line_of([f64::NAN; 6]), None);
        assert_eq!(line_of([f64::MAX; 6]), None);
        let silent = samples::normal().processes.remove(0);
        assert_eq!(line(&silent), None);
    }
}
