//! The kernel's build configuration, as far as it decides what can be traced.

use std::{collections::BTreeMap, fs, io::Read as _, path::PathBuf};

use serde::{Deserialize, Serialize};

/// An option and what its absence means.
struct Wanted {
    name: &'static str,
    without: &'static str,
}

/// The options that decide what can be traced, the most important first.
const WANTED: &[Wanted] = &[
    Wanted {
        name: "BPF_SYSCALL",
        without: "no BPF programs: nothing can be measured",
    },
    Wanted {
        name: "DEBUG_INFO_BTF",
        without: "no description of the kernel's structures: nothing can be measured",
    },
    Wanted {
        name: "PERF_EVENTS",
        without: "no way to attach BPF programs: nothing can be measured",
    },
    Wanted {
        name: "BPF_EVENTS",
        without: "BPF programs cannot be attached to tracepoints, kprobes and breakpoints",
    },
    Wanted {
        name: "BPF_JIT",
        without: "no fentry and fexit: zctrace falls back to tracepoints, which infer",
    },
    Wanted {
        name: "FUNCTION_TRACER",
        without: "no fentry and fexit: zctrace falls back to tracepoints, which infer",
    },
    Wanted {
        name: "DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
        without: "no fentry and fexit: zctrace falls back to tracepoints, which infer",
    },
    Wanted {
        name: "KPROBES",
        without: "no audit, and no kretprobes: before Linux 6.6 functions with many arguments stay unseen, and on \
                  every kernel those of modules without BTF",
    },
    Wanted {
        name: "KPROBE_EVENTS",
        without: "no kretprobes: before Linux 6.6 functions with many arguments stay unseen, and on every kernel \
                  those of modules without BTF",
    },
    Wanted {
        name: "DEBUG_INFO_BTF_MODULES",
        without: "the structures of modules are unknown",
    },
    Wanted {
        name: "HAVE_HW_BREAKPOINT",
        without: "no audit: the copy routines themselves cannot be watched",
    },
];

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionReport {
    /// Its name with `CONFIG_`.
    pub name: String,
    /// `y`, `m`, `n`, or another value.
    pub value: String,
    /// What follows, where it is not `y`.
    pub consequence: Option<String>,
}

/// Options and values of a configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelConfig {
    values: BTreeMap<String, String>,
}

impl KernelConfig {
    /// Reads the format of `.config`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let values = text
            .lines()
            .filter_map(|line| line.trim().strip_prefix("CONFIG_")?.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        Self { values }
    }

    /// The running kernel's, and where it was found; `None` where no file can be read.
    #[must_use]
    pub fn running(release: &str) -> Option<(PathBuf, Self)> {
        let candidates = [
            "/proc/config.gz".into(),
            format!("/boot/config-{release}"),
            format!("/lib/modules/{release}/config"),
            format!("/usr/lib/modules/{release}/config"),
            format!("/lib/modules/{release}/build/.config"),
        ];
        candidates.into_iter().map(PathBuf::from).find_map(|path| {
            let bytes = fs::read(&path).ok()?;
            let text = if path.extension().is_some_and(|extension| extension == "gz") {
                let mut text = String::new();
                flate2::read::GzDecoder::new(bytes.as_slice())
                    .read_to_string(&mut text)
                    .ok()?;
                text
            } else {
                String::from_utf8_lossy(&bytes).into_owned()
            };
            Some((path, Self::parse(&text)))
        })
    }

    /// The value of an option, named without `CONFIG_`; `n` where it is not set.
    #[must_use]
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("n", String::as_str)
    }

    /// Every option that matters.
    #[must_use]
    pub fn report(&self) -> Vec<OptionReport> {
        let no_modules = self.value("MODULES") != "y";
        WANTED
            .iter()
            // Without modules there are no structures of theirs to know.
            .filter(|wanted| !(no_modules && wanted.name == "DEBUG_INFO_BTF_MODULES"))
            .map(|wanted| {
                let value = self.value(wanted.name);
                OptionReport {
                    name: format!("CONFIG_{}", wanted.name),
                    value: value.into(),
                    consequence: (value != "y").then(|| wanted.without.into()),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_BPF_SYSCALL=y
CONFIG_DEBUG_INFO_BTF=y
# CONFIG_KPROBES is not set
CONFIG_TLS=m
CONFIG_LSM=\"lockdown,yama\"
";

    #[test]
    fn values_are_read() {
        let config = KernelConfig::parse(TEXT);
        assert_eq!(config.value("BPF_SYSCALL"), "y");
        assert_eq!(config.value("KPROBES"), "n");
        assert_eq!(config.value("TLS"), "m");
        assert_eq!(config.value("LSM"), "lockdown,yama");
        assert_eq!(config.value("NEVER_HEARD_OF"), "n");
    }

    #[test]
    fn an_absent_option_has_a_consequence() {
        let report = KernelConfig::parse(TEXT).report();
        let of = |name: &str| report.iter().find(|option| option.name == name).unwrap();
        assert_eq!(of("CONFIG_BPF_SYSCALL").consequence, None);
        assert!(
            of("CONFIG_KPROBES")
                .consequence
                .as_ref()
                .unwrap()
                .contains("modules")
        );
    }
}
