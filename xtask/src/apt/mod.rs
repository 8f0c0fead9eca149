//! What the machine's own apt sources say about Debian's archive: further suites are taken from
//! the mirror the machine already uses and trusts.

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result};

pub(crate) mod private;

/// The keyring Debian installs, where a source names none.
const DEBIAN_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A mirror of Debian's main archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) uri: String,
    pub(crate) keyring: String,
}

/// The mirror to take Debian packages from: `ZCTRACE_DEBIAN_MIRROR`, or the machine's own.
pub(crate) fn debian_mirror() -> Result<Mirror> {
    if let Ok(uri) = env::var("ZCTRACE_DEBIAN_MIRROR") {
        return Ok(Mirror {
            uri,
            keyring: DEBIAN_KEYRING.to_owned(),
        });
    }
    sources(Path::new("/etc/apt"))
        .iter()
        .find_map(|source| source.debian_main())
        .context(
            "no Debian mirror in the apt sources of this machine; name one in ZCTRACE_DEBIAN_MIRROR",
        )
}

/// A mirror of the security archive, if this machine uses one, and its suite.
pub(crate) fn security_mirror() -> Option<(Mirror, String)> {
    sources(Path::new("/etc/apt")).iter().find_map(|source| {
        let suite = source
            .suites
            .iter()
            .find(|suite| suite.ends_with("-security"))?;
        Some((source.mirror(source.uris.first()?), suite.clone()))
    })
}

/// Whether an enabled source offers `suite`.
pub(crate) fn has_suite(suite: &str) -> bool {
    sources(Path::new("/etc/apt"))
        .iter()
        .any(|source| source.suites.iter().any(|known| known == suite))
}

/// One enabled source of binary packages.
#[derive(Debug, Default, PartialEq, Eq)]
struct Source {
    uris: Vec<String>,
    suites: Vec<String>,
    signed_by: Option<String>,
}

impl Source {
    /// Security and vendor archives have other suites, or lie under another name.
    fn debian_main(&self) -> Option<Mirror> {
        let uri = self.uris.iter().find(|uri| {
            let uri = uri.trim_end_matches('/');
            uri.ends_with("/debian") || uri.ends_with("/debian.list")
        })?;
        Some(self.mirror(uri))
    }

    fn mirror(&self, uri: &str) -> Mirror {
        let keyring = self.signed_by.as_deref().unwrap_or(DEBIAN_KEYRING);
        Mirror {
            uri: uri.to_owned(),
            keyring: keyring.to_owned(),
        }
    }
}

fn sources(etc_apt: &Path) -> Vec<Source> {
    let mut files = vec![etc_apt.join("sources.list")];
    if let Ok(entries) = fs::read_dir(etc_apt.join("sources.list.d")) {
        let mut parts: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    files
        .iter()
        .filter_map(|file| {
            let text = fs::read_to_string(file).ok()?;
            match file.extension()?.to_str()? {
                "list" => Some(parse_list(&text)),
                "sources" => Some(parse_deb822(&text)),
                _ => None,
            }
        })
        .flatten()
        .collect()
}

/// The one-line format: `deb [option=value …] URI SUITE COMPONENT…`.
fn parse_list(text: &str) -> Vec<Source> {
    text.lines()
        .filter_map(|line| {
            let rest = line.trim().strip_prefix("deb ")?.trim_start();
            let (options, rest) = match rest.strip_prefix('[') {
                Some(rest) => rest.split_once(']')?,
                None => ("", rest),
            };
            let mut words = rest.split_whitespace();
            Some(Source {
                uris: vec![words.next()?.to_owned()],
                suites: vec![words.next()?.to_owned()],
                signed_by: options
                    .split_whitespace()
                    .find_map(|option| option.strip_prefix("signed-by="))
                    .and_then(keyring_path),
            })
        })
        .collect()
}

/// The stanza format of `.sources` files.
fn parse_deb822(text: &str) -> Vec<Source> {
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    text.split(|line| line.trim().is_empty())
        .filter_map(|stanza| {
            let field = |name: &str| {
                stanza.iter().find_map(|line| {
                    let (key, value) = line.split_once(':')?;
                    key.eq_ignore_ascii_case(name).then(|| value.trim())
                })
            };
            let words = |value: &str| value.split_whitespace().map(str::to_owned).collect();
            if !field("Types")?.split_whitespace().any(|kind| kind == "deb")
                || field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"))
            {
                return None;
            }
            Some(Source {
                uris: words(field("URIs")?),
                suites: words(field("Suites")?),
                signed_by: field("Signed-By").and_then(keyring_path),
            })
        })
        .collect()
}

/// A key can also be embedded, or named by its fingerprint; then Debian's keyring serves.
fn keyring_path(value: &str) -> Option<String> {
    let first = value.split([',', ' ']).next()?;
    first.starts_with('/').then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_mirror_in_a_stanza_and_leaves_security_out() {
        let text = "Types: deb\n# a comment\nURIs: http://mirror.test/debian-security\n\
             Suites: bookworm-security\nComponents: main\n\nTypes: deb deb-src\n\
             URIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\n\
             Signed-By: /keys/debian.gpg\n";
        let parsed = parse_deb822(text);
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[0].debian_main(), None);
        assert_eq!(
            parsed[1].debian_main(),
            Some(Mirror {
                uri: "http://mirror.test/debian".to_owned(),
                keyring: "/keys/debian.gpg".to_owned(),
            })
        );
        assert_eq!(parsed[1].suites, ["bookworm", "bookworm-updates"]);
    }

    #[test]
    fn a_disabled_stanza_or_a_source_archive_is_no_source() {
        let text = "Types: deb\nEnabled: no\nURIs: http://mirror.test/debian\nSuites: sid\n\n\
             Types: deb-src\nURIs: http://mirror.test/debian\nSuites: sid\n";
        assert_eq!(parse_deb822(text), []);
    }

    #[test]
    fn reads_the_one_line_format() {
        let text = "# deb http://old.test/debian sid main\n\
             deb [arch=amd64 signed-by=/keys/d.gpg] http://mirror.test/debian/ trixie main\n";
        assert_eq!(
            parse_list(text),
            [Source {
                uris: vec!["http://mirror.test/debian/".to_owned()],
                suites: vec!["trixie".to_owned()],
                signed_by: Some("/keys/d.gpg".to_owned()),
            }]
        );
    }
}
