//! Several claims in a file.

use serde::Deserialize;

use super::{
    Claim, Flaw, MIN_BYTES,
    expect::{self, Expectation},
};

/// The claims of a policy file, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// At least one.
    pub claims: Vec<Claim>,
}

/// The file: `[[claim]]` tables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    claim: Vec<Table>,
}

/// One of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    name: String,
    // As the options are spelled, and as the documents of --json are.
    #[serde(alias = "max_copies_per_byte")]
    max_copies_per_byte: Option<f64>,
    #[serde(alias = "max_copies_per_sent_byte")]
    max_copies_per_sent_byte: Option<f64>,
    #[serde(alias = "max_copies_per_received_byte")]
    max_copies_per_received_byte: Option<f64>,
    #[serde(alias = "max_notification_ms")]
    max_notification_ms: Option<f64>,
    #[serde(alias = "min_bytes")]
    min_bytes: Option<u64>,
    path: Option<String>,
    #[serde(default, alias = "accept_inferred")]
    accept_inferred: bool,
    #[serde(default, alias = "allow_encryption")]
    allow_encryption: bool,
    #[serde(default)]
    expect: Expected,
}

/// One expectation, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    One(String),
    Several(Vec<String>),
}

impl Default for Expected {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Expected {
    fn read(self) -> Result<Vec<Expectation>, expect::Flaw> {
        match self {
            Self::One(text) => vec![text],
            Self::Several(texts) => texts,
        }
        .iter()
        .map(|text| Expectation::parse(text))
        .collect()
    }
}

impl TryFrom<Table> for Claim {
    type Error = Error;

    fn try_from(table: Table) -> Result<Self, Error> {
        let Table {
            name,
            max_copies_per_byte,
            max_copies_per_sent_byte,
            max_copies_per_received_byte,
            max_notification_ms,
            min_bytes,
            path,
            accept_inferred,
            allow_encryption,
            expect,
        } = table;
        let expect = expect.read().map_err(|flaw| Error::Expectation {
            name: name.clone(),
            flaw,
        })?;
        Ok(Self {
            name,
            max_copies_per_byte,
            max_copies_per_sent_byte,
            max_copies_per_received_byte,
            max_notification_ms,
            min_bytes: min_bytes.unwrap_or(MIN_BYTES),
            path,
            accept_inferred,
            allow_encryption,
            expect,
        })
    }
}

/// Why a file is not a policy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not TOML, or not these keys.
    #[error("{0}")]
    Syntax(String),
    /// Nothing to judge.
    #[error("it contains no claim")]
    Empty,
    /// A reason could not say which one it is about.
    #[error("two claims have the name {0:?}")]
    Twice(String),
    /// A claim without a name.
    #[error("a claim has no name")]
    Nameless,
    /// A text that is not an expectation.
    #[error("claim {name:?}: expect: {flaw}; {}", flaw.remedy())]
    Expectation {
        /// The claim's name.
        name: String,
        /// What is wrong with it.
        flaw: expect::Flaw,
    },
    /// A claim that cannot be judged.
    #[error("claim {name:?}: {flaw}")]
    Claim {
        /// Its name.
        name: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

impl Policy {
    /// The policy as a file that [`Policy::parse`] reads.
    #[must_use]
    pub fn text(&self) -> String {
        let tables: Vec<_> = self.claims.iter().map(table).collect();
        tables.join("\n")
    }

    /// Reads a policy.
    ///
    /// # Errors
    ///
    /// When it is not one.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| before.matches('\n').count() + 1);
            let message = error.message();
            Error::Syntax(match line {
                Some(line) => format!("line {line}: {message}"),
                None => message.to_owned(),
            })
        })?;
        let claims: Vec<Claim> = file
            .claim
            .into_iter()
            .map(Claim::try_from)
            .collect::<Result<_, _>>()?;
        if claims.is_empty() {
            return Err(Error::Empty);
        }
        for (index, claim) in claims.iter().enumerate() {
            if claim.name.trim().is_empty() {
                return Err(Error::Nameless);
            }
            if claims[..index].iter().any(|other| other.name == claim.name) {
                return Err(Error::Twice(claim.name.clone()));
            }
            claim.check().map_err(|flaw| Error::Claim {
                name: claim.name.clone(),
                flaw,
            })?;
        }
        Ok(Self { claims })
    }
}

/// A string of TOML: as JSON has it, but for the one character that only JSON lets stand.
pub(super) fn text(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted.replace('\u{7f}', "\\u007f")
}

