//! Which probes took part, and what follows for whoever reads the rows.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct as _};

use crate::catalog::sight::{self, Sight, Technique};

/// Which probes took part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Coverage {
    /// Names of the attached probes.
    pub attached: Vec<String>,
    /// The others.
    pub refused: Vec<Refused>,
}

/// A probe that is not there, and what that costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Name of the probe.
    pub probe: String,
    /// Why.
    pub reason: String,
    /// What cannot be seen without it.
    pub lost: String,
    /// This kernel does not have what it would see, so nothing goes by unseen.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub absent: bool,
}

impl Refused {
    /// What ends [`Refused::lost`] where another probe reports the same operations.
    pub const REPLACED: &str = "the system call tells instead";

    /// Whether another probe reports the operations that this one would have.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.lost.ends_with(Self::REPLACED)
    }
}

impl Coverage {
    /// What these probes see of each technique.
    #[must_use]
    pub fn techniques(&self) -> Vec<(Technique, Sight)> {
        let attached = |name: &str| self.attached.iter().any(|probe| probe == name);
        let missing = |name: &str| {
            let refused = self.refused.iter();
            refused
                .into_iter()
                .any(|one| one.probe == name && !one.absent)
        };
        sight::techniques(attached, missing)
    }

    /// The techniques of which nothing is seen: not even an unexplained row tells of their copies.
    #[must_use]
    pub fn not_seen(&self) -> Vec<Technique> {
        let techniques = self.techniques().into_iter();
        techniques
            .filter(|(_, sight)| *sight == Sight::NotSeen)
            .map(|(technique, _)| technique)
            .collect()
    }

    /// That in a sentence; `None` where there is none such.
    #[must_use]
    pub fn blind_spots(&self) -> Option<String> {
        let names: Vec<_> = self.not_seen().iter().map(|one| one.name).collect();
        (!names.is_empty()).then(|| {
            format!(
                "Not seen here: {}. What these copy is in no row and in no figure; `zctrace doctor` \
                 says why.",
                names.join(", ")
            )
        })
    }
}

impl Serialize for Coverage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let not_seen: Vec<_> = self.not_seen().iter().map(|one| one.name).collect();
        let length = if not_seen.is_empty() { 2 } else { 3 };
        let mut document = serializer.serialize_struct("Coverage", length)?;
        document.serialize_field("attached", &self.attached)?;
        document.serialize_field("refused", &self.refused)?;
        if not_seen.is_empty() {
            document.skip_field("not_seen")?;
        } else {
            document.serialize_field("not_seen", &not_seen)?;
        }
        document.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(probe: &str, absent: bool) -> Refused {
        Refused {
            probe: probe.into(),
            reason: "not permitted".into(),
            lost: "something".into(),
            absent,
        }
    }

    #[test]
    fn what_is_not_seen_is_told_by_technique() {
        let coverage = Coverage {
            attached: vec!["sys_enter".into(), "sys_exit".into()],
            refused: vec![
                refused("wp_page_enter", false),
                refused("filemap_read", false),
                refused("xsk_rcv", true),
            ],
        };
        let text = coverage.blind_spots().unwrap();
        assert!(
            text.starts_with("Not seen here: copy-on-write. What"),
            "{text}"
        );
        let json = serde_json::to_value(&coverage).unwrap();
        assert_eq!(json["not_seen"], serde_json::json!(["copy-on-write"]));
        assert_eq!(serde_json::from_value::<Coverage>(json).unwrap(), coverage);
        assert_eq!(Coverage::default().blind_spots(), None);
    }
}
