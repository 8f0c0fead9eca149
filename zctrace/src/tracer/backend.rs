//! Which kinds of probes may be used: all, or those of hardened kernels only.

use super::Error;
use crate::catalog::{Kind, Probe};

/// The variable that chooses: `auto`, the default, or `tracepoints`. It is meant for tests: what a
/// hardened kernel would show can be compared with what functions show on the same kernel.
pub const VARIABLE: &str = "ZCTRACE_BACKEND";

/// Which kinds of probes may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Whatever the kernel takes.
    #[default]
    Auto,
    /// Only tracepoints, as on a kernel that refuses functions.
    Tracepoints,
}

impl Backend {
    /// What the environment asks for.
    ///
    /// # Errors
    /// When it asks for something that there is not.
    pub fn wanted() -> Result<Self, Error> {
        std::env::var_os(VARIABLE).map_or(Ok(Self::Auto), |name| {
            let name = name.to_string_lossy();
            Self::parse(&name).ok_or_else(|| Error::NoSuchBackend(name.into_owned()))
        })
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "" | "auto" => Some(Self::Auto),
            "tracepoints" => Some(Self::Tracepoints),
            _ => None,
        }
    }

    /// Whether a probe can be attached without functions.
    pub(super) fn takes(self, probe: &Probe) -> bool {
        let is_event = |kind| matches!(kind, Kind::BtfTracepoint | Kind::Clock);
        self == Self::Auto || probe.ways.iter().any(|way| is_event(way.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog;

    #[test]
    fn knows_its_names() {
        assert_eq!(Backend::parse("auto"), Some(Backend::Auto));
        assert_eq!(Backend::parse(""), Some(Backend::Auto));
        assert_eq!(Backend::parse("tracepoints"), Some(Backend::Tracepoints));
        assert_eq!(Backend::parse("functions"), None);
    }

    /// A probe with ways of both kinds would be attached as a function.
    #[test]
    fn no_probe_is_both() {
        for probe in catalog::probes() {
            let events = probe
                .ways
                .iter()
                .filter(|way| matches!(way.kind, Kind::BtfTracepoint | Kind::Clock))
                .count();
            assert!(
                events == 0 || events == probe.ways.len(),
                "{} is a function and a tracepoint",
                probe.name
            );
        }
    }
}
