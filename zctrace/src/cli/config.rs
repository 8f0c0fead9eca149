//! `zctrace config`: the settings file, with a comment on every setting.

use std::path::PathBuf;

use clap::Args;

use super::args::failure::Failure;
use crate::{cli::settings, text::sink::Sink};

const EXAMPLES: &str = "\
Examples:
  zctrace config > ~/.config/zctrace/config.toml   a file with every setting
  zctrace config --check config.toml               whether zctrace knows every setting of a file";

/// Arguments of `config`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    /// Check this settings file instead
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Prints the file, or checks one.
pub(crate) fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    let text = match &args.check {
        Some(path) => {
            settings::load(Some(path))?;
            format!("{}: every setting is known\n", path.display())
        }
        None => settings::commented(),
    };
    let mut sink = Sink::stdout();
    sink.write(|out| out.write_all(text.as_bytes()))?;
    sink.finish()?;
    Ok(0)
}

impl From<settings::Error> for Failure {
    fn from(error: settings::Error) -> Self {
        Self::usage(error.to_string(), "`zctrace config` prints every setting")
    }
}
