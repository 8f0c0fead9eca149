//! `zctrace man`: the manual pages, for an installation without a package.

use std::io;

use clap::Args;

use super::args::failure::Failure;
use crate::text::sink::Sink;

const EXAMPLES: &str = "\
Examples:
  zctrace man | man -l -           the page of zctrace
  zctrace man stat | man -l -      the page of a command";

/// The files section, the same in every page.
const FILES: &str = "\
.SH FILES
.TP
.I $XDG_CONFIG_HOME/zctrace/config.toml
The settings of \\fBzctrace top\\fR. \\fBzctrace config\\fR prints a file with every setting. If the variable is not set,
the file is below \\fI~/.config\\fR.
.TP
.I /sys/kernel/btf/vmlinux
The kernel's type information, without which nothing can be traced.
";

/// Arguments of `man`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// The page of this command
    command: Option<String>,
}

/// Runs `man`; the result is the exit code.
pub(crate) fn run(args: &ManArgs) -> Result<u8, Failure> {
    let page = page(args.command.as_deref()).ok_or_else(|| {
        Failure::usage(
            format!(
                "there is no command {:?}",
                args.command.as_deref().unwrap_or_default()
            ),
            "`zctrace help` lists them",
        )
    })?;
    let mut sink = Sink::stdout();
    sink.write(|out| out.write_all(page.as_bytes()))?;
    sink.finish()?;
    Ok(0)
}

/// The page of a command, or of all; `None` where there is no such command.
fn page(name: Option<&str>) -> Option<String> {
    let mut all = definition();
    all.build();
    let command = match name {
        None | Some("zctrace") => all,
        Some(name) => {
            let own = all.find_subcommand(name)?.clone();
            // As the file is called.
            let title: &'static str = format!("zctrace-{name}").leak();
            own.name(title)
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).ok()?;
    String::from_utf8(text).ok().map(|text| finished(&text))
}

/// The commands with the help of every option: the generator leaves out the help of options that `-h` does not show.
fn definition() -> clap::Command {
    let shown = |command: clap::Command| command.mut_args(|arg| arg.hide_short_help(false));
    shown(super::definition()).mut_subcommands(shown)
}

/// Exit statuses of commands that do not say their own.
const STATUS: &str = "0 done, 2 usage error, 3 could not be done.";

/// Finishes what the generator leaves. The generator puts the text after the options into a section "extra" and lets
/// its lines be filled and justified. But the text is examples, whose layout matters, notes, and the exit status.
pub(super) fn finished(page: &str) -> String {
    let (before, extra, rest) = match page.split_once("\n.SH EXTRA\n") {
        None => (page.trim_end(), "", ""),
        Some((before, after)) => match after.find("\n.SH ") {
            Some(end) => (before, &after[..end], &after[end..]),
            None => (before, after.trim_end_matches('\n'), ""),
        },
    };
    let (extra, status) = match extra.split_once("Exit status: ") {
        Some((extra, status)) => (extra.trim_end(), status.trim_end()),
        None => (extra, STATUS),
    };
    let (examples, notes) = match extra.strip_prefix("Examples:\n") {
        None => ("", extra),
        Some(extra) => extra.split_once("\n\n").unwrap_or((extra, "")),
    };
    let mut text = before.to_owned();
    if !examples.is_empty() {
        text.push_str(&format!(
            "\n.SH EXAMPLES\n.nf\n{}\n.fi",
            examples.trim_end()
        ));
    }
    if !notes.trim().is_empty() {
        text.push_str(&format!("\n.SH NOTES\n{}", notes.trim()));
    }
    text.push_str(&format!(
        "\n.SH \"EXIT STATUS\"\n{status}\n{FILES}{}",
        see_also(page)
    ));
    text.push_str(rest.trim_start_matches('\n'));
    text
}

/// The other pages, the same in every one but for itself.
fn see_also(page: &str) -> String {
    let own = page
        .lines()
        .find_map(|line| line.strip_prefix(".TH "))
        .and_then(|line| line.split_whitespace().next())
        .unwrap_or_default();
    let names: Vec<_> = super::definition()
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| format!("zctrace-{}", command.get_name()))
        .chain(["zctrace".to_owned()])
        .filter(|name| name != own && name != "zctrace-help")
        .map(|name| format!("\\fB{}\\fR(1)", name.replace('-', "\\-")))
        .collect();
    format!(".SH \"SEE ALSO\"\n{}\n", names.join(", "))
}

/// Every page, below a directory.
pub(super) fn write(directory: &std::path::Path) -> io::Result<()> {
    clap_mangen::generate_to(definition(), directory)?;
    for page in std::fs::read_dir(directory)? {
        let page = page?.path();
        let text = std::fs::read_to_string(&page)?;
        std::fs::write(&page, finished(&text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_the_usual_sections() {
        let commands = super::super::definition();
        let names = commands
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .map(clap::Command::get_name);
        for name in names.map(Some).chain([None]) {
            let page = page(name).unwrap();
            let sections = [
                "NAME",
                "OPTIONS",
                "\"EXIT STATUS\"",
                "FILES",
                "\"SEE ALSO\"",
            ];
            for section in sections {
                assert_eq!(
                    page.matches(&format!("\n.SH {section}\n")).count(),
                    1,
                    "{name:?} {section}: {page}"
                );
            }
            assert_eq!(
                page.matches("\n.SH EXAMPLES\n").count(),
                1,
                "{name:?}: {page}"
            );
            assert!(!page.contains(".SH EXTRA"), "{name:?}");
            for option in page.split("\n.TP\n").skip(1) {
                let help = option.lines().nth(1).unwrap_or_default();
                assert!(!help.is_empty(), "{name:?}: {option}");
            }
        }
        let stat = page(Some("stat")).unwrap();
        assert!(stat.contains("zctrace\\-stat"), "{stat}");
        let also = stat.split("SEE ALSO").nth(1).unwrap();
        assert!(also.contains("zctrace\\-check"), "{also}");
        assert!(!also.contains("zctrace\\-stat\\fR"), "{also}");
        assert_eq!(page(Some("zctrace")), page(None));
        assert_eq!(page(Some("bogus")), None);
    }
}
