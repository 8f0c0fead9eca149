//! `zctrace config`: the settings file, every setting commented.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use crate::{config, text::sink::Sink};

/// Arguments of `config`.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// Check this settings file instead
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

/// Prints the file, or checks one.
pub(crate) fn run(args: &ConfigArgs) -> Result<u8, Failure> {
    let text = match &args.check {
        Some(path) => {
            config::load(Some(path))?;
            format!("{}: every setting is known\n", path.display())
        }
        None => config::commented(),
    };
    let mut sink = Sink::stdout();
    sink.write(|out| out.write_all(text.as_bytes()))?;
    sink.finish()?;
    Ok(0)
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::usage(error.to_string(), "`zctrace config` prints every setting")
    }
}
