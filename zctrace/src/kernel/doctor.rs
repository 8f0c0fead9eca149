//! What can be measured here, and what it would take to measure more.

use serde::{Deserialize, Serialize};

use super::{
    config::{KernelConfig, OptionReport},
    privileges::{self, CapabilityReport, Privileges},
    settings::{self, Effect, Setting},
};

/// The `schema` of a [`Document`].
pub const SCHEMA: &str = "zctrace.doctor/1";

/// What became of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeStatus {
    /// It is attached.
    Attached,
    /// The kernel refuses it.
    Refused,
    /// It can be attached, but known bytes went by unseen.
    Silent,
    /// Something else sees the same here.
    NotNeeded,
}

impl ProbeStatus {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attached => "attached",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::NotNeeded => "not needed",
        }
    }
}

/// A probe of the catalog against this kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Its name, as `--without-probe` takes it.
    pub name: String,
    /// The operations it belongs to.
    pub family: String,
    /// How it is attached: the name of a [`Kind`](crate::catalog::Kind), empty where the catalog has no way.
    pub kind: String,
    /// The kernel function or tracepoint that was tried last.
    pub symbol: String,
    /// What became of it.
    pub status: ProbeStatus,
    /// The kernel's error number, where it refused with one.
    pub errno: Option<i32>,
    /// Why it was refused or silent.
    pub cause: Option<String>,
    /// What cannot be seen without it.
    pub lost: String,
}

/// How much is seen of a way of moving bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TechniqueReport {
    /// Its name.
    pub name: String,
    /// `measured`, `partly`, `inferred` or `not_seen`.
    pub sight: String,
}

/// The catalog against this kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// What the attached probes see of each technique.
    pub techniques: Vec<TechniqueReport>,
    /// `functions`, `tracepoints` or `mixed`; empty when nothing could be attached.
    pub backend: String,
    /// Every probe of the catalog.
    pub probes: Vec<ProbeReport>,
    /// Known bytes through every family, where that was asked for.
    pub self_test: Option<SelfTest>,
}

/// Whether a family of known bytes is accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FamilyStatus {
    /// The ledger has what was done, to the byte.
    Ok,
    /// The ledger has something else.
    Differs,
    /// This machine cannot do it.
    Skipped,
    /// It should have worked and did not.
    Failed,
}

/// What became of one family of known bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyReport {
    /// Its name, as `zctrace traffic --list` has it.
    pub name: String,
    /// Whether it is accounted for.
    pub status: FamilyStatus,
    /// What differs, or why it was skipped or failed.
    pub details: Vec<String>,
}

/// Known bytes through every family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// Why it could not be run at all.
    pub refused: Option<String>,
    /// It was ended before all families had run.
    pub interrupted: bool,
    /// Events lost meanwhile; with any, differences prove nothing.
    pub lost: u64,
    /// A family each.
    pub families: Vec<FamilyReport>,
}

impl SelfTest {
    /// One that could not be run.
    #[must_use]
    pub fn refused(reason: String) -> Self {
        Self {
            refused: Some(reason),
            ..Self::default()
        }
    }

    /// How many families ended so.
    #[must_use]
    pub fn count(&self, status: FamilyStatus) -> usize {
        let families = self.families.iter();
        families.filter(|family| family.status == status).count()
    }

    /// All that ran is accounted for, and something ran.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.count(FamilyStatus::Ok) != 0
            && self.count(FamilyStatus::Differs) + self.count(FamilyStatus::Failed) == 0
            && self.refused.is_none()
            && !self.interrupted
    }
}

/// What zctrace may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivilegesReport {
    /// Effective user id.
    pub uid: u32,
    /// Every capability that zctrace makes use of.
    pub capabilities: Vec<CapabilityReport>,
    /// The command that gives the program what it needs, where something is missing.
    pub setcap: Option<String>,
}

/// The kernel's build configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigReport {
    /// The file; `None` where none can be read.
    pub source: Option<String>,
    /// The options that matter; empty without a file.
    pub options: Vec<OptionReport>,
}

