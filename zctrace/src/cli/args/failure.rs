//! How a command ends, and what it says when it fails.

use std::{
    error::Error as StdError,
    io::{self, Write as _},
};

use super::exit::{self, NOT_MEASURED, USAGE};
use crate::{
    kernel::privileges,
    recording, run, target,
    text::{escape::printable, message::without_numbers, sink},
    tracer,
};

/// What a shell reports for a program that a closed pipe ended: 128 + SIGPIPE.
const CLOSED_PIPE: u8 = 141;

/// A failure: one line of cause, one line of remedy.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    /// `None` if nobody reads it.
    text: Option<(String, String)>,
}

impl Failure {
    /// A mistake in the command line that clap cannot know.
    pub(crate) fn usage(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(USAGE, cause, remedy)
    }

    /// No measurement.
    pub(crate) fn not_measured(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(NOT_MEASURED, cause, remedy)
    }

    pub(crate) fn new(code: u8, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            text: Some((cause.into(), remedy.into())),
        }
    }

    /// Workloads that could not be set up.
    pub(crate) fn no_workloads(error: anyhow::Error) -> Self {
        Self::not_measured(
            format!("{error:#}"),
            "run it as root, with room in the directory for temporary files",
        )
    }

    /// Prints it and returns the exit code.
    pub(crate) fn report(&self) -> u8 {
        if let Some((cause, remedy)) = &self.text {
            let text = format!("error: {}\n help: {}\n", one_line(cause), one_line(remedy));
            // There is nowhere left to complain.
            let _ = io::stderr().lock().write_all(text.as_bytes());
        }
        self.code
    }
}

/// One line, whatever text comes from a kernel, a verifier or the name of a process, without Rust's `(os error 13)`.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    printable(&without_numbers(&words.join(" ")))
}

/// An error with its sources, unless its message already contains them.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}

impl From<recording::Error> for Failure {
    fn from(error: recording::Error) -> Self {
        use recording::Error;
        let cause = error.to_string();
        match error {
            Error::Read { .. } => Self::usage(cause, "name a file that `zctrace record` wrote"),
            Error::NotOne(_) => Self::usage(cause, "name a file that `zctrace record` wrote"),
            Error::Version { .. } => Self::usage(
                cause,
                "use the version of zctrace that wrote it, or a later one",
            ),
            Error::InTheWay(_) => Self::usage(
                cause,
                "choose another file with -o, continue after them with --rotate-size or --rotate-time, or move them away",
            ),
            Error::TooMuch(_) => Self::not_measured(
                cause,
                "record in parts with --rotate-time, and report each part; do not trust it if it comes from somebody else",
            ),
            Error::Damaged { .. } => Self::usage(cause, "nothing in it can be read: record again"),
            Error::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Self::not_measured(cause, "free some space or choose another file")
            }
            Error::Write { .. } => Self::not_measured(cause, "choose another file"),
        }
    }
}

impl From<sink::Error> for Failure {
    fn from(error: sink::Error) -> Self {
        match error {
            sink::Error::Closed => Self {
                code: CLOSED_PIPE,
                text: None,
            },
            sink::Error::Write { .. } => Self::not_measured(chain(&error), error.remedy()),
        }
    }
}

impl From<target::Error> for Failure {
    fn from(error: target::Error) -> Self {
        Self::not_measured(chain(&error), error.remedy())
    }
}

impl From<tracer::Error> for Failure {
    fn from(error: tracer::Error) -> Self {
        let code = match error {
            tracer::Error::NoSuchProbe(_) => USAGE,
            _ => NOT_MEASURED,
        };
        Self::new(code, chain(&error), error.remedy())
    }
}

impl From<run::Error> for Failure {
    fn from(error: run::Error) -> Self {
        match error {
            run::Error::Target(error) => error.into(),
            run::Error::Tracer(error) => error.into(),
            run::Error::Output(error) => error.into(),
            run::Error::Command(error) => {
                Self::new(error.exit_code(), chain(&error), error.remedy())
            }
            run::Error::NotPermitted { .. } => Self::not_measured(
                chain(&error),
                format!(
                    "run it with sudo, or once: {}",
                    privileges::setcap_line(&privileges::own_path())
                ),
            ),
            run::Error::Interrupted { signal } => Self::new(
                exit::code_of_signal(signal),
                error.to_string(),
                run::Error::INTERRUPTED_REMEDY,
            ),
            run::Error::System { .. } => {
                Self::not_measured(chain(&error), "see `zctrace doctor`, or try again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_not_said_twice() {
        let error = target::Error::Read {
            path: "/x".into(),
            source: io::Error::from_raw_os_error(13),
        };
        let text = chain(&error);
        assert_eq!(text.matches("Permission denied").count(), 1, "{text}");
    }

    #[test]
    fn lines_are_short() {
        assert_eq!(
            one_line("cannot write x: No space left\n on device (os error 28)"),
            "cannot write x: No space left on device"
        );
        assert_eq!(
            one_line("refused (os error 1): locked (os error 13)"),
            "refused: locked"
        );
    }

    #[test]
    fn a_name_in_a_message_cannot_speak_to_the_terminal() {
        assert_eq!(
            one_line("listening here: 80 (\x1b]0;PWN\x07\n\u{202e})"),
            "listening here: 80 (\\x1b]0;PWN\\x07 \\u{202e})"
        );
    }

    #[test]
    fn a_closed_pipe_is_no_news() {
        let failure = Failure::from(sink::Error::Closed);
        assert!(failure.text.is_none());
        assert_eq!(failure.code, 141);
    }
}