/// A claim as a table of a policy.
fn table(claim: &Claim) -> String {
    let mut lines = vec![
        "[[claim]]".to_owned(),
        format!("name = {}", text(&claim.name)),
    ];
    if let Some(path) = &claim.path {
        lines.push(format!("path = {}", text(path)));
    }
    for (measure, limit) in claim.limits() {
        let key = measure.name().replace('_', "-");
        // A debugged number is always one with a point.
        lines.push(format!("max-{key} = {limit:?}"));
    }
    if let Some(limit) = claim.max_notification_ms {
        lines.push(format!("max-notification-ms = {limit:?}"));
    }
    if !claim.expect.is_empty() {
        let all: Vec<_> = claim
            .expect
            .iter()
            .map(|one| text(&one.to_string()))
            .collect();
        lines.push(format!("expect = [{}]", all.join(", ")));
    }
    lines.push(format!("min-bytes = {}", claim.min_bytes));
    lines.push(format!("accept-inferred = {}", claim.accept_inferred));
    lines.push(format!("allow-encryption = {}", claim.allow_encryption));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read() {
        let policy = Policy::parse(
            r#"
            [[claim]]
            name = "static files"
            path = "sendfile"
            max-copies-per-byte = 0.02

            [[claim]]
            name = "everything sent"
            max-copies-per-sent-byte = 1
            min-bytes = 65536
            accept-inferred = true
            allow-encryption = true
            "#,
        )
        .unwrap();
        assert_eq!(policy.claims.len(), 2);
        let [first, second] = &policy.claims[..] else {
            panic!()
        };
        assert_eq!(first.path.as_deref(), Some("sendfile"));
        assert_eq!((first.min_bytes, first.accept_inferred), (MIN_BYTES, false));
        assert_eq!(second.max_copies_per_sent_byte, Some(1.0));
        assert!(second.accept_inferred && second.allow_encryption);
        assert_eq!(second.min_bytes, 65_536);
        assert!(second.expect.is_empty());
        for (text, expected) in [
            ("\"sendfile>=0.95\"", &["sendfile>=0.95"][..]),
            (
                "[\"read,direct >= 0.99\", \"write<=0.5\"]",
                &["read,direct>=0.99", "write<=0.5"],
            ),
        ] {
            let text = format!("[[claim]]\nname = \"a\"\nexpect = {text}");
            let policy = Policy::parse(&text).unwrap();
            let read: Vec<_> = policy.claims[0]
                .expect
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_policy_that_was_printed_is_the_same() {
        let text = r#"
            [[claim]]
            name = "odd \" name \u001b\u007f"
            path = "sendfile"
            max_copies_per_byte = 0.02
            max-copies-per-sent-byte = 1
            min_bytes = 65536
            accept_inferred = true
            allow_encryption = true
            expect = ["sendfile>=0.95", "write,network<=0.05"]

            [[claim]]
            name = "b"
            max_copies_per_received_byte = 1e-7
            max_notification_ms = 2.5
            "#;
        let policy = Policy::parse(text).unwrap();
        assert!(policy.claims[0].accept_inferred && policy.claims[0].allow_encryption);
        assert_eq!(policy.claims[0].min_bytes, 65_536);
        assert_eq!(
            Policy::parse(&policy.text()).unwrap(),
            policy,
            "{}",
            policy.text()
        );
        // Not both at once.
        let twice = "[[claim]]\nname = \"a\"\nmin-bytes = 1\nmin_bytes = 1";
        let error = Policy::parse(twice).unwrap_err().to_string();
        assert!(error.contains("duplicate field"), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("", "no claim"),
            ("[[claim]]\nmax-copies-per-byte = 1", "name"),
            ("[[claim]]\nname = \"a\"", "no limit"),
            (
                "[[claim]]\nname = \" \"\nmax-copies-per-byte = 1",
                "no name",
            ),
            (
                "[[claim]]\nname = \"a\"\nmax-copies-per-bite = 1",
                "line 3: unknown field `max-copies-per-bite`",
            ),
            ("[[claims]]\nname = \"a\"", "unknown field `claims`"),
            ("[[claim]]\nname = \"a\"\nmax-copies-per-byte = nan", "NaN"),
            ("[[claim]]\nname = \"a\"\nmax-copies-per-byte = -1.0", "-1"),
            ("[[claim]]\nname = \"a\"\nmax-copies-per-byte = inf", "inf"),
            (
                "[[claim]]\nname = \"a\"\nmax-copies-per-byte = 1\nmin-bytes = -1",
                "line 4",
            ),
            (
                "[[claim]]\nname = \"a\"\nmax-copies-per-byte = 1\nmin-bytes = 0",
                "one byte",
            ),
            (
                "[[claim]]\nname = \"a\"\nmax-copies-per-byte = 1\nmax-copies-per-byte = 2",
                "duplicate key",
            ),
            (
                "[[claim]]\nname = \"a\"\nmax-copies-per-byte = 1\n[[claim]]\nname = \"a\"\nmax-copies-per-byte = 1",
                "two claims",
            ),
            (
                "[[claim]]\nname = \"a\"\nmax-copies-per-byte = 1\npath = \"reed\"",
                "reed",
            ),
            (
                "[[claim]]\nname = \"a\"\nexpect = \"sendfil>=0.9\"",
                "claim \"a\": expect: \"sendfil\" is neither",
            ),
            ("[[claim]]\nname = \"a\"\nexpect = 1", "line 3"),
            ("[[claim]]\nname = \"a\"\nexpect = []", "no limit"),
            ("not toml", "line 1"),
        ] {
            let error = Policy::parse(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