/// The document of `doctor --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of zctrace.
    pub version: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
    /// `stat` can measure here.
    pub can_measure: bool,
    /// `functions`, `tracepoints` or `mixed`; `None` where nothing can be measured.
    pub backend: Option<String>,
    /// Why nothing can be measured, where that is so.
    pub cause: Option<String>,
    /// What it may do.
    pub privileges: PrivilegesReport,
    /// Switches of the running kernel.
    pub settings: Vec<Setting>,
    /// The kernel's build configuration.
    pub config: ConfigReport,
    /// Known bytes were sent through every family.
    pub self_tested: bool,
    /// What became of them; absent without `--self-test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_test: Option<SelfTest>,
    /// What the attached probes see of each technique.
    #[serde(default)]
    pub techniques: Vec<TechniqueReport>,
    /// The catalog against this kernel.
    pub probes: Vec<ProbeReport>,
    /// What to do to measure more, the most useful first.
    pub advice: Vec<String>,
}

/// What the document is made from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Release of the kernel.
    pub kernel: String,
    /// What zctrace may do.
    pub privileges: Privileges,
    /// Switches of the running kernel.
    pub settings: Vec<Setting>,
    /// The build configuration and its file.
    pub config: Option<(String, KernelConfig)>,
    /// The catalog, or why it could not be tried.
    pub survey: Result<Survey, String>,
}

impl Facts {
    /// Gathers what does not take attaching anything.
    #[must_use]
    pub fn gather(survey: Result<Survey, String>) -> Self {
        let kernel = super::release();
        let config = KernelConfig::running(&kernel)
            .map(|(path, config)| (path.display().to_string(), config));
        Self {
            kernel,
            privileges: Privileges::current(),
            settings: settings::running(),
            config,
            survey,
        }
    }

    /// Draws the conclusions.
    #[must_use]
    pub fn conclude(self) -> Document {
        let missing = self.privileges.missing();
        let capabilities = self.privileges.report();
        let setcap = capabilities
            .iter()
            .any(|capability| !capability.held)
            .then(|| privileges::setcap_line(&privileges::own_path()));
        let survey = self.survey.clone().unwrap_or_default();
        let attached = survey
            .probes
            .iter()
            .any(|probe| probe.status == ProbeStatus::Attached);
        let prevented = self
            .settings
            .iter()
            .find(|setting| setting.effect == Effect::Prevents);

        // The nearest cause first: without privileges, what the kernel said means nothing.
        let cause = if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(ToString::to_string).collect();
            Some(format!("{} missing", names.join(" and ")))
        } else if attached {
            None
        } else if let Some(setting) = prevented {
            Some(format!("{}: {}", setting.name, setting.meaning))
        } else if let Err(error) = &self.survey {
            Some(error.clone())
        } else {
            Some(match refused_alike(&survey.probes) {
                Some(why) => format!("no probe could be attached: {why}"),
                None => "no probe could be attached".into(),
            })
        };
        let advice = self.advice(setcap.as_deref(), &survey);
        let (source, options) = match &self.config {
            Some((source, config)) => (Some(source.clone()), config.report()),
            None => (None, Vec::new()),
        };
        Document {
            schema: SCHEMA.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            kernel: self.kernel,
            arch: std::env::consts::ARCH.into(),
            can_measure: cause.is_none(),
            backend: cause.is_none().then(|| survey.backend.clone()),
            cause,
            privileges: PrivilegesReport {
                uid: self.privileges.uid,
                capabilities,
                setcap,
            },
            settings: self.settings,
            config: ConfigReport { source, options },
            self_tested: survey.self_test.is_some(),
            self_test: survey.self_test,
            techniques: survey.techniques,
            probes: survey.probes,
            advice,
        }
    }

    fn advice(&self, setcap: Option<&str>, survey: &Survey) -> Vec<String> {
        let mut advice = Vec::new();
        if !self.privileges.missing().is_empty() {
            advice.push("run it as root (sudo zctrace ...)".into());
            if let Some(setcap) = setcap {
                advice.push(format!("or give the program what it needs, once: {setcap}"));
            }
        } else if self
            .privileges
            .report()
            .iter()
            .any(|c| !c.held && !c.required)
        {
            advice.push("run it as root to get what the missing capabilities are for".into());
        }
        for setting in &self.settings {
            if setting.effect != Effect::Fine {
                advice.push(format!("{}: {}", setting.name, setting.meaning));
            }
        }
        if survey.backend == "tracepoints" {
            advice.push(
                "use a kernel with fentry/fexit (most distributions' are) to measure where this \
                 one infers"
                    .into(),
            );
        }
        if is_without_direct_calls(&survey.probes) {
            advice.push(
                "this kernel has no direct calls of functions (CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS): arm64 has them \
                 from Linux 6.4 on, and not in a kernel with CFI (CONFIG_CFI_CLANG)"
                    .into(),
            );
        }
        let differs = survey
            .self_test
            .as_ref()
            .is_some_and(|test| test.count(FamilyStatus::Differs) != 0);
        if differs {
            advice.push(
                "families that differ in the self-test are counted wrong on this kernel: please report it with the \
                 output of `zctrace doctor --self-test --json`"
                    .into(),
            );
        }
        if survey
            .probes
            .iter()
            .any(|probe| probe.status == ProbeStatus::Silent)
        {
            advice.push(
                "a silent probe means a kernel that zctrace does not know yet: please report it with the output of \
                 `zctrace doctor --self-test --json`"
                    .into(),
            );
        }
        advice
    }
}

