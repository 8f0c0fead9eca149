//! A claim: which bytes it is about and how often they may be copied.

use serde::{Deserialize, Serialize};
use zctrace_common::Op;

use super::{
    expect::{self, Expectation},
    operations::{alike, matches},
};
use crate::text::escape::printable;

/// Copies per byte that are still zero-copy, where no claim says otherwise: what docs/check.md uses.
pub const ZERO_COPY: f64 = 0.02;

/// The default of [`Claim::min_bytes`].
pub const MIN_BYTES: u64 = 1 << 20;

/// What a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Copies over the bytes moved.
    CopiesPerByte,
    /// All copies of a process over the bytes it sent to inet and vsock sockets.
    CopiesPerSentByte,
    /// The same over the bytes received from them.
    CopiesPerReceivedByte,
}

impl Measure {
    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CopiesPerByte => "copies_per_byte",
            Self::CopiesPerSentByte => "copies_per_sent_byte",
            Self::CopiesPerReceivedByte => "copies_per_received_byte",
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::CopiesPerByte => "copies per byte",
            Self::CopiesPerSentByte => "copies per sent byte",
            Self::CopiesPerReceivedByte => "copies per received byte",
        }
    }
}

/// A claim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// What the policy calls it; `check` without a policy.
    pub name: String,
    /// Maximum copies per moved byte.
    pub max_copies_per_byte: Option<f64>,
    /// Maximum copies per sent byte.
    pub max_copies_per_sent_byte: Option<f64>,
    /// Maximum copies per received byte.
    pub max_copies_per_received_byte: Option<f64>,
    /// Maximum milliseconds from a zero-copy send to its notification. Absent where it is not limited.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub max_notification_ms: Option<f64>,
    /// A row of fewer bytes is not judged by itself.
    pub min_bytes: u64,
    /// Only rows of this operation, or, where it ends in `.*`, of this family of operations.
    pub path: Option<String>,
    /// Inferred rows may decide that it holds.
    pub accept_inferred: bool,
    /// A pass of a cipher over the data is not a copy.
    pub allow_encryption: bool,
    /// Ways that its bytes are expected to go. Absent without any.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub expect: Vec<Expectation>,
}

impl Claim {
    /// A claim without limits and without a path, which [`Self::check`] refuses as it is.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            max_copies_per_byte: None,
            max_copies_per_sent_byte: None,
            max_copies_per_received_byte: None,
            max_notification_ms: None,
            min_bytes: MIN_BYTES,
            path: None,
            accept_inferred: false,
            allow_encryption: false,
            expect: Vec::new(),
        }
    }

    /// The limits that are set.
    pub fn limits(&self) -> impl Iterator<Item = (Measure, f64)> + use<> {
        [
            (Measure::CopiesPerByte, self.max_copies_per_byte),
            (Measure::CopiesPerSentByte, self.max_copies_per_sent_byte),
            (
                Measure::CopiesPerReceivedByte,
                self.max_copies_per_received_byte,
            ),
        ]
        .into_iter()
        .filter_map(|(measure, limit)| Some((measure, limit?)))
    }

    /// Whether it limits copies or the time to a notification, not only what is expected.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        self.limits().next().is_some() || self.max_notification_ms.is_some()
    }

    /// Whether copies are counted over bytes that cross the network.
    #[must_use]
    pub fn counts_over_the_network(&self) -> bool {
        self.limits()
            .any(|(measure, _)| measure != Measure::CopiesPerByte)
    }

    /// What is claimed, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let limits: Vec<_> = self
            .limits()
            .map(|(measure, limit)| format!("at most {limit} {}", measure.words()))
            .chain(
                self.max_notification_ms
                    .map(|limit| format!("at most {limit} ms to the notification")),
            )
            .collect();
        let path = match &self.path {
            Some(path) => format!(" of {path}"),
            None => String::new(),
        };
        let limits = (!limits.is_empty()).then(|| limits.join(" and ") + &path);
        let expected = self.expect.iter().map(Expectation::to_string);
        let parts: Vec<_> = limits.into_iter().chain(expected).collect();
        printable(&parts.join(", "))
    }

    /// Whether the claim is about rows of this operation.
    #[must_use]
    pub fn is_about(&self, op: &str) -> bool {
        self.path.as_deref().is_none_or(|path| matches(path, op))
    }

    /// Whether operations whose names begin with `family` are part of it.
    #[must_use]
    pub fn is_about_requests(&self, family: &str) -> bool {
        self.path
            .as_deref()
            .is_none_or(|path| path.split('.').next() == Some(family))
    }

    /// Whether it can be judged at all.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), Flaw> {
        // A path is what limits are about.
        if !self.has_limits() && (self.expect.is_empty() || self.path.is_some()) {
            return Err(Flaw::NoLimit);
        }
        if self.expect.len() > expect::MOST {
            return Err(Flaw::Expectations);
        }
        for (measure, limit) in self.limits() {
            if !limit.is_finite() || limit < 0.0 {
                return Err(Flaw::Limit { measure, limit });
            }
        }
        if let Some(limit) = self.max_notification_ms
            && (!limit.is_finite() || limit < 0.0)
        {
            return Err(Flaw::Time(limit));
        }
        if self.min_bytes == 0 {
            return Err(Flaw::MinBytes);
        }
        let Some(path) = &self.path else {
            return Ok(());
        };
        let ops: Vec<_> = Op::ALL
            .iter()
            .filter(|op| **op != Op::Kernel && matches(path, op.name()))
            .collect();
        if ops.is_empty() {
            return Err(Flaw::Path(path.clone()));
        }
        for (measure, _) in self.limits() {
            let crosses = match measure {
                Measure::CopiesPerByte => true,
                Measure::CopiesPerSentByte => ops.iter().any(|op| op.can_send()),
                Measure::CopiesPerReceivedByte => ops.iter().any(|op| op.can_receive()),
            };
            if !crosses {
                return Err(Flaw::NeverCrosses {
                    measure,
                    path: path.clone(),
                });
            }
        }
        Ok(())
    }
}

