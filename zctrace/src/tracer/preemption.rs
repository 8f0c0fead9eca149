//! Whether this kernel can preempt a task within a BPF program.

use std::{fs, io::Read as _, path::Path};

/// Whether a program can be interrupted by another task's run of it. Where the kernel does not say,
/// the answer is yes: that costs time, the other error costs counts. (A wrong "no" is told all the same:
/// the kernel counts the runs that it skips.)
pub(super) fn is_possible() -> bool {
    let uname = nix::sys::utsname::uname();
    let text = |of: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        uname
            .as_ref()
            .map(|name| of(name).to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    let (release, version) = (text(|name| name.release()), text(|name| name.version()));
    decide(&Told {
        model: fs::read_to_string("/sys/kernel/debug/sched/preempt").ok(),
        command_line: fs::read_to_string("/proc/cmdline").unwrap_or_default(),
        configuration: configuration(&release).unwrap_or_default(),
        version,
    })
}

/// What a kernel reports about its preemption.
#[derive(Default)]
struct Told {
    /// As in `none (voluntary) full lazy`, where the one in force is in brackets: only with debugfs.
    model: Option<String>,
    /// What it was booted with.
    command_line: String,
    /// What it was built with; empty where that is not known.
    configuration: String,
    /// As `uname -v` prints it.
    version: String,
}

fn decide(told: &Told) -> bool {
    if told.version.contains("PREEMPT_RT") {
        return true;
    }
    let in_force = told
        .model
        .as_deref()
        .and_then(|model| model.split_once('('))
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(model, _)| model);
    let booted_with = || {
        let words = told.command_line.split_ascii_whitespace();
        words
            .filter_map(|word| word.strip_prefix("preempt="))
            .next_back()
    };
    let built_with = || {
        let is_set = |option: &str| {
            told.configuration
                .lines()
                .any(|line| line.strip_suffix("=y") == Some(option))
        };
        [
            ("CONFIG_PREEMPT_NONE", "none"),
            ("CONFIG_PREEMPT_VOLUNTARY", "voluntary"),
        ]
        .into_iter()
        .find_map(|(option, model)| is_set(option).then_some(model))
    };
    match in_force.or_else(booted_with).or_else(built_with) {
        Some("none" | "voluntary") => false,
        Some(_) => true,
        None => told.version.contains("PREEMPT"),
    }
}

/// The largest configuration that is read; real ones have some 300 KB.
const LARGEST: u64 = 4 << 20;

/// What the running kernel was built with, from where distributions put it.
fn configuration(release: &str) -> Option<String> {
    let mut text = String::new();
    if let Ok(file) = fs::File::open("/proc/config.gz") {
        let unpacked = flate2::read::GzDecoder::new(file);
        unpacked.take(LARGEST).read_to_string(&mut text).ok()?;
        return Some(text);
    }
    let file = fs::File::open(Path::new("/boot").join(format!("config-{release}"))).ok()?;
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DYNAMIC: &str = "#1 SMP PREEMPT_DYNAMIC Debian 6.1";

    fn told(model: Option<&str>, command_line: &str, configuration: &str, version: &str) -> Told {
        Told {
            model: model.map(str::to_owned),
            command_line: command_line.into(),
            configuration: configuration.into(),
            version: version.into(),
        }
    }

    #[test]
    fn the_model_in_force_decides() {
        let decide = |model| {
            decide(&told(
                Some(model),
                "preempt=full",
                "CONFIG_PREEMPT=y",
                DYNAMIC,
            ))
        };
        assert!(!decide("none (voluntary) full \n"));
        assert!(decide("full (lazy) \n"));
        assert!(decide("none voluntary (full)"));
    }

    #[test]
    fn without_debugfs_the_command_line_and_the_configuration_tell() {
        let none = "CONFIG_PREEMPT_BUILD=y\nCONFIG_PREEMPT_NONE=y\n# CONFIG_PREEMPT is not set\n";
        let decide = |line, configuration| decide(&told(None, line, configuration, DYNAMIC));
        assert!(!decide("quiet", none));
        assert!(
            decide("quiet preempt=lazy", none),
            "booted with another model"
        );
        assert!(
            !decide("preempt=full preempt=none", ""),
            "the last one counts"
        );
        assert!(!decide("", "CONFIG_PREEMPT_VOLUNTARY=y"));
        assert!(decide("", "CONFIG_PREEMPT_LAZY=y"));
        assert!(decide(
            "",
            "# CONFIG_PREEMPT_NONE is not set\nCONFIG_PREEMPT=y"
        ));
    }

    #[test]
    fn an_unknown_model_is_taken_for_preemption() {
        assert!(decide(&told(None, "", "", "#1 SMP PREEMPT_DYNAMIC")));
        assert!(!decide(&told(None, "", "", "#1 SMP")));
    }

    #[test]
    fn real_time_kernels_always_preempt() {
        let version = "#1 SMP PREEMPT_RT";
        assert!(decide(&told(
            Some("(none)"),
            "preempt=none",
            "CONFIG_PREEMPT_NONE=y",
            version
        )));
    }
}