/// An error that the kernel keeps to itself, as a rule: here for a function that no trampoline can be made at.
pub(crate) const ENOTSUPP: i32 = 524;

/// Whether the kernel has no direct calls. A single function can be refused with this error too: for its arguments.
fn is_without_direct_calls(probes: &[ProbeReport]) -> bool {
    let of_functions = || {
        probes
            .iter()
            .filter(|probe| ["fentry", "fexit"].contains(&probe.kind.as_str()))
    };
    let is_refused = |probe: &ProbeReport| probe.errno == Some(ENOTSUPP);
    of_functions().any(is_refused)
        && !of_functions().any(|probe| probe.status == ProbeStatus::Attached)
}

/// Why all probes were refused, if one reason is behind it.
fn refused_alike(probes: &[ProbeReport]) -> Option<&'static str> {
    let all = |errnos: &[i32]| {
        let is_one = |probe: &ProbeReport| probe.errno.is_some_and(|errno| errnos.contains(&errno));
        !probes.is_empty() && probes.iter().all(is_one)
    };
    if all(&[libc::EKEYREJECTED, libc::ENOKEY, libc::EBADMSG]) {
        return Some("this kernel takes only BPF programs that are signed, and zctrace's are not");
    }
    all(&[libc::EPERM]).then_some(
        "the kernel refuses BPF programs in spite of the capabilities: a security module forbids them, demands that \
         they are signed, or this is a container whose host filters bpf()",
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use caps::Capability;

    use super::*;

    pub(crate) fn probe(name: &str, status: ProbeStatus) -> ProbeReport {
        let refused = status == ProbeStatus::Refused;
        ProbeReport {
            name: name.into(),
            family: "file".into(),
            kind: "fexit".into(),
            symbol: name.into(),
            status,
            errno: refused.then_some(libc::EPERM),
            cause: refused.then(|| "not permitted".into()),
            lost: "bytes of buffered reads".into(),
        }
    }

    pub(crate) fn facts() -> Facts {
        let config = KernelConfig::parse(
            "CONFIG_BPF_SYSCALL=y\nCONFIG_DEBUG_INFO_BTF=y\nCONFIG_PERF_EVENTS=y\n\
             CONFIG_BPF_EVENTS=y\nCONFIG_BPF_JIT=y\nCONFIG_HAVE_HW_BREAKPOINT=y\n",
        );
        Facts {
            kernel: "6.12.95".into(),
            privileges: Privileges::of(0, privileges::NEEDS.iter().map(|need| need.capability)),
            settings: vec![
                settings::btf(true),
                settings::lockdown(None),
                settings::kptr(None, false),
            ],
            config: Some(("/boot/config-6.12.95".into(), config)),
            survey: Ok(Survey {
                backend: "mixed".into(),
                techniques: [("reads and writes", "measured"), ("Linux AIO", "not_seen")]
                    .map(|(name, sight)| TechniqueReport {
                        name: name.into(),
                        sight: sight.into(),
                    })
                    .into(),
                probes: vec![
                    probe("filemap_read", ProbeStatus::Attached),
                    probe("do_wp_page", ProbeStatus::Refused),
                ],
                self_test: None,
            }),
        }
    }

    #[test]
    fn one_attached_probe_is_enough() {
        let document = facts().conclude();
        assert!(document.can_measure);
        assert_eq!(document.backend.as_deref(), Some("mixed"));
        assert_eq!(document.cause, None);
        assert_eq!(document.privileges.setcap, None);
        assert_eq!(document.advice, Vec::<String>::new());
    }

    #[test]
    fn missing_privileges_are_the_first_cause() {
        let mut facts = facts();
        facts.privileges = Privileges::of(1000, [Capability::CAP_SYS_PTRACE]);
        facts.survey = Err("refused".into());
        let document = facts.conclude();
        assert!(!document.can_measure);
        assert_eq!(
            document.cause.as_deref(),
            Some("CAP_BPF and CAP_PERFMON missing")
        );
        assert!(
            document
                .privileges
                .setcap
                .unwrap()
                .starts_with("sudo setcap cap_bpf,cap_perfmon")
        );
        assert!(document.advice[0].contains("root"));
    }

    #[test]
    fn lockdown_is_named() {
        let mut facts = facts();
        facts
            .settings
            .push(settings::lockdown(Some("[confidentiality]")));
        facts.survey = Ok(Survey::default());
        let document = facts.conclude();
        assert!(!document.can_measure);
        assert!(document.cause.unwrap().starts_with("lockdown:"));
    }

    /// A survey in which the kernel answered every probe with this.
    fn refused(errno: i32) -> Facts {
        let mut facts = facts();
        let mut survey = Survey::default();
        for name in ["filemap_read", "do_wp_page"] {
            survey.probes.push(ProbeReport {
                errno: Some(errno),
                ..probe(name, ProbeStatus::Refused)
            });
        }
        facts.survey = Ok(survey);
        facts
    }

    #[test]
    fn a_demand_for_signed_programs_is_named() {
        for errno in [libc::EKEYREJECTED, libc::ENOKEY, libc::EBADMSG, libc::EPERM] {
            let document = refused(errno).conclude();
            assert!(!document.can_measure);
            assert!(document.cause.unwrap().contains("signed"), "{errno}");
        }
        let other = refused(libc::ENOMEM).conclude();
        assert_eq!(other.cause.as_deref(), Some("no probe could be attached"));
    }

    #[test]
    fn a_kernel_without_direct_calls_is_named() {
        let is_named = |document: &Document| {
            let mut advice = document.advice.iter();
            advice.any(|line| line.contains("WITH_DIRECT_CALLS"))
        };
        assert!(is_named(&refused(ENOTSUPP).conclude()));
        // Another function is watched: this one is refused for its arguments.
        let mut facts = facts();
        if let Ok(survey) = &mut facts.survey {
            survey.probes[1].errno = Some(ENOTSUPP);
        }
        assert!(!is_named(&facts.conclude()));
    }

    #[test]
    fn a_silent_probe_is_to_be_reported() {
        let mut facts = facts();
        if let Ok(survey) = &mut facts.survey {
            survey
                .probes
                .push(probe("add_to_pipe", ProbeStatus::Silent));
        }
        assert!(facts.conclude().advice[0].contains("report it"));
    }
}