/// Why a claim cannot be judged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Flaw {
    /// It limits nothing.
    #[error("no limit is set")]
    NoLimit,
    /// A limit that nothing can be compared with.
    #[error("{limit} {} is not a limit", measure.words())]
    Limit {
        /// Which limit.
        measure: Measure,
        /// Its value.
        limit: f64,
    },
    /// A time that nothing can be compared with.
    #[error("{0} ms to the notification is not a limit")]
    Time(f64),
    /// Nothing at all would be enough.
    #[error("the minimum must be at least one byte: no bytes prove nothing")]
    MinBytes,
    /// No operation is called that.
    #[error("no operation is called {0:?}")]
    Path(String),
    /// Too many expectations.
    #[error("at most {} expectations can be judged at once", expect::MOST)]
    Expectations,
    /// The limit is about bytes that the path cannot move.
    #[error("{path} never moves bytes for which {} can be computed", measure.words())]
    NeverCrosses {
        /// Which limit.
        measure: Measure,
        /// The operation.
        path: String,
    },
}

impl Flaw {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoLimit => "--max-copies-per-byte 0.02 means zero-copy; \
                 see also --max-copies-per-sent-byte, --max-copies-per-received-byte, \
                 --max-notification-ms and --expect"
                .into(),
            Self::Expectations => "judge them one after the other with --policy".into(),
            Self::Limit { .. } => {
                "write a number from 0 on: 0.02 means zero-copy, 1 one copy".into()
            }
            Self::Time(_) => "write a number of milliseconds from 0 on, such as 10".into(),
            Self::MinBytes => "omit --min-bytes to use 1 MiB".into(),
            Self::Path(path) => {
                format!(
                    "did you mean {}? `zctrace stat` shows the operation first in each row",
                    alike(path).join(", ")
                )
            }
            Self::NeverCrosses { .. } => {
                "limit --max-copies-per-byte for this path, or judge the whole process".into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn claim() -> Claim {
        Claim {
            max_copies_per_byte: Some(0.02),
            ..Claim::named("check")
        }
    }

    #[test]
    fn a_claim_that_nothing_can_be_compared_with_is_refused() {
        assert_eq!(claim().check(), Ok(()));
        for limit in [f64::NAN, f64::INFINITY, -0.1, f64::NEG_INFINITY] {
            let mut claim = claim();
            claim.max_copies_per_byte = Some(limit);
            assert!(matches!(claim.check(), Err(Flaw::Limit { .. })), "{limit}");
        }
        let mut none = claim();
        none.max_copies_per_byte = None;
        assert_eq!(none.check(), Err(Flaw::NoLimit));
        let mut no_bytes = claim();
        no_bytes.min_bytes = 0;
        assert_eq!(no_bytes.check(), Err(Flaw::MinBytes));
    }

    #[test]
    fn limits_and_path_must_not_contradict_each_other() {
        let with = |path: &str, measure: Measure| {
            let mut claim = claim();
            claim.path = Some(path.into());
            claim.max_copies_per_byte = None;
            match measure {
                Measure::CopiesPerByte => claim.max_copies_per_byte = Some(0.0),
                Measure::CopiesPerSentByte => claim.max_copies_per_sent_byte = Some(0.0),
                Measure::CopiesPerReceivedByte => claim.max_copies_per_received_byte = Some(0.0),
            }
            claim.check()
        };
        let (sent, received) = (Measure::CopiesPerSentByte, Measure::CopiesPerReceivedByte);
        for path in ["send", "write", "sendfile", "splice"] {
            assert_eq!(with(path, sent), Ok(()), "{path}");
        }
        for path in ["recv", "read", "splice"] {
            assert_eq!(with(path, received), Ok(()), "{path}");
        }
        for (path, measure) in [
            ("read", sent),
            ("recv", sent),
            ("recv.peek", received),
            ("fault.cow", sent),
            ("clone", received),
            ("sendfile", received),
            ("write", received),
        ] {
            let flaw = with(path, measure).expect_err(path);
            assert!(matches!(flaw, Flaw::NeverCrosses { .. }), "{path}: {flaw}");
        }
        assert_eq!(with("fault.*", Measure::CopiesPerByte), Ok(()));
        let flaw = with("sendfil", sent).expect_err("no such operation");
        assert!(flaw.remedy().contains("sendfile"), "{}", flaw.remedy());
        for path in ["kernel", "*"] {
            assert_eq!(with(path, sent), Err(Flaw::Path(path.to_owned())));
        }
    }
}
