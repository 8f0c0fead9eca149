//! The settings file: `$XDG_CONFIG_HOME/zctrace/config.toml`.

use std::{
    collections::BTreeMap,
    env, io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    cli::args::duration,
    text::{message::say, named_file},
    tui::{state::keys, theme},
};

/// Far more than all settings need.
const MOST: u64 = 1 << 20;

/// The settings. A setting that the file does not have keeps its default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The dashboard.
    pub top: Top,
    /// Keys, by the names of the key table.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// Settings of the dashboard.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Top {
    /// Colours.
    pub theme: Option<theme::Name>,
    /// ASCII characters only.
    pub ascii: bool,
    /// Whether the mouse is for the dashboard.
    pub mouse: Option<bool>,
    /// Time between two moments, as on the command line.
    #[serde(deserialize_with = "interval")]
    pub refresh: Option<Duration>,
}

fn interval<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let interval = duration::interval(&text);
    interval
        .map(Some)
        .map_err(|error| D::Error::custom(format!("top.refresh: {error}")))
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its content.
    #[error("{}: {text}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong, on one line.
        text: String,
    },
}

/// Where the file is looked for.
#[must_use]
pub fn path() -> Option<PathBuf> {
    let directory = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = directory("XDG_CONFIG_HOME").or_else(|| Some(directory("HOME")?.join(".config")));
    Some(base?.join("zctrace/config.toml"))
}

/// The settings in a file or, without one, those of the usual file if it exists.
///
/// # Errors
///
/// If a named file does not exist, or has an unknown setting.
pub fn load(named: Option<&Path>) -> Result<Config, Error> {
    let (path, must) = match (named, path()) {
        (Some(path), _) => (path.to_owned(), true),
        (None, Some(path)) => (path, false),
        (None, None) => return Ok(Config::default()),
    };
    let text = match named_file::read_text(&path, MOST) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must => {
            return Ok(Config::default());
        }
        Err(error) if !must => {
            // Nobody asked for it, and a dashboard without settings is better than none.
            say(&format!(
                "note: the settings in {} are not used: {error}",
                path.display()
            ));
            return Ok(Config::default());
        }
        Err(source) => return Err(Error::Read { path, source }),
    };
    parse(&text).map_err(|text| Error::Wrong { path, text })
}

/// The settings in a text.
///
/// # Errors
///
/// If a setting is not known.
pub fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.unwrap_or_default().matches('\n').count() + 1;
        format!("line {line}: {}", error.message())
    })?;
    keys::Keymap::new(&config.keys).map_err(|error| error.to_string())?;
    Ok(config)
}

/// The file with the default of every setting, commented out.
#[must_use]
pub fn commented() -> String {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# Settings of zctrace. Remove the # before a setting to change it.\n\n[top]\n\
         # Colours: \"terminal\", \"dark\", \"light\" or \"mono\". NO_COLOR and --theme go before.\n# theme = \"terminal\"\n\
         # Only ASCII characters.\n# ascii = false\n\
         # Click and turn the wheel; hold shift to select text as usual.\n# mouse = true\n\
         # Time between two moments.\n# refresh = \"1s\"\n\n\
         # Keys: a list for each function.\n[keys]\n",
    );
    for binding in keys::TABLE {
        let _ = writeln!(
            text,
            "# {}\n# {} = {:?}",
            binding.help, binding.name, binding.keys
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_file_is_the_one_that_is_read() {
        let text: String = commented()
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = parse(&text).unwrap();
        assert_eq!(config.keys.len(), keys::TABLE.len());
        assert_eq!(config.top.refresh, Some(Duration::from_secs(1)));
        assert_eq!(config.top.theme, Some(theme::Name::Terminal));
        assert_eq!(config.top.mouse, Some(true));
        parse(&commented()).unwrap();
    }

    #[test]
    fn the_fuzzers_corpus_is_harmless() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/settings");
        let files = std::fs::read_dir(corpus).unwrap();
        let read = files.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        let read = read.map(|bytes| str::from_utf8(&bytes).is_ok_and(|text| parse(text).is_ok()));
        let are_settings: Vec<_> = read.collect();
        assert!(are_settings.len() > 10, "{are_settings:?}");
        assert!(are_settings.contains(&true), "none got far");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(parse("[top]\ncolour = 1\n").unwrap_err().contains("line 2"));
        assert!(
            parse("[keys]\nfly = [\"x\"]\n")
                .unwrap_err()
                .contains("fly")
        );
        let error = parse("[top]\ntheme = \"pink\"\n").unwrap_err();
        assert!(error.contains("pink") && error.contains("mono"), "{error}");
        for refresh in ["soon", "1", "1ms", "-1s"] {
            let error = parse(&format!("[top]\nrefresh = \"{refresh}\"\n")).unwrap_err();
            assert!(error.starts_with("line 2: top.refresh: "), "{error}");
        }
        assert!(parse("[keys]\nquit = []\n").unwrap_err().contains("quit"));
    }
}
