//! `zctrace completions`: a shell's completions.

use clap::{Args, Command, builder::PossibleValuesParser};
use clap_complete::{Shell, generate};

use zctrace_common::Op;

use super::args::failure::Failure;
use crate::{catalog, explain, text::sink::Sink, workload::technique::Workload};

const EXAMPLES: &str = "\
Examples:
  zctrace completions bash > ~/.local/share/bash-completion/completions/zctrace
  zctrace completions zsh > \"${fpath[1]}/_zctrace\"
  zctrace completions fish > ~/.config/fish/completions/zctrace.fish";

/// Arguments of `completions`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// For this shell
    shell: Shell,
}

/// Runs `completions`; the result is the exit code.
pub(crate) fn run(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut with_names(), "zctrace", &mut script);
    let mut sink = Sink::stdout();
    sink.write(|out| out.write_all(&script))?;
    sink.finish()?;
    Ok(0)
}

/// The definition with the names that options take: of probes, operations, techniques, and whatever is explained. The
/// command line itself refuses a name with a suggestion, which a list of values would not.
pub(super) fn with_names() -> Command {
    let words = explain::entries()
        .into_iter()
        .flat_map(|entry| entry.names());
    let words: Vec<String> = words.map(str::to_owned).collect();
    let probes: Vec<_> = catalog::probes()
        .map(|probe| probe.name.to_owned())
        .collect();
    let ops: Vec<_> = Op::ALL.iter().map(|op| op.name().to_owned()).collect();
    let techniques: Vec<_> = Workload::all().map(|workload| workload.name()).collect();
    let names = [
        ("explain", "name", words),
        ("bench", "names", techniques),
        ("check", "path", ops),
    ];
    let mut command = super::definition();
    for (subcommand, argument, names) in names {
        command = completed(command, subcommand, argument, names);
    }
    for subcommand in ["stat", "check", "bench"] {
        command = completed(command, subcommand, "without_probe", probes.clone());
    }
    command
}

fn completed(command: Command, subcommand: &str, argument: &str, names: Vec<String>) -> Command {
    // Shells break words at colons, and others mean something to them.
    let is_word = |name: &String| {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
        !name.is_empty() && name.chars().all(is_plain)
    };
    let mut names: Vec<String> = names.into_iter().filter(is_word).collect();
    names.sort_unstable();
    names.dedup();
    command.mut_subcommand(subcommand, |command| {
        command.mut_arg(argument, |arg| {
            arg.value_parser(PossibleValuesParser::new(
                names.into_iter().map(|name| &*name.leak()),
            ))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_in_every_shell() {
        let arguments = ["splice-proxy", "copied_to_user"].as_slice();
        // fish has no values of arguments that are no options.
        for (shell, arguments) in [
            (Shell::Bash, arguments),
            (Shell::Zsh, arguments),
            (Shell::Fish, &[]),
        ] {
            let mut script = Vec::new();
            generate(shell, &mut with_names(), "zctrace", &mut script);
            let script = String::from_utf8(script).unwrap();
            for name in ["tcp_sendmsg_locked", "uring.send"].iter().chain(arguments) {
                assert!(script.contains(name), "{shell}: {name}");
            }
        }
    }
}
