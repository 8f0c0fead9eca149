//! Exit codes of commands that zctrace ran.

use crate::ledger::ExitStatus;

/// Exit code of a usage error, the same as clap's.
pub(crate) const USAGE: u8 = 2;

/// Exit code of a claim that does not hold.
pub(crate) const FAILED: u8 = 1;

/// Exit code if nothing could be measured.
pub(crate) const NOT_MEASURED: u8 = 3;

/// Exit code of a command of zctrace that ctrl-c ended, as a shell would report it: 128 + SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

/// The code with which a shell reports the same end.
pub(crate) fn code_of(status: ExitStatus) -> u8 {
    match (status.code, status.signal) {
        (Some(code), _) => u8::try_from(code & 0xff).unwrap_or(NOT_MEASURED),
        (None, Some(signal)) => code_of_signal(signal),
        (None, None) => NOT_MEASURED,
    }
}

pub(crate) fn code_of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_s_end_is_passed_on_as_a_shell_would() {
        let status = |code, signal| code_of(ExitStatus { code, signal });
        assert_eq!(status(Some(0), None), 0);
        assert_eq!(status(Some(7), None), 7);
        assert_eq!(status(None, Some(9)), 137);
        assert_eq!(status(None, Some(15)), 143);
    }
}
