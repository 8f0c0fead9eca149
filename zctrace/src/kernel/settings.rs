//! Switches of a running kernel that decide what can be traced.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::btf::VMLINUX;

/// What a switch means for zctrace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Nothing is lost.
    Fine,
    /// Something is lost.
    Limits,
    /// Nothing can be measured.
    Prevents,
}

/// A switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it cannot be read.
    pub value: Option<String>,
    /// What it means for zctrace.
    pub effect: Effect,
    /// The same in words.
    pub meaning: String,
}

impl Setting {
    fn new(name: &str, value: Option<String>, effect: Effect, meaning: &str) -> Self {
        Self {
            name: name.into(),
            value,
            effect,
            meaning: meaning.into(),
        }
    }
}

/// The switches of the running kernel.
#[must_use]
pub fn running() -> Vec<Setting> {
    let read = |path: &str| {
        let text = fs::read_to_string(path).ok()?;
        Some(text.trim().to_owned())
    };
    vec![
        btf(Path::new(VMLINUX).exists()),
        lockdown(read("/sys/kernel/security/lockdown").as_deref()),
        unprivileged_bpf(read("/proc/sys/kernel/unprivileged_bpf_disabled")),
        paranoid(read("/proc/sys/kernel/perf_event_paranoid")),
        kptr(read("/proc/sys/kernel/kptr_restrict")),
    ]
}

/// The description of the kernel's structures.
#[must_use]
pub fn btf(present: bool) -> Setting {
    if present {
        Setting::new(
            "btf",
            Some(VMLINUX.into()),
            Effect::Fine,
            "the kernel's structures are known",
        )
    } else {
        let meaning = "missing: the kernel was built without CONFIG_DEBUG_INFO_BTF";
        Setting::new("btf", None, Effect::Prevents, meaning)
    }
}

/// The lockdown state, from a text such as `none [integrity] confidentiality`.
#[must_use]
pub fn lockdown(text: Option<&str>) -> Setting {
    let state = text.and_then(|text| {
        let (_, rest) = text.split_once('[')?;
        Some(rest.split_once(']')?.0.to_owned())
    });
    let (effect, meaning) = match state.as_deref() {
        Some("confidentiality") => (
            Effect::Prevents,
            "BPF programs may not read kernel memory; boot with lockdown=integrity or less",
        ),
        Some("integrity") => (Effect::Fine, "tracing may read the kernel, which is enough"),
        _ => (Effect::Fine, "tracing is not restricted"),
    };
    Setting::new("lockdown", state, effect, meaning)
}

/// `unprivileged_bpf_disabled`.
#[must_use]
pub fn unprivileged_bpf(value: Option<String>) -> Setting {
    let meaning = match value.as_deref() {
        Some("0") => "anybody may load some BPF programs; zctrace still needs cap_bpf",
        _ => "cap_bpf is needed to load BPF programs",
    };
    Setting::new("unprivileged_bpf_disabled", value, Effect::Fine, meaning)
}

/// `perf_event_paranoid`.
#[must_use]
pub fn paranoid(value: Option<String>) -> Setting {
    let meaning = "cap_perfmon is needed, and lifts this restriction";
    Setting::new("perf_event_paranoid", value, Effect::Fine, meaning)
}

/// `kptr_restrict`.
#[must_use]
pub fn kptr(value: Option<String>) -> Setting {
    let (effect, meaning) = match value.as_deref() {
        Some("2") => (
            Effect::Limits,
            "hides kernel addresses even from root: no audit (sysctl kernel.kptr_restrict=1)",
        ),
        Some("1") => (Effect::Fine, "kernel addresses are shown to cap_syslog"),
        _ => (Effect::Fine, "kernel addresses are shown"),
    };
    Setting::new("kptr_restrict", value, effect, meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lockdown_states() {
        let effect = |text| lockdown(text).effect;
        assert_eq!(effect(None), Effect::Fine);
        assert_eq!(
            effect(Some("[none] integrity confidentiality")),
            Effect::Fine
        );
        assert_eq!(
            effect(Some("none [integrity] confidentiality")),
            Effect::Fine
        );
        let locked = lockdown(Some("none integrity [confidentiality]"));
        assert_eq!(locked.effect, Effect::Prevents);
        assert_eq!(locked.value.as_deref(), Some("confidentiality"));
    }

    #[test]
    fn what_limits_says_how_to_lift_it() {
        let hidden = kptr(Some("2".into()));
        assert_eq!(hidden.effect, Effect::Limits);
        assert!(hidden.meaning.contains("sysctl"));
        assert_eq!(kptr(Some("1".into())).effect, Effect::Fine);
        assert_eq!(btf(false).effect, Effect::Prevents);
        assert_eq!(btf(true).effect, Effect::Fine);
    }
}
