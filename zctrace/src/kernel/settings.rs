//! Switches of a running kernel that decide what can be traced.

use std::{collections::BTreeSet, fs, path::Path};

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
        kptr(
            read("/proc/sys/kernel/kptr_restrict"),
            fs::read_to_string("/proc/kallsyms").is_ok_and(|text| are_hidden(&text)),
        ),
        module_btf(
            &read("/proc/modules").unwrap_or_default(),
            &entries("/sys/kernel/btf"),
        ),
    ]
}

/// The names in a directory; none where it cannot be read.
fn entries(path: &str) -> BTreeSet<String> {
    let names = fs::read_dir(path).into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
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

/// `kptr_restrict`, and whether addresses are hidden from this process: below 2 that depends on `cap_syslog`, which
/// a container may lack.
#[must_use]
pub fn kptr(value: Option<String>, hidden: bool) -> Setting {
    let (effect, meaning) = match value.as_deref() {
        Some("2") => (
            Effect::Limits,
            "hides kernel addresses even from root: no audit, no samples of copying (sysctl kernel.kptr_restrict=1)",
        ),
        _ if hidden => (
            Effect::Limits,
            "kernel addresses are hidden from whoever lacks cap_syslog: no audit, no samples of copying",
        ),
        Some("1") => (Effect::Fine, "kernel addresses are shown to cap_syslog"),
        _ => (Effect::Fine, "kernel addresses are shown"),
    };
    Setting::new("kptr_restrict", value, effect, meaning)
}

/// Whether every address in the text of `/proc/kallsyms` is zero. Some always are.
fn are_hidden(symbols: &str) -> bool {
    let is_zero = |line: &str| {
        let address = line.split(' ').next().unwrap_or_default();
        address.bytes().all(|digit| digit == b'0')
    };
    !symbols.is_empty() && symbols.lines().all(is_zero)
}

/// The descriptions of the structures of modules: `loaded` is the text of `/proc/modules`, `described` what is in
/// `/sys/kernel/btf`.
#[must_use]
pub fn module_btf(loaded: &str, described: &BTreeSet<String>) -> Setting {
    let mut names = loaded.lines().filter_map(|line| line.split(' ').next());
    let (value, effect, meaning) = if loaded.is_empty() {
        (None, Effect::Fine, "no modules are loaded")
    } else if names.any(|name| described.contains(name)) {
        let meaning = "the structures of modules are known";
        (Some("yes"), Effect::Fine, meaning)
    } else {
        let meaning = "the modules came without CONFIG_DEBUG_INFO_BTF_MODULES: their functions take kretprobes, which \
                       cost more and can miss calls";
        (Some("no"), Effect::Limits, meaning)
    };
    Setting::new("module_btf", value.map(str::to_owned), effect, meaning)
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
        let hidden = kptr(Some("2".into()), true);
        assert_eq!(hidden.effect, Effect::Limits);
        assert!(hidden.meaning.contains("sysctl"));
        assert_eq!(kptr(Some("1".into()), false).effect, Effect::Fine);
        assert_eq!(btf(false).effect, Effect::Prevents);
        assert_eq!(btf(true).effect, Effect::Fine);
    }

    /// A container without `cap_syslog`, on a kernel that shows addresses to those who have it.
    #[test]
    fn addresses_can_be_hidden_from_us_alone() {
        let shown = "0000000000000000 A fixed_percpu_data\nffffffff81000000 T _stext\n";
        let hidden = "0000000000000000 A fixed_percpu_data\n0000000000000000 T _stext\n";
        assert!(!are_hidden(shown));
        assert!(are_hidden(hidden));
        assert!(!are_hidden(""));
        for value in ["0", "1"] {
            let setting = kptr(Some(value.into()), true);
            assert_eq!(setting.effect, Effect::Limits);
            assert!(setting.meaning.contains("cap_syslog"));
        }
    }

    #[test]
    fn modules_without_types_are_named() {
        let described = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let loaded = "btrfs 1 0 - Live 0x0\nvirtio_blk 2 1 - Live 0x0";
        let with = module_btf(loaded, &described(&["vmlinux", "btrfs"]));
        assert_eq!(with.effect, Effect::Fine);
        let without = module_btf(loaded, &described(&["vmlinux"]));
        assert_eq!(
            (without.effect, without.value.as_deref()),
            (Effect::Limits, Some("no"))
        );
        assert!(without.meaning.contains("CONFIG_DEBUG_INFO_BTF_MODULES"));
        assert_eq!(
            module_btf("", &described(&["vmlinux"])).effect,
            Effect::Fine
        );
    }
}
