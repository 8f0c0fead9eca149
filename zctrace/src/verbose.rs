//! What `-v` and `ZCTRACE_LOG` show on standard error: what zctrace decided, and what its BPF programs
//! report of themselves. Nothing unless it is asked for.

use std::env;

use log::{LevelFilter, Log, Metadata, Record};

use crate::text::message::say;

/// The setting that asks for it, by the level.
const VARIABLE: &str = "ZCTRACE_LOG";

/// Where the BPF programs report (`zctrace-ebpf/src/base/log.rs`).
const OF_BPF: &str = "zctrace::base::log";

struct StandardError;

impl Log for StandardError {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Other crates report what only they understand.
        metadata.target().starts_with("zctrace") && metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let of = if record.target() == OF_BPF {
                "bpf: "
            } else {
                ""
            };
            let level = record.level().as_str().to_ascii_lowercase();
            say(&format!("{level}: {of}{}", record.args()));
        }
    }

    fn flush(&self) {}
}

/// Shows it from now on, if `-v` or the environment asks for it.
pub fn start(is_asked: bool) {
    let level = match env::var(VARIABLE) {
        Ok(text) => text.parse().unwrap_or_else(|_| {
            say(&format!(
                "{VARIABLE}={text} is not a level: off, error, warn, info, debug or trace"
            ));
            LevelFilter::Off
        }),
        Err(_) => LevelFilter::Off,
    };
    let level = if is_asked {
        level.max(LevelFilter::Debug)
    } else {
        level
    };
    if level != LevelFilter::Off && log::set_logger(&StandardError).is_ok() {
        log::set_max_level(level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_zctrace_itself_reports_is_shown() {
        let metadata = |target| {
            Metadata::builder()
                .target(target)
                .level(log::Level::Error)
                .build()
        };
        log::set_max_level(LevelFilter::Debug);
        assert!(StandardError.enabled(&metadata("zctrace::tracer")));
        assert!(StandardError.enabled(&metadata(OF_BPF)));
        assert!(!StandardError.enabled(&metadata("aya::bpf")));
        log::set_max_level(LevelFilter::Off);
        assert!(!StandardError.enabled(&metadata(OF_BPF)));
    }
}
