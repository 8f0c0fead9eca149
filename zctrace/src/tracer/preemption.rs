//! Whether this kernel can preempt a task within a BPF program.

use std::fs;

/// Whether a program can be interrupted by another task's run of it. Where the kernel does not tell,
/// the answer is yes: that costs time, the other error costs counts.
pub(super) fn is_possible() -> bool {
    let model = fs::read_to_string("/sys/kernel/debug/sched/preempt").ok();
    let version = nix::sys::utsname::uname()
        .map(|name| name.version().to_string_lossy().into_owned())
        .unwrap_or_default();
    decide(model.as_deref(), &version)
}

/// `model` as in `none (voluntary) full lazy`, where the one in force is in brackets; `version` as
/// `uname -v` prints it.
fn decide(model: Option<&str>, version: &str) -> bool {
    let chosen = model
        .and_then(|model| model.split_once('('))
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(chosen, _)| chosen);
    match chosen {
        Some("none" | "voluntary") => false,
        Some(_) => true,
        None => version.contains("PREEMPT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_in_force_decides() {
        let dynamic = "#1 SMP PREEMPT_DYNAMIC Debian 6.1";
        assert!(!decide(Some("none (voluntary) full \n"), dynamic));
        assert!(decide(Some("full (lazy) \n"), dynamic));
        assert!(decide(Some("none voluntary (full)"), dynamic));
    }

    #[test]
    fn an_unknown_model_is_taken_for_preemption() {
        assert!(decide(None, "#1 SMP PREEMPT_DYNAMIC"));
        assert!(!decide(None, "#1 SMP"));
    }
}
